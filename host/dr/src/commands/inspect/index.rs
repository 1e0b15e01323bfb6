//! `dr inspect index`: an attribute index, its footers and pages.

use dr_engine::error::Result;
use dr_formats::DecodeError;
use dr_formats::attribute_index::{
    ExaminedPage, FOOTER_LENGTH, Footer, IndexError, KeyFormat, SegmentSlice, examine_pages, find_last_footer,
    infer_key_length, visit_all,
};
use dr_formats::names::SegmentKind;

use super::super::Session;
use super::records::attribute_name;
use super::segment::SegmentContent;
use super::sheet::{Fields, Sheet};
use crate::arguments::IndexArguments;

/// Shows the footers, newest first, and the pages of the newest root.
pub(super) fn run(session: &Session, sheet: &mut Sheet<'_>, arguments: &IndexArguments) -> Result<()> {
    let content = SegmentContent::read(session, sheet, &arguments.segment)?;
    let keys = key_format(&content, arguments.key_length);
    let title = Fields::new()
        .with("segment", content.segment.as_str())
        .with("start", content.start)
        .with("size", content.bytes.len())
        .with("key_length", keys.key_length());
    sheet.title("index", &content.title, &title);
    let slice = SegmentSlice::new(content.start, &content.bytes);
    let footers = footers(sheet, &slice, keys);
    let end = slice.range().end;
    match footers.first() {
        Some(newest) if newest.end < end => {
            sheet.damage(Some(newest.end), &format!("{} bytes follow the last whole footer", end - newest.end));
        }
        None if !content.bytes.is_empty() => {
            sheet.damage(Some(content.start), "no whole footer with a sound root page")
        }
        _ => {}
    }
    for footer in &footers {
        show_footer(sheet, footer);
    }
    if let Some(newest) = footers.first() {
        show_pages(sheet, &slice, newest, keys, arguments.entries);
    }
    sheet.left_out(content.left_out);
    Ok(())
}

/// As told; or by the root page; ids of key-value tables are raw bytes, also those of 16 bytes.
fn key_format(content: &SegmentContent, told: Option<u16>) -> KeyFormat {
    let slice = SegmentSlice::new(content.start, &content.bytes);
    let length = told.or_else(|| infer_key_length(&slice, slice.range()).ok().flatten());
    match length {
        None | Some(0) => KeyFormat::Uuid,
        Some(16) if SegmentKind::of(&content.segment) != SegmentKind::KeyValueTable => KeyFormat::Uuid,
        Some(length) => KeyFormat::of_id_length(Some(i64::from(length))).unwrap_or(KeyFormat::Uuid),
    }
}

/// All footers that can be found, newest first.
fn footers(sheet: &mut Sheet<'_>, slice: &SegmentSlice<'_>, keys: KeyFormat) -> Vec<Footer> {
    let mut footers = Vec::new();
    let mut range = slice.range();
    loop {
        match find_last_footer(slice, range.clone(), keys) {
            Ok(Some(footer)) => {
                // Every round writes its pages before its footer, the root last.
                range.end = footer.root_offset;
                footers.push(footer);
            }
            Ok(None) => return footers,
            Err(error) => {
                damage(sheet, &error);
                return footers;
            }
        }
    }
}

fn damage(sheet: &mut Sheet<'_>, error: &IndexError<DecodeError>) {
    let (IndexError::Read(error) | IndexError::Format(error)) = error;
    sheet.damage(Some(error.offset), &error.to_string());
}

fn show_footer(sheet: &mut Sheet<'_>, footer: &Footer) {
    let fields = Fields::new()
        .with("end", footer.end)
        .with("root_offset", footer.root_offset)
        .with("root_length", footer.root_length)
        .with("minimum_offset", footer.minimum_offset)
        .with("entry_count", footer.statistics.map(|statistics| statistics.entry_count))
        .with("page_count", footer.statistics.map(|statistics| statistics.page_count));
    sheet.found(Some(footer.end - FOOTER_LENGTH as u64), "footer", &fields);
}

fn show_pages(sheet: &mut Sheet<'_>, slice: &SegmentSlice<'_>, footer: &Footer, keys: KeyFormat, with_entries: bool) {
    let start = slice.range().start;
    let mut damaged_pages = 0;
    let examined = examine_pages(slice, start, footer, keys, &mut |page| match page {
        Ok(page) => show_page(sheet, &page, with_entries),
        Err(error) => {
            damaged_pages += 1;
            sheet.damage(Some(error.offset), &error.to_string());
        }
    });
    if let Err(error) = examined {
        sheet.damage(Some(error.offset), &error.to_string());
    }
    match visit_all(slice, start, footer, keys, |_, _| {}) {
        Ok(summary) => {
            let fields = Fields::new()
                .with("entry_count", summary.entry_count)
                .with("page_count", summary.page_count)
                .with("minimum_offset", summary.minimum_offset);
            sheet.found(Some(footer.root_offset), "whole", &fields);
        }
        // Pages that are sound by themselves, but do not fit together.
        Err(error) if damaged_pages == 0 => damage(sheet, &error),
        Err(_) => {}
    }
}

fn show_page(sheet: &mut Sheet<'_>, page: &ExaminedPage, with_entries: bool) {
    let level = 1 + page.depth as usize;
    let fields = Fields::new().with("length", page.length);
    let (what, fields) = if page.is_index {
        ("index-page", fields.with("children", page.children))
    } else {
        ("leaf-page", fields.with("entries", page.values.len()))
    };
    sheet.found_inside(level, Some(page.offset), what, &fields);
    if with_entries {
        for (id, value) in &page.values {
            let fields = Fields::new().with("id", attribute_name(id)).with("value", *value);
            sheet.found_inside(level + 1, None, "attribute", &fields);
        }
    }
}

//! `dr inspect znode`: the data of a ZNode, its format found by its path.

use dr_engine::error::{OperatorError, Result};
use dr_formats::DecodeError;
use dr_formats::bookie_protocol::bookie_endpoints;
use dr_formats::controller::TransactionCounter;
use dr_formats::ledger_metadata::{LEDGERS_LAYOUT_NODE, LedgerManager};
use dr_formats::log_metadata::LogMetadata;

use super::super::Session;
use super::object::Object;
use super::sheet::{Fields, Sheet, hexadecimal};
use super::{ledger_metadata, tier1};
use crate::arguments::{ZNodeArguments, ZNodeForm};

/// Bytes in a line of a hexadecimal dump.
const DUMP_BYTES: usize = 32;

/// Shows a ZNode of Tier-1, or a file that holds the data of one.
pub(super) fn run(session: &Session, sheet: &mut Sheet<'_>, arguments: &ZNodeArguments) -> Result<()> {
    let (name, data, left_out) = match (&arguments.file, &arguments.path) {
        (Some(file), _) => {
            let object = Object::read(file, &arguments.object)?;
            (arguments.path.clone().unwrap_or(object.name), object.bytes, object.left_out)
        }
        (None, Some(path)) => {
            let tier1 = tier1::open(session, &arguments.cluster.config, &arguments.cluster.tier1)?;
            let node = tier1.znodes.get(path)?.ok_or_else(|| tier1::missing(path, &tier1.znodes.location()))?;
            (path.clone(), node.data, 0)
        }
        (None, None) => {
            return Err(OperatorError::new(
                "configuration-missing",
                "it is not told which ZNode",
                "name its path, with --tier1 dir:PATH, --zookeeper or --config; or give --file FILE --as FORM",
            ));
        }
    };
    let form = arguments.form.unwrap_or_else(|| form_of(&name));
    sheet.title("znode", &name, &Fields::new().with("size", data.len()).with("form", form.as_str()));
    show(sheet, &name, form, &data);
    sheet.left_out(left_out);
    Ok(())
}

/// The form that a path promises.
fn form_of(path: &str) -> ZNodeForm {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match parts.as_slice() {
        [.., "counter"] => ZNodeForm::Counter,
        [.., name] if *name == LEDGERS_LAYOUT_NODE => ZNodeForm::LedgersLayout,
        [.., "INSTANCEID"] => ZNodeForm::Text,
        [.., "cookies", _] => ZNodeForm::Cookie,
        [.., "available", "readonly", _] | [.., "available", _] => ZNodeForm::Bookie,
        [.., name] if name.strip_prefix('L').is_some_and(is_number) => ZNodeForm::LedgerMetadata,
        [.., "containers", last] if is_number(last) => ZNodeForm::LogMetadata,
        [.., last] if is_number(last) && parts.contains(&"containers") => ZNodeForm::LogMetadata,
        _ => ZNodeForm::Raw,
    }
}

fn show(sheet: &mut Sheet<'_>, name: &str, form: ZNodeForm, data: &[u8]) {
    let decoded = match form {
        ZNodeForm::LedgerMetadata => return ledger_metadata::show(sheet, data),
        ZNodeForm::Raw => return dump(sheet, data, true),
        ZNodeForm::Text | ZNodeForm::Cookie => return show_text(sheet, form, data),
        ZNodeForm::Bookie => return show_bookie(sheet, name, data),
        ZNodeForm::LogMetadata => return show_log_metadata(sheet, data),
        ZNodeForm::Counter => TransactionCounter::decode(data)
            .map(|counter| Fields::new().with("most", counter.most).with("least", counter.least)),
        ZNodeForm::LedgersLayout => {
            LedgerManager::from_layout_text(data).map(|manager| Fields::new().with("manager", format!("{manager:?}")))
        }
    };
    match decoded {
        Ok(fields) => sheet.found(Some(0), form.as_str(), &fields),
        Err(error) => damaged(sheet, data, &error),
    }
}

fn damaged(sheet: &mut Sheet<'_>, data: &[u8], error: &DecodeError) {
    sheet.damage(Some(error.offset), &error.to_string());
    dump(sheet, data, false);
}

fn dump(sheet: &mut Sheet<'_>, data: &[u8], is_unknown: bool) {
    if is_unknown {
        let hint = "no format is known for this path; --as FORM names one";
        sheet.found(None, "hint", &Fields::new().with("text", hint));
    }
    for (index, line) in data.chunks(DUMP_BYTES).enumerate() {
        let text: String =
            line.iter().map(|&byte| if byte.is_ascii_graphic() { char::from(byte) } else { '.' }).collect();
        let fields = Fields::new().with("hex", hexadecimal(line)).with("text", text);
        sheet.found(Some((index * DUMP_BYTES) as u64), "bytes", &fields);
    }
}

/// Lines of text; the first byte that is no text is damage.
fn show_text(sheet: &mut Sheet<'_>, form: ZNodeForm, data: &[u8]) {
    match std::str::from_utf8(data) {
        Ok(text) => {
            if form == ZNodeForm::Cookie && text.lines().next().is_none_or(|first| first.parse::<u32>().is_err()) {
                sheet.damage(Some(0), "cookie: at byte 0, expected the number of its layout in the first line");
            }
            let mut offset = 0;
            for line in text.split_inclusive('\n') {
                sheet.found(Some(offset), "line", &Fields::new().with("text", line.trim_end_matches('\n')));
                offset += line.len() as u64;
            }
        }
        Err(error) => {
            let offset = error.valid_up_to() as u64;
            damaged(sheet, data, &DecodeError::new(form.as_str(), offset, "UTF-8 text"));
        }
    }
}

fn show_bookie(sheet: &mut Sheet<'_>, name: &str, data: &[u8]) {
    let id = name.rsplit('/').next().unwrap_or(name);
    match bookie_endpoints(id, data) {
        Ok(endpoints) => {
            for endpoint in endpoints {
                let fields = Fields::new().with("host", endpoint.host).with("port", endpoint.port);
                sheet.found(None, "endpoint", &fields);
            }
        }
        Err(error) => damaged(sheet, data, &error),
    }
}

fn show_log_metadata(sheet: &mut Sheet<'_>, data: &[u8]) {
    match LogMetadata::decode(data) {
        Ok(metadata) => {
            sheet.found(Some(0), "log-metadata", &log_metadata_fields(&metadata));
            for ledger in &metadata.ledgers {
                let fields = Fields::new()
                    .with("ledger_id", ledger.ledger_id)
                    .with("sequence", ledger.sequence)
                    .with("status", format!("{:?}", ledger.status));
                sheet.found_inside(1, None, "ledger", &fields);
            }
        }
        Err(error) => damaged(sheet, data, &error),
    }
}

/// What the ZNode of a log says before its ledgers.
pub(super) fn log_metadata_fields(metadata: &LogMetadata) -> Fields {
    let truncation = metadata.truncation;
    let frame = format!("{}:{}", truncation.frame.ledger_sequence(), truncation.frame.entry_id());
    Fields::new()
        .with("enabled", metadata.enabled)
        .with("epoch", metadata.epoch)
        .with("truncation_frame", frame)
        .with("truncation_ledger_id", truncation.ledger_id)
        .with("ledgers", metadata.ledgers.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_forms() {
        for (path, form) in [
            ("/pravega/lab/counter", ZNodeForm::Counter),
            ("/pravega/lab/segmentstore/containers/7/0/7", ZNodeForm::LogMetadata),
            ("/pravega/lab/segmentstore/containers/3", ZNodeForm::LogMetadata),
            ("/pravega/lab/bookkeeper/ledgers/00/0000/L0016", ZNodeForm::LedgerMetadata),
            ("/pravega/lab/bookkeeper/ledgers/LAYOUT", ZNodeForm::LedgersLayout),
            ("/pravega/lab/bookkeeper/ledgers/INSTANCEID", ZNodeForm::Text),
            ("/pravega/lab/bookkeeper/ledgers/cookies/127.0.0.1:1", ZNodeForm::Cookie),
            ("/pravega/lab/bookkeeper/ledgers/available/127.0.0.1:1", ZNodeForm::Bookie),
            ("/pravega/lab/cluster/segmentContainerHostMapping", ZNodeForm::Raw),
        ] {
            assert_eq!(form_of(path), form, "{path}");
        }
    }
}

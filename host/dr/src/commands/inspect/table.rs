//! `dr inspect table`: entries of a table segment.

use std::collections::HashMap;

use dr_engine::error::Result;
use dr_formats::DecodeError;
use dr_formats::controller::{
    ActiveTransaction, COMMITTING_TRANSACTIONS_KEY, CONFIGURATION_KEY, CommittingTransactions, CompletedTransaction,
    STATE_KEY, StreamConfiguration, StreamState, decode_key_length, decode_table_id,
};
use dr_formats::names::{ControllerTable, SystemSegment, SystemTable};
use dr_formats::segment_info::SegmentInfo;
use dr_formats::slts::TransactionData;
use dr_formats::table::{TableEntries, TableEntry};

use super::super::Session;
use super::records::{row_fields, storage_fields};
use super::segment::SegmentContent;
use super::sheet::{Fields, Sheet, bytes_shown};
use crate::arguments::TableArguments;

/// An entry, or where the bytes are none.
type ReadEntry<'a> = std::result::Result<TableEntry<'a>, DecodeError>;

/// Newest version and offset of each key.
type Newest<'a> = HashMap<&'a [u8], (i64, u64)>;

/// Shows the entries, those behind damage too.
pub(super) fn run(session: &Session, sheet: &mut Sheet<'_>, arguments: &TableArguments) -> Result<()> {
    let content = SegmentContent::read(session, sheet, &arguments.segment)?;
    let title = Fields::new().with("segment", content.segment.as_str()).with("size", content.bytes.len());
    sheet.title("table", &content.title, &title);
    let mut newest = Newest::new();
    if arguments.newest {
        for_each_entry(&content, |entry| {
            if let Ok(entry) = entry
                && newest.get(entry.key).is_none_or(|known| *known < entry.rank())
            {
                newest.insert(entry.key, entry.rank());
            }
        });
    }
    for_each_entry(&content, |entry| match entry {
        Ok(entry) if arguments.newest && newest.get(entry.key) != Some(&entry.rank()) => {}
        Ok(entry) => show(sheet, &content.segment, &entry, arguments.values),
        Err(error) => sheet.damage(Some(error.offset), &error.to_string()),
    });
    sheet.left_out(content.left_out);
    Ok(())
}

/// Calls `visit` for every entry and every stretch of bytes that are none.
fn for_each_entry<'a>(content: &'a SegmentContent, mut visit: impl FnMut(ReadEntry<'a>)) {
    let mut entries = TableEntries::new(&content.bytes, content.start);
    loop {
        let mut is_broken = false;
        for entry in entries.by_ref() {
            is_broken = entry.is_err();
            visit(entry);
        }
        if entries.torn_bytes() == 0 {
            return;
        }
        if !is_broken {
            let what =
                if content.left_out > 0 { "a whole entry; more bytes were not looked at" } else { "a whole entry" };
            let expected = format!("{what}, {} bytes are left", entries.torn_bytes());
            visit(Err(DecodeError::new("torn table entry", entries.end(), expected)));
        }
        if !entries.resume() {
            return;
        }
    }
}

fn show(sheet: &mut Sheet<'_>, segment: &str, entry: &TableEntry<'_>, with_values: bool) {
    let fields = Fields::new()
        .with("key", bytes_shown(entry.key))
        .with("version", entry.version)
        .with("value_length", entry.value.map(<[u8]>::len));
    let Some(value) = entry.value else {
        return sheet.found(Some(entry.offset), "removal", &fields);
    };
    let fields = if with_values { fields.with("value", bytes_shown(value)) } else { fields };
    sheet.found(Some(entry.offset), "entry", &fields);
    match decoded(segment, entry.key, value) {
        Some(Ok((what, fields))) => sheet.found_inside(1, None, what, &fields),
        Some(Err(error)) => {
            let at = entry.end() - value.len() as u64 + error.offset;
            sheet.damage(Some(at), &format!("value of an entry: {error}"));
        }
        None => {}
    }
}

/// What a value is, and its fields.
type Decoded = std::result::Result<(&'static str, Fields), DecodeError>;

/// The value, where the kind of the segment tells what it is.
fn decoded(segment: &str, key: &[u8], value: &[u8]) -> Option<Decoded> {
    if let Some(SystemSegment { table, attributes: false, .. }) = SystemSegment::parse(segment) {
        return Some(match table {
            SystemTable::ContainerMetadata => SegmentInfo::decode(value).map(|row| ("row", row_fields(&row))),
            SystemTable::StorageMetadata => TransactionData::decode(value).map(|data| match &data.value {
                Some(record) => {
                    let (what, fields) = storage_fields(record);
                    (what, fields.with("record_version", data.version))
                }
                None => ("deleted", Fields::new().with("name", data.key.as_str()).with("record_version", data.version)),
            }),
        });
    }
    let key = std::str::from_utf8(key).ok()?;
    match ControllerTable::parse(segment)? {
        ControllerTable::Cluster { name } if name.starts_with("completedTransactionsBatch-") => {
            Some(CompletedTransaction::decode(value).map(|transaction| {
                let status = format!("{:?}", transaction.status);
                ("completed-transaction", Fields::new().with("completed", transaction.completed).with("status", status))
            }))
        }
        ControllerTable::Scope { name: "streamsInScope" | "kvTablesInScope", .. } => {
            Some(decode_table_id(value).map(|id| ("id", Fields::new().with("id", id.to_string()))))
        }
        ControllerTable::Stream { name: "metadata", .. } => stream_row(key, value),
        ControllerTable::Stream { name, .. } if name.starts_with("transactionsInEpoch-") => {
            Some(ActiveTransaction::decode(value).map(|transaction| {
                let fields = Fields::new()
                    .with("created", transaction.created)
                    .with("lease_expiry", transaction.lease_expiry)
                    .with("maximum_execution_expiry", transaction.maximum_execution_expiry)
                    .with("status", format!("{:?}", transaction.status));
                ("transaction", fields)
            }))
        }
        _ => None,
    }
}

/// A row of the table `metadata` of a stream. Key-value tables have a table of this name too, with other rows.
fn stream_row(key: &str, value: &[u8]) -> Option<Decoded> {
    match key {
        STATE_KEY => {
            Some(StreamState::decode(value).map(|state| ("state", Fields::new().with("state", state.as_str()))))
        }
        CONFIGURATION_KEY => Some(any_configuration(value)),
        COMMITTING_TRANSACTIONS_KEY => Some(CommittingTransactions::decode(value).map(|row| {
            let ids: Vec<String> = row.transactions.iter().map(ToString::to_string).collect();
            ("committing-transactions", Fields::new().with("transactions", ids))
        })),
        "currentEpochRecord" => Some(plain(value, "epoch", 4)),
        "creationTime" => Some(plain(value, "creation-time", 8)),
        _ => None,
    }
}

/// That of a stream, or of a key-value table.
fn any_configuration(value: &[u8]) -> Decoded {
    let of_stream = StreamConfiguration::decode(value).map(|row| ("configuration", configuration(&row)));
    let of_table = |length| ("key-value-table-configuration", Fields::new().with("key_length", length));
    of_stream.or_else(|error| decode_key_length(value).map(of_table).map_err(|_| error))
}

fn plain(value: &[u8], what: &'static str, length: usize) -> Decoded {
    if value.len() != length {
        return Err(DecodeError::new(what, 0, format!("a number of {length} bytes, found {}", value.len())));
    }
    let number = value.iter().fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
    Ok((what, Fields::new().with("value", number)))
}

fn configuration(row: &StreamConfiguration) -> Fields {
    let scaling = row.scaling.map(|policy| format!("{policy:?}"));
    let retention = row.retention.map(|policy| format!("{policy:?}"));
    Fields::new()
        .with("scope", row.scope.as_str())
        .with("stream", row.stream.as_str())
        .with("scaling", scaling)
        .with("retention", retention)
        .with("updating", row.updating)
        .with("timestamp_aggregation_timeout", row.timestamp_aggregation_timeout)
        .with("tags", row.tags.clone())
        .with("rollover_size", row.rollover_size)
}

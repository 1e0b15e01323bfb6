//! `dr inspect ledger-metadata`: what BookKeeper's ZNode of a ledger says.

use dr_engine::error::Result;
use dr_formats::ledger_metadata::{LedgerMetadata, LedgerState, RawContent, raw_fields};

use super::object::Object;
use super::sheet::{Fields, Sheet, bytes_shown};
use crate::arguments::LedgerMetadataArguments;

/// Shows a file that holds the data of the ZNode.
pub(super) fn run(sheet: &mut Sheet<'_>, arguments: &LedgerMetadataArguments) -> Result<()> {
    let object = Object::read(&arguments.file, &arguments.object)?;
    sheet.title("ledger-metadata", &object.name, &Fields::new().with("size", object.bytes.len()));
    show(sheet, &object.bytes);
    sheet.left_out(object.left_out);
    Ok(())
}

/// Shows the metadata, or field by field what can be read of damaged ones.
pub(super) fn show(sheet: &mut Sheet<'_>, data: &[u8]) {
    let metadata = match LedgerMetadata::decode(data) {
        Ok(metadata) => metadata,
        Err(error) => return show_damaged(sheet, data, &error.to_string()),
    };
    let (state, last_entry, length) = match metadata.state {
        LedgerState::Open => ("open", None, None),
        LedgerState::InRecovery => ("in-recovery", None, None),
        LedgerState::Closed { last_entry, length } => ("closed", Some(last_entry), Some(length)),
    };
    let digest_type = metadata.security.as_ref().map(|security| format!("{:?}", security.digest_type));
    let fields = Fields::new()
        .with("state", state)
        .with("last_entry", last_entry)
        .with("length", length)
        .with("ensemble_size", metadata.ensemble_size)
        .with("write_quorum", metadata.write_quorum)
        .with("ack_quorum", metadata.ack_quorum)
        .with("digest_type", digest_type)
        .with("password", metadata.security.as_ref().map(|_| "not shown"))
        .with("creation_time", metadata.creation_time)
        .with("creation_token", metadata.creation_token);
    sheet.found(Some(0), "ledger", &fields);
    for ensemble in &metadata.ensembles {
        let fields = Fields::new().with("first_entry", ensemble.first_entry).with("bookies", ensemble.bookies.clone());
        sheet.found_inside(1, None, "ensemble", &fields);
    }
    for (key, value) in &metadata.custom_metadata {
        let fields = Fields::new().with("key", key.as_str()).with("value", bytes_shown(value));
        sheet.found_inside(1, None, "custom-metadata", &fields);
    }
}

fn show_damaged(sheet: &mut Sheet<'_>, data: &[u8], reason: &str) {
    let (fields, damage) = raw_fields(data);
    let offset = damage.as_ref().map(|damage| damage.offset);
    let reason = damage.map_or_else(|| reason.to_owned(), |damage| damage.to_string());
    for field in fields {
        let content = match field.content {
            RawContent::Bytes(_) if field.name == Some("password") => "not shown".into(),
            RawContent::Bytes(bytes) => serde_json::Value::from(bytes_shown(bytes)),
            RawContent::Number(number) => number.into(),
        };
        let name = field.name.unwrap_or("unknown-field");
        sheet.found(Some(field.offset), name, &Fields::new().with("number", field.number).with("value", content));
    }
    sheet.damage(offset.or(Some(0)), &reason);
}

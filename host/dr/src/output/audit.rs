//! A journal for people: a line for each of its lines, then whether it is whole.

use std::fmt::Write as _;

use dr_engine::journal::{Audit, AuditedLine};
use serde_json::Value;

use super::text::{Colour, counted, shown};
use super::time;

/// Longest list that is shown whole.
const LIST_MAX: usize = 8;

/// The journal, and what is wrong with it.
pub(crate) fn render(audit: &Audit, colour: Colour) -> String {
    let mut text = String::new();
    for line in &audit.lines {
        let _ = writeln!(text, "{}", line_of(line));
    }
    for broken in &audit.breaks {
        let _ = writeln!(text, "{} {}", colour.red("BROKEN"), shown(&broken.to_string()));
    }
    let lines = counted(audit.lines.len() as u64, "line", "lines");
    let verdict = if audit.breaks.is_empty() {
        colour.green(&format!("The journal is whole: {lines}."))
    } else {
        colour.red(&format!("The journal is not what dr wrote: {lines}, the chain is broken."))
    };
    let _ = writeln!(text, "\n{verdict}");
    if audit.torn_bytes > 0 {
        let _ = writeln!(text, "Behind them stand {} bytes of a line that was never finished.", audit.torn_bytes);
    }
    if let Some(command) = audit.unfinished() {
        let _ = writeln!(text, "The last command, {command}, has no end: it runs, or it was interrupted.");
    }
    text
}

fn line_of(line: &AuditedLine) -> String {
    let moment = time::moment(line.unix_milliseconds);
    let entry = serde_json::to_value(&line.entry).unwrap_or_default();
    let event = entry.get("event").and_then(Value::as_str).unwrap_or_default();
    let mut text = format!("{:>6}  {moment}  {event:<17}", line.number);
    for (name, value) in entry.as_object().into_iter().flatten().filter(|(name, _)| *name != "event") {
        let _ = write!(text, " {name}={}", shown(&in_short(value)));
    }
    text
}

fn in_short(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) if list.len() > LIST_MAX => format!("({})", list.len()),
        Value::Object(process) if process.contains_key("pid") => {
            format!("{}@{}", process["pid"], process.get("host").and_then(Value::as_str).unwrap_or_default())
        }
        other => other.to_string(),
    }
}

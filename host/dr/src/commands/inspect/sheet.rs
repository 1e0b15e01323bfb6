//! What an inspection writes: one line or event for each thing found, damage with its offset, and what was left out.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::exit_code::ExitCode;
use crate::output::Console;
use crate::output::json::Event;
use crate::output::text::{counted, shown};

/// Bytes of a value that are shown.
const BYTES_SHOWN: usize = 64;

/// Names and values in the order in which they are shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    /// No fields yet.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// The same with one more.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.push((name, value.into()));
        self
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

/// Something that was found.
#[derive(Debug, Serialize)]
pub(crate) struct FoundEvent<'a> {
    what: &'a str,
    /// In the object or segment; none where bytes have no place of their own.
    offset: Option<u64>,
    /// How deep it lies in what was found before it.
    level: usize,
    fields: &'a Fields,
}

/// Something that cannot be read.
#[derive(Debug, Serialize)]
pub(crate) struct DamageEvent<'a> {
    offset: Option<u64>,
    reason: &'a str,
}

/// The end of an inspection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct InspectedEvent {
    /// Things shown.
    shown: u64,
    /// Things left out because of the limit.
    left_out: u64,
    /// Bytes that were not looked at.
    bytes_left_out: u64,
    /// Damaged parts, shown or not.
    damaged: u64,
}

/// Writes what is found.
pub(super) struct Sheet<'a> {
    console: &'a Console,
    limit: u64,
    total: InspectedEvent,
}

impl<'a> Sheet<'a> {
    /// Shows at most `limit` things, 0 for all, and as many damaged parts.
    pub(super) fn new(console: &'a Console, limit: u64) -> Self {
        let limit = if limit == 0 { u64::MAX } else { limit };
        Self { console, limit, total: InspectedEvent::default() }
    }

    /// What is being looked at.
    pub(super) fn title(&self, kind: &str, object: &str, fields: &Fields) {
        self.console.event(Event::Inspecting { kind, object, fields });
        self.console.text(&format!("{kind} {}{}\n", shown(object), text_of(fields)));
    }

    /// Something was found.
    pub(super) fn found(&mut self, offset: Option<u64>, what: &str, fields: &Fields) {
        self.found_inside(0, offset, what, fields);
    }

    /// Something was found inside of what was found before.
    pub(super) fn found_inside(&mut self, level: usize, offset: Option<u64>, what: &str, fields: &Fields) {
        if self.total.shown >= self.limit {
            self.total.left_out += 1;
            return;
        }
        self.total.shown += 1;
        self.console.event(Event::Found(FoundEvent { what, offset, level, fields }));
        let (place, indent) = (place(offset), "  ".repeat(level));
        let width = 22_usize.saturating_sub(indent.len());
        let line = format!("{place:>14}  {indent}{what:<width$}{}", text_of(fields));
        self.console.text(&format!("{}\n", line.trim_end()));
    }

    /// Something cannot be read.
    pub(super) fn damage(&mut self, offset: Option<u64>, reason: &str) {
        self.total.damaged += 1;
        if self.total.damaged > self.limit {
            return;
        }
        self.console.event(Event::Damage(DamageEvent { offset, reason }));
        let mark = self.console.colour().red("DAMAGED");
        self.console.text(&format!("{:>14}  {mark} {}\n", place(offset), shown(reason)));
    }

    /// Bytes at the end were not looked at.
    pub(super) fn left_out(&mut self, bytes: u64) {
        self.total.bytes_left_out += bytes;
    }

    /// The last line, and how the command ends.
    pub(super) fn finish(self) -> ExitCode {
        let total = self.total;
        self.console.event(Event::Inspected(total));
        let mut text = format!("{} shown", total.shown);
        if total.left_out > 0 {
            text += &format!(", {} left out (--limit)", total.left_out);
        }
        if total.bytes_left_out > 0 {
            text += &format!(", {} not looked at (--max-bytes)", counted(total.bytes_left_out, "byte", "bytes"));
        }
        text += &match total.damaged {
            0 => ", no damage\n".to_owned(),
            damaged => format!(", {}\n", counted(damaged, "damaged part", "damaged parts")),
        };
        self.console.text(&text);
        if total.damaged > 0 { ExitCode::Problems } else { ExitCode::Done }
    }
}

fn place(offset: Option<u64>) -> String {
    offset.map_or_else(String::new, |offset| offset.to_string())
}

fn text_of(fields: &Fields) -> String {
    let field = |(name, value): &(&str, Value)| match value {
        Value::String(text) => format!("  {name}={}", shown(text)),
        other => format!("  {name}={other}"),
    };
    fields.0.iter().filter(|(_, value)| !value.is_null()).map(field).collect()
}

/// Bytes for people: the text, if they are one, else their hexadecimal digits; long ones are cut.
pub(super) fn bytes_shown(bytes: &[u8]) -> String {
    let is_text = |text: &&str| !text.chars().any(char::is_control);
    match std::str::from_utf8(bytes).ok().filter(is_text) {
        Some(text) => text.to_owned(),
        None => hexadecimal(bytes),
    }
}

/// Hexadecimal digits; of long ones the first, and how many follow.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    let shown = bytes.get(..BYTES_SHOWN).unwrap_or(bytes);
    let digits: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    match bytes.len() - shown.len() {
        0 => format!("0x{digits}"),
        more => format!("0x{digits}... and {more} bytes more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_text_or_digits() {
        assert_eq!(bytes_shown("scope/é".as_bytes()), "scope/é");
        assert_eq!(bytes_shown(&[0, 255]), "0x00ff");
        assert_eq!(hexadecimal(&[1; 66]), format!("0x{}... and 2 bytes more", "01".repeat(64)));
    }

    #[test]
    fn fields_keep_their_order_and_leave_out_nothing_in_json() {
        let fields = Fields::new().with("b", 1).with("a", Value::Null).with("text", "x\n");
        assert_eq!(serde_json::to_string(&fields).unwrap(), r#"{"b":1,"a":null,"text":"x\n"}"#);
        assert_eq!(text_of(&fields), "  b=1  text=x\\n");
    }
}

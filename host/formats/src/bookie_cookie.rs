//! Cookies of bookies: the file `VERSION` of every directory, and the same bytes in ZooKeeper (`Cookie` and
//! `CookieFormat` of BookKeeper).
//!
//! The first line is the version of the layout. Layout 4 is a protobuf message in text form, one field a line; layout 3 has
//! the fields on bare lines, and some versions of BookKeeper say 4 before those. A bookie starts only if ZooKeeper holds its
//! cookie byte for byte, so whoever copies one copies bytes and does not encode this value anew.

use crate::error::DecodeError;

/// Longest cookie that is decoded, in bytes.
pub const COOKIE_MAX_BYTES: usize = 64 << 10;
const OLDEST_LAYOUT: u32 = 3;
const NEWEST_LAYOUT: u32 = 5;
const WHAT: &str = "bookie cookie";

/// Who a bookie is, and which directories it has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cookie {
    /// Version of the layout.
    pub layout: u32,
    /// Its id: an address, or the name that it was given.
    pub bookie_id: String,
    /// Directories of journals.
    pub journal_directories: Vec<String>,
    /// Directories of entry logs, in the order of the configuration.
    pub ledger_directories: Vec<String>,
    /// Directories of indexes, where the bookie's version says them.
    pub index_directories: Vec<String>,
    /// Instance of the cluster; none if the cluster had none when the bookie first started.
    pub instance_id: Option<String>,
}

impl Cookie {
    /// Decodes a cookie.
    ///
    /// # Errors
    /// If the bytes are longer than [`COOKIE_MAX_BYTES`], no text, of another layout, or lack the bookie's id.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > COOKIE_MAX_BYTES {
            return Err(DecodeError::new(WHAT, 0, format!("at most {COOKIE_MAX_BYTES} bytes, found {}", bytes.len())));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|error| DecodeError::new(WHAT, error.valid_up_to() as u64, "UTF-8 text"))?;
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        let layout =
            first.trim().parse().ok().filter(|layout| (OLDEST_LAYOUT..=NEWEST_LAYOUT).contains(layout)).ok_or_else(
                || {
                    let expected =
                        format!("the number of a layout, {OLDEST_LAYOUT} to {NEWEST_LAYOUT}, on the first line");
                    DecodeError::new(WHAT, 0, expected)
                },
            )?;
        let base = first.len() + 1;
        let named = layout > OLDEST_LAYOUT && rest.lines().next().is_some_and(|line| field(line).is_some());
        let cookie = if named { Self::read_fields(layout, rest, base)? } else { Self::read_lines(layout, rest) };
        if cookie.bookie_id.is_empty() {
            return Err(DecodeError::new(WHAT, base as u64, "the id of a bookie"));
        }
        Ok(cookie)
    }

    fn read_lines(layout: u32, text: &str) -> Self {
        let mut lines = text.lines().map(str::to_owned);
        let bookie_id = lines.next().unwrap_or_default();
        let journal_directories = journals(&lines.next().unwrap_or_default());
        let ledger_directories = directories(&lines.next().unwrap_or_default());
        Self { layout, bookie_id, journal_directories, ledger_directories, ..Self::default() }
    }

    fn read_fields(layout: u32, text: &str, base: usize) -> Result<Self, DecodeError> {
        let mut cookie = Self { layout, ..Self::default() };
        let mut offset = base;
        for line in text.split_inclusive('\n') {
            if !line.trim().is_empty() {
                let (name, value) = field(line)
                    .and_then(|(name, value)| Some((name, unescape(value)?)))
                    .ok_or_else(|| DecodeError::new(WHAT, offset as u64, "a field of the form name: \"value\""))?;
                match name {
                    "bookieHost" => cookie.bookie_id = value,
                    "journalDir" => cookie.journal_directories = journals(&value),
                    "ledgerDirs" => cookie.ledger_directories = directories(&value),
                    "indexDirs" => cookie.index_directories = directories(&value),
                    "instanceId" => cookie.instance_id = Some(value),
                    // A field of a later version changes nothing of the others.
                    _ => {}
                }
            }
            offset += line.len();
        }
        Ok(cookie)
    }
}

/// Name and quoted value of a line.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
    Some((name.trim(), value))
}

/// Several journals are joined by commas.
fn journals(value: &str) -> Vec<String> {
    value.split(',').filter(|path| !path.is_empty()).map(str::to_owned).collect()
}

/// The number of directories, then the directories, all joined by tabs.
fn directories(value: &str) -> Vec<String> {
    value.split('\t').skip(1).map(str::to_owned).collect()
}

/// Undoes the escapes of protobuf's text form; none for one that is not known, or bytes that are no text.
fn unescape(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next()? {
            b'n' => bytes.push(b'\n'),
            b't' => bytes.push(b'\t'),
            b'r' => bytes.push(b'\r'),
            other @ (b'"' | b'\'' | b'\\') => bytes.push(other),
            digit @ b'0'..=b'7' => {
                let mut number = u32::from(digit - b'0');
                for _ in 0..2 {
                    let Some(digit) = rest.next_if(|digit| (b'0'..=b'7').contains(digit)) else { break };
                    number = number * 8 + u32::from(digit - b'0');
                }
                bytes.push(u8::try_from(number).ok()?);
            }
            _ => return None,
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;

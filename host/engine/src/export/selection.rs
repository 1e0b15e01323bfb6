//! Which segments are meant.

use dr_formats::names::{StreamSegment, main_segment_of, transaction_id};

use crate::error::{OperatorError, Result};

/// A stream, or some segments of it: `scope/stream`, `scope/stream/3`, `scope/stream/3.#epoch.1`, also with the id of a
/// transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    scope: String,
    stream: String,
    segment: Option<String>,
}

impl Selection {
    /// Takes an argument apart.
    ///
    /// # Errors
    /// `stream-name`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let (scope, stream, segment) = (parts.next(), parts.next(), parts.next());
        let is_name = |part: &String| !part.is_empty() && !part.contains('/');
        match (scope, stream) {
            (Some(scope), Some(stream))
                if [Some(&scope), Some(&stream), segment.as_ref()].iter().flatten().all(|part| is_name(part)) =>
            {
                Ok(Self { scope, stream, segment })
            }
            _ => Err(OperatorError::new(
                "stream-name",
                format!("`{text}` names no stream and no segment"),
                "give SCOPE/STREAM, SCOPE/STREAM/NUMBER or the whole name of a segment, such as alpha/orders/0.#epoch.0",
            )),
        }
    }

    /// What the keys of all its objects begin with.
    pub fn prefix(&self) -> String {
        format!("{}/{}/", self.scope, self.stream)
    }

    /// True for a segment that is meant.
    pub(super) fn includes(&self, name: &str) -> bool {
        let Some(segment) = name.strip_prefix(&self.prefix()).filter(|_| main_segment_of(name).is_none()) else {
            return false;
        };
        match &self.segment {
            None => true,
            Some(wanted) if wanted.bytes().all(|byte| byte.is_ascii_digit()) => {
                number_and_epoch(name).is_some_and(|(number, _)| wanted.parse() == Ok(number))
            }
            Some(wanted) => wanted == segment,
        }
    }

    /// True if this one segment was asked for by its whole name.
    pub(super) fn names(&self, name: &str) -> bool {
        self.segment.as_ref().is_some_and(|segment| name.strip_prefix(&self.prefix()) == Some(segment))
    }
}

impl std::fmt::Display for Selection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.scope, self.stream)?;
        self.segment.iter().try_for_each(|segment| write!(formatter, "/{segment}"))
    }
}

/// Number and stream epoch of a segment, or of the segment that a transaction belongs to.
pub(super) fn number_and_epoch(name: &str) -> Option<(u64, u64)> {
    let parent = parent_of_transaction(name).unwrap_or(name);
    StreamSegment::parse(parent).map(|segment| (segment.number, segment.epoch.unwrap_or(0)))
}

/// The segment that a transaction belongs to by its name; none for other segments.
pub(super) fn parent_of_transaction(name: &str) -> Option<&str> {
    transaction_id(name).and_then(|_| dr_formats::names::parent_segment_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRANSACTION: &str = "a/s/1.#epoch.2#transaction.00000000000000000000000000000005";

    #[test]
    fn a_stream_a_number_and_a_whole_name() {
        let meant = |text: &str, name: &str| Selection::parse(text).unwrap().includes(name);
        for name in ["a/s/1.#epoch.2", "a/s/1", TRANSACTION] {
            assert!(meant("a/s", name) && meant("a/s/1", name), "{name}");
        }
        assert!(meant("a/s/1.#epoch.2", "a/s/1.#epoch.2") && meant(TRANSACTION, TRANSACTION));
        for (text, name) in [
            ("a/s", "a/s2/1.#epoch.2"),
            ("a/s", "a/s/1.#epoch.2$attributes.index"),
            ("a/s/1", "a/s/11.#epoch.2"),
            ("a/s/1.#epoch.2", TRANSACTION),
        ] {
            assert!(!meant(text, name), "{text} {name}");
        }
        assert!(Selection::parse(TRANSACTION).unwrap().names(TRANSACTION));
        assert!(!Selection::parse("a/s/1").unwrap().names("a/s/1.#epoch.2"));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "a", "a/", "/s", "a//1", "a/s/", "a/s/1/2"] {
            assert_eq!(Selection::parse(text).unwrap_err().code, "stream-name", "{text}");
        }
        assert_eq!(Selection::parse("a/s/1").unwrap().to_string(), "a/s/1");
    }
}

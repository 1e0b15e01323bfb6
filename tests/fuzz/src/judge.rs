//! Running a check on one input and judging what happened.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

use crate::decoder::{Decoder, Outcome};

/// Bytes that a check may have allocated at one time, whatever the input.
pub const ALLOCATION_BASE: u64 = 1 << 20;
/// Bytes more that it may have allocated for each byte of the input. The check holds the decoded value, its encoding and
/// the value decoded from that.
pub const ALLOCATION_FACTOR: u64 = 64;

/// What went wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Defect {
    /// A panic of the decoder, or a broken assertion of the check.
    Panic {
        /// File and line.
        place: String,
        /// What the panic said.
        message: String,
    },
    /// More memory at one time than the input justifies.
    Allocation {
        /// The most bytes at one time.
        peak: u64,
    },
    /// It did not end within the limit of the watch-dog.
    Endless,
}

impl Defect {
    /// Whether two defects are probably the same one.
    pub fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Panic { place: one, .. }, Self::Panic { place: other, .. }) => one == other,
            (Self::Allocation { .. }, Self::Allocation { .. }) | (Self::Endless, Self::Endless) => true,
            _ => false,
        }
    }
}

impl std::fmt::Display for Defect {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Panic { place, message } => write!(formatter, "panic at {place}: {message}"),
            Self::Allocation { peak } => write!(formatter, "{peak} bytes allocated at one time"),
            Self::Endless => write!(formatter, "does not end"),
        }
    }
}

thread_local! {
    /// The last panic of a check that this thread runs; none while it runs none, then panics are shown as usual.
    static CAUGHT: RefCell<Option<Option<Defect>>> = const { RefCell::new(None) };
}

/// Makes panics inside [`judge`] silent. To be called once before it.
pub fn catch_quietly() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let place = info.location().map_or_else(String::new, |place| format!("{}:{}", place.file(), place.line()));
            let message = message_of(info.payload());
            let judging = CAUGHT.with_borrow_mut(|caught| {
                let judging = caught.is_some();
                if judging {
                    *caught = Some(Some(Defect::Panic { place, message }));
                }
                judging
            });
            if !judging {
                usual(info);
            }
        }));
    });
}

fn message_of(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no message");
    // A decoded value may be long, and its text more so.
    text.chars().take(500).collect()
}

/// Runs the check on the input.
///
/// # Errors
/// What went wrong.
pub fn judge(decoder: &Decoder, input: &[u8]) -> Result<Outcome, Defect> {
    CAUGHT.set(Some(None));
    let mut result = None;
    let memory = allocation_counter::measure(|| {
        result = panic::catch_unwind(AssertUnwindSafe(|| (decoder.check)(input))).ok();
    });
    let caught = CAUGHT.take().flatten();
    let limit = ALLOCATION_BASE + ALLOCATION_FACTOR * input.len() as u64;
    match result {
        Some(_) if memory.bytes_max > limit => Err(Defect::Allocation { peak: memory.bytes_max }),
        Some(outcome) => Ok(outcome),
        None => Err(caught.unwrap_or(Defect::Panic { place: String::new(), message: "no message".to_owned() })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoder(check: fn(&[u8]) -> Outcome) -> Decoder {
        Decoder { name: "test", covers: &[], seeds: |_| Vec::new(), mend: None, check }
    }

    #[test]
    fn a_panic_is_a_defect() {
        catch_quietly();
        let index = decoder(|input| if input[input.len()] == 0 { Outcome::Accepted } else { Outcome::Refused });
        let defect = judge(&index, &[1, 2]).unwrap_err();
        assert!(matches!(&defect, Defect::Panic { place, .. } if place.contains("judge.rs")), "{defect}");
    }

    #[test]
    fn overflow_is_a_panic_in_every_profile_that_tests_run_in() {
        catch_quietly();
        let add = decoder(|input| if input[0] + 1 == 0 { Outcome::Accepted } else { Outcome::Refused });
        assert!(judge(&add, &[255]).is_err());
        assert_eq!(judge(&add, &[254]), Ok(Outcome::Refused));
    }

    #[test]
    fn memory_out_of_proportion_is_a_defect() {
        catch_quietly();
        let allocate = decoder(|input| {
            let bytes = vec![1u8; usize::from(input[0]) << 20];
            if bytes.len() > 1 { Outcome::Accepted } else { Outcome::Refused }
        });
        assert_eq!(judge(&allocate, &[0]), Ok(Outcome::Refused));
        assert!(matches!(judge(&allocate, &[2]), Err(Defect::Allocation { peak }) if peak >= 2 << 20));
    }
}

//! The calls that a procedure makes, written down: one representation for recordings, replays and tests.
//!
//! A [`Relay`] is a host that stands before another one and shows each call, and its answer, to an [`Exchange`]. A
//! [`RecordingWriter`] writes them to a file, a [`Recorder`] keeps them as values; a [`Replayer`] answers them from a
//! [`Recording`], with no host behind; [`exhaust`] fails one call after the other. What the calls of a run
//! staged is told by [`Effects`].

mod call;
mod effects;
mod faults;
mod file;
mod recorder;
mod relay;
mod replay;
mod writer;

pub use call::{Answer, CALLS, Call, Numbered, case, in_words, outcome};
pub use effects::{CreatedSegment, Effects, MovedObjects, RenewedSegment, ZNodeChange, ZNodeEffect};
pub use faults::{Broken, Exhausted, exhaust};
pub use file::{FORMAT_VERSION, Head, Recording, RecordingError};
pub use recorder::Recorder;
pub use relay::{Exchange, Relay};
pub use replay::{Difference, Replayer, replay};
pub use writer::{RecordingWriter, WrittenRecording};

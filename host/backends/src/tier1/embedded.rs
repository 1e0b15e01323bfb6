//! Tier-1 in a directory: for demonstrations, rehearsals and review without servers.
//!
//! ```text
//! PATH/znodes/<part>/<part>/…/.znode      a ZNode: a line `version N`, then its content, raw
//! PATH/znodes/…/.sequence                 decimal: the next number of a sequential child of that ZNode
//! PATH/ledgers/<id, 10 digits>            entries as bookies get them, each after its length (4 bytes, big-endian)
//! PATH/lock                               held while something changes, so that several processes may share PATH
//! ```
//!
//! A directory without a `.znode` is no ZNode: something was interrupted there. In names, every byte that is not an ASCII
//! letter or digit or one of `_-+=:@,~` (or a `.` after the first place) is written `%XX`, so that base64 and `%` survive
//! and no name can be `..` or collide with the files above. Ledger metadata are ZNodes, as in ZooKeeper.
//!
//! Every change is written to a temporary name, synced, then renamed; directories are synced too.

mod ledgers;
mod names;
mod znodes;

pub use ledgers::EmbeddedLedgers;
pub use znodes::EmbeddedZNodes;

use std::io;
use std::path::Path;

use super::Tier1Error;

fn io_error(path: &Path, action: &'static str, source: io::Error) -> Tier1Error {
    Tier1Error::Io { location: path.display().to_string(), action, source }
}

//! What the runbook asks on its way, and what the operator set.

use dr_guest_kit::parameters::{Choice, Text, Typed as _};
use dr_guest_kit::storage::{Measurement, Segment};
use dr_guest_kit::{ContainerId, Parameter, Result, Settings};

use crate::decisions::{self, Fate};

const TAIL: Choice<bool> = Choice {
    name: "tail",
    choices: &[("whole-events", true), ("as-is", false)],
    help: "What to do with a last event that is only half there: cut it off, or keep its bytes as they are.",
};
const UNRECORDED: Choice<bool> = Choice {
    name: "unrecorded",
    choices: &[("report", false), ("create", true)],
    help: "Objects that no metadata names: report them as lost, or create segments from them.",
};
const LEFTOVERS: Choice<bool> = Choice {
    name: "leftovers",
    choices: &[("move-aside", true), ("leave", false)],
    help: "Objects that no segment needs any more: move them to the backup place, or leave them where they are.",
};
const READER_GROUPS: Choice<bool> = Choice {
    name: "reader-groups",
    choices: &[("renew", true), ("as-is", false)],
    help: "The state of reader groups: let it begin anew at the newest offsets that are left, without readers, or keep its bytes as they are.",
};
const OPEN_TRANSACTIONS: Choice<bool> = Choice {
    name: "open-transactions",
    choices: &[("abort", true), ("as-is", false)],
    help: "Transactions under way: end them, as committed if their commit had begun and else as aborted, or leave them as they are.",
};
const BACKUP_PLACE: Text = Text {
    name: "backup-place",
    default: "_dr/moved-aside",
    help: "Where in Tier-2 the old container metadata is moved to; below `_dr/`.",
};

/// The parameters that [`Rules`] are made from.
#[must_use]
pub fn parameters() -> [Parameter; 6] {
    [
        TAIL.parameter(),
        UNRECORDED.parameter(),
        LEFTOVERS.parameter(),
        READER_GROUPS.parameter(),
        OPEN_TRANSACTIONS.parameter(),
        BACKUP_PLACE.parameter(),
    ]
}

/// The same without `open-transactions`, for a procedure that leaves transactions to the controller.
pub fn parameters_without_transactions() -> impl Iterator<Item = Parameter> {
    parameters().into_iter().filter(|parameter| parameter.name != OPEN_TRANSACTIONS.name)
}

/// What the operator set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// Cut events that are only half there.
    pub whole_events: bool,
    /// Create segments that no metadata names.
    pub create_unrecorded: bool,
    /// Move objects that no segment needs out of the way.
    pub move_leftovers: bool,
    /// Let reader groups begin anew, without readers.
    pub renew_reader_groups: bool,
    /// End the transactions that were under way.
    pub end_transactions: bool,
    /// Where old metadata goes.
    pub backup_place: String,
}

impl Rules {
    /// From the settings of a procedure that describes [`parameters`].
    ///
    /// # Errors
    /// `failed` if it does not describe all of them.
    pub fn from_settings(settings: &Settings) -> Result<Self> {
        let end_transactions = settings.get(&OPEN_TRANSACTIONS)?;
        Ok(Self { end_transactions, ..Self::without_transactions(settings)? })
    }

    /// From the settings of a procedure that describes [`parameters_without_transactions`]: those under way are left as they are.
    ///
    /// # Errors
    /// `failed` if it does not describe all of them.
    pub fn without_transactions(settings: &Settings) -> Result<Self> {
        Ok(Self {
            whole_events: settings.get(&TAIL)?,
            create_unrecorded: settings.get(&UNRECORDED)?,
            move_leftovers: settings.get(&LEFTOVERS)?,
            renew_reader_groups: settings.get(&READER_GROUPS)?,
            end_transactions: false,
            backup_place: settings.get(&BACKUP_PLACE)?.trim_end_matches('/').to_owned(),
        })
    }
}

/// What the runbook asks on its way. Every question has an answer, that of `total-loss`; a policy of one's own says what the
/// operator set, and answers the questions that it decides otherwise.
pub trait Policy {
    /// What the operator set.
    fn rules(&self) -> &Rules;

    /// What becomes of a segment.
    fn fate(&self, segment: &Segment) -> Fate {
        decisions::fate(segment, self.rules())
    }

    /// How many bytes of a segment to keep; none measured if its end cannot be torn.
    fn kept_length(&self, segment: &Segment, measured: Option<&Measurement>) -> u64 {
        decisions::kept_length(segment, measured)
    }

    /// Where the old metadata of a container goes, in Tier-2 below `_dr/`. The highest epoch in the name keeps the backups of
    /// several disasters apart.
    fn metadata_place(&self, container: ContainerId, epoch: u64) -> String {
        format!("{}/container-{container}.epoch-{epoch}", self.rules().backup_place)
    }

    /// Where objects go that no segment needs any more.
    fn leftovers_place(&self, container: ContainerId, epoch: u64) -> String {
        format!("{}.leftovers", self.metadata_place(container, epoch))
    }
}

impl Policy for Rules {
    fn rules(&self) -> &Rules {
        self
    }
}

//! What the process returns; documented in `docs/exit-codes.md`. The numbers are kept for ever.

use std::process;

use dr_engine::error::OperatorError;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum ExitCode {
    /// All done, nothing lost.
    Done = 0,
    /// Something failed; the error tells whether to try again.
    Failed = 1,
    /// Arguments or configuration are wrong.
    Usage = 2,
    /// Refused before anything was changed.
    Refused = 3,
    /// Done, but Tier-2 does not hold everything that was there, or would not.
    Losses = 4,
    /// Tier-1 and Tier-2 do not fit.
    Problems = 5,
    /// Ended by Ctrl-C while a plan was carried out. The process really ends by the signal, which a shell tells by 128 and its number.
    Interrupted = 130,
}

impl ExitCode {
    /// The code for an error.
    pub(crate) fn of(error: &OperatorError) -> Self {
        match error.code {
            code if code.starts_with("configuration-") => Self::Usage,
            "root-missing"
            | "root-wrong"
            | "tier2-empty"
            | "tier2-not-pravega"
            | "tier1-absent"
            | "container-unknown"
            | "object-unreadable"
            | "procedure-unreadable"
            | "procedure-invalid"
            | "recording-unreadable"
            | "scenario-unreadable"
            | "scenario-invalid"
            | "scenario-tree"
            | "procedure-missing"
            | "procedure-name"
            | "procedure-ambiguous"
            | "procedure-directory"
            | "key-unreadable"
            | "cache-unusable"
            | "policy-unreadable"
            | "policy-invalid"
            | "ledger-password"
            | "registry-reference"
            | "registry-certificates"
            | "registry-missing"
            | "plan-unreadable"
            | "journal-missing"
            | "journal-broken"
            | "loss-report-unreadable"
            | "stream-name"
            | "stream-missing"
            | "export-directory"
            | "bookie-disk-absent"
            | "bookie-disk-unknown"
            | "bookie-disk-twice"
            | "bookie-lost-twice"
            | "bookie-not-lost"
            | "bookie-unaccounted"
            | "survey-unreadable"
            | "surveys-twice" => Self::Usage,
            "live-cluster"
            | "log-exists"
            | "recovered-already"
            | "inside-tier2"
            | "metadata-missing"
            | "recovery-in-progress"
            | "lock-held"
            | "damage-not-accepted"
            | "plan-elsewhere"
            | "plan-only-reports"
            | "rolled-back"
            | "nothing-applied"
            | "store-booted"
            | "evidence-changed"
            | "container-count"
            | "rolling-layout"
            | "newer-version"
            | "run-directory"
            | "group-file-exists"
            | "procedure-changed"
            | "procedure-mislabelled"
            | "procedure-not-granted"
            | "procedure-registered"
            | "procedure-file-exists"
            | "procedure-unsigned"
            | "procedure-untrusted"
            | "procedure-signature-wrong"
            | "key-exposed"
            | "key-exists"
            | "registry-occupied"
            | "registry-artifact"
            | "registry-digest"
            | "not-events"
            | "export-exists"
            | "recording-exists"
            | "bookie-disks-mixed"
            | "cookie-differs"
            | "instance-differs"
            | "bookie-running"
            | "survey-exists"
            | "surveys-mixed"
            | "not-confirmed"
            | "no-terminal" => Self::Refused,
            "interrupted" => Self::Interrupted,
            "verification-failed" | "restore-incomplete" | "replay-differs" => Self::Problems,
            _ => Self::Failed,
        }
    }

    /// The number.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        process::ExitCode::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_codes() {
        let of = |code| ExitCode::of(&OperatorError::new(code, "", ""));
        assert_eq!(of("configuration-missing"), ExitCode::Usage);
        assert_eq!(of("live-cluster"), ExitCode::Refused);
        assert_eq!(of("recovered-already"), ExitCode::Refused);
        assert_eq!(of("tier1-unavailable"), ExitCode::Failed);
        assert_eq!(of("verification-failed"), ExitCode::Problems);
    }
    #[test]
    fn the_documented_numbers_are_those_returned() {
        let documented = include_str!("../../../docs/errors.md");
        let mut rows = 0;
        for row in documented.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
            let number: u8 = cells[cells.len() - 1].trim().parse().unwrap();
            for code in cells[0].split(',') {
                let code: &'static str = code.trim().trim_matches('`');
                assert_eq!(ExitCode::of(&OperatorError::new(code, "", "")).number(), number, "{code}");
                rows += 1;
            }
        }
        assert!(rows > 50);
    }
}

//! What the checker says.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Context, LabError, Result};

/// One check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at, such as `events beta/scaled`.
    pub name: String,
    /// Whether it is as recorded.
    pub ok: bool,
    /// Figures, or what differs.
    pub detail: String,
}

/// All checks of one run of the checker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// In the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// True if at least one check was made and none failed.
    pub fn all_ok(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.ok)
    }

    /// The failed checks.
    pub fn failures(&self) -> Vec<&Check> {
        self.checks.iter().filter(|check| !check.ok).collect()
    }

    /// The check of this name.
    pub fn check(&self, name: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == name)
    }

    /// Turns failed checks (or a report without checks) into an error.
    ///
    /// # Errors
    /// [`LabError::ChecksFailed`] with a line per failure.
    pub fn require_all_ok(&self) -> Result<()> {
        if self.all_ok() {
            return Ok(());
        }
        let mut list = String::new();
        for check in self.failures() {
            // Writing to a string cannot fail.
            let _ = writeln!(list, "  {}: {}", check.name, check.detail);
        }
        Err(LabError::ChecksFailed { failed: self.failures().len(), total: self.checks.len(), list })
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).context("read the report", path)?;
        serde_json::from_str(&text)
            .map_err(|error| LabError::State { path: path.to_path_buf(), reason: error.to_string() })
    }
}

/// What a load had acknowledged, and what came back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadReport {
    /// Integrity: order, gaps, torn or foreign events, tables. Loss at the end of a key is not a failure here.
    pub checks: Vec<Check>,
    /// Events acknowledged before the kill.
    pub acknowledged_events: u64,
    /// Of these, events read back.
    pub read_events: u64,
    /// Of these, events not read back.
    pub lost_events: u64,
    /// Table updates acknowledged before the kill.
    pub acknowledged_updates: u64,
    /// Keys whose value is older than the last acknowledged one, or absent.
    pub lost_updates: u64,
    /// Transactions whose commit was acknowledged.
    pub acknowledged_transactions: u64,
    /// Of these, transactions with at least one event missing.
    pub lost_transactions: u64,
    /// Transactions, acknowledged or not, of which some events are there and some are not.
    pub torn_transactions: u64,
}

impl LoadReport {
    /// The integrity checks as a report.
    pub fn report(&self) -> Report {
        Report { checks: self.checks.clone() }
    }

    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).context("read the load report", path)?;
        serde_json::from_str(&text)
            .map_err(|error| LabError::State { path: path.to_path_buf(), reason: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_without_checks_is_not_ok() {
        assert!(!Report::default().all_ok());
        assert!(Report::default().require_all_ok().is_err());
    }

    #[test]
    fn one_failure_fails_the_report() {
        let check = |ok| Check { name: "n".into(), ok, detail: "d".into() };
        assert!(Report { checks: vec![check(true)] }.require_all_ok().is_ok());
        let error = Report { checks: vec![check(true), check(false)] }.require_all_ok().unwrap_err();
        assert!(error.to_string().starts_with("1 of 2 checks failed:\n  n: d"));
    }
}

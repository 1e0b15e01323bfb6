//! What may be staged of ledgers and bookies, whoever tells of them: the rules of `bookies.register-bookies` and
//! `ledgers.keep-ledgers`.
//!
//! A bookie deletes every ledger that is not registered as soon as it runs. So bookies come last, and once.

use std::collections::BTreeSet;

use crate::contract::{CallError, CallResult, ContainerId, PAGE_ROWS_MAX};

/// What one run registers. Nothing, at first.
#[derive(Debug, Default)]
pub struct Registration {
    /// Ledgers of restored logs.
    restored: BTreeSet<i64>,
    /// Ledgers of no log.
    kept: BTreeSet<i64>,
    /// None before the call.
    bookies: Option<BTreeSet<String>>,
}

impl Registration {
    /// Notes the ledgers of a log that is restored.
    pub fn restore(&mut self, ledgers: impl IntoIterator<Item = i64>) {
        self.restored.extend(ledgers);
    }

    /// Keeps ledgers of no log, all or none. The host has looked at each of them.
    ///
    /// # Errors
    /// `conflict` for one that was kept before, or is named twice.
    pub fn keep(&mut self, ids: &[i64]) -> CallResult<()> {
        let mut chosen = BTreeSet::new();
        for &id in ids {
            if self.kept.contains(&id) || !chosen.insert(id) {
                return Err(CallError::Conflict(format!("ledger {id} was kept before")));
            }
        }
        self.kept.append(&mut chosen);
        Ok(())
    }

    /// Registers bookies. `known` are those whose disks were read, `unregistered` the ledgers that ZooKeeper does not have.
    ///
    /// # Errors
    /// `not-found` for a bookie without disks; `invalid` for none at all; `conflict` for one that is named twice, for a second
    /// call, and while a ledger would be deleted.
    pub fn register(
        &mut self,
        ids: &[String],
        known: &BTreeSet<&str>,
        mut unregistered: impl Iterator<Item = i64>,
    ) -> CallResult<()> {
        let mut chosen = BTreeSet::new();
        for id in ids {
            if !known.contains(id.as_str()) {
                return Err(CallError::NotFound(format!("no disk of a bookie `{id}` was read")));
            }
            if !chosen.insert(id.clone()) {
                return Err(CallError::Conflict(format!("the bookie `{id}` is named twice")));
            }
        }
        if chosen.is_empty() {
            return Err(CallError::Invalid("no bookie is named to be registered".to_owned()));
        }
        if self.bookies.is_some() {
            return Err(CallError::Conflict("the bookies were registered before".to_owned()));
        }
        if let Some(ledger) = unregistered.find(|id| !self.restored.contains(id) && !self.kept.contains(id)) {
            return Err(CallError::Conflict(format!(
                "ledger {ledger} is neither part of a restored log nor kept; the bookies would delete it"
            )));
        }
        self.bookies = Some(chosen);
        Ok(())
    }

    /// The bookies that are registered; none before the call.
    pub fn bookies(&self) -> Option<&BTreeSet<String>> {
        self.bookies.as_ref()
    }
}

/// The refusal of what rests on the content of logs that only surveys tell of.
pub fn logs_unread() -> CallError {
    let what = "of the logs only surveys tell, and they cannot be read before the bookies run; register ledgers and bookies first";
    CallError::Conflict(what.to_owned())
}

/// The refusal to build a container anew over a log that has a ZNode and can be replayed, as far as anybody knows.
pub fn log_replayable(container: ContainerId) -> CallError {
    CallError::Conflict(format!(
        "container {container} has a log ZNode, and nothing tells that its log cannot be replayed; restore the log instead"
    ))
}

/// Refuses more ledgers in one call than a page of them has.
///
/// # Errors
/// `exhausted`.
pub fn check_count(ids: &[i64]) -> CallResult<()> {
    match ids.len() {
        0..=PAGE_ROWS_MAX => Ok(()),
        count => Err(CallError::Exhausted(format!("keep-ledgers takes at most {PAGE_ROWS_MAX} ids, got {count}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register(registration: &mut Registration, ids: &[&str]) -> CallResult<()> {
        let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        registration.register(&ids, &BTreeSet::from(["a:1", "b:1"]), [3, 5, 9].into_iter())
    }

    #[test]
    fn bookies_are_registered_once_when_nothing_would_be_deleted() {
        let mut registration = Registration::default();
        registration.restore([3, 4]);
        let conflict = |answer: CallResult<()>| match answer {
            Err(CallError::Conflict(why)) => why,
            other => panic!("{other:?}"),
        };
        assert!(conflict(register(&mut registration, &["a:1"])).starts_with("ledger 5 is neither"));
        registration.keep(&[5, 9]).unwrap();
        assert!(matches!(register(&mut registration, &["a:1", "c:1"]), Err(CallError::NotFound(_))));
        assert!(matches!(register(&mut registration, &[]), Err(CallError::Invalid(_))));
        assert_eq!(conflict(register(&mut registration, &["a:1", "a:1"])), "the bookie `a:1` is named twice");
        assert_eq!(registration.bookies(), None);
        register(&mut registration, &["b:1", "a:1"]).unwrap();
        assert_eq!(registration.bookies().map(BTreeSet::len), Some(2));
        assert_eq!(conflict(register(&mut registration, &["a:1"])), "the bookies were registered before");
    }

    #[test]
    fn ledgers_are_kept_once_all_or_none() {
        let mut registration = Registration::default();
        for ids in [&[5, 9, 5][..], &[i64::MAX, i64::MAX]] {
            assert!(matches!(registration.keep(ids), Err(CallError::Conflict(_))), "{ids:?}");
        }
        registration.keep(&[5, 9]).unwrap();
        assert!(matches!(registration.keep(&[11, 9]), Err(CallError::Conflict(_))));
        registration.keep(&[11]).unwrap();
        assert!(matches!(check_count(&[0; PAGE_ROWS_MAX + 1]), Err(CallError::Exhausted(_))));
        check_count(&[0; PAGE_ROWS_MAX]).unwrap();
    }
}

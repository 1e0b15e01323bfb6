//! What the instances of one run have in common.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use dr_engine::contract::Instance;

/// Whether they have to stop, and what they have used up together.
#[derive(Debug, Default)]
pub(crate) struct RunContext {
    stop: AtomicBool,
    underway: Mutex<Vec<Weak<Underway>>>,
    /// See [`Limits::staged_effects`](crate::Limits::staged_effects).
    pub(crate) staged_effects: Used,
    /// See [`Limits::staged_bytes`](crate::Limits::staged_bytes).
    pub(crate) staged_bytes: Used,
    /// See [`Limits::report_entries`](crate::Limits::report_entries).
    pub(crate) report_entries: Used,
    /// See [`Limits::report_bytes`](crate::Limits::report_bytes).
    pub(crate) report_bytes: Used,
}

impl RunContext {
    /// One instance failed: the others end at their next host call or within a few milliseconds of computing.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether one failed.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// Where an instance writes down its host calls, as long as it holds this.
    pub(crate) fn enter(&self, instance: &Instance) -> Arc<Underway> {
        let underway = Arc::new(Underway { instance: instance.clone(), call: Mutex::default() });
        self.underway.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&underway));
        underway
    }

    /// A host call that takes longer than `most`, and whose it is.
    pub(crate) fn overdue(&self, most: Duration) -> Option<(Instance, &'static str)> {
        let mut all = self.underway.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|underway| underway.strong_count() > 0);
        all.iter().filter_map(Weak::upgrade).find_map(|underway| {
            let (call, began) = (*underway.call.lock().unwrap_or_else(PoisonError::into_inner))?;
            (began.elapsed() > most).then(|| (underway.instance.clone(), call))
        })
    }
}

/// The host call that an instance makes now.
#[derive(Debug)]
pub(crate) struct Underway {
    instance: Instance,
    call: Mutex<Option<(&'static str, Instant)>>,
}

impl Underway {
    /// A call begins, or none is made any more.
    pub(crate) fn set(&self, call: Option<(&'static str, Instant)>) {
        *self.call.lock().unwrap_or_else(PoisonError::into_inner) = call;
    }
}

/// How much of something is used up.
#[derive(Debug, Default)]
pub(crate) struct Used(AtomicUsize);

impl Used {
    /// Uses some more of it, unless that would be more than `most`. Whether it did.
    pub(crate) fn take(&self, more: usize, most: usize) -> bool {
        let sum = |used: usize| used.checked_add(more).filter(|sum| *sum <= most);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Used;

    #[test]
    fn what_is_too_much_is_not_taken() {
        let used = Used::default();
        assert!(
            used.take(3, 5) && !used.take(3, 5) && !used.take(usize::MAX, 5) && used.take(2, 5) && !used.take(1, 5)
        );
    }
}

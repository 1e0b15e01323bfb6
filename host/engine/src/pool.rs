//! Bounded parallelism for work on slices.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Result;

/// Calls `work` for every item on at most `parallel` threads. After the first error no further item is begun, and
/// that error is returned.
///
/// # Errors
/// The first error of `work`.
pub fn for_each_bounded<T: Sync>(parallel: usize, items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    let take = || {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(item) {
                next.store(items.len(), Ordering::Relaxed);
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..parallel.min(items.len()).max(1) {
            scope.spawn(take);
        }
        take();
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::OperatorError;

    #[test]
    fn every_item_is_worked_on_once() {
        let sum = AtomicUsize::new(0);
        let items: Vec<usize> = (1..=100).collect();
        for_each_bounded(4, &items, |item| {
            sum.fetch_add(*item, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(sum.into_inner(), 5050);
    }

    #[test]
    fn an_error_stops_the_rest() {
        let calls = AtomicUsize::new(0);
        let result = for_each_bounded(1, &[1, 2, 3], |_| {
            calls.fetch_add(1, Ordering::Relaxed);
            Err(OperatorError::new("x", "x", "x"))
        });
        assert_eq!(result.unwrap_err().code, "x");
        assert_eq!(calls.into_inner(), 1);
    }
}

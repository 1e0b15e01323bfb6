//! Bounded parallelism for work on slices.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::error::Result;

/// Objects of one container, or of none, that are read at the same time. A disk that has to fetch them, and a network even
/// more, answers several questions in the time of one.
pub const PARALLEL_READS: usize = 4;

/// Processors that this process may use.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

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

/// As [`for_each_bounded`]; returns the results in the order of the items.
///
/// # Errors
/// The first error of `work`.
pub fn map_bounded<T: Sync, R: Send + Sync>(
    parallel: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let slots: Vec<(&T, OnceLock<R>)> = items.iter().map(|item| (item, OnceLock::new())).collect();
    for_each_bounded(parallel, &slots, |(item, slot)| {
        let result = work(item)?;
        slot.get_or_init(|| result);
        Ok(())
    })?;
    Ok(slots.into_iter().filter_map(|(_, slot)| slot.into_inner()).collect())
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
    fn results_stand_in_the_order_of_the_items() {
        let items: Vec<usize> = (1..=100).collect();
        let doubled = map_bounded(4, &items, |item| Ok(2 * item)).unwrap();
        assert_eq!(doubled, items.iter().map(|item| 2 * item).collect::<Vec<_>>());
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

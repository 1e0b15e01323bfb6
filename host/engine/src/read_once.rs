//! What is read when somebody first asks for it, and kept.

use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;

/// A value that is read at most once. A failure is not kept: whoever asks next reads again.
#[derive(Debug)]
pub(crate) struct ReadOnce<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for ReadOnce<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> ReadOnce<T> {
    /// The value, from `read` if nobody asked before.
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn get(&self, read: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        // Held while it is filled: who comes in between would do the same work again.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*kept {
            return Ok(known.clone());
        }
        Ok(kept.insert(Arc::new(read()?)).clone())
    }
}

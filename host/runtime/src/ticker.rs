//! The clock of an engine: running guests look up at every tick and see whether they have to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// How long a guest can go on after it should have stopped. Short for an operator, long for a processor.
const TICK: Duration = Duration::from_millis(10);

/// A thread that advances the engine's epoch until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticker {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ended);
        let tick = move || {
            while !seen.load(Ordering::Acquire) {
                std::thread::park_timeout(TICK);
                engine.increment_epoch();
            }
        };
        let thread = std::thread::Builder::new().name("dr-ticker".to_owned()).spawn(tick)?;
        Ok(Self { ended, thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The thread cannot panic, and there is nobody to tell if it did.
            let _ = thread.join();
        }
    }
}

//! The small event loop inside a client: the engine is synchronous, sockets are not.

use std::fmt;
use std::future::Future;
use std::io;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

/// Threads that move bytes between sockets and queues; hashing and parsing happen on the caller's thread.
const THREADS: usize = 1;

/// A tokio runtime of its own. Must not be used from inside another one.
pub(crate) struct EventLoop {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl EventLoop {
    /// Starts the threads, named after their purpose.
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).thread_name(name).enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok(Self { runtime: Some(runtime), handle })
    }

    /// Waits for a future, but not longer than `limit`; none if it takes longer.
    pub(crate) fn wait<Output>(&self, limit: Duration, future: impl Future<Output = Output>) -> Option<Output> {
        self.handle.block_on(async { tokio::time::timeout(limit, future).await.ok() })
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Nothing worth waiting for is left, and waiting is forbidden where a drop may happen.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for EventLoop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EventLoop")
    }
}

//! One connection to one bookie: many requests on the way, answers in any order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dr_formats::bookie_protocol::{Response, message_length};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

/// Called once with the answer, or with the reason in words why there will be none. Runs on the event loop: short, and
/// without waiting.
pub(super) type AnswerHandler = Box<dyn FnOnce(Result<Response, String>) + Send>;

/// A request with its length prefix, shared by the bookies that get the same.
pub(super) type Frame = Arc<Vec<u8>>;

/// A connection to a bookie. When it breaks, everything on the way fails and it stays broken; the pool makes a new one.
pub(super) struct Connection {
    bookie: String,
    /// Bounded by what the writers and readers have on the way, which is bounded each.
    frames: UnboundedSender<Frame>,
    waiting: Arc<Waiting>,
    tasks: [AbortHandle; 2],
}

/// Requests without an answer.
struct Waiting {
    state: Mutex<State>,
}

enum State {
    Open(HashMap<u64, AnswerHandler>),
    Broken(String),
}

impl Waiting {
    fn state(&self) -> MutexGuard<'_, State> {
        // Handlers run outside the lock, so a panic of one leaves the state whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, transaction: u64, handler: AnswerHandler) -> Result<(), (String, AnswerHandler)> {
        match &mut *self.state() {
            State::Open(handlers) => {
                handlers.insert(transaction, handler);
                Ok(())
            }
            State::Broken(reason) => Err((reason.clone(), handler)),
        }
    }

    fn answer(&self, transaction: u64, response: Response) {
        let handler = match &mut *self.state() {
            State::Open(handlers) => handlers.remove(&transaction),
            State::Broken(_) => None,
        };
        match handler {
            Some(handler) => handler(Ok(response)),
            None => tracing::debug!(transaction, "an answer that nobody waits for"),
        }
    }

    fn fail(&self, reason: &str) {
        let before = std::mem::replace(&mut *self.state(), State::Broken(reason.to_owned()));
        match before {
            State::Open(handlers) => {
                for handler in handlers.into_values() {
                    handler(Err(reason.to_owned()));
                }
            }
            // The first reason is the cause, the others follow from it.
            State::Broken(first) => *self.state() = State::Broken(first),
        }
    }
}

impl Connection {
    /// Connects to `address` (`host:port`).
    pub(super) async fn open(bookie: &str, address: &str, limit: Duration) -> Result<Self, String> {
        let stream = match tokio::time::timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("cannot connect to {address}: {error}")),
            Err(_) => return Err(format!("cannot connect to {address} within {:.1} s", limit.as_secs_f32())),
        };
        // Small requests must not wait for answers to earlier ones.
        stream.set_nodelay(true).map_err(|error| format!("cannot set up the connection to {address}: {error}"))?;
        let (read_half, write_half) = stream.into_split();
        let waiting = Arc::new(Waiting { state: Mutex::new(State::Open(HashMap::new())) });
        let (frames, queue) = unbounded_channel();
        let runtime = Handle::current();
        let writer = runtime.spawn(write_frames(write_half, queue, Arc::clone(&waiting)));
        let reader = runtime.spawn(read_frames(read_half, Arc::clone(&waiting)));
        let tasks = [writer.abort_handle(), reader.abort_handle()];
        Ok(Self { bookie: bookie.to_owned(), frames, waiting, tasks })
    }

    /// Id of the bookie.
    pub(super) fn bookie(&self) -> &str {
        &self.bookie
    }

    /// Sends a request; `handler` is called exactly once, perhaps before this returns.
    pub(super) fn send(&self, transaction: u64, frame: Frame, handler: AnswerHandler) {
        match self.waiting.add(transaction, handler) {
            Err((reason, handler)) => handler(Err(reason)),
            // If the task has ended, it has failed or will fail what waits.
            Ok(()) => {
                let _ = self.frames.send(frame);
            }
        }
    }

    /// Gives the connection up; everything on the way fails with this reason.
    pub(super) fn give_up(&self, reason: &str) {
        self.waiting.fail(reason);
        for task in &self.tasks {
            task.abort();
        }
    }

    /// True if it can no longer be used.
    pub(super) fn is_broken(&self) -> bool {
        matches!(*self.waiting.state(), State::Broken(_))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.give_up("the connection was closed");
    }
}

async fn write_frames(write_half: OwnedWriteHalf, mut queue: UnboundedReceiver<Frame>, waiting: Arc<Waiting>) {
    let mut output = BufWriter::new(write_half);
    while let Some(frame) = queue.recv().await {
        let mut written = output.write_all(&frame).await;
        if written.is_ok() && queue.is_empty() {
            written = output.flush().await;
        }
        if let Err(error) = written {
            waiting.fail(&format!("the connection broke while writing: {error}"));
            return;
        }
    }
}

async fn read_frames(read_half: OwnedReadHalf, waiting: Arc<Waiting>) {
    let mut input = BufReader::new(read_half);
    loop {
        match read_response(&mut input).await {
            Ok(response) => waiting.answer(response.transaction_id, response),
            Err(reason) => {
                waiting.fail(&reason);
                return;
            }
        }
    }
}

async fn read_response(input: &mut BufReader<OwnedReadHalf>) -> Result<Response, String> {
    let broken = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => "the bookie closed the connection".to_owned(),
        _ => format!("the connection broke while reading: {error}"),
    };
    let not_understood = |error| format!("this is not an answer of a bookie: {error}");
    let mut length = [0; 4];
    input.read_exact(&mut length).await.map_err(broken)?;
    // Checked against the limit of the protocol before anything is allocated.
    let length = message_length(length).map_err(not_understood)?;
    let mut frame = vec![0; length];
    input.read_exact(&mut frame).await.map_err(broken)?;
    Response::decode(&frame).map_err(not_understood)
}

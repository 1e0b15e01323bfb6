//! The protocol of bookies, version 3 (`BookkeeperProtocol.proto`), and the address that a bookie registers.
//!
//! Both directions: i32 length, then a protobuf message of at most [`FRAME_MAX_BYTES`]. Transaction ids pair requests
//! with responses, which may come in any order. Reading needs no credential; adding and fencing need the master key.

mod registration;
mod wire;

use std::borrow::Cow;
use std::fmt;

use prost::Message;

pub use registration::{BookieEndpoint, bookie_endpoints};

use crate::error::{DecodeError, EncodeError};
use crate::ledger_entry::MasterKey;
use crate::primitives::Reader;

/// Largest message unless a bookie is configured otherwise (`nettyMaxFrameSizeBytes`): 5 MiB.
pub const FRAME_MAX_BYTES: usize = 5 << 20;
/// Entry id with which a read asks for the last entry that the bookie has.
pub const LAST_ENTRY: i64 = -1;
/// Bytes of the length before a message.
const LENGTH_BYTES: usize = 4;

const PROTOCOL_VERSION: i32 = 3;

/// What a client asks of a bookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request<'a> {
    /// Gives an entry back.
    Read {
        /// The ledger.
        ledger_id: i64,
        /// The entry; [`LAST_ENTRY`] for the last one.
        entry_id: i64,
    },
    /// Refuses further adds to a ledger, except by [`Request::Add`] with `recovery`; gives the last entry back.
    /// A bookie that never saw the ledger creates it, fenced, and answers [`Status::NoEntry`].
    Fence {
        /// The ledger.
        ledger_id: i64,
        /// Proves that the client knows the password.
        master_key: MasterKey,
    },
    /// Stores an entry.
    Add {
        /// The ledger.
        ledger_id: i64,
        /// The entry.
        entry_id: i64,
        /// Proves that the client knows the password.
        master_key: MasterKey,
        /// Header, digest and payload; see [`EntryCodec`](crate::ledger_entry::EntryCodec).
        entry: Cow<'a, [u8]>,
        /// True to write into a fenced ledger.
        recovery: bool,
    },
    /// Gives the explicit and the implicit last add confirmed back.
    ReadLastAddConfirmed {
        /// The ledger.
        ledger_id: i64,
    },
    /// Asks to begin TLS on this connection as soon as the bookie agreed.
    StartTls,
}

/// What a bookie answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The request's number.
    pub transaction_id: u64,
    /// How it went; the more meaningful of the two that the message has.
    pub status: Status,
    /// The rest.
    pub body: ResponseBody,
}

/// What a bookie answers, by kind of request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponseBody {
    /// To [`Request::Read`] and [`Request::Fence`].
    Read {
        /// The ledger.
        ledger_id: i64,
        /// The entry.
        entry_id: i64,
        /// Header, digest and payload, if there is such an entry.
        entry: Option<Vec<u8>>,
    },
    /// To [`Request::Add`].
    Add {
        /// The ledger.
        ledger_id: i64,
        /// The entry.
        entry_id: i64,
    },
    /// To [`Request::ReadLastAddConfirmed`].
    ReadLastAddConfirmed {
        /// The ledger.
        ledger_id: i64,
        /// What a client wrote explicitly: ledger id, last add confirmed, digest.
        explicit: Option<Vec<u8>>,
        /// The last entry that the bookie has.
        last_entry: Option<Vec<u8>>,
    },
    /// To [`Request::StartTls`].
    StartTls,
    /// None, as of requests that the bookie does not understand.
    None,
}

/// How a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Done.
    Ok,
    /// The bookie has no such ledger.
    NoLedger,
    /// The bookie has no such entry.
    NoEntry,
    /// The bookie does not understand the request.
    BadRequest,
    /// The bookie's disk failed.
    Io,
    /// Wrong or missing master key, or not authenticated.
    Unauthorized,
    /// Wrong protocol version.
    BadVersion,
    /// Somebody fenced the ledger: another client owns it now.
    Fenced,
    /// The bookie takes no adds, for its disks are full.
    ReadOnly,
    /// The bookie is busy.
    TooManyRequests,
    /// Any other number.
    Other(i32),
}

impl Status {
    const KNOWN: [(i32, Self); 10] = [
        (0, Self::Ok),
        (402, Self::NoLedger),
        (403, Self::NoEntry),
        (404, Self::BadRequest),
        (501, Self::Io),
        (502, Self::Unauthorized),
        (503, Self::BadVersion),
        (504, Self::Fenced),
        (505, Self::ReadOnly),
        (506, Self::TooManyRequests),
    ];

    /// The status with that number.
    #[must_use]
    pub fn from_code(code: i32) -> Self {
        Self::KNOWN.iter().find(|(known, _)| *known == code).map_or(Self::Other(code), |(_, status)| *status)
    }

    /// The number of the status.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Other(code) => code,
            known => Self::KNOWN.iter().find(|(_, status)| *status == known).map_or(0, |(code, _)| *code),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self {
            Self::Ok => "done",
            Self::NoLedger => "the bookie has no such ledger",
            Self::NoEntry => "the bookie has no such entry",
            Self::BadRequest => "the bookie does not understand the request",
            Self::Io => "the bookie's disk failed",
            Self::Unauthorized => "wrong password of the ledger, or not authenticated",
            Self::BadVersion => "the bookie does not speak protocol version 3",
            Self::Fenced => "the ledger is fenced, another client owns it",
            Self::ReadOnly => "the bookie is read-only",
            Self::TooManyRequests => "the bookie has too many requests",
            Self::Other(code) => return write!(formatter, "bookie status {code}"),
        };
        write!(formatter, "{words} ({})", self.code())
    }
}

impl Request<'_> {
    /// The request as it is sent, with its length before it.
    ///
    /// # Errors
    /// If the message is larger than [`FRAME_MAX_BYTES`].
    pub fn encode(&self, transaction_id: u64) -> Result<Vec<u8>, EncodeError> {
        encode_frame("request", &wire::Request::from_request(self, transaction_id))
    }

    /// Decodes a message without its length: transaction id and request.
    ///
    /// # Errors
    /// If it is no such message, or one that this crate does not know.
    pub fn decode(message: &[u8]) -> Result<(u64, Request<'static>), DecodeError> {
        decode_message::<wire::Request>("bookie request", message)?
            .into_request()
            .map_err(|expected| DecodeError::new("bookie request", 0, expected))
    }
}

impl Response {
    /// The response as it is sent, with its length before it.
    ///
    /// # Errors
    /// If the message is larger than [`FRAME_MAX_BYTES`].
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode_frame("response", &wire::Response::from_response(self))
    }

    /// Decodes a message without its length.
    ///
    /// # Errors
    /// If it is no such message.
    pub fn decode(message: &[u8]) -> Result<Self, DecodeError> {
        decode_message::<wire::Response>("bookie response", message)?
            .into_response()
            .map_err(|expected| DecodeError::new("bookie response", 0, expected))
    }
}

fn encode_frame(what: &'static str, message: &impl Message) -> Result<Vec<u8>, EncodeError> {
    let length = message.encoded_len();
    if length > FRAME_MAX_BYTES {
        return Err(EncodeError::new(format!("{what} of {length} bytes"), format!("at most {FRAME_MAX_BYTES} bytes")));
    }
    let mut frame = Vec::with_capacity(LENGTH_BYTES + length);
    frame.extend_from_slice(&(length as u32).to_be_bytes());
    message.encode_raw(&mut frame);
    Ok(frame)
}

fn decode_message<M: Message + Default>(what: &'static str, message: &[u8]) -> Result<M, DecodeError> {
    M::decode(message).map_err(|cause| DecodeError::new(what, 0, format!("a protobuf message ({cause})")))
}

/// The first message of what came from the wire, without its length, and the number of bytes that it took; none if
/// more must come first.
///
/// # Errors
/// If the length is negative or beyond [`FRAME_MAX_BYTES`]; the connection is then useless.
pub fn next_message(received: &[u8]) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let Some(length) = received.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = message_length(*length)?;
    let message = received.get(LENGTH_BYTES..).and_then(|rest| rest.get(..length));
    Ok(message.map(|message| (message, LENGTH_BYTES + length)))
}

/// Length of the message that follows these four bytes, for readers that ask for exactly so many bytes.
///
/// # Errors
/// As [`next_message`].
pub fn message_length(bytes: [u8; LENGTH_BYTES]) -> Result<usize, DecodeError> {
    let mut reader = Reader::new("bookie message", &bytes);
    let length = reader.i32()?;
    match usize::try_from(length) {
        Ok(length) if length <= FRAME_MAX_BYTES => Ok(length),
        _ => Err(reader.error_at(0, format!("a length of at most {FRAME_MAX_BYTES}, found {length}"))),
    }
}

#[cfg(test)]
mod tests;

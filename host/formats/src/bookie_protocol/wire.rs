//! The protobuf messages, with their numbers from `BookkeeperProtocol.proto`. Those that hold the master key have no
//! debug output.

use super::{LAST_ENTRY, PROTOCOL_VERSION, Response as Answer, ResponseBody, Status};
use crate::ledger_entry::MasterKey;

const READ_ENTRY: i32 = 1;
const ADD_ENTRY: i32 = 2;
const READ_LAC: i32 = 7;
const START_TLS: i32 = 9;

const FLAG_FENCE: i32 = 1;
const FLAG_RECOVERY_ADD: i32 = 1;

/// `BKPacketHeader`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Header {
    #[prost(int32, required, tag = "1")]
    version: i32,
    #[prost(int32, required, tag = "2")]
    operation: i32,
    #[prost(uint64, required, tag = "3")]
    transaction_id: u64,
    #[prost(uint32, optional, tag = "4")]
    priority: Option<u32>,
}

impl Header {
    const fn new(operation: i32, transaction_id: u64) -> Option<Self> {
        Some(Self { version: PROTOCOL_VERSION, operation, transaction_id, priority: None })
    }
}

/// `Request`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct Request {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(message, optional, tag = "100")]
    read: Option<ReadRequest>,
    #[prost(message, optional, tag = "101")]
    add: Option<AddRequest>,
    #[prost(message, optional, tag = "104")]
    read_lac: Option<LedgerRequest>,
    #[prost(message, optional, tag = "106")]
    start_tls: Option<Empty>,
}

impl std::fmt::Debug for Request {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Request").field("header", &self.header).finish_non_exhaustive()
    }
}

/// `ReadRequest`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct ReadRequest {
    #[prost(int64, required, tag = "1")]
    ledger_id: i64,
    #[prost(int64, required, tag = "2")]
    entry_id: i64,
    #[prost(bytes = "vec", optional, tag = "3")]
    master_key: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "100")]
    flag: Option<i32>,
}

/// `AddRequest`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct AddRequest {
    #[prost(int64, required, tag = "1")]
    ledger_id: i64,
    #[prost(int64, required, tag = "2")]
    entry_id: i64,
    #[prost(bytes = "vec", required, tag = "3")]
    master_key: Vec<u8>,
    #[prost(bytes = "vec", required, tag = "4")]
    body: Vec<u8>,
    #[prost(int32, optional, tag = "100")]
    flag: Option<i32>,
}

impl std::fmt::Debug for ReadRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ReadRequest(..)")
    }
}

impl std::fmt::Debug for AddRequest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("AddRequest(..)")
    }
}

/// `ReadLacRequest`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LedgerRequest {
    #[prost(int64, required, tag = "1")]
    ledger_id: i64,
}

/// `StartTLSRequest` and `StartTLSResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Empty {}

impl Request {
    pub(super) fn from_request(request: &super::Request<'_>, transaction_id: u64) -> Self {
        let empty = Self::default();
        match request {
            super::Request::Read { ledger_id, entry_id } => {
                let read = ReadRequest { ledger_id: *ledger_id, entry_id: *entry_id, master_key: None, flag: None };
                Self { header: Header::new(READ_ENTRY, transaction_id), read: Some(read), ..empty }
            }
            super::Request::Fence { ledger_id, master_key } => {
                let (master_key, flag) = (Some(master_key.0.to_vec()), Some(FLAG_FENCE));
                let read = ReadRequest { ledger_id: *ledger_id, entry_id: LAST_ENTRY, master_key, flag };
                Self { header: Header::new(READ_ENTRY, transaction_id), read: Some(read), ..empty }
            }
            super::Request::Add { ledger_id, entry_id, master_key, entry, recovery } => {
                let add = AddRequest {
                    ledger_id: *ledger_id,
                    entry_id: *entry_id,
                    master_key: master_key.0.to_vec(),
                    body: entry.to_vec(),
                    flag: recovery.then_some(FLAG_RECOVERY_ADD),
                };
                Self { header: Header::new(ADD_ENTRY, transaction_id), add: Some(add), ..empty }
            }
            super::Request::ReadLastAddConfirmed { ledger_id } => {
                let read_lac = Some(LedgerRequest { ledger_id: *ledger_id });
                Self { header: Header::new(READ_LAC, transaction_id), read_lac, ..empty }
            }
            super::Request::StartTls => {
                Self { header: Header::new(START_TLS, transaction_id), start_tls: Some(Empty {}), ..empty }
            }
        }
    }

    /// The error is what was expected.
    pub(super) fn into_request(self) -> Result<(u64, super::Request<'static>), String> {
        let header = checked_header(self.header)?;
        let request = match (header.operation, self.read, self.add, self.read_lac) {
            (READ_ENTRY, Some(read), _, _) => read.into_request()?,
            (ADD_ENTRY, _, Some(add), _) => super::Request::Add {
                ledger_id: add.ledger_id,
                entry_id: add.entry_id,
                master_key: master_key(add.master_key)?,
                entry: add.body.into(),
                recovery: add.flag == Some(FLAG_RECOVERY_ADD),
            },
            (READ_LAC, _, _, Some(read)) => super::Request::ReadLastAddConfirmed { ledger_id: read.ledger_id },
            (START_TLS, ..) => super::Request::StartTls,
            (operation, ..) => return Err(format!("a known operation with its body, found operation {operation}")),
        };
        Ok((header.transaction_id, request))
    }
}

impl ReadRequest {
    fn into_request(self) -> Result<super::Request<'static>, String> {
        let ledger_id = self.ledger_id;
        if self.flag == Some(FLAG_FENCE) {
            return Ok(super::Request::Fence {
                ledger_id,
                master_key: master_key(self.master_key.unwrap_or_default())?,
            });
        }
        Ok(super::Request::Read { ledger_id, entry_id: self.entry_id })
    }
}

fn master_key(bytes: Vec<u8>) -> Result<MasterKey, String> {
    bytes.try_into().map(MasterKey).map_err(|bytes: Vec<u8>| format!("a master key of 20 bytes, found {}", bytes.len()))
}

fn checked_header(header: Option<Header>) -> Result<Header, String> {
    match header {
        Some(header) if header.version == PROTOCOL_VERSION => Ok(header),
        Some(header) => Err(format!("protocol version {PROTOCOL_VERSION}, found {}", header.version)),
        None => Err("a message header".to_owned()),
    }
}

/// `Response`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    header: Option<Header>,
    #[prost(int32, required, tag = "2")]
    status: i32,
    #[prost(message, optional, tag = "100")]
    read: Option<ReadResponse>,
    #[prost(message, optional, tag = "101")]
    add: Option<AddResponse>,
    #[prost(message, optional, tag = "104")]
    read_lac: Option<ReadLacResponse>,
    #[prost(message, optional, tag = "106")]
    start_tls: Option<Empty>,
}

/// `ReadResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReadResponse {
    #[prost(int32, required, tag = "1")]
    status: i32,
    #[prost(int64, required, tag = "2")]
    ledger_id: i64,
    #[prost(int64, required, tag = "3")]
    entry_id: i64,
    #[prost(bytes = "vec", optional, tag = "4")]
    body: Option<Vec<u8>>,
}

/// `AddResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AddResponse {
    #[prost(int32, required, tag = "1")]
    status: i32,
    #[prost(int64, required, tag = "2")]
    ledger_id: i64,
    #[prost(int64, required, tag = "3")]
    entry_id: i64,
}

/// `ReadLacResponse`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ReadLacResponse {
    #[prost(int32, required, tag = "1")]
    status: i32,
    #[prost(int64, required, tag = "2")]
    ledger_id: i64,
    #[prost(bytes = "vec", optional, tag = "3")]
    explicit: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "4")]
    last_entry: Option<Vec<u8>>,
}

impl Response {
    pub(super) fn from_response(response: &Answer) -> Self {
        let status = response.status.code();
        let header = |operation| Header::new(operation, response.transaction_id);
        let empty = Self { status, ..Self::default() };
        match response.body.clone() {
            ResponseBody::Read { ledger_id, entry_id, entry } => {
                let read = Some(ReadResponse { status, ledger_id, entry_id, body: entry });
                Self { header: header(READ_ENTRY), read, ..empty }
            }
            ResponseBody::Add { ledger_id, entry_id } => {
                let add = Some(AddResponse { status, ledger_id, entry_id });
                Self { header: header(ADD_ENTRY), add, ..empty }
            }
            ResponseBody::ReadLastAddConfirmed { ledger_id, explicit, last_entry } => {
                let read_lac = Some(ReadLacResponse { status, ledger_id, explicit, last_entry });
                Self { header: header(READ_LAC), read_lac, ..empty }
            }
            ResponseBody::StartTls => Self { header: header(START_TLS), start_tls: Some(Empty {}), ..empty },
            ResponseBody::None => Self { header: header(READ_ENTRY), ..empty },
        }
    }

    /// The error is what was expected.
    pub(super) fn into_response(self) -> Result<Answer, String> {
        let transaction_id = checked_header(self.header)?.transaction_id;
        let (inner, body) = if let Some(read) = self.read {
            let ReadResponse { status, ledger_id, entry_id, body } = read;
            (status, ResponseBody::Read { ledger_id, entry_id, entry: body })
        } else if let Some(AddResponse { status, ledger_id, entry_id }) = self.add {
            (status, ResponseBody::Add { ledger_id, entry_id })
        } else if let Some(ReadLacResponse { status, ledger_id, explicit, last_entry }) = self.read_lac {
            (status, ResponseBody::ReadLastAddConfirmed { ledger_id, explicit, last_entry })
        } else if self.start_tls.is_some() {
            (self.status, ResponseBody::StartTls)
        } else {
            (self.status, ResponseBody::None)
        };
        // The outer status only says that the request was understood, in some versions of the bookie.
        let status = Status::from_code(if inner == Status::Ok.code() { self.status } else { inner });
        Ok(Answer { transaction_id, status, body })
    }
}

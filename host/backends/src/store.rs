//! Running segment stores, asked as a client asks them. Nothing is changed.

use std::collections::HashMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use dr_formats::store_protocol::{MESSAGE_HEADER_BYTES, StoreReply, StoreRequest};

/// For a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For an answer. A store that reads from Tier-2 may take its time.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a store says of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveSegment {
    /// First readable offset.
    pub start_offset: u64,
    /// Offset behind the last byte.
    pub length: u64,
    /// Sealed.
    pub sealed: bool,
}

/// What can be asked of running stores.
pub trait StoreView: Send {
    /// What is known of a segment; none if there is no such segment.
    ///
    /// # Errors
    /// [`StoreError`].
    fn segment(&mut self, segment: &str) -> Result<Option<LiveSegment>, StoreError>;

    /// Bytes of a segment from `offset` on, at least one and at most `length`.
    ///
    /// # Errors
    /// [`StoreError`].
    fn read(&mut self, segment: &str, offset: u64, length: u32) -> Result<Vec<u8>, StoreError>;
}

/// Why stores do not tell.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection, no answer, or one that cannot be understood.
    #[error("segment store {address}: {reason}")]
    Unavailable {
        /// `host:port`.
        address: String,
        /// What happened.
        reason: String,
    },
    /// No store has the container of the segment.
    #[error("no segment store serves `{segment}`: asked {}", addresses.join(", "))]
    NoHome {
        /// The segment.
        segment: String,
        /// Those that were asked.
        addresses: Vec<String>,
    },
    /// The store wants credentials, which are not supported.
    #[error("segment store {address} wants credentials")]
    Unauthorized {
        /// `host:port`.
        address: String,
    },
}

/// The stores of a cluster, with one connection to each; every thread makes its own.
pub struct SegmentStores {
    addresses: Vec<String>,
    connections: Vec<Option<Connection>>,
    container_of: Box<dyn Fn(&str) -> u32 + Send>,
    homes: HashMap<u32, usize>,
}

impl SegmentStores {
    /// Connects to none yet. `container_of` says which container a segment belongs to: each lives on one store.
    pub fn new(addresses: &[String], container_of: impl Fn(&str) -> u32 + Send + 'static) -> Self {
        Self {
            addresses: addresses.to_vec(),
            connections: addresses.iter().map(|_| None).collect(),
            container_of: Box::new(container_of),
            homes: HashMap::new(),
        }
    }

    /// Asks the store of the segment's container; all of them while that is not known.
    fn ask(&mut self, segment: &str, request: StoreRequest<'_>) -> Result<StoreReply, StoreError> {
        let container = (self.container_of)(segment);
        let known = self.homes.get(&container).copied();
        let others = (0..self.addresses.len()).filter(|&index| Some(index) != known);
        for index in known.into_iter().chain(others).collect::<Vec<_>>() {
            match self.ask_store(index, request)? {
                StoreReply::WrongHost => {}
                StoreReply::AuthenticationFailed => {
                    return Err(StoreError::Unauthorized { address: self.addresses[index].clone() });
                }
                StoreReply::Other(number) => {
                    return Err(self.unavailable(index, format!("it answers with message {number}")));
                }
                reply => {
                    self.homes.insert(container, index);
                    return Ok(reply);
                }
            }
        }
        Err(StoreError::NoHome { segment: segment.to_owned(), addresses: self.addresses.clone() })
    }

    fn ask_store(&mut self, index: usize, request: StoreRequest<'_>) -> Result<StoreReply, StoreError> {
        if self.connections[index].is_none() {
            let opened = Connection::open(&self.addresses[index]);
            self.connections[index] = Some(opened.map_err(|error| self.unavailable(index, error.to_string()))?);
        }
        let Some(connection) = &mut self.connections[index] else {
            return Err(self.unavailable(index, "there is no connection".to_owned()));
        };
        let answer = connection.ask(request);
        answer.map_err(|error| {
            // Whatever comes later on it would be taken for another answer.
            self.connections[index] = None;
            self.unavailable(index, error.to_string())
        })
    }

    fn unavailable(&self, index: usize, reason: String) -> StoreError {
        StoreError::Unavailable { address: self.addresses[index].clone(), reason }
    }
}

impl StoreView for SegmentStores {
    fn segment(&mut self, segment: &str) -> Result<Option<LiveSegment>, StoreError> {
        let reply = self.ask(segment, StoreRequest::SegmentInfo { segment })?;
        Ok(match reply {
            StoreReply::SegmentInfo { exists: true, sealed, length, start_offset, .. } => {
                Some(LiveSegment { start_offset, length, sealed })
            }
            _ => None,
        })
    }

    fn read(&mut self, segment: &str, offset: u64, length: u32) -> Result<Vec<u8>, StoreError> {
        let reply = self.ask(segment, StoreRequest::Read { segment, offset, length })?;
        let reason = match reply {
            StoreReply::Read { offset: begin, bytes, .. } if begin == offset && !bytes.is_empty() => return Ok(bytes),
            StoreReply::Read { .. } => "it gives other bytes, or none",
            StoreReply::Truncated => "the segment was truncated meanwhile",
            _ => "the segment is gone",
        };
        let home = self.homes.get(&(self.container_of)(segment)).copied().unwrap_or_default();
        Err(self.unavailable(home, format!("`{segment}` at {offset}: {reason}")))
    }
}

impl fmt::Debug for SegmentStores {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SegmentStores").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

/// One connection with one request at a time.
struct Connection {
    stream: TcpStream,
    last_request: i64,
}

impl Connection {
    fn open(address: &str) -> io::Result<Self> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for place in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&place, CONNECT_TIMEOUT) {
                Ok(mut stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
                    stream.write_all(&StoreRequest::Hello.encode(0).map_err(io::Error::other)?)?;
                    return Ok(Self { stream, last_request: 0 });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn ask(&mut self, request: StoreRequest<'_>) -> io::Result<StoreReply> {
        self.last_request += 1;
        self.stream.write_all(&request.encode(self.last_request).map_err(io::Error::other)?)?;
        loop {
            match self.receive()? {
                StoreReply::NoAnswer => {}
                StoreReply::SegmentInfo { request_id, .. } | StoreReply::Read { request_id, .. }
                    if request_id != self.last_request =>
                {
                    return Err(io::Error::other("it answers another request"));
                }
                reply => return Ok(reply),
            }
        }
    }

    fn receive(&mut self) -> io::Result<StoreReply> {
        let mut header = [0; MESSAGE_HEADER_BYTES];
        self.stream.read_exact(&mut header)?;
        let length = StoreReply::fields_length(header).map_err(io::Error::other)?;
        let mut fields = vec![0; length];
        self.stream.read_exact(&mut fields)?;
        StoreReply::decode(header, &fields).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A store that reads one request for each of these answers; returns its address.
    fn store(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut hello = [0; 16];
            stream.read_exact(&mut hello).unwrap();
            stream.write_all(&hello).unwrap();
            for answer in answers {
                let mut header = [0; 8];
                stream.read_exact(&mut header).unwrap();
                let mut fields = vec![0; u32::from_be_bytes(header[4..].try_into().unwrap()) as usize];
                stream.read_exact(&mut fields).unwrap();
                stream.write_all(&answer).unwrap();
            }
        });
        address
    }

    fn message(number: i32, fields: &[&[u8]]) -> Vec<u8> {
        let fields = fields.concat();
        [&number.to_be_bytes()[..], &u32::try_from(fields.len()).unwrap().to_be_bytes(), &fields].concat()
    }

    fn info(request_id: i64, length: i64) -> Vec<u8> {
        let name = [&[0, 1][..], b"s"].concat();
        message(
            12,
            &[
                &request_id.to_be_bytes(),
                &name,
                &[1, 0, 0],
                &0_i64.to_be_bytes(),
                &length.to_be_bytes(),
                &0_i64.to_be_bytes(),
            ],
        )
    }

    #[test]
    fn the_store_that_has_the_container_is_found_and_remembered() {
        let wrong = store(vec![message(50, &[b"fields"])]);
        let right =
            store(vec![info(1, 77), message(53, &[]), message(100, &[]).into_iter().chain(info(3, 78)).collect()]);
        let mut stores = SegmentStores::new(&[wrong, right], |_| 0);
        assert_eq!(stores.segment("s").unwrap(), Some(LiveSegment { start_offset: 0, length: 77, sealed: false }));
        assert_eq!(stores.segment("s").unwrap(), None);
        assert_eq!(stores.segment("s").unwrap().unwrap().length, 78);
    }

    #[test]
    fn what_is_no_answer_is_an_error_that_names_the_store() {
        let mut nobody = SegmentStores::new(&["127.0.0.1:1".to_owned()], |_| 0);
        assert!(nobody.segment("s").unwrap_err().to_string().contains("127.0.0.1:1"));
        for answer in [info(9, 77), message(12, &[b"short"]), vec![0xff; 8], message(10, &[])] {
            let mut stores = SegmentStores::new(&[store(vec![answer])], |_| 0);
            assert!(matches!(stores.segment("s"), Err(StoreError::Unavailable { .. })));
        }
        let mut refused = SegmentStores::new(&[store(vec![message(60, &[])])], |_| 0);
        assert!(matches!(refused.segment("s"), Err(StoreError::Unauthorized { .. })));
        let mut homeless = SegmentStores::new(&[store(vec![message(50, &[])])], |_| 0);
        assert!(matches!(homeless.segment("s"), Err(StoreError::NoHome { .. })));
    }
}

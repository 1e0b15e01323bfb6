//! What a bookie registers below `available` (`BookieServiceInfoFormat`).

use prost::Message;

use crate::error::DecodeError;

/// Protocol of the endpoint that clients use.
const CLIENT_PROTOCOL: &str = "bookie-rpc";
const WHAT: &str = "bookie registration";

/// Where a bookie answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BookieEndpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// `BookieServiceInfoFormat`.
#[derive(Clone, PartialEq, prost::Message)]
struct ServiceInfo {
    #[prost(message, repeated, tag = "6")]
    endpoints: Vec<Endpoint>,
}

/// `BookieServiceInfoFormat.Endpoint`.
#[derive(Clone, PartialEq, prost::Message)]
struct Endpoint {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(int32, tag = "2")]
    port: i32,
    #[prost(string, tag = "3")]
    host: String,
    #[prost(string, tag = "4")]
    protocol: String,
}

/// Where the bookie `bookie_id` answers clients, from the content of its node below `available`. Old bookies register
/// nothing; their id is `host:port`.
///
/// # Errors
/// If the content is no such message, a port is out of range, or there is neither content nor an address in the id.
pub fn bookie_endpoints(bookie_id: &str, data: &[u8]) -> Result<Vec<BookieEndpoint>, DecodeError> {
    let error = |expected: String| DecodeError::new(WHAT, 0, expected);
    if data.is_empty() {
        let address = bookie_id.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = address.ok_or_else(|| error(format!("an id of the form host:port, found {bookie_id:?}")))?;
        return Ok(vec![BookieEndpoint { host: host.to_owned(), port }]);
    }
    let info = ServiceInfo::decode(data).map_err(|cause| error(format!("a protobuf message ({cause})")))?;
    let mut endpoints = Vec::new();
    for endpoint in info.endpoints.into_iter().filter(|endpoint| endpoint.protocol == CLIENT_PROTOCOL) {
        let port = u16::try_from(endpoint.port).map_err(|_| error(format!("a port, found {}", endpoint.port)))?;
        endpoints.push(BookieEndpoint { host: endpoint.host, port });
    }
    if endpoints.is_empty() { Err(error(format!("an endpoint of protocol {CLIENT_PROTOCOL}"))) } else { Ok(endpoints) }
}

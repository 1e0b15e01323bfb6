//! The protobuf messages of `DataFormats.proto`. They hold the password in clear text and therefore have no debug
//! output.

use super::Ensemble;

/// `LedgerMetadataFormat`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct LedgerMetadataFormat {
    #[prost(int32, required, tag = "1")]
    pub(super) write_quorum: i32,
    #[prost(int32, required, tag = "2")]
    pub(super) ensemble_size: i32,
    #[prost(int64, required, tag = "3")]
    pub(super) length: i64,
    #[prost(int64, optional, tag = "4")]
    pub(super) last_entry: Option<i64>,
    #[prost(int32, required, tag = "5")]
    pub(super) state: i32,
    #[prost(message, repeated, tag = "6")]
    pub(super) segments: Vec<EnsembleSegment>,
    #[prost(int32, optional, tag = "7")]
    pub(super) digest_type: Option<i32>,
    #[prost(bytes = "vec", optional, tag = "8")]
    pub(super) password: Option<Vec<u8>>,
    #[prost(int32, optional, tag = "9")]
    pub(super) ack_quorum: Option<i32>,
    #[prost(int64, optional, tag = "10")]
    pub(super) creation_time: Option<i64>,
    #[prost(message, repeated, tag = "11")]
    pub(super) custom_metadata: Vec<CustomMetadataEntry>,
    #[prost(int64, optional, tag = "12")]
    pub(super) creation_token: Option<i64>,
}

impl std::fmt::Debug for LedgerMetadataFormat {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("LedgerMetadataFormat(..)")
    }
}

/// `LedgerMetadataFormat.Segment`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct EnsembleSegment {
    #[prost(string, repeated, tag = "1")]
    members: Vec<String>,
    #[prost(int64, required, tag = "2")]
    first_entry: i64,
}

impl From<EnsembleSegment> for Ensemble {
    fn from(segment: EnsembleSegment) -> Self {
        Self { first_entry: segment.first_entry, bookies: segment.members }
    }
}

impl From<&Ensemble> for EnsembleSegment {
    fn from(ensemble: &Ensemble) -> Self {
        Self { members: ensemble.bookies.clone(), first_entry: ensemble.first_entry }
    }
}

/// `LedgerMetadataFormat.cMetadataMapEntry`.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CustomMetadataEntry {
    #[prost(string, optional, tag = "1")]
    key: Option<String>,
    #[prost(bytes = "vec", optional, tag = "2")]
    value: Option<Vec<u8>>,
}

impl CustomMetadataEntry {
    /// Key and value, absent ones as empty.
    pub(super) fn into_pair(self) -> (String, Vec<u8>) {
        (self.key.unwrap_or_default(), self.value.unwrap_or_default())
    }
}

impl From<&(String, Vec<u8>)> for CustomMetadataEntry {
    fn from((key, value): &(String, Vec<u8>)) -> Self {
        Self { key: Some(key.clone()), value: Some(value.clone()) }
    }
}

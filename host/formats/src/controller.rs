//! Durable state of the controller: rows of its tables in Tier-2, and the few ZooKeeper nodes that a recovery must write.
//!
//! Keys are UTF-8 text, the newest version of a row wins. Sources: `StateRecord`, `StreamConfigurationRecord`,
//! `ActiveTxnRecord`, `CompletedTxnRecord`, `CommittingTransactionsRecord`, `RecordHelper`, `ZkInt96Counter`, `BucketStore`,
//! `ZookeeperBucketStore` of Pravega 0.13.0.

mod committing;
mod epoch;
mod takeover;
mod transition;
mod truncation;

use std::fmt;

pub use self::committing::CommittingTransactions;
pub use self::epoch::{
    EpochSegment, decode_key_value_table_epoch, decode_sealed_sizes, decode_stream_epoch, epoch_of_key, key_of_epoch,
    key_of_sealed_segment, key_of_sealed_size, sealed_segment_of_key,
};
pub use self::takeover::{
    CommitOrder, Request, encode_event_processors, event_processors_node, transaction_index_data,
    transaction_index_node,
};
pub use self::transition::{
    COMMIT_PROCESSOR, EPOCH_TRANSITION_KEY, EpochTransition, SegmentRange, WAITING_PROCESSOR_KEY,
};
pub use self::truncation::Truncation;
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{ObjectReader, Reader, Uuid, Writer};

/// Key of the state of a stream in its table `metadata`.
pub const STATE_KEY: &str = "state";
/// Key of the configuration of a stream in its table `metadata`.
pub const CONFIGURATION_KEY: &str = "configuration";
/// Key of the transactions being committed in the table `metadata` of a stream.
pub const COMMITTING_TRANSACTIONS_KEY: &str = "committingTxns";
/// Key of the truncation of a stream in its table `metadata`.
pub const TRUNCATION_KEY: &str = "truncation";
/// Key of the number of the present epoch in the table `metadata` of a stream or key-value table.
pub const CURRENT_EPOCH_KEY: &str = "currentEpochRecord";
/// Buckets of retention in a cluster that does not configure another number (`controller.retention.bucket.count`).
pub const DEFAULT_RETENTION_BUCKETS: u32 = 1;
/// Buckets of watermarking in a cluster that does not configure another number (`watermarking.bucket.count`).
pub const DEFAULT_WATERMARK_BUCKETS: u32 = 100;

/// State of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamState {
    /// Not set.
    Unknown,
    /// Being created.
    Creating,
    /// In normal use.
    Active,
    /// Its configuration is being changed.
    Updating,
    /// Segments are being split or merged.
    Scaling,
    /// Transactions are being committed.
    CommittingTransactions,
    /// Being truncated.
    Truncating,
    /// Being sealed.
    Sealing,
    /// Sealed.
    Sealed,
}

impl StreamState {
    /// All states, at the index of their stored number.
    pub const ALL: [Self; 9] = [
        Self::Unknown,
        Self::Creating,
        Self::Active,
        Self::Updating,
        Self::Scaling,
        Self::CommittingTransactions,
        Self::Truncating,
        Self::Sealing,
        Self::Sealed,
    ];

    /// Decodes the row `state`.
    ///
    /// # Errors
    /// If the bytes do not follow the format or the number is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("state of a stream", bytes);
        let state = reader.read_single("state of a stream", |body| {
            let error = body.error("a state from 0 to 8");
            let number = body.compact_int()?;
            Self::ALL.get(number as usize).copied().ok_or(error)
        })?;
        reader.expect_end()?;
        Ok(state)
    }

    /// Encodes the row `state`.
    ///
    /// # Errors
    /// Never in practice; the signature is that of the other encoders.
    pub fn encode(self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| body.compact_int(self as u32));
        writer.finish()
    }

    /// The documented string of the procedure contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Creating => "creating",
            Self::Active => "active",
            Self::Updating => "updating",
            Self::Scaling => "scaling",
            Self::CommittingTransactions => "committing-transactions",
            Self::Truncating => "truncating",
            Self::Sealing => "sealing",
            Self::Sealed => "sealed",
        }
    }
}

/// What a retention policy limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetentionKind {
    /// Age; parameters are milliseconds.
    Time,
    /// Size; parameters are bytes.
    Size,
}

/// When old data of a stream is truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RetentionPolicy {
    /// What is limited.
    pub kind: RetentionKind,
    /// How much to keep at least.
    pub limit: i64,
    /// How much to keep at most; 0 if the policy has no maximum (2^63-1 is written for "unbounded").
    pub maximum: i64,
}

/// How the number of segments follows the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ScalingPolicy {
    /// Stored number of the type: 0 fixed, 1 by bytes, 2 by events.
    pub kind: u32,
    /// Bytes or events per second and segment.
    pub target_rate: i32,
    /// Number of segments that a split makes.
    pub factor: i32,
    /// Least number of segments.
    pub minimum_segments: i32,
}

/// Row `configuration` of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamConfiguration {
    /// Scope.
    pub scope: String,
    /// Name within the scope.
    pub stream: String,
    /// Scaling; none if the row has none.
    pub scaling: Option<ScalingPolicy>,
    /// Retention; none if data is kept until it is truncated by hand.
    pub retention: Option<RetentionPolicy>,
    /// True while a change of the configuration is under way.
    pub updating: bool,
    /// Milliseconds after which a silent writer no longer holds back the stream's time; 0 in rows of old servers.
    pub timestamp_aggregation_timeout: i64,
    /// Tags.
    pub tags: Vec<String>,
    /// True if the change under way touches only tags.
    pub tag_only_update: bool,
    /// Tags that the change under way removes.
    pub removed_tags: Vec<String>,
    /// Bytes after which a segment's chunk is rolled over; 0 for the server's default.
    pub rollover_size: i64,
}

/// Bytes of the shortest string: its length.
const MIN_STRING_LENGTH: usize = 2;

impl StreamConfiguration {
    /// Decodes the row `configuration`.
    ///
    /// # Errors
    /// If the bytes do not follow the format or a retention type is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("configuration of a stream", bytes);
        let configuration = reader.read_single_revisions("configuration of a stream", 0, Self::read)?;
        reader.expect_end()?;
        Ok(configuration)
    }

    fn read(object: &mut ObjectReader<'_>) -> Result<Self, DecodeError> {
        let mut body = object.required_revision()?;
        let mut configuration = Self {
            scope: body.utf()?.into_owned(),
            stream: body.utf()?.into_owned(),
            scaling: body.read_single("scaling policy", ScalingPolicy::read_optional)?,
            retention: body.read_single_revisions("retention policy", 0, RetentionPolicy::read_optional)?,
            updating: body.bool()?,
            timestamp_aggregation_timeout: 0,
            tags: Vec::new(),
            tag_only_update: false,
            removed_tags: Vec::new(),
            rollover_size: 0,
        };
        let read_tag = |body: &mut Reader<'_>| body.utf().map(String::from);
        if let Some(mut body) = object.revision()? {
            configuration.timestamp_aggregation_timeout = body.i64()?;
        }
        if let Some(mut body) = object.revision()? {
            configuration.tags = body.list(MIN_STRING_LENGTH, read_tag)?;
            configuration.tag_only_update = body.bool()?;
            configuration.removed_tags = body.list(MIN_STRING_LENGTH, read_tag)?;
        }
        if let Some(mut body) = object.revision()? {
            configuration.rollover_size = body.i64()?;
        }
        Ok(configuration)
    }

    /// Encodes the row `configuration`.
    ///
    /// # Errors
    /// If a string is longer than 65,535 bytes or a number too large for its encoding.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single_revisions(0, |object| {
            object.revision(|body| {
                body.utf(&self.scope);
                body.utf(&self.stream);
                ScalingPolicy::write_optional(self.scaling, body);
                RetentionPolicy::write_optional(self.retention, body);
                body.bool(self.updating);
            });
            object.revision(|body| body.i64(self.timestamp_aggregation_timeout));
            object.revision(|body| {
                body.list(&self.tags, |body, tag| body.utf(tag));
                body.bool(self.tag_only_update);
                body.list(&self.removed_tags, |body, tag| body.utf(tag));
            });
            object.revision(|body| body.i64(self.rollover_size));
        });
        writer.finish()
    }
}

impl ScalingPolicy {
    fn read_optional(body: &mut Reader<'_>) -> Result<Option<Self>, DecodeError> {
        if !body.bool()? {
            return Ok(None);
        }
        Ok(Some(Self {
            kind: body.compact_int()?,
            target_rate: body.i32()?,
            factor: body.i32()?,
            minimum_segments: body.i32()?,
        }))
    }

    fn write_optional(policy: Option<Self>, writer: &mut Writer) {
        writer.write_single(|body| {
            body.bool(policy.is_some());
            if let Some(policy) = policy {
                body.compact_int(policy.kind);
                body.i32(policy.target_rate);
                body.i32(policy.factor);
                body.i32(policy.minimum_segments);
            }
        });
    }
}

impl RetentionPolicy {
    fn read_optional(object: &mut ObjectReader<'_>) -> Result<Option<Self>, DecodeError> {
        let mut body = object.required_revision()?;
        if !body.bool()? {
            return Ok(None);
        }
        let error = body.error("retention type 0 (time) or 1 (size)");
        let kind = match body.compact_int()? {
            0 => RetentionKind::Time,
            1 => RetentionKind::Size,
            _ => return Err(error),
        };
        let limit = body.i64()?;
        let maximum = match object.revision()? {
            Some(mut body) if !body.is_empty() => body.i64()?,
            _ => 0,
        };
        Ok(Some(Self { kind, limit, maximum }))
    }

    fn write_optional(policy: Option<Self>, writer: &mut Writer) {
        writer.write_single_revisions(0, |object| {
            object.revision(|body| {
                body.bool(policy.is_some());
                if let Some(policy) = policy {
                    body.compact_int(policy.kind as u32);
                    body.i64(policy.limit);
                }
            });
            // Without a policy the server writes the second revision without content.
            object.revision(|body| {
                if let Some(policy) = policy {
                    body.i64(policy.maximum);
                }
            });
        });
    }
}

/// Decodes a row of `streamsInScope` or `kvTablesInScope`: the id that ends the names of the stream's tables. A table
/// with another id is a leftover of a deleted stream of the same name.
///
/// # Errors
/// If the value is not 16 bytes.
pub fn decode_table_id(bytes: &[u8]) -> Result<Uuid, DecodeError> {
    let mut reader = Reader::new("id of a stream", bytes);
    let id = reader.uuid()?;
    reader.expect_end()?;
    Ok(id)
}

/// Decodes the row `configuration` of a key-value table: how long its keys are, in bytes.
///
/// # Errors
/// If the bytes do not follow the format.
pub fn decode_key_length(bytes: &[u8]) -> Result<u64, DecodeError> {
    let mut reader = Reader::new("configuration of a key-value table", bytes);
    let length = reader.read_single("configuration of a key-value table", |body| {
        body.utf()?;
        body.utf()?;
        // Partitions.
        body.u32()?;
        Ok(u64::from(body.u32()?) + u64::from(body.u32()?))
    })?;
    reader.expect_end()?;
    Ok(length)
}

/// True if a row `configuration` is that of a key-value table. Fields may come to a record at its end, so that the bytes of a stream's
/// are well-formed here too, but not the other way round.
pub fn is_key_value_table_configuration(bytes: &[u8]) -> bool {
    StreamConfiguration::decode(bytes).is_err() && decode_key_length(bytes).is_ok()
}

/// What the row `state` of a key-value table (`KVTableState`) or of a reader group (`ReaderGroupState`) says. The numbers of both are the same, and
/// differ from those of streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreationState {
    /// Nothing is known; a controller takes it for one that does not exist.
    Unknown,
    /// Its segments are being created; nobody can use it yet.
    Creating,
    /// It is being deleted.
    Deleting,
    /// It is in use.
    Active,
}

impl CreationState {
    /// Decodes the row (`KVTStateRecord`, `ReaderGroupStateRecord`).
    ///
    /// # Errors
    /// If the bytes do not follow the format or the number is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("state of a key-value table or reader group", bytes);
        let state = reader.read_single("state of a key-value table or reader group", |body| {
            let error = body.error("a state from 0 to 3");
            match body.compact_int()? {
                0 => Ok(Self::Unknown),
                1 => Ok(Self::Creating),
                2 => Ok(Self::Deleting),
                3 => Ok(Self::Active),
                _ => Err(error),
            }
        })?;
        reader.expect_end()?;
        Ok(state)
    }
}

/// Id of a transaction: upper half `stream epoch << 32 | counter most`, lower half `counter least`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub Uuid);

impl TransactionId {
    /// Parses the 36 characters of a key of the controller's tables, in lower or upper case.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = [0; 32];
        let mut length = 0;
        for (position, byte) in text.bytes().enumerate() {
            if matches!(position, 8 | 13 | 18 | 23) {
                (byte == b'-').then_some(())?;
            } else {
                *digits.get_mut(length)? = byte;
                length += 1;
            }
        }
        if length == digits.len() { Self::parse_digits(std::str::from_utf8(&digits).ok()?) } else { None }
    }

    /// Parses the 32 hexadecimal digits of a segment name.
    pub fn parse_digits(digits: &str) -> Option<Self> {
        let valid = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = u128::from_str_radix(digits, 16).ok().filter(|_| valid)?;
        Some(Self(Uuid(number.to_be_bytes())))
    }

    /// Epoch of the stream in which the transaction was created.
    pub fn stream_epoch(&self) -> i32 {
        (self.0.most() >> 32) as i32
    }

    /// The value of the cluster's counter that the id was made of.
    pub fn counter(&self) -> TransactionCounter {
        // The truncation takes the lower half, which is the counter's part.
        TransactionCounter { most: self.0.most() as i32, least: self.0.least() }
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The transaction of a key `Key.#.<scope>.#.<stream>.#./<uuid>` of a table `completedTransactionsBatch-<n>`.
pub fn completed_transaction_of_key(key: &str) -> Option<TransactionId> {
    TransactionId::parse(key.rsplit_once('/')?.1)
}

/// The key of a transaction in a table `completedTransactionsBatch-<n>` (`PravegaTablesStream.getCompletedTransactionKey`).
pub fn key_of_completed_transaction(scope: &str, stream: &str, id: TransactionId) -> String {
    format!("Key.#.{scope}.#.{stream}.#./{id}")
}

/// ZooKeeper node `counter`: the upper end of the last range of 96-bit numbers that a controller reserved for transaction
/// ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TransactionCounter {
    /// Upper 32 bits.
    pub most: i32,
    /// Lower 64 bits.
    pub least: i64,
}

impl TransactionCounter {
    /// Decodes the data of the node.
    ///
    /// # Errors
    /// If the data is not 12 bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("transaction counter", bytes);
        let counter = Self { most: reader.i32()?, least: reader.i64()? };
        reader.expect_end()?;
        Ok(counter)
    }

    /// The data of the node.
    pub fn encode(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let source = self.most.to_be_bytes().into_iter().chain(self.least.to_be_bytes());
        bytes.iter_mut().zip(source).for_each(|(slot, byte)| *slot = byte);
        bytes
    }

    /// A counter above every number of this one's upper half, also those of which no trace is left; none at the end of the
    /// range.
    pub fn next_generation(&self) -> Option<Self> {
        Some(Self { most: self.most.checked_add(1)?, least: 0 })
    }
}

/// Status of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransactionStatus {
    /// Not known.
    Unknown,
    /// Accepts writes.
    Open,
    /// Commit was requested.
    Committing,
    /// Committed.
    Committed,
    /// Abort was requested.
    Aborting,
    /// Aborted.
    Aborted,
}

impl TransactionStatus {
    /// As the controller's own documentation calls it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Open => "open",
            Self::Committing => "committing",
            Self::Committed => "committed",
            Self::Aborting => "aborting",
            Self::Aborted => "aborted",
        }
    }

    fn read(body: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let error = body.error("a transaction status from 0 to 5");
        Ok(match body.compact_int()? {
            0 => Self::Unknown,
            1 => Self::Open,
            2 => Self::Committing,
            3 => Self::Committed,
            4 => Self::Aborting,
            5 => Self::Aborted,
            _ => return Err(error),
        })
    }
}

/// Row of a table `transactionsInEpoch-<e>`; its key is the text of the transaction id. Times are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActiveTransaction {
    /// Time of creation.
    pub created: i64,
    /// Time at which the lease ends.
    pub lease_expiry: i64,
    /// Time at which the transaction ends at the latest.
    pub maximum_execution_expiry: i64,
    /// Its status.
    pub status: TransactionStatus,
    /// Its place in the order of commits, once it is being committed.
    pub commit_order: Option<CommitOrder>,
}

impl ActiveTransaction {
    /// Decodes a row; what later revisions hold is skipped.
    ///
    /// # Errors
    /// If the bytes do not follow the format or the status is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("active transaction", bytes);
        let transaction = reader.read_single_revisions("active transaction", 0, |object| {
            let mut body = object.required_revision()?;
            let mut transaction = Self {
                created: body.i64()?,
                lease_expiry: body.i64()?,
                maximum_execution_expiry: body.i64()?,
                status: TransactionStatus::read(&mut body)?,
                commit_order: None,
            };
            if let Some(mut body) = object.revision()? {
                body.utf()?;
                body.i64()?;
                transaction.commit_order = Some(body.i64()?).filter(|order| *order != i64::MIN).map(CommitOrder);
            }
            Ok(transaction)
        })?;
        reader.expect_end()?;
        Ok(transaction)
    }
}

/// Row of a table `completedTransactionsBatch-<n>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletedTransaction {
    /// Milliseconds since 1970.
    pub completed: i64,
    /// Committed or aborted.
    pub status: TransactionStatus,
}

impl CompletedTransaction {
    /// Encodes a row.
    ///
    /// # Errors
    /// Never for any value of this type; the writer's interface has the case.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single(|body| {
            body.i64(self.completed);
            body.compact_int(self.status as u32);
        });
        writer.finish()
    }

    /// Decodes a row.
    ///
    /// # Errors
    /// If the bytes do not follow the format or the status is unknown.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("completed transaction", bytes);
        let transaction = reader.read_single("completed transaction", |body| {
            Ok(Self { completed: body.i64()?, status: TransactionStatus::read(body)? })
        })?;
        reader.expect_end()?;
        Ok(transaction)
    }
}

/// Bucket of a stream in retention or watermarking, for a cluster with `bucket_count` buckets; a count of 0 counts as 1.
pub fn bucket_of(scope: &str, stream: &str, bucket_count: u32) -> u32 {
    let units = scope.encode_utf16().chain([u16::from(b'/')]).chain(stream.encode_utf16());
    // String.hashCode of Java.
    let hash = units.fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    (hash & 0x7fff_ffff) % bucket_count.max(1)
}

/// Name of the node of a stream below its bucket: standard Base64 with padding of `scope/stream`.
pub fn bucket_node(scope: &str, stream: &str) -> String {
    base64(format!("{scope}/{stream}").as_bytes())
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0usize, |bits, index| bits << 8 | group.get(index).map_or(0, |byte| usize::from(*byte)));
        for sextet in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * sextet)) & 63];
            text.push(if sextet <= group.len() { char::from(letter) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests;

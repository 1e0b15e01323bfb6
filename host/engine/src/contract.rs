//! What a recovery procedure can ask of its host: the native twin of `wit/0.1.0/recovery.wit`.
//!
//! The runtime translates between the two and adds nothing. The engine's [`crate::staging::Staging`] is the
//! implementation that recovers clusters; a test host is one more. Documentation of the calls' meaning stands in the
//! WIT, which is the contract; here stands only what is different natively.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The number of a segment container.
pub type ContainerId = u32;

/// Most rows that one page of a listing holds, whatever the caller asks for. Bounds the memory that a guest can make
/// the host use for one call.
pub const PAGE_ROWS_MAX: usize = 4096;

/// Why a call of a procedure failed; the WIT's `types.error`, case by case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "case", content = "message", rename_all = "kebab-case")]
pub enum CallError {
    /// The container, segment, object or ZNode does not exist.
    #[error("{0}")]
    NotFound(String),
    /// It exists already.
    #[error("{0}")]
    AlreadyExists(String),
    /// The call contradicts what was staged or what the evidence proves.
    #[error("{0}")]
    Conflict(String),
    /// An argument is malformed or out of range.
    #[error("{0}")]
    Invalid(String),
    /// Not granted to the procedure.
    #[error("{0}")]
    Denied(String),
    /// The evidence cannot be read as what it should be.
    #[error("{0}")]
    Damaged(String),
    /// A server or the storage did not answer.
    #[error("{0}")]
    Unavailable(String),
    /// A limit of the host was reached.
    #[error("{0}")]
    Exhausted(String),
    /// The procedure itself failed. The host never returns this case.
    #[error("{0}")]
    Failed(String),
}

/// Result of a call.
pub type CallResult<T> = Result<T, CallError>;

/// A listing that hands out its rows page by page.
pub trait Pages<T>: Send {
    /// At most `limit` rows, and at most [`PAGE_ROWS_MAX`]; empty at the end.
    ///
    /// # Errors
    /// Whatever reading the evidence can meet.
    fn next_page(&mut self, limit: usize) -> CallResult<Vec<T>>;
}

/// A container that left something in Tier-2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSummary {
    /// Its number.
    pub id: ContainerId,
    /// Objects in Tier-2 that belong to it.
    pub objects: u64,
    /// Their sizes added up, in bytes.
    pub bytes: u64,
    /// The highest container epoch in any of their names.
    pub highest_epoch: u64,
}

/// One segment after reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Full name.
    pub name: String,
    /// Kind by name; an open set, see the WIT.
    pub kind: String,
    /// Owner.
    pub container: ContainerId,
    /// Sealed by record, row or controller.
    pub sealed: bool,
    /// First readable offset, in bytes.
    pub start_offset: u64,
    /// End of the bytes held without a hole.
    pub length: u64,
    /// Length by storage metadata.
    pub recorded_length: Option<u64>,
    /// Length by old container metadata.
    pub row_length: Option<u64>,
    /// `live`, `deleted` or `unrecorded`.
    pub standing: String,
    /// Codes of oddities.
    pub findings: Vec<String>,
}

/// What the bytes of a segment are; the WIT's `measurement`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    /// `events`, `bytes` or `table`.
    pub content: String,
    /// Largest length that does not end inside an item.
    pub whole_length: u64,
    /// Events or table entries up to there.
    pub items: u64,
}

/// An object of Tier-2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Raw key relative to the root.
    pub key: String,
    /// In bytes.
    pub size: u64,
}

/// A segment to be created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewSegment {
    /// Name of a listed segment.
    pub name: String,
    /// Create it sealed.
    pub sealed: bool,
    /// Bytes to keep.
    pub length: u64,
}

/// A core attribute: the low half of its id, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreAttribute {
    /// Low half of the id; the high half is 2^63.
    pub id: u64,
    /// Value.
    pub value: i64,
}

/// Core attributes to set on one created segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeUpdate {
    /// Name.
    pub segment: String,
    /// Attributes to set.
    pub attributes: Vec<CoreAttribute>,
}

/// A new start offset for one created segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truncation {
    /// Name.
    pub segment: String,
    /// First readable offset.
    pub start_offset: u64,
}

/// What became of the state of a reader group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewedGroup {
    /// `renewed`, or why not: `empty`, `unreadable`; an open set, see the WIT.
    pub outcome: String,
    /// Readers that were taken out.
    pub readers: Vec<String>,
    /// Segments with offsets behind their end, which were moved there.
    pub offsets_ahead: u32,
    /// Newest events that were left out, since they speak of segments that nobody has.
    pub changes_ahead: u32,
}

/// A transaction that was under way, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedTransaction {
    /// Id, as the controller writes it.
    pub id: String,
    /// `<scope>/<stream>`.
    pub stream: String,
    /// `open`, `committing`, `aborting`; an open set, see the WIT.
    pub status: String,
    /// `committed`, `aborted` or `unknown`.
    pub outcome: String,
}

/// What a fresh container became.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerImage {
    /// Segments in it, attribute indexes not counted.
    pub segments: u64,
    /// Operations in its log.
    pub operations: u64,
    /// Bytes of the log.
    pub log_bytes: u64,
    /// Epoch written to its log ZNode.
    pub epoch: u64,
    /// SHA-256 of the image file, lower-case hex.
    pub digest: String,
}

/// One row of old container metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataRow {
    /// Name of the segment.
    pub name: String,
    /// As last written.
    pub start_offset: u64,
    /// As last written.
    pub length: u64,
    /// As last written.
    pub sealed: bool,
    /// Core attributes.
    pub attributes: Vec<CoreAttribute>,
}

/// A retention policy of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// `time` (milliseconds) or `size` (bytes).
    pub kind: String,
    /// How much to keep.
    pub limit: i64,
}

/// One stream of the controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// Scope.
    pub scope: String,
    /// Name within the scope.
    pub name: String,
    /// State, an open set, see the WIT.
    pub state: String,
    /// Policy, if any.
    pub retention: Option<Retention>,
    /// ZNode relative to the cluster root by which retention finds the stream.
    pub retention_znode: String,
}

/// Counter behind transaction ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TransactionCounter {
    /// Upper 32 bits.
    pub high: i32,
    /// Lower 64 bits.
    pub low: i64,
}

/// Work that controllers had under way, or something of it that the operator has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingWork {
    /// `transaction`, `commit-order`, `event-processors`, `request` or `attention`; an open set, see the WIT.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// Why the ZNode is needed, or what the operator has to do.
    pub reason: String,
    /// The ZNode by which a controller finds it; none for `attention`.
    pub znode: Option<PendingZNode>,
}

/// A ZNode by which a controller finds work that is pending.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingZNode {
    /// Relative to the cluster's root.
    pub path: String,
    /// Content. Hexadecimal where it is written down.
    #[serde(with = "hexadecimal")]
    pub data: Vec<u8>,
}

/// A ZNode as a procedure sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZNode {
    /// Content. Hexadecimal where it is written down.
    #[serde(with = "hexadecimal")]
    pub data: Vec<u8>,
    /// Version for compare-and-set.
    pub version: i32,
}

mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&crate::plan::hex(bytes))
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
            _ => None,
        };
        let bytes: Option<Vec<u8>> = text.as_bytes().chunks(2).map(byte).collect();
        bytes.ok_or_else(|| D::Error::custom(format!("`{text}` is not hexadecimal, two digits a byte")))
    }
}

/// How much a message matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// For the author of the procedure.
    Debug,
    /// What happens.
    Info,
    /// What the operator should look at.
    Warning,
}

/// A choice that the procedure made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Container concerned, if one.
    pub container: Option<ContainerId>,
    /// What it is about.
    pub subject: String,
    /// What was chosen.
    pub choice: String,
    /// Why.
    pub reason: String,
}

/// Bytes that the new cluster will not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LostRange {
    /// Owner.
    pub container: ContainerId,
    /// Full name of the segment.
    pub segment: String,
    /// First lost offset.
    pub first: u64,
    /// Offset behind the last lost byte, if known.
    pub end: Option<u64>,
    /// `torn`, `missing-object`, `unflushed`, `unrecorded` or `dropped`; an open set, see the WIT.
    pub reason: String,
}

/// A bookie, as its disks show it; the WIT's `bookies.bookie`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bookie {
    /// Id, by its cookie.
    pub id: String,
    /// Ledgers of which it holds an entry.
    pub ledgers: u64,
    /// Entries that it holds whole.
    pub entries: u64,
    /// What is odd about its disks, in words.
    pub findings: Vec<String>,
}

/// A ledger, put together from all disks; the WIT's `ledgers.ledger`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Id.
    pub id: i64,
    /// Container whose log it is part of.
    pub container: Option<ContainerId>,
    /// Why it is part of no log: `empty`, `missing`, `no-container`, `superseded`, `truncated`; an open set. Empty if it is part of one.
    pub stray: String,
    /// Entries that can be read from the first on.
    pub entries: u64,
    /// Payload bytes in them.
    pub bytes: u64,
    /// First operation that begins in them; 0 if none does.
    pub first_operation: i64,
    /// Last one.
    pub last_operation: i64,
    /// Bookies that hold any of them.
    pub bookies: Vec<String>,
    /// Entries that no disk holds although one holds later ones, or ZooKeeper tells of them.
    pub missing: u64,
    /// What ZooKeeper says of it: `open`, `in-recovery`, `closed`; empty if it is not registered.
    pub registered: String,
    /// Entries that disks hold behind the end that ZooKeeper knows.
    pub left_out: u64,
}

/// A durable log, put together from ledgers; the WIT's `logs.log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DurableLog {
    /// Whose it is.
    pub container: ContainerId,
    /// Ledgers, in the order of the log.
    pub ledgers: Vec<i64>,
    /// First operation, by sequence number.
    pub first_operation: i64,
    /// Last one.
    pub last_operation: i64,
    /// Entries.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How its ZNode stands to it: `absent`, `fits`, `outdated`, `unjoined`; an open set.
    pub znode: String,
    /// Why, in words; empty if there is nothing to say.
    pub reason: String,
    /// Why it cannot be restored, if that is known.
    #[serde(default)]
    pub flaw: Option<String>,
    /// Bytes of it that are seen behind what Tier-2 holds, and are written there when the container is built anew.
    #[serde(default)]
    pub salvaged_bytes: u64,
}

/// A log that was read whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredLog {
    /// Ledgers.
    pub ledgers: u32,
    /// Operations that the store will replay.
    pub operations: u64,
    /// Sequence number of the last one.
    pub last_operation: i64,
    /// Epoch in its ZNode.
    pub epoch: u64,
    /// What becomes of its ZNode: `created`, `kept`, `replaced`.
    pub znode: String,
    /// Ledgers that ZooKeeper has as never closed, and that are closed at the end that was found.
    pub closed: Vec<i64>,
    /// The last hole in it, behind which it is replayed, if there is one.
    #[serde(default)]
    pub bridged: Option<String>,
}

/// A fresh container in the overlay.
pub trait FreshContainer: Send {
    /// Adds segments, all or none.
    ///
    /// # Errors
    /// `not-found`, `already-exists`, `invalid` (length beyond what the objects hold, or inside a table entry).
    fn create_segments(&mut self, segments: Vec<NewSegment>) -> CallResult<()>;
    /// Sets core attributes, all or none.
    ///
    /// # Errors
    /// `not-found`; `invalid` for attributes that would break the container.
    fn update_attributes(&mut self, updates: Vec<AttributeUpdate>) -> CallResult<()>;
    /// Marks segments as sealed, all or none.
    ///
    /// # Errors
    /// `not-found`.
    fn seal_segments(&mut self, names: Vec<String>) -> CallResult<()>;
    /// Moves start offsets forward, all or none.
    ///
    /// # Errors
    /// `not-found`; `invalid` if out of range.
    fn truncate_segments(&mut self, truncations: Vec<Truncation>) -> CallResult<()>;
    /// Lets the state of reader groups begin anew, without readers; the answers are in the order of `names`.
    ///
    /// # Errors
    /// `not-found`; `invalid` for other segments; `damaged`, `unavailable`.
    fn renew_reader_groups(&mut self, names: Vec<String>) -> CallResult<Vec<RenewedGroup>>;
    /// Ends the transactions that created tables hold as under way; may be called once, when all segments are created.
    ///
    /// # Errors
    /// `conflict` for a second call; `unavailable`.
    fn end_transactions(&mut self) -> CallResult<Vec<EndedTransaction>>;
    /// Writes the log image and stages its effects. A second call is a `conflict`.
    ///
    /// # Errors
    /// `conflict` while metadata objects would stay in place; `damaged`, `unavailable`.
    fn close(&mut self) -> CallResult<ContainerImage>;
}

/// One instance of a procedure; in the order in which a run has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "export", content = "task", rename_all = "kebab-case")]
pub enum Instance {
    /// The one that divides the work.
    Prepare,
    /// The one of the task with this id.
    Run(String),
    /// The last one.
    Finish,
}

/// One run of a procedure, seen from the procedure. Implementations are shared by parallel tasks.
pub trait RecoveryHost: Send + Sync {
    /// The host for the calls of one instance; none if all instances may share this one. For hosts that keep calls
    /// apart, such as a recording.
    fn for_instance(&self, _instance: &Instance) -> Option<Arc<dyn RecoveryHost>> {
        None
    }
    /// All containers, by number.
    ///
    /// # Errors
    /// As every call here: the classes of [`CallError`].
    fn containers(&self) -> CallResult<Vec<ContainerSummary>>;
    /// Segments of a container, by name.
    ///
    /// # Errors
    /// `not-found` for an unknown container, `damaged`, `unavailable`.
    fn list_segments(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Segment>>>;
    /// Where the segments' content ends whole, in the order of `names`.
    ///
    /// # Errors
    /// `not-found`, `unavailable`; `exhausted` for more than [`PAGE_ROWS_MAX`] names.
    fn measure(&self, container: ContainerId, names: &[String]) -> CallResult<Vec<Measure>>;
    /// Objects of the old metadata of a container, by key.
    ///
    /// # Errors
    /// `not-found`.
    fn list_metadata_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>>;
    /// Objects that only deleted segments owned, by key.
    ///
    /// # Errors
    /// `not-found`, `damaged`, `unavailable`.
    fn list_leftover_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>>;
    /// Stages moving objects to `<place>/<key>`.
    ///
    /// # Errors
    /// `not-found`; `invalid` for a place outside `_dr/`; `conflict` for an object that was staged already.
    fn move_aside(&self, container: ContainerId, keys: &[String], place: &str) -> CallResult<()>;
    /// Opens a fresh container.
    ///
    /// # Errors
    /// `not-found`; `conflict` if it is open or closed already.
    fn open_fresh_container(&self, container: ContainerId) -> CallResult<Box<dyn FreshContainer>>;
    /// Newest rows of the old metadata table.
    ///
    /// # Errors
    /// `not-found`, `damaged`, `unavailable`.
    fn open_old_metadata(&self, container: ContainerId) -> CallResult<Box<dyn Pages<MetadataRow>>>;
    /// Streams, by scope and name; only in `finish`.
    ///
    /// # Errors
    /// `conflict` before `finish`.
    fn list_streams(&self) -> CallResult<Box<dyn Pages<StreamState>>>;
    /// Highest counter in any transaction id; only in `finish`.
    ///
    /// # Errors
    /// `conflict` before `finish`.
    fn highest_transaction_counter(&self) -> CallResult<Option<TransactionCounter>>;
    /// Work that controllers had under way, as the tables in Tier-2 tell.
    ///
    /// # Errors
    /// `unavailable`.
    fn list_pending_work(&self) -> CallResult<Box<dyn Pages<PendingWork>>>;
    /// A ZNode, real or staged. Paths are relative to the cluster's root.
    ///
    /// # Errors
    /// `invalid` path, `unavailable`.
    fn znode(&self, path: &str) -> CallResult<Option<ZNode>>;
    /// Names of children, sorted.
    ///
    /// # Errors
    /// `invalid` path, `unavailable`.
    fn znode_children(&self, path: &str) -> CallResult<Vec<String>>;
    /// Stages creating a node.
    ///
    /// # Errors
    /// `already-exists`, `invalid`, `unavailable`.
    fn create_znode(&self, path: &str, data: Vec<u8>) -> CallResult<()>;
    /// Stages new content.
    ///
    /// # Errors
    /// `not-found`; `conflict` for another version.
    fn set_znode(&self, path: &str, data: Vec<u8>, expected_version: i32) -> CallResult<()>;
    /// Stages deleting a node.
    ///
    /// # Errors
    /// `not-found`; `conflict` for another version or a node with children.
    fn delete_znode(&self, path: &str, expected_version: i32) -> CallResult<()>;
    /// Bookies whose disks were read, by id. Hosts without disks answer this call and the following ones as it is done here.
    ///
    /// # Errors
    /// `not-found` if no disks were given.
    fn bookies(&self) -> CallResult<Vec<Bookie>> {
        Err(no_disks())
    }
    /// Stages the registration of bookies.
    ///
    /// # Errors
    /// `not-found`; `invalid` if none is named; `conflict` if one is named twice, if a ledger would be deleted, or for a second call.
    fn register_bookies(&self, _ids: &[String]) -> CallResult<()> {
        Err(no_disks())
    }
    /// Ledgers that any disk holds an entry of, by id.
    ///
    /// # Errors
    /// `not-found` if no disks were given.
    fn ledgers(&self) -> CallResult<Box<dyn Pages<Ledger>>> {
        Err(no_disks())
    }
    /// Stages registering ledgers that are part of no log, all or none.
    ///
    /// # Errors
    /// `not-found`; `conflict` for one that is part of a log or was kept before; `damaged` if there are fewer bookies than an
    /// ensemble has; `exhausted` for more than [`PAGE_ROWS_MAX`].
    fn keep_ledgers(&self, _ids: &[i64]) -> CallResult<()> {
        Err(no_disks())
    }
    /// Durable logs, by container.
    ///
    /// # Errors
    /// `not-found` if no disks were given.
    fn durable_logs(&self) -> CallResult<Vec<DurableLog>> {
        Err(no_disks())
    }
    /// Reads a log whole and stages its ledgers and its log ZNode.
    ///
    /// # Errors
    /// `not-found`; `damaged` if something is missing; `conflict` if the container was restored or opened before.
    fn restore_log(&self, _container: ContainerId) -> CallResult<RestoredLog> {
        Err(no_disks())
    }
    /// A line for the run's log; `task` is the id of the task that speaks, if one does.
    fn log(&self, task: Option<&str>, level: Level, message: &str);
    /// How far a task is; a total of 0 is not known.
    fn progress(&self, task: Option<&str>, done: u64, total: u64);
    /// Records a decision.
    fn decision(&self, decision: Decision);
    /// Records a loss.
    fn loss(&self, range: LostRange);
    /// The runtime calls this after the last task succeeded and before `finish`.
    fn tasks_done(&self);
}

/// What a host without bookies' disks answers.
pub fn no_disks() -> CallError {
    CallError::NotFound("no disks of bookies were given; --bookie-disks names them".to_owned())
}

/// Hands out the rows of a vector page by page.
#[derive(Debug)]
pub struct VecPages<T> {
    rows: std::vec::IntoIter<T>,
}

impl<T> VecPages<T> {
    /// A listing of these rows.
    pub fn new(rows: Vec<T>) -> Self {
        Self { rows: rows.into_iter() }
    }
}

impl<T: Send> Pages<T> for VecPages<T> {
    fn next_page(&mut self, limit: usize) -> CallResult<Vec<T>> {
        Ok(self.rows.by_ref().take(limit.min(PAGE_ROWS_MAX)).collect())
    }
}

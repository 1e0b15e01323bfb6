//! Names of segments and objects, parsed from the right.
//!
//! User scopes and streams may contain almost any text (`scaleGroup`, `.E-`, `container1`), so nothing here searches for a
//! substring: a name is cut at its *last* suffix of a known form, and paths are compared part by part.
//!
//! Sources: `NameUtils`, `SegmentToContainerMapper`, `HandleSerializer` (rolling layout) of Pravega 0.13.0.

use crate::container_mapping;
use crate::controller::TransactionId;
use crate::primitives::Uuid;

/// Folder of the container's own segments and journals, with the trailing slash.
pub const CONTAINERS_FOLDER: &str = "_system/containers/";
/// Suffix of the segment that holds another segment's attribute index.
pub const ATTRIBUTE_SUFFIX: &str = "$attributes.index";
/// Separates a segment from the id of a transaction on it.
pub const TRANSACTION_DELIMITER: &str = "#transaction.";
/// Separates a segment from the ids of a transient segment of it.
pub const TRANSIENT_DELIMITER: &str = "#transient.";
/// Separates the number of a stream segment from the stream epoch that created it.
pub const EPOCH_DELIMITER: &str = ".#epoch.";
/// Suffix that the official recovery command gives to journals which it set aside.
pub const BACKUP_SUFFIX: &str = ".backup";
/// Scope of the controller's own streams and tables.
pub const SYSTEM_SCOPE: &str = "_system";
/// Reader groups of the controller itself, all in scope [`SYSTEM_SCOPE`].
pub const CONTROLLER_READER_GROUPS: [&str; 4] =
    ["scaleGroup", "commitStreamReaders", "abortStreamReaders", "kvtStreamReaders"];

const TABLES_FOLDER: &str = "_tables";
/// Begins the names of all tables of the controller.
pub const CONTROLLER_TABLES_PREFIX: &str = "_system/_tables/";
const READER_GROUPS_FOLDER: &str = "_readergroups";
/// Prefix of the stream that holds the state of a reader group.
pub const READER_GROUP_PREFIX: &str = "_RG";
/// Prefix of the stream that holds the watermarks of another.
pub const MARK_PREFIX: &str = "_MARK";
/// Suffix of the segments of a key-value table.
pub const KEY_VALUE_TABLE_SUFFIX: &str = "_kvtable";
const TABLE_ID_DELIMITER: &str = ".#.";
const METADATA_PREFIX: &str = "metadata_";
const STORAGE_METADATA_PREFIX: &str = "storage_metadata_";
const EVENT_PROCESSOR_PREFIX: &str = "event_processor_";
const GARBAGE_QUEUE_PREFIX: &str = "event_processor_GC.queue.";
const GARBAGE_FAILED_QUEUE_PREFIX: &str = "event_processor_GC.failed.queue.";
/// Hexadecimal digits of a transaction id, a writer id and a random id inside a segment name.
const ID_DIGITS: usize = 32;
const UUID_TEXT_LENGTH: usize = 36;

/// Whether a journal object is one file of records or a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JournalKind {
    /// Batches of records, one after the other.
    File,
    /// One snapshot record.
    Snapshot,
}

/// The parts of the name of a system journal object.
///
/// Ordered by container, epoch, index: the order in which files are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalName {
    /// Container that wrote it.
    pub container: u32,
    /// Epoch of the container's log at that time.
    pub epoch: u64,
    /// Number within epoch and kind. Files count from 1.
    pub index: u64,
    /// File or snapshot.
    pub kind: JournalKind,
}

impl std::fmt::Display for JournalName {
    /// Writes the object key, without the prefix that a binding may add.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            JournalKind::File => "file",
            JournalKind::Snapshot => "snapshot",
        };
        let Self { container, epoch, index, .. } = self;
        write!(formatter, "{CONTAINERS_FOLDER}_sysjournal.epoch{epoch}.container{container}.{kind}{index}")
    }
}

/// What the key of a Tier-2 object says (after removal of the prefix that the binding adds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectName<'a> {
    /// System journal file or snapshot.
    Journal(JournalName),
    /// A journal object that the official recovery command renamed; the server ignores it.
    JournalBackup(JournalName),
    /// Pointer to the newest snapshot (written by servers newer than 0.13.0).
    SnapshotInfo {
        /// Container that wrote it.
        container: u32,
    },
    /// Epoch of a planned shutdown (written by servers newer than 0.13.0).
    EpochFile {
        /// Container that wrote it.
        container: u32,
    },
    /// Chunk of a segment in the chunked layout.
    Chunk(ChunkName<'a>),
    /// Header of a segment in the rolling layout, which Pravega 0.13.0 cannot read.
    RollingHeader {
        /// Name of the segment.
        segment: &'a str,
    },
    /// Data of a segment in the rolling layout.
    RollingData {
        /// Name of the segment.
        segment: &'a str,
        /// Segment offset of the first byte.
        offset: u64,
    },
    /// Anything else. May be a rolling-layout segment without header; never to be deleted.
    Unknown,
}

/// The parts of the name of a chunk: `<segment>.E-<epoch>-O-<offset>.<uuid>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChunkName<'a> {
    /// Segment for which the chunk was created. After a merge it can belong to another segment of the same stream.
    pub segment: &'a str,
    /// Epoch of the container's log when it was created.
    pub epoch: u64,
    /// Segment offset of the first byte when it was created. A hint only: merges and defragmentation make it meaningless.
    pub offset: u64,
    /// Random UUID, 36 characters, lower case.
    pub uuid: &'a str,
}

impl std::fmt::Display for ChunkName<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { segment, epoch, offset, uuid } = self;
        write!(formatter, "{segment}.E-{epoch}-O-{offset}.{uuid}")
    }
}

impl<'a> ObjectName<'a> {
    /// Parses an object key, from which the prefix of the binding has been removed.
    ///
    /// Numbers must be in the form the server writes (decimal, no leading zeros, at most 2^63-1); a name with others is
    /// [`ObjectName::Unknown`], since the server would never look it up.
    pub fn parse(key: &'a str) -> Self {
        if let Some(chunk) = ChunkName::parse(key) {
            return Self::Chunk(chunk);
        }
        if let Some(name) = key.strip_prefix(CONTAINERS_FOLDER)
            && let Some(found) = Self::parse_container_file(name)
        {
            return found;
        }
        if let Some(segment) = key.strip_suffix("$header").filter(|segment| !segment.is_empty()) {
            return Self::RollingHeader { segment };
        }
        match split_number(key, "$offset.") {
            Some((segment, offset)) if !segment.is_empty() => Self::RollingData { segment, offset },
            _ => Self::Unknown,
        }
    }

    fn parse_container_file(name: &str) -> Option<Self> {
        if let Some(journal) = parse_journal(name) {
            return Some(Self::Journal(journal));
        }
        if let Some(journal) = name.strip_suffix(BACKUP_SUFFIX).and_then(parse_journal) {
            return Some(Self::JournalBackup(journal));
        }
        if let Some(middle) = strip_both(name, "_sysjournal.container", ".snapshot_info") {
            return Some(Self::SnapshotInfo { container: parse_container(middle)? });
        }
        let middle = strip_both(name, "container_", "_epoch")?;
        Some(Self::EpochFile { container: parse_container(middle)? })
    }
}

impl<'a> ChunkName<'a> {
    /// Parses the name of a chunk; none if it has another form.
    pub fn parse(key: &'a str) -> Option<Self> {
        let uuid = key.get(key.len().checked_sub(UUID_TEXT_LENGTH)?..)?;
        Uuid::parse(uuid.as_bytes())?;
        let rest = key.get(..key.len() - UUID_TEXT_LENGTH)?.strip_suffix('.')?;
        let (rest, offset) = split_number(rest, "-O-")?;
        let (segment, epoch) = split_number(rest, ".E-")?;
        (!segment.is_empty()).then_some(Self { segment, epoch, offset, uuid })
    }
}

fn parse_journal(name: &str) -> Option<JournalName> {
    let (rest, kind, index) = match split_number(name, ".file") {
        Some((rest, index)) => (rest, JournalKind::File, index),
        None => split_number(name, ".snapshot").map(|(rest, index)| (rest, JournalKind::Snapshot, index))?,
    };
    let (rest, container) = rest.rsplit_once(".container")?;
    let epoch = parse_number(rest.strip_prefix("_sysjournal.epoch")?)?;
    Some(JournalName { container: parse_container(container)?, epoch, index, kind })
}

fn strip_both<'a>(text: &'a str, prefix: &str, suffix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_suffix(suffix)
}

/// What stands before and behind the last `delimiter`, one of those that hold a `#`.
///
/// The same as `str::rsplit_once`, which first prepares a search that suits texts of any length, and takes longer for that
/// than a name has to be read; most names have no `#` at all, or one.
pub(crate) fn rsplit_at<'a>(text: &'a str, delimiter: &str) -> Option<(&'a str, &'a str)> {
    let (before, _) = delimiter.split_once('#')?;
    let mut end = text.len();
    while let Some(mark) = text.get(..end)?.rfind('#') {
        if let Some(start) = mark.checked_sub(before.len())
            && text.get(start..).is_some_and(|rest| rest.starts_with(delimiter))
        {
            return Some((text.get(..start)?, text.get(start + delimiter.len()..)?));
        }
        end = mark;
    }
    None
}

/// Splits at the delimiter that stands directly before the trailing number.
fn split_number<'a>(text: &'a str, delimiter: &str) -> Option<(&'a str, u64)> {
    let digits_start = text.len() - text.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (head, digits) = text.split_at_checked(digits_start)?;
    Some((head.strip_suffix(delimiter)?, parse_number(digits)?))
}

/// Parses a decimal number as Java's `%d` writes a non-negative long: no sign, no leading zero, at most 2^63-1.
fn parse_number(text: &str) -> Option<u64> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse::<u64>().ok().filter(|&number| canonical && number <= i64::MAX as u64)
}

fn parse_container(text: &str) -> Option<u32> {
    parse_number(text)?.try_into().ok().filter(|&container: &u32| container <= i32::MAX as u32)
}

fn is_lower_case_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// The attribute segment of `segment`.
pub fn attribute_segment_of(segment: &str) -> String {
    format!("{segment}{ATTRIBUTE_SUFFIX}")
}

/// The segment whose attributes `segment` holds; none if `segment` is no attribute segment.
pub fn main_segment_of(segment: &str) -> Option<&str> {
    segment.strip_suffix(ATTRIBUTE_SUFFIX).filter(|main| !main.is_empty())
}

/// Which of the two metadata tables of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SystemTable {
    /// `metadata_<N>`: the container's segment table.
    ContainerMetadata,
    /// `storage_metadata_<N>`: records of segments and chunks in Tier-2.
    StorageMetadata,
}

/// One of the four segments of a container which only the system journal describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemSegment {
    /// The container.
    pub container: u32,
    /// The table.
    pub table: SystemTable,
    /// True for the attribute segment of the table.
    pub attributes: bool,
}

impl SystemSegment {
    /// Recognises the four system segments of any container.
    pub fn parse(segment: &str) -> Option<Self> {
        let (name, attributes) = match main_segment_of(segment) {
            Some(main) => (main, true),
            None => (segment, false),
        };
        let name = name.strip_prefix(CONTAINERS_FOLDER)?;
        let (table, container) = match name.strip_prefix(STORAGE_METADATA_PREFIX) {
            Some(container) => (SystemTable::StorageMetadata, container),
            None => (SystemTable::ContainerMetadata, name.strip_prefix(METADATA_PREFIX)?),
        };
        Some(Self { container: parse_container(container)?, table, attributes })
    }

    /// The four system segments of a container, tables before their attribute segments.
    pub fn all_of(container: u32) -> [Self; 4] {
        let segment = |table, attributes| Self { container, table, attributes };
        [
            segment(SystemTable::ContainerMetadata, false),
            segment(SystemTable::ContainerMetadata, true),
            segment(SystemTable::StorageMetadata, false),
            segment(SystemTable::StorageMetadata, true),
        ]
    }
}

impl std::fmt::Display for SystemSegment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let prefix = match self.table {
            SystemTable::ContainerMetadata => METADATA_PREFIX,
            SystemTable::StorageMetadata => STORAGE_METADATA_PREFIX,
        };
        let suffix = if self.attributes { ATTRIBUTE_SUFFIX } else { "" };
        write!(formatter, "{CONTAINERS_FOLDER}{prefix}{}{suffix}", self.container)
    }
}

/// Name of the segment `metadata_<N>`.
pub fn container_metadata_segment(container: u32) -> String {
    format!("{CONTAINERS_FOLDER}{METADATA_PREFIX}{container}")
}

/// Name of the segment `storage_metadata_<N>`.
pub fn storage_metadata_segment(container: u32) -> String {
    format!("{CONTAINERS_FOLDER}{STORAGE_METADATA_PREFIX}{container}")
}

/// Names of the garbage collection queue of a container and of its queue of failed deletions.
pub fn garbage_queue_segments(container: u32) -> [String; 2] {
    [GARBAGE_QUEUE_PREFIX, GARBAGE_FAILED_QUEUE_PREFIX]
        .map(|prefix| format!("{CONTAINERS_FOLDER}{prefix}{container}_{container}"))
}

/// The container whose garbage collection queue (or queue of failed deletions) the segment is.
///
/// Attribute segments are not queues; strip with [`main_segment_of`] first if they are meant too.
pub fn garbage_queue_container(segment: &str) -> Option<u32> {
    let name = segment.strip_prefix(CONTAINERS_FOLDER)?;
    let numbers = name.strip_prefix(GARBAGE_QUEUE_PREFIX).or_else(|| name.strip_prefix(GARBAGE_FAILED_QUEUE_PREFIX))?;
    let (first, second) = numbers.split_once('_')?;
    (first == second).then(|| parse_container(first))?
}

/// A segment of a stream, or of a key-value table: `<scope>/<stream>/<number>.#epoch.<epoch>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamSegment<'a> {
    /// Scope.
    pub scope: &'a str,
    /// Stream, with the internal prefix or suffix, if any: `_RG<group>`, `_MARK<stream>`, `<table>_kvtable`.
    pub stream: &'a str,
    /// Number of the segment.
    pub number: u64,
    /// Epoch *of the stream* that created the segment; none in names of very old servers.
    pub epoch: Option<u64>,
}

impl<'a> StreamSegment<'a> {
    /// Parses the name of a stream segment: exactly three parts, without transaction or attribute suffix.
    pub fn parse(segment: &'a str) -> Option<Self> {
        let mut parts = segment.split('/');
        let (scope, stream, last) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || scope.is_empty() || stream.is_empty() {
            return None;
        }
        let (number, epoch) = match rsplit_at(last, EPOCH_DELIMITER) {
            Some((number, epoch)) => (number, Some(parse_number(epoch)?)),
            None => (last, None),
        };
        Some(Self { scope, stream, number: parse_number(number)?, epoch })
    }

    /// The 64-bit id that the controller uses: stream epoch in the upper half, number in the lower; none if they do not fit.
    pub fn id(&self) -> Option<i64> {
        let epoch = i32::try_from(self.epoch.unwrap_or(0)).ok()?;
        let number = i32::try_from(self.number).ok()?;
        Some(i64::from(epoch) << 32 | i64::from(number))
    }
}

/// Tables that every scope has, empty or not, besides those of [`stream_tags_tables`].
pub const SCOPE_TABLES: [&str; 3] = ["streamsInScope", "kvTablesInScope", "readerGroupsInScope"];
/// Tables over which the tags of a scope's streams are spread.
const TAGS_TABLES: u32 = 25;

/// Name of a table of a scope.
pub fn scope_table(scope: &str, name: &str, id: &str) -> String {
    format!("{CONTROLLER_TABLES_PREFIX}{scope}/{name}{TABLE_ID_DELIMITER}{id}")
}

/// Names of the tables of a scope that hold the tags of its streams.
pub fn stream_tags_tables(scope: &str, id: &str) -> impl Iterator<Item = String> {
    (0..TAGS_TABLES)
        .map(move |number| scope_table(scope, "streamTagsInScope", &format!("{id}{TABLE_ID_DELIMITER}{number}")))
}

/// Name of a table of a stream or key-value table.
pub fn stream_table(scope: &str, stream: &str, name: &str, id: &str) -> String {
    format!("{CONTROLLER_TABLES_PREFIX}{scope}/{stream}/{name}{TABLE_ID_DELIMITER}{id}")
}

/// Name of the table of a reader group.
pub fn reader_group_table(scope: &str, group: &str, id: &str) -> String {
    format!("{CONTROLLER_TABLES_PREFIX}{scope}/{READER_GROUPS_FOLDER}/{group}/metadata{TABLE_ID_DELIMITER}{id}")
}

/// Name of a stream segment by the id that the controller uses, see [`StreamSegment::id`].
pub fn stream_segment_name(scope: &str, stream: &str, id: i64) -> String {
    let (epoch, number) = (id >> 32, id & 0xffff_ffff);
    format!("{scope}/{stream}/{number}{EPOCH_DELIMITER}{epoch}")
}

/// A table of the controller below `_system/_tables/`. `id` is the UUID text after `.#.`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControllerTable<'a> {
    /// A table of the whole cluster: `scopes`, `deletedStreams`, `completedTransactionsBatches`, ...
    Cluster {
        /// Name of the table.
        name: &'a str,
    },
    /// A table of a scope: `streamsInScope`, `kvTablesInScope`, `readerGroupsInScope`, `streamTagsInScope`.
    Scope {
        /// The scope.
        scope: &'a str,
        /// Name of the table before the id.
        name: &'a str,
        /// Id of the scope (`<uuid>.#.<n>` for `streamTagsInScope`).
        id: &'a str,
    },
    /// A table of a stream or a key-value table: `metadata`, `epochsWithTransactions`, `transactionsInEpoch-<e>`, `writersPositions`.
    Stream {
        /// The scope.
        scope: &'a str,
        /// The stream or key-value table.
        stream: &'a str,
        /// Name of the table before the id.
        name: &'a str,
        /// Id of the stream.
        id: &'a str,
    },
    /// A table of a reader group: `metadata`.
    ReaderGroup {
        /// The scope.
        scope: &'a str,
        /// The reader group.
        group: &'a str,
        /// Name of the table before the id.
        name: &'a str,
        /// Id of the reader group.
        id: &'a str,
    },
}

impl<'a> ControllerTable<'a> {
    /// Parses the name of a controller table; none for any other segment, attribute segments included.
    pub fn parse(segment: &'a str) -> Option<Self> {
        if main_segment_of(segment).is_some() {
            return None;
        }
        let rest = segment.strip_prefix(SYSTEM_SCOPE)?.strip_prefix('/')?;
        let rest = rest.strip_prefix(TABLES_FOLDER)?.strip_prefix('/')?;
        let mut parts = [""; 4];
        let mut count = 0;
        for part in rest.split('/') {
            *parts.get_mut(count)? = part;
            count += 1;
        }
        match (count, parts) {
            (1, [name, ..]) if !name.is_empty() => Some(Self::Cluster { name }),
            (2, [scope, table, ..]) => {
                let (name, id) = split_table_id(table)?;
                Some(Self::Scope { scope, name, id })
            }
            (3, [scope, stream, table, _]) => {
                let (name, id) = split_table_id(table)?;
                Some(Self::Stream { scope, stream, name, id })
            }
            (4, [scope, READER_GROUPS_FOLDER, group, table]) => {
                let (name, id) = split_table_id(table)?;
                Some(Self::ReaderGroup { scope, group, name, id })
            }
            _ => None,
        }
    }
}

fn split_table_id(table: &str) -> Option<(&str, &str)> {
    // Table names are fixed words without the delimiter, while ids may contain it (`streamTagsInScope`).
    table.split_once(TABLE_ID_DELIMITER).filter(|(name, id)| !name.is_empty() && !id.is_empty())
}

/// What kind of segment a name denotes. Attribute segments have the kind of their main segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SegmentKind {
    /// Segment of a user's or the controller's stream.
    Stream,
    /// Segment of a transaction.
    Transaction,
    /// Transient segment: normally has no objects.
    Transient,
    /// State of a user's reader group.
    ReaderGroup,
    /// Watermarks of a stream.
    Mark,
    /// Segment of a key-value table.
    KeyValueTable,
    /// Table of the controller.
    ControllerTable,
    /// Queue (or failed queue) of the garbage collector of Tier-2.
    GarbageCollectionQueue,
    /// State and tables of one of the controller's own reader groups; they must not survive a recovery.
    ControllerReaderGroup,
    /// Anything else, the containers' metadata tables included.
    Other,
}

impl SegmentKind {
    /// Classifies a segment by its name. Never fails; an unknown form is [`SegmentKind::Other`].
    pub fn of(segment: &str) -> Self {
        // No server makes an index of an index, but what bears its name is of that kind, too.
        let segment = std::iter::successors(Some(segment), |name| main_segment_of(name)).last().unwrap_or(segment);
        if is_controller_reader_group(segment) {
            return Self::ControllerReaderGroup;
        }
        if transaction_id(segment).is_some() {
            return Self::Transaction;
        }
        if is_transient(segment) {
            return Self::Transient;
        }
        if garbage_queue_container(segment).is_some() {
            return Self::GarbageCollectionQueue;
        }
        if ControllerTable::parse(segment).is_some() {
            return Self::ControllerTable;
        }
        match StreamSegment::parse(segment) {
            Some(StreamSegment { stream, .. }) if stream.starts_with(READER_GROUP_PREFIX) => Self::ReaderGroup,
            Some(StreamSegment { stream, .. }) if stream.starts_with(MARK_PREFIX) => Self::Mark,
            Some(StreamSegment { stream, .. }) if stream.ends_with(KEY_VALUE_TABLE_SUFFIX) => Self::KeyValueTable,
            Some(_) => Self::Stream,
            None => Self::Other,
        }
    }

    /// The documented string of the procedure contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::Transaction => "transaction",
            Self::Transient => "transient",
            Self::ReaderGroup => "reader-group",
            Self::Mark => "mark",
            Self::KeyValueTable => "key-value-table",
            Self::ControllerTable => "controller-table",
            Self::GarbageCollectionQueue => "garbage-collection-queue",
            Self::ControllerReaderGroup => "controller-reader-group",
            Self::Other => "other",
        }
    }
}

impl std::fmt::Display for SegmentKind {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Whether the segment belongs to one of the controller's four reader groups: its state, the tables of its stream, its own
/// table, and their attribute segments. Only whole path parts in scope `_system` count.
pub fn is_controller_reader_group(segment: &str) -> bool {
    let segment = main_segment_of(segment).unwrap_or(segment);
    let is_group = |name: &str| CONTROLLER_READER_GROUPS.contains(&name);
    let is_group_stream = |stream: &str| stream.strip_prefix(READER_GROUP_PREFIX).is_some_and(is_group);
    if let Some(StreamSegment { scope, stream, .. }) = StreamSegment::parse(segment) {
        return scope == SYSTEM_SCOPE && is_group_stream(stream);
    }
    match ControllerTable::parse(segment) {
        Some(ControllerTable::Stream { scope: SYSTEM_SCOPE, stream, name, .. }) => {
            is_group_stream(stream) && is_stream_table(name)
        }
        Some(ControllerTable::ReaderGroup { scope: SYSTEM_SCOPE, group, name: "metadata", .. }) => is_group(group),
        _ => false,
    }
}

fn is_stream_table(name: &str) -> bool {
    matches!(name, "metadata" | "epochsWithTransactions" | "writersPositions")
        || name.strip_prefix("transactionsInEpoch-").is_some_and(|epoch| parse_number(epoch).is_some())
}

fn is_transient(segment: &str) -> bool {
    let Some((parent, ids)) = rsplit_at(segment, TRANSIENT_DELIMITER) else { return false };
    let mut ids = ids.split('.');
    let (writer, random) = (ids.next(), ids.next());
    !parent.is_empty() && ids.next().is_none() && [writer, random].into_iter().all(|id| id.is_some_and(is_id))
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(is_lower_case_digit)
}

/// The id of the transaction to which the segment (or its attribute segment) belongs; none for other segments.
pub fn transaction_id(segment: &str) -> Option<TransactionId> {
    let segment = main_segment_of(segment).unwrap_or(segment);
    let (parent, id) = rsplit_at(segment, TRANSACTION_DELIMITER)?;
    if parent.is_empty() || !is_id(id) {
        return None;
    }
    TransactionId::parse_digits(id)
}

/// The segment that a transaction will be merged into, or that a transient segment belongs to; none for other segments.
pub fn parent_segment_of(segment: &str) -> Option<&str> {
    let segment = main_segment_of(segment).unwrap_or(segment);
    let delimiter = match SegmentKind::of(segment) {
        SegmentKind::Transaction => TRANSACTION_DELIMITER,
        SegmentKind::Transient => TRANSIENT_DELIMITER,
        _ => return None,
    };
    rsplit_at(segment, delimiter).map(|(parent, _)| parent)
}

/// The part of a segment's name that decides its container: without attribute suffix, transaction, transient ids and
/// stream epoch. For stream segments it is `<scope>/<stream>/<number>`.
///
/// Follows the server's own rule (at least 32 characters after the last delimiter), which is laxer than
/// [`transaction_id`], because a different rule would look in the wrong container.
pub fn primary_name(segment: &str) -> &str {
    container_mapping::primary_name(main_segment_of(segment).unwrap_or(segment))
}

/// The container that owns a segment, in a cluster of `container_count` containers.
///
/// The containers' own segments (metadata tables, event processors, their attribute segments) carry their container in
/// the name, and it is returned as it is, even if it is not below `container_count`: then the name cannot belong to this
/// cluster, or the count is wrong. Every other segment is placed by the hash of its [`primary_name`]; in 0 if the count is 0.
pub fn owning_container(segment: &str, container_count: u32) -> u32 {
    container_named_in(segment).or_else(|| container_mapping::container_of(segment, container_count)).unwrap_or(0)
}

/// The container that the name of a container's own segment carries: metadata tables, event processors, and their
/// attribute segments; none for every other segment.
pub fn container_named_in(segment: &str) -> Option<u32> {
    if let Some(system) = SystemSegment::parse(segment) {
        return Some(system.container);
    }
    let name = main_segment_of(segment).unwrap_or(segment).strip_prefix(CONTAINERS_FOLDER)?;
    let (_, container) = name.strip_prefix(EVENT_PROCESSOR_PREFIX)?.rsplit_once('_')?;
    parse_container(container)
}

#[cfg(test)]
mod tests;

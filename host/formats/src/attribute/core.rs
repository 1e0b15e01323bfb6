//! Core attributes: those with a number, kept in rows and checkpoints, never in an attribute index.

use std::fmt;

use super::AttributeMap;
use crate::primitives::Uuid;

/// Most significant half of the UUID of every core attribute (Java's `Attributes.CORE_ATTRIBUTE_ID_PREFIX`).
const CORE_PREFIX: i64 = i64::MIN;

/// A core attribute: its number is the least significant half of its UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CoreAttribute(pub u64);

impl CoreAttribute {
    /// The UUID that stands for it.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        Uuid::from_halves(CORE_PREFIX, self.0 as i64)
    }

    /// The core attribute of a UUID, or none for extended attributes.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Option<Self> {
        if uuid.most() == CORE_PREFIX { Some(Self(uuid.least() as u64)) } else { None }
    }

    /// Its name in Pravega's `Attributes` and `TableAttributes`, or none if it is not known.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            CREATION_TIME => "CREATION_TIME",
            EVENT_COUNT => "EVENT_COUNT",
            SCALE_POLICY_TYPE => "SCALE_POLICY_TYPE",
            SCALE_POLICY_RATE => "SCALE_POLICY_RATE",
            ROLLOVER_SIZE => "ROLLOVER_SIZE",
            ROOT_POINTER => "ATTRIBUTE_SEGMENT_ROOT_POINTER",
            PERSISTED_SEQUENCE_NUMBER => "ATTRIBUTE_SEGMENT_PERSIST_SEQ_NO",
            SEGMENT_TYPE => "ATTRIBUTE_SEGMENT_TYPE",
            SNAPSHOT_ID => "ATTRIBUTE_SLTS_LATEST_SNAPSHOT_ID",
            SNAPSHOT_EPOCH => "ATTRIBUTE_SLTS_LATEST_SNAPSHOT_EPOCH",
            ATTRIBUTE_ID_LENGTH => "ATTRIBUTE_ID_LENGTH",
            CREATION_EPOCH => "CREATION_EPOCH",
            INDEX_EVENT_SIZE => "EXPECTED_INDEX_SEGMENT_EVENT_SIZE",
            INDEX_OFFSET => "INDEX_OFFSET",
            ENTRY_COUNT => "ENTRY_COUNT",
            BUCKET_COUNT => "BUCKET_COUNT",
            TOTAL_ENTRY_COUNT => "TOTAL_ENTRY_COUNT",
            COMPACTION_OFFSET => "COMPACTION_OFFSET",
            MIN_UTILIZATION => "MIN_UTILIZATION",
            _ => return None,
        })
    }
}

impl fmt::Display for CoreAttribute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "core attribute {}", self.0),
        }
    }
}

/// When the segment was created, in milliseconds since 1970.
pub const CREATION_TIME: CoreAttribute = CoreAttribute(0);
/// Number of events in the segment.
pub const EVENT_COUNT: CoreAttribute = CoreAttribute(1);
/// Kind of the scaling policy.
pub const SCALE_POLICY_TYPE: CoreAttribute = CoreAttribute(2);
/// Target rate of the scaling policy.
pub const SCALE_POLICY_RATE: CoreAttribute = CoreAttribute(3);
/// Largest chunk, in bytes.
pub const ROLLOVER_SIZE: CoreAttribute = CoreAttribute(4);
/// Where the root page of the attribute index is. Never to be copied into a new log.
pub const ROOT_POINTER: CoreAttribute = CoreAttribute(7);
/// Operations up to this sequence number are in the attribute index. Never to be copied into a new log: attribute
/// updates with lower sequence numbers would silently not be persisted.
pub const PERSISTED_SEQUENCE_NUMBER: CoreAttribute = CoreAttribute(8);
/// Format and role of the segment, see [`SegmentType`].
pub const SEGMENT_TYPE: CoreAttribute = CoreAttribute(9);
/// Id of the latest snapshot of the system journal; only on `metadata_N`. Never to be copied into a new log.
pub const SNAPSHOT_ID: CoreAttribute = CoreAttribute(10);
/// Epoch of the latest snapshot of the system journal; only on `metadata_N`. Never to be copied into a new log.
pub const SNAPSHOT_EPOCH: CoreAttribute = CoreAttribute(11);
/// Length of the extended attribute ids, in bytes; absent or 0 for UUIDs. For fixed-key-length tables the key length.
pub const ATTRIBUTE_ID_LENGTH: CoreAttribute = CoreAttribute(12);
/// Epoch of the container that created the segment.
pub const CREATION_EPOCH: CoreAttribute = CoreAttribute(15);
/// Size of the events of an index segment; since Pravega 0.14.
pub const INDEX_EVENT_SIZE: CoreAttribute = CoreAttribute(16);

/// First number of the attributes of tables.
const TABLE_ATTRIBUTES: u64 = 1 << 20;
/// First offset of a table that is not indexed; a segment with this attribute is a table.
pub const INDEX_OFFSET: CoreAttribute = CoreAttribute(TABLE_ATTRIBUTES);
/// Number of distinct live keys of a table.
pub const ENTRY_COUNT: CoreAttribute = CoreAttribute(TABLE_ATTRIBUTES + 1);
/// Number of distinct key hashes of a table; 0 makes a table deletable as empty.
pub const BUCKET_COUNT: CoreAttribute = CoreAttribute(TABLE_ATTRIBUTES + 2);
/// Number of entries of a table including those overwritten and removed.
pub const TOTAL_ENTRY_COUNT: CoreAttribute = CoreAttribute(TABLE_ATTRIBUTES + 3);
/// Offset at which compaction goes on; an entry boundary.
pub const COMPACTION_OFFSET: CoreAttribute = CoreAttribute(TABLE_ATTRIBUTES + 4);
/// Least share of live entries, in percent, below which a table is compacted.
pub const MIN_UTILIZATION: CoreAttribute = CoreAttribute(TABLE_ATTRIBUTES + 5);
/// Retired, but still written as 0.
pub const RETIRED_TABLE_ATTRIBUTE: CoreAttribute = CoreAttribute(TABLE_ATTRIBUTES + 6);

/// Utilization that the store gives new tables, in percent.
const DEFAULT_MIN_UTILIZATION: i64 = 75;
/// Chunk size that the store gives container metadata tables, in bytes.
const SYSTEM_TABLE_ROLLOVER_SIZE: i64 = 16 << 20;

/// Value of [`SEGMENT_TYPE`]: a set of flags, where some flags imply others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentType(pub i64);

impl SegmentType {
    /// A stream segment.
    pub const STREAM: Self = Self(0);
    /// A hash table.
    pub const TABLE: Self = Self(0x1);
    /// A table whose keys have one length and are the attribute ids.
    pub const FIXED_KEY_TABLE: Self = Self(0x5);
    /// For the store itself.
    pub const INTERNAL: Self = Self(0x10);
    /// For the system.
    pub const SYSTEM: Self = Self(0x30);
    /// Nothing works without it.
    pub const CRITICAL: Self = Self(0x40);
    /// Not kept; has no row.
    pub const TRANSIENT: Self = Self(0x80);
    /// The type of `metadata_N` and `storage_metadata_N`.
    pub const CONTAINER_TABLE: Self = Self(0x71);
    /// The type of the segments of event processors, such as the queues of the garbage collector.
    pub const EVENT_PROCESSOR: Self = Self(0x70);

    /// True if all flags of `other` are set.
    #[must_use]
    pub const fn is(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The nine attributes of a new `metadata_N` or `storage_metadata_N`, in the order of the store's own maps.
#[must_use]
pub fn system_table_attributes() -> AttributeMap {
    [
        (INDEX_OFFSET, 0),
        (ENTRY_COUNT, 0),
        (BUCKET_COUNT, 0),
        (TOTAL_ENTRY_COUNT, 0),
        (COMPACTION_OFFSET, 0),
        (MIN_UTILIZATION, DEFAULT_MIN_UTILIZATION),
        (RETIRED_TABLE_ATTRIBUTE, 0),
        (ROLLOVER_SIZE, SYSTEM_TABLE_ROLLOVER_SIZE),
        (SEGMENT_TYPE, SegmentType::CONTAINER_TABLE.0),
    ]
    .into_iter()
    .collect()
}

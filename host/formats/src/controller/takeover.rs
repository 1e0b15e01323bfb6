//! ZooKeeper nodes by which a controller takes over the work of controllers that are gone.
//!
//! Paths are relative to the cluster's root. `host` is the id of a controller; any that is not registered counts as gone. A
//! controller looks at these nodes when it starts and when another one goes. Sources: `ZKHostIndex`, `TxnResource`,
//! `ZkOrderedStore`, `ZKCheckpointStore`, `ControllerEventSerializer` of Pravega 0.12.0 and 0.13.0, which are the same in both.

use super::{EpochTransition, TransactionId};
use crate::error::EncodeError;
use crate::primitives::Writer;

/// Between scope, stream and transaction in the name of an index entry.
const RESOURCE_SEPARATOR: &str = "_%_";

/// The node by which a transaction is found: one that is open gets a new lease, after which it is aborted; the commit or abort
/// of others is asked for again.
pub fn transaction_index_node(host: &str, scope: &str, stream: &str, id: TransactionId) -> String {
    format!("hostTxnIndex/{host}/{scope}{RESOURCE_SEPARATOR}{stream}{RESOURCE_SEPARATOR}{id}")
}

/// Content of that node: a version that nobody knows (`Version.IntVersion.EMPTY`). Nobody reads it.
pub fn transaction_index_data() -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.write_single(|body| body.i64(-1));
    writer.finish()
}

/// Place of a transaction in the order of commits of its stream, as its row holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitOrder(pub i64);

impl CommitOrder {
    /// Number of the collection.
    pub fn collection(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Position in the collection.
    pub fn position(self) -> u32 {
        self.0 as u32
    }

    /// The node that holds the text of the transaction's id.
    pub fn entity_node(self, scope: &str, stream: &str) -> String {
        format!("{}/entities/pos{:010}", self.collection_node(scope, stream), self.position())
    }

    /// The node without content that lets later commits go to the next collection. ZooKeeper counts positions by itself, from 0
    /// in a collection that was written anew, so nothing may be added to one.
    pub fn seal_node(self, scope: &str, stream: &str) -> String {
        format!("{}/sealed", self.collection_node(scope, stream))
    }

    fn collection_node(self, scope: &str, stream: &str) -> String {
        format!("txnCommitOrderer/{scope}/{stream}/collections/{}", self.collection())
    }
}

/// The node that names the readers of a controller in one of the four reader groups of all controllers. Whoever takes over
/// takes them out of the group.
pub fn event_processors_node(host: &str, group: &str) -> String {
    format!("eventProcessors/{host}/{group}")
}

/// Content of that node: `ZKCheckpointStore.ReaderGroupData` with these readers, in the state `Active`, serialized by Java.
///
/// # Errors
/// If there are more readers than Java can count, or the id of one is too long.
pub fn encode_event_processors(readers: &[&str]) -> Result<Vec<u8>, EncodeError> {
    const GROUP: &str = "io.pravega.controller.store.checkpoint.ZKCheckpointStore$ReaderGroupData";
    const STATE: &str = "io.pravega.controller.store.checkpoint.ZKCheckpointStore$ReaderGroupData$State";
    let count = i32::try_from(readers.len())
        .map_err(|_| EncodeError::new(format!("{} readers", readers.len()), "at most 2^31 - 1"))?;
    let mut stream = JavaStream(Writer::new());
    stream.0.bytes(&[0xac, 0xed, 0, 5]);
    stream.object(GROUP, 0x44bd_9bd1_5b1d_ee9f, SERIALIZABLE, &[("readerIds", "java.util.List"), ("state", STATE)]);
    stream.object("java.util.ArrayList", 0x7881_d21d_99c7_619d, SERIALIZABLE | OWN_METHOD, &[("size", INT)]);
    stream.0.i32(count);
    // What `ArrayList.writeObject` adds: the capacity, which is the size, and the elements.
    stream.0.bytes(&[0x77, 4]);
    stream.0.i32(count);
    readers.iter().for_each(|reader| stream.string(reader));
    stream.0.u8(END);
    stream.0.u8(0x7e);
    stream.class(STATE, 0, SERIALIZABLE | ENUM, &[]);
    stream.class("java.lang.Enum", 0, SERIALIZABLE | ENUM, &[]);
    stream.0.u8(NULL);
    stream.string("Active");
    stream.0.finish()
}

const SERIALIZABLE: u8 = 0x02;
const OWN_METHOD: u8 = 0x01;
const ENUM: u8 = 0x10;
const NULL: u8 = 0x70;
const END: u8 = 0x78;
/// Stands for the type `int` of a field; other types are names of classes.
const INT: &str = "I";

/// A stream as of the Java Object Serialization Specification, without references to what was written before.
struct JavaStream(Writer);

impl JavaStream {
    /// A new object of a class without a superclass; the values of its fields follow.
    fn object(&mut self, class: &str, version: u64, flags: u8, fields: &[(&str, &str)]) {
        self.0.u8(0x73);
        self.class(class, version, flags, fields);
        self.0.u8(NULL);
    }

    /// The description of a class; that of its superclass follows.
    fn class(&mut self, name: &str, version: u64, flags: u8, fields: &[(&str, &str)]) {
        self.0.u8(0x72);
        self.0.utf(name);
        self.0.bytes(&version.to_be_bytes());
        self.0.u8(flags);
        self.0.u16(fields.len() as u16);
        for (name, class) in fields {
            let is_primitive = *class == INT;
            self.0.u8(if is_primitive { b'I' } else { b'L' });
            self.0.utf(name);
            if !is_primitive {
                self.string(&format!("L{};", class.replace('.', "/")));
            }
        }
        self.0.u8(END);
    }

    fn string(&mut self, text: &str) {
        self.0.u8(0x74);
        self.0.utf(text);
    }
}

/// What a controller had been asked to do with a stream, and is asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Go on with this scale, if there is one. Without a transition the state of the stream is set back.
    Scale(Option<&'a EpochTransition>),
    /// Go on with sealing.
    Seal,
    /// Go on with the truncation in the stream's row.
    Truncate,
    /// Go on with the change of the configuration in the stream's row.
    Update,
}

/// Number by which a controller's log speaks of a request.
const REQUEST_ID: i64 = 0;

impl Request<'_> {
    /// In one word.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Scale(_) => "scale",
            Self::Seal => "seal",
            Self::Truncate => "truncate",
            Self::Update => "update",
        }
    }

    /// The node by which the request is found. Its name is any text; that of a controller is random.
    pub fn node(&self, host: &str, scope: &str, stream: &str) -> String {
        format!("hostRequestIndex/{host}/{}{RESOURCE_SEPARATOR}{scope}{RESOURCE_SEPARATOR}{stream}", self.as_str())
    }

    /// Content of that node: the event that is posted.
    ///
    /// # Errors
    /// If a name is too long or a list too large.
    pub fn encode(&self, scope: &str, stream: &str) -> Result<Vec<u8>, EncodeError> {
        let type_id = match self {
            Self::Scale(_) => 5,
            Self::Seal => 6,
            Self::Truncate => 7,
            Self::Update => 8,
        };
        let mut writer = Writer::new();
        writer.write_multi(type_id, |body| {
            body.utf(scope);
            body.utf(stream);
            if let Self::Scale(transition) = self {
                write_scale(*transition, body);
            }
            body.i64(REQUEST_ID);
        });
        writer.finish()
    }
}

fn write_scale(transition: Option<&EpochTransition>, body: &mut Writer) {
    let nothing = EpochTransition::default();
    let transition = transition.unwrap_or(&nothing);
    body.list(&transition.segments_to_seal, |body, segment| body.i64(*segment));
    body.list(&transition.new_segments, |body, (_, range)| {
        body.u64(range.low);
        body.u64(range.high);
    });
    // Only if it was begun: else there is nothing to go on with.
    body.bool(true);
    body.i64(transition.time);
}

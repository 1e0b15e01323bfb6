//! A declared world as it stands in a file: what is left out has the value that is usual in a healthy cluster.

mod disks;

use std::collections::BTreeMap;
use std::ops::Range;

use dr_engine::contract::{
    ContainerId, CoreAttribute, EndedTransaction, Measure, MetadataRow, PendingWork, PendingZNode, RenewedGroup,
    Retention, Segment, StreamState, TransactionCounter, ZNode,
};
use dr_formats::controller::{bucket_node, bucket_of};
use dr_formats::names::SegmentKind;
use dr_runtime::mock::{DeclaredContainer, DeclaredSegment, DeclaredTransaction, Objects, World, content_of_kind};
use serde::Deserialize;
use toml::Spanned;

use self::disks::{BookieTable, LedgerTable, LogTable};
use crate::error::Problem;

/// Size of an object whose size does not matter.
const OBJECT_BYTES: u64 = 100;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct WorldTable {
    #[serde(default)]
    container: Vec<ContainerTable>,
    #[serde(default)]
    stream: Vec<StreamTable>,
    transaction_counter: Option<CounterTable>,
    #[serde(default)]
    pending_work: Vec<PendingWorkTable>,
    #[serde(default)]
    bookie: Vec<BookieTable>,
    #[serde(default)]
    ledger: Vec<LedgerTable>,
    #[serde(default)]
    log: Vec<LogTable>,
    #[serde(default)]
    znode: Vec<ZNodeTable>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ContainerTable {
    id: Spanned<ContainerId>,
    #[serde(default = "one")]
    highest_epoch: u64,
    #[serde(default)]
    segment: Vec<SegmentTable>,
    #[serde(default)]
    row: Vec<RowTable>,
    metadata_objects: Option<Vec<ObjectTable>>,
    #[serde(default)]
    leftover_objects: Vec<ObjectTable>,
    #[serde(default)]
    transaction: Vec<TransactionTable>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct SegmentTable {
    name: Spanned<String>,
    kind: Option<String>,
    #[serde(default)]
    sealed: bool,
    #[serde(default)]
    start_offset: u64,
    length: Spanned<u64>,
    recorded_length: Option<u64>,
    row_length: Option<u64>,
    #[serde(default = "live")]
    standing: String,
    #[serde(default)]
    findings: Vec<String>,
    #[serde(default)]
    measurement: MeasurementTable,
    #[serde(default)]
    reader_group: ReaderGroupTable,
    objects: Option<Vec<ObjectTable>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct MeasurementTable {
    content: Option<String>,
    whole_length: Option<Spanned<u64>>,
    #[serde(default)]
    items: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ReaderGroupTable {
    outcome: Option<String>,
    #[serde(default)]
    readers: Vec<String>,
    #[serde(default)]
    offsets_ahead: u32,
    #[serde(default)]
    changes_ahead: u32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RowTable {
    name: Spanned<String>,
    #[serde(default)]
    start_offset: u64,
    length: Option<u64>,
    #[serde(default)]
    sealed: bool,
    attributes: Option<Spanned<BTreeMap<String, i64>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ObjectTable {
    key: String,
    #[serde(default = "object_bytes")]
    size: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct TransactionTable {
    id: String,
    stream: String,
    status: String,
    outcome: String,
    table: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct StreamTable {
    scope: String,
    name: String,
    #[serde(default = "active")]
    state: String,
    retention: Option<RetentionTable>,
    retention_znode: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RetentionTable {
    kind: String,
    limit: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct CounterTable {
    high: i32,
    low: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ZNodeTable {
    path: Spanned<String>,
    text: Option<String>,
    hex: Option<Spanned<String>>,
    #[serde(default)]
    version: i32,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PendingWorkTable {
    kind: String,
    subject: String,
    reason: String,
    znode: Option<PendingZNodeTable>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct PendingZNodeTable {
    path: String,
    text: Option<String>,
    hex: Option<Spanned<String>>,
}

fn one() -> u64 {
    1
}

fn live() -> String {
    "live".to_owned()
}

fn active() -> String {
    "active".to_owned()
}

fn object_bytes() -> u64 {
    OBJECT_BYTES
}

impl WorldTable {
    pub(super) fn build(self) -> Result<World, Problem> {
        let mut world = World {
            transaction_counter: self
                .transaction_counter
                .map(|CounterTable { high, low }| TransactionCounter { high, low }),
            streams: self.stream.into_iter().map(StreamTable::build).collect(),
            pending_work: self.pending_work.into_iter().map(PendingWorkTable::build).collect::<Result<_, _>>()?,
            ..World::default()
        };
        world.streams.sort_by(|one, other| (&one.scope, &one.name).cmp(&(&other.scope, &other.name)));
        for container in self.container {
            let (id, at) = (*container.id.get_ref(), container.id.span());
            if world.containers.insert(id, container.build()?).is_some() {
                return Err(Problem::new(at, format!("container {id} is declared twice")));
            }
        }
        world.disks = disks::build(self.bookie, self.ledger, self.log, &world.containers)?;
        for znode in self.znode {
            let (path, at) = (znode.path.get_ref().clone(), znode.path.span());
            if world.znodes.insert(path.clone(), znode.build()?).is_some() {
                return Err(Problem::new(at, format!("the ZNode `{path}` is declared twice")));
            }
        }
        Ok(world)
    }
}

impl ContainerTable {
    fn build(self) -> Result<DeclaredContainer, Problem> {
        let id = *self.id.get_ref();
        let mut rows = BTreeMap::new();
        let lengths: BTreeMap<String, u64> =
            self.segment.iter().map(|segment| (segment.name.get_ref().clone(), *segment.length.get_ref())).collect();
        for row in self.row {
            let (name, at) = (row.name.get_ref().clone(), row.name.span());
            let length = lengths.get(&name).copied().unwrap_or_default();
            if rows.insert(name.clone(), row.build(length)?).is_some() {
                return Err(Problem::new(at, format!("the row of `{name}` is declared twice")));
            }
        }
        let mut segments = BTreeMap::new();
        for segment in self.segment {
            let (name, at) = (segment.name.get_ref().clone(), segment.name.span());
            let declared = segment.build(id, self.highest_epoch, rows.get(&name))?;
            if segments.insert(name.clone(), declared).is_some() {
                return Err(Problem::new(at, format!("the segment `{name}` is declared twice in container {id}")));
            }
        }
        let journal = || vec![journal(id, self.highest_epoch)];
        Ok(DeclaredContainer {
            highest_epoch: self.highest_epoch,
            rows,
            metadata_objects: objects(self.metadata_objects.unwrap_or_else(journal)),
            leftover_objects: objects(self.leftover_objects),
            transactions: transactions(self.transaction, &segments)?,
            segments,
        })
    }
}

fn objects(tables: Vec<ObjectTable>) -> Objects {
    tables.into_iter().map(|ObjectTable { key, size }| (key, size)).collect()
}

/// The object that the old metadata of a container always has.
fn journal(id: ContainerId, epoch: u64) -> ObjectTable {
    ObjectTable { key: format!("_system/containers/_sysjournal.epoch{epoch}.container{id}.file1"), size: OBJECT_BYTES }
}

fn transactions(
    tables: Vec<TransactionTable>,
    segments: &BTreeMap<String, DeclaredSegment>,
) -> Result<Vec<DeclaredTransaction>, Problem> {
    let declared = |TransactionTable { id, stream, status, outcome, table }: TransactionTable| {
        if let Some(unknown) = table.as_ref().filter(|name| !segments.contains_key(name.get_ref())) {
            let problem = format!("`table` names no segment of this container: `{}`", unknown.get_ref());
            return Err(Problem::new(unknown.span(), problem));
        }
        let ended = EndedTransaction { id, stream, status, outcome };
        Ok(DeclaredTransaction { ended, table: table.map(Spanned::into_inner) })
    };
    tables.into_iter().map(declared).collect()
}

impl SegmentTable {
    fn build(self, container: ContainerId, epoch: u64, row: Option<&MetadataRow>) -> Result<DeclaredSegment, Problem> {
        let (length, at) = (*self.length.get_ref(), self.length.span());
        let name = self.name.into_inner();
        if self.start_offset > length {
            let problem = format!(
                "`length` {length} lies before `start-offset` {}; a length is the offset of the end",
                self.start_offset
            );
            return Err(Problem::new(at, problem));
        }
        let kind = self.kind.unwrap_or_else(|| SegmentKind::of(&name).as_str().to_owned());
        let measure = self.measurement.build(&kind, self.start_offset..length)?;
        let has = |finding: &str| self.findings.iter().any(|found| found == finding);
        let has_record = self.standing != "unrecorded" && !has("no-record");
        let held = || match length > self.start_offset && !has("merged-by-recovery") {
            true => vec![chunk(&name, epoch, self.start_offset, length)],
            false => Vec::new(),
        };
        Ok(DeclaredSegment {
            objects: objects(self.objects.unwrap_or_else(held)),
            renewal: self.reader_group.build(),
            measure,
            segment: Segment {
                kind,
                container,
                sealed: self.sealed,
                start_offset: self.start_offset,
                length,
                recorded_length: self.recorded_length.or(has_record.then_some(length)),
                row_length: self.row_length.or(row.map(|row| row.length)),
                standing: self.standing,
                findings: self.findings,
                name,
            },
        })
    }
}

/// The object that holds a segment that was written in one go.
fn chunk(segment: &str, epoch: u64, start: u64, end: u64) -> ObjectTable {
    ObjectTable { key: format!("{segment}.E-{epoch}-O-{start}"), size: end - start }
}

impl MeasurementTable {
    fn build(self, kind: &str, held: Range<u64>) -> Result<Measure, Problem> {
        let Range { start, end } = held;
        if let Some(whole) = self.whole_length.as_ref().filter(|whole| !(start..=end).contains(whole.get_ref())) {
            let problem =
                format!("`whole-length` {} lies outside of the segment's bytes, {start} to {end}", whole.get_ref());
            return Err(Problem::new(whole.span(), problem));
        }
        Ok(Measure {
            content: self.content.unwrap_or_else(|| content_of_kind(kind).to_owned()),
            whole_length: self.whole_length.map_or(end, Spanned::into_inner),
            items: self.items,
        })
    }
}

impl ReaderGroupTable {
    fn build(self) -> RenewedGroup {
        let Self { outcome, readers, offsets_ahead, changes_ahead } = self;
        let outcome = outcome.unwrap_or_else(|| "renewed".to_owned());
        RenewedGroup { outcome, readers, offsets_ahead, changes_ahead }
    }
}

impl RowTable {
    /// `length` is that of the segment.
    fn build(self, length: u64) -> Result<MetadataRow, Problem> {
        let attributes = self.attributes.map(attributes).transpose()?;
        Ok(MetadataRow {
            name: self.name.into_inner(),
            start_offset: self.start_offset,
            length: self.length.unwrap_or(length),
            sealed: self.sealed,
            attributes: attributes.unwrap_or_default(),
        })
    }
}

/// In the order of their ids.
fn attributes(table: Spanned<BTreeMap<String, i64>>) -> Result<Vec<CoreAttribute>, Problem> {
    let at = table.span();
    let attribute = |(id, value): (String, i64)| match id.parse() {
        Ok(id) => Ok(CoreAttribute { id, value }),
        Err(_) => {
            let problem = format!("`{id}` is no id of a core attribute; ids are numbers, as in `9 = 1`");
            Err(Problem::new(at.clone(), problem))
        }
    };
    let mut attributes = table.into_inner().into_iter().map(attribute).collect::<Result<Vec<_>, _>>()?;
    attributes.sort_by_key(|attribute| attribute.id);
    Ok(attributes)
}

impl StreamTable {
    fn build(self) -> StreamState {
        let Self { scope, name, state, retention, retention_znode } = self;
        let usual = || format!("buckets/{}/{}", bucket_of(&scope, &name, 1), bucket_node(&scope, &name));
        StreamState {
            retention_znode: retention_znode.unwrap_or_else(usual),
            retention: retention.map(|RetentionTable { kind, limit }| Retention { kind, limit }),
            scope,
            name,
            state,
        }
    }
}

impl PendingWorkTable {
    fn build(self) -> Result<PendingWork, Problem> {
        let Self { kind, subject, reason, znode } = self;
        Ok(PendingWork { kind, subject, reason, znode: znode.map(PendingZNodeTable::build).transpose()? })
    }
}

impl PendingZNodeTable {
    fn build(self) -> Result<PendingZNode, Problem> {
        Ok(PendingZNode { path: self.path, data: content(self.text, self.hex)? })
    }
}

impl ZNodeTable {
    fn build(self) -> Result<ZNode, Problem> {
        Ok(ZNode { data: content(self.text, self.hex)?, version: self.version })
    }
}

/// The content of a ZNode.
fn content(text: Option<String>, hex: Option<Spanned<String>>) -> Result<Vec<u8>, Problem> {
    match (text, hex) {
        (Some(_), Some(hex)) => Err(Problem::new(hex.span(), "a ZNode has `text` or `hex`, not both")),
        (Some(text), None) => Ok(text.into_bytes()),
        (None, Some(hex)) => {
            let wrong = || Problem::new(hex.span(), "`hex` is hexadecimal, two digits a byte");
            bytes(hex.get_ref()).ok_or_else(wrong)
        }
        (None, None) => Ok(Vec::new()),
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    };
    hex.as_bytes().chunks(2).map(byte).collect()
}

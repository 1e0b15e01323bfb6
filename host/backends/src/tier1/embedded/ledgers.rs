//! Ledgers as files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dr_formats::ledger_entry::{EntryCodec, EntryHeader};
use dr_formats::ledger_metadata::LedgerState;

use super::super::access::LedgerAccess;
use super::super::ledger_nodes::{LedgerNodes, OpenLedger, check_quorums, container_named_in};
use super::super::sight::{BookieSights, CopySight, LedgerSight, LedgerSights, Stretch};
use super::super::{
    ClosedLedger, EntryVisitor, LedgerLayout, LedgerRegistry, LedgerWriter, Ledgers, MAXIMUM_ENTRY, Tier1Error,
};
use super::{EmbeddedZNodes, io_error};
use crate::durable;

/// Header and longest digest of an entry, which come on top of the payload.
const ENTRY_OVERHEAD: usize = 64;
/// Gathers small entries before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Ledgers in a directory, next to its ZNodes; see the module for the layout. Threads and processes may share it.
#[derive(Debug)]
pub struct EmbeddedLedgers {
    nodes: Arc<LedgerNodes>,
    directory: PathBuf,
}

impl EmbeddedLedgers {
    /// Opens the ledgers of the directory `path`, creating it if it lacks. `znodes` are those of the same directory.
    ///
    /// # Errors
    /// [`Tier1Error::Io`] that names what could not be created; [`Tier1Error::Path`] for an impossible ledgers root.
    pub fn open(path: impl AsRef<Path>, znodes: Arc<EmbeddedZNodes>, access: LedgerAccess) -> Result<Self, Tier1Error> {
        let path = path.as_ref();
        let directory = path.join("ledgers");
        durable::create_directories(path.parent().unwrap_or(path), &directory)
            .map_err(|error| io_error(&directory, "cannot create", error))?;
        Ok(Self { nodes: Arc::new(LedgerNodes::new(znodes, access)?), directory })
    }

    fn file_of(&self, id: i64) -> PathBuf {
        self.directory.join(format!("{id:010}"))
    }
}

impl Ledgers for EmbeddedLedgers {
    fn location(&self) -> String {
        self.nodes.location()
    }

    fn check(&self, layout: &LedgerLayout) -> Result<(), Tier1Error> {
        let location = self.location();
        check_quorums(layout).map_err(|reason| Tier1Error::Layout { location, reason })?;
        self.nodes.manager().map(|_| ())
    }

    fn allocate(&self) -> Result<i64, Tier1Error> {
        self.nodes.allocate()
    }

    fn create(&self, id: i64, layout: &LedgerLayout) -> Result<Box<dyn LedgerWriter>, Tier1Error> {
        // There are no bookies; metadata without any would not be readable.
        let bookies = (0..layout.ensemble_size).map(|number| format!("embedded-{number}")).collect();
        let ledger = self.nodes.create(id, layout, bookies)?;
        let path = self.file_of(ledger.id);
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| io_error(&path, "cannot create", error))?;
        let access = self.nodes.access();
        Ok(Box::new(EmbeddedWriter {
            codec: EntryCodec::new(access.digest_type, &access.password),
            nodes: Arc::clone(&self.nodes),
            ledger,
            output: BufWriter::with_capacity(BUFFER_BYTES, file),
            path,
            next_entry: 0,
            length: 0,
            entry: Vec::new(),
        }))
    }

    fn read(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        let (metadata, closed) = self.nodes.closed(id)?;
        let path = self.file_of(id);
        let file = File::open(&path).map_err(|error| io_error(&path, "cannot open", error))?;
        let mut input = BufReader::with_capacity(BUFFER_BYTES, file);
        let codec = self.nodes.codec_of(&metadata);
        let mut bytes = Vec::new();
        for entry in 0..=closed.last_entry {
            read_entry(&mut input, &mut bytes).map_err(|error| io_error(&path, "cannot read", error))?;
            let damaged = |reason: String| self.nodes.damaged(id, format!("entry {entry}: {reason}"));
            let decoded = codec.decode(&bytes).map_err(|error| damaged(error.to_string()))?;
            if (decoded.header.ledger_id, decoded.header.entry_id) != (id, entry) {
                return Err(damaged(format!("another entry lies in its place: {:?}", decoded.header)));
            }
            visit(entry, decoded.payload)?;
        }
        Ok(())
    }

    fn read_as_far_as_it_goes(&self, id: i64, visit: &mut EntryVisitor<'_>) -> Result<(), Tier1Error> {
        // Here a ledger that was never closed is garbage of a writer that died.
        match self.nodes.metadata(id)?.state {
            LedgerState::Closed { .. } => self.read(id, visit),
            LedgerState::Open | LedgerState::InRecovery => Ok(()),
        }
    }

    fn delete(&self, id: i64) -> Result<(), Tier1Error> {
        self.nodes.delete(id)?;
        let path = self.file_of(id);
        match fs::remove_file(&path) {
            Ok(()) => durable::sync_parent(&path).map_err(|error| io_error(&path, "cannot sync", error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(io_error(&path, "cannot delete", error)),
        }
    }

    fn registry(&self) -> &dyn LedgerRegistry {
        self.nodes.as_ref()
    }
}

impl LedgerSights for EmbeddedLedgers {
    fn bookies(&self) -> Result<Option<BookieSights>, Tier1Error> {
        Ok(None)
    }

    fn ids(&self) -> Result<Vec<i64>, Tier1Error> {
        self.nodes.ids()
    }

    fn ledger(&self, id: i64, _answering: &dyn Fn(&str) -> bool) -> Result<Option<LedgerSight>, Tier1Error> {
        let Some(metadata) = self.nodes.registered(id)? else { return Ok(None) };
        let (last_entry, bytes) = match metadata.state {
            LedgerState::Closed { last_entry, length } => (Some(last_entry), u64::try_from(length).unwrap_or(0)),
            LedgerState::Open | LedgerState::InRecovery => (None, 0),
        };
        // The file is the only copy, whatever the quorums are.
        let copy = match last_entry {
            Some(_) => self.read(id, &mut |_, _| Ok(())).map_err(|error| error.to_string()),
            None if self.file_of(id).is_file() => Ok(()),
            None => Err("there is no file of it".to_owned()),
        };
        let copy = copy.map_or_else(CopySight::Missing, |()| CopySight::Held);
        let name = format!("{id:010}");
        let stretches = vec![Stretch { first_entry: 0, copies: vec![(name, copy)] }];
        Ok(Some(LedgerSight {
            id,
            container: container_named_in(&metadata),
            last_entry,
            bytes,
            ack_quorum: 1,
            stretches,
        }))
    }

    fn first_held_by(&self, _bookie: &str, _ids: Range<i64>) -> Result<Option<i64>, Tier1Error> {
        Ok(None)
    }
}

fn read_entry(input: &mut impl Read, entry: &mut Vec<u8>) -> io::Result<()> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAXIMUM_ENTRY + ENTRY_OVERHEAD {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("an entry of {length} bytes")));
    }
    entry.resize(length, 0);
    input.read_exact(entry)
}

struct EmbeddedWriter {
    nodes: Arc<LedgerNodes>,
    ledger: OpenLedger,
    codec: EntryCodec,
    output: BufWriter<File>,
    path: PathBuf,
    next_entry: i64,
    length: i64,
    /// Kept to be reused.
    entry: Vec<u8>,
}

impl LedgerWriter for EmbeddedWriter {
    fn id(&self) -> i64 {
        self.ledger.id
    }

    fn append(&mut self, payload: &[u8]) -> Result<(), Tier1Error> {
        super::super::check_entry_size(&self.path.display(), self.ledger.id, payload)?;
        self.length += payload.len().cast_signed() as i64;
        let header = EntryHeader {
            ledger_id: self.ledger.id,
            entry_id: self.next_entry,
            last_add_confirmed: self.next_entry - 1,
            length: self.length,
        };
        self.entry.clear();
        self.codec.encode(header, payload, &mut self.entry);
        let length = u32::try_from(self.entry.len()).unwrap_or(u32::MAX).to_be_bytes();
        let written = self.output.write_all(&length).and_then(|()| self.output.write_all(&self.entry));
        written.map_err(|error| io_error(&self.path, "cannot write", error))?;
        self.next_entry += 1;
        Ok(())
    }

    fn close(mut self: Box<Self>) -> Result<ClosedLedger, Tier1Error> {
        let synced = self.output.flush().and_then(|()| self.output.get_ref().sync_all());
        synced
            .and_then(|()| durable::sync_parent(&self.path))
            .map_err(|error| io_error(&self.path, "cannot sync", error))?;
        self.nodes.close(self.ledger, self.next_entry - 1, self.length)
    }
}

//! Checkpoints of a reader group (`CheckpointState`).

use std::collections::BTreeMap;

use super::{Offsets, read_offsets, write_list, write_map, write_offsets};
use crate::error::{DecodeError, EncodeError};
use crate::primitives::{Reader, Writer};

/// Part of the names of checkpoints that only make a stream cut.
const SILENT: &str = "_SILENT_";

/// Checkpoints that were begun, and where they found the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoints {
    /// Names, in the order in which they were begun.
    pub names: Vec<String>,
    /// Readers that have not come to a checkpoint.
    pub waiting: BTreeMap<String, Vec<String>>,
    /// Offsets by checkpoint, as far as they are known.
    pub offsets: BTreeMap<String, Offsets>,
    /// Offsets of the last one that is complete.
    pub last: Offsets,
    /// The controller knows of the last one.
    pub is_last_published: bool,
}

impl Default for Checkpoints {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            waiting: BTreeMap::new(),
            offsets: BTreeMap::new(),
            last: Offsets::new(),
            is_last_published: true,
        }
    }
}

impl Checkpoints {
    pub(super) fn begin(&mut self, name: &str, readers: Vec<String>, known: Offsets) {
        if self.offsets.contains_key(name) {
            return;
        }
        if !readers.is_empty() {
            self.waiting.insert(name.to_owned(), readers);
        }
        self.offsets.insert(name.to_owned(), known);
        self.names.push(name.to_owned());
    }

    /// A reader has come to a checkpoint.
    pub(super) fn reach(&mut self, name: &str, reader: &str, offsets: &Offsets) {
        let Some(readers) = self.waiting.get_mut(name) else { return };
        readers.retain(|waiting| waiting != reader);
        let is_complete = readers.is_empty();
        let known = self.offsets.entry(name.to_owned()).or_default();
        known.extend(offsets.iter().map(|(segment, offset)| (segment.clone(), *offset)));
        if is_complete {
            self.waiting.remove(name);
            if !is_silent(name) {
                self.last.clone_from(known);
                self.is_last_published = false;
            }
        }
    }

    /// A reader is gone and has come to all its checkpoints by that.
    pub(super) fn remove_reader(&mut self, reader: &str, offsets: &Offsets) {
        let waits = |(name, readers): (&String, &Vec<String>)| {
            readers.iter().any(|waiting| waiting == reader).then(|| name.clone())
        };
        for name in self.waiting.iter().filter_map(waits).collect::<Vec<_>>() {
            self.reach(&name, reader, offsets);
        }
    }

    pub(super) fn clear_before(&mut self, name: &str) {
        if let Some(position) = self.names.iter().position(|known| known == name) {
            for cleared in self.names.drain(..position) {
                self.waiting.remove(&cleared);
                self.offsets.remove(&cleared);
            }
        }
    }

    pub(super) fn remove_outstanding(&mut self) {
        let outstanding: Vec<String> = self.waiting.keys().filter(|name| !is_silent(name)).cloned().collect();
        for name in outstanding {
            self.waiting.remove(&name);
            self.offsets.remove(&name);
        }
    }

    pub(super) fn offsets_mut(&mut self) -> impl Iterator<Item = &mut Offsets> {
        self.offsets.values_mut().chain([&mut self.last])
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new("checkpoints of a reader group", bytes);
        reader.read_single_revisions("checkpoints of a reader group", 0, |object| {
            let mut body = object.required_revision()?;
            let names = body.list(2, name)?;
            let waiting = body.list(3, |body| Ok((name(body)?, body.list(2, name)?)))?;
            let offsets = body.list(3, |body| Ok((name(body)?, read_offsets(body)?)))?;
            let last = read_offsets(&mut body)?;
            let is_last_published = match object.revision()? {
                Some(mut body) => body.bool()?,
                None => true,
            };
            let (waiting, offsets) = (waiting.into_iter().collect(), offsets.into_iter().collect());
            Ok(Self { names, waiting, offsets, last, is_last_published })
        })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        let mut writer = Writer::new();
        writer.write_single_revisions(0, |object| {
            object.revision(|body| {
                body.list(&self.names, |body, name| body.utf(name));
                write_map(body, &self.waiting, |body, readers| {
                    write_list(body, readers.iter(), |body, reader| body.utf(reader));
                });
                write_map(body, &self.offsets, write_offsets);
                write_offsets(body, &self.last);
            });
            object.revision(|body| body.bool(self.is_last_published));
        });
        writer.finish()
    }
}

pub(super) fn is_silent(name: &str) -> bool {
    name.contains(SILENT)
}

fn name(reader: &mut Reader<'_>) -> Result<String, DecodeError> {
    Ok(reader.utf()?.into_owned())
}

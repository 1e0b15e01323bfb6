//! Tier-2 as it would be if the store had flushed what its logs hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use dr_backends::tier2::{ObjectInfo, Tier2, Tier2Error};
use dr_formats::names::{ChunkName, owning_container};

use super::SegmentTail;
use crate::chain::chain_by_names;
use crate::error::Result;
use crate::listing::{Listing, chunks_below};

/// In the names of objects that exist nowhere but here.
pub(super) const NO_UUID: &str = "00000000-0000-0000-0000-000000000000";

/// A Tier-2 with more objects: one for each segment of which a log holds more. Only for reading.
#[derive(Debug)]
pub struct TailedTier2 {
    behind: Arc<dyn Tier2>,
    tails: BTreeMap<String, Content>,
}

/// Where the bytes of an object are that Tier-2 does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Here.
    Bytes(Arc<[u8]>),
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Its bytes.
        size: u64,
    },
}

impl Content {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Bytes(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
                let length = rest.len().min(buffer.len());
                buffer[..length].copy_from_slice(&rest[..length]);
                Ok(length)
            }
            Self::File { path, size } => {
                let length = size.saturating_sub(offset).min(buffer.len() as u64) as usize;
                File::open(path)?.read_exact_at(&mut buffer[..length], offset)?;
                Ok(length)
            }
        }
    }
}

impl TailedTier2 {
    /// Adds these tails, each behind what Tier-2 holds of its segment. A tail that begins later than that is left out: what is
    /// between is in a log that was not followed.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub fn new(behind: Arc<dyn Tier2>, listing: &Listing, tails: &BTreeMap<String, SegmentTail>) -> Result<Self> {
        let mut objects = BTreeMap::new();
        for (segment, tail) in tails {
            let mut chunks = chunks_below(behind.as_ref(), &format!("{segment}.E-"))?;
            chunks.retain(|chunk| chunk.segment() == segment);
            let end = chain_by_names(&chunks.iter().collect::<Vec<_>>()).end();
            let Some(bytes) =
                end.checked_sub(tail.offset).and_then(|known| tail.bytes.get(usize::try_from(known).ok()?..))
            else {
                tracing::debug!(
                    segment,
                    end,
                    from = tail.offset,
                    "what the log appends does not join what Tier-2 holds"
                );
                continue;
            };
            if bytes.is_empty() {
                continue;
            }
            let container = owning_container(segment, listing.container_count());
            let epoch = listing.containers.get(container as usize).map_or(0, |listed| listed.highest_epoch);
            let name = ChunkName { segment, epoch, offset: end, uuid: NO_UUID };
            objects.insert(name.to_string(), Content::Bytes(bytes.into()));
        }
        Ok(Self { behind, tails: objects })
    }

    /// Adds these objects, by key.
    pub fn with_objects(behind: Arc<dyn Tier2>, objects: BTreeMap<String, Content>) -> Self {
        Self { behind, tails: objects }
    }

    fn read_only(&self, key: &str) -> Tier2Error {
        let source = std::io::Error::new(std::io::ErrorKind::ReadOnlyFilesystem, "this view of Tier-2 is for reading");
        Tier2Error::Io { location: self.location(), action: "change", key: key.to_owned(), source }
    }
}

impl Tier2 for TailedTier2 {
    fn location(&self) -> String {
        self.behind.location()
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectInfo) -> std::result::Result<(), Tier2Error>,
    ) -> std::result::Result<(), Tier2Error> {
        self.behind.list(prefix, visit)?;
        let below = self.tails.range(prefix.to_owned()..).take_while(|(key, _)| key.starts_with(prefix));
        below.map(|(key, bytes)| ObjectInfo { key: key.clone(), size: bytes.size() }).try_for_each(visit)
    }

    fn size(&self, key: &str) -> std::result::Result<Option<u64>, Tier2Error> {
        self.tails.get(key).map_or_else(|| self.behind.size(key), |bytes| Ok(Some(bytes.size())))
    }

    fn read_at(&self, key: &str, offset: u64, buffer: &mut [u8]) -> std::result::Result<usize, Tier2Error> {
        let Some(bytes) = self.tails.get(key) else { return self.behind.read_at(key, offset, buffer) };
        bytes.read_at(offset, buffer).map_err(|source| {
            let (location, key) = (self.location(), key.to_owned());
            Tier2Error::Io { location, action: "read what is to become", key, source }
        })
    }

    fn will_read(&self, key: &str) {
        self.behind.will_read(key);
    }

    fn create(&self, key: &str, _content: &[u8]) -> std::result::Result<(), Tier2Error> {
        Err(self.read_only(key))
    }

    fn relocate(&self, from: &str, _to: &str) -> std::result::Result<(), Tier2Error> {
        Err(self.read_only(from))
    }

    fn delete(&self, key: &str) -> std::result::Result<(), Tier2Error> {
        Err(self.read_only(key))
    }
}

#[cfg(test)]
mod tests {
    use dr_backends::tier2::MemoryTier2;

    use super::*;
    use crate::progress::Silent;

    #[test]
    fn a_tail_goes_on_where_tier2_ends() {
        const SEGMENT: &str = "_system/_tables/scope/stream/metadata.#.00000000-0000-0000-0000-000000000001";
        let tier2 = Arc::new(MemoryTier2::new());
        let key = |offset: u64| ChunkName { segment: SEGMENT, epoch: 7, offset, uuid: NO_UUID }.to_string();
        tier2.create(&key(0), b"abcde").unwrap();
        let tail = |offset: u64, bytes: &[u8]| SegmentTail { offset, bytes: bytes.to_vec() };
        let tails = BTreeMap::from([
            (SEGMENT.to_owned(), tail(3, b"defgh")),
            ("scope/whole/0.#epoch.0".to_owned(), tail(0, b"whole")),
            ("scope/gap/0.#epoch.0".to_owned(), tail(9, b"later")),
        ]);
        let listing = Listing::take_known(tier2.as_ref(), 1, &Silent).unwrap();
        let tailed = TailedTier2::new(tier2, &listing, &tails).unwrap();
        let mut objects = Vec::new();
        let mut visit = |object: ObjectInfo| {
            objects.push((object.key, object.size));
            Ok(())
        };
        tailed.list("", &mut visit).unwrap();
        objects.sort();
        let whole = ChunkName { segment: "scope/whole/0.#epoch.0", epoch: 7, offset: 0, uuid: NO_UUID }.to_string();
        assert_eq!(objects, [(key(0), 5), (key(5), 3), (whole, 5)]);
        let mut buffer = [0; 8];
        assert_eq!(tailed.read_at(&key(5), 1, &mut buffer).unwrap(), 2);
        assert_eq!(&buffer[..2], b"gh");
        assert!(tailed.create("x", b"").is_err());
    }
}

//! Tier-2 in memory, for tests and the mock host.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::key::{check_key, split_prefix};
use super::{ObjectInfo, Tier2, Tier2Error};

const LOCATION: &str = "memory";
/// Objects taken from the map at once while listing, so that `visit` runs without the lock.
const LISTING_PAGE: usize = 1024;

/// Objects in a map. Behaves as the file system does, except that `a` and `a/b` may both be objects.
#[derive(Debug, Default)]
pub struct MemoryTier2 {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
}

impl MemoryTier2 {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        // Every change is one call on the map, so a panic of another thread cannot have left it half changed.
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page_after(&self, prefix: &str, last: Option<&str>) -> Vec<ObjectInfo> {
        let start = last.map_or(Bound::Included(prefix), Bound::Excluded);
        self.objects()
            .range::<str, _>((start, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(LISTING_PAGE)
            .map(|(key, content)| ObjectInfo { key: key.clone(), size: content.len() as u64 })
            .collect()
    }
}

impl Tier2 for MemoryTier2 {
    fn location(&self) -> String {
        LOCATION.to_owned()
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(ObjectInfo) -> Result<(), Tier2Error>,
    ) -> Result<(), Tier2Error> {
        split_prefix(LOCATION, prefix)?;
        let mut last: Option<String> = None;
        loop {
            let page = self.page_after(prefix, last.as_deref());
            let Some(end) = page.last() else { return Ok(()) };
            last = Some(end.key.clone());
            for object in page {
                visit(object)?;
            }
        }
    }

    fn size(&self, key: &str) -> Result<Option<u64>, Tier2Error> {
        check_key(LOCATION, key)?;
        Ok(self.objects().get(key).map(|content| content.len() as u64))
    }

    fn read_at(&self, key: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, Tier2Error> {
        check_key(LOCATION, key)?;
        let objects = self.objects();
        let content = objects.get(key).ok_or_else(|| not_found(key))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let count = buffer.len().min(content.len() - start);
        buffer[..count].copy_from_slice(&content[start..start + count]);
        Ok(count)
    }

    fn create(&self, key: &str, content: &[u8]) -> Result<(), Tier2Error> {
        check_key(LOCATION, key)?;
        let mut objects = self.objects();
        if objects.contains_key(key) {
            return Err(exists(key));
        }
        objects.insert(key.to_owned(), content.to_vec());
        Ok(())
    }

    fn relocate(&self, from: &str, to: &str) -> Result<(), Tier2Error> {
        check_key(LOCATION, from)?;
        check_key(LOCATION, to)?;
        let mut objects = self.objects();
        if !objects.contains_key(from) {
            return Err(not_found(from));
        }
        if objects.contains_key(to) {
            return Err(exists(to));
        }
        if let Some(content) = objects.remove(from) {
            objects.insert(to.to_owned(), content);
        }
        Ok(())
    }

    fn delete(&self, key: &str) -> Result<(), Tier2Error> {
        check_key(LOCATION, key)?;
        self.objects().remove(key);
        Ok(())
    }
}

fn not_found(key: &str) -> Tier2Error {
    Tier2Error::NotFound { location: LOCATION.to_owned(), key: key.to_owned() }
}

fn exists(key: &str) -> Tier2Error {
    Tier2Error::Exists { location: LOCATION.to_owned(), key: key.to_owned() }
}

//! Compiled procedures, kept on disk from one run to the next.
//!
//! What lies here is native code that is run without any further check. So it is trusted as far as the file system is: the
//! directory and every file in it have to belong to the user that runs this process and must be writable for nobody else;
//! both are asked of what was opened, not of a name that may mean something else a moment later. Whoever can write as this
//! user could change the program itself. A checksum finds what is damaged or was put under another name. Whatever is not as it
//! should be is compiled anew: the cache can make a run faster, and can never make it fail.

use std::fs::File;
use std::hash::{Hash as _, Hasher};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Most bytes that all entries take together; the ones that were used least lately give way.
const BYTES_MAX: u64 = 1 << 30;
/// Ending of an entry's name; files of other names are never touched.
const SUFFIX: &str = ".compiled";
const DIGEST_BYTES: usize = 32;

/// A directory of compiled procedures.
#[derive(Debug)]
pub struct ModuleCache {
    path: PathBuf,
    directory: OwnedFd,
    bytes_max: u64,
}

/// What was compiled, and for which machine and settings.
struct Key<'a> {
    component: &'a str,
    engine: String,
}

impl ModuleCache {
    /// Opens the directory, which is made if it does not exist.
    ///
    /// # Errors
    /// If it cannot be made or opened, belongs to somebody else, or others can write to it.
    pub fn open(path: &Path) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        check_owner(&directory)?;
        Ok(Self { path: path.to_owned(), directory: directory.into(), bytes_max: BYTES_MAX })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The component with this digest, compiled, if it is there for this engine.
    pub(crate) fn find(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let key = Key::new(engine, digest);
        let bytes = self.read(&key).ok()?;
        let code = key.unseal(&bytes)?;
        deserialize(engine, code).ok()
    }

    /// Keeps a compiled component. If that is not possible, the next run compiles it again.
    pub(crate) fn keep(&self, engine: &Engine, digest: &str, component: &Component) {
        let key = Key::new(engine, digest);
        if let Ok(code) = component.serialize() {
            let sealed = key.seal(&code);
            let _ = self.make_room(sealed.len() as u64).and_then(|()| self.write(&key, &sealed));
        }
    }

    fn read(&self, key: &Key<'_>) -> io::Result<Vec<u8>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.directory, key.file_name(), flags, Mode::empty())?);
        check_owner(&file)?;
        let mut bytes = Vec::new();
        (&file).take(self.bytes_max).read_to_end(&mut bytes)?;
        // It was used now. If that cannot be noted, it only gives way earlier.
        let _ = rustix::fs::futimens(&file, &NOW);
        Ok(bytes)
    }

    /// Writes beside and renames, so that nobody ever reads a half of it. A machine that loses power may still leave one
    /// behind, which the checksum finds.
    fn write(&self, key: &Key<'_>, bytes: &[u8]) -> io::Result<()> {
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let unfinished = format!("unfinished-{}-{number}{SUFFIX}", std::process::id());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, &unfinished, flags, Mode::RUSR | Mode::WUSR)?;
        let written = File::from(file)
            .write_all(bytes)
            .and_then(|()| Ok(rustix::fs::renameat(&self.directory, &unfinished, &self.directory, key.file_name())?));
        written.inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&self.directory, &unfinished, AtFlags::empty());
        })
    }

    /// Removes the entries that were used least lately, until there is room for so many bytes.
    fn make_room(&self, bytes: u64) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes().ends_with(SUFFIX.as_bytes()) {
                let stat = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
                entries.push(((stat.st_mtime, stat.st_mtime_nsec), stat.st_size.unsigned_abs(), name.to_owned()));
            }
        }
        entries.sort();
        let mut total: u64 = bytes + entries.iter().map(|(_, size, _)| size).sum::<u64>();
        for (_, size, name) in entries {
            if total <= self.bytes_max {
                break;
            }
            rustix::fs::unlinkat(&self.directory, &name, AtFlags::empty())?;
            total -= size;
        }
        Ok(())
    }
}

const NOW: Timestamps = Timestamps {
    last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
    last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
};

/// Refuses what somebody else owns or could change.
fn check_owner(file: &File) -> io::Result<()> {
    let metadata = file.metadata()?;
    let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
    let problem = if owner != user {
        format!("it belongs to the user {owner}, not to {user}")
    } else if metadata.mode() & 0o022 != 0 {
        format!("others can write to it: its mode is {:03o}", metadata.mode() & 0o777)
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, problem))
}

/// Makes a component of compiled code.
#[allow(unsafe_code, reason = "there is no other way to use what was compiled before")]
fn deserialize(engine: &Engine, code: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes have to be what `Component::serialize` returned. They were written by a process of this user
    // (`check_owner`), are those that were written (`Key::unseal`), and are in memory that nobody else can change. Wasmtime
    // itself refuses what another version of it made, or one with other settings or for another machine.
    unsafe { Component::deserialize(engine, code) }
}

impl<'a> Key<'a> {
    fn new(engine: &Engine, component: &'a str) -> Self {
        let mut hasher = Fingerprint(blake3::Hasher::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let engine = hasher.0.finalize().to_hex()[..32].to_owned();
        Self { component, engine }
    }

    fn file_name(&self) -> String {
        format!("{}-{}{SUFFIX}", self.component, self.engine)
    }

    /// The code behind a checksum of it and of the key.
    fn seal(&self, code: &[u8]) -> Vec<u8> {
        let mut sealed = self.checksum(code).to_vec();
        sealed.extend_from_slice(code);
        sealed
    }

    /// The code, if it is whole and belongs to the key.
    fn unseal<'b>(&self, sealed: &'b [u8]) -> Option<&'b [u8]> {
        let (checksum, code) = sealed.split_at_checked(DIGEST_BYTES)?;
        (checksum == self.checksum(code)).then_some(code)
    }

    fn checksum(&self, code: &[u8]) -> [u8; DIGEST_BYTES] {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.file_name().as_bytes()).update(&[0]).update(code);
        hasher.finalize().into()
    }
}

/// The same in every process, in contrast to the standard library's hashers, which promise nothing of the kind.
struct Fingerprint(blake3::Hasher);

impl Hasher for Fingerprint {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.finalize().as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const DIGEST: &str = "d1";
    /// A component that holds nothing.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    struct Place {
        directory: tempfile::TempDir,
        engine: Engine,
    }

    impl Place {
        fn new() -> Self {
            Self { directory: tempfile::tempdir().unwrap(), engine: Engine::default() }
        }

        fn open(&self) -> io::Result<ModuleCache> {
            ModuleCache::open(&self.directory.path().join("modules"))
        }

        /// A cache with one component.
        fn filled(&self) -> ModuleCache {
            let cache = self.open().unwrap();
            cache.keep(&self.engine, DIGEST, &Component::new(&self.engine, EMPTY).unwrap());
            cache
        }

        fn entry(&self) -> PathBuf {
            let [entry] = self.entries().try_into().unwrap();
            entry
        }

        fn entries(&self) -> Vec<PathBuf> {
            let entries = fs::read_dir(self.directory.path().join("modules")).unwrap();
            entries.map(|entry| entry.unwrap().path()).collect()
        }
    }

    #[test]
    fn what_was_compiled_is_found_by_the_same_engine_only() {
        let place = Place::new();
        let cache = place.filled();
        assert!(cache.find(&place.engine, DIGEST).is_some());
        assert!(cache.find(&place.engine, "d2").is_none());
        let other = Engine::new(wasmtime::Config::new().consume_fuel(true)).unwrap();
        assert!(cache.find(&other, DIGEST).is_none());
        assert_eq!(fs::metadata(place.entry()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(cache.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn entries_that_are_damaged_or_foreign_are_not_used() {
        let place = Place::new();
        let cache = place.filled();
        let entry = place.entry();
        let whole = fs::read(&entry).unwrap();
        let found = |bytes: &[u8]| {
            fs::write(&entry, bytes).unwrap();
            cache.find(&place.engine, DIGEST).is_some()
        };
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        assert!(!found(&[]) && !found(&whole[..whole.len() - 1]) && !found(&flipped) && found(&whole));

        fs::set_permissions(&entry, Permissions::from_mode(0o620)).unwrap();
        assert!(cache.find(&place.engine, DIGEST).is_none(), "another member of the group may have written it");
        fs::set_permissions(&entry, Permissions::from_mode(0o600)).unwrap();
        assert!(cache.find(&place.engine, DIGEST).is_some());

        let renamed = entry.with_file_name(entry.file_name().unwrap().to_str().unwrap().replace(DIGEST, "d2"));
        fs::rename(&entry, &renamed).unwrap();
        assert!(cache.find(&place.engine, "d2").is_none(), "it is another component");
        std::os::unix::fs::symlink(&renamed, &entry).unwrap();
        assert!(cache.find(&place.engine, DIGEST).is_none(), "a link may lead anywhere");
    }

    #[test]
    fn a_directory_that_others_can_write_to_is_refused() {
        let place = Place::new();
        let path = place.open().unwrap().path().to_owned();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        assert!(place.open().unwrap_err().to_string().contains("others can write to it: its mode is 777"));
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink("/", &path).unwrap();
        assert!(place.open().is_err());
    }

    #[test]
    fn what_was_not_used_for_long_gives_way_and_nothing_else() {
        let place = Place::new();
        let mut cache = place.filled();
        let first = place.entry();
        fs::write(cache.path().join("notes.txt"), "not ours").unwrap();
        let size = fs::metadata(&first).unwrap().len();
        cache.bytes_max = 2 * size + size / 2;
        let component = Component::new(&place.engine, EMPTY).unwrap();
        cache.keep(&place.engine, "d2", &component);
        for entry in place.entries() {
            File::options().append(true).open(entry).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        assert!(cache.find(&place.engine, DIGEST).is_some(), "now it was used later than d2");
        cache.keep(&place.engine, "d3", &component);
        let found = [DIGEST, "d2", "d3"].map(|digest| cache.find(&place.engine, digest).is_some());
        assert_eq!((found, place.entries().len()), ([true, false, true], 3));
    }
}

//! Where compiled procedures are kept.

use std::env;
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use dr_runtime::ModuleCache;

/// Name in the directory that a user has for caches.
const NAME: &str = "pravega-dr";
/// Directory in it, so that nothing of other kinds is ever mistaken for an entry.
const MODULES: &str = "modules";

/// Opens the cache of the directory that was named, or of this user. If the latter cannot be used, there is none.
///
/// # Errors
/// `cache-unusable` if the named one cannot be used.
pub(crate) fn open(named: Option<&Path>) -> Result<Option<ModuleCache>> {
    let Some(directory) = named else {
        let opened = of_user().map(|directory| ModuleCache::open(&directory.join(NAME).join(MODULES))).transpose();
        return Ok(opened.unwrap_or_else(|error| {
            tracing::warn!(%error, "procedures are compiled anew: this user's cache cannot be used");
            None
        }));
    };
    let directory = directory.join(MODULES);
    ModuleCache::open(&directory).map(Some).map_err(|error| {
        let what = format!("{} cannot hold compiled procedures", directory.display());
        let next_step = "name a directory that is yours alone with --cache or DR_CACHE (chmod 700), or give --no-cache";
        OperatorError::new("cache-unusable", what, next_step).because(error)
    })
}

/// As the XDG base directory specification says: a relative path means nothing.
fn of_user() -> Option<PathBuf> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))
}

//! Which bookie the directories belong to: all of them have the same cookie.

use std::fs;
use std::io;
use std::path::PathBuf;

use dr_formats::bookie_cookie::Cookie;

use super::BookieDiskError;
use super::directories::{COOKIE_FILE, Directory};

/// The cookie of all directories: its bytes, and what they say. A directory without one takes part all the same.
pub(super) fn agree(directories: &[Directory]) -> Result<(Vec<u8>, Cookie), BookieDiskError> {
    let mut agreed: Option<(PathBuf, Vec<u8>, Cookie)> = None;
    for directory in directories {
        let path = directory.current.join(COOKIE_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(BookieDiskError::io("read", &path, source)),
        };
        let cookie = Cookie::decode(&bytes)
            .map_err(|error| BookieDiskError::Cookie { path: path.clone(), reason: error.to_string() })?;
        match &agreed {
            None => agreed = Some((path, bytes, cookie)),
            Some((_, known, _)) if *known == bytes => {}
            Some((first, _, known)) => {
                let difference = difference(known, &cookie);
                return Err(BookieDiskError::CookiesDiffer { first: first.clone(), second: path, difference });
            }
        }
    }
    agreed.map(|(_, bytes, cookie)| (bytes, cookie)).ok_or_else(|| {
        let path = directories.first().map(|directory| directory.path.clone()).unwrap_or_default();
        let reason = format!("none of its directories has a cookie (a file `{COOKIE_FILE}`), which says whose it is");
        BookieDiskError::not_a_bookie(&path, reason)
    })
}

/// In what two cookies differ, the weightiest first.
fn difference(one: &Cookie, other: &Cookie) -> String {
    let shown = |id: &Option<String>| id.clone().unwrap_or_else(|| "none".to_owned());
    if one.instance_id != other.instance_id {
        let (one, other) = (shown(&one.instance_id), shown(&other.instance_id));
        return format!("they are of different clusters, instance {one} and instance {other}");
    }
    if one.bookie_id != other.bookie_id {
        return format!("they are of two bookies, {} and {}", one.bookie_id, other.bookie_id);
    }
    format!("they are both of bookie {}, but name different directories", one.bookie_id)
}

//! Which keys a store accepts: the same in the file system and in its double, so that a test with the double is honest.

use super::Tier2Error;

/// Refuses a key that is empty, absolute, or has a part that a file system would interpret.
pub(super) fn check_key(location: &str, key: &str) -> Result<(), Tier2Error> {
    match fault_of_parts(key.split('/')) {
        Some(reason) => Err(key_error(location, key, reason)),
        None => Ok(()),
    }
}

/// Splits a prefix into the directory that holds everything below it and the beginning of a name in there.
pub(super) fn split_prefix<'a>(location: &str, prefix: &'a str) -> Result<(&'a str, &'a str), Tier2Error> {
    if prefix.contains('\0') {
        return Err(key_error(location, prefix, "it has a NUL character"));
    }
    let Some((directory, name)) = prefix.rsplit_once('/') else {
        return Ok(("", prefix));
    };
    match fault_of_parts(directory.split('/')) {
        Some(reason) => Err(key_error(location, prefix, reason)),
        None => Ok((directory, name)),
    }
}

fn fault_of_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Option<&'static str> {
    for part in parts {
        match part {
            "" => return Some("it has an empty part (nothing before, after or between slashes)"),
            "." | ".." => return Some("it has a part `.` or `..`"),
            _ if part.contains('\0') => return Some("it has a NUL character"),
            _ => {}
        }
    }
    None
}

fn key_error(location: &str, key: &str, reason: &str) -> Tier2Error {
    Tier2Error::Key { location: location.to_owned(), key: key.to_owned(), reason: reason.to_owned() }
}

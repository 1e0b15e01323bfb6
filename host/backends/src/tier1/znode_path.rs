//! Which paths ZooKeeper accepts: the same for the server and its doubles.

use super::Tier1Error;

/// Refuses a path that ZooKeeper would refuse (its `PathUtils.validatePath`).
pub(super) fn check_path(path: &str) -> Result<(), Tier1Error> {
    match fault_of(path) {
        None => Ok(()),
        Some(reason) => Err(Tier1Error::Path { path: path.to_owned(), reason: reason.to_owned() }),
    }
}

/// Parent of a path that was checked; none for the root.
pub(super) fn parent_of(path: &str) -> Option<&str> {
    match path.rsplit_once('/') {
        Some(("", "")) | None => None,
        Some(("", _)) => Some("/"),
        Some((parent, _)) => Some(parent),
    }
}

/// Parts of a path that was checked; none for the root.
pub(super) fn parts_of(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|part| !part.is_empty())
}

fn fault_of(path: &str) -> Option<&'static str> {
    let Some(parts) = path.strip_prefix('/') else {
        return Some("it does not begin with a slash");
    };
    if parts.is_empty() {
        return None;
    }
    for part in parts.split('/') {
        match part {
            "" => return Some("it has an empty part, or a slash at the end"),
            "." | ".." => return Some("it has a part `.` or `..`"),
            _ if part.chars().any(is_refused) => return Some("it has a character that ZooKeeper refuses"),
            _ => {}
        }
    }
    None
}

fn is_refused(character: char) -> bool {
    matches!(u32::from(character), 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_zookeeper_accepts() {
        for path in ["/", "/a", "/a/b=c+%", "/store/streams/scope-ümlaut/…x", "/a b/.hidden/..."] {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in ["", "a", "/a/", "//", "/a//b", "/a/./b", "/..", "/a\u{1}", "/a\u{7f}"] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn knows_parents() {
        assert_eq!(parent_of("/"), None);
        assert_eq!(parent_of("/a"), Some("/"));
        assert_eq!(parent_of("/a/b"), Some("/a"));
    }
}

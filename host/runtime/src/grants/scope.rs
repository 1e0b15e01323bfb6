//! For what a procedure may stage changes.

use std::collections::BTreeSet;

use dr_engine::contract::{CallError, CallResult, ContainerId};

/// What a procedure may change with the capabilities that it was granted. A part that is none is unlimited; reading is
/// never limited by it. Folders and subtrees are compared by the parts of their paths: `a/b` holds `a/b` and `a/b/c`, and
/// not `a/bc`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Containers that may be built anew, and whose objects may move.
    pub containers: Option<BTreeSet<ContainerId>>,
    /// Subtrees of ZNodes that may be created, set and deleted, relative to the cluster's root.
    pub znodes: Option<Vec<String>>,
    /// Folders of Tier-2 from which objects may move.
    pub objects: Option<Vec<String>>,
    /// Folders of Tier-2 to which objects may move.
    pub places: Option<Vec<String>>,
}

impl Scope {
    /// Refuses a container outside.
    pub(super) fn check_container(&self, container: ContainerId) -> CallResult<()> {
        match &self.containers {
            Some(granted) if !granted.contains(&container) => {
                let list: Vec<String> = granted.iter().map(ToString::to_string).collect();
                Err(outside(&format!("container {container}"), "containers", &list.join(", ")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses a ZNode outside.
    pub(super) fn check_znode(&self, path: &str) -> CallResult<()> {
        check_path(&self.znodes, path, "the ZNode", "znodes")
    }

    /// Refuses objects outside, and a place outside.
    pub(super) fn check_move(&self, container: ContainerId, keys: &[String], place: &str) -> CallResult<()> {
        self.check_container(container)?;
        check_path(&self.places, place, "the place", "places")?;
        keys.iter().try_for_each(|key| check_path(&self.objects, key, "the object", "objects"))
    }
}

/// The parts of a path that a scope can name; none if it names nothing, or climbs.
pub(super) fn parts(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = path.split('/').collect();
    let is_part = |part: &&str| !matches!(*part, "" | "." | "..") && !part.contains(char::is_control);
    parts.iter().all(is_part).then_some(parts)
}

fn check_path(granted: &Option<Vec<String>>, path: &str, what: &str, scope: &str) -> CallResult<()> {
    let Some(granted) = granted else { return Ok(()) };
    // A place may be written with a slash at its end.
    let of_path = parts(path.strip_suffix('/').unwrap_or(path));
    let holds = |root: &String| of_path.as_ref().zip(parts(root)).is_some_and(|(path, root)| path.starts_with(&root));
    if granted.iter().any(holds) {
        return Ok(());
    }
    let list: Vec<String> = granted.iter().map(|root| format!("`{root}`")).collect();
    Err(outside(&format!("{what} `{path}`"), scope, &list.join(", ")))
}

fn outside(thing: &str, scope: &str, granted: &str) -> CallError {
    let granted = if granted.is_empty() { "nothing" } else { granted };
    CallError::Denied(format!("{thing} lies outside the scope `{scope}` that the policy grants: {granted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(roots: &[&str]) -> Option<Vec<String>> {
        Some(roots.iter().map(|&root| root.to_owned()).collect())
    }

    #[test]
    fn subtrees_are_compared_part_by_part_and_nothing_climbs_out() {
        let scope = Scope { znodes: roots(&["counter", "a/b"]), ..Scope::default() };
        for inside in ["counter", "counter/x", "a/b", "a/b/c/d"] {
            assert_eq!(scope.check_znode(inside), Ok(()), "{inside}");
        }
        for outside in [
            "",
            "a",
            "a/bc",
            "a/b/../c",
            "a/b/.",
            "a//b",
            "/a/b",
            "counters",
            "x/counter",
            "..",
            "../counter",
            "counter/\0",
        ] {
            let Err(CallError::Denied(why)) = scope.check_znode(outside) else { panic!("{outside:?} was granted") };
            assert_eq!(
                why,
                format!(
                    "the ZNode `{outside}` lies outside the scope `znodes` that the policy grants: `counter`, `a/b`"
                )
            );
        }
        assert_eq!(Scope::default().check_znode("anything"), Ok(()));
        let nothing = Scope { znodes: roots(&[]), ..Scope::default() }.check_znode("counter").unwrap_err().to_string();
        assert!(nothing.ends_with("grants: nothing"), "{nothing}");
    }

    #[test]
    fn objects_move_between_granted_folders_of_granted_containers() {
        let scope = Scope {
            containers: Some(BTreeSet::from([0, 2])),
            objects: roots(&["_system", "alpha/orders"]),
            places: roots(&["_dr/aside"]),
            ..Scope::default()
        };
        let check = |container, key: &str, place: &str| scope.check_move(container, &[key.to_owned()], place);
        assert_eq!(check(2, "_system/containers/metadata_2", "_dr/aside/today/"), Ok(()));
        let why = |container, key, place| check(container, key, place).unwrap_err().to_string();
        assert!(why(1, "_system/x", "_dr/aside").starts_with("container 1 lies outside the scope `containers`"));
        assert!(why(1, "_system/x", "_dr/aside").ends_with("grants: 0, 2"));
        assert!(why(0, "alpha/orders2/0", "_dr/aside").starts_with("the object `alpha/orders2/0` lies outside"));
        assert!(why(0, "_system/x", "_dr/asides").starts_with("the place `_dr/asides` lies outside"));
        assert!(why(0, "_system/x", "_dr/aside/../x").contains("scope `places`"));
    }
}

//! Whose a segment is: what an operator calls by one name.

use dr_formats::names::{KEY_VALUE_TABLE_SUFFIX, MARK_PREFIX, READER_GROUP_PREFIX, SYSTEM_SCOPE, main_segment_of};
use serde::{Deserialize, Serialize};

/// The folder of the containers' own segments in [`SYSTEM_SCOPE`].
const CONTAINERS: &str = "containers";

/// What owns segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnerKind {
    /// A stream of users, with its transactions.
    Stream,
    /// A key-value table of users.
    KeyValueTable,
    /// A reader group.
    ReaderGroup,
    /// The watermarks of a stream.
    Watermarks,
    /// The controller: its tables, streams and reader groups.
    Controller,
    /// The segment containers themselves: metadata tables and queues.
    Container,
    /// Anything else.
    Other,
}

/// An owner of segments.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// What it is.
    pub kind: OwnerKind,
    /// Its scope; empty for what has none.
    pub scope: String,
    /// Its name in the scope, as users know it.
    pub name: String,
}

impl Owner {
    /// The owner of a segment or of its attribute index.
    pub fn of(segment: &str) -> Self {
        let (kind, scope, name) = parts_of(segment);
        Self { kind, scope: scope.to_owned(), name: name.to_owned() }
    }

    /// True if it is the owner of this segment.
    pub(super) fn owns(&self, segment: &str) -> bool {
        (self.kind, &*self.scope, &*self.name) == parts_of(segment)
    }

    /// `scope/name`.
    pub fn path(&self) -> String {
        if self.scope.is_empty() { self.name.clone() } else { format!("{}/{}", self.scope, self.name) }
    }
}

/// The first two parts of the name decide: cheap, for it is asked for every segment.
fn parts_of(segment: &str) -> (OwnerKind, &str, &str) {
    let Some((scope, rest)) = segment.split_once('/') else { return (OwnerKind::Other, "", without_suffix(segment)) };
    let (name, is_alone) = rest.split_once('/').map_or((without_suffix(rest), true), |(name, _)| (name, false));
    if scope == SYSTEM_SCOPE {
        return (if name == CONTAINERS { OwnerKind::Container } else { OwnerKind::Controller }, scope, name);
    }
    if is_alone {
        return (OwnerKind::Other, scope, name);
    }
    if let Some(group) = name.strip_prefix(READER_GROUP_PREFIX) {
        (OwnerKind::ReaderGroup, scope, group)
    } else if let Some(stream) = name.strip_prefix(MARK_PREFIX) {
        (OwnerKind::Watermarks, scope, stream)
    } else if let Some(table) = name.strip_suffix(KEY_VALUE_TABLE_SUFFIX) {
        (OwnerKind::KeyValueTable, scope, table)
    } else {
        (OwnerKind::Stream, scope, name)
    }
}

fn without_suffix(name: &str) -> &str {
    main_segment_of(name).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_belong_to_what_users_call_by_name() {
        let of = |segment: &str| {
            let owner = Owner::of(segment);
            assert!(owner.owns(segment));
            (owner.kind, owner.path())
        };
        for (segment, kind, path) in [
            ("a/b/0.#epoch.0", OwnerKind::Stream, "a/b"),
            ("a/b/7.#epoch.3$attributes.index", OwnerKind::Stream, "a/b"),
            ("a/b/0.#epoch.0#transaction.00000000000000010000000000000002", OwnerKind::Stream, "a/b"),
            ("a/t_kvtable/0.#epoch.0", OwnerKind::KeyValueTable, "a/t"),
            ("a/_RGgroup/0.#epoch.0", OwnerKind::ReaderGroup, "a/group"),
            ("a/_MARKb/0.#epoch.0", OwnerKind::Watermarks, "a/b"),
            ("_system/_tables/scopes", OwnerKind::Controller, "_system/_tables"),
            ("_system/_commitStream/0.#epoch.0", OwnerKind::Controller, "_system/_commitStream"),
            ("_system/containers/metadata_2", OwnerKind::Container, "_system/containers"),
            ("_system/containers/storage_metadata_0$attributes.index", OwnerKind::Container, "_system/containers"),
            ("_system/deletingScopes", OwnerKind::Controller, "_system/deletingScopes"),
            ("scope/odd$attributes.index", OwnerKind::Other, "scope/odd"),
            ("alone", OwnerKind::Other, "alone"),
        ] {
            assert_eq!(of(segment), (kind, path.to_owned()), "{segment}");
        }
    }
}

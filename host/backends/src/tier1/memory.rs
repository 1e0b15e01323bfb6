//! ZNodes in memory: the model that the embedded directory is tested against, and a double for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::znode_path::{check_path, parent_of};
use super::{Tier1Error, ZNodeData, ZNodes};

const LOCATION: &str = "memory";

#[derive(Debug, Default)]
struct Node {
    data: Vec<u8>,
    version: i32,
    children: BTreeSet<String>,
    next_sequence: i64,
}

/// ZNodes in a map. The root exists from the beginning.
#[derive(Debug)]
pub struct MemoryZNodes {
    nodes: Mutex<BTreeMap<String, Node>>,
}

impl Default for MemoryZNodes {
    fn default() -> Self {
        Self { nodes: Mutex::new(BTreeMap::from([("/".to_owned(), Node::default())])) }
    }
}

impl MemoryZNodes {
    /// A tree with nothing but its root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<String, Node>> {
        // No call on the map panics in the middle of a change.
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn insert_with_parents(nodes: &mut BTreeMap<String, Node>, path: &str, data: &[u8]) {
    let Some(parent) = parent_of(path) else { return };
    if !nodes.contains_key(parent) {
        insert_with_parents(nodes, parent, &[]);
    }
    if let Some(node) = nodes.get_mut(parent) {
        node.children.insert(name_of(path).to_owned());
    }
    nodes.insert(path.to_owned(), Node { data: data.to_vec(), ..Node::default() });
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or_default()
}

fn existing<'a>(nodes: &'a mut BTreeMap<String, Node>, path: &str, expected: i32) -> Result<&'a mut Node, Tier1Error> {
    let node = nodes
        .get_mut(path)
        .ok_or_else(|| Tier1Error::NotFound { location: LOCATION.to_owned(), name: path.to_owned() })?;
    if node.version != expected {
        return Err(Tier1Error::Version { location: LOCATION.to_owned(), name: path.to_owned(), expected });
    }
    Ok(node)
}

impl ZNodes for MemoryZNodes {
    fn location(&self) -> String {
        LOCATION.to_owned()
    }

    fn get(&self, path: &str) -> Result<Option<ZNodeData>, Tier1Error> {
        check_path(path)?;
        let nodes = self.nodes();
        Ok(nodes.get(path).map(|node| ZNodeData { data: node.data.clone(), version: node.version, ephemeral: false }))
    }

    fn children(&self, path: &str) -> Result<Option<Vec<String>>, Tier1Error> {
        check_path(path)?;
        Ok(self.nodes().get(path).map(|node| node.children.iter().cloned().collect()))
    }

    fn create(&self, path: &str, data: &[u8]) -> Result<(), Tier1Error> {
        check_path(path)?;
        let mut nodes = self.nodes();
        if nodes.contains_key(path) {
            return Err(Tier1Error::Exists { location: LOCATION.to_owned(), name: path.to_owned() });
        }
        insert_with_parents(&mut nodes, path, data);
        Ok(())
    }

    fn set(&self, path: &str, data: &[u8], expected_version: i32) -> Result<i32, Tier1Error> {
        check_path(path)?;
        let mut nodes = self.nodes();
        let node = existing(&mut nodes, path, expected_version)?;
        node.data = data.to_vec();
        node.version += 1;
        Ok(node.version)
    }

    fn delete(&self, path: &str, expected_version: i32) -> Result<(), Tier1Error> {
        check_path(path)?;
        let mut nodes = self.nodes();
        let node = existing(&mut nodes, path, expected_version)?;
        if path == "/" || !node.children.is_empty() {
            return Err(Tier1Error::NotEmpty { location: LOCATION.to_owned(), name: path.to_owned() });
        }
        nodes.remove(path);
        if let Some(parent) = parent_of(path).and_then(|parent| nodes.get_mut(parent)) {
            parent.children.remove(name_of(path));
        }
        Ok(())
    }

    fn next_sequence(&self, prefix: &str) -> Result<i64, Tier1Error> {
        let parent = parent_of_prefix(prefix)?;
        let mut nodes = self.nodes();
        if !nodes.contains_key(parent) {
            insert_with_parents(&mut nodes, parent, &[]);
        }
        let node = nodes.entry(parent.to_owned()).or_default();
        node.next_sequence += 1;
        Ok(node.next_sequence - 1)
    }

    fn coming_sequence(&self, parent: &str) -> Result<Option<i64>, Tier1Error> {
        check_path(parent)?;
        Ok(self.nodes().get(parent).map(|node| node.next_sequence))
    }
}

/// Parent of the sequential children `prefix` + number.
pub(super) fn parent_of_prefix(prefix: &str) -> Result<&str, Tier1Error> {
    check_path(prefix)?;
    parent_of(prefix)
        .ok_or_else(|| Tier1Error::Path { path: prefix.to_owned(), reason: "the root has no name".to_owned() })
}

//! ZNodes as a procedure sees them: the real ones under what it staged.

use std::collections::{BTreeMap, BTreeSet};

use dr_backends::tier1::ZNodes;

use crate::cluster::ClusterLayout;
use crate::contract::{CallError, CallResult, ZNode};
use crate::error::OperatorError;
use crate::plan::Effect;

/// Most ZNodes that one run may stage. Far above the streams of any cluster; bounds a guest that never stops.
const STAGED_ZNODES_MAX: usize = 1_000_000;

/// Largest content of a ZNode that can be staged, in bytes: ZooKeeper's own default limit (`jute.maxbuffer`).
const ZNODE_BYTES_MAX: usize = 1024 * 1024 - 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Staged {
    Created { data: Vec<u8> },
    Set { data: Vec<u8>, expected_version: i32 },
    Deleted { expected_version: i32 },
}

/// The ZNodes under an overlay. Paths are relative to the cluster's root.
pub trait ZNodesBelow {
    /// None if there is no such node.
    ///
    /// # Errors
    /// `unavailable`.
    fn get(&self, path: &str) -> CallResult<Option<ZNode>>;
    /// Names of the children; empty if there is no such node.
    ///
    /// # Errors
    /// `unavailable`.
    fn children(&self, path: &str) -> CallResult<Vec<String>>;
}

/// Those of a cluster.
#[derive(Debug)]
pub struct ClusterZNodes<'a> {
    /// All ZNodes.
    pub znodes: &'a dyn ZNodes,
    /// Where those of the cluster are.
    pub layout: &'a ClusterLayout,
}

impl ZNodesBelow for ClusterZNodes<'_> {
    fn get(&self, path: &str) -> CallResult<Option<ZNode>> {
        let node = self.znodes.get(&self.layout.absolute(path)).map_err(OperatorError::from)?;
        Ok(node.map(|node| ZNode { data: node.data, version: node.version }))
    }

    fn children(&self, path: &str) -> CallResult<Vec<String>> {
        let children = self.znodes.children(&self.layout.absolute(path)).map_err(OperatorError::from)?;
        Ok(children.unwrap_or_default())
    }
}

/// Staged ZNodes over others. Paths are relative to the cluster's root.
#[derive(Debug, Default)]
pub struct ZNodeOverlay {
    staged: BTreeMap<String, Staged>,
}

impl ZNodeOverlay {
    /// The node as it would be after the staged effects.
    ///
    /// # Errors
    /// `invalid` path; `unavailable`.
    pub fn get(&self, below: &dyn ZNodesBelow, path: &str) -> CallResult<Option<ZNode>> {
        check_path(path)?;
        match self.staged.get(path) {
            Some(Staged::Created { data }) => Ok(Some(ZNode { data: data.clone(), version: 0 })),
            Some(Staged::Set { data, expected_version }) => {
                Ok(Some(ZNode { data: data.clone(), version: expected_version + 1 }))
            }
            Some(Staged::Deleted { .. }) => Ok(None),
            None => below.get(path),
        }
    }

    /// Names of the children, sorted.
    ///
    /// # Errors
    /// As [`ZNodeOverlay::get`].
    pub fn children(&self, below: &dyn ZNodesBelow, path: &str) -> CallResult<Vec<String>> {
        check_path(path)?;
        let mut children: BTreeSet<String> = below.children(path)?.into_iter().collect();
        let prefix = format!("{path}/");
        for (staged_path, staged) in self.staged.range(prefix.clone()..).take_while(|(p, _)| p.starts_with(&prefix)) {
            let rest = &staged_path[prefix.len()..];
            let child = rest.split('/').next().unwrap_or(rest);
            match staged {
                Staged::Deleted { .. } if child == rest => {
                    children.remove(child);
                }
                Staged::Deleted { .. } => {}
                _ => {
                    children.insert(child.to_owned());
                }
            }
        }
        Ok(children.into_iter().collect())
    }

    /// Stages creating a node.
    ///
    /// # Errors
    /// `already-exists`, `invalid`, `exhausted`.
    pub fn create(&mut self, below: &dyn ZNodesBelow, path: &str, data: Vec<u8>) -> CallResult<()> {
        if self.get(below, path)?.is_some() {
            return Err(CallError::AlreadyExists(format!("the ZNode `{path}` exists already")));
        }
        check_size(path, &data)?;
        match self.staged.get(path) {
            Some(Staged::Deleted { expected_version }) => {
                let expected_version = *expected_version;
                self.stage(path, Staged::Set { data, expected_version })
            }
            _ => self.stage(path, Staged::Created { data }),
        }
    }

    /// Stages new content.
    ///
    /// # Errors
    /// `not-found`, `conflict`, `invalid`, `exhausted`.
    pub fn set(&mut self, below: &dyn ZNodesBelow, path: &str, data: Vec<u8>, expected_version: i32) -> CallResult<()> {
        check_size(path, &data)?;
        self.expect_version(below, path, expected_version)?;
        match self.staged.get(path) {
            Some(Staged::Created { .. }) => self.stage(path, Staged::Created { data }),
            Some(Staged::Set { expected_version, .. }) => {
                let expected_version = *expected_version;
                self.stage(path, Staged::Set { data, expected_version })
            }
            _ => self.stage(path, Staged::Set { data, expected_version }),
        }
    }

    /// Stages deleting a node.
    ///
    /// # Errors
    /// `not-found`, `conflict`, `exhausted`.
    pub fn delete(&mut self, below: &dyn ZNodesBelow, path: &str, expected_version: i32) -> CallResult<()> {
        self.expect_version(below, path, expected_version)?;
        if !self.children(below, path)?.is_empty() {
            return Err(CallError::Conflict(format!("the ZNode `{path}` has children")));
        }
        match self.staged.get(path) {
            Some(Staged::Created { .. }) => {
                self.staged.remove(path);
                Ok(())
            }
            Some(Staged::Set { expected_version, .. }) => {
                let expected_version = *expected_version;
                self.stage(path, Staged::Deleted { expected_version })
            }
            _ => self.stage(path, Staged::Deleted { expected_version }),
        }
    }

    /// The staged effects, with absolute paths.
    pub fn effects(&self, layout: &ClusterLayout) -> Vec<Effect> {
        let effect = |(path, staged): (&String, &Staged)| {
            let path = layout.absolute(path);
            match staged.clone() {
                Staged::Created { data } => Effect::CreateZnode { path, data },
                Staged::Set { data, expected_version } => Effect::SetZnode { path, data, expected_version },
                Staged::Deleted { expected_version } => Effect::DeleteZnode { path, expected_version },
            }
        };
        self.staged.iter().map(effect).collect()
    }

    fn expect_version(&self, below: &dyn ZNodesBelow, path: &str, expected_version: i32) -> CallResult<()> {
        match self.get(below, path)? {
            None => Err(CallError::NotFound(format!("there is no ZNode `{path}`"))),
            Some(node) if node.version != expected_version => Err(CallError::Conflict(format!(
                "the ZNode `{path}` has version {}, not {expected_version}",
                node.version
            ))),
            Some(_) => Ok(()),
        }
    }

    fn stage(&mut self, path: &str, staged: Staged) -> CallResult<()> {
        if self.staged.len() >= STAGED_ZNODES_MAX && !self.staged.contains_key(path) {
            return Err(CallError::Exhausted(format!("more than {STAGED_ZNODES_MAX} ZNodes were staged")));
        }
        self.staged.insert(path.to_owned(), staged);
        Ok(())
    }
}

/// Refuses paths that ZooKeeper refuses, and those that would leave the cluster's root or reach the logs, which only
/// the host writes.
fn check_path(path: &str) -> CallResult<()> {
    let bad_part = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(char::is_control);
    if path.split('/').any(bad_part) {
        return Err(CallError::Invalid(format!("`{path}` is not a ZNode path relative to the cluster's root")));
    }
    Ok(())
}

fn check_size(path: &str, data: &[u8]) -> CallResult<()> {
    if data.len() > ZNODE_BYTES_MAX {
        return Err(CallError::Exhausted(format!(
            "the content of the ZNode `{path}` has {} bytes, {ZNODE_BYTES_MAX} are allowed",
            data.len()
        )));
    }
    Ok(())
}

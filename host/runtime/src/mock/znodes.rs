//! The ZNodes of a declared world.

use std::collections::BTreeSet;

use dr_engine::contract::{CallResult, ZNode};
use dr_engine::overlay::ZNodesBelow;

use super::world::World;

impl ZNodesBelow for World {
    fn get(&self, path: &str) -> CallResult<Option<ZNode>> {
        let is_parent = || below(self, path).next().is_some();
        let declared = self.znodes.get(path).cloned();
        Ok(declared.or_else(|| is_parent().then(|| ZNode { data: Vec::new(), version: 0 })))
    }

    fn children(&self, path: &str) -> CallResult<Vec<String>> {
        let children: BTreeSet<&str> = below(self, path).filter_map(|rest| rest.split('/').next()).collect();
        Ok(children.into_iter().map(str::to_owned).collect())
    }
}

/// What follows the path and a slash in the paths of its descendants.
fn below<'a>(world: &'a World, path: &'a str) -> impl Iterator<Item = &'a str> {
    world.znodes.keys().filter_map(move |declared| declared.strip_prefix(path)?.strip_prefix('/'))
}

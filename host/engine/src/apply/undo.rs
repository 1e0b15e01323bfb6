//! What was there before the first effect: written once, before anything changes, and all that a rollback needs besides
//! the plan and the journal.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::restored::{registrations, restored_ids};
use crate::cluster::Tier1;
use crate::error::{OperatorError, Result};
use crate::plan::{Effect, Plan, hex, run_directory_error, unhex};
use crate::run_file;

/// Name of the file in the plan's directory.
const UNDO_FILE: &str = "undo.json";

/// State of everything outside Tier-2 that a plan changes, before it does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UndoBundle {
    plan: String,
    /// Content of each ZNode in lower-case hex, none for one that was absent. With all parents, so that those which are
    /// created on the way can be told from those that were there.
    znodes: BTreeMap<String, Option<String>>,
    /// Nodes of BookKeeper that ledgers and bookies that are registered would make on the way, and that were there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    registered: Vec<String>,
}

impl UndoBundle {
    /// Looks at every ZNode that the plan touches.
    pub(super) fn take(plan: &Plan, tier1: Tier1<'_>) -> Result<Self> {
        let mut paths = BTreeSet::new();
        for path in plan.effects.iter().filter_map(Effect::znode) {
            paths.extend(path.match_indices('/').skip(1).map(|(end, _)| path[..end].to_owned()));
            paths.insert(path.to_owned());
        }
        let state = |path: String| -> Result<(String, Option<String>)> {
            let content = tier1.znodes.get(&path)?.map(|node| hex(&node.data));
            Ok((path, content))
        };
        let znodes = paths.into_iter().map(state).collect::<Result<_>>()?;
        let mut registered = Vec::new();
        for registration in registrations(plan) {
            registered.extend(tier1.ledgers.registry().present_of_registration(&registration)?);
        }
        let ledgers = restored_ids(plan);
        if !ledgers.is_empty() {
            registered.extend(tier1.ledgers.registry().present_parents(&ledgers)?);
        }
        Ok(Self { plan: plan.id.clone(), znodes, registered })
    }

    /// What a ZNode held; none if it was absent or was not looked at.
    ///
    /// # Errors
    /// `run-directory` for what is no hex.
    pub(super) fn content_of(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.znodes.get(path).and_then(Option::as_deref).map(content).transpose()
    }

    /// Nodes of BookKeeper that stay when a registration of ledgers and bookies is taken back.
    pub(super) fn registered(&self) -> &[String] {
        &self.registered
    }

    /// Writes the file, over one of an earlier attempt that changed nothing.
    pub(super) fn save(&self, directory: &Path) -> Result<()> {
        run_file::replace(&path(directory), self)
    }

    /// Reads the file.
    ///
    /// # Errors
    /// `plan-unreadable` if it is missing, damaged, or another plan's.
    pub(super) fn load(directory: &Path, plan: &str) -> Result<Self> {
        let path = path(directory);
        let unreadable = |why: String| {
            OperatorError::new(
                "plan-unreadable",
                format!("cannot read `{}`, without which nothing can be rolled back", path.display()),
                "restore the run directory from a copy",
            )
            .because(why)
        };
        let bundle: Self = run_file::read(&path)
            .map_err(|error| unreadable(error.to_string()))?
            .ok_or_else(|| unreadable("there is no such file".to_owned()))?;
        if bundle.plan != plan {
            return Err(unreadable(format!("it belongs to plan {}", bundle.plan)));
        }
        Ok(bundle)
    }

    /// The ZNodes, children before parents, with what each held.
    pub(super) fn znodes(&self) -> impl Iterator<Item = Result<(&str, Option<Vec<u8>>)>> {
        self.znodes.iter().rev().map(|(path, hex)| Ok((path.as_str(), hex.as_deref().map(content).transpose()?)))
    }
}

fn content(hex: &str) -> Result<Vec<u8>> {
    let damaged = || run_directory_error("read", Path::new(UNDO_FILE), std::io::Error::other("it holds no hex"));
    unhex(hex).ok_or_else(damaged)
}

fn path(directory: &Path) -> PathBuf {
    directory.join(UNDO_FILE)
}

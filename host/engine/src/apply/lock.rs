//! The lock of a cluster: one ZNode of ours for as long as a plan is being applied or taken back. It is not ephemeral: a
//! session that expires in the middle must not open the cluster to somebody else, and an interrupted plan keeps its claim.
//! Who holds it stands in it, so that the same plan takes over from a process that ended.

use dr_backends::tier1::{Tier1Error, ZNodeData};
use serde::{Deserialize, Serialize};

use super::Application;
use crate::cluster::ClusterLayout;
use crate::error::{OperatorError, Result};
use crate::journal::Entry;
use crate::process::{Process, Standing};

/// Attempts to take a lock that others change meanwhile.
const ATTEMPTS: usize = 5;

/// What the ZNode holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    plan: String,
    run_directory: String,
    tier2: String,
    /// None if it stopped before it was done.
    holder: Option<Process>,
}

impl ClusterLayout {
    /// The ZNode of the lock. Beside the cluster's own, and without a parent that would stay.
    pub fn lock_znode(&self) -> String {
        format!("/dr-recovery-of-{}", self.cluster_name)
    }
}

/// The lock, taken.
#[derive(Debug)]
pub(super) struct ClusterLock<'a> {
    application: &'a Application<'a>,
    is_new: bool,
}

impl<'a> ClusterLock<'a> {
    /// Takes the lock, or takes it over from a process that ended.
    ///
    /// # Errors
    /// `lock-held`, `recovery-in-progress`; Tier-1 errors.
    pub(super) fn take(application: &'a Application<'a>) -> Result<Self> {
        let (path, znodes) = (application.layout.lock_znode(), application.tier1.znodes);
        let own = content(application, Some(Process::own()));
        let json = encode(&own)?;
        for _ in 0..ATTEMPTS {
            let taken = match znodes.get(&path)? {
                None => znodes.create(&path, &json).map(|()| true),
                Some(node) if node.data == json => Ok(false),
                Some(node) => {
                    refuse_held(application, &path, &node)?;
                    znodes.set(&path, &json, node.version).map(|_| false)
                }
            };
            match taken {
                Ok(is_new) => {
                    let plan = application.plan.id.clone();
                    application.journal.record(Entry::LockTaken { path, plan })?;
                    return Ok(Self { application, is_new });
                }
                // Somebody was faster; who?
                Err(Tier1Error::Exists { .. } | Tier1Error::Version { .. } | Tier1Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(held(&path, "several processes try to take it"))
    }

    /// Refuses to go on if somebody broke the lock meanwhile.
    ///
    /// # Errors
    /// `lock-held`; Tier-1 errors.
    pub(super) fn refuse_lost(&self) -> Result<()> {
        let path = self.application.layout.lock_znode();
        match self.own_node()? {
            Some(_) => Ok(()),
            None => Err(held(&path, "it was taken from this process")),
        }
    }

    /// Removes the lock: the plan is applied, or taken back.
    ///
    /// # Errors
    /// Tier-1 errors.
    pub(super) fn remove(&self) -> Result<()> {
        let Some(node) = self.own_node()? else { return Ok(()) };
        match self.application.tier1.znodes.delete(&self.application.layout.lock_znode(), node.version) {
            Ok(()) | Err(Tier1Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// After a failure: an application that has begun keeps its claim, but nobody holds it; one that has not leaves nothing.
    pub(super) fn give_back(self, has_begun: bool) {
        let done = if self.is_new && !has_begun { self.remove() } else { self.let_go() };
        if let Err(error) = done {
            // The error that led here is the one to be told; the next run finds that this process ended.
            tracing::warn!(%error, "the lock in ZooKeeper stays in the name of this process");
        }
    }

    fn let_go(&self) -> Result<()> {
        let Some(node) = self.own_node()? else { return Ok(()) };
        let json = encode(&content(self.application, None))?;
        self.application.tier1.znodes.set(&self.application.layout.lock_znode(), &json, node.version)?;
        Ok(())
    }

    /// The node, if it is this process that holds it.
    fn own_node(&self) -> Result<Option<ZNodeData>> {
        let json = encode(&content(self.application, Some(Process::own())))?;
        let node = self.application.tier1.znodes.get(&self.application.layout.lock_znode())?;
        Ok(node.filter(|node| node.data == json))
    }
}

/// Removes what a run of this plan left that was interrupted before its first effect. True if there was a lock of it.
///
/// # Errors
/// `lock-held`; Tier-1 errors.
pub(super) fn remove_own(application: &Application<'_>) -> Result<bool> {
    let (path, znodes) = (application.layout.lock_znode(), application.tier1.znodes);
    let Some(node) = znodes.get(&path)? else { return Ok(false) };
    if decode(&path, &node)?.plan != application.plan.id {
        return Ok(false);
    }
    refuse_held(application, &path, &node)?;
    znodes.delete(&path, node.version)?;
    Ok(true)
}

/// Refuses a lock that another plan has, or that a process holds which may still run.
fn refuse_held(application: &Application<'_>, path: &str, node: &ZNodeData) -> Result<()> {
    let lock = match decode(path, node) {
        Err(_) if application.break_lock => return Ok(()),
        lock => lock?,
    };
    let standing = lock.holder.as_ref().map_or(Standing::Ended, Process::standing);
    let who = lock.holder.as_ref().map_or_else(
        || "nobody works on it now".to_owned(),
        |process| format!("process {} on {} {}", process.pid, process.host, in_words(standing)),
    );
    if standing == Standing::Running {
        return Err(held(path, &who));
    }
    if application.break_lock {
        return Ok(());
    }
    if lock.plan != application.plan.id {
        return Err(OperatorError::new(
            "recovery-in-progress",
            format!("another recovery of this cluster is under way or was interrupted: plan {} of {}", lock.plan, lock.tier2),
            format!(
                "carry on with it: `dr apply {0}`; or take it back: `dr rollback {0}`; if that directory is lost, --break-lock",
                lock.run_directory
            ),
        )
        .because(format!("the ZNode `{path}` says so; {who}")));
    }
    if standing == Standing::Unknown { Err(held(path, &who)) } else { Ok(()) }
}

fn in_words(standing: Standing) -> &'static str {
    match standing {
        Standing::Own | Standing::Running => "is running",
        Standing::Ended => "has ended",
        Standing::Unknown => "cannot be seen from here",
    }
}

fn held(path: &str, why: &str) -> OperatorError {
    OperatorError::new(
        "lock-held",
        format!("another dr works on this cluster: it holds the ZNode `{path}`"),
        "wait until it has ended, or end it, then run the command again; if its machine is gone for good, add --break-lock",
    )
    .because(why)
    .may_retry()
}

fn content(application: &Application<'_>, holder: Option<Process>) -> Content {
    let directory = std::path::absolute(application.directory).unwrap_or_else(|_| application.directory.to_path_buf());
    Content {
        plan: application.plan.id.clone(),
        run_directory: directory.to_string_lossy().into_owned(),
        tier2: application.tier2.location(),
        holder,
    }
}

fn encode(content: &Content) -> Result<Vec<u8>> {
    serde_json::to_vec(content).map_err(|error| {
        OperatorError::new("defect", "the lock cannot be written as JSON", "report this as a defect of dr")
            .because(error)
    })
}

fn decode(path: &str, node: &ZNodeData) -> Result<Content> {
    serde_json::from_slice(&node.data).map_err(|error| {
        OperatorError::new(
            "lock-held",
            format!("the ZNode `{path}` is there, but is no lock that this dr can read"),
            "find out who made it; if it is not needed, add --break-lock",
        )
        .because(error)
    })
}

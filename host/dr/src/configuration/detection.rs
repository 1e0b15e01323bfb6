//! Finding out what nobody told.

use dr_backends::tier1::ZNodes;
use dr_engine::error::{OperatorError, Result};

use super::known::CLUSTER_NAME;

/// The name of the one cluster below `/pravega`, or none if there is no cluster.
///
/// Even on an empty ZooKeeper the ledgers' root must exist before a bookie starts, so the cluster's name is usually
/// there before any segment store is.
///
/// # Errors
/// `configuration-missing` if there are several; what ZooKeeper answers.
pub(crate) fn cluster_name(znodes: &dyn ZNodes) -> Result<Option<String>> {
    let mut names = cluster_names(znodes)?;
    if names.len() > 1 {
        let what = format!("{} holds several clusters: {}", znodes.location(), names.join(", "));
        return Err(OperatorError::new(
            "configuration-missing",
            what,
            "say which one is to be recovered: --cluster NAME",
        ));
    }
    Ok(names.pop())
}

/// The clusters below `/pravega`.
fn cluster_names(znodes: &dyn ZNodes) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for name in znodes.children("/pravega")?.unwrap_or_default() {
        let below = |path: &str| format!("/pravega/{name}/{path}");
        if znodes.children(&below("bookkeeper/ledgers"))?.is_some()
            || znodes.children(&below("segmentstore"))?.is_some()
        {
            names.push(name);
        }
    }
    Ok(names)
}

/// The name that somebody told.
///
/// # Errors
/// `configuration-cluster` if ZooKeeper contradicts it; what ZooKeeper answers.
pub(crate) fn told_name(znodes: &dyn ZNodes, name: &str) -> Result<String> {
    refuse_unknown(znodes, name)?;
    Ok(name.to_owned())
}

/// Refuses a name of which a ZooKeeper knows nothing that knows other clusters: under a wrong name, neither servers that run nor logs that are
/// there would be found. An empty ZooKeeper knows none, and that is what a loss of it looks like.
///
/// # Errors
/// `configuration-cluster`; what ZooKeeper answers.
fn refuse_unknown(znodes: &dyn ZNodes, name: &str) -> Result<()> {
    let root = format!("/pravega/{name}");
    if znodes.get(&root)?.is_some() {
        return Ok(());
    }
    let others = cluster_names(znodes)?;
    if others.is_empty() {
        return Ok(());
    }
    let known = others.iter().map(|other| format!("`{other}`")).collect::<Vec<_>>().join(", ");
    Err(OperatorError::new(
        "configuration-cluster",
        format!("{} knows nothing of a cluster `{name}`, and it knows {known}", znodes.location()),
        format!(
            "give the name that the segment stores use, with --cluster or pravegaservice.clusterName; only if `{name}` has lost all of its ZNodes in a \
             ZooKeeper that it shares with others, create an empty ZNode `{root}` and run the command again"
        ),
    )
    .because("under a name that the servers do not use, neither running servers nor old logs are found"))
}

/// The name of the cluster is not known and ZooKeeper does not tell.
pub(crate) fn cluster_name_missing(location: &str) -> OperatorError {
    OperatorError::new(
        "configuration-missing",
        "the name of the cluster is not known",
        format!(
            "give --cluster {example}, or --config with a file that sets {name}={example}; the name is that of the segment stores and \
             controllers that will be started",
            example = CLUSTER_NAME.example,
            name = CLUSTER_NAME.name
        ),
    )
    .because(format!("{location} has no ZNode /pravega/<cluster>/bookkeeper/ledgers that would tell"))
}

#[cfg(test)]
mod tests {
    use dr_backends::tier1::MemoryZNodes;

    use super::*;

    fn detect(paths: &[&str]) -> Result<Option<String>> {
        let znodes = MemoryZNodes::default();
        for path in paths {
            znodes.create(path, b"").unwrap();
        }
        cluster_name(&znodes)
    }

    #[test]
    fn the_only_cluster_is_found() {
        assert_eq!(detect(&["/pravega/lab/bookkeeper/ledgers/available", "/zookeeper"]), Ok(Some("lab".to_owned())));
        assert_eq!(detect(&["/pravega/lab/bookkeeper/ledgers"]), Ok(Some("lab".to_owned())));
        assert_eq!(detect(&["/pravega/lab/segmentstore/containers", "/pravega/other"]), Ok(Some("lab".to_owned())));
    }

    #[test]
    fn a_name_that_nobody_knows_is_refused_where_others_are_known() {
        let check = |paths: &[&str]| {
            let znodes = MemoryZNodes::default();
            paths.iter().for_each(|path| znodes.create(path, b"").unwrap());
            refuse_unknown(&znodes, "labb")
        };
        let other = "/pravega/lab/segmentstore/containers";
        for known in [&[][..], &["/zookeeper"], &["/pravega/ledgers"], &[other, "/pravega/labb"]] {
            assert_eq!(check(known), Ok(()), "{known:?}");
        }
        let error = check(&[other]).unwrap_err();
        assert_eq!(error.code, "configuration-cluster");
        assert!(error.what.contains("`labb`, and it knows `lab`"), "{error}");
        assert!(error.next_step.contains("--cluster") && error.next_step.contains("`/pravega/labb`"), "{error:?}");
    }

    #[test]
    fn none_is_no_error_yet_and_several_are_listed() {
        assert_eq!(detect(&["/zookeeper"]), Ok(None));
        assert_eq!(detect(&["/pravega/bookkeeper"]), Ok(None));
        let error = detect(&["/pravega/a/bookkeeper/ledgers", "/pravega/b/bookkeeper/ledgers"]).unwrap_err();
        assert!(error.what.contains("a, b") && error.next_step.contains("--cluster"), "{error}");
        assert!(cluster_name_missing("here").next_step.contains("pravegaservice.clusterName"));
    }
}

//! Procedure `total-loss-acme`: the built-in one with the policy of a vendor.
//!
//! It recovers only some scopes. The others keep their names: each of their segments is created, empty and sealed, so that the
//! controller's tables, which name all streams, still agree with the containers. Objects that no segment needs go to a
//! quarantine, and the old metadata to a place of the vendor's own.
//!
//! What the contract cannot do: move bytes. The torn end of a segment, and all bytes of an emptied one, stay in their objects where
//! they are, behind the new end of the segment, where nothing reads them; the plan lists each range with its reason.
//!
//! Everything else is the runbook of the built-in procedure, step by step.

use dr_guest_kit::parameters::{Text, Typed as _, Words};
use dr_guest_kit::storage::Segment;
use dr_guest_kit::{ContainerId, Description, Error, Parameter, Procedure, Result, Settings, Task, export_procedure};
use total_loss_runbook::decisions::{self, Fate};
use total_loss_runbook::{
    CAPABILITIES, Policy, Rules, parameters, recover_container, restore_what_only_zookeeper_knew,
};

const KEEP_SCOPES: Words = Words {
    name: "keep-scopes",
    default: "",
    help: "Scopes whose streams and tables keep their data, separated by commas; empty for all. Those of the controller are always kept.",
};
const QUARANTINE: Text = Text {
    name: "quarantine",
    default: "_dr/acme/quarantine",
    help: "Where in Tier-2 objects are moved to that no segment holds any more; below `_dr/`.",
};

/// Where the old metadata goes, instead of `_dr/moved-aside`.
const BACKUP_PLACE: &str = "_dr/acme/metadata";

/// The scope of the controller's own tables and streams.
const SYSTEM_SCOPE: &str = "_system";

struct Acme;

export_procedure!(Acme);

impl Procedure for Acme {
    fn describe() -> Description {
        let summary = "Recovers chosen scopes after a total loss, and keeps the others as names without data.";
        Description::new("total-loss-acme", env!("CARGO_PKG_VERSION"), summary)
            .needs(&CAPABILITIES)
            .takes(parameters().map(with_own_backup_place))
            .takes([KEEP_SCOPES.parameter(), QUARANTINE.parameter()])
    }

    fn run(settings: &Settings, task: &Task) -> Result<()> {
        recover_container(task.container_id()?, &AcmePolicy::from_settings(settings)?)
    }

    fn finish(_settings: &Settings) -> Result<()> {
        restore_what_only_zookeeper_knew()
    }
}

fn with_own_backup_place(parameter: Parameter) -> Parameter {
    match parameter.name.as_str() {
        "backup-place" => Parameter { default_value: BACKUP_PLACE.to_owned(), ..parameter },
        _ => parameter,
    }
}

/// What the vendor decides otherwise.
struct AcmePolicy {
    rules: Rules,
    keep_scopes: Vec<String>,
    quarantine: String,
}

impl AcmePolicy {
    fn from_settings(settings: &Settings) -> Result<Self> {
        let keep_scopes = settings.get(&KEEP_SCOPES)?;
        if let Some(wrong) = keep_scopes.iter().find(|scope| scope.contains('/')) {
            return Err(Error::Invalid(format!(
                "the setting `keep-scopes` has `{wrong}`, which is no name of a scope"
            )));
        }
        let quarantine = settings.get(&QUARANTINE)?.trim_end_matches('/').to_owned();
        Ok(Self { rules: Rules::from_settings(settings)?, keep_scopes, quarantine })
    }

    fn keeps(&self, segment: &Segment) -> bool {
        let scope = scope_of(&segment.name);
        self.keep_scopes.is_empty()
            || scope == Some(SYSTEM_SCOPE)
            || scope.is_none_or(|scope| self.keep_scopes.iter().any(|kept| kept == scope))
    }
}

impl Policy for AcmePolicy {
    fn rules(&self) -> &Rules {
        &self.rules
    }

    fn fate(&self, segment: &Segment) -> Fate {
        match decisions::fate(segment, &self.rules) {
            Fate::Create if !self.keeps(segment) => Fate::CreateEmpty("its scope is none of those that are kept"),
            fate => fate,
        }
    }

    fn leftovers_place(&self, container: ContainerId, epoch: u64) -> String {
        format!("{}/container-{container}.epoch-{epoch}", self.quarantine)
    }
}

/// The scope in the name of a segment; none for those that belong to no scope.
fn scope_of(segment: &str) -> Option<&str> {
    segment.split_once('/').map(|(scope, _)| scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(name: &str, standing: &str) -> Segment {
        Segment {
            name: name.to_owned(),
            kind: "stream".to_owned(),
            container: 0,
            sealed: false,
            start_offset: 0,
            length: 10,
            recorded_length: Some(10),
            row_length: Some(10),
            standing: standing.to_owned(),
            findings: Vec::new(),
        }
    }

    fn policy(keep_scopes: &[&str]) -> AcmePolicy {
        AcmePolicy {
            rules: Rules {
                whole_events: true,
                create_unrecorded: false,
                move_leftovers: true,
                renew_reader_groups: true,
                end_transactions: true,
                backup_place: BACKUP_PLACE.to_owned(),
            },
            keep_scopes: keep_scopes.iter().map(|scope| (*scope).to_owned()).collect(),
            quarantine: "_dr/acme/quarantine".to_owned(),
        }
    }

    #[test]
    fn other_scopes_keep_their_names_only() {
        let policy = policy(&["sales"]);
        assert_eq!(policy.fate(&segment("sales/orders/0.#epoch.0", "live")), Fate::Create);
        assert!(matches!(policy.fate(&segment("salesmen/orders/0.#epoch.0", "live")), Fate::CreateEmpty(_)));
        assert_eq!(policy.fate(&segment("_system/_tables/completedTransactionsBatches", "live")), Fate::Create);
        assert_eq!(policy.fate(&segment("other/orders/0.#epoch.0", "deleted")), Fate::Deleted);
        assert_eq!(policy.fate(&segment("other/orders/0.#epoch.0", "unrecorded")), Fate::Unrecorded);
    }

    #[test]
    fn without_a_list_every_scope_is_kept() {
        assert_eq!(policy(&[]).fate(&segment("other/orders/0.#epoch.0", "live")), Fate::Create);
    }

    #[test]
    fn what_nobody_holds_is_quarantined_by_container_and_epoch() {
        assert_eq!(policy(&[]).leftovers_place(3, 5), "_dr/acme/quarantine/container-3.epoch-5");
        assert_eq!(policy(&[]).metadata_place(3, 5), "_dr/acme/metadata/container-3.epoch-5");
    }
}

//! What is granted for one run.

use std::collections::BTreeSet;
use std::sync::Arc;

use dr_engine::contract::RecoveryHost;
use dr_engine::plan::Grants;

use super::capability::Capability;
use super::policy::Rule;
use super::scope::Scope;
use super::wrapper::{Granted, Refusal};

/// What became of the capabilities that a procedure declares. Each of them is in one of the sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Those that it gets.
    pub granted: BTreeSet<Capability>,
    /// Those that the policy withholds.
    pub denied: BTreeSet<Capability>,
    /// Those that stage changes and about which nobody said anything. With any of them a run does not begin.
    pub undecided: BTreeSet<Capability>,
}

impl Verdict {
    /// Decides over what a procedure declares. Reading is granted unless the policy withholds it; staging only to a
    /// procedure that is `trusted`, or by the policy, or by `more`.
    #[must_use]
    pub fn of(
        declared: &BTreeSet<Capability>,
        trusted: bool,
        rule: Option<&Rule>,
        more: &BTreeSet<Capability>,
    ) -> Self {
        let mut verdict = Self::default();
        for &capability in declared {
            let by_rule =
                |set: fn(&Rule) -> &BTreeSet<Capability>| rule.is_some_and(|rule| set(rule).contains(&capability));
            let set = if by_rule(|rule| &rule.deny) {
                &mut verdict.denied
            } else if trusted || !capability.stages() || by_rule(|rule| &rule.grant) || more.contains(&capability) {
                &mut verdict.granted
            } else {
                &mut verdict.undecided
            };
            set.insert(capability);
        }
        verdict
    }
}

/// Capabilities that were granted, and for what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Functions of the contract.
    pub capabilities: BTreeSet<Capability>,
    /// What may be changed with them.
    pub scope: Scope,
}

impl Grant {
    /// A host that answers `denied` to whatever this does not grant.
    #[must_use]
    pub fn guard(&self, behind: Arc<dyn RecoveryHost>) -> Arc<dyn RecoveryHost> {
        Arc::new(Granted::new(behind, self.clone(), Refusal::NotGranted))
    }

    /// For the plan.
    #[must_use]
    pub fn to_record(&self) -> Grants {
        let Scope { containers, znodes, objects, places } = &self.scope;
        Grants {
            capabilities: self.capabilities.iter().map(ToString::to_string).collect(),
            containers: containers.as_ref().map(|numbers| numbers.iter().copied().collect()),
            znodes: znodes.clone(),
            objects: objects.clone(),
            places: places.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(capabilities: &[Capability]) -> BTreeSet<Capability> {
        capabilities.iter().copied().collect()
    }

    #[test]
    fn a_stranger_reads_and_stages_nothing() {
        let declared = set(&[Capability::ListContainers, Capability::MoveAside, Capability::CreateZnode]);
        let verdict = Verdict::of(&declared, false, None, &BTreeSet::new());
        assert_eq!(verdict.granted, set(&[Capability::ListContainers]));
        assert_eq!(verdict.undecided, set(&[Capability::MoveAside, Capability::CreateZnode]));

        let verdict = Verdict::of(&declared, false, None, &set(&[Capability::MoveAside, Capability::DeleteZnode]));
        assert_eq!(verdict.granted, set(&[Capability::ListContainers, Capability::MoveAside]));
        assert_eq!(verdict.undecided, set(&[Capability::CreateZnode]));

        let verdict = Verdict::of(&declared, true, None, &BTreeSet::new());
        assert_eq!((verdict.granted, verdict.denied, verdict.undecided), (declared, set(&[]), set(&[])));
    }

    #[test]
    fn a_policy_grants_and_what_it_denies_nobody_gets() {
        let declared = set(&[Capability::Measure, Capability::MoveAside, Capability::CreateZnode]);
        let rule = Rule {
            grant: set(&[Capability::MoveAside, Capability::CreateZnode]),
            deny: set(&[Capability::Measure, Capability::CreateZnode]),
            ..Rule::default()
        };
        for trusted in [false, true] {
            let verdict = Verdict::of(&declared, trusted, Some(&rule), &set(&[Capability::CreateZnode]));
            assert_eq!(verdict.granted, set(&[Capability::MoveAside]));
            assert_eq!(verdict.denied, set(&[Capability::Measure, Capability::CreateZnode]));
            assert!(verdict.undecided.is_empty());
        }
    }
}

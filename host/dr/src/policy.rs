//! What the operator lets a procedure do: the policy's file and the command line, read and decided before a run begins.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use dr_engine::error::{OperatorError, Result};
use dr_runtime::{Capability, Grant, Limits, Policy, Procedure, Rule, Scope, Verdict};

use crate::arguments::{GrantArguments, PolicyArguments};
use crate::bounded_file::read_text;
use crate::procedures::built_in;

/// Largest policy that is read; some thousand procedures.
const BYTES_MAX: u64 = 1 << 20;

/// The policy of a command; one that says nothing if there is no file.
#[derive(Debug, Default)]
pub(crate) struct OperatorPolicy {
    policy: Policy,
    file: Option<PathBuf>,
}

/// What was decided about a procedure.
#[derive(Debug)]
pub(crate) struct Decided {
    /// What became of the capabilities that it declares.
    pub(crate) verdict: Verdict,
    /// For what it may stage changes.
    pub(crate) scope: Scope,
}

impl OperatorPolicy {
    /// Reads the file, if there is one.
    ///
    /// # Errors
    /// `policy-unreadable`, `policy-invalid`.
    pub(crate) fn read(arguments: &PolicyArguments) -> Result<Self> {
        let Some(path) = &arguments.policy else { return Ok(Self::default()) };
        let text = File::open(path).and_then(|file| read_text(file, BYTES_MAX)).map_err(|why| {
            let what = format!("cannot read the policy {}", path.display());
            OperatorError::new("policy-unreadable", what, "name a TOML file with --policy, or correct DR_POLICY")
                .because(why)
        })?;
        let policy = Policy::parse(&text).map_err(|why| {
            let what = format!("the policy {} cannot be used", path.display());
            OperatorError::new("policy-invalid", what, "correct it; docs/procedures.md says what it holds").because(why)
        })?;
        Ok(Self { policy, file: Some(path.clone()) })
    }

    /// Limits that hold for all procedures.
    pub(crate) fn limits(&self) -> Limits {
        self.policy.limits().clone()
    }

    /// The procedure with the limits that it has by this policy.
    pub(crate) fn limit(&self, procedure: Procedure) -> Procedure {
        let limits = self.policy.limits_of(self.rule(&procedure));
        procedure.with_limits(limits)
    }

    /// Decides over what a procedure declares.
    ///
    /// # Errors
    /// `configuration-grant` if the command line grants what the policy denies.
    pub(crate) fn decide(&self, procedure: &Procedure, arguments: &GrantArguments) -> Result<Decided> {
        let rule = self.rule(procedure);
        let more: BTreeSet<Capability> = arguments.capabilities.iter().copied().collect();
        if let Some(denied) = rule.and_then(|rule| rule.deny.intersection(&more).next()) {
            let name = &procedure.description().name;
            let what = format!("--grant {denied}: the policy {} denies it to the procedure `{name}`", self.place());
            return Err(OperatorError::new("configuration-grant", what, "leave the flag out, or change the policy"));
        }
        let trusted = built_in::is_built_in(procedure.digest());
        let verdict = Verdict::of(&procedure.description().capabilities, trusted, rule, &more);
        Ok(Decided { verdict, scope: rule.map(|rule| rule.scope.clone()).unwrap_or_default() })
    }

    /// The grant of a run, which does not begin while anything that stages changes is undecided.
    ///
    /// # Errors
    /// `procedure-not-granted`, with the lines that would grant it; those of [`OperatorPolicy::decide`].
    pub(crate) fn grant(&self, procedure: &Procedure, arguments: &GrantArguments) -> Result<Grant> {
        let Decided { verdict, scope } = self.decide(procedure, arguments)?;
        if verdict.undecided.is_empty() {
            return Ok(Grant { capabilities: verdict.granted, scope });
        }
        let description = procedure.description();
        let what = format!(
            "the procedure `{}` {} would stage changes with {}, which nobody granted",
            description.name,
            description.version,
            in_backticks(&verdict.undecided)
        );
        Err(OperatorError::new(
            "procedure-not-granted",
            what,
            how_to_grant(procedure, &verdict, &arguments.capabilities),
        )
        .because(self.why_not(procedure)))
    }

    fn why_not(&self, procedure: &Procedure) -> String {
        let name = &procedure.description().name;
        let beginning = "it is not built in, and only built-in procedures stage changes without a grant";
        if self.policy.names_another(name, procedure.digest()) {
            let digest = procedure.digest();
            return format!(
                "{beginning}; the policy {} names `{name}`, but with another sha256 than {digest}",
                self.place()
            );
        }
        beginning.to_owned()
    }

    fn rule(&self, procedure: &Procedure) -> Option<&Rule> {
        self.policy.rule(&procedure.description().name, procedure.digest())
    }

    fn place(&self) -> String {
        self.file.as_deref().unwrap_or(Path::new("")).display().to_string()
    }
}

fn in_backticks(capabilities: &BTreeSet<Capability>) -> String {
    capabilities.iter().map(|capability| format!("`{capability}`")).collect::<Vec<_>>().join(", ")
}

/// The flag, and the lines of a policy.
fn how_to_grant(procedure: &Procedure, verdict: &Verdict, given: &[Capability]) -> String {
    let all: BTreeSet<&Capability> = verdict.undecided.iter().chain(given).collect();
    let flag = all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let list =
        verdict.undecided.iter().map(|capability| format!("{:?}", capability.name())).collect::<Vec<_>>().join(", ");
    format!(
        "look at it with `dr procedure inspect`; if you trust it, add --grant {flag}, or write into the file of --policy: \
         procedure = [{{ name = {:?}, sha256 = {:?}, grant = [{list}] }}]",
        procedure.description().name,
        procedure.digest(),
    )
}

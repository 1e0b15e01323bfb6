//! What can go wrong with a procedure, in sentences for the operator.

use dr_engine::contract::CallError;

/// An export of the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// `describe`.
    Describe,
    /// `prepare`.
    Prepare,
    /// `run`.
    Run,
    /// `finish`.
    Finish,
}

impl Export {
    /// All, in the order of the world.
    pub const ALL: [Self; 4] = [Self::Describe, Self::Prepare, Self::Run, Self::Finish];

    /// Its name in the contract.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Describe => "describe",
            Self::Prepare => "prepare",
            Self::Run => "run",
            Self::Finish => "finish",
        }
    }
}

impl std::fmt::Display for Export {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a procedure cannot be loaded or did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The bytes are something else.
    #[error(
        "{origin} is not a recovery procedure: {found}; a procedure is a WebAssembly component of the world \
         `pravega:recovery/procedure@{contract}`"
    )]
    NotAComponent {
        /// Where the bytes come from.
        origin: String,
        /// What they are instead.
        found: String,
        /// Version of the contract.
        contract: &'static str,
    },
    /// The component wants more than the contract gives.
    #[error("{origin} is refused: it imports `{import}`, which a recovery procedure cannot have; {advice}")]
    ForeignImport {
        /// Where the component comes from.
        origin: String,
        /// What it imports.
        import: String,
        /// What its author can do.
        advice: &'static str,
    },
    /// The component was built for another release of the contract.
    #[error(
        "{origin} needs `{import}`, but this `dr` speaks `pravega:recovery@{contract}`; rebuild the procedure against \
         that release, or use a `dr` that speaks the other one"
    )]
    OtherContract {
        /// Where the component comes from.
        origin: String,
        /// What it imports.
        import: String,
        /// Version of the contract.
        contract: &'static str,
    },
    /// The exports are not those of the world.
    #[error("{origin} is not a recovery procedure: {problem}")]
    WrongExports {
        /// Where the component comes from.
        origin: String,
        /// What is missing or too much.
        problem: String,
    },
    /// The bytes look like a component, but are not valid.
    #[error("{origin} is damaged or not valid WebAssembly: {problem}")]
    InvalidComponent {
        /// Where the component comes from.
        origin: String,
        /// What the validator says.
        problem: String,
    },
    /// The component says something impossible of itself.
    #[error("{origin} describes itself wrongly: {problem}")]
    BadDescription {
        /// Where the component comes from.
        origin: String,
        /// What is wrong.
        problem: String,
    },
    /// The operator set a parameter that does not exist.
    #[error("the procedure `{procedure}` has no parameter `{name}`; {known}")]
    UnknownSetting {
        /// Name of the procedure.
        procedure: String,
        /// What was set.
        name: String,
        /// A clause that lists the parameters.
        known: String,
    },
    /// The operator set a parameter to what is not of its kind.
    #[error("parameter `{name}` of the procedure `{procedure}` cannot be `{value}`: it takes {expected}")]
    BadSetting {
        /// Name of the procedure.
        procedure: String,
        /// Name of the parameter.
        name: String,
        /// What it was set to.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// The procedure ran and did not succeed. Nothing that it staged may be used.
    #[error("the procedure `{procedure}` failed in `{export}`{}: {failure}", of_task(.task.as_deref()))]
    Failed {
        /// Name of the procedure, or where it comes from while it has no name.
        procedure: String,
        /// The export that failed.
        export: Export,
        /// Id of the task, in `run`.
        task: Option<String>,
        /// What happened.
        failure: Failure,
    },
    /// The machine refused something that the runtime needs.
    #[error("the procedure runtime cannot work on this machine: {problem}")]
    Machine {
        /// What was refused.
        problem: String,
    },
}

fn of_task(task: Option<&str>) -> String {
    task.map(|id| format!(" of task `{id}`")).unwrap_or_default()
}

/// How a call of an export failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The procedure returned an error: its own, or one of a host call that it passed on.
    #[error("{0}")]
    GaveUp(CallError),
    /// It reached a limit.
    #[error("it reached the limit `{name}` of {value}")]
    Limit {
        /// Name of the limit, see [`Limits`](crate::Limits).
        name: &'static str,
        /// Its value, with the unit.
        value: String,
    },
    /// It broke a rule of the contract.
    #[error("it broke a rule of the contract: {0}")]
    Rule(String),
    /// It trapped.
    #[error("it crashed: {cause}{}", .last_words.as_deref().map(|words| format!("; its last warning was: {words}")).unwrap_or_default())]
    Trap {
        /// The trap, in words.
        cause: String,
        /// The last warning that this instance logged. Guest kits log the message of a panic so.
        last_words: Option<String>,
    },
    /// It was stopped because another task had failed.
    #[error("it was stopped because another task had failed")]
    Stopped,
}

//! What a procedure says of itself, put together.

use crate::{ContainerId, Description, Error, Parameter, Result, Task};

impl Description {
    /// A procedure that needs and takes nothing yet, for the scenario `total-loss`. Name: lower case, words joined by
    /// `-`; version: a semantic one, such as `env!("CARGO_PKG_VERSION")`; summary: one sentence.
    #[must_use]
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            summary: summary.to_owned(),
            scenarios: vec!["total-loss".to_owned()],
            capabilities: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// The same, for other scenarios: `total-loss`, `partial-loss`, `zookeeper-loss`.
    #[must_use]
    pub fn for_scenarios(self, scenarios: &[&str]) -> Self {
        Self { scenarios: owned(scenarios), ..self }
    }

    /// The same, needing these functions of the contract, such as `storage.list-segments`. A call of any other is denied.
    #[must_use]
    pub fn needs(mut self, capabilities: &[&str]) -> Self {
        self.capabilities.extend(owned(capabilities));
        self
    }

    /// The same, taking these parameters.
    #[must_use]
    pub fn takes(mut self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        self.parameters.extend(parameters);
        self
    }
}

impl Task {
    /// The container of a task of [`task_per_container`](crate::task_per_container).
    ///
    /// # Errors
    /// `invalid` for a task that concerns no container.
    pub fn container_id(&self) -> Result<ContainerId> {
        self.container.ok_or_else(|| Error::Invalid(format!("the task `{}` has no container", self.id)))
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

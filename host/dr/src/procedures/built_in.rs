//! The procedures that are part of the binary. Ordinary components: nothing tells them from those in files.

use std::borrow::Cow;

use dr_runtime::component_digest;
use semver::Version;

use super::{Module, Origin};

/// A procedure that is part of the binary.
#[derive(Debug)]
pub(crate) struct BuiltIn {
    /// As it describes itself; written down so that a list needs no compiler.
    pub(crate) name: &'static str,
    /// Likewise.
    pub(crate) version: Version,
    component: &'static [u8],
}

/// All of them; the first is run if the operator names none.
pub(crate) static ALL: [BuiltIn; 4] = [
    BuiltIn {
        name: "total-loss",
        version: Version::new(0, 1, 0),
        component: include_bytes!(env!("DR_PROCEDURE_TOTAL_LOSS")),
    },
    BuiltIn {
        name: "zookeeper-loss",
        version: Version::new(0, 1, 0),
        component: include_bytes!(env!("DR_PROCEDURE_ZOOKEEPER_LOSS")),
    },
    BuiltIn {
        name: "partial-loss",
        version: Version::new(0, 1, 0),
        component: include_bytes!(env!("DR_PROCEDURE_PARTIAL_LOSS")),
    },
    BuiltIn {
        name: "controller",
        version: Version::new(0, 1, 0),
        component: include_bytes!(env!("DR_PROCEDURE_CONTROLLER")),
    },
];

/// Whether the component with this digest is one of them, wherever it was read from.
pub(crate) fn is_built_in(sha256: &str) -> bool {
    ALL.iter().any(|built_in| component_digest(built_in.component) == sha256)
}

impl BuiltIn {
    /// Its component.
    pub(crate) fn module(&self) -> Module {
        Module { bytes: Cow::Borrowed(self.component), origin: Origin::BuiltIn(self.name), labels: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use dr_runtime::{Limits, Runtime};

    use super::*;

    #[test]
    fn what_the_list_says_is_what_they_say_of_themselves() {
        let runtime = Runtime::new(Limits::default()).unwrap();
        for built_in in &ALL {
            let procedure = runtime.load(&built_in.module().bytes, built_in.name).unwrap();
            let description = procedure.description();
            let said = (description.name.as_str(), description.version.as_str());
            assert_eq!(said, (built_in.name, built_in.version.to_string().as_str()));
        }
    }
}

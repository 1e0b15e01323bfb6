//! What a procedure may do: what it declares, as far as the operator grants it.
//!
//! A [`Policy`] is what an operator wrote down of procedures. With what the command line adds, it decides over the capabilities
//! that a procedure declares ([`Verdict`]). What was granted, and its [`Scope`], is a [`Grant`]; [`Grant::guard`] puts it before a
//! host. The runtime puts one more before every host, by which a procedure gets nothing that it does not declare.

mod capability;
mod grant;
mod policy;
mod scope;
mod wrapper;

pub use capability::Capability;
pub use grant::{Grant, Verdict};
pub use policy::{Policy, PolicyError, Rule};
pub use scope::Scope;

use std::collections::BTreeSet;
use std::sync::Arc;

use dr_engine::contract::RecoveryHost;
use wrapper::{Granted, Refusal};

/// A host that answers `denied` to calls that a procedure does not declare.
pub(crate) fn declared_of(behind: Arc<dyn RecoveryHost>, declared: &BTreeSet<Capability>) -> Arc<dyn RecoveryHost> {
    let grant = Grant { capabilities: declared.clone(), scope: Scope::default() };
    Arc::new(Granted::new(behind, grant, Refusal::NotDeclared))
}

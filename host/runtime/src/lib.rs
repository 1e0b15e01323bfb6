//! Runs recovery procedures: WebAssembly components of the world `pravega:recovery/procedure`.
//!
//! [`Runtime::load`] takes a component's bytes, refuses what is not a procedure, and asks it what it is.
//! [`Procedure::execute`] runs it against a [`RecoveryHost`](dr_engine::contract::RecoveryHost): `prepare`, then its
//! tasks in parallel, each in an instance of its own, then `finish`.
//!
//! A procedure is not trusted. It reaches nothing but the interfaces of the contract; what it can make grow has a
//! named limit ([`Limits`]); what it may stage, the operator grants ([`Policy`], [`Grant`]); what it does wrong ends its run with a [`RuntimeError`] that says which procedure, which
//! export, which task and which rule. The runtime translates and adds nothing: meaning lives in the host.
//!
//! One file of `glue/` for each interface of the contract; [`state`] is what they share.

mod bindings;
mod context;
mod description;
mod error;
mod execution;
mod glue;
mod grants;
mod inspect;
mod limits;
pub mod mock;
mod module_cache;
mod names;
mod procedure;
pub mod recording;
mod state;
mod ticker;
mod usage;

pub use description::{Description, Parameter, ParameterKind, SCENARIOS, Setting, is_name};
pub use error::{Export, Failure, RuntimeError};
pub use execution::{Execution, Observer, Task};
pub use grants::{Capability, Grant, Policy, PolicyError, Rule, Scope, Verdict};
pub use inspect::{CONTRACT, Interface};
pub use limits::Limits;
pub use module_cache::ModuleCache;
pub use procedure::{Procedure, Runtime, component_digest, is_component_digest};
pub use usage::{CallUsage, Usage};

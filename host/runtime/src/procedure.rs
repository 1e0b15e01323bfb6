//! The runtime, and a procedure that it loaded.

use std::sync::Arc;

use dr_engine::contract::{CallError, Instance, RecoveryHost};
use dr_engine::plan::hex;
use sha2::{Digest, Sha256};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Engine, Store, Trap, UpdateDeadline};

use crate::bindings::pravega::recovery::types;
use crate::bindings::{self, ProcedurePre};
use crate::context::RunContext;
use crate::description::{Description, Setting};
use crate::error::{Export, Failure, RuntimeError};
use crate::inspect::{self, Interface};
use crate::limits::Limits;
use crate::module_cache::ModuleCache;
use crate::state::{Ended, State};
use crate::ticker::Ticker;
use crate::usage::Usage;

/// Compiles and runs procedures under one set of limits.
#[derive(Clone)]
pub struct Runtime {
    shared: Arc<Shared>,
}

/// What a runtime and its procedures have in common. The ticker ends with the last of them.
struct Shared {
    engine: Engine,
    limits: Limits,
    cache: Option<ModuleCache>,
    _ticker: Ticker,
}

impl Runtime {
    /// A runtime with these limits.
    ///
    /// # Errors
    /// [`RuntimeError::Machine`] if this machine cannot run WebAssembly.
    pub fn new(limits: Limits) -> Result<Self, RuntimeError> {
        Self::with_cache(limits, None)
    }

    /// The same; what was compiled is kept in the cache, and found there the next time.
    ///
    /// # Errors
    /// As in [`Runtime::new`].
    pub fn with_cache(limits: Limits, cache: Option<ModuleCache>) -> Result<Self, RuntimeError> {
        let engine = Engine::new(&configuration(&limits)).map_err(|error| machine(&error))?;
        let ticker = Ticker::start(engine.clone()).map_err(|error| machine(&error))?;
        Ok(Self { shared: Arc::new(Shared { engine, limits, cache, _ticker: ticker }) })
    }

    /// The limits that a procedure of this runtime has unless it is given others.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Checks and compiles a component, and asks it what it is. `origin` says in errors where it comes from.
    ///
    /// # Errors
    /// Whatever makes it no procedure of this contract, before it is compiled where possible.
    pub fn load(&self, bytes: &[u8], origin: &str) -> Result<Procedure, RuntimeError> {
        let invalid = |problem: String| RuntimeError::InvalidComponent { origin: origin.to_owned(), problem };
        let most = self.shared.limits.component_bytes;
        if bytes.len() > most {
            return Err(invalid(format!("it has {} bytes, the limit `component-bytes` is {most}", bytes.len())));
        }
        let interface = inspect::check_component(bytes, origin)?;
        let digest = component_digest(bytes);
        let component = self.shared.compile(bytes, &digest).map_err(|error| invalid(first_cause(&error)))?;
        let mut linker = Linker::new(&self.shared.engine);
        bindings::Procedure::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)
            .map_err(|error| machine(&error))?;
        let wrong_types = |error: wasmtime::Error| RuntimeError::WrongExports {
            origin: origin.to_owned(),
            problem: format!("its imports or exports are not those of the contract: {}", first_cause(&error)),
        };
        let ready = linker.instantiate_pre(&component).and_then(ProcedurePre::new).map_err(wrong_types)?;
        let described = describe(&self.shared, &ready, origin)?;
        let description = Description::check(described)
            .map_err(|problem| RuntimeError::BadDescription { origin: origin.to_owned(), problem })?;
        let (shared, limits) = (Arc::clone(&self.shared), self.shared.limits.clone());
        Ok(Procedure { shared, limits, ready, description, interface, digest })
    }
}

impl Shared {
    /// Compiles a component, unless that was done before.
    fn compile(&self, bytes: &[u8], digest: &str) -> wasmtime::Result<Component> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.find(&self.engine, digest)) {
            return Ok(component);
        }
        let component = Component::new(&self.engine, bytes)?;
        if let Some(cache) = &self.cache {
            cache.keep(&self.engine, digest, &component);
        }
        Ok(component)
    }
}

/// Everything that makes two runs of one guest differ is off: no threads, no floating point freedom, no relaxed SIMD.
fn configuration(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(true)
        .max_wasm_stack(limits.stack_bytes)
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

fn machine(error: &dyn std::fmt::Display) -> RuntimeError {
    RuntimeError::Machine { problem: format!("{error:#}") }
}

/// What names a component's bytes: SHA-256, lower-case hex.
#[must_use]
pub fn component_digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Whether a text can be a [`component_digest`].
#[must_use]
pub fn is_component_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn describe(shared: &Shared, ready: &ProcedurePre<State>, origin: &str) -> Result<bindings::Description, RuntimeError> {
    let state = State::without_host(&shared.limits);
    let (described, _) =
        in_instance(shared, &shared.limits, ready, state, |exports, store| Ok(Ok(exports.call_describe(store)?)));
    described.map_err(|failure| RuntimeError::Failed {
        procedure: origin.to_owned(),
        export: Export::Describe,
        task: None,
        failure,
    })
}

/// A procedure that was checked and compiled.
#[derive(Clone)]
pub struct Procedure {
    shared: Arc<Shared>,
    limits: Limits,
    ready: ProcedurePre<State>,
    description: Description,
    interface: Interface,
    digest: String,
}

impl std::fmt::Debug for Procedure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Procedure").field("description", &self.description).field("digest", &self.digest).finish()
    }
}

impl Procedure {
    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// What it imports and exports.
    #[must_use]
    pub fn interface(&self) -> &Interface {
        &self.interface
    }

    /// SHA-256 of the component, lower-case hex.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// One setting for each parameter: what the operator set, else the default.
    ///
    /// # Errors
    /// A name that is no parameter, a value that is not of its kind.
    pub fn settings(&self, overrides: &[(String, String)]) -> Result<Vec<Setting>, RuntimeError> {
        self.description.settings(overrides)
    }

    /// The limits of its runs.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The same procedure with other limits. `component_bytes` and `stack_bytes` are those of its [`Runtime`].
    #[must_use]
    pub fn with_limits(self, limits: Limits) -> Self {
        let Limits { component_bytes, stack_bytes, .. } = self.limits;
        Self { limits: Limits { component_bytes, stack_bytes, ..limits }, ..self }
    }

    /// Calls one export in an instance of its own, which is gone when this returns, with all that it held.
    pub(crate) fn call<T>(
        &self,
        host: Arc<dyn RecoveryHost>,
        instance: &Instance,
        run: &Arc<RunContext>,
        call: impl FnOnce(&bindings::Procedure, &mut Store<State>) -> wasmtime::Result<Result<T, types::Error>>,
    ) -> (Result<T, Failure>, Usage) {
        let state = State::new(host, instance, run, &self.limits);
        in_instance(&self.shared, &self.limits, &self.ready, state, call)
    }
}

fn in_instance<T>(
    shared: &Shared,
    limits: &Limits,
    ready: &ProcedurePre<State>,
    state: State,
    call: impl FnOnce(&bindings::Procedure, &mut Store<State>) -> wasmtime::Result<Result<T, types::Error>>,
) -> (Result<T, Failure>, Usage) {
    let mut store = Store::new(&shared.engine, state);
    store.limiter(|state| state);
    store.set_hostcall_fuel(limits.argument_bytes);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| store.data().check_end().map(|()| UpdateDeadline::Continue(1)));
    let answer = store
        .set_fuel(limits.fuel)
        .and_then(|()| ready.instantiate(&mut store))
        .and_then(|exports| call(&exports, &mut store));
    let fuel = limits.fuel - store.get_fuel().unwrap_or(limits.fuel);
    let usage = store.data().usage(fuel);
    let answer = match answer {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Failure::GaveUp(CallError::from(error))),
        Err(error) => Err(failure(&error, store.data(), limits)),
    };
    (answer, usage)
}

/// Says in words why an instance ended.
fn failure(error: &wasmtime::Error, state: &State, limits: &Limits) -> Failure {
    if let Some(Ended(failure)) = error.downcast_ref::<Ended>() {
        return failure.clone();
    }
    let limit = |name, value: String| Failure::Limit { name, value };
    let cause = match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => return limit("fuel", limits.fuel.to_string()),
        Some(Trap::StackOverflow) => return limit("stack-bytes", format!("{} bytes", limits.stack_bytes)),
        Some(trap) => trap_in_words(*trap),
        None => {
            let cause = first_cause(error);
            // Limits whose breach has no type of its own in wasmtime.
            if cause.contains("fuel allocated for hostcalls") {
                return limit("argument-bytes", format!("{} bytes in one call", limits.argument_bytes));
            }
            if cause.starts_with("resource limit exceeded") {
                return limit("instances", format!("{} core instances, memories or tables", limits.instances));
            }
            return Failure::Rule(cause);
        }
    };
    Failure::Trap { cause, last_words: state.last_warning().map(str::to_owned) }
}

fn trap_in_words(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => {
            "it aborted itself (a failed assertion, a panic, or memory that ran out)".to_owned()
        }
        Trap::MemoryOutOfBounds => "it touched memory that it does not have".to_owned(),
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
            "it called a function that does not exist".to_owned()
        }
        Trap::IntegerDivisionByZero => "it divided by zero".to_owned(),
        Trap::IntegerOverflow | Trap::BadConversionToInteger => "a number did not fit".to_owned(),
        other => other.to_string().trim_start_matches("wasm trap: ").to_owned(),
    }
}

/// The innermost cause, which names the thing, without the layers that wasmtime puts around it.
fn first_cause(error: &wasmtime::Error) -> String {
    let cause = error.root_cause().to_string();
    cause.lines().next().unwrap_or_default().to_owned()
}

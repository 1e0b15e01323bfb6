//! What belongs to one instance of a procedure: its host, its resources, its budgets, its meter.

use std::sync::Arc;
use std::time::{Duration, Instant};

use dr_engine::contract::{CallError, CallResult, Instance, Level, RecoveryHost};
use wasmtime::ResourceLimiter;
use wasmtime::component::{Resource, ResourceTable, ResourceTableError};

use crate::context::{RunContext, Underway};
use crate::error::Failure;
use crate::limits::Limits;
use crate::usage::Usage;

/// Why a host call did not answer: an error that the guest may handle, or the end of the guest.
#[derive(Debug)]
pub(crate) enum HostError {
    /// The guest gets it as its contract's `error`.
    Call(CallError),
    /// The instance ends.
    End(wasmtime::Error),
}

/// Result of a host call that can fail.
pub(crate) type HostResult<T> = Result<T, HostError>;

impl From<CallError> for HostError {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

/// Ends an instance; found again in wasmtime's error when the export returns.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Ended(pub(crate) Failure);

/// Ends an instance that reached a limit.
pub(crate) fn limit(name: &'static str, value: impl std::fmt::Display, unit: &str) -> wasmtime::Error {
    wasmtime::Error::new(Ended(Failure::Limit { name, value: format!("{value} {unit}") }))
}

/// Ends an instance that broke a rule.
pub(crate) fn rule_broken(rule: impl Into<String>) -> wasmtime::Error {
    wasmtime::Error::new(Ended(Failure::Rule(rule.into())))
}

/// Refuses one call because a limit is reached; the guest may go on without it.
pub(crate) fn exhausted(name: &str, value: impl std::fmt::Display, unit: &str) -> CallError {
    CallError::Exhausted(format!("the limit `{name}` of {value} {unit} is reached"))
}

/// The limit of a host call, reached by this one.
pub(crate) fn call_time(limits: &Limits, call: &str) -> Failure {
    let value = format!("{} seconds for one host call, in `{call}`", limits.call_time.as_secs_f64());
    Failure::Limit { name: "call-time-seconds", value }
}

/// Whom an instance calls, and where it writes down that it does.
struct Host {
    behind: Arc<dyn RecoveryHost>,
    underway: Arc<Underway>,
}

/// Data of a store.
pub(crate) struct State {
    /// None while the procedure only describes itself.
    host: Option<Host>,
    /// Id of the task, in `run`.
    task: Option<String>,
    /// What it shares with the other instances of the run.
    run: Arc<RunContext>,
    limits: Limits,
    started: Instant,
    resources: ResourceTable,
    memory_bytes: usize,
    table_elements: usize,
    log_lines: usize,
    last_warning: Option<String>,
    usage: Usage,
}

impl State {
    /// Data of one instance in a run.
    pub(crate) fn new(
        host: Arc<dyn RecoveryHost>,
        instance: &Instance,
        run: &Arc<RunContext>,
        limits: &Limits,
    ) -> Self {
        let host = Host { behind: host, underway: run.enter(instance) };
        let task = if let Instance::Run(task) = instance { Some(task.clone()) } else { None };
        Self { host: Some(host), task, run: Arc::clone(run), ..Self::without_host(limits) }
    }

    /// Data of an instance that calls nobody.
    pub(crate) fn without_host(limits: &Limits) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(limits.resources);
        Self {
            host: None,
            task: None,
            run: Arc::default(),
            limits: limits.clone(),
            started: Instant::now(),
            resources,
            memory_bytes: 0,
            table_elements: 0,
            log_lines: 0,
            last_warning: None,
            usage: Usage::default(),
        }
    }

    /// Calls the host and meters it. `name` is the call's, as in `storage.measure`.
    pub(crate) fn call<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&dyn RecoveryHost) -> CallResult<T>,
    ) -> HostResult<T> {
        self.metered(name, |_, host| work(host))
    }

    /// Calls the host and keeps what it returns as a resource of the guest.
    pub(crate) fn open<R: Send + 'static>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&dyn RecoveryHost) -> CallResult<R>,
    ) -> HostResult<Resource<R>> {
        let opened = self.metered(name, |_, host| work(host))?;
        match self.resources.push(opened) {
            Ok(handle) => Ok(handle),
            Err(ResourceTableError::Full) => {
                Err(HostError::Call(exhausted("resources", self.limits.resources, "open at once")))
            }
            Err(error) => Err(HostError::End(error.into())),
        }
    }

    /// Calls a method of a resource and meters it.
    pub(crate) fn with<R: Send + 'static, T>(
        &mut self,
        name: &'static str,
        handle: &Resource<R>,
        work: impl FnOnce(&mut R) -> CallResult<T>,
    ) -> HostResult<T> {
        self.metered(name, |resources, _| {
            let resource = resources.get_mut(handle).map_err(|error| CallError::Invalid(error.to_string()))?;
            work(resource)
        })
    }

    /// The guest dropped a resource. Dropping can mean something to the host, a fresh container is forgotten by it.
    pub(crate) fn close<R: Send + 'static>(&mut self, handle: Resource<R>) -> wasmtime::Result<()> {
        self.resources.delete(handle)?;
        Ok(())
    }

    fn metered<T>(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&mut ResourceTable, &dyn RecoveryHost) -> CallResult<T>,
    ) -> HostResult<T> {
        self.check_end().map_err(HostError::End)?;
        let Host { behind, underway } =
            self.host.as_ref().ok_or_else(|| HostError::End(rule_broken("`describe` must not call the host")))?;
        let began = Instant::now();
        underway.set(Some((name, began)));
        let answer = work(&mut self.resources, behind.as_ref());
        underway.set(None);
        let took = began.elapsed();
        self.usage.count(name, took);
        if took > self.limits.call_time {
            return Err(HostError::End(wasmtime::Error::new(Ended(call_time(&self.limits, name)))));
        }
        answer.map_err(HostError::Call)
    }

    /// Whether the instance has to end now: asked at every host call and at every tick of the clock.
    pub(crate) fn check_end(&self) -> wasmtime::Result<()> {
        if self.run.is_stopped() {
            return Err(wasmtime::Error::new(Ended(Failure::Stopped)));
        }
        let elapsed = self.started.elapsed();
        let seconds = |time: Duration| time.as_secs_f64();
        if elapsed > self.limits.wall_time {
            return Err(limit("wall-time-seconds", seconds(self.limits.wall_time), "seconds"));
        }
        if elapsed.saturating_sub(self.usage.host_time) > self.limits.guest_time {
            return Err(limit("guest-time-seconds", seconds(self.limits.guest_time), "seconds"));
        }
        Ok(())
    }

    /// Refuses a list that is too long.
    pub(crate) fn check_rows<T>(&self, list: &[T]) -> CallResult<()> {
        let most = self.limits.list_rows;
        if list.len() <= most { Ok(()) } else { Err(exhausted("list-rows", most, "rows in one list")) }
    }

    /// Refuses a text that is too long.
    pub(crate) fn check_text(&self, text: &str) -> CallResult<()> {
        let most = self.limits.text_bytes;
        if text.len() <= most { Ok(()) } else { Err(exhausted("text-bytes", most, "bytes in one text")) }
    }

    pub(crate) fn text_bytes(&self) -> usize {
        self.limits.text_bytes
    }

    /// Refuses ZNode content that is too long.
    pub(crate) fn check_znode(&self, data: &[u8]) -> CallResult<()> {
        let most = self.limits.znode_bytes;
        if data.len() <= most { Ok(()) } else { Err(exhausted("znode-bytes", most, "bytes in one ZNode")) }
    }

    /// How many rows a page of this limit gets. The limit is the guest's and not to be trusted.
    pub(crate) fn page_rows(&self, limit: u32) -> CallResult<usize> {
        match usize::try_from(limit).unwrap_or(usize::MAX).min(self.limits.page_rows) {
            0 => Err(CallError::Invalid("a page needs a limit of at least one row".to_owned())),
            rows => Ok(rows),
        }
    }

    /// Refuses to stage more than the run may: so many changes, with so many bytes of names and contents.
    pub(crate) fn stage(&self, effects: usize, bytes: usize) -> CallResult<()> {
        let Limits { staged_effects, staged_bytes, .. } = self.limits;
        if !self.run.staged_effects.take(effects, staged_effects) {
            return Err(exhausted("staged-effects", staged_effects, "staged changes in one run"));
        }
        if !self.run.staged_bytes.take(bytes, staged_bytes) {
            return Err(exhausted("staged-bytes", staged_bytes, "bytes in the staged changes of one run"));
        }
        Ok(())
    }

    /// Logs a line, within the budget of lines and bytes.
    pub(crate) fn log(&mut self, level: Level, message: &str) -> wasmtime::Result<()> {
        let message = shortened(message, self.limits.log_line_bytes);
        if level == Level::Warning {
            // It becomes part of a sentence.
            self.last_warning = Some(message.replace(['\n', '\r'], " "));
        }
        let most = self.limits.log_lines;
        self.log_lines = self.log_lines.saturating_add(1);
        match self.log_lines.cmp(&most.saturating_add(1)) {
            std::cmp::Ordering::Less => self.tell("report.log", |host, task| host.log(task, level, message)),
            std::cmp::Ordering::Equal => {
                let dropped = format!("further lines are dropped: the limit `log-lines` of {most} is reached");
                self.tell("report.log", |host, task| host.log(task, Level::Warning, &dropped))
            }
            std::cmp::Ordering::Greater => self.check_end(),
        }
    }

    /// Tells the host something that becomes part of the plan, with texts of so many bytes, within the budget of such
    /// entries.
    pub(crate) fn report(
        &mut self,
        name: &'static str,
        bytes: usize,
        work: impl FnOnce(&dyn RecoveryHost),
    ) -> wasmtime::Result<()> {
        let Limits { report_entries, report_bytes, .. } = self.limits;
        if !self.run.report_entries.take(1, report_entries) {
            return Err(limit("report-entries", report_entries, "decisions and losses in one run"));
        }
        if !self.run.report_bytes.take(bytes, report_bytes) {
            return Err(limit("report-bytes", report_bytes, "bytes in the decisions and losses of one run"));
        }
        self.tell(name, |host, _| work(host))
    }

    /// Tells the host something that cannot fail.
    pub(crate) fn tell(
        &mut self,
        name: &'static str,
        work: impl FnOnce(&dyn RecoveryHost, Option<&str>),
    ) -> wasmtime::Result<()> {
        let task = self.task.take();
        let told = self.call(name, |host| {
            work(host, task.as_deref());
            Ok(())
        });
        self.task = task;
        told.map_err(|error| match error {
            HostError::End(error) => error,
            HostError::Call(error) => wasmtime::Error::new(error),
        })
    }

    pub(crate) fn last_warning(&self) -> Option<&str> {
        self.last_warning.as_deref()
    }

    /// What the instance used until now.
    pub(crate) fn usage(&self, fuel: u64) -> Usage {
        let guest_time = self.started.elapsed().saturating_sub(self.usage.host_time);
        Usage { guest_time, fuel, ..self.usage.clone() }
    }
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory_bytes.saturating_add(desired.saturating_sub(current));
        if total > self.limits.memory_bytes {
            return Err(limit("memory-bytes", self.limits.memory_bytes, "bytes"));
        }
        self.memory_bytes = total;
        self.usage.memory_bytes_peak = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.limits.table_elements {
            return Err(limit("table-elements", self.limits.table_elements, "elements"));
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.instances
    }

    fn memories(&self) -> usize {
        self.limits.instances
    }
}

/// The beginning of a text, cut between characters.
fn shortened(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

//! One run of a procedure: `prepare`, the tasks in parallel, `finish`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use dr_engine::contract::{ContainerId, Instance, RecoveryHost};

use crate::bindings;
use crate::bindings::pravega::recovery::types;
use crate::context::RunContext;
use crate::description::Setting;
use crate::error::{Export, Failure, RuntimeError};
use crate::grants::declared_of;
use crate::procedure::Procedure;
use crate::usage::Usage;

/// Most bytes of a task's id and of its title, each; they appear in one line.
const TASK_TEXT_BYTES_MAX: usize = 1024;

/// A piece of work that one instance does alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Unique in the run.
    pub id: String,
    /// The container concerned, if it is one.
    pub container: Option<ContainerId>,
    /// What it does, for progress displays.
    pub title: String,
}

/// Watches a run. Called from the threads of the tasks; must be quick.
pub trait Observer: Sync {
    /// `prepare` returned these tasks.
    fn prepared(&self, _tasks: &[Task]) {}
    /// A task begins.
    fn task_started(&self, _task: &Task) {}
    /// A task ended well, or with this error, or because another one failed ([`Failure::Stopped`]).
    fn task_ended(&self, _task: &Task, _outcome: Result<(), &RuntimeError>) {}
    /// All tasks succeeded, `finish` begins.
    fn finishing(&self) {}
}

/// Nobody watches.
impl Observer for () {}

/// A run that succeeded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The tasks done, in the order of `prepare`.
    pub tasks: Vec<Task>,
    /// What all instances used together.
    pub usage: Usage,
    /// What each task used, by its id.
    pub usage_by_task: BTreeMap<String, Usage>,
    /// From start to end.
    pub wall_time: Duration,
}

impl Procedure {
    /// Runs the procedure: `prepare`, its tasks on at most `parallel` threads, `finish`. `selected` holds the
    /// containers that the operator chose; empty means all.
    ///
    /// The first task that fails ends the run; others are stopped at their next host call or within a few
    /// milliseconds of computing. What instances held is dropped by then. What was staged in the host stays there:
    /// after an error the host must be thrown away.
    ///
    /// # Errors
    /// [`RuntimeError::Failed`], with the export, the task and the reason.
    pub fn execute(
        &self,
        host: Arc<dyn RecoveryHost>,
        settings: &[Setting],
        selected: &[ContainerId],
        parallel: usize,
        observer: &dyn Observer,
    ) -> Result<Execution, RuntimeError> {
        let began = Instant::now();
        let settings = settings.iter();
        let settings =
            settings.map(|Setting { name, value }| types::Setting { name: name.clone(), value: value.clone() });
        let run = Run {
            procedure: self,
            host: declared_of(host, &self.description().capabilities),
            settings: settings.collect(),
            observer,
            context: Arc::default(),
            usage: Mutex::default(),
            usage_by_task: Mutex::default(),
        };
        let tasks = run.prepare(selected)?;
        observer.prepared(&tasks);
        run.do_tasks(&tasks, parallel)?;
        run.host.tasks_done();
        observer.finishing();
        run.finish()?;
        let usage = run.usage.into_inner().unwrap_or_else(PoisonError::into_inner);
        let usage_by_task = run.usage_by_task.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(Execution { tasks, usage, usage_by_task, wall_time: began.elapsed() })
    }
}

struct Run<'a> {
    procedure: &'a Procedure,
    host: Arc<dyn RecoveryHost>,
    settings: Vec<types::Setting>,
    observer: &'a dyn Observer,
    context: Arc<RunContext>,
    usage: Mutex<Usage>,
    usage_by_task: Mutex<BTreeMap<String, Usage>>,
}

impl Run<'_> {
    fn prepare(&self, selected: &[ContainerId]) -> Result<Vec<Task>, RuntimeError> {
        let host = self.host_for(&Instance::Prepare);
        let (answer, usage) = self
            .procedure
            .call(&host, None, &self.context, |exports, store| exports.call_prepare(store, &self.settings, selected));
        self.used(&usage);
        answer
            .and_then(|tasks| check_tasks(tasks, self.procedure.limits().tasks))
            .map_err(|failure| self.failed(Export::Prepare, None, failure))
    }

    /// Does the tasks on at most `parallel` threads, in their order; on an error the first one in time is returned.
    fn do_tasks(&self, tasks: &[Task], parallel: usize) -> Result<(), RuntimeError> {
        let next = AtomicUsize::new(0);
        let first_error = Mutex::new(None);
        let work = || {
            while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
                if self.context.is_stopped() {
                    break;
                }
                if let Err(error) = self.do_task(task) {
                    let mut first = first_error.lock().unwrap_or_else(PoisonError::into_inner);
                    first.get_or_insert(error);
                }
            }
        };
        std::thread::scope(|scope| {
            let spawned: Result<Vec<_>, _> = (0..parallel.clamp(1, tasks.len().max(1)))
                .map(|n| std::thread::Builder::new().name(format!("dr-task-{n}")).spawn_scoped(scope, work))
                .collect();
            // A machine that gives us fewer threads than asked for still gets the work done.
            if spawned.is_err() {
                work();
            }
        });
        first_error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
    }

    fn do_task(&self, task: &Task) -> Result<(), RuntimeError> {
        self.observer.task_started(task);
        let Task { id, container, title } = task.clone();
        let argument = bindings::Task { id, container, title };
        let host = self.host_for(&Instance::Run(task.id.clone()));
        let (answer, usage) = self.procedure.call(&host, Some(&task.id), &self.context, |exports, store| {
            exports.call_run(store, &self.settings, &argument)
        });
        self.used(&usage);
        self.usage_by_task.lock().unwrap_or_else(PoisonError::into_inner).insert(task.id.clone(), usage);
        let answer = answer.map_err(|failure| self.failed(Export::Run, Some(task), failure));
        if answer.is_err() {
            self.context.stop();
        }
        self.observer.task_ended(task, answer.as_ref().copied());
        answer
    }

    fn finish(&self) -> Result<(), RuntimeError> {
        let call = |exports: &bindings::Procedure, store: &mut _| exports.call_finish(store, &self.settings);
        let host = self.host_for(&Instance::Finish);
        let (answer, usage) = self.procedure.call(&host, None, &self.context, call);
        self.used(&usage);
        answer.map_err(|failure| self.failed(Export::Finish, None, failure))
    }

    fn host_for(&self, instance: &Instance) -> Arc<dyn RecoveryHost> {
        self.host.for_instance(instance).unwrap_or_else(|| Arc::clone(&self.host))
    }

    fn used(&self, usage: &Usage) {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).add(usage);
    }

    fn failed(&self, export: Export, task: Option<&Task>, failure: Failure) -> RuntimeError {
        let procedure = self.procedure.description().name.clone();
        RuntimeError::Failed { procedure, export, task: task.map(|task| task.id.clone()), failure }
    }
}

fn check_tasks(tasks: Vec<bindings::Task>, most: usize) -> Result<Vec<Task>, Failure> {
    if tasks.len() > most {
        return Err(Failure::Limit { name: "tasks", value: format!("{most} tasks, with {}", tasks.len()) });
    }
    let mut ids = BTreeSet::new();
    for task in &tasks {
        let fits = |text: &str| text.len() <= TASK_TEXT_BYTES_MAX && !text.contains(char::is_control);
        if task.id.is_empty() || !fits(&task.id) || !fits(&task.title) {
            let rule = format!("ids and titles of tasks are one line of at most {TASK_TEXT_BYTES_MAX} bytes");
            return Err(Failure::Rule(rule));
        }
        if !ids.insert(task.id.as_str()) {
            return Err(Failure::Rule(format!("it returned two tasks `{}`", task.id)));
        }
    }
    Ok(tasks.into_iter().map(|bindings::Task { id, container, title }| Task { id, container, title }).collect())
}

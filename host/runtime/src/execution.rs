//! One run of a procedure: `prepare`, the tasks in parallel, `finish`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dr_engine::contract::{ContainerId, Instance, RecoveryHost};
use wasmtime::Store;

use crate::bindings;
use crate::bindings::pravega::recovery::types;
use crate::context::RunContext;
use crate::description::Setting;
use crate::error::{Export, Failure, RuntimeError};
use crate::grants::declared_of;
use crate::procedure::Procedure;
use crate::recording::Recording;
use crate::state::{State, call_time};
use crate::usage::Usage;

/// Most bytes of a task's id and of its title, each; they appear in one line.
const TASK_TEXT_BYTES_MAX: usize = 1024;

/// How often a run looks for host calls that take too long.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

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

/// Watches a run. Called from the thread that executes it; must be quick.
pub trait Observer {
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
    /// milliseconds of computing. What instances held is dropped by then, but for one whose host call takes too long: its
    /// thread ends when the host answers it. What was staged in the host stays there: after an error the host must be
    /// thrown away.
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
        self.execute_those(host, settings, selected, parallel, observer, &|_| true)
    }

    /// As [`Self::execute`], one task after the other, for a host that answers from this recording. Tasks that the recorded run
    /// did not do to their own end are left out.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn execute_recorded(
        &self,
        host: Arc<dyn RecoveryHost>,
        settings: &[Setting],
        selected: &[ContainerId],
        recording: &Recording,
    ) -> Result<Execution, RuntimeError> {
        self.execute_those(host, settings, selected, 1, &(), &|task| !recording.is_cut(&Instance::Run(task.id.clone())))
    }

    fn execute_those(
        &self,
        host: Arc<dyn RecoveryHost>,
        settings: &[Setting],
        selected: &[ContainerId],
        parallel: usize,
        observer: &dyn Observer,
        wanted: &dyn Fn(&Task) -> bool,
    ) -> Result<Execution, RuntimeError> {
        let began = Instant::now();
        let settings = settings.iter();
        let settings =
            settings.map(|Setting { name, value }| types::Setting { name: name.clone(), value: value.clone() });
        let run = Arc::new(Run {
            procedure: self.clone(),
            host: declared_of(host, &self.description().capabilities),
            settings: settings.collect(),
            context: Arc::default(),
            usage: Mutex::default(),
            usage_by_task: Mutex::default(),
        });
        let selected = selected.to_vec();
        let mut tasks = run.alone(Export::Prepare, move |run| run.prepare(&selected))?;
        tasks.retain(wanted);
        let tasks = Arc::new(tasks);
        observer.prepared(&tasks);
        run.do_tasks(&tasks, parallel, observer)?;
        run.host.tasks_done();
        observer.finishing();
        run.alone(Export::Finish, Run::finish)?;
        let usage = std::mem::take(&mut *run.usage.lock().unwrap_or_else(PoisonError::into_inner));
        let usage_by_task = std::mem::take(&mut *run.usage_by_task.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Execution { tasks: tasks.to_vec(), usage, usage_by_task, wall_time: began.elapsed() })
    }
}

/// A run, shared by the threads on which its instances work. The thread that executes the run only waits for them, and not
/// for ever: if a host call takes too long, the run fails and the call's thread is left behind until it returns.
struct Run {
    procedure: Procedure,
    host: Arc<dyn RecoveryHost>,
    settings: Vec<types::Setting>,
    context: Arc<RunContext>,
    usage: Mutex<Usage>,
    usage_by_task: Mutex<BTreeMap<String, Usage>>,
}

/// What a thread tells of the task with this index.
enum Event {
    Started(usize),
    Ended(usize, Result<(), RuntimeError>),
}

impl Run {
    /// Does some work on a thread of its own.
    fn alone<T: Send + 'static>(
        self: &Arc<Self>,
        export: Export,
        work: impl FnOnce(&Self) -> Result<T, RuntimeError> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let (sender, outcome) = mpsc::channel();
        let run = Arc::clone(self);
        let thread = spawn(format!("dr-{export}"), move || drop(sender.send(work(&run))))?;
        match self.next(&outcome)? {
            Some(outcome) => outcome,
            None => {
                join(thread).and(Err(RuntimeError::Machine { problem: format!("the thread of `{export}` is gone") }))
            }
        }
    }

    /// Does the tasks on at most `parallel` threads, in their order; on an error the first one in time is returned.
    fn do_tasks(
        self: &Arc<Self>,
        tasks: &Arc<Vec<Task>>,
        parallel: usize,
        observer: &dyn Observer,
    ) -> Result<(), RuntimeError> {
        let (sender, events) = mpsc::channel();
        let next = Arc::new(AtomicUsize::new(0));
        let worker = |number| {
            let (run, tasks, next, sender) = (Arc::clone(self), Arc::clone(tasks), Arc::clone(&next), sender.clone());
            spawn(format!("dr-task-{number}"), move || run.work(&tasks, &next, &sender))
        };
        let mut threads = vec![worker(0)?];
        // A machine that gives us fewer threads than asked for still gets the work done.
        threads.extend((1..parallel.min(tasks.len())).map_while(|number| worker(number).ok()));
        drop(sender);
        let mut first_error = None;
        while let Some(event) = self.next(&events)? {
            match event {
                Event::Started(index) => observer.task_started(&tasks[index]),
                Event::Ended(index, outcome) => {
                    observer.task_ended(&tasks[index], outcome.as_ref().copied());
                    first_error = first_error.or(outcome.err());
                }
            }
        }
        threads.into_iter().try_for_each(join)?;
        first_error.map_or(Ok(()), Err)
    }

    /// Takes one task after the other until none is left or one has failed somewhere.
    fn work(&self, tasks: &[Task], next: &AtomicUsize, events: &Sender<Event>) {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(index).filter(|_| !self.context.is_stopped()) else { return };
            // Nobody listens once the run has failed.
            drop(events.send(Event::Started(index)));
            let outcome = self.do_task(task);
            if outcome.is_err() {
                self.context.stop();
            }
            drop(events.send(Event::Ended(index, outcome)));
        }
    }

    /// What a thread sends next; none when all of them have ended.
    fn next<T>(&self, receiver: &Receiver<T>) -> Result<Option<T>, RuntimeError> {
        loop {
            match receiver.recv_timeout(WATCH_INTERVAL) {
                Ok(sent) => return Ok(Some(sent)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => self.refuse_overdue_call()?,
            }
        }
    }

    fn refuse_overdue_call(&self) -> Result<(), RuntimeError> {
        let limits = self.procedure.limits();
        let Some((instance, call)) = self.context.overdue(limits.call_time) else { return Ok(()) };
        self.context.stop();
        Err(self.failed(&instance, call_time(limits, call)))
    }

    fn prepare(&self, selected: &[ContainerId]) -> Result<Vec<Task>, RuntimeError> {
        let call = |exports: &bindings::Procedure, store: &mut _| exports.call_prepare(store, &self.settings, selected);
        let (answer, _) = self.call(&Instance::Prepare, call);
        answer
            .and_then(|tasks| check_tasks(tasks, self.procedure.limits().tasks))
            .map_err(|failure| self.failed(&Instance::Prepare, failure))
    }

    fn do_task(&self, task: &Task) -> Result<(), RuntimeError> {
        let Task { id, container, title } = task.clone();
        let argument = bindings::Task { id, container, title };
        let call = |exports: &bindings::Procedure, store: &mut _| exports.call_run(store, &self.settings, &argument);
        let instance = Instance::Run(task.id.clone());
        let (answer, usage) = self.call(&instance, call);
        self.usage_by_task.lock().unwrap_or_else(PoisonError::into_inner).insert(task.id.clone(), usage);
        answer.map_err(|failure| self.failed(&instance, failure))
    }

    fn finish(&self) -> Result<(), RuntimeError> {
        let call = |exports: &bindings::Procedure, store: &mut _| exports.call_finish(store, &self.settings);
        let (answer, _) = self.call(&Instance::Finish, call);
        answer.map_err(|failure| self.failed(&Instance::Finish, failure))
    }

    fn call<T>(
        &self,
        instance: &Instance,
        call: impl FnOnce(&bindings::Procedure, &mut Store<State>) -> wasmtime::Result<Result<T, types::Error>>,
    ) -> (Result<T, Failure>, Usage) {
        let host = self.host.for_instance(instance).unwrap_or_else(|| Arc::clone(&self.host));
        let (answer, usage) = self.procedure.call(host, instance, &self.context, call);
        self.usage.lock().unwrap_or_else(PoisonError::into_inner).add(&usage);
        (answer, usage)
    }

    fn failed(&self, instance: &Instance, failure: Failure) -> RuntimeError {
        let (export, task) = match instance {
            Instance::Prepare => (Export::Prepare, None),
            Instance::Run(task) => (Export::Run, Some(task.clone())),
            Instance::Finish => (Export::Finish, None),
        };
        RuntimeError::Failed { procedure: self.procedure.description().name.clone(), export, task, failure }
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, RuntimeError> {
    let spawned = std::thread::Builder::new().name(name).spawn(work);
    spawned.map_err(|error| RuntimeError::Machine { problem: format!("it gives no thread: {error}") })
}

/// Waits for a thread that has ended. A panic in it goes on here.
fn join(thread: JoinHandle<()>) -> Result<(), RuntimeError> {
    thread.join().map_err(|panic| std::panic::resume_unwind(panic))
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

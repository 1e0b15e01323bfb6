//! A host that shows every call to somebody, and its answer; or has them written down.

use std::sync::Arc;

use dr_engine::contract::{
    AttributeUpdate, Bookie, CallError, CallResult, ContainerId, ContainerImage, ContainerSummary, Decision,
    DurableLog, EndedTransaction, FreshContainer, Instance, Ledger, Level, LostRange, Measure, MetadataRow, NewSegment,
    Object, Pages, PendingWork, RecoveryHost, RenewedGroup, RestoredLog, Segment, StreamState, TransactionCounter,
    Truncation, ZNode,
};
use serde::de::DeserializeOwned;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Value, json};

use super::call::{Answer, Call};
use super::writer::{RecordingWriter, WrittenInstance};

/// Somebody who sees the calls of a run. Called from the threads of the tasks.
pub trait Exchange: Send + Sync {
    /// A call is made. What is returned is its answer, and the host behind is not asked.
    fn before(&self, _instance: &Instance, _call: &Call) -> Option<Answer> {
        None
    }
    /// A call was answered, by the host or by [`Exchange::before`].
    fn after(&self, _instance: &Instance, _call: &Call, _answer: &Answer) {}
}

/// A host before another one. Without one behind, the exchange has to answer every call.
pub struct Relay {
    behind: Option<Arc<dyn RecoveryHost>>,
    line: Line,
}

/// Who sees the calls of one instance.
#[derive(Clone)]
enum Line {
    /// Somebody who gets them as values.
    Exchange(Arc<dyn Exchange>, Instance),
    /// Somebody who only writes them down. Values would cost more than all the rest of the writing.
    Writer(Arc<RecordingWriter>, WrittenInstance),
}

impl Line {
    fn of_instance(&self, instance: &Instance) -> Self {
        match self {
            Self::Exchange(exchange, _) => Self::Exchange(exchange.clone(), instance.clone()),
            Self::Writer(writer, _) => Self::Writer(writer.clone(), writer.instance(instance)),
        }
    }

    /// Makes a call. Its arguments are shown before they are given away.
    fn call<A: Serialize, T: Serialize + DeserializeOwned>(
        &self,
        call: &str,
        arguments: A,
        ask: impl FnOnce(A) -> CallResult<T>,
    ) -> CallResult<T> {
        match self {
            Self::Writer(_, writer) => writer.write(call, arguments, ask),
            Self::Exchange(exchange, instance) => {
                let shown = serde_json::to_value(&arguments).map_err(|error| CallError::Invalid(error.to_string()))?;
                let call = Call { call: call.to_owned(), arguments: shown };
                if let Some(answer) = exchange.before(instance, &call) {
                    exchange.after(instance, &call, &answer);
                    return answer.into_result();
                }
                let answer = ask(arguments);
                exchange.after(instance, &call, &Answer::of(&answer));
                answer
            }
        }
    }
}

fn nobody<T>() -> CallResult<T> {
    Err(CallError::Unavailable("there is no host behind this call".to_owned()))
}

impl Relay {
    /// Shows the calls to `behind` to this exchange.
    pub fn new(behind: Option<Arc<dyn RecoveryHost>>, exchange: Arc<dyn Exchange>) -> Self {
        Self { behind, line: Line::Exchange(exchange, Instance::Prepare) }
    }

    /// Has the calls to `behind` written down.
    pub(crate) fn written(behind: Arc<dyn RecoveryHost>, writer: Arc<RecordingWriter>) -> Self {
        let instance = writer.instance(&Instance::Prepare);
        Self { behind: Some(behind), line: Line::Writer(writer, instance) }
    }

    fn call<T: Serialize + DeserializeOwned>(
        &self,
        call: &str,
        arguments: impl Serialize,
        ask: impl FnOnce(&dyn RecoveryHost) -> CallResult<T>,
    ) -> CallResult<T> {
        self.line.call(call, arguments, |_| self.behind.as_deref().map_or_else(nobody, ask))
    }

    /// What was opened; nothing if the exchange answered.
    fn open<R>(
        &self,
        call: &str,
        arguments: Value,
        open: impl FnOnce(&dyn RecoveryHost) -> CallResult<R>,
    ) -> CallResult<Option<R>> {
        let mut opened = None;
        self.call(call, arguments, |host| {
            opened = Some(open(host)?);
            Ok(())
        })?;
        Ok(opened)
    }

    fn list<T: Serialize + DeserializeOwned + 'static>(
        &self,
        (open_call, page_call): (&str, &'static str),
        arguments: Value,
        open: impl FnOnce(&dyn RecoveryHost) -> CallResult<Box<dyn Pages<T>>>,
    ) -> CallResult<Box<dyn Pages<T>>> {
        let behind = self.open(open_call, arguments.clone(), open)?;
        Ok(Box::new(RelayedPages { line: self.line.clone(), call: page_call, of: arguments, behind }))
    }

    /// A call without an answer.
    fn tell(&self, call: &str, arguments: Value, tell: impl FnOnce(&dyn RecoveryHost)) {
        let told = self.line.call(call, arguments, |_| {
            if let Some(host) = self.behind.as_deref() {
                tell(host);
            }
            Ok(())
        });
        // Whoever answers such a call with an error has taken note of it and answers the next one so, too.
        drop(told);
    }
}

struct RelayedPages<T> {
    line: Line,
    call: &'static str,
    of: Value,
    behind: Option<Box<dyn Pages<T>>>,
}

impl<T: Serialize + DeserializeOwned> Pages<T> for RelayedPages<T> {
    fn next_page(&mut self, limit: usize) -> CallResult<Vec<T>> {
        let mut arguments = self.of.clone();
        arguments["limit"] = json!(limit);
        self.line
            .call(self.call, arguments, |_| self.behind.as_mut().map_or_else(nobody, |pages| pages.next_page(limit)))
    }
}

struct RelayedContainer {
    line: Line,
    container: ContainerId,
    behind: Option<Box<dyn FreshContainer>>,
}

/// A container and one more argument, if there is one; or the arguments of a method of a container that is open.
struct OfContainer<A> {
    container: ContainerId,
    own: Option<(&'static str, A)>,
}

impl<A: Serialize> Serialize for OfContainer<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("container", &self.container)?;
        if let Some((name, argument)) = &self.own {
            map.serialize_entry(name, argument)?;
        }
        map.end()
    }
}

impl RelayedContainer {
    fn call<A: Serialize, T: Serialize + DeserializeOwned>(
        &mut self,
        function: &str,
        (name, argument): (&'static str, A),
        ask: impl FnOnce(&mut dyn FreshContainer, A) -> CallResult<T>,
    ) -> CallResult<T> {
        let arguments = OfContainer { container: self.container, own: Some((name, argument)) };
        let call = format!("containers.fresh-container.{function}");
        self.line.call(&call, arguments, |arguments| match (&mut self.behind, arguments.own) {
            (Some(behind), Some((_, argument))) => ask(behind.as_mut(), argument),
            _ => nobody(),
        })
    }

    fn call_without_arguments<T: Serialize + DeserializeOwned>(
        &mut self,
        function: &str,
        ask: impl FnOnce(&mut dyn FreshContainer) -> CallResult<T>,
    ) -> CallResult<T> {
        let arguments = OfContainer::<()> { container: self.container, own: None };
        let call = format!("containers.fresh-container.{function}");
        self.line.call(&call, arguments, |_| match &mut self.behind {
            Some(behind) => ask(behind.as_mut()),
            None => nobody(),
        })
    }
}

impl FreshContainer for RelayedContainer {
    fn create_segments(&mut self, segments: Vec<NewSegment>) -> CallResult<()> {
        self.call("create-segments", ("segments", segments), |fresh, segments| fresh.create_segments(segments))
    }

    fn update_attributes(&mut self, updates: Vec<AttributeUpdate>) -> CallResult<()> {
        self.call("update-attributes", ("updates", updates), |fresh, updates| fresh.update_attributes(updates))
    }

    fn seal_segments(&mut self, names: Vec<String>) -> CallResult<()> {
        self.call("seal-segments", ("names", names), |fresh, names| fresh.seal_segments(names))
    }

    fn truncate_segments(&mut self, truncations: Vec<Truncation>) -> CallResult<()> {
        let argument = ("truncations", truncations);
        self.call("truncate-segments", argument, |fresh, truncations| fresh.truncate_segments(truncations))
    }

    fn renew_reader_groups(&mut self, names: Vec<String>) -> CallResult<Vec<RenewedGroup>> {
        self.call("renew-reader-groups", ("names", names), |fresh, names| fresh.renew_reader_groups(names))
    }

    fn end_transactions(&mut self) -> CallResult<Vec<EndedTransaction>> {
        self.call_without_arguments("end-transactions", |fresh| fresh.end_transactions())
    }

    fn close(&mut self) -> CallResult<ContainerImage> {
        self.call_without_arguments("close", |fresh| fresh.close())
    }
}

impl RecoveryHost for Relay {
    fn for_instance(&self, instance: &Instance) -> Option<Arc<dyn RecoveryHost>> {
        let of_instance = |host: &Arc<dyn RecoveryHost>| host.for_instance(instance).unwrap_or_else(|| host.clone());
        let behind = self.behind.as_ref().map(of_instance);
        Some(Arc::new(Self { behind, line: self.line.of_instance(instance) }))
    }

    fn containers(&self) -> CallResult<Vec<ContainerSummary>> {
        self.call("storage.containers", json!({}), |host| host.containers())
    }

    fn list_segments(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Segment>>> {
        let calls = ("storage.list-segments", "storage.segment-listing.next-page");
        self.list(calls, json!({"container": container}), |host| host.list_segments(container))
    }

    fn measure(&self, container: ContainerId, names: &[String]) -> CallResult<Vec<Measure>> {
        let arguments = OfContainer { container, own: Some(("names", names)) };
        self.call("storage.measure", arguments, |host| host.measure(container, names))
    }

    fn list_metadata_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        let calls = ("storage.list-metadata-objects", "storage.object-listing.next-page");
        self.list(calls, json!({"container": container}), |host| host.list_metadata_objects(container))
    }

    fn list_leftover_objects(&self, container: ContainerId) -> CallResult<Box<dyn Pages<Object>>> {
        let calls = ("storage.list-leftover-objects", "storage.object-listing.next-page");
        self.list(calls, json!({"container": container}), |host| host.list_leftover_objects(container))
    }

    fn move_aside(&self, container: ContainerId, keys: &[String], place: &str) -> CallResult<()> {
        let arguments = json!({"container": container, "keys": keys, "place": place});
        self.call("storage.move-aside", arguments, |host| host.move_aside(container, keys, place))
    }

    fn open_fresh_container(&self, container: ContainerId) -> CallResult<Box<dyn FreshContainer>> {
        let arguments = json!({"container": container});
        let behind =
            self.open("containers.open-fresh-container", arguments, |host| host.open_fresh_container(container))?;
        Ok(Box::new(RelayedContainer { line: self.line.clone(), container, behind }))
    }

    fn open_old_metadata(&self, container: ContainerId) -> CallResult<Box<dyn Pages<MetadataRow>>> {
        let calls = ("containers.open-old-metadata", "containers.metadata-listing.next-page");
        self.list(calls, json!({"container": container}), |host| host.open_old_metadata(container))
    }

    fn list_streams(&self) -> CallResult<Box<dyn Pages<StreamState>>> {
        let calls = ("controller.list-streams", "controller.stream-listing.next-page");
        self.list(calls, json!({}), |host| host.list_streams())
    }

    fn highest_transaction_counter(&self) -> CallResult<Option<TransactionCounter>> {
        self.call("controller.highest-transaction-counter", json!({}), |host| host.highest_transaction_counter())
    }

    fn list_pending_work(&self) -> CallResult<Box<dyn Pages<PendingWork>>> {
        let calls = ("controller.list-pending-work", "controller.pending-work-listing.next-page");
        self.list(calls, json!({}), |host| host.list_pending_work())
    }

    fn znode(&self, path: &str) -> CallResult<Option<ZNode>> {
        self.call("coordination.get", json!({"path": path}), |host| host.znode(path))
    }

    fn znode_children(&self, path: &str) -> CallResult<Vec<String>> {
        self.call("coordination.children", json!({"path": path}), |host| host.znode_children(path))
    }

    fn create_znode(&self, path: &str, data: Vec<u8>) -> CallResult<()> {
        let arguments = json!({"path": path, "data": dr_engine::plan::hex(&data)});
        self.call("coordination.create", arguments, |host| host.create_znode(path, data))
    }

    fn set_znode(&self, path: &str, data: Vec<u8>, expected_version: i32) -> CallResult<()> {
        let data_in_words = dr_engine::plan::hex(&data);
        let arguments = json!({"path": path, "data": data_in_words, "expected_version": expected_version});
        self.call("coordination.set", arguments, |host| host.set_znode(path, data, expected_version))
    }

    fn delete_znode(&self, path: &str, expected_version: i32) -> CallResult<()> {
        let arguments = json!({"path": path, "expected_version": expected_version});
        self.call("coordination.delete", arguments, |host| host.delete_znode(path, expected_version))
    }

    fn bookies(&self) -> CallResult<Vec<Bookie>> {
        self.call("bookies.list-bookies", json!({}), |host| host.bookies())
    }

    fn register_bookies(&self, ids: &[String]) -> CallResult<()> {
        self.call("bookies.register-bookies", json!({"ids": ids}), |host| host.register_bookies(ids))
    }

    fn ledgers(&self) -> CallResult<Box<dyn Pages<Ledger>>> {
        let calls = ("ledgers.list-ledgers", "ledgers.ledger-listing.next-page");
        self.list(calls, json!({}), |host| host.ledgers())
    }

    fn keep_ledgers(&self, ids: &[i64]) -> CallResult<()> {
        self.call("ledgers.keep-ledgers", json!({"ids": ids}), |host| host.keep_ledgers(ids))
    }

    fn durable_logs(&self) -> CallResult<Vec<DurableLog>> {
        self.call("logs.list-logs", json!({}), |host| host.durable_logs())
    }

    fn restore_log(&self, container: ContainerId) -> CallResult<RestoredLog> {
        self.call("logs.restore-log", json!({"container": container}), |host| host.restore_log(container))
    }

    fn log(&self, task: Option<&str>, level: Level, message: &str) {
        let arguments = json!({"level": level, "message": message});
        self.tell("report.log", arguments, |host| host.log(task, level, message));
    }

    fn progress(&self, task: Option<&str>, done: u64, total: u64) {
        self.tell("report.progress", json!({"done": done, "total": total}), |host| host.progress(task, done, total));
    }

    fn decision(&self, decision: Decision) {
        self.tell("report.decision", json!(decision), |host| host.decision(decision));
    }

    fn loss(&self, range: LostRange) {
        self.tell("report.loss", json!(range), |host| host.loss(range));
    }

    fn tasks_done(&self) {
        if let Some(host) = &self.behind {
            host.tasks_done();
        }
    }
}

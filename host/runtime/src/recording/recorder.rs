//! Keeps the calls of a run as values, for tests that look at them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dr_engine::contract::{Instance, RecoveryHost};

use super::call::{Answer, Call, Numbered, failed, outcome};
use super::file::{Head, Recording};
use super::relay::{Exchange, Relay};
use crate::description::Setting;
use crate::error::RuntimeError;
use crate::procedure::Procedure;

/// Keeps the calls of a run in the order in which they were answered. All of them are in memory: some hundred bytes for each
/// field of a row. Real runs are written down by [`RecordingWriter`](super::RecordingWriter).
#[derive(Debug, Default)]
pub struct Recorder {
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    made: Vec<Numbered>,
    by_instance: BTreeMap<Instance, usize>,
}

impl Exchange for Recorder {
    fn after(&self, instance: &Instance, call: &Call, answer: &Answer) {
        let mut calls = self.lock();
        let number = calls.by_instance.entry(instance.clone()).or_default();
        *number += 1;
        let number = *number;
        calls.made.push(Numbered { number, instance: instance.clone(), call: call.clone(), answer: answer.clone() });
    }
}

impl Recorder {
    /// A host before `behind` whose calls are written down.
    pub fn before(self: &Arc<Self>, behind: Arc<dyn RecoveryHost>) -> Arc<dyn RecoveryHost> {
        Arc::new(Relay::new(Some(behind), self.clone()))
    }

    /// All calls, in the order in which they were answered; nothing is left in the recorder.
    pub fn take_calls(&self) -> Vec<Numbered> {
        std::mem::take(&mut *self.lock()).made
    }

    /// The recording of a run that ended; nothing is left in the recorder. Its calls are kept by instance, so that their order
    /// is the same however tasks ran beside each other.
    pub fn finish<T>(
        &self,
        procedure: &Procedure,
        settings: &[Setting],
        selected: &[u32],
        result: &Result<T, RuntimeError>,
    ) -> Recording {
        let head = Head::of(procedure, settings, selected);
        let mut calls: BTreeMap<Instance, Vec<Numbered>> = BTreeMap::new();
        for call in self.take_calls() {
            calls.entry(call.instance.clone()).or_default().push(call);
        }
        Recording { head, calls, outcome: outcome(result), failed: failed(result) }
    }

    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

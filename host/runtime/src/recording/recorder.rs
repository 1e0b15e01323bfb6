//! Keeps the calls of a run as values, for tests that look at them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use dr_engine::contract::{Instance, RecoveryHost};

use super::call::{Answer, Call, Numbered, outcome};
use super::file::{Head, Recording};
use super::relay::{Exchange, Relay};
use crate::description::Setting;
use crate::error::RuntimeError;
use crate::procedure::Procedure;

/// Keeps the calls of a run by instance, so that the order is the same however tasks ran beside each other. All of them
/// are in memory: some hundred bytes for each field of a row. Real runs are written down by
/// [`RecordingWriter`](super::RecordingWriter).
#[derive(Debug, Default)]
pub struct Recorder {
    calls: Mutex<BTreeMap<Instance, Vec<Numbered>>>,
}

impl Exchange for Recorder {
    fn after(&self, instance: &Instance, call: &Call, answer: &Answer) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let of_instance = calls.entry(instance.clone()).or_default();
        let number = of_instance.len() + 1;
        of_instance.push(Numbered { number, instance: instance.clone(), call: call.clone(), answer: answer.clone() });
    }
}

impl Recorder {
    /// A host before `behind` whose calls are written down.
    pub fn before(self: &Arc<Self>, behind: Arc<dyn RecoveryHost>) -> Arc<dyn RecoveryHost> {
        Arc::new(Relay::new(Some(behind), self.clone()))
    }

    /// The recording of a run that ended; nothing is left in the recorder.
    pub fn finish<T>(
        &self,
        procedure: &Procedure,
        settings: &[Setting],
        selected: &[u32],
        result: &Result<T, RuntimeError>,
    ) -> Recording {
        let head = Head::of(procedure, settings, selected);
        let calls = std::mem::take(&mut *self.calls.lock().unwrap_or_else(PoisonError::into_inner));
        Recording { head, calls, outcome: outcome(result) }
    }
}

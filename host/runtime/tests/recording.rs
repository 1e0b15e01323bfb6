//! Recordings: the same run gives the same file, a procedure that does the same passes, and what is no recording is refused.
// Helpers of tests may fail like tests.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

mod support;

use std::fs::File;
use std::io;
use std::sync::Arc;

use dr_engine::contract::{Instance, RecoveryHost};
use dr_runtime::recording::{
    Difference, Head, Recorder, Recording, RecordingError, RecordingWriter, WrittenRecording, replay,
};
use dr_runtime::{Limits, Procedure, Runtime};
use support::{MockHost, guest, overrides};

fn load(name: &str) -> Procedure {
    Runtime::new(Limits::default()).unwrap().load(&guest(name), &format!("{name}.wasm")).unwrap()
}

/// The lines of a run over six containers, two tasks at a time.
fn record(procedure: &Procedure, set: &[(&str, &str)]) -> String {
    let settings = procedure.settings(&overrides(set)).unwrap();
    let host: Arc<dyn RecoveryHost> = Arc::new(MockHost::with_segments(6, 3));
    let recorder = Arc::new(Recorder::default());
    let result = procedure.execute(recorder.before(host), &settings, &[], 2, &());
    let mut file = Vec::new();
    recorder.finish(procedure, &settings, &[], &result).write(&mut file).unwrap();
    String::from_utf8(file).unwrap()
}

fn read(file: &str) -> Result<Recording, RecordingError> {
    Recording::read(file.as_bytes())
}

#[test]
fn two_runs_give_the_same_file_which_the_procedure_follows() {
    let procedure = load("total-loss");
    let file = record(&procedure, &[]);
    assert_eq!(file, record(&procedure, &[]));
    let recording = read(&file).unwrap();
    assert_eq!((recording.head.procedure.as_str(), recording.outcome.as_str()), ("total-loss", "success"));
    assert!(recording.len() > 60, "{}", recording.len());
    assert!(file.contains(r#""export":"run","task":"container-5","call":"storage.list-segments","arguments":{"container":5},"answer":{"ok":null}"#), "{file}");
    assert_eq!(replay(&procedure, recording).unwrap(), None);
}

/// A recording of the same run, written while it went on: compressed, and as it is.
fn write(procedure: &Procedure) -> (Vec<u8>, Vec<u8>) {
    let written = write_beside(procedure, tempfile::tempfile().unwrap()).unwrap();
    let (mut compressed, mut plain) = (Vec::new(), Vec::new());
    written.write_compressed(&mut compressed).unwrap();
    written.write_plain(&mut plain).unwrap();
    (compressed, plain)
}

fn write_beside(procedure: &Procedure, scratch: File) -> io::Result<WrittenRecording> {
    let settings = procedure.settings(&[]).unwrap();
    let host: Arc<dyn RecoveryHost> = Arc::new(MockHost::with_segments(6, 3));
    let waiting = scratch.try_clone()?;
    let writer = Arc::new(RecordingWriter::new(scratch));
    let result = procedure.execute(writer.before(host), &settings, &[], 2, &());
    let set_aside = waiting.metadata()?.len();
    let written = writer.finish(procedure, &settings, &[], &result)?;
    // Each of them has written less than a block.
    assert!(set_aside > 0, "lines of instances that ended are still in memory");
    Ok(written)
}

#[test]
fn a_scratch_file_that_cannot_be_written_is_told_when_the_run_has_ended() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("scratch");
    File::create(&path).unwrap();
    assert!(write_beside(&load("total-loss"), File::open(&path).unwrap()).is_err());
}

#[test]
fn what_is_written_during_a_run_holds_the_same_calls_compressed_or_plain() {
    let procedure = load("total-loss");
    let (compressed, plain) = write(&procedure);
    assert_eq!(write(&procedure), (compressed.clone(), plain.clone()));
    assert!(compressed.len() * 4 < plain.len(), "{} {}", compressed.len(), plain.len());
    let kept = read(&record(&procedure, &[])).unwrap();
    for file in [&compressed, &plain] {
        assert_eq!(Recording::read(&file[..]).unwrap(), kept);
    }
    for end in (0..compressed.len()).step_by(7) {
        assert!(Recording::read(&compressed[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn the_first_difference_is_told() {
    let procedure = load("total-loss");
    let mut recording = read(&record(&procedure, &[])).unwrap();
    recording.head.settings.insert("backup-place".to_owned(), "_dr/elsewhere".to_owned());
    let Difference { place, expected, got, detail } = replay(&procedure, recording).unwrap().unwrap();
    assert!(place.starts_with("task `container-0`, call "), "{place}");
    assert!(expected.contains("_dr/moved-aside/container-0") && got.contains("_dr/elsewhere/container-0"));
    assert!(detail.unwrap().starts_with("at /place: expected "));
}

#[test]
fn calls_that_are_left_out_are_told() {
    let mut recording = read(&record(&load("total-loss"), &[])).unwrap();
    recording.head.settings.clear();
    let difference = replay(&load("misbehaving"), recording).unwrap().unwrap().to_string();
    assert!(difference.contains("expected `") && difference.contains("got "), "{difference}");
}

#[test]
fn a_run_that_failed_can_be_replayed() {
    let procedure = load("misbehaving");
    for (how, outcome) in [("give-up", "failed"), ("unknown-segment", "not-found"), ("panic", "crash")] {
        let recording = read(&record_one(&procedure, how)).unwrap();
        assert_eq!(recording.outcome, outcome);
        assert_eq!(replay(&procedure, recording).unwrap(), None, "{how}");
    }
}

#[test]
fn a_run_that_failed_is_replayed_without_the_tasks_that_it_stopped() {
    let procedure = load("misbehaving");
    for how in ["give-up", "odd-gives-up"].repeat(10) {
        let recording = read(&record(&procedure, &[("how", how)])).unwrap();
        assert!(matches!(recording.failed, Some(Instance::Run(_))), "{:?}", recording.failed);
        assert_eq!(replay(&procedure, recording.clone()).unwrap(), None, "{how}");
        let other = replay(
            &load("total-loss"),
            Recording { head: Head { settings: [].into(), ..recording.head.clone() }, ..recording },
        );
        assert!(other.unwrap().is_some(), "{how}");
    }
}

fn record_one(procedure: &Procedure, how: &str) -> String {
    let settings = procedure.settings(&overrides(&[("how", how)])).unwrap();
    let host: Arc<dyn RecoveryHost> = Arc::new(MockHost::with_segments(1, 3));
    let recorder = Arc::new(Recorder::default());
    let result = procedure.execute(recorder.before(host), &settings, &[], 1, &());
    let mut file = Vec::new();
    recorder.finish(procedure, &settings, &[], &result).write(&mut file).unwrap();
    String::from_utf8(file).unwrap()
}

#[test]
fn what_is_no_recording_is_refused() {
    let file = record(&load("total-loss"), &[]);
    let problem = |file: &str| read(file).unwrap_err().to_string();
    assert!(problem("").contains("not the head of a recording"));
    assert!(problem("{}\n").contains("not the head of a recording"));
    assert!(problem("\u{0}\u{1}").contains("not the head of a recording"));
    let other = file.replacen("\"recording\":1", "\"recording\":2", 1);
    assert_eq!(problem(&other), "its format has version 2, this dr reads 1");
    for lines in [1, 2, 10] {
        let cut: String = file.split_inclusive('\n').take(lines).collect();
        assert!(problem(&cut).contains("it was cut"), "{lines}");
        assert!(problem(&cut[..cut.len() - 3]).contains("cut") || lines == 1);
    }
    let edited = file.replacen("\"limit\":", "\"limit\":1", 1);
    assert!(problem(&edited).contains("it was edited"));
    assert!(problem(&format!("{file}{{}}\n")).contains("lines behind its end"));
    let without: Vec<&str> = file.split_inclusive('\n').enumerate().filter(|(n, _)| *n != 3).map(|(_, l)| l).collect();
    assert!(problem(&without.concat()).contains("line 4 is not a call: its number is"));
}

/// Cut at every byte, a recording is refused and nothing panics.
#[test]
fn every_cut_is_noticed() {
    let file = record_one(&load("misbehaving"), "nothing");
    for end in 0..file.len() - 1 {
        assert!(read(&file[..end]).is_err(), "{end}");
    }
}

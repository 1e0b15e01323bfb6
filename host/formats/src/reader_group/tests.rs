use super::*;

const A: &str = "scope/stream/0.#epoch.0";
const B: &str = "scope/stream/1.#epoch.0";
const C: &str = "scope/stream/2.#epoch.1";

fn offsets(pairs: &[(&str, i64)]) -> Offsets {
    pairs.iter().map(|(name, offset)| ((*name).to_owned(), *offset)).collect()
}

/// Two free segments that are to be merged into a third.
fn group() -> ReaderGroupState {
    let range = KeyRange { low: 0.25_f64.to_bits(), high: 0.5_f64.to_bits() };
    ReaderGroupState {
        configuration: vec![7; 5],
        unassigned: offsets(&[(A, 10), (B, 20)]),
        last_read: offsets(&[(A, 10), (B, 20)]),
        ends: offsets(&[(B, 99)]),
        ranges: BTreeMap::from([(A.to_owned(), range), (B.to_owned(), range)]),
        ..ReaderGroupState::default()
    }
}

fn apply(state: &mut ReaderGroupState, changes: Vec<Change>) {
    changes.into_iter().for_each(|change| state.apply(change).unwrap());
}

fn with_reader() -> ReaderGroupState {
    let mut state = group();
    let acquire = |segment: &str| Change::Acquire { reader: "r".into(), segment: segment.into() };
    apply(&mut state, vec![Change::AddReader("r".into()), acquire(A), acquire(B)]);
    state
}

fn complete(segment: &str) -> Change {
    Change::Complete {
        reader: "r".into(),
        segment: segment.into(),
        successors: BTreeMap::from([(C.to_owned(), vec![0, 1])]),
        ranges: BTreeMap::from([(C.to_owned(), KeyRange { low: 1, high: 2 })]),
    }
}

#[test]
fn a_state_is_what_was_written() {
    let mut state = with_reader();
    apply(&mut state, vec![Change::BeginCheckpoint("c".into()), complete(A), Change::UpdateConfiguration(true)]);
    let bytes = state.encode().unwrap();
    assert_eq!(Entry::decode(&bytes), Ok(Entry::State(Box::new(state))));
    for length in 0..bytes.len() {
        assert!(Entry::decode(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn readers_leave_their_segments_at_the_last_checkpoint() {
    let mut state = with_reader();
    let reach = |checkpoint: &str, offset| Change::ReachCheckpoint {
        checkpoint: checkpoint.into(),
        reader: "r".into(),
        offsets: offsets(&[(A, offset)]),
    };
    apply(&mut state, vec![Change::BeginCheckpoint("c".into()), reach("c", 50)]);
    assert_eq!((state.checkpoints.last.clone(), state.checkpoints.is_last_published), (offsets(&[(A, 50)]), false));
    apply(&mut state, vec![Change::BeginCheckpoint("d_SILENT_".into()), reach("d_SILENT_", 70)]);
    apply(&mut state, vec![Change::BeginCheckpoint("e".into())]);
    state.remove_readers();
    assert_eq!(state.unassigned, offsets(&[(A, 50), (B, 20)]));
    assert!(state.assigned.is_empty() && state.checkpoints.waiting.is_empty() && state.distances.is_empty());
    assert_eq!(state.checkpoints.last, offsets(&[(A, 50), (B, 20)]));
}

#[test]
fn successors_come_in_when_the_last_predecessor_was_read() {
    let mut state = with_reader();
    apply(&mut state, vec![complete(B)]);
    assert_eq!(state.future, BTreeMap::from([(C.to_owned(), BTreeSet::from([0]))]));
    assert_eq!(state.segments(), BTreeSet::from([A, C]));
    apply(&mut state, vec![complete(A)]);
    assert_eq!((&state.unassigned, state.future.len()), (&offsets(&[(C, 0)]), 0));
    assert_eq!(state.last_read, offsets(&[(C, 0)]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let stranger = Change::Acquire { reader: "x".into(), segment: A.into() };
    assert!(group().apply(stranger).is_err());
    assert!(group().apply(complete(A)).is_err());
    assert!(with_reader().apply(Change::AddReader("r".into())).is_err());
    let again = Change::Acquire { reader: "r".into(), segment: A.into() };
    assert!(with_reader().apply(again).is_err());
}

#[test]
fn checkpoints_are_forgotten_and_given_up() {
    let mut state = with_reader();
    let begin = |name: &str| Change::BeginCheckpoint(name.into());
    apply(&mut state, vec![begin("c"), begin("d"), Change::ClearCheckpointsBefore("d".into())]);
    assert_eq!((&state.checkpoints.names, state.checkpoints.waiting.len()), (&vec!["d".to_owned()], 1));
    apply(&mut state, vec![Change::RemoveOutstandingCheckpoints]);
    assert!(state.checkpoints.waiting.is_empty() && state.checkpoints.offsets.is_empty());
}

#[test]
fn every_offset_is_reached() {
    let mut state = with_reader();
    apply(
        &mut state,
        vec![
            Change::Release { reader: "r".into(), segment: B.into(), offset: 30 },
            Change::BeginCheckpoint("c".into()),
            Change::Distance { reader: "r".into(), distance: 1, offsets: offsets(&[(A, 40)]) },
        ],
    );
    let found: Vec<_> = state.offsets_mut().map(|(segment, offset)| (segment.to_owned(), *offset)).collect();
    let expected = [(A, 10), (B, 30), (A, 40), (B, 30), (B, 30)].map(|(segment, offset)| (segment.to_owned(), offset));
    assert_eq!(found, expected);
}

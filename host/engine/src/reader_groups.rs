//! Reader groups: their state must not be ahead of the segments that they read, nor behind what living clients remember.
//!
//! A group's state is a stream of its own, which reaches Tier-2 sooner or later than the events. Offsets behind the recovered end of
//! a segment would make readers wait there and then begin inside another event. And a client that lived through the disaster
//! remembers more of the state than there is: it would write and wait for ever. So the group begins anew: behind everything that any
//! client can have seen, with one event that says the newest possible state, without readers. What lies before counts as
//! truncated, by which a client notices that it has to look at the state again, finds itself taken out, and says so. See design note
//! 008.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dr_backends::tier2::Tier2;
use dr_formats::events::payloads;
use dr_formats::names::{CONTROLLER_TABLES_PREFIX, SegmentKind, StreamSegment, main_segment_of, owning_container};
use dr_formats::reader_group::{Entry, ReaderGroupState};

use crate::chain::{Chain, chain_by_names};
use crate::contract::{CallError, CallResult, ContainerId, RenewedGroup};
use crate::error::Result;
use crate::evidence::ContainerEvidence;
use crate::listing::ChunkObject;
use crate::reconcile::Standing;
use crate::survey::Survey;
use crate::table_scan::scan_table;

/// Most bytes of a group's state that are read; clients compact it at half a megabyte.
const STATE_BYTES_MAX: u64 = 64 << 20;

/// A renewed state begins at the next multiple of this. No group wrote as much since it was flushed last.
const RENEWAL_STEP: u64 = 1 << 40;

/// Row of a stream's metadata table that holds the number of its present epoch.
const CURRENT_EPOCH: &[u8] = b"currentEpochRecord";

/// The new beginning of a group's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// Where the segment begins from now on.
    pub start: u64,
    /// Its first event, with header.
    pub event: Vec<u8>,
    /// Readers had come further than what is left, by the state that is left.
    pub was_ahead: bool,
}

/// What can be known of a group.
#[derive(Debug, Default)]
struct History {
    /// The newest state of which all segments will be there, and the newest of all.
    state: Option<ReaderGroupState>,
    /// Events behind the one that made this state.
    given_up: u32,
    /// An event that cannot be read or applied ended the reading.
    is_broken: bool,
}

impl History {
    /// Follows the events of a group's stream.
    fn read(bytes: &[u8], mut will_be: impl FnMut(&str) -> Result<bool>) -> Result<Self> {
        let mut history = Self::default();
        let mut newest: Option<ReaderGroupState> = None;
        let mut judged: (BTreeSet<String>, bool) = Default::default();
        for payload in payloads(bytes) {
            newest = match Entry::decode(payload) {
                Ok(Entry::State(state)) => Some(*state),
                Ok(Entry::Changes(changes)) => newest.and_then(|mut state| {
                    changes.into_iter().try_for_each(|change| state.apply(change)).is_ok().then_some(state)
                }),
                Err(_) => None,
            };
            let Some(state) = &newest else {
                history.is_broken = true;
                break;
            };
            let segments = state.segments();
            if !segments.iter().copied().eq(judged.0.iter().map(String::as_str)) {
                let mut all = true;
                for segment in &segments {
                    all &= will_be(segment)?;
                }
                judged = (segments.into_iter().map(str::to_owned).collect(), all);
            }
            if judged.1 {
                history.state = Some(state.clone());
                history.given_up = 0;
            } else {
                history.given_up += 1;
            }
        }
        Ok(history)
    }
}

/// Makes the new beginning of a group, if its state can be read.
///
/// # Errors
/// `invalid` for a segment that holds no state of a reader group; Tier-2 errors.
pub fn renew(
    survey: &Survey,
    evidence: &ContainerEvidence,
    name: &str,
    length: u64,
) -> CallResult<(RenewedGroup, Option<Renewal>)> {
    let Some(segment) = evidence.segment(name).filter(|_| SegmentKind::of(name) == SegmentKind::ReaderGroup) else {
        return Err(CallError::Invalid(format!("the segment `{name}` holds no state of a reader group")));
    };
    let unchanged = |outcome: &str| RenewedGroup { outcome: outcome.to_owned(), ..RenewedGroup::default() };
    if length == segment.start_offset {
        return Ok((unchanged("empty"), None));
    }
    let Some(bytes) = state_bytes(&segment.chain, segment.start_offset, length, survey.tier2())? else {
        return Ok((unchanged("unreadable"), None));
    };
    let history = History::read(&bytes, |segment| Ok(survey.read_segment_end(segment)?.is_some()))?;
    let Some(mut state) = history.state.filter(|_| !history.is_broken) else {
        return Ok((unchanged("unreadable"), None));
    };
    let readers = state.assigned.keys().cloned().collect();
    state.remove_readers();
    let offsets_ahead = clamp(&mut state, survey)?;
    let Ok(payload) = state.encode() else { return Ok((unchanged("unreadable"), None)) };
    let was_ahead = offsets_ahead > 0 || history.given_up > 0;
    let renewal = Renewal { start: next_start(length), event: event(&payload), was_ahead };
    let renewed =
        RenewedGroup { outcome: "renewed".to_owned(), readers, offsets_ahead, changes_ahead: history.given_up };
    Ok((renewed, Some(renewal)))
}

/// The readers of a group by its newest state, sorted; none if the state cannot be read.
///
/// # Errors
/// Tier-2 errors.
pub(crate) fn readers_of(evidence: &ContainerEvidence, name: &str, tier2: &dyn Tier2) -> Result<Option<Vec<String>>> {
    let Some(segment) = evidence.segment(name).filter(|segment| segment.standing != Standing::Deleted) else {
        return Ok(Some(Vec::new()));
    };
    let (chain, start) = segment.held();
    let Some(bytes) = state_bytes(chain, start.max(chain.first_start), chain.end(), tier2)? else { return Ok(None) };
    let history = History::read(&bytes, |_| Ok(true))?;
    let readers = |state: ReaderGroupState| state.assigned.into_keys().collect();
    Ok(if history.is_broken { None } else { Some(history.state.map(readers).unwrap_or_default()) })
}

/// The bytes of a state; none if there are too many for one.
fn state_bytes(chain: &Chain, start: u64, end: u64, tier2: &dyn Tier2) -> Result<Option<Vec<u8>>> {
    if end - start > STATE_BYTES_MAX { Ok(None) } else { chain.read_range(tier2, start, end).map(Some) }
}

/// Moves offsets that lie behind the end of their segment there; tells how many.
fn clamp(state: &mut ReaderGroupState, survey: &Survey) -> Result<u32> {
    let mut moved = BTreeSet::new();
    for (segment, offset) in state.offsets_mut() {
        if let Some(end) = survey.read_segment_end(segment)?.and_then(|end| i64::try_from(end).ok())
            && *offset > end
        {
            *offset = end;
            moved.insert(segment.to_owned());
        }
    }
    Ok(u32::try_from(moved.len()).unwrap_or(u32::MAX))
}

fn next_start(length: u64) -> u64 {
    (length / RENEWAL_STEP + 1) * RENEWAL_STEP
}

fn event(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[0; 4], &length[..], payload].concat()
}

/// Where segments end that reader groups read. Looked at once for all groups of the cluster, container by container.
#[derive(Debug, Default)]
pub(crate) struct ReadSegments(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// None: nobody will have it, or the controller does not know of it.
    ends: HashMap<String, Option<u64>>,
    epochs: HashMap<(String, String), Option<u32>>,
    is_gathered: bool,
}

/// Segments with the largest offset that any group has there, by container.
type Wanted = BTreeMap<ContainerId, BTreeMap<String, i64>>;

impl ReadSegments {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Survey {
    /// Where a segment that a group reads will end; none if it will not be, or if the controller will not know of it.
    ///
    /// # Errors
    /// Tier-2 errors.
    pub(crate) fn read_segment_end(&self, segment: &str) -> Result<Option<u64>> {
        // Held while it is filled: who comes in between would do the same work again.
        let mut known = self.read_segments().lock();
        if !known.is_gathered {
            known.is_gathered = true;
            let wanted = self.wanted_by_groups()?;
            self.look_up(wanted, &mut known)?;
        }
        if !known.ends.contains_key(segment) {
            let container = owning_container(segment, self.container_count());
            self.look_up(BTreeMap::from([(container, BTreeMap::from([(segment.to_owned(), i64::MAX)]))]), &mut known)?;
        }
        Ok(known.ends.get(segment).copied().flatten())
    }

    /// What all groups of the cluster read, by the names of their objects.
    fn wanted_by_groups(&self) -> Result<Wanted> {
        let mut wanted = Wanted::new();
        for listed in &self.listing().containers {
            let is_state = |chunk: &ChunkObject| {
                main_segment_of(chunk.segment()).is_none()
                    && SegmentKind::of(chunk.segment()) == SegmentKind::ReaderGroup
            };
            let chunks: Vec<ChunkObject> = listed.chunks_below("").filter(is_state).collect();
            let mut groups: BTreeMap<&str, Vec<&ChunkObject>> = BTreeMap::new();
            for chunk in &chunks {
                groups.entry(chunk.segment()).or_default().push(chunk);
            }
            for chunks in groups.into_values() {
                self.want(&chain_by_names(&chunks), &mut wanted)?;
            }
        }
        Ok(wanted)
    }

    fn want(&self, chain: &Chain, wanted: &mut Wanted) -> Result<()> {
        let Some(bytes) = state_bytes(chain, chain.first_start, chain.end(), self.tier2())? else { return Ok(()) };
        let mut add = |segment: &str, offset: i64| {
            let of_container = wanted.entry(owning_container(segment, self.container_count())).or_default();
            let largest = of_container.entry(segment.to_owned()).or_insert(offset);
            *largest = offset.max(*largest);
        };
        let history = History::read(&bytes, |segment| {
            add(segment, 0);
            Ok(true)
        })?;
        let mut state = history.state.unwrap_or_default();
        state.offsets_mut().for_each(|(segment, offset)| add(segment, *offset));
        Ok(())
    }

    fn look_up(&self, wanted: Wanted, known: &mut Known) -> Result<()> {
        for (container, segments) in wanted {
            let evidence = self.evidence_for_a_moment(container)?;
            for (segment, offset) in segments {
                let end = match self.is_known_to_controller(&segment, known)? {
                    true => self.segment_end(&evidence, &segment, offset)?,
                    false => None,
                };
                known.ends.insert(segment, end);
            }
        }
        Ok(())
    }

    /// Where a segment ends whole, if that matters: an offset of a reader that lies within the bytes is the end of an event.
    fn segment_end(&self, evidence: &ContainerEvidence, segment: &str, offset: i64) -> Result<Option<u64>> {
        let Some(found) = evidence.segment(segment).filter(|found| found.standing == Standing::Live) else {
            return Ok(None);
        };
        let end = found.chain.end();
        if u64::try_from(offset).is_ok_and(|offset| offset > end) {
            let measure = evidence.measure_stream(segment, &found.chain, found.start_offset, self.tier2())?;
            return Ok(Some(measure.whole_length));
        }
        Ok(Some(end))
    }

    /// A segment of an epoch that the controller's table does not name is open to nobody, although it may have bytes.
    fn is_known_to_controller(&self, segment: &str, known: &mut Known) -> Result<bool> {
        let Some(StreamSegment { scope, stream, epoch: Some(epoch), .. }) = StreamSegment::parse(segment) else {
            return Ok(true);
        };
        let stream = (scope.to_owned(), stream.to_owned());
        if !known.epochs.contains_key(&stream) {
            let newest = self.newest_epoch(&stream.0, &stream.1)?;
            known.epochs.insert(stream.clone(), newest);
        }
        let newest = known.epochs.get(&stream).copied().flatten();
        Ok(newest.is_none_or(|newest| epoch <= u64::from(newest)))
    }

    /// The epoch of a stream by its metadata table; none if there is not exactly one, or if it does not tell.
    fn newest_epoch(&self, scope: &str, stream: &str) -> Result<Option<u32>> {
        let prefix = format!("{CONTROLLER_TABLES_PREFIX}{scope}/{stream}/metadata.#.");
        let chunks = self.listing().containers.iter().flat_map(|listed| listed.chunks_below(&prefix));
        let chunks: Vec<ChunkObject> = chunks.filter(|chunk| main_segment_of(chunk.segment()).is_none()).collect();
        let mut tables: BTreeMap<&str, Vec<&ChunkObject>> = BTreeMap::new();
        for chunk in &chunks {
            tables.entry(chunk.segment()).or_default().push(chunk);
        }
        let (Some(chunks), 1) = (tables.values().next(), tables.len()) else { return Ok(None) };
        let chain = chain_by_names(chunks);
        let mut newest = None;
        scan_table(&chain, chain.first_start, chain.end(), self.tier2(), &mut |entry| {
            let epoch = entry.value.and_then(|value| value.first_chunk::<4>()).map(|epoch| u32::from_be_bytes(*epoch));
            if entry.key == CURRENT_EPOCH && newest.is_none_or(|(rank, _)| entry.rank() >= rank) {
                newest = Some((entry.rank(), epoch));
            }
        })?;
        Ok(newest.and_then(|(_, epoch)| epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "scope/stream/0.#epoch.0";
    const NEW: &str = "scope/stream/1.#epoch.1";

    fn state(segment: &str, offset: i64) -> ReaderGroupState {
        let unassigned = BTreeMap::from([(segment.to_owned(), offset)]);
        ReaderGroupState { unassigned, ..ReaderGroupState::default() }
    }

    fn events(states: &[ReaderGroupState]) -> Vec<u8> {
        states.iter().flat_map(|state| event(&state.encode().unwrap())).collect()
    }

    #[test]
    fn the_newest_state_counts_of_which_all_segments_will_be_there() {
        let bytes = events(&[state(OLD, 1), state(OLD, 2), state(NEW, 3), state(NEW, 4)]);
        let history = History::read(&bytes, |segment| Ok(segment == OLD)).unwrap();
        assert_eq!((history.state, history.given_up, history.is_broken), (Some(state(OLD, 2)), 2, false));
        let history = History::read(&bytes, |_| Ok(true)).unwrap();
        assert_eq!((history.state, history.given_up), (Some(state(NEW, 4)), 0));
        let nobody = History::read(&bytes, |_| Ok(false)).unwrap();
        assert_eq!((nobody.state, nobody.given_up), (None, 4));
    }

    #[test]
    fn each_segment_is_asked_for_once_as_long_as_they_stay_the_same() {
        let mut asked = Vec::new();
        let bytes = events(&[state(OLD, 1), state(OLD, 2), state(NEW, 3)]);
        History::read(&bytes, |segment| {
            asked.push(segment.to_owned());
            Ok(true)
        })
        .unwrap();
        assert_eq!(asked, [OLD, NEW]);
    }

    #[test]
    fn an_event_that_is_none_ends_the_reading_and_half_an_event_does_not_count() {
        let broken = [events(&[state(OLD, 1)]), event(b"????"), events(&[state(OLD, 2)])].concat();
        assert!(History::read(&broken, |_| Ok(true)).unwrap().is_broken);
        let mut torn = events(&[state(OLD, 1), state(OLD, 2)]);
        torn.pop();
        let history = History::read(&torn, |_| Ok(true)).unwrap();
        assert_eq!((history.state, history.is_broken), (Some(state(OLD, 1)), false));
    }

    #[test]
    fn a_renewed_state_begins_behind_the_old_one() {
        assert_eq!(next_start(0), RENEWAL_STEP);
        assert_eq!(next_start(RENEWAL_STEP - 1), RENEWAL_STEP);
        assert_eq!(next_start(RENEWAL_STEP), 2 * RENEWAL_STEP);
        assert_eq!(next_start(RENEWAL_STEP + 500), 2 * RENEWAL_STEP);
    }
}

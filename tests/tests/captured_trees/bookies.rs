//! The disks of killed bookies, surveyed and compared with what ZooKeeper knew of them; and what becomes of the survey when
//! they are damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use dr_backends::bookie_disk::{BookieDisk, FileKind, OddityKind};
use dr_engine::bookie_survey::{self, EntrySummary, MergedSurveys, SurveyHeader, Take};
use dr_engine::progress::Silent;
use dr_formats::ledger_entry::LedgerPassword;
use dr_formats::ledger_metadata::{LedgerManager, LedgerMetadata, LedgerState};
use dr_tests::captured::{self, CapturedBookies};
use dr_tests::dr;

const CAPTURES: [&str; 2] = ["bookie-journals", "bookie-logs"];
const LEDGERS_ROOT: &str = "/pravega/lab/bookkeeper/ledgers";

fn survey(bookie: &Path, output: &Path) -> SurveyHeader {
    let disk = BookieDisk::open(&[bookie.to_path_buf()]).unwrap();
    let take = Take { password: LedgerPassword::default(), parallel: 2, output };
    bookie_survey::take(&disk, &take, &Silent).unwrap()
}

/// Surveys of all bookies, and the entries of each ledger: those of an entry with the number of the bookie.
struct Surveyed {
    captured: CapturedBookies,
    headers: Vec<SurveyHeader>,
    ledgers: BTreeMap<i64, BTreeMap<i64, Vec<(usize, EntrySummary)>>>,
}

impl Surveyed {
    fn new(capture: &str) -> Self {
        let captured = captured::unpack_bookies(capture);
        let paths: Vec<PathBuf> = (0..captured.bookies.len())
            .map(|index| captured.directory.path().join(format!("{index}.survey")))
            .collect();
        for (bookie, path) in captured.bookies.iter().zip(&paths) {
            survey(bookie, path);
        }
        let mut merged = MergedSurveys::open(&paths).unwrap();
        let headers = merged.headers().cloned().collect();
        let mut ledgers: BTreeMap<i64, BTreeMap<i64, Vec<(usize, EntrySummary)>>> = BTreeMap::new();
        while let Some(entry) = merged.next_entry().unwrap() {
            ledgers.entry(entry.ledger_id).or_default().insert(entry.entry_id, entry.copies);
        }
        Self { captured, headers, ledgers }
    }

    /// What ZooKeeper knew of ledgers.
    fn metadata(&self) -> BTreeMap<i64, LedgerMetadata> {
        let below = |path: &str| path.strip_prefix(LEDGERS_ROOT)?.strip_prefix('/').map(str::to_owned);
        let nodes = self.captured.znodes.iter().filter_map(|(path, (_, data))| {
            let ledger_id = LedgerManager::Hierarchical.ledger_id(&below(path)?)?;
            Some((ledger_id, LedgerMetadata::decode(data).unwrap()))
        });
        nodes.collect()
    }
}

#[test]
fn disks_hold_what_zookeeper_knew() {
    for capture in CAPTURES {
        let surveyed = Surveyed::new(capture);
        let metadata = surveyed.metadata();
        let mut closed = 0;
        for (ledger_id, metadata) in &metadata {
            let Some(entries) = surveyed.ledgers.get(ledger_id) else {
                assert!(
                    !matches!(metadata.state, LedgerState::Closed { last_entry: 0.., .. }),
                    "{capture} {ledger_id}"
                );
                continue;
            };
            let expected: Vec<i64> = (0..entries.len() as i64).collect();
            assert_eq!(entries.keys().copied().collect::<Vec<_>>(), expected, "{capture}: holes in ledger {ledger_id}");
            if let LedgerState::Closed { last_entry, length } = metadata.state {
                closed += 1;
                // Disks may hold more, see `bookkeeper` 5.3: entries that were never confirmed.
                assert_eq!(entries[&last_entry][0].1.length, length, "{capture}: length of ledger {ledger_id}");
                for (entry_id, copies) in entries.range(..=last_entry) {
                    let holders: BTreeSet<usize> = copies.iter().map(|(bookie, _)| *bookie).collect();
                    let enough = holders.len() >= metadata.ack_quorum as usize;
                    assert!(enough, "{capture}: entry {entry_id} of ledger {ledger_id} on {holders:?}");
                }
            }
            let container = metadata.custom_metadata.iter().find(|(key, _)| key == "BookKeeperLogId");
            let container: u32 = String::from_utf8_lossy(&container.unwrap().1).parse().unwrap();
            for (_, entry) in entries.values().flatten() {
                let frame = entry.frame.as_ref().unwrap();
                assert!(
                    frame.container_ids.iter().all(|named| *named == container),
                    "{capture} {ledger_id}: {frame:?}"
                );
            }
        }
        assert!(closed > 2 && metadata.len() > closed, "{capture}: {closed} of {} ledgers are closed", metadata.len());
    }
}

#[test]
fn bookies_say_who_they_are_and_what_their_ledgers_are() {
    for capture in CAPTURES {
        let surveyed = Surveyed::new(capture);
        assert_eq!(surveyed.headers.len(), 3);
        for header in &surveyed.headers {
            let (_, cookie) = &surveyed.captured.znodes[&format!("{LEDGERS_ROOT}/cookies/{}", header.bookie_id)];
            assert_eq!(&header.cookie, cookie, "{capture}");
            let cut: Vec<_> = header.oddities.counts.keys().filter(|kind| **kind != OddityKind::TornTail).collect();
            assert!(cut.is_empty(), "{capture}: {:?}", header.oddities);
            for ledger in &header.ledgers {
                let right = ledger.has_password(&LedgerPassword::default());
                assert_eq!(right, Some(true), "{capture}: {ledger:?}");
            }
            let has_logs = header.files.iter().any(|file| !file.journal && file.length > 0);
            assert_eq!(has_logs, capture == "bookie-logs");
        }
        // The ledgers that a dead store left were fenced by the next one.
        assert!(surveyed.headers.iter().any(|header| header.ledgers.iter().any(|ledger| ledger.fenced)), "{capture}");
    }
}

/// Sequence numbers rise by one inside a ledger, and those of the first frame of a log begin with a checkpoint.
#[test]
fn frames_follow_one_another() {
    for capture in CAPTURES {
        let surveyed = Surveyed::new(capture);
        let mut checkpoints = 0;
        for (ledger_id, entries) in &surveyed.ledgers {
            let frames: Vec<_> = entries.values().map(|copies| copies[0].1.frame.clone().unwrap()).collect();
            for pair in frames.windows(2) {
                assert_eq!(pair[0].ends_inside_record, pair[1].begins_inside_record, "{capture} {ledger_id}");
                if let (Some(last), Some(first)) = (pair[0].last_sequence_number, pair[1].first_sequence_number) {
                    let hidden = i64::from(pair[0].unnumbered_records);
                    assert_eq!(last + hidden + 1, first, "{capture} {ledger_id}");
                }
            }
            checkpoints += frames.iter().map(|frame| frame.metadata_checkpoints).sum::<u32>();
        }
        assert!(checkpoints >= 4, "{capture}: {checkpoints}");
    }
}

#[test]
fn payloads_are_read_back_by_their_places() {
    let surveyed = Surveyed::new("bookie-logs");
    let password = LedgerPassword::default();
    let disks: Vec<BookieDisk> = surveyed
        .captured
        .bookies
        .iter()
        .map(|bookie| BookieDisk::open(std::slice::from_ref(bookie)).unwrap())
        .collect();
    let mut read = 0;
    for (bookie, entry) in surveyed.ledgers.values().flat_map(BTreeMap::values).flatten().step_by(7) {
        let payload = bookie_survey::read_payload(&disks[*bookie], entry, &password).unwrap();
        assert_eq!(payload.len(), entry.payload_length as usize);
        read += 1;
    }
    assert!(read > 50);
    let mut wrong = surveyed.ledgers.values().next().unwrap().values().next().unwrap()[0].clone();
    wrong.1.place.offset += 1;
    let error = bookie_survey::read_payload(&disks[wrong.0], &wrong.1, &password).unwrap_err();
    assert_eq!(error.code, "survey-mismatch");
}

/// Whatever one bit of a file becomes, only that entry is missing and everything else is what it was.
#[test]
fn one_flipped_bit_costs_one_entry_at_most() {
    let captured = captured::unpack_bookies("bookie-logs");
    let bookie = &captured.bookies[0];
    let output = captured.directory.path().join("whole");
    let whole = survey(bookie, &output);
    let files: Vec<PathBuf> = whole.files.iter().filter(|file| file.length > 0).map(|file| file.path.clone()).collect();
    let mut random = fastrand::Rng::with_seed(7);
    for (number, path) in files.iter().cycle().take(40).enumerate() {
        let sound = fs::read(path).unwrap();
        let position = random.usize(..sound.iter().rposition(|byte| *byte != 0).unwrap_or(1));
        let mut damaged = sound.clone();
        damaged[position] ^= 1 << random.u8(..8);
        fs::write(path, damaged).unwrap();
        let found = survey(bookie, &captured.directory.path().join(format!("{number}.survey")));
        fs::write(path, sound).unwrap();
        assert!(found.entries + 1 >= whole.entries, "byte {position} of {}: {:?}", path.display(), found.oddities);
    }
}

#[test]
fn a_missing_journal_is_said() {
    let captured = captured::unpack_bookies("bookie-journals");
    let bookie = &captured.bookies[1];
    let disk = BookieDisk::open(std::slice::from_ref(bookie)).unwrap();
    for file in disk.files() {
        if matches!(file.kind, FileKind::Journal { .. }) {
            fs::remove_file(&file.path).unwrap();
        }
    }
    let said = dr::run(captured.directory.path(), ["survey-bookie", "bookies/1", "-o", "survey"]).expect_code(5);
    assert!(said.stdout.contains("missing journal"), "{}", said.stdout);
    assert!(said.stderr.contains("there is not one entry"), "{}", said.stderr);
}

#[test]
fn the_command_surveys_and_refuses() {
    let captured = captured::unpack_bookies("bookie-journals");
    let run = |arguments: &[&str]| dr::run(captured.directory.path(), [&["survey-bookie"], arguments].concat());
    let said = run(&["bookies/0", "-o", "0.survey"]).expect_code(0);
    assert!(said.stdout.contains("Surveyed bookie 127.0.0.1:"), "{}", said.stdout);
    let first = fs::read(captured.directory.path().join("0.survey")).unwrap();
    let said = run(&["bookies/0", "-o", "0.survey"]).expect_code(3);
    assert!(said.stderr.contains("error[survey-exists]"), "{}", said.stderr);
    // The same disk gives the same survey, however its directories are named.
    run(&["bookies/0/journal,bookies/0/ledgers", "-o", "again.survey"]).expect_code(0);
    assert_eq!(fs::read(captured.directory.path().join("again.survey")).unwrap(), first);
    for (directories, code, error) in [
        ("bookies", 3, "bookie-disks-mixed"),
        ("bookies/0,bookies/0/journal", 2, "bookie-disk-twice"),
        ("absent", 2, "bookie-disk-absent"),
        ("0.survey", 2, "bookie-disk-unknown"),
    ] {
        let said = run(&[directories, "-o", "other.survey"]).expect_code(code);
        assert!(said.stderr.contains(&format!("error[{error}]")), "{directories}: {}", said.stderr);
    }
    assert!(!captured.directory.path().join("other.survey").exists());
}

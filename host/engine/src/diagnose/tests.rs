use dr_backends::tier1::{BookieSight, BookieSights, CopySight, LedgerSight, Registration, Stretch};
use dr_formats::log_metadata::LedgerStatus;

use super::*;

const HELD: CopySight = CopySight::Held;
const SILENT: CopySight = CopySight::Silent;

fn missing() -> CopySight {
    CopySight::Missing("no such ledger".to_owned())
}

fn sight(id: i64, copies: &[CopySight]) -> LedgerSight {
    let copies = (0..).zip(copies).map(|(index, copy): (u32, _)| (format!("b{index}:1"), copy.clone())).collect();
    let stretches = vec![Stretch { first_entry: 0, copies }];
    LedgerSight { id, container: Some(0), last_entry: Some(9), bytes: 100, ack_quorum: 2, stretches }
}

fn log(ledgers: &[&[CopySight]]) -> Log {
    let named = |(id, copies): (i64, &&[CopySight])| NamedLedger {
        id,
        status: LedgerStatus::Unknown,
        sight: Ok(Some(sight(id, copies))),
    };
    Log::Present { enabled: true, epoch: 3, version: 1, ledgers: (0..).zip(ledgers).map(named).collect() }
}

fn bookies(has_cookie: bool, silent: bool) -> Option<BookieSights> {
    let bookie = |index: u32| BookieSight {
        id: format!("b{index}:1"),
        registration: Registration::Writable,
        has_cookie,
        silent: silent.then(|| "refused".to_owned()),
    };
    Some(BookieSights { root_exists: true, bookies: (0..3).map(bookie).collect() })
}

/// As many containers as logs, all with objects and journals, and three bookies that answer.
fn facts(logs: Vec<Log>) -> Facts {
    let objects = ContainerObjectsFacts { objects: 10, bytes: 1000, has_journals: true };
    let tier2 = Tier2Facts { objects: 10, bytes: 1000, containers: vec![objects; logs.len()], ..Tier2Facts::default() };
    let tier1 = Tier1Facts { cluster_exists: true, bookies: bookies(true, false), logs, ..Tier1Facts::default() };
    Facts { tier2: Ok(tier2), tier1: Ok(tier1) }
}

fn recovery() -> InProgress {
    InProgress {
        plan: "p".to_owned(),
        run_directory: "/run".to_owned(),
        tier1: "t".to_owned(),
        container_count: 1,
        begun_unix_seconds: 0,
    }
}

fn states(diagnosis: &Diagnosis) -> Vec<ContainerState> {
    diagnosis.containers.iter().map(|container| container.state).collect()
}

#[track_caller]
fn check(facts: &Facts, scenario: Scenario, expected: &[ContainerState]) -> Diagnosis {
    let diagnosis = Diagnosis::of(facts, &[]);
    assert_eq!(states(&diagnosis), expected);
    assert_eq!(diagnosis.scenario, scenario);
    diagnosis
}

#[test]
fn a_part_of_zookeeper_that_is_gone_while_no_bookie_answers_needs_the_disks() {
    let silent = || log(&[&[SILENT, SILENT, SILENT]]);
    let stopped = |logs: Vec<Log>| {
        let mut facts = facts(logs);
        facts.tier1.as_mut().unwrap().bookies = bookies(true, true);
        facts
    };
    // One log is gone; or a ledger that a log names; or all logs, but not all ledgers.
    let one_gone = stopped(vec![silent(), Log::Absent]);
    let states = [ContainerState::BookiesSilent, ContainerState::LogGone];
    let diagnosis = check(&one_gone, Scenario::ZooKeeperPartlyLost, &states);
    assert_eq!((diagnosis.procedure(), diagnosis.has_survivors()), (Some("zookeeper-loss"), true));
    let unregistered = NamedLedger { id: 9, status: LedgerStatus::NotEmpty, sight: Ok(None) };
    let mut lacking = silent();
    if let Log::Present { ledgers, .. } = &mut lacking {
        ledgers.push(unregistered);
    }
    check(&stopped(vec![lacking]), Scenario::ZooKeeperPartlyLost, &[ContainerState::EntriesMissing]);
    let mut all_gone = stopped(vec![Log::Absent]);
    all_gone.tier1.as_mut().unwrap().stray_ledgers = vec![sight(3, &[SILENT, SILENT, SILENT])];
    check(&all_gone, Scenario::ZooKeeperPartlyLost, &[ContainerState::LogGoneLedgersLeft]);
    // Bookies that are only stopped, and bookies that answer.
    check(&stopped(vec![silent()]), Scenario::AllBookiesLost, &[ContainerState::BookiesSilent]);
    let whole = || log(&[&[HELD, HELD, HELD]]);
    check(&facts(vec![whole(), Log::Absent]), Scenario::Mixed, &[ContainerState::Whole, ContainerState::LogGone]);
}

#[test]
fn logs_of_some_containers_are_gone_while_bookies_serve_their_ledgers() {
    let mut facts = facts(vec![Log::Absent, log(&[&[HELD, HELD, HELD]])]);
    facts.tier1.as_mut().unwrap().stray_ledgers = vec![sight(3, &[HELD, HELD, HELD])];
    check(&facts, Scenario::ZooKeeperLoss, &[ContainerState::LogGoneLedgersLeft, ContainerState::Whole]);
}

#[test]
fn logs_with_all_copies_are_healthy() {
    let whole = || log(&[&[HELD, HELD, HELD]]);
    let diagnosis = check(&facts(vec![whole(), whole()]), Scenario::Healthy, &[ContainerState::Whole; 2]);
    assert_eq!((diagnosis.containers[0].ledgers, diagnosis.containers[0].readable_bytes), (1, 100));
    assert_eq!(diagnosis.procedure(), None);
}

#[test]
fn one_bookie_less_leaves_a_copy_of_everything() {
    for lost in [SILENT, missing()] {
        let facts = facts(vec![log(&[&[HELD, HELD, HELD], &[HELD, lost, HELD]])]);
        check(&facts, Scenario::SomeBookiesLost, &[ContainerState::CopiesMissing]);
    }
}

#[test]
fn two_bookies_less_may_have_taken_acknowledged_entries_with_them() {
    let gone = facts(vec![log(&[&[HELD, missing(), missing()]])]);
    let diagnosis = check(&gone, Scenario::SomeBookiesLost, &[ContainerState::EntriesMissing]);
    assert!(diagnosis.containers[0].remarks[0].contains("b1:1 (no such ledger), b2:1"), "{diagnosis:?}");
    assert!(diagnosis.has_survivors());
    let silent = facts(vec![log(&[&[HELD, SILENT, SILENT]])]);
    check(&silent, Scenario::SomeBookiesLost, &[ContainerState::BookiesSilent]);
}

#[test]
fn all_bookies_lost_is_told_from_bookies_that_are_only_down() {
    let gone = || log(&[&[missing(), missing(), missing()]]);
    check(&facts(vec![gone(), gone()]), Scenario::AllBookiesLost, &[ContainerState::LedgersGone; 2]);
    let silent = || log(&[&[SILENT, SILENT, SILENT]]);
    check(&facts(vec![silent()]), Scenario::AllBookiesLost, &[ContainerState::BookiesSilent]);
}

#[test]
fn a_ledger_whose_metadata_are_gone_is_gone_unless_it_was_empty() {
    let with_status = |status| {
        let mut facts = facts(vec![log(&[&[HELD, HELD, HELD], &[HELD]])]);
        let Log::Present { ledgers, .. } = &mut facts.tier1.as_mut().unwrap().logs[0] else { unreachable!() };
        ledgers[1] = NamedLedger { id: 1, status, sight: Ok(None) };
        facts
    };
    check(&with_status(LedgerStatus::Empty), Scenario::Healthy, &[ContainerState::Whole]);
    check(&with_status(LedgerStatus::NotEmpty), Scenario::SomeBookiesLost, &[ContainerState::EntriesMissing]);
}

#[test]
fn a_new_ledger_without_entries_is_no_loss_but_the_only_one_of_a_log_is() {
    let facts_of = |ledgers: &[&[CopySight]]| {
        let mut facts = facts(vec![log(ledgers)]);
        let Log::Present { ledgers, .. } = &mut facts.tier1.as_mut().unwrap().logs[0] else { unreachable!() };
        let last = ledgers.last_mut().unwrap();
        last.sight = last.sight.clone().map(|sight| sight.map(|sight| LedgerSight { last_entry: None, ..sight }));
        facts
    };
    let nothing = [missing(), missing(), missing()];
    check(&facts_of(&[&[HELD, HELD, HELD], &nothing]), Scenario::Healthy, &[ContainerState::Whole]);
    check(&facts_of(&[&nothing]), Scenario::AllBookiesLost, &[ContainerState::LedgersGone]);
}

#[test]
fn no_logs_and_bookies_that_hold_nothing_are_total_loss() {
    let facts = facts(vec![Log::Absent, Log::Absent]);
    let diagnosis = check(&facts, Scenario::TotalLoss, &[ContainerState::LogGone; 2]);
    assert_eq!(diagnosis.procedure(), Some("total-loss"));
    let mut in_a_directory = facts;
    in_a_directory.tier1.as_mut().unwrap().bookies = None;
    check(&in_a_directory, Scenario::TotalLoss, &[ContainerState::LogGone; 2]);
}

#[test]
fn no_logs_and_nobody_to_ask_tell_nothing() {
    let mut facts = facts(vec![Log::Absent]);
    facts.tier1.as_mut().unwrap().bookies = bookies(true, true);
    check(&facts, Scenario::Undetermined, &[ContainerState::LogGone]);
    facts.tier1 = Err(OperatorError::new("tier1-unavailable", "nobody answers", "start it"));
    check(&facts, Scenario::Undetermined, &[ContainerState::Unknown]);
}

#[test]
fn what_bookies_hold_without_zookeeper_is_a_loss_of_zookeeper() {
    let mut with_strays = facts(vec![Log::Absent]);
    with_strays.tier1.as_mut().unwrap().stray_ledgers = vec![sight(4, &[HELD, HELD, HELD])];
    let diagnosis = check(&with_strays, Scenario::ZooKeeperLoss, &[ContainerState::LogGoneLedgersLeft]);
    assert_eq!((diagnosis.containers[0].readable_ledgers, diagnosis.containers[0].readable_bytes), (1, 100));
    with_strays.tier1.as_mut().unwrap().bookies = None;
    check(&with_strays, Scenario::ZooKeeperLoss, &[ContainerState::LogGoneLedgersLeft]);
    let mut with_entries = facts(vec![Log::Absent]);
    with_entries.tier1.as_mut().unwrap().unregistered_ledgers = vec![("b0:1".to_owned(), 7)];
    check(&with_entries, Scenario::ZooKeeperLoss, &[ContainerState::LogGone]);
    let mut without_cookies = facts(vec![Log::Absent]);
    without_cookies.tier1.as_mut().unwrap().bookies = bookies(false, false);
    check(&without_cookies, Scenario::ZooKeeperLoss, &[ContainerState::LogGone]);
}

#[test]
fn a_recovery_is_seen_before_the_first_boot_and_not_afterwards() {
    let mut facts = facts(vec![log(&[&[HELD, HELD, HELD]])]);
    facts.tier2.as_mut().unwrap().recovered = Some(recovery());
    check(&facts, Scenario::Healthy, &[ContainerState::Whole]);
    facts.tier2.as_mut().unwrap().containers[0].has_journals = false;
    check(&facts, Scenario::RecoveredNotBooted, &[ContainerState::Recovered]);
    facts.tier2.as_mut().unwrap().in_progress = Some(recovery());
    check(&facts, Scenario::RecoveryInterrupted, &[ContainerState::Recovered]);
}

/// Restored logs cannot be read before the bookies run, which come after the recovery.
#[test]
fn restored_logs_wait_for_their_bookies() {
    let silent = || log(&[&[SILENT, SILENT, SILENT], &[SILENT, SILENT, SILENT]]);
    let with_version = |of_first: i32| {
        let mut facts = facts(vec![silent(), silent()]);
        facts.tier2.as_mut().unwrap().recovered = Some(recovery());
        let tier1 = facts.tier1.as_mut().unwrap();
        tier1.bookies = bookies(true, true);
        let Log::Present { version, .. } = &mut tier1.logs[0] else { unreachable!() };
        *version = of_first;
        facts
    };
    // The other log was whole in ZooKeeper, and was left as it was.
    let states = [ContainerState::Recovered, ContainerState::BookiesSilent];
    let diagnosis = check(&with_version(0), Scenario::RecoveredNotBooted, &states);
    assert!(diagnosis.awaits_bookies() && !diagnosis.has_survivors() && diagnosis.procedure().is_none());
    // A store has booted since, or nothing was recovered here.
    check(&with_version(1), Scenario::AllBookiesLost, &[ContainerState::BookiesSilent; 2]);
    let mut never = with_version(0);
    never.tier2.as_mut().unwrap().recovered = None;
    check(&never, Scenario::AllBookiesLost, &[ContainerState::BookiesSilent; 2]);
    // A ledger that is open belongs to a store.
    let mut open = with_version(0);
    let Log::Present { ledgers, .. } = &mut open.tier1.as_mut().unwrap().logs[0] else { unreachable!() };
    let last = ledgers.last_mut().unwrap();
    last.sight = last.sight.clone().map(|sight| sight.map(|sight| LedgerSight { last_entry: None, ..sight }));
    check(&open, Scenario::AllBookiesLost, &[ContainerState::BookiesSilent; 2]);
    // What answers and has nothing is gone.
    let mut gone = with_version(0);
    gone.tier1.as_mut().unwrap().logs[0] = log(&[&[missing(), missing(), missing()]]);
    let states = [ContainerState::LedgersGone, ContainerState::BookiesSilent];
    check(&gone, Scenario::AllBookiesLost, &states);
}

#[test]
fn a_recovery_of_some_containers_leaves_the_procedure_for_the_others() {
    let mut facts = facts(vec![log(&[&[HELD, HELD, HELD]]), Log::Absent]);
    let tier2 = facts.tier2.as_mut().unwrap();
    tier2.recovered = Some(recovery());
    tier2.containers[0].has_journals = false;
    let diagnosis = check(&facts, Scenario::Mixed, &[ContainerState::Recovered, ContainerState::LogGone]);
    assert!(diagnosis.is_half_recovered() && !diagnosis.has_survivors());
    assert_eq!(diagnosis.procedure(), Some("total-loss"));
}

#[test]
fn what_keeps_stores_away_tells_of_a_recovery_that_is_half_done() {
    let mut facts = facts(vec![Log::Barrier, log(&[&[SILENT, SILENT, SILENT]])]);
    let tier1 = facts.tier1.as_mut().unwrap();
    tier1.bookies = bookies(true, true);
    tier1.stray_ledgers = vec![sight(3, &[SILENT, SILENT, SILENT])];
    let expected = [ContainerState::AwaitsBookies, ContainerState::BookiesSilent];
    let diagnosis = check(&facts, Scenario::RecoveryHalfDone, &expected);
    assert!(diagnosis.has_survivors() && diagnosis.containers[0].ledgers == 1);
    assert_eq!(diagnosis.procedure(), Some("zookeeper-loss"));
}

#[test]
fn containers_that_differ_are_told_apart() {
    let mut facts = facts(vec![log(&[&[HELD, HELD, HELD]]), Log::Absent, Log::Damaged("no".to_owned()), Log::Absent]);
    facts.tier2.as_mut().unwrap().containers[3] = ContainerObjectsFacts::default();
    let Log::Present { enabled, .. } = &mut facts.tier1.as_mut().unwrap().logs[0] else { unreachable!() };
    *enabled = false;
    let expected =
        [ContainerState::LogDisabled, ContainerState::LogGone, ContainerState::LogDamaged, ContainerState::Empty];
    let diagnosis = check(&facts, Scenario::Mixed, &expected);
    assert_eq!(diagnosis.those(ContainerState::LogGone), [1]);
    let chosen = Diagnosis::of(&facts, &[1, 3]);
    assert_eq!(
        (chosen.scenario, states(&chosen)),
        (Scenario::TotalLoss, vec![ContainerState::LogGone, ContainerState::Empty])
    );
    assert!(diagnosis.has(ContainerState::LogDamaged) && !diagnosis.has(ContainerState::Whole));
}

#[test]
fn containers_are_counted_by_either_tier_and_are_not_called_healthy_without_tier_2() {
    let mut facts = facts(vec![log(&[&[HELD, HELD, HELD]]); 2]);
    facts.tier2 = Err(OperatorError::new("root-missing", "no root", "mount it"));
    check(&facts, Scenario::Undetermined, &[ContainerState::Whole; 2]);
    facts.tier1.as_mut().unwrap().logs.clear();
    check(&facts, Scenario::Undetermined, &[]);
}

//! A plan that restores logs where a part of ZooKeeper is left: each effect that registers, closes or replaces something.

use dr_backends::tier1::{Ledgers as _, ZNodes as _};
use dr_engine::cluster::ClusterLayout;
use dr_engine::plan::{
    Effect, PlannedBookie, PlannedClosing, PlannedDigest, PlannedLedger, PlannedRegistration, PlannedStretch,
};
use dr_formats::ledger_entry::{DigestType, LedgerPassword};
use dr_formats::ledger_metadata::{Ensemble, LedgerMetadata, LedgerSecurity, LedgerState};
use dr_formats::log_metadata::LogMetadata;

use super::Cluster;

/// The ledger that is registered and was never closed.
const OPEN: i64 = 5;
const OPEN_PATH: &str = "/pravega/lab/bookkeeper/ledgers/00/0000/L0005";
/// What the ZNode of a log said that is replaced.
pub const STALE: &[u8] = b"what a log ZNode said earlier";
const TOKEN: i64 = 77;

fn bookies() -> [String; 3] {
    ["a:1", "b:1", "c:1"].map(str::to_owned)
}

fn open_metadata() -> Vec<u8> {
    let metadata = LedgerMetadata {
        ensemble_size: 3,
        write_quorum: 3,
        ack_quorum: 2,
        state: LedgerState::Open,
        ensembles: vec![Ensemble { first_entry: 0, bookies: bookies().to_vec() }],
        security: Some(LedgerSecurity { digest_type: DigestType::Crc32c, password: LedgerPassword::default() }),
        creation_time: None,
        custom_metadata: vec![("BookKeeperLogId".to_owned(), b"0".to_vec())],
        creation_token: Some(TOKEN),
    };
    metadata.encode().unwrap()
}

/// What is left of ZooKeeper.
pub fn leave_survivors(cluster: &Cluster) {
    let znodes = &cluster.znodes;
    znodes.create(OPEN_PATH, &open_metadata()).unwrap();
    znodes.create(&cluster.layout.log_znode(0), STALE).unwrap();
    znodes.create("/pravega/lab/bookkeeper/ledgers/cookies/a:1", b"cookie of a:1").unwrap();
    // A directory that nothing stands in any more.
    znodes.create("/pravega/lab/bookkeeper/ledgers/01", b"").unwrap();
}

/// The effects of the plan.
pub fn effects(layout: &ClusterLayout) -> Vec<Effect> {
    let ledger = |id: i64| PlannedLedger {
        id,
        last_entry: 3,
        length: 40,
        ensemble_size: 3,
        write_quorum: 3,
        ack_quorum: 3,
        digest_type: PlannedDigest::Crc32c,
        stretches: vec![PlannedStretch { first_entry: 0, bookies: bookies().to_vec() }],
    };
    let log = |container, ledgers: &[i64], expected_version| Effect::RestoreLog {
        container,
        path: layout.log_znode(container),
        epoch: 9,
        ledgers: ledgers.to_vec(),
        truncation: None,
        expected_version,
    };
    let closing = PlannedClosing {
        id: OPEN,
        expected_version: 0,
        in_recovery: false,
        token: Some(TOKEN),
        last_entry: 8,
        length: 90,
    };
    let bookie = |id: String| PlannedBookie { cookie: format!("cookie of {id}").into_bytes(), id };
    vec![
        Effect::RestoreLedgers { container: Some(0), ledgers: vec![ledger(6), ledger(100_000_001)] },
        Effect::RestoreLedgers { container: None, ledgers: vec![ledger(2)] },
        Effect::CloseLedgers { container: 0, ledgers: vec![closing] },
        Effect::RegisterBookies(PlannedRegistration {
            instance_id: Some("instance".to_owned()),
            bookies: bookies().map(bookie).to_vec(),
            highest_ledger: Some(100_000_001),
        }),
        log(0, &[OPEN, 6, 100_000_001], Some(0)),
        log(1, &[2], None),
    ]
}

/// Everything is there.
pub fn assert_applied(cluster: &Cluster) {
    let ends: Vec<_> = cluster.ledgers.registry().registered_ledgers().unwrap();
    let ends: Vec<_> = ends.iter().map(|ledger| (ledger.id, ledger.end())).collect();
    assert_eq!(ends, [(2, Some((3, 40))), (OPEN, Some((8, 90))), (6, Some((3, 40))), (100_000_001, Some((3, 40)))]);
    let log = cluster.znodes.get(&cluster.layout.log_znode(0)).unwrap().unwrap();
    assert_eq!((LogMetadata::decode(&log.data).unwrap().ledgers.len(), log.version), (3, 1));
}

/// What was left is as it was.
pub fn assert_survivors(cluster: &Cluster) {
    let data = |path: &str| cluster.znodes.get(path).unwrap().unwrap().data;
    assert_eq!(data(OPEN_PATH), open_metadata());
    assert_eq!(data(&cluster.layout.log_znode(0)), STALE);
    assert!(cluster.znodes.get(&cluster.layout.log_znode(1)).unwrap().is_none());
    assert!(cluster.znodes.get("/pravega/lab/bookkeeper/ledgers/01").unwrap().is_some());
}

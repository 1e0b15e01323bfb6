//! What configurations mean.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use dr_backends::tier1::{DigestType, LedgerPassword};
use dr_engine::error::{OperatorError, Result};

use super::{Configuration, Overrides, Tier1Location};

struct Given {
    files: Vec<String>,
    environment: BTreeMap<String, String>,
    overrides: Overrides,
    root: PathBuf,
}

fn given(file: &str) -> Given {
    Given {
        files: vec![file.to_owned()],
        environment: BTreeMap::new(),
        overrides: Overrides::default(),
        root: PathBuf::from("/mnt/tier2"),
    }
}

impl Given {
    fn load(self) -> Result<Configuration> {
        let directory = tempfile::tempdir().unwrap();
        let write = |(index, text): (usize, &String)| {
            let path = directory.path().join(format!("{index}.properties"));
            fs::write(&path, text).unwrap();
            path
        };
        let files: Vec<_> = self.files.iter().enumerate().map(write).collect();
        Configuration::load(&files, self.environment, &self.overrides, &self.root)
    }

    fn error(self) -> OperatorError {
        self.load().unwrap_err()
    }
}

fn servers(zookeeper: &str, bookkeeper_zookeeper: &str) -> Tier1Location {
    let parse = |text| super::ConnectString::parse(text).unwrap();
    Tier1Location::Servers { zookeeper: parse(zookeeper), bookkeeper_zookeeper: parse(bookkeeper_zookeeper) }
}

const SEGMENT_STORE: &str = "
pravegaservice.clusterName=lab
pravegaservice.container.count=4
pravegaservice.zk.connect.uri=z1:2181,z2:2181
bookkeeper.zk.connect.uri=z1:2181,z2:2181
bookkeeper.ledger.path=/pravega/lab/bookkeeper/ledgers
bookkeeper.zk.metadata.path=/segmentstore/containers
bookkeeper.ensemble.size=5
bookkeeper.write.quorum.size=4
bookkeeper.ack.quorum.size=3
bookkeeper.digest.type.name=MAC
bookkeeper.connect.security.auth.pwd=hunter2
pravegaservice.dataLog.impl.name=BOOKKEEPER
pravegaservice.storage.impl.name=FILESYSTEM
pravegaservice.storage.layout=CHUNKED_STORAGE
filesystem.root=/mnt/tier2
";

#[test]
fn a_segment_store_file() {
    let configuration = given(SEGMENT_STORE).load().unwrap();
    assert_eq!(configuration.cluster_name.as_deref(), Some("lab"));
    assert_eq!(configuration.container_count, Some(4));
    assert_eq!(configuration.tier1(), Ok(&servers("z1:2181,z2:2181", "z1:2181,z2:2181")));
    let access = configuration.ledger_access("lab");
    assert_eq!(access.root, "/pravega/lab/bookkeeper/ledgers");
    assert_eq!(access.digest_type, DigestType::Hmac);
    assert_eq!(access.password, LedgerPassword::new("hunter2"));
    let layout = configuration.layout("lab");
    assert_eq!((layout.ensemble_size, layout.write_quorum, layout.ack_quorum), (5, 4, 3));
    assert_eq!(layout.log_znode(12), "/pravega/lab/segmentstore/containers/2/1/12");
    assert!(configuration.warnings.is_empty(), "{:?}", configuration.warnings);
    assert!(!format!("{configuration:?}").contains("hunter2"));
}

#[test]
fn legacy_names_mean_the_same() {
    let legacy = SEGMENT_STORE
        .replace("container.count", "containerCount")
        .replace("pravegaservice.zk.connect.uri", "pravegaservice.zkURL")
        .replace("bookkeeper.zk.connect.uri", "bookkeeper.zkAddress")
        .replace("ledger.path", "bkLedgerPath")
        .replace("zk.metadata.path", "zkMetadataPath")
        .replace("ensemble.size", "bkEnsembleSize")
        .replace("write.quorum.size", "bkWriteQuorumSize")
        .replace("ack.quorum.size", "bkAckQuorumSize")
        .replace("digest.type.name", "digestType")
        .replace("connect.security.auth.pwd", "bkPass")
        .replace("dataLog.impl.name", "dataLogImplementation")
        .replace("storage.impl.name", "storageImplementation");
    assert_eq!(given(&legacy).load(), given(SEGMENT_STORE).load());
}

#[test]
fn an_admin_cli_file() {
    let configuration = given(
        "cli.credentials.pwd=1111_aaaa\npravegaservice.clusterName=pravega/lab\npravegaservice.container.count=4\n\
         pravegaservice.zk.connect.uri=localhost:2181\nbookkeeper.ledger.path=/pravega/lab/bookkeeper/ledgers\n",
    )
    .load()
    .unwrap();
    assert_eq!(configuration.cluster_name.as_deref(), Some("lab"));
    assert_eq!(configuration.tier1(), Ok(&servers("localhost:2181", "localhost:2181")));
}

#[test]
fn defaults_are_those_of_the_servers() {
    let configuration = given("").load().unwrap();
    assert_eq!(configuration.cluster_name, None);
    assert_eq!(configuration.container_count, None);
    let access = configuration.ledger_access("x");
    assert_eq!(access.root, "/pravega/x/bookkeeper/ledgers");
    assert_eq!(access.digest_type, DigestType::Crc32c);
    assert_eq!(access.password, LedgerPassword::default());
    let layout = configuration.layout("x");
    assert_eq!((layout.ensemble_size, layout.write_quorum, layout.ack_quorum), (3, 3, 2));
    assert_eq!((layout.hierarchy_depth, layout.retention_bucket_count), (2, 1));
    assert_eq!(layout.log_metadata_path, "/segmentstore/containers");
}

#[test]
fn what_is_missing_is_asked_for_by_name() {
    let error = given("").load().unwrap().tier1().unwrap_err();
    assert_eq!(error.code, "configuration-missing");
    for word in ["--zookeeper", "pravegaservice.zk.connect.uri", "--tier1 dir:PATH"] {
        assert!(error.next_step.contains(word), "{}", error.next_step);
    }
}

#[test]
fn two_zookeepers() {
    let two = "pravegaservice.zk.connect.uri=a:1\nbookkeeper.zk.connect.uri=b:1;c:1\n";
    let configuration = given(two).load().unwrap();
    assert_eq!(configuration.tier1(), Ok(&servers("a:1", "b:1,c:1")));
    assert_eq!(configuration.warnings.len(), 1);
    let mut one = given(two);
    one.overrides.zookeeper = Some("z:1".to_owned());
    assert_eq!(one.load().unwrap().tier1(), Ok(&servers("z:1", "z:1")));
    let mut both = given(two);
    both.overrides.zookeeper = Some("z:1".to_owned());
    both.overrides.bookkeeper_zookeeper = Some("y:1".to_owned());
    assert_eq!(both.load().unwrap().tier1(), Ok(&servers("z:1", "y:1")));
    assert_eq!(given("controller.zkURL=c:1").load().unwrap().tier1(), Ok(&servers("c:1", "c:1")));
    assert_eq!(given("bookkeeper.zkAddress=b:1").load().unwrap().tier1(), Ok(&servers("b:1", "b:1")));
}

#[test]
fn a_directory_needs_no_servers() {
    let mut embedded = given(SEGMENT_STORE);
    embedded.overrides.tier1_directory = Some(PathBuf::from("/tmp/tier1"));
    assert_eq!(embedded.load().unwrap().tier1(), Ok(&Tier1Location::Directory(PathBuf::from("/tmp/tier1"))));
}

#[test]
fn the_environment_overrides_files_and_flags_override_the_environment() {
    let mut changed = given(SEGMENT_STORE);
    changed.environment.insert("DR_PRAVEGASERVICE_CLUSTERNAME".to_owned(), "other".to_owned());
    changed.environment.insert("DR_PRAVEGASERVICE_CONTAINER_COUNT".to_owned(), "8".to_owned());
    changed.overrides.container_count = Some(16);
    let configuration = changed.load().unwrap();
    assert_eq!(configuration.cluster_name.as_deref(), Some("other"));
    assert_eq!(configuration.container_count, Some(16));
}

#[test]
fn names_that_contradict_are_refused_unless_a_flag_decides() {
    let text = "pravegaservice.clusterName=a\ncontroller.cluster.name=b\n";
    assert_eq!(given(text).error().code, "configuration-conflict");
    let mut decided = given(text);
    decided.overrides.cluster_name = Some("b".to_owned());
    assert_eq!(decided.load().unwrap().cluster_name.as_deref(), Some("b"));
    let mut invented = given(text);
    invented.overrides.cluster_name = Some("c".to_owned());
    let error = invented.error();
    assert_eq!(error.code, "configuration-conflict");
    assert!(error.what.contains("`c`") && error.what.contains("`a`"), "{}", error.what);
    let counts = "pravegaservice.container.count=4\ncontroller.container.count=8\n";
    let error = given(counts).error();
    assert_eq!(error.code, "configuration-conflict");
    assert!(error.next_step.contains("--container-count"), "{}", error.next_step);
}

#[test]
fn the_name_that_no_segment_store_reads_is_taken_with_a_warning() {
    let configuration = given("pravegaservice.cluster.name=lab").load().unwrap();
    assert_eq!(configuration.cluster_name.as_deref(), Some("lab"));
    assert_eq!(configuration.warnings.len(), 1);
    let sample = given("pravegaservice.cluster.name=pravega-cluster").load().unwrap();
    assert_eq!(sample.cluster_name.as_deref(), Some("pravega-cluster"));
    assert!(sample.warnings.is_empty());
    let both = given("pravegaservice.cluster.name=lab\npravegaservice.clusterName=real").load().unwrap();
    assert_eq!(both.cluster_name.as_deref(), Some("real"));
}

#[test]
fn what_cannot_be_recovered_is_refused_with_its_reason() {
    for (text, reason) in [
        ("pravegaservice.storage.impl.name=HDFS", "S3"),
        ("pravegaservice.storageImplementation=EXTENDEDS3", "to come"),
        ("pravegaservice.storage.impl.name=INMEMORY", "in memory"),
        ("pravegaservice.storage.layout=ROLLING_STORAGE", "rolling"),
        ("pravegaservice.dataLog.impl.name=INMEMORY", "BookKeeper"),
        ("pravegaservice.secureZK=true", "TLS"),
        ("bookkeeper.connect.security.tls.enable=yes", "TLS"),
    ] {
        let error = given(text).error();
        assert_eq!(error.code, "configuration-unsupported", "{text}");
        assert!(error.to_string().contains(reason), "{text}: {error}");
    }
}

#[test]
fn impossible_values_name_property_place_and_what_is_possible() {
    for text in [
        "pravegaservice.container.count=0",
        "pravegaservice.container.count=four",
        "pravegaservice.container.count=4294967296",
        "pravegaservice.zk.connect.uri=host:port",
        "pravegaservice.clusterName=a/b",
        "pravegaservice.clusterName=..",
        "bookkeeper.ledger.path=ledgers",
        "bookkeeper.ledger.path=/a//b",
        "bookkeeper.zk.metadata.path=segmentstore",
        "bookkeeper.zk.metadata.hierarchy.depth=-1",
        "bookkeeper.digest.type.name=SHA",
        "bookkeeper.ensemble.size=2",
        "bookkeeper.ack.quorum.size=4",
        "controller.retention.bucket.count=0",
        "bookkeeper.tlsEnabled=perhaps",
    ] {
        let error = given(text).error();
        assert_eq!(error.code, "configuration-value", "{text}");
        let property = text.split('=').next().unwrap();
        assert!(error.what.contains(property) || error.next_step.contains(property), "{text}: {error}");
    }
}

#[test]
fn another_root_than_the_configured_one_gets_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let with_dots = directory.path().join("..").join(directory.path().file_name().unwrap());
    let mut same = given(&format!("filesystem.root={}", with_dots.display()));
    same.root = directory.path().to_owned();
    assert!(same.load().unwrap().warnings.is_empty());
    let mut other = given("filesystem.root=/mnt/other");
    other.root = Path::new("/mnt/tier2").to_owned();
    assert_eq!(other.load().unwrap().warnings.len(), 1);
}

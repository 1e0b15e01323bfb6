//! Configuration files of the servers.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Context, Result};
use crate::options::LabOptions;
use crate::state::Ports;

/// Where things are below the work directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) root: PathBuf,
}

impl Layout {
    pub(crate) fn configuration(&self, name: &str) -> PathBuf {
        self.root.join("conf").join(name)
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    pub(crate) fn zookeeper(&self) -> PathBuf {
        self.root.join("zookeeper")
    }

    pub(crate) fn bookies(&self) -> PathBuf {
        self.root.join("bookies")
    }

    pub(crate) fn bookie(&self, index: u32) -> PathBuf {
        self.bookies().join(index.to_string())
    }

    pub(crate) fn tier2(&self) -> PathBuf {
        self.root.join("tier2")
    }
}

/// BookKeeper's root in ZooKeeper.
pub(crate) fn ledgers_path(options: &LabOptions) -> String {
    format!("/pravega/{}/bookkeeper/ledgers", options.cluster_name)
}

/// Writes all configuration files.
pub(crate) fn write_all(options: &LabOptions, ports: &Ports, layout: &Layout) -> Result<()> {
    for directory in [layout.root.join("conf"), layout.root.join("logs"), layout.tier2()] {
        fs::create_dir_all(&directory).context("create a directory of the lab", &directory)?;
    }
    write(&layout.configuration("zoo.cfg"), &zookeeper(ports, layout))?;
    for index in 0..options.bookie_count {
        write_bookie(options, ports, layout, index)?;
    }
    write(&layout.configuration("store.properties"), &segment_store(options, ports, layout))?;
    write(&layout.configuration("controller.properties"), &controller(options, ports))?;
    write(&layout.configuration("logback-servers.xml"), &LOGBACK.replace("LEVEL", "INFO"))?;
    write(&layout.configuration("logback-programs.xml"), &LOGBACK.replace("LEVEL", "WARN"))
}

/// Writes the configuration file of one bookie.
pub(crate) fn write_bookie(options: &LabOptions, ports: &Ports, layout: &Layout, index: u32) -> Result<()> {
    write(&layout.configuration(&format!("bookie-{index}.conf")), &bookie(options, ports, layout, index))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context("write a configuration file", path)
}

fn zookeeper(ports: &Ports, layout: &Layout) -> String {
    properties(&[
        ("tickTime", "2000".into()),
        ("dataDir", layout.zookeeper().display().to_string()),
        ("clientPort", ports.zookeeper.to_string()),
        ("clientPortAddress", "127.0.0.1".into()),
        ("maxClientCnxns", "0".into()),
        ("admin.enableServer", "false".into()),
        ("4lw.commands.whitelist", "*".into()),
    ])
}

fn bookie(options: &LabOptions, ports: &Ports, layout: &Layout, index: u32) -> String {
    let port = ports.bookies.get(index as usize).copied().unwrap_or_default();
    let directory = layout.bookie(index);
    let mut lines = vec![
        ("bookiePort", port.to_string()),
        ("advertisedAddress", "127.0.0.1".into()),
        ("listeningInterface", "lo".into()),
        ("allowLoopback", "true".into()),
        ("metadataServiceUri", format!("zk://127.0.0.1:{}{}", ports.zookeeper, ledgers_path(options))),
        ("journalDirectories", directory.join("journal").display().to_string()),
        ("ledgerDirectories", directory.join("ledgers").display().to_string()),
        ("diskUsageThreshold", "0.99".into()),
        ("diskUsageWarnThreshold", "0.98".into()),
        // The lab kills processes, it does not cut the power: the page cache survives, and fsync on a shared disk is slow.
        ("journalSyncData", "false".into()),
        ("journalPreAllocSizeMB", "4".into()),
    ];
    lines.extend(options.bookie_settings.iter().map(|(key, value)| (key.as_str(), value.clone())));
    properties(&lines)
}

fn segment_store(options: &LabOptions, ports: &Ports, layout: &Layout) -> String {
    let zookeeper = format!("127.0.0.1:{}", ports.zookeeper);
    let mut lines = vec![
        // The store reads the second spelling only; the first is what its documentation says.
        ("pravegaservice.cluster.name", options.cluster_name.clone()),
        ("pravegaservice.clusterName", options.cluster_name.clone()),
        ("pravegaservice.container.count", options.container_count.to_string()),
        ("pravegaservice.zk.connect.uri", zookeeper.clone()),
        ("pravegaservice.dataLog.impl.name", "BOOKKEEPER".into()),
        ("pravegaservice.storage.impl.name", "FILESYSTEM".into()),
        ("pravegaservice.storage.layout", "CHUNKED_STORAGE".into()),
        ("pravegaservice.service.listener.port", ports.store.to_string()),
        ("pravegaservice.service.listener.host.nameOrIp", "127.0.0.1".into()),
        ("pravegaservice.service.published.host.nameOrIp", "127.0.0.1".into()),
        ("pravegaservice.rest.listener.host", "127.0.0.1".into()),
        ("pravegaservice.rest.listener.port", ports.store_rest.to_string()),
        ("pravegaservice.admin.gateway.enable", "true".into()),
        ("pravegaservice.admin.gateway.port", ports.store_admin.to_string()),
        ("pravegaservice.cache.size.max", options.cache_bytes.to_string()),
        ("bookkeeper.zk.connect.uri", zookeeper),
        ("bookkeeper.ledger.path", ledgers_path(options)),
        ("bookkeeper.zk.metadata.path", "/segmentstore/containers".into()),
        ("bookkeeper.ensemble.size", options.ensemble_size.to_string()),
        ("bookkeeper.write.quorum.size", options.write_quorum.to_string()),
        ("bookkeeper.ack.quorum.size", options.ack_quorum.to_string()),
        ("filesystem.root", layout.tier2().display().to_string()),
        ("writer.flush.threshold.milliseconds", options.writer_flush_milliseconds.to_string()),
        ("autoScale.controller.connect.uri", format!("tcp://127.0.0.1:{}", ports.controller)),
        ("metrics.statistics.enable", "false".into()),
    ];
    lines.extend(options.store_properties.iter().map(|(key, value)| (key.as_str(), value.clone())));
    properties(&lines)
}

fn controller(options: &LabOptions, ports: &Ports) -> String {
    let mut lines = vec![
        ("controller.cluster.name", options.cluster_name.clone()),
        ("controller.container.count", options.container_count.to_string()),
        ("controller.zk.connect.uri", format!("127.0.0.1:{}", ports.zookeeper)),
        ("controller.service.rpc.listener.port", ports.controller.to_string()),
        ("controller.service.rpc.published.host.nameOrIp", "127.0.0.1".into()),
        ("controller.service.rpc.published.host.port", ports.controller.to_string()),
        ("controller.service.rest.listener.host.ip", "127.0.0.1".into()),
        ("controller.service.rest.listener.port", ports.controller_rest.to_string()),
        ("controller.rebalance.interval.seconds.min", "1".into()),
        ("controller.retention.frequency.minutes", options.retention_minutes.to_string()),
        ("controller.watermarking.frequency.seconds", "2".into()),
        // An open transaction must still be open when the checker asks, hours later if need be.
        ("controller.transaction.lease.count.max", "86400000".into()),
        ("metrics.statistics.enable", "false".into()),
    ];
    lines.extend(options.controller_properties.iter().map(|(key, value)| (key.as_str(), value.clone())));
    properties(&lines)
}

/// Later lines win, as in Java's own reader.
fn properties(lines: &[(&str, String)]) -> String {
    lines.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}

const LOGBACK: &str = r#"<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{HH:mm:ss.SSS} %-5level [%thread] %logger{24} - %msg%n</pattern></encoder>
  </appender>
  <logger name="io.pravega" level="LEVEL"/>
  <root level="WARN"><appender-ref ref="OUT"/></root>
</configuration>
"#;

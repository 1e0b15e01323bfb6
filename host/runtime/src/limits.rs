//! What a procedure may use.

use std::time::Duration;

/// Limits on everything that a procedure can make grow. "An instance" is one call of one export: `prepare`, one task,
/// or `finish`. The name of a limit in errors is the field's name with hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Size of a component, in bytes. Bounds the work of compiling it.
    pub component_bytes: usize,
    /// Time that an instance may take, waiting for the host included. The last resort against a procedure that calls
    /// the host for ever; generous, since reading Tier-2 takes as long as it takes.
    pub wall_time: Duration,
    /// Time that an instance may compute, host calls excluded.
    pub guest_time: Duration,
    /// Fuel of an instance, about one for each WebAssembly instruction. In contrast to time, the same procedure on the
    /// same evidence needs the same fuel.
    pub fuel: u64,
    /// Bytes of all linear memories of an instance.
    pub memory_bytes: usize,
    /// Elements of all tables of an instance.
    pub table_elements: usize,
    /// Core instances, memories and tables in an instance, each. Components made of an interpreter and its libraries
    /// consist of some dozens.
    pub instances: usize,
    /// Stack of an instance, in bytes; bounds recursion.
    pub stack_bytes: usize,
    /// Bytes that one call may pass to the host, all its lists and texts together, before the host looks at them.
    pub argument_bytes: usize,
    /// Rows of one list passed to the host.
    pub list_rows: usize,
    /// Bytes of one text passed to the host (names, keys, paths, reasons).
    pub text_bytes: usize,
    /// Bytes of the content of one ZNode. ZooKeeper itself refuses more than about 1 MiB.
    pub znode_bytes: usize,
    /// Listings and fresh containers that an instance may hold at once.
    pub resources: usize,
    /// Lines that an instance may log. Further ones are dropped, and one warning says so.
    pub log_lines: usize,
    /// Bytes of a logged line; the rest is cut off.
    pub log_line_bytes: usize,
    /// Decisions and losses that an instance may report. They are part of the plan, so none is dropped silently.
    pub report_entries: usize,
    /// Tasks that `prepare` may return.
    pub tasks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: usize = 1 << 20;
        Self {
            component_bytes: 64 * MIB,
            wall_time: Duration::from_secs(6 * 3600),
            guest_time: Duration::from_secs(600),
            fuel: 1_000_000_000_000,
            memory_bytes: 256 * MIB,
            table_elements: 100_000,
            instances: 256,
            stack_bytes: MIB / 2,
            argument_bytes: 16 * MIB,
            list_rows: 65_536,
            text_bytes: 65_536,
            znode_bytes: MIB,
            resources: 1024,
            log_lines: 100_000,
            log_line_bytes: 4096,
            report_entries: 4_000_000,
            tasks: 100_000,
        }
    }
}

//! What a procedure may use.

use std::time::Duration;

use dr_engine::contract::PAGE_ROWS_MAX;

use crate::names::unknown;

const MIB: usize = 1 << 20;

/// Limits on everything that a procedure can make grow. "An instance" is one call of one export: `prepare`, one task,
/// or `finish`. [`Limits::named`] has their names, which errors and policies use; docs/operator-guide.md has the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Size of a component, in bytes. Bounds the work of compiling it.
    pub component_bytes: usize,
    /// Time that an instance may take, waiting for the host included. The last resort against a procedure that calls
    /// the host for ever; generous, since reading Tier-2 takes as long as it takes.
    pub wall_time: Duration,
    /// Time that one host call may take. What a server or a disk never answers ends the run and not the operator's patience.
    pub call_time: Duration,
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
    /// Rows of one page passed to the procedure, whatever it asks for.
    pub page_rows: usize,
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
    /// Decisions and losses that a run may report. They are part of the plan, so none is dropped silently.
    pub report_entries: usize,
    /// Bytes of the texts of these.
    pub report_bytes: usize,
    /// What a run may stage: segments created or changed, attributes set, objects moved, ZNodes changed. Counted when it
    /// is asked for, whatever becomes of it.
    pub staged_effects: usize,
    /// Bytes of the names, keys, paths, attributes and contents in these.
    pub staged_bytes: usize,
    /// Tasks that `prepare` may return.
    pub tasks: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            component_bytes: 64 * MIB,
            wall_time: Duration::from_secs(6 * 3600),
            call_time: Duration::from_secs(3600),
            guest_time: Duration::from_secs(600),
            fuel: 1_000_000_000_000,
            memory_bytes: 256 * MIB,
            table_elements: 100_000,
            instances: 256,
            stack_bytes: MIB / 2,
            argument_bytes: 16 * MIB,
            list_rows: 65_536,
            page_rows: PAGE_ROWS_MAX,
            text_bytes: 65_536,
            znode_bytes: MIB,
            resources: 1024,
            log_lines: 100_000,
            log_line_bytes: 4096,
            report_entries: 4_000_000,
            report_bytes: 1024 * MIB,
            staged_effects: 50_000_000,
            staged_bytes: 4096 * MIB,
            tasks: 100_000,
        }
    }
}

/// Something that is limited, as the whole number of a policy: a count, bytes, or seconds.
trait Amount {
    fn get(&self) -> u64;
    fn set(&mut self, amount: u64);
}

impl Amount for u64 {
    fn get(&self) -> u64 {
        *self
    }

    fn set(&mut self, amount: u64) {
        *self = amount;
    }
}

impl Amount for usize {
    fn get(&self) -> u64 {
        *self as u64
    }

    fn set(&mut self, amount: u64) {
        *self = usize::try_from(amount).unwrap_or(usize::MAX);
    }
}

impl Amount for Duration {
    fn get(&self) -> u64 {
        self.as_secs()
    }

    fn set(&mut self, amount: u64) {
        *self = Duration::from_secs(amount);
    }
}

impl Limits {
    /// The limits by their names: those of the fields, with the unit behind a time.
    #[must_use]
    pub fn named(&self) -> Vec<(&'static str, u64)> {
        self.clone().amounts().into_iter().map(|(name, amount)| (name, amount.get())).collect()
    }

    /// Sets the limit of this name: a count, bytes, or seconds.
    ///
    /// # Errors
    /// A clause that says what is wrong: there is no such limit, or it cannot be so high or so low.
    pub fn set(&mut self, name: &str, value: u64) -> Result<(), String> {
        let most = Self::most(name);
        let mut amounts = self.amounts();
        let Some((_, amount)) = amounts.iter_mut().find(|(known, _)| *known == name) else {
            return Err(unknown("limit", name, &amounts.map(|(known, _)| known)));
        };
        if value == 0 {
            return Err(format!("`{name}` has to be at least 1"));
        }
        if value > most {
            return Err(format!("`{name}` cannot be more than {most}"));
        }
        amount.set(value);
        Ok(())
    }

    /// Whether a limit holds for a whole [`Runtime`](crate::Runtime), and so for all its procedures.
    pub(crate) fn of_the_runtime(name: &str) -> bool {
        matches!(name, "component-bytes" | "stack-bytes")
    }

    /// Highest value that may be set.
    fn most(name: &str) -> u64 {
        match name {
            // What is read of a file before a policy is asked.
            "component-bytes" => 64 * MIB as u64,
            // The host's own frames stand on the same stack, that of a thread of 2 MiB.
            "stack-bytes" => MIB as u64,
            "page-rows" => PAGE_ROWS_MAX as u64,
            _ => i64::MAX as u64,
        }
    }

    fn amounts(&mut self) -> [(&'static str, &mut dyn Amount); 22] {
        // In full, so that no limit can be forgotten.
        let Self {
            component_bytes,
            wall_time,
            call_time,
            guest_time,
            fuel,
            memory_bytes,
            table_elements,
            instances,
            stack_bytes,
            argument_bytes,
            list_rows,
            page_rows,
            text_bytes,
            znode_bytes,
            resources,
            log_lines,
            log_line_bytes,
            report_entries,
            report_bytes,
            staged_effects,
            staged_bytes,
            tasks,
        } = self;
        [
            ("component-bytes", component_bytes),
            ("wall-time-seconds", wall_time),
            ("call-time-seconds", call_time),
            ("guest-time-seconds", guest_time),
            ("fuel", fuel),
            ("memory-bytes", memory_bytes),
            ("table-elements", table_elements),
            ("instances", instances),
            ("stack-bytes", stack_bytes),
            ("argument-bytes", argument_bytes),
            ("list-rows", list_rows),
            ("page-rows", page_rows),
            ("text-bytes", text_bytes),
            ("znode-bytes", znode_bytes),
            ("resources", resources),
            ("log-lines", log_lines),
            ("log-line-bytes", log_line_bytes),
            ("report-entries", report_entries),
            ("report-bytes", report_bytes),
            ("staged-effects", staged_effects),
            ("staged-bytes", staged_bytes),
            ("tasks", tasks),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_guide_lists_every_limit_with_its_default() {
        let guide = include_str!("../../../docs/operator-guide.md");
        let table = guide.lines().skip_while(|line| !line.starts_with("| limit |")).skip(2);
        let documented: Vec<(String, u64)> = table.take_while(|line| line.starts_with('|')).map(row).collect();
        let expected: Vec<_> =
            Limits::default().named().into_iter().map(|(name, default)| (name.to_owned(), default)).collect();
        assert_eq!(documented, expected);
    }

    /// As in "| `fuel` | 1,000 (some words) | of what |".
    fn row(line: &str) -> (String, u64) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = cells[2].split(' ').next().unwrap_or_default().replace(',', "");
        (cells[1].trim_matches('`').to_owned(), number.parse().unwrap())
    }

    #[test]
    fn a_limit_is_set_by_its_name() {
        let mut limits = Limits::default();
        for (name, value) in limits.clone().named() {
            limits.set(name, value / 2).unwrap();
        }
        assert_eq!(limits.named().len(), Limits::default().named().len());
        for ((name, half), (_, whole)) in limits.named().into_iter().zip(Limits::default().named()) {
            assert_eq!(half, whole / 2, "{name}");
        }
        assert_eq!(limits.wall_time, Duration::from_secs(3 * 3600));
        assert_eq!(limits.set("page-rows", 5000), Err("`page-rows` cannot be more than 4096".to_owned()));
    }
}

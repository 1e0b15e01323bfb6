//! A guest that does nothing but call its host, for `cargo xtask bench guests`.

use dr_guest_kit::parameters::{Choice, Integer, Typed as _};
use dr_guest_kit::{ContainerId, Description, Procedure, Result, Settings, Task, coordination, segment_pages};

/// What is called.
#[derive(Debug, Clone, Copy)]
enum Call {
    /// A ZNode: a short text goes to the host, nothing comes back.
    Small,
    /// All pages of the segments of the task's container.
    Pages,
}

const CALL: Choice<Call> = Choice {
    name: "call",
    choices: &[("small", Call::Small), ("pages", Call::Pages)],
    help: "A call that gives next to nothing, or the whole listing of segments.",
};
const TIMES: Integer = Integer { name: "times", default: 0, help: "How often." };

struct Benchmark;

dr_guest_kit::export_procedure!(Benchmark);

impl Procedure for Benchmark {
    fn describe() -> Description {
        Description::new("benchmark", env!("CARGO_PKG_VERSION"), "Calls its host as often as it is told.")
            .needs(&["storage.containers", "storage.list-segments", "coordination.get"])
            .takes([CALL.parameter(), TIMES.parameter()])
    }

    fn run(settings: &Settings, task: &Task) -> Result<()> {
        let container = task.container_id()?;
        let call = settings.get(&CALL)?;
        (0..settings.get(&TIMES)?).try_for_each(|_| make(call, container))
    }
}

fn make(call: Call, container: ContainerId) -> Result<()> {
    match call {
        Call::Small => coordination::get("a/short/path").map(drop),
        Call::Pages => segment_pages(container)?.try_for_each(|page| page.map(drop)),
    }
}

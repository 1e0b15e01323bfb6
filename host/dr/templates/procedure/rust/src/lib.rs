//! Procedure `new-procedure`: tells how much each container holds, and changes nothing.
//!
//! A beginning. What it may call is what `needs` names; `vendor/guest-kit` is what it is written with, `wit/` the contract.

use dr_guest_kit::parameters::{Text, Typed as _};
use dr_guest_kit::{Description, Procedure, Result, Settings, Task, export_procedure, report, segments};

const KIND: Text = Text { name: "kind", default: "", help: "Count only segments of this kind; empty for all." };

struct NewProcedure;

export_procedure!(NewProcedure);

impl Procedure for NewProcedure {
    fn describe() -> Description {
        Description::new("new-procedure", env!("CARGO_PKG_VERSION"), "Tells how much each container holds.")
            .needs(&["storage.containers", "storage.list-segments"])
            .takes([KIND.parameter()])
    }

    // Called once for each container, in an instance of its own.
    fn run(settings: &Settings, task: &Task) -> Result<()> {
        let container = task.container_id()?;
        let kind = settings.get(&KIND)?;
        let (mut count, mut bytes) = (0, 0);
        for segment in segments(container)? {
            let segment = segment?;
            if kind.is_empty() || segment.kind == kind {
                count += 1;
                bytes += segment.length - segment.start_offset;
            }
        }
        let subject = format!("container {container}");
        report::decision(Some(container), &subject, &format!("{count} segments, {bytes} bytes"), "counted in Tier-2");
        Ok(())
    }
}

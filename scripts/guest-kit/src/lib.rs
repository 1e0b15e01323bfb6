//! What a recovery procedure in Rust is written with: a trait with defaults, listings as iterators, typed parameters.
//!
//! ```no_run
//! use dr_guest_kit::parameters::{Integer, Typed as _};
//! use dr_guest_kit::{Description, Procedure, Result, Settings, Task, export_procedure, report, segments};
//!
//! const LARGE: Integer = Integer { name: "large", default: 1 << 30, help: "Bytes from which on a segment is large." };
//!
//! struct LargeSegments;
//! export_procedure!(LargeSegments);
//!
//! impl Procedure for LargeSegments {
//!     fn describe() -> Description {
//!         Description::new("large-segments", "0.1.0", "Names the large segments.")
//!             .needs(&["storage.containers", "storage.list-segments"])
//!             .takes([LARGE.parameter()])
//!     }
//!
//!     fn run(settings: &Settings, task: &Task) -> Result<()> {
//!         let large = settings.get(&LARGE)?;
//!         for segment in segments(task.container_id()?)? {
//!             let segment = segment?;
//!             if i128::from(segment.length) >= i128::from(large) {
//!                 report::info(&format!("{}: {} bytes", segment.name, segment.length));
//!             }
//!         }
//!         Ok(())
//!     }
//! }
//! # fn main() {}
//! ```
//!
//! The crate is compiled as a `cdylib` for `wasm32-unknown-unknown` and linked with `wasm-component-ld`, which comes with
//! the toolchain; the file is a component of the world `procedure`.
//!
//! **Errors are values.** Guests are built with `panic = "abort"`, so a panic cannot be caught and turned into
//! `error::failed`: it ends the instance with a trap. The kit installs a panic hook that writes the message into the
//! run's log first, and the host repeats these last words in its error. Return an [`Error`] wherever you can.
#![warn(missing_docs)]

use std::sync::Once;

/// The generated bindings. Procedures use the names that this crate re-exports.
#[doc(hidden)]
#[allow(unsafe_code, missing_docs, clippy::all)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/0.1.0",
        world: "procedure",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "dr_guest_kit::bindings",
        additional_derives: [PartialEq],
    });
}

mod controller_state;
mod description;
mod pages;
pub mod parameters;
mod settings;

pub use bindings::pravega::recovery::{bookies, containers, controller, coordination, ledgers, logs, storage, types};
pub use bindings::{Description, Parameter, Task};
pub use controller_state::{hand_over_pending_work, put_streams_under_retention, raise_transaction_counter};
pub use pages::{
    Listing, Pages, Rows, ledger_pages, leftover_object_pages, metadata_object_pages, metadata_row_pages, pending_work,
    segment_pages, segments, streams,
};
pub use settings::Settings;
pub use types::{ContainerId, Error};

/// Result of everything that can fail in a procedure.
pub type Result<T> = std::result::Result<T, Error>;

/// Most rows that the host puts into one page.
pub const PAGE_ROWS: u32 = 4096;

/// A recovery procedure. Only `describe` and `run` have to be written.
pub trait Procedure {
    /// Says what the procedure is. Must not call the host.
    fn describe() -> Description;

    /// Divides the work. By default one task for each selected container, or for every container.
    ///
    /// # Errors
    /// A selected container that left nothing in Tier-2; whatever the host answers.
    fn prepare(_settings: &Settings, selected: &[ContainerId]) -> Result<Vec<Task>> {
        task_per_container(selected)
    }

    /// Does one task, in an instance of its own.
    ///
    /// # Errors
    /// Any error ends the whole run; nothing of it stays staged.
    fn run(settings: &Settings, task: &Task) -> Result<()>;

    /// Does what needs all tasks to be done. By default nothing.
    ///
    /// # Errors
    /// As for `run`.
    fn finish(_settings: &Settings) -> Result<()> {
        Ok(())
    }
}

/// One task for each selected container, or for every container if none is selected.
///
/// # Errors
/// `not-found` for a selected container that left nothing in Tier-2; whatever the host answers.
pub fn task_per_container(selected: &[ContainerId]) -> Result<Vec<Task>> {
    let all = storage::containers()?;
    if let Some(unknown) = selected.iter().find(|id| !all.iter().any(|container| container.id == **id)) {
        return Err(Error::NotFound(format!("container {unknown} was selected, but it left nothing in Tier-2")));
    }
    let wanted = all.into_iter().filter(|container| selected.is_empty() || selected.contains(&container.id));
    Ok(wanted
        .map(|container| Task {
            id: format!("container-{}", container.id),
            container: Some(container.id),
            title: format!("container {}: {} objects, {} bytes", container.id, container.objects, container.bytes),
        })
        .collect())
}

/// What a procedure tells the operator.
pub mod report {
    use crate::bindings::pravega::recovery::report;
    pub use crate::bindings::pravega::recovery::report::{Level, LostRange, decision, loss, progress};

    /// For the author of the procedure.
    pub fn debug(message: &str) {
        report::log(Level::Debug, message);
    }

    /// What happens.
    pub fn info(message: &str) {
        report::log(Level::Info, message);
    }

    /// What the operator should look at.
    pub fn warning(message: &str) {
        report::log(Level::Warning, message);
    }
}

/// Makes the crate a component of the world `procedure` that is the given [`Procedure`].
#[macro_export]
macro_rules! export_procedure {
    ($procedure:ty) => {
        #[allow(unsafe_code, missing_docs)]
        mod exported_procedure {
            use super::*;
            type Exported = $crate::Exports<$procedure>;
            $crate::bindings::export_world!(Exported with_types_in $crate::bindings);
        }
    };
}

/// Joins the world's exports with a [`Procedure`].
#[doc(hidden)]
pub struct Exports<P>(std::marker::PhantomData<P>);

impl<P: Procedure> bindings::Guest for Exports<P> {
    fn describe() -> Description {
        P::describe()
    }

    fn prepare(settings: Vec<types::Setting>, selected: Vec<ContainerId>) -> Result<Vec<Task>> {
        log_panics();
        P::prepare(&Settings::new(settings), &selected)
    }

    fn run(settings: Vec<types::Setting>, task: Task) -> Result<()> {
        log_panics();
        P::run(&Settings::new(settings), &task)
    }

    fn finish(settings: Vec<types::Setting>) -> Result<()> {
        log_panics();
        P::finish(&Settings::new(settings))
    }
}

/// Makes a panic write its message to the run's log before it aborts the instance.
fn log_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| report::warning(&format!("the procedure {panic}")))));
}

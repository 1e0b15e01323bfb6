//! Ctrl-C, and the polite request to end (`SIGTERM`), while a plan is carried out or taken back. The process ends at once, as it would without
//! this: every effect is journalled and can be done again. But the last word is how to go on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use dr_engine::error::OperatorError;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::output::Console;

/// From now on, such a signal is answered with what has to be done next, before it ends the process.
pub(crate) fn answer_with(console: &Arc<Console>, what: String, next_step: String) {
    let mut signals = match listen() {
        Ok(signals) => signals,
        // Then a signal ends the process without a word, which does no more harm.
        Err(error) => return tracing::warn!(%error, "nothing will be said when a signal comes"),
    };
    let console = console.clone();
    thread::spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        let name = if signal == SIGINT { "SIGINT, as by Ctrl-C" } else { "SIGTERM" };
        let error = OperatorError::new("interrupted", what, next_step)
            .because(format!(
                "{name}; what was done is in the journal, and what was begun is done again or undone, whole"
            ))
            .may_retry();
        console.error(&error);
        console.interrupted(signal);
        let _ = emulate_default_handler(signal);
    });
}

/// Catches the first signal. A second one ends the process at once, if nobody takes what is to be said.
fn listen() -> std::io::Result<Signals> {
    let has_come = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_default(signal, has_come.clone())?;
        flag::register(signal, has_come.clone())?;
    }
    Signals::new([SIGINT, SIGTERM])
}

//! Interface `report`. Its calls return nothing, so what breaks a limit here ends the procedure.

use dr_engine::contract::{self, Decision};

use crate::bindings::pravega::recovery::report::{Host, Level, LostRange};
use crate::state::{State, limit};

impl Host for State {
    fn log(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Debug => contract::Level::Debug,
            Level::Info => contract::Level::Info,
            Level::Warning => contract::Level::Warning,
        };
        Self::log(self, level, &message)
    }

    fn progress(&mut self, done: u64, total: u64) -> wasmtime::Result<()> {
        self.tell("report.progress", |host, task| host.progress(task, done, total))
    }

    fn decision(
        &mut self,
        container: Option<u32>,
        subject: String,
        choice: String,
        reason: String,
    ) -> wasmtime::Result<()> {
        let bytes = check_texts(self, &[&subject, &choice, &reason])?;
        let decision = Decision { container, subject, choice, reason };
        self.report("report.decision", bytes, |host| host.decision(decision))
    }

    fn loss(&mut self, range: LostRange) -> wasmtime::Result<()> {
        let LostRange { container, segment, first, end, reason } = range;
        let bytes = check_texts(self, &[&segment, &reason])?;
        let range = contract::LostRange { container, segment, first, end, reason };
        self.report("report.loss", bytes, |host| host.loss(range))
    }
}

/// Refuses texts that are too long; else says how many bytes they have together.
fn check_texts(state: &State, texts: &[&str]) -> wasmtime::Result<usize> {
    let too_long = |_| limit("text-bytes", state.text_bytes(), "bytes in one text");
    texts.iter().try_for_each(|text| state.check_text(text)).map_err(too_long)?;
    Ok(texts.iter().map(|text| text.len()).sum())
}

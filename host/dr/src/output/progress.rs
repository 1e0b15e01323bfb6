//! How far the work is: a bar on a terminal, plain lines otherwise, events in JSON.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dr_engine::progress::{Progress, Unit};
use indicatif::{HumanCount, ProgressBar, ProgressState, ProgressStyle};

use super::json::Event;
use super::text::{bytes, grouped};
use super::timeline::StageTime;
use super::{Console, text};

/// Time between two events of progress: enough for a display, little enough for a log.
const EVENT_INTERVAL: Duration = Duration::from_millis(500);

/// Time between two plain lines of progress, which end up in files.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Shows progress on the console.
#[derive(Debug)]
pub(crate) struct ConsoleProgress {
    console: Arc<Console>,
    display: Display,
    stage: Mutex<Option<Stage>>,
    began: Instant,
    finished: Mutex<Vec<StageTime>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Display {
    Bar,
    Lines,
    Events,
    Nothing,
}

#[derive(Debug)]
struct Stage {
    name: String,
    unit: Unit,
    total: Option<u64>,
    done: u64,
    began: Instant,
    shown: Instant,
    bar: Option<ProgressBar>,
}

/// How fast a stage gets on.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Speed {
    per_second: f64,
    /// None where the end is not known, or nothing was done yet.
    seconds_left: Option<f64>,
}

impl Stage {
    fn speed(&self, time: Duration) -> Speed {
        let per_second = self.done as f64 / time.as_secs_f64().max(0.001);
        let left = self.total.map(|total| total.saturating_sub(self.done) as f64 / per_second);
        Speed { per_second, seconds_left: left.filter(|seconds| seconds.is_finite()) }
    }
}

impl ConsoleProgress {
    /// Chooses the display that fits.
    pub(crate) fn new(console: Arc<Console>) -> Self {
        let manner = console.manner();
        let display = match () {
            () if manner.json => Display::Events,
            () if manner.quiet => Display::Nothing,
            () if io::stderr().is_terminal() => Display::Bar,
            () => Display::Lines,
        };
        Self { console, display, stage: Mutex::new(None), began: Instant::now(), finished: Mutex::default() }
    }

    /// Time since the command began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The stages that ended so far.
    pub(crate) fn stages(&self) -> Vec<StageTime> {
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, stage: &Stage) {
        let time = StageTime {
            stage: stage.name.clone(),
            began_seconds: in_milliseconds(stage.began.duration_since(self.began)),
            seconds: in_milliseconds(stage.began.elapsed()),
            done: stage.done,
            unit: word(stage.unit).to_owned(),
        };
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).push(time);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Stage>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, stage: &mut Stage) {
        let interval = match self.display {
            Display::Bar => Duration::ZERO,
            Display::Events => EVENT_INTERVAL,
            Display::Lines | Display::Nothing => LINE_INTERVAL,
        };
        if stage.shown.elapsed() < interval {
            return;
        }
        stage.shown = Instant::now();
        match self.display {
            Display::Bar => {
                if let Some(bar) = &stage.bar {
                    bar.set_position(stage.done);
                }
            }
            Display::Events => {
                let speed = stage.speed(stage.began.elapsed());
                self.console.event(Event::StageAdvanced {
                    stage: &stage.name,
                    done: stage.done,
                    total: stage.total,
                    per_second: speed.per_second,
                    seconds_left: speed.seconds_left,
                });
                self.console.flush();
            }
            Display::Lines => line(&so_far_line(stage, stage.began.elapsed())),
            Display::Nothing => {}
        }
    }
}

impl Progress for ConsoleProgress {
    fn stage_started(&self, stage: &str, total: Option<u64>, unit: Unit) {
        let now = Instant::now();
        let bar = (self.display == Display::Bar).then(|| bar(stage, total, unit));
        if self.display == Display::Events {
            self.console.event(Event::StageStarted { stage, total, unit: word(unit) });
            self.console.flush();
        }
        let begun = Stage { name: stage.to_owned(), unit, total, done: 0, began: now, shown: now, bar };
        if let Some(Stage { bar: Some(unfinished), .. }) = self.lock().replace(begun) {
            unfinished.finish_and_clear();
        }
    }

    fn advanced(&self, amount: u64) {
        if let Some(stage) = self.lock().as_mut() {
            stage.done = stage.done.saturating_add(amount);
            self.show(stage);
        }
    }

    fn stage_finished(&self, name: &str) {
        let Some(stage) = self.lock().take() else { return };
        if let Some(bar) = &stage.bar {
            bar.finish_and_clear();
        }
        self.remember(&stage);
        match self.display {
            Display::Events => {
                let seconds = stage.began.elapsed().as_secs_f64();
                self.console.event(Event::StageFinished { stage: name, done: stage.done, seconds });
            }
            Display::Bar | Display::Lines => line(&finished_line(&stage, stage.began.elapsed())),
            Display::Nothing => {}
        }
    }

    fn message(&self, sentence: &str) {
        match &*self.lock() {
            Some(Stage { bar: Some(bar), .. }) => bar.suspend(|| self.console.remark(sentence)),
            _ => self.console.remark(sentence),
        }
    }
}

/// Seconds with three digits.
pub(crate) fn in_milliseconds(time: Duration) -> f64 {
    time.as_millis() as f64 / 1000.0
}

fn so_far_line(stage: &Stage, time: Duration) -> String {
    let Speed { per_second, seconds_left } = stage.speed(time);
    let rate = amount(per_second as u64, stage.unit);
    let left = seconds_left.map_or_else(String::new, |seconds| format!(", about {seconds:.0} s left"));
    format!("{}: {}, {rate}/s{left}", stage.name, so_far(stage))
}

fn finished_line(stage: &Stage, time: Duration) -> String {
    format!("{}: {} in {:.1} s", stage.name, amount(stage.done, stage.unit), time.as_secs_f64())
}

fn so_far(stage: &Stage) -> String {
    match stage.total {
        Some(total) => format!("{} of {}", amount(stage.done, stage.unit), amount(total, stage.unit)),
        None => amount(stage.done, stage.unit),
    }
}

fn amount(number: u64, unit: Unit) -> String {
    match unit {
        Unit::Bytes => bytes(number),
        _ => format!("{} {}", grouped(number), word(unit)),
    }
}

fn word(unit: Unit) -> &'static str {
    match unit {
        Unit::Objects => "objects",
        Unit::Containers => "containers",
        Unit::Bytes => "bytes",
        Unit::Segments => "segments",
        Unit::ZNodes => "ZNodes",
        Unit::Ledgers => "ledgers",
        Unit::Bookies => "bookies",
    }
}

fn bar(stage: &str, total: Option<u64>, unit: Unit) -> ProgressBar {
    let counter = match (unit, total.is_some()) {
        (Unit::Bytes, true) => "{binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left".to_owned(),
        (Unit::Bytes, false) => "{binary_bytes}, {binary_bytes_per_sec}".to_owned(),
        (_, true) => format!("{{human_pos}} of {{human_len}} {}, {{rate}}, {{eta}} left", word(unit)),
        (_, false) => format!("{{human_pos}} {}, {{rate}}", word(unit)),
    };
    let template = match total {
        Some(_) => format!("{{msg:20}} {{wide_bar}} {counter}"),
        None => format!("{{msg:20}} {{spinner}} {counter}"),
    };
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    // A template that cannot be read is a defect, but none that should end a recovery: the default style remains.
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.with_key("rate", write_rate));
    }
    bar.set_message(text::shown(stage));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// Things in a second, without the decimals that indicatif gives them.
fn write_rate(state: &ProgressState, writer: &mut dyn std::fmt::Write) {
    let _ = write!(writer, "{}/s", HumanCount(state.per_sec() as u64));
}

/// Progress is worth less than the work: a standard error that is gone is no error.
fn line(content: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", text::shown(content));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(unit: Unit, total: Option<u64>) -> Stage {
        let now = Instant::now();
        Stage { name: "survey".to_owned(), unit, total, done: 2048, began: now, shown: now, bar: None }
    }

    #[test]
    fn lines() {
        assert_eq!(so_far(&stage(Unit::Objects, None)), "2,048 objects");
        assert_eq!(so_far(&stage(Unit::Bytes, Some(4096))), "2.0 KiB of 4.0 KiB");
        let half = Duration::from_millis(2000);
        assert_eq!(so_far_line(&stage(Unit::Objects, None), half), "survey: 2,048 objects, 1,024 objects/s");
        assert_eq!(
            so_far_line(&stage(Unit::Bytes, Some(4096)), half),
            "survey: 2.0 KiB of 4.0 KiB, 1.0 KiB/s, about 2 s left"
        );
        assert_eq!(
            finished_line(&stage(Unit::Segments, None), Duration::from_millis(1500)),
            "survey: 2,048 segments in 1.5 s"
        );
    }

    #[test]
    fn a_stage_that_has_not_begun_has_no_end_in_sight() {
        let begun = Stage { done: 0, ..stage(Unit::Objects, Some(10)) };
        assert_eq!(begun.speed(Duration::ZERO), Speed { per_second: 0.0, seconds_left: None });
        let over = Stage { done: 20, ..stage(Unit::Objects, Some(10)) };
        assert_eq!(over.speed(Duration::from_secs(2)).seconds_left, Some(0.0));
    }

    #[test]
    fn every_template_can_be_read() {
        for unit in
            [Unit::Objects, Unit::Containers, Unit::Bytes, Unit::Segments, Unit::ZNodes, Unit::Ledgers, Unit::Bookies]
        {
            for total in [None, Some(1)] {
                bar("stage", total, unit).finish_and_clear();
            }
        }
    }
}

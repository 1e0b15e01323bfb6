//! Everything that reaches a terminal, a pipe or a file of standard output. The only place that prints.
//!
//! Results go to standard output; progress, warnings, questions and errors to standard error. In JSON, everything is
//! one stream of events on standard output, and errors are told on standard error as well.

pub(crate) mod audit;
pub(crate) mod diagnosis;
pub(crate) mod error;
pub(crate) mod export;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod list;
pub(crate) mod loss;
pub(crate) mod next;
pub(crate) mod online;
pub(crate) mod page;
pub(crate) mod plan;
pub(crate) mod plan_difference;
pub(crate) mod procedure;
pub(crate) mod progress;
pub(crate) mod survey;
pub(crate) mod table;
pub(crate) mod test;
pub(crate) mod text;
pub(crate) mod time;
pub(crate) mod timeline;
pub(crate) mod verification;

use std::io::{self, BufRead as _, BufWriter, IsTerminal as _, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use dr_engine::error::OperatorError;

use crate::exit_code::ExitCode;
use json::{Event, StreamedEvent};
use text::Colour;

/// How the operator wants to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    /// A stream of events instead of text.
    pub(crate) json: bool,
    /// No progress, no remarks.
    pub(crate) quiet: bool,
    /// More than usual.
    pub(crate) verbose: bool,
}

/// Standard output and standard error.
///
/// A reader that went away (a broken pipe) is remembered and nothing more is written: it must not stop a recovery that
/// is half done, and commands that only list can look at [`Console::is_abandoned`].
#[derive(Debug)]
pub(crate) struct Console {
    manner: Manner,
    output: Mutex<BufWriter<Stdout>>,
    abandoned: AtomicBool,
    colour_of_output: Colour,
    colour_of_errors: Colour,
}

/// Writers of CSV and JSON wrap what they met, so the whole chain of causes is looked at.
fn is_broken_pipe(error: &io::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            return true;
        }
        cause = error.source();
    }
    false
}

impl Console {
    /// The process's console.
    pub(crate) fn new(manner: Manner) -> Self {
        Self {
            manner,
            output: Mutex::new(BufWriter::new(io::stdout())),
            abandoned: AtomicBool::new(false),
            colour_of_output: Colour::if_wanted(io::stdout().is_terminal()),
            colour_of_errors: Colour::if_wanted(io::stderr().is_terminal()),
        }
    }

    /// How the operator wants to be told.
    pub(crate) fn manner(&self) -> Manner {
        self.manner
    }

    /// Colours of standard output.
    pub(crate) fn colour(&self) -> Colour {
        self.colour_of_output
    }

    /// Nobody reads standard output any more.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
    }

    /// Writes a result for people; in JSON, nothing.
    pub(crate) fn text(&self, text: &str) {
        if !self.manner.json {
            self.write(|output| output.write_all(text.as_bytes()));
        }
    }

    /// Writes an event; in text, nothing.
    pub(crate) fn event(&self, event: Event<'_>) {
        if self.manner.json {
            self.write(|output| {
                serde_json::to_writer(&mut *output, &StreamedEvent::new(event))?;
                output.write_all(b"\n")
            });
        }
    }

    /// Writes to standard output, whatever the form.
    pub(crate) fn write(&self, write: impl FnOnce(&mut BufWriter<Stdout>) -> io::Result<()>) {
        if self.is_abandoned() {
            return;
        }
        let mut output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = write(&mut output) {
            self.abandon(&error);
        }
    }

    /// Hands everything written so far to the reader.
    pub(crate) fn flush(&self) {
        self.write(io::Write::flush);
    }

    fn abandon(&self, error: &io::Error) {
        let said_before = self.abandoned.swap(true, Ordering::Relaxed);
        if !is_broken_pipe(error) && !said_before {
            self.standard_error(&format!("warning: cannot write to standard output: {error}\n"));
        }
    }

    /// A remark that matters less than a warning.
    pub(crate) fn remark(&self, sentence: &str) {
        self.event(Event::Message { sentence });
        if !self.manner.json && !self.manner.quiet {
            self.standard_error(&format!("{}\n", text::shown(sentence)));
        }
    }

    /// Writes a result for people to standard error, where standard output is taken by data.
    pub(crate) fn text_beside_data(&self, text: &str) {
        self.standard_error(text);
    }

    /// What the operator should look at.
    pub(crate) fn warning(&self, sentence: &str) {
        self.event(Event::Warning { sentence });
        if !self.manner.json {
            let mark = self.colour_of_errors.yellow("warning:");
            self.standard_error(&format!("{mark} {}\n", text::shown(sentence)));
        }
    }

    /// What could not be done.
    pub(crate) fn error(&self, error: &OperatorError) {
        self.event(Event::Error(error::ErrorEvent::from(error)));
        self.flush();
        self.standard_error(&error::render(error, self.colour_of_errors));
    }

    /// The last word of a command.
    pub(crate) fn finished(&self, code: ExitCode) {
        self.event(Event::Finished { exit_code: code.number() });
        self.flush();
    }

    /// The last word before a signal ends the process.
    pub(crate) fn interrupted(&self, signal: i32) {
        let number = u8::try_from(128 + signal).unwrap_or(ExitCode::Interrupted.number());
        self.event(Event::Finished { exit_code: number });
        self.flush();
    }

    /// Can somebody be asked?
    pub(crate) fn can_ask(&self) -> bool {
        !self.manner.json && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks, and returns the answer without blanks around it; empty at the end of input.
    pub(crate) fn ask(&self, question: &str) -> io::Result<String> {
        self.flush();
        self.standard_error(&format!("{question} "));
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        Ok(answer.trim().to_owned())
    }

    /// Standard error may be gone, too; then there is nobody to tell.
    fn standard_error(&self, text: &str) {
        let mut stream = io::stderr().lock();
        let _ = stream.write_all(text.as_bytes()).and_then(|()| stream.flush());
    }
}

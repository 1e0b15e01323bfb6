//! `dr export-events`: the whole events of a stream, from Tier-2 alone.

use std::io::{self, Write};
use std::path::PathBuf;

use dr_engine::error::{OperatorError, Result};
use dr_engine::export::{Export, ExportOptions, JsonLines, LengthDelimited, SegmentReport, Selection, Source};
use dr_engine::progress::{Progress, Unit};

use super::{Session, source};
use crate::arguments::{ExportEventsArguments, ExportFormat};
use crate::exit_code::ExitCode;
use crate::output::export::{self as export_output, Destination, NewFile, Report, WholeFile};
use crate::output::text::Colour;

/// Name of the stage.
const EXPORTING: &str = "exporting";

/// Exports, then tells what was exported and what not.
pub(super) fn run(session: &Session, arguments: &ExportEventsArguments) -> Result<ExitCode> {
    let selection = Selection::parse(&arguments.stream)?;
    let tier2 = source::open(&arguments.root)?;
    let destination = Destination::of(&arguments.output);
    if destination != Destination::StandardOutput {
        source::refuse_inside(&arguments.root, &arguments.output, "the output", "--output")?;
    }
    let options = ExportOptions {
        container_count: arguments.container_count,
        transactions: arguments.transactions,
        after_gaps: arguments.after_gaps,
    };
    let export = Export::find(tier2, &selection, options, session.progress.as_ref())?;
    for warning in &export.warnings {
        session.console.warning(warning);
    }
    if !arguments.bytes {
        export.refuse_other_content()?;
    }
    let progress = session.progress.as_ref();
    let run = Run { arguments, export, destination, progress };
    run.refuse_bad_output()?;
    progress.stage_started(EXPORTING, None, Unit::Bytes);
    let (segments, files) = run.write()?;
    progress.stage_finished(EXPORTING);
    let report =
        Report::new(&arguments.stream, form(arguments).0, &segments, &run.export.left_out, &run.export.warnings);
    let report_file = run.destination.report().map(|path| report.write(path)).transpose()?;
    files.into_iter().chain(report_file).try_for_each(|file| file.publish(arguments.force))?;
    match run.destination {
        Destination::StandardOutput => session.console.text_beside_data(&report.render(Colour::NONE)),
        _ => session.console.text(&report.render(session.console.colour())),
    }
    Ok(if report.is_incomplete() { ExitCode::Losses } else { ExitCode::Done })
}

/// Name of a form and extension of its files.
fn form(arguments: &ExportEventsArguments) -> (&'static str, &'static str) {
    match arguments.output_format {
        _ if arguments.bytes => ("bytes", "bytes"),
        ExportFormat::LengthDelimited => ("length-delimited", "events"),
        ExportFormat::JsonLines => ("json-lines", "jsonl"),
    }
}

struct Run<'a> {
    arguments: &'a ExportEventsArguments,
    export: Export,
    destination: Destination,
    progress: &'a dyn Progress,
}

/// Tells how much was written.
struct Counted<'a> {
    output: &'a mut dyn Write,
    progress: &'a dyn Progress,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.progress.advanced(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

impl Run<'_> {
    /// What would stop the export at its end is looked for before the work.
    fn refuse_bad_output(&self) -> Result<()> {
        let several = self.export.sources.len() > 1 && !matches!(self.destination, Destination::Directory(_));
        if self.arguments.bytes && several {
            return Err(OperatorError::new(
                "export-directory",
                format!(
                    "`{}` has {} segments, whose bytes do not belong together",
                    self.arguments.stream,
                    self.export.sources.len()
                ),
                "name a directory with --output, or one segment",
            ));
        }
        let mut paths: Vec<PathBuf> = self.destination.report().into_iter().collect();
        match &self.destination {
            Destination::StandardOutput => {}
            Destination::File(file) => paths.push(file.clone()),
            Destination::Directory(_) => {
                paths.extend(self.export.sources.iter().filter_map(|source| self.path(source)))
            }
        }
        export_output::refuse_existing(&paths, self.arguments.force)
    }

    /// The file of a segment in a directory.
    fn path(&self, source: &Source) -> Option<PathBuf> {
        let Destination::Directory(directory) = &self.destination else { return None };
        Some(directory.join(export_output::file_name(&source.segment, form(self.arguments).1)))
    }

    /// Writes all segments. The files get their names later, when all are whole.
    fn write(&self) -> Result<(Vec<SegmentReport>, Vec<WholeFile>)> {
        match &self.destination {
            Destination::StandardOutput => {
                let mut output = export_output::standard_output();
                let reports = self.export.sources.iter().map(|source| self.write_segment(source, &mut output));
                let reports = reports.collect::<Result<Vec<_>>>()?;
                export_output::flush(&mut output)?;
                Ok((reports, Vec::new()))
            }
            Destination::File(path) => {
                let mut file = NewFile::create(path.clone())?;
                let reports = self.export.sources.iter().map(|source| self.write_segment(source, &mut file));
                let reports = reports.collect::<Result<Vec<_>>>().map_err(|error| file.named(error))?;
                Ok((reports, vec![file.finish()?]))
            }
            Destination::Directory(_) => {
                let paths = self.export.sources.iter().filter_map(|source| Some((source, self.path(source)?)));
                let written = paths.map(|(source, path)| {
                    let mut file = NewFile::create(path)?;
                    let report = self.write_segment(source, &mut file).map_err(|error| file.named(error))?;
                    Ok((report, file.finish()?))
                });
                Ok(written.collect::<Result<Vec<_>>>()?.into_iter().unzip())
            }
        }
    }

    fn write_segment(&self, source: &Source, output: &mut dyn Write) -> Result<SegmentReport> {
        let mut output = Counted { output, progress: self.progress };
        match self.arguments.output_format {
            _ if self.arguments.bytes => self.export.write_bytes(source, &mut output),
            ExportFormat::LengthDelimited => self.export.write_events(source, &mut LengthDelimited(&mut output)),
            ExportFormat::JsonLines => self.export.write_events(source, &mut JsonLines(&mut output)),
        }
    }
}

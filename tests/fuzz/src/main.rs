//! `cargo xtask fuzz` runs this in a profile of its own.
// Printing is what this program is for.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use dr_fuzz::campaign::{self, Effort, Finding, Report};
use dr_fuzz::decoder::Decoder;
use dr_fuzz::judge::Defect;
use dr_fuzz::minimise::minimise;
use dr_fuzz::seeds::Captured;
use dr_fuzz::{decoders, regressions};

const USAGE: &str = "usage: cargo xtask fuzz [--inputs N] [--seed S] [--decoder NAME] [--seconds T]
  --inputs N      inputs for each decoder (10000000)
  --seed S        start of the pseudo-random numbers (1): another seed, other inputs
  --decoder NAME  only this decoder; may be given several times
  --seconds T     go on to the next decoder after so many seconds";

struct Options {
    effort: Effort,
    decoders: Vec<&'static Decoder>,
}

impl Options {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let effort = Effort { inputs: 10_000_000, seed: 1, time: None, threads };
        let mut options = Self { effort, decoders: Vec::new() };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--inputs" => options.effort.inputs = value(&word, words.next())?,
                "--seed" => options.effort.seed = value(&word, words.next())?,
                "--seconds" => options.effort.time = Some(Duration::from_secs(value(&word, words.next())?)),
                "--decoder" => options.decoders.push(decoder(&value::<String>(&word, words.next())?)?),
                _ => return Err(format!("unknown option `{word}`\n{USAGE}")),
            }
        }
        if options.decoders.is_empty() {
            options.decoders = decoders::all().collect();
        }
        Ok(options)
    }
}

fn value<T: FromStr>(option: &str, value: Option<String>) -> Result<T, String> {
    value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("{option} needs a value\n{USAGE}"))
}

fn decoder(name: &str) -> Result<&'static Decoder, String> {
    decoders::all().find(|decoder| decoder.name == name).ok_or_else(|| {
        let names: Vec<&str> = decoders::all().map(|decoder| decoder.name).collect();
        format!("no decoder `{name}`; there are {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let captured = Captured::load();
    let (mut findings, mut inputs) = (0, 0);
    println!(
        "{:<24} {:>11} {:>10} {:>12} {:>9} {:>9}",
        "decoder", "inputs", "accepted", "round trips", "inputs/s", "findings"
    );
    for decoder in options.decoders {
        let report = campaign::run(decoder, (decoder.seeds)(&captured), options.effort);
        print(decoder, &report);
        findings += report.findings.len();
        inputs += report.inputs;
        for finding in report.findings {
            // A thread that does not end would distort everything that follows.
            if keep(decoder, finding) == Defect::Endless {
                return ExitCode::FAILURE;
            }
        }
    }
    println!("seed {}: {inputs} inputs, {findings} findings", options.effort.seed);
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn print(decoder: &Decoder, report: &Report) {
    let percent = |part: u64| part as f64 * 100.0 / report.inputs.max(1) as f64;
    println!(
        "{:<24} {:>11} {:>9.2}% {:>11.2}% {:>9.0} {:>9}",
        decoder.name,
        report.inputs,
        percent(report.accepted),
        percent(report.round_trips),
        report.inputs as f64 / report.time.as_secs_f64().max(f64::EPSILON),
        report.findings.len()
    );
}

/// Minimises the input and keeps it for the tests.
fn keep(decoder: &Decoder, finding: Finding) -> Defect {
    let Finding { number, input, defect } = finding;
    let input = if defect == Defect::Endless { input } else { minimise(decoder, input, &defect) };
    match regressions::keep(decoder.name, &input) {
        Ok(path) => println!("  input {number}: {defect}\n  kept as {}", path.display()),
        Err(error) => println!("  input {number}: {defect}\n  cannot be kept ({error}): {input:02x?}"),
    }
    defect
}

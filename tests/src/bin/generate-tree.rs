//! Writes a generated Tier-2: `generate-tree <directory> <segments> <containers>`; or the disks of a bookie:
//! `generate-tree bookie <directory> <bytes>`. A program of its own, so that the project tasks need not be built with the formats.
// Its result is a line.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::process::ExitCode;

use dr_tests::generate::{Shape, bookie, tree};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, segments, containers] = &arguments[..] else { return refuse("three arguments are needed") };
    if directory == "bookie" {
        let Ok(bytes) = containers.parse() else { return refuse("not a number") };
        return match bookie(Path::new(segments), bytes) {
            Ok(entries) => {
                println!("{entries}");
                ExitCode::SUCCESS
            }
            Err(error) => refuse(&error.to_string()),
        };
    }
    let (Ok(segments), Ok(containers)) = (segments.parse(), containers.parse()) else { return refuse("not a number") };
    let shape = Shape { segments, containers, ..Shape::default() };
    match tree(Path::new(directory), &shape) {
        Ok(generated) => {
            println!("{} {} {}", generated.segments, generated.objects, generated.bytes);
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&error.to_string()),
    }
}

#[allow(clippy::print_stderr)]
fn refuse(why: &str) -> ExitCode {
    eprintln!("generate-tree: {why}");
    ExitCode::FAILURE
}

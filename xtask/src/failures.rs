//! Why tests failed, said once more at the end of a long output.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::error::TaskError;
use crate::process;

/// Lines of a reason that are shown, at its beginning and at its end.
const LINES: usize = 25;
/// Characters of a line that are shown.
const LINE_CHARACTERS: usize = 3000;

/// Runs `cargo test`, whose output the user sees, and repeats at the end why tests failed. Calls `test_begins` before the tests of
/// each program.
pub(crate) fn run(command: &mut Command, test_begins: &mut dyn FnMut()) -> Result<(), TaskError> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|source| process::start_error(command, source))?;
    let mut output = String::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            if line.starts_with("running ") {
                test_begins();
            }
            output.push_str(&line);
            output.push('\n');
        }
    }
    let status = child.wait().map_err(|source| process::start_error(command, source))?;
    if status.success() {
        return Ok(());
    }
    for (test, reason) in reasons(&output) {
        println!("\n=== FAILED: {test}\n{}", shortened(&reason));
    }
    Err(TaskError::Command { command: process::shown(command), status })
}

/// Failed tests with the words of their panics, as libtest prints them: `---- NAME stdout ----`, and later `thread … panicked at …`.
fn reasons(output: &str) -> Vec<(String, Vec<String>)> {
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    let mut inside = false;
    for line in output.lines() {
        if let Some(test) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            reasons.push((test.to_owned(), Vec::new()));
            inside = false;
        } else if line == "failures:" || line.starts_with("note: run with `RUST_BACKTRACE") {
            inside = false;
        } else if let Some((_, reason)) = reasons.last_mut() {
            inside |= line.starts_with("thread '") && line.contains(" panicked at ");
            if inside {
                reason.push(line.chars().take(LINE_CHARACTERS).collect());
            }
        }
    }
    reasons
}

fn shortened(lines: &[String]) -> String {
    if lines.len() <= 2 * LINES {
        return lines.join("\n");
    }
    let left_out = lines.len() - 2 * LINES;
    let (first, last) = (lines[..LINES].join("\n"), lines[lines.len() - LINES..].join("\n"));
    format!("{first}\n… {left_out} lines …\n{last}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_each_failed_test_is_repeated_without_what_it_printed() {
        let output = "test a ... FAILED\n\nfailures:\n\n---- a stdout ----\nmuch output\n\
                      thread 'a' (7) panicked at tests/a.rs:3:5:\nassertion failed\n  left: 1\n right: 2\n\
                      note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\nmore output\n\
                      \n---- b stdout ----\nthread 'b' (8) panicked at tests/b.rs:1:1:\nno\n\nfailures:\n    a\n    b\n";
        let reasons = reasons(output);
        assert_eq!(reasons.len(), 2);
        assert_eq!(reasons[0].0, "a");
        assert_eq!(
            reasons[0].1,
            ["thread 'a' (7) panicked at tests/a.rs:3:5:", "assertion failed", "  left: 1", " right: 2"]
        );
        assert_eq!(reasons[1].1, ["thread 'b' (8) panicked at tests/b.rs:1:1:", "no", ""]);
        let many: Vec<String> = (0..60).map(|number| number.to_string()).collect();
        assert!(shortened(&many).contains("… 10 lines …\n35\n"));
    }
}

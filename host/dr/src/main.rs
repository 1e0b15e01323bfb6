//! `dr`: brings a Pravega cluster back after its Tier-1 is lost.
//!
//! The command line and nothing else: [`arguments`] are what was typed, [`configuration`] is what it means, the
//! [`commands`] call the engine, [`procedures`] are found and checked before any runs, the [`policy`] says what they may do, [`output`] tells what came of it, [`interruption`] is what a signal is answered with, [`exit_code`] is the last word.

mod arguments;
mod bounded_file;
mod commands;
mod configuration;
mod diary;
mod exit_code;
mod interruption;
mod output;
mod policy;
mod procedures;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::Arguments;

/// Keeps what one container needs close together, however many came before it. With that of the system what outlives its container,
/// little by little, takes the order from all memory, and the last of 500 containers cost a half more than the first.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(Arguments::parse()).into()
}

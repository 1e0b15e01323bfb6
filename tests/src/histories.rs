//! Long and odd lives of clusters on real servers: what a recovery has to cope with besides a plain crash. The list is
//! [`all`]; `cargo xtask histories` runs it.
// Part of tests: a panic is the way to fail.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod course;
mod list;

pub use course::{Course, Summary};
pub use list::{History, all};

//! Scans of real directories.
#![expect(clippy::unwrap_used, reason = "a test that cannot set up its tree fails")]
#![expect(clippy::print_stdout, reason = "a test says why it skips, and what a random one tried")]

mod bad_input;
mod cache;
mod contents;
mod git;
mod lookup;
mod scale;
mod tree;

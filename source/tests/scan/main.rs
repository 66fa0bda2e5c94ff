//! Scans of real directories.

mod bad_input;
mod cache;
mod contents;
mod git;
mod lookup;
mod scale;
mod tree;

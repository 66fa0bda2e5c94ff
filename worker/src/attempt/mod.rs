//! One attempt at a step, from its inputs to its result.

mod local_files;

pub use local_files::{LocalFiles, NoSourceFiles, SourceFiles};

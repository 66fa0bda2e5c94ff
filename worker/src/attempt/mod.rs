//! One attempt at a step, from its inputs to its result.

mod local_files;
mod remove;
mod session;

pub use local_files::{LocalFiles, NoSourceFiles, SourceFiles};
pub(crate) use remove::remove_tree;
pub(crate) use session::{ScratchDir, Session, report};

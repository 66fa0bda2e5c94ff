//! One attempt at a step, from its inputs to its result.

mod beside;
mod config;
mod finish;
mod keep_logs;
mod launching;
mod local_disk;
mod local_files;
mod making;
mod reason;
mod reclaim;
mod record;
mod remote;
mod remove;
mod report;
mod root;
mod session;
mod worker;

pub use config::{Stores, WorkerConfig};
pub use local_files::{LocalFiles, NoSourceFiles, SourceFiles};
pub(crate) use reason::{chain, sentence};
pub use reclaim::{Reclaim, give_to_this_user};
pub(crate) use remove::remove_tree;
pub use report::AttemptReport;
pub(crate) use session::{ScratchDir, Session, report};
pub use worker::{Attempt, Worker, WorkerError};

//! What is remembered of runs: for each a file with what it was and what happened, and for each pipeline
//! the newest keys of its steps.
//!
//! Logs are not copied here: they stay in the cache, named by the results that the events name.

mod cancel;
mod error;
pub mod keys;
mod lock;
mod meta;
mod process;
mod prune;
mod record;
mod run;
mod store;
mod traffic;

pub use cancel::{CancelError, cancel};
pub use error::HistoryError;
pub use meta::Meta;
pub use record::RunRecorder;
pub use run::{RunState, StoredRun};
pub use store::Store;
pub use traffic::Traffic;

//! The shell around the core: performs its effects and tells it what came of them. It starts no process and
//! opens no file: workers, caches and whoever watches stand behind traits.

mod attempts;
mod beside;
mod blocking;
pub mod cluster;
pub mod compare;
pub mod deliverable;
pub mod driver;
pub mod engine;
pub mod event;
pub mod given;
pub mod glass;
mod http;
pub mod images;
mod machines;
pub mod metrics;
mod notes;
pub mod planted;
pub mod policy;
pub mod raft;
pub mod request;
pub mod resolve;
pub mod secrets;
pub mod services;
pub mod session;
pub mod submission;
pub mod template;
#[cfg(test)]
mod testing;
pub mod workers;

pub use event::{Event, EventSink, Note, RunEnd, RunStart, StepEnd, StepLog, StepStart, TestSummary};

//! The shell around the core: performs its effects and tells it what came of them.

pub mod event;

pub use event::{Event, EventSink, Note, RunEnd, RunStart, StepEnd, StepLog, StepStart, TestSummary};

//! Makes a step's input root appear, runs it through an executor, collects what it leaves behind.

pub mod executor;
mod layers;
pub mod logs;

pub use executor::{ExecuteError, Execution, Exit, Launch, LogSink, StepExecutor, Stream};

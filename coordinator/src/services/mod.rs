//! What a coordinator answers to clients and workers. Generated types stop here.

mod access;
mod all;
mod deadline;
mod events;
mod execution;
mod journals;
mod keys;
mod list;
mod log;
mod log_source;
mod log_streams;
mod outcomes;
mod reapi;
mod runs;
mod status;
mod summary;
mod watch;
mod workers;

pub use all::{keep_health, routes};
pub use journals::journals_service;
pub(crate) use reapi::EngineResults;
pub use reapi::NamedInstances;
pub(crate) use runs::RunsApi;
pub use runs::runs_service;
pub use workers::workers_service;

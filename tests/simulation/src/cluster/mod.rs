//! Whole coordinators with workers and clients.

mod client;
mod duty;
mod ends;
mod ledger;
mod pipeline;
mod plan;
mod scenario;
mod started;
mod worker;

pub(crate) use scenario::play;

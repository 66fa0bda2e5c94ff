//! A cluster, seen from outside: where its coordinators are, how to ask them, and how to follow a run through the
//! loss of any of them.

mod addresses;
mod client;
mod error;
pub(crate) mod follow;
mod journals;
mod log;
mod outage;
mod runs;
mod server;
mod store;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod upload;
mod verdict;
mod watch;

pub(crate) use addresses::{Addresses, address};
pub(crate) use client::{Cluster, Patience};
pub(crate) use error::ClusterError;
pub(crate) use log::{LogTail, Missing};
pub(crate) use upload::upload;
pub(crate) use watch::Watch;

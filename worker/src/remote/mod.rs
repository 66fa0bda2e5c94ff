//! The worker as part of a cluster.
//!
//! One stream goes to whichever coordinator leads ([`Daemon`]). What this worker runs belongs to itself, not to the
//! stream: attempts go on while there is no leader, and their reports are kept until one says that they are in the
//! log. Logs are read from here while attempts run ([`Daemon::serve`]).

mod attempt;
mod config;
mod daemon;
mod exchange;
mod holdings;
mod key;
mod logs;
mod metrics;
mod neighbours;
mod publish;
mod registry;
mod report;
mod retired;
mod runner;
mod serve;
mod session;
mod start;
mod table;
mod trace;

pub use config::{DaemonConfig, DaemonError, DaemonParts, Limits};
pub use daemon::{Daemon, Drained};
pub use exchange::{Exchange, TieredFiles};
pub use neighbours::Neighbours;
pub use runner::Runner;

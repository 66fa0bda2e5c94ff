//! What runs what waits.

use tokio::runtime::{Builder, Runtime};

use crate::error::CliError;

/// On the thread that asks.
///
/// # Errors
/// The operating system has no more of what it takes.
pub(crate) fn of_one_thread() -> Result<Runtime, CliError> {
    started(&mut Builder::new_current_thread())
}

/// On so many threads of its own.
///
/// # Errors
/// As for [`of_one_thread`].
pub(crate) fn of_threads(count: usize) -> Result<Runtime, CliError> {
    started(Builder::new_multi_thread().worker_threads(count))
}

fn started(builder: &mut Builder) -> Result<Runtime, CliError> {
    builder.enable_all().build().map_err(|error| CliError::infra("cannot start").because(error))
}

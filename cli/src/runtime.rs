//! What runs what waits.

use tokio::runtime::{Builder, Runtime};

use crate::error::CliError;

/// On the thread that asks.
///
/// # Errors
/// The operating system has no more of what it takes.
pub(crate) fn of_one_thread() -> Result<Runtime, CliError> {
    let made = Builder::new_current_thread().enable_all().build();
    made.map_err(|error| CliError::infra("cannot start").because(error))
}

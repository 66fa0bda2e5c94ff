//! `cullet schema`.

use std::io::Write;

use crate::error::{CliError, ExitStatus};

/// Prints the JSON Schema of pipeline files.
pub(super) fn print(out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    writeln!(out, "{:#}", cullet_pipeline::schema()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

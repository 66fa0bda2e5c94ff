//! `cullet completions`.

use std::io::Write;

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs};
use crate::error::{CliError, ExitStatus};

/// Prints a completion script.
pub(super) fn print(args: &CompletionsArgs, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    // Into memory first: the generator panics when its output fails.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "cullet", &mut script);
    out.write_all(&script).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

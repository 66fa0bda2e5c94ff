//! `cullet cancel`.

use std::io::Write;

use crate::args::CancelArgs;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::history::{self, CancelError, Store};
use crate::ui;

/// Asks the process that executes a run to stop.
pub(super) fn cancel(
    args: &CancelArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let run = Store::open(config.runs_dir()).find(Some(&args.run))?;
    history::cancel(&run).map_err(sorted)?;
    let name = ui::short(&run.meta().run);
    writeln!(out, "run {name} is being cancelled; see cullet status {name}").map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn sorted(error: CancelError) -> CliError {
    let message = error.to_string();
    match error {
        CancelError::Over { .. } => CliError::usage(message),
        CancelError::Elsewhere { .. } => CliError::infra(message).hint("cancel it from where it was started"),
        CancelError::Signal { source, .. } => CliError::infra(message).because(source),
    }
}

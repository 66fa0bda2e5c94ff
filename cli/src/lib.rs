//! The `cullet` command: arguments become configuration becomes wiring. A library, so that tests and the
//! binary use the same code.

pub mod args;
mod cluster;
pub mod commands;
pub mod config;
pub mod diagnostics;
pub mod error;
mod glass;
pub mod history;
mod images;
mod metrics;
pub mod paths;
mod random;
mod runtime;
mod secrets;
mod shared_store;
mod telemetry;
mod trees;
pub mod ui;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;
use cullet_worker::sandbox::{LauncherCommand, launcher_main};

pub use error::{CliError, ErrorKind, ExitStatus};

/// What the binary does.
pub fn main() -> ExitCode {
    // Before anything else: the launcher of the sandbox must be a process without threads.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == LauncherCommand::ARGUMENT) {
        launcher_main();
    }
    if std::env::args_os().nth(1).is_some_and(|argument| argument == images::OWNERS_ARGUMENT) {
        images::owners_main();
        return ExitCode::SUCCESS;
    }
    // Where a user has to make a namespace for that, only a process without threads may.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == glass::CUT_OFF_ARGUMENT) {
        return ExitCode::from(glass::cut_off_main().code());
    }
    // The parent is gone, and nobody waits for an answer.
    let Ok(line) = commands::dev_cluster::bind(std::env::args_os().collect()) else {
        return ExitCode::from(ExitStatus::Infra.code());
    };
    let cli = match args::Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let color = cli.global.color.unwrap_or_default();
    let status = commands::dispatch(cli).unwrap_or_else(|error| {
        let terminal = ui::Terminal::detect(&|name| std::env::var(name).ok());
        diagnostics::error(&error, terminal.stderr_style(color));
        error.status()
    });
    ExitCode::from(status.code())
}

/// Help and version go to standard output and are no error; a reader that is gone is none either.
fn refuse(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let wanted =
        matches!(error.kind(), clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion);
    let status = if wanted { ExitStatus::Success } else { ExitStatus::Usage };
    ExitCode::from(status.code())
}

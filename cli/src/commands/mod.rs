//! One file for each subcommand.

mod approve;
mod attach;
mod bundle;
mod cache;
mod cancel;
mod cluster;
mod completions;
mod coordinator;
pub(crate) mod dev_cluster;
mod doctor;
mod engine_images;
mod graph;
mod image;
mod journal;
mod lock;
mod login;
mod logs;
mod machine;
mod on_cluster;
pub mod pipeline_file;
pub mod run;
mod runs;
mod schema;
mod status;
mod validate;
mod volumes;
mod why;
mod worker;

use std::io::{BufWriter, Write};

use crate::args::{Cli, Command};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};

/// Executes a command line.
///
/// # Errors
/// Whatever the command could not say itself.
pub fn dispatch(cli: Cli) -> Result<ExitStatus, CliError> {
    let mut out = BufWriter::new(std::io::stdout());
    let status = buffered(cli, &mut out)?;
    out.flush().map_err(CliError::output)?;
    Ok(status)
}

fn buffered(cli: Cli, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    // These need no configuration, and must work when it is broken.
    match &cli.command {
        Command::Schema => return schema::print(out),
        Command::Completions(args) => return completions::print(args, out),
        _ => {}
    }
    let config = Config::load(&cli.global)?;
    // These say what they do unless CULLET_LOG says otherwise.
    match &cli.command {
        Command::Coordinator(args) => return coordinator::coordinator(args, &config),
        Command::Worker(args) => return worker::worker(args, &config),
        _ => {}
    }
    crate::diagnostics::start(config.log.as_deref(), config.log_format)?;
    with_config(cli.command, &config, out)
}

fn with_config(command: Command, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    match command {
        Command::Run(args) => run::run(&args, config),
        Command::Shell(args) => run::shell::shell(&args, config),
        Command::Verify(args) => run::verify::verify(&args, config, out),
        Command::Attach(args) => attach::attach(&args, config),
        Command::Why(args) => why::why(&args, config, out),
        Command::Validate(args) => validate::validate(&args, config, out),
        Command::Graph(args) => graph::graph(&args, config, out),
        Command::Image(args) => image::image(&args, config, out),
        Command::Lock(args) => lock::lock(&args, config, out),
        Command::Runs(args) => runs::runs(&args, config, out),
        Command::Status(args) => status::status(&args, config, out),
        Command::Logs(args) => logs::logs(&args, config, out),
        Command::Cancel(args) => cancel::cancel(&args, config, out),
        Command::Cache(args) => cache::cache(&args, config, out),
        Command::Doctor(args) => doctor::doctor(&args, config, out),
        Command::Schema => schema::print(out),
        Command::Completions(args) => completions::print(&args, out),
        Command::Cluster(args) => cluster::cluster(&args, config, out),
        Command::DevCluster(args) => dev_cluster::dev_cluster(&args, config, out),
        Command::Bundle(args) => bundle::bundle(&args, config, out),
        Command::Journal(args) => journal::journal(&args, config, out),
        Command::Approve(args) => approve::approve(&args, out),
        Command::Login(args) => login::login(&args, config, out),
        Command::Logout(args) => login::logout(&args, config, out),
        Command::Coordinator(_) | Command::Worker(_) => Err(CliError::later("this")),
    }
}

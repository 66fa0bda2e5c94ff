//! `cullet cancel`.

use std::io::Write;

use super::on_cluster;
use crate::args::CancelArgs;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::history::{self, CancelError, Store};
use crate::ui;

/// Asks the process or the cluster that executes a run to stop.
pub(super) fn cancel(
    args: &CancelArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    if let Some(addresses) = on_cluster::named(&args.cluster, config)? {
        let ask = async |cluster: Cluster| {
            in_cluster(&args.run, &cluster.known_as(config.cluster_token.as_ref())).await
        };
        let run = on_cluster::block_on(&addresses, ask)?;
        return say(&run, out);
    }
    let run = Store::open(config.runs_dir()).find(Some(&args.run))?;
    history::cancel(&run).map_err(sorted)?;
    say(&run.meta().run, out)
}

/// Ends a run of a cluster; its whole name.
async fn in_cluster(name: &str, cluster: &Cluster) -> Result<String, CliError> {
    let run = cluster.find(Some(name), None).await?;
    match cluster.cancel(&run).await? {
        true => Err(CliError::usage(format!("run {run} is over"))),
        false => Ok(run),
    }
}

fn say(run: &str, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let name = ui::short(run);
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

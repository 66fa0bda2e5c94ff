//! `cullet attach`.

use tokio_util::sync::CancellationToken;

use super::on_cluster;
use super::run::Written;
use super::run::followed::Followed;
use super::run::interrupt::Caught;
use super::run::watchers::{self, Watchers};
use crate::args::AttachArgs;
use crate::cluster::follow::Past;
use crate::cluster::{Addresses, Cluster};
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::runtime;
use crate::ui::{self, short};

/// What is said of a terminal that goes away.
const HUNG_UP: &str = "the terminal went away (SIGHUP): the run goes on";

/// Follows a run of a cluster.
pub(super) fn attach(args: &AttachArgs, config: &Config) -> Result<ExitStatus, CliError> {
    let addresses = on_cluster::required(&args.cluster, config)?;
    // One thread tells what happens, one receives it.
    let runtime = runtime::of_threads(2)?;
    let ended = runtime.block_on(follow(args, config, &addresses));
    // A blocked thread that nobody waits for must not hold up the end.
    runtime.shutdown_background();
    ended
}

async fn follow(args: &AttachArgs, config: &Config, addresses: &Addresses) -> Result<ExitStatus, CliError> {
    let cluster = Cluster::connect(addresses)?.known_as(config.cluster_token.as_ref());
    cluster.reach().await?;
    let run = cluster.find(Some(&args.run), None).await?;
    let now = cluster.run(&run).await?;
    let watchers = Watchers::idle();
    let leave = CancellationToken::new();
    if let Some(signals) = Caught::from_now_on() {
        signals.cancel_saying(HUNG_UP, leave.clone(), watchers.clone());
    }
    let started_ms = now.summary.as_ref().map_or(0, |summary| summary.submitted_at_ms);
    watchers.begin(vec![watchers::renderer(config, config.progress(args.progress))], started_ms);
    let followed = Followed {
        config,
        cluster: &cluster,
        run: &run,
        watchers: &watchers,
        past: Past::of(&now),
        output: args.output.clone().map(Written::to),
    };
    tokio::select! {
        status = followed.show() => status,
        () = leave.cancelled() => {
            ui::abandon();
            let name = short(&run);
            diagnostics::report(&format!("run {name} goes on; follow it again with cullet attach {name}\n"));
            Ok(ExitStatus::Interrupted)
        }
    }
}

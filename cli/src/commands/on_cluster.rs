//! Commands that ask a cluster, where one is named, and this machine where none is.

use crate::args::ClusterFlag;
use crate::cluster::{Addresses, Cluster};
use crate::config::Config;
use crate::error::CliError;
use crate::runtime;

/// The cluster that a command is about; none for this machine.
pub(super) fn named(flag: &ClusterFlag, config: &Config) -> Result<Option<Addresses>, CliError> {
    let named = config.cluster(flag.cluster.as_deref());
    Ok(named.as_deref().map(str::parse).transpose()?)
}

/// The same for a command that means nothing on one machine.
pub(super) fn required(flag: &ClusterFlag, config: &Config) -> Result<Addresses, CliError> {
    named(flag, config)?.ok_or_else(|| {
        CliError::usage("no cluster is named")
            .hint("name one of its coordinators with --cluster URL or CULLET_CLUSTER")
    })
}

/// Does what there is to do with a cluster.
pub(super) fn block_on<T>(
    addresses: &Addresses,
    work: impl AsyncFnOnce(Cluster) -> Result<T, CliError>,
) -> Result<T, CliError> {
    let runtime = runtime::of_one_thread()?;
    runtime.block_on(async {
        let cluster = Cluster::connect(addresses)?;
        let learning = cluster.clone();
        // Where others are matters only to whoever stays for long: nobody waits for the answer.
        tokio::spawn(async move { learning.reach().await });
        work(cluster).await
    })
}

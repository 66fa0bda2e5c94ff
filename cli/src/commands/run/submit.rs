//! From a checked pipeline and its sources to a run of a cluster.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cullet_proto::v1;
use tonic::Code;

use super::prepare::Prepared;
use crate::args::RunArgs;
use crate::cluster::{Cluster, ClusterError, Patience, upload};
use crate::config::{Config, RunConfig};
use crate::diagnostics;

/// A submission may be large, and a cluster that has only just been started has no worker yet. A full queue is waited
/// for as long as a person would.
const SUBMITTING: Patience = Patience {
    answer: Duration::from_secs(60),
    outage: Duration::from_secs(60),
    queue: Duration::from_secs(600),
    say: |why| diagnostics::report(&format!("waiting for the cluster: {}\n", crate::ui::clean::line(why))),
};

/// What is asked of the cluster.
pub(super) fn request(
    args: &RunArgs,
    config: &Config,
    run_config: &RunConfig,
    prepared: &Prepared,
    text: String,
) -> v1::SubmitRequest {
    let (trees, names) = prepared.sources.trees();
    let root = |tree: &cullet_source::SourceTree| {
        let root = tree.root();
        let size_bytes = i64::try_from(root.size()).unwrap_or(i64::MAX);
        v1::Digest { hash: root.hash_hex().to_string(), size_bytes }
    };
    let sources: BTreeMap<String, v1::Digest> = names.iter().cloned().zip(trees.iter().map(root)).collect();
    v1::SubmitRequest {
        request_id: args.request_id.clone().unwrap_or_else(fresh_id),
        tenant: run_config.tenant.clone(),
        priority: args.priority.unwrap_or(0),
        pipeline: text.into_bytes().into(),
        file: args.pipeline.file.display().to_string(),
        params: args.pipeline.params.iter().cloned().collect::<HashMap<_, _>>(),
        targets: args.targets.clone(),
        sources: sources.into_iter().collect(),
        keep_going: args.keep_going,
        no_cache: args.no_cache,
        traceparent: config.traceparent.clone().unwrap_or_default(),
        host_image: prepared.machine.host_image.clone(),
    }
}

/// A name that no other request has, 32 hexadecimal digits. It is drawn once: whoever sends it again means the same
/// run.
fn fresh_id() -> String {
    format!("{:016x}{:016x}", crate::random::number(), crate::random::number())
}

/// Sends the sources that the cluster lacks.
pub(super) async fn send_sources(
    config: &Config,
    cluster: &Cluster,
    prepared: &Prepared,
) -> Result<(), ClusterError> {
    let (trees, _) = prepared.sources.trees();
    if trees.is_empty() {
        return Ok(());
    }
    upload(&cluster.store(&config.cache_dir)?, trees).await
}

/// Asks the cluster to run it.
pub(super) async fn submit(
    cluster: &Cluster,
    request: &v1::SubmitRequest,
) -> Result<v1::SubmitResponse, ClusterError> {
    let call = |mut client: v1::runs_client::RunsClient<tonic::transport::Channel>| {
        let request = request.clone();
        async move { client.submit(request).await }
    };
    cluster.call(SUBMITTING, call).await
}

/// Whether a source is not, or no longer, where it was sent.
pub(super) fn lacks_sources(error: &ClusterError) -> bool {
    matches!(error, ClusterError::Refused { code: Code::FailedPrecondition, .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_by_32_digits() {
        let (one, two) = (fresh_id(), fresh_id());
        assert_ne!(one, two);
        assert!(one.len() == 32 && one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
    }
}

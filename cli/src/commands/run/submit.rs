//! From a checked pipeline and its sources to a run of a cluster.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::Duration;

use cullet_coordinator::images::Images;
use cullet_coordinator::request::{MOST_BYTES, MOST_PIPELINE, sent_bytes};
use cullet_image::Platform;
use cullet_proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use super::prepare::Prepared;
use crate::args::RunArgs;
use crate::cluster::{Cluster, ClusterError, Patience, upload};
use crate::config::{Config, RunConfig};
use crate::diagnostics;
use crate::error::CliError;

/// A submission may be large, and a cluster that has only just been started has no worker yet. A full queue is waited
/// for as long as a person would.
const SUBMITTING: Patience = Patience {
    answer: Duration::from_secs(60),
    outage: Duration::from_secs(60),
    queue: Duration::from_secs(600),
    say: |why| diagnostics::report(&format!("waiting for the cluster: {}\n", crate::ui::clean::line(why))),
    ..Patience::ASKING
};

/// Refuses a pipeline that no cluster takes, before anything is done with it.
pub(super) fn check_pipeline(file: &Path, text: &str) -> Result<(), CliError> {
    let (len, most) = (text.len(), MOST_PIPELINE);
    if len <= most {
        return Ok(());
    }
    let name = file.display();
    let mib = most >> 20;
    Err(CliError::usage(format!(
        "the pipeline file {name} has {len} bytes, more than the {most} ({mib} MiB) that a cluster takes"
    ))
    .hint(
        "divide it into several pipelines, or run it on this machine, without --cluster and CULLET_CLUSTER",
    ))
}

/// Refuses a submission that fits into no message. One that is sent all the same is answered by the library of the
/// other side, in words of its own.
pub(super) fn check_size(request: &v1::SubmitRequest) -> Result<(), CliError> {
    let (len, most) = (sent_bytes(request), MOST_BYTES);
    if len <= most {
        return Ok(());
    }
    let mib = most >> 20;
    let (pipeline, sources, params) = (request.pipeline.len(), request.sources.len(), request.params.len());
    Err(CliError::usage(format!(
        "the submission has {len} bytes, more than the {most} ({mib} MiB) that a cluster takes: the pipeline has \
         {pipeline} of them, the rest are {sources} sources, {params} parameters and the targets"
    ))
    .hint("divide the pipeline into several, with a few sources each, or run it on this machine"))
}

/// What is asked of the cluster.
pub(super) fn request(
    args: &RunArgs,
    config: &Config,
    run_config: &RunConfig,
    prepared: &Prepared,
    (images, platform): (&Images, &Platform),
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
        images: images.iter().map(|(image, digest)| (image.to_owned(), digest.to_owned())).collect(),
        // Without images, whatever the pipeline says.
        platform: images.iter().next().map(|_| platform.to_string()).unwrap_or_default(),
        // That of this machine says nothing about a cluster.
        scope: config.trust(args.scope.as_ref()).asked.map(|scope| scope.to_string()).unwrap_or_default(),
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

/// Asks the cluster to run it, and not again once `stop` is cancelled.
pub(super) async fn submit(
    cluster: &Cluster,
    request: &v1::SubmitRequest,
    stop: &CancellationToken,
) -> Result<v1::SubmitResponse, ClusterError> {
    let call = |mut client: v1::runs_client::RunsClient<tonic::transport::Channel>| {
        let request = cluster.question(request.clone());
        async move { client.submit(request).await }
    };
    cluster.call_until(stop, SUBMITTING, call).await
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

    #[test]
    fn what_no_cluster_takes_is_refused_with_its_size_and_the_limit() {
        let file = Path::new("ci/cullet.yaml");
        let text = " ".repeat(MOST_PIPELINE);
        assert!(check_pipeline(file, &text).is_ok());
        let refused = check_pipeline(file, &(text + "\n")).unwrap_err();
        let said = "the pipeline file ci/cullet.yaml has 8388609 bytes, more than the 8388608 (8 MiB) that a cluster takes";
        assert_eq!((refused.to_string().as_str(), refused.hints().len()), (said, 1));

        let mut request =
            v1::SubmitRequest { pipeline: vec![b' '; MOST_PIPELINE].into(), ..Default::default() };
        assert!(check_size(&request).is_ok());
        request.params = (0..9).map(|name| (name.to_string(), " ".repeat(1 << 20))).collect();
        let refused = check_size(&request).unwrap_err().to_string();
        assert!(refused.contains("more than the 16777216 (16 MiB) that a cluster takes"), "{refused}");
        assert!(refused.contains("the pipeline has 8388608 of them"), "{refused}");
    }
}

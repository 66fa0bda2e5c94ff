//! A cluster as a server of the Remote Execution API, against a gRPC server that does nothing.

mod actions;
mod echo;
mod flooding;
mod load;
mod many;
mod plain;
mod streams;

use std::sync::Arc;

use cullet_digest::{Digest, DigestFunction};
use cullet_proto::reapi;
use cullet_proto::reapi::execution::service::execution_client::ExecutionClient;
use cullet_proto::reapi::execution::{ExecuteRequest, RequestMetadata};
use cullet_proto::reapi::results::GetActionResultRequest;
use cullet_proto::reapi::results::service::action_cache_client::ActionCacheClient;
use cullet_proto::reapi::storage::service::content_addressable_storage_client::ContentAddressableStorageClient;
use cullet_proto::reapi::storage::{
    BatchReadBlobsRequest, BatchUpdateBlobsRequest, BlobUpdate, FindMissingBlobsRequest,
};
use cullet_tests::cluster::Cluster;
use cullet_worker::host::HostTools;
use cullet_worker::sandbox::{LauncherCommand, Sandbox, SandboxConfig};
use prost::Message as _;
use prost::bytes::Bytes;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

use self::actions::{Actions, message};
use self::echo::EchoServer;
pub(crate) use self::echo::child;
pub(crate) use self::flooding::child as flood;
use self::load::{connect, rate};
use crate::Result;
use crate::check::{Report, Target, seconds};
use crate::cullet::binary;
use crate::launch::launch;
use crate::measure::middle;

/// A hit, over a call that does nothing.
const HIT: f64 = 0.6;
/// A question after a hundred blobs.
const FIND: f64 = 0.4;
/// Small blobs in batches, over a call with the same bytes.
const BATCH: f64 = 0.5;
/// An execution that the cache answers.
const CACHED: f64 = 0.4;
/// An action that does nothing, over a bare launch of the sandbox; and as many at once as there are.
const ALONE: f64 = 3.0;
const TOGETHER: f64 = 0.6;
/// Clients at once.
const CLIENTS: [usize; 3] = [1, 16, 64];
/// Blobs in a batch, and bytes of each.
const BLOBS: usize = 16;
const BLOB: usize = 4 << 10;
/// Actions one after the other.
const SINGLE: usize = 100;

/// One coordinator.
fn coordinator() -> Result<Cluster> {
    let mut cluster = Cluster::prepare(binary()?.clone(), 1, 1);
    cluster.run_coordinator(0);
    cluster.agreed();
    Ok(cluster)
}

/// Large blobs alone.
pub(crate) fn streams(report: &mut Report) -> Result<()> {
    let cluster = coordinator()?;
    let process = cluster.coordinator(0).ok_or("there is no coordinator")?.id();
    let echo = EchoServer::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (here, there) = (connect(&cluster.url(0)).await?, connect(&echo.url).await?);
        streams::run(report, &here[0], &there[0], process).await
    })
}

/// Actions without a sandbox.
pub(crate) fn plain(report: &mut Report) -> Result<()> {
    let cluster = with_worker(&["--executor", "plain"])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(plain::run(report, &cluster.url(0)))
}

/// One coordinator, and one worker with these arguments.
fn with_worker(arguments: &[&str]) -> Result<Cluster> {
    let mut cluster = coordinator()?;
    cluster.run_worker(0, arguments);
    cluster.with_workers(1);
    Ok(cluster)
}

/// One client among others.
pub(crate) fn flooding(report: &mut Report) -> Result<()> {
    let cluster = with_worker(&[])?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let process = cluster.coordinator(0).ok_or("there is no coordinator")?.id();
    runtime.block_on(flooding::run(report, &cluster.url(0), process))
}

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let connections = many::allow()?;
    let cluster = with_worker(&[])?;
    let process = cluster.coordinator(0).ok_or("there is no coordinator")?.id();
    let echo = EchoServer::start()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let (here, there) = (connect(&cluster.url(0)).await?, connect(&echo.url).await?);
        let actions = Arc::new(Actions::store(here[0].clone()).await?);
        hits(report, &here, &there, &actions).await?;
        finding(report, &here, &there).await?;
        batches(report, &here, &there).await?;
        executions(report, &here, &there, &actions).await?;
        let action = actions.executed(here[0].clone()).await?;
        many::run(report, &cluster.url(0), (process, connections), &action).await
    })
}

fn a_second(value: f64) -> String {
    format!("{value:.0}/s")
}

/// Calls a second that do nothing.
async fn bare(there: &[Channel], clients: usize) -> Result<f64> {
    rate(there, clients, |channel, _| async move {
        let request = FindMissingBlobsRequest::default();
        ContentAddressableStorageClient::new(channel).find_missing_blobs(request).await?;
        Ok(())
    })
    .await
}

async fn hits(
    report: &mut Report,
    here: &[Channel],
    there: &[Channel],
    actions: &Arc<Actions>,
) -> Result<()> {
    report.heading("GetActionResult, found and complete, against a call that does nothing");
    let action = actions.executed(here[0].clone()).await?;
    for clients in CLIENTS {
        let wanted = action.clone();
        let found = rate(here, clients, move |channel, _| {
            let request = GetActionResultRequest {
                action_digest: Some(wanted.clone()),
                ..GetActionResultRequest::default()
            };
            async move {
                ActionCacheClient::new(channel).get_action_result(request).await?;
                Ok(())
            }
        });
        let (found, bare) = (found.await?, bare(there, clients).await?);
        report.compare(&format!("{clients} clients"), found, bare, Target::AtLeast(HIT), a_second);
    }
    Ok(())
}

async fn finding(report: &mut Report, here: &[Channel], there: &[Channel]) -> Result<()> {
    report.heading("FindMissingBlobs of 100, all of them there, against a call that does nothing");
    let digests: Vec<reapi::Digest> = upload(here[0].clone(), 100).await?;
    for clients in CLIENTS {
        let digests = digests.clone();
        let found = rate(here, clients, move |channel, _| {
            let request = FindMissingBlobsRequest {
                blob_digests: digests.clone(),
                ..FindMissingBlobsRequest::default()
            };
            async move {
                let answer =
                    ContentAddressableStorageClient::new(channel).find_missing_blobs(request).await?;
                if answer.get_ref().missing_blob_digests.is_empty() {
                    Ok(())
                } else {
                    Err("blobs are missing".into())
                }
            }
        });
        let (found, bare) = (found.await?, bare(there, clients).await?);
        report.compare(&format!("{clients} clients"), found, bare, Target::AtLeast(FIND), a_second);
    }
    Ok(())
}

/// Stores blobs of four kilobytes.
async fn upload(channel: Channel, count: u64) -> Result<Vec<reapi::Digest>> {
    let mut digests = Vec::new();
    for number in 0..count.div_ceil(BLOBS as u64) {
        let request = batch(u64::MAX - number);
        digests.extend(request.requests.iter().filter_map(|request| request.digest.clone()));
        ContentAddressableStorageClient::new(channel.clone()).batch_update_blobs(request).await?;
    }
    digests.truncate(count as usize);
    Ok(digests)
}

/// Blobs that nobody else has.
fn batch(number: u64) -> BatchUpdateBlobsRequest {
    let blob = |position: usize| {
        let mut data = vec![0; BLOB];
        fastrand::Rng::with_seed(number.wrapping_mul(1000) + position as u64).fill(&mut data);
        let digest = message(&DigestFunction::Sha256.digest(&data));
        BlobUpdate { digest: Some(digest), data: Bytes::from(data), compressor: 0 }
    };
    BatchUpdateBlobsRequest { requests: (0..BLOBS).map(blob).collect(), ..BatchUpdateBlobsRequest::default() }
}

async fn batches(report: &mut Report, here: &[Channel], there: &[Channel]) -> Result<()> {
    report.heading("batches of 16 blobs of 4 KiB, 16 clients, against calls with the same bytes");
    let write = |channel: Channel, number: u64| async move {
        ContentAddressableStorageClient::new(channel).batch_update_blobs(batch(number)).await?;
        Ok(())
    };
    let (written, bare) = (rate(here, 16, write).await?, rate(there, 16, write).await?);
    report.compare("BatchUpdateBlobs", written, bare, Target::AtLeast(BATCH), a_second);
    let digests = upload(here[0].clone(), BLOBS as u64).await?;
    let read = move |channel: Channel, _| {
        let request = BatchReadBlobsRequest { digests: digests.clone(), ..BatchReadBlobsRequest::default() };
        async move {
            ContentAddressableStorageClient::new(channel).batch_read_blobs(request).await?;
            Ok(())
        }
    };
    let (read_here, bare) = (rate(here, 16, read.clone()).await?, rate(there, 16, read).await?);
    report.compare("BatchReadBlobs", read_here, bare, Target::AtLeast(BATCH), a_second);
    Ok(())
}

async fn executions(
    report: &mut Report,
    here: &[Channel],
    there: &[Channel],
    actions: &Arc<Actions>,
) -> Result<()> {
    report.heading("Execute of actions that do nothing, one coordinator and one worker");
    let action = actions.executed(here[0].clone()).await?;
    for clients in CLIENTS {
        let wanted = action.clone();
        let found = rate(here, clients, move |channel, _| execute(channel, wanted.clone()));
        let (found, bare) = (found.await?, bare(there, clients).await?);
        let what = format!("answered by the cache, {clients} clients, against a call that does nothing");
        report.compare(&what, found, bare, Target::AtLeast(CACHED), a_second);
    }
    let dir = tempfile::tempdir()?;
    let config = SandboxConfig::new(HostTools::default(), Vec::new());
    let sandbox = Arc::new(Sandbox::start(LauncherCommand::this_program(), config)?);
    let (mut alone, mut launches) = (Vec::new(), Vec::new());
    for number in 0..SINGLE {
        let begin = std::time::Instant::now();
        actions.execute(here[0].clone(), (1 << 60) + number as u64).await?;
        alone.push(begin.elapsed().as_secs_f64());
        launches.push(launch(&sandbox, &dir.path().join(format!("one-{number}")), None).await?);
    }
    let (alone, bare) = (middle(alone), middle(launches));
    report.compare("one after the other, against a bare launch", alone, bare, Target::AtMost(ALONE), seconds);
    let of_all = Arc::clone(actions);
    let together = rate(here, 16, move |channel, number| {
        let actions = Arc::clone(&of_all);
        async move { actions.execute(channel, number).await }
    });
    let together = together.await?;
    let base = dir.path().to_owned();
    let bare = rate(here, 16, move |_, number| {
        let (sandbox, dir) = (Arc::clone(&sandbox), base.join(number.to_string()));
        async move { launch(&sandbox, &dir, None).await.map(drop) }
    });
    report.compare(
        "16 clients, against launches",
        together,
        bare.await?,
        Target::AtLeast(TOGETHER),
        a_second,
    );
    Ok(())
}

/// Executes an action, and waits for its end.
async fn execute(channel: Channel, action: reapi::Digest) -> Result<()> {
    execute_for("", channel, action).await
}

/// The same for an invocation, if it has a name.
async fn execute_for(invocation: &str, channel: Channel, action: reapi::Digest) -> Result<()> {
    let request = ExecuteRequest { action_digest: Some(action), ..ExecuteRequest::default() };
    let mut request = Request::new(request);
    if !invocation.is_empty() {
        let said =
            RequestMetadata { tool_invocation_id: invocation.to_owned(), ..RequestMetadata::default() };
        let said = MetadataValue::from_bytes(&said.encode_to_vec());
        request.metadata_mut().insert_bin("build.bazel.remote.execution.v2.requestmetadata-bin", said);
    }
    let mut told = ExecutionClient::new(channel).execute(request).await?.into_inner();
    let mut done = false;
    while let Some(operation) = told.message().await? {
        done = operation.done;
    }
    if done { Ok(()) } else { Err("an operation did not end".into()) }
}

/// A digest of this function.
fn digest(bytes: &[u8]) -> Digest {
    DigestFunction::Sha256.digest(bytes)
}

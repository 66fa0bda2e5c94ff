//! A worker that executes without a sandbox: what the cluster adds to starting a process, and how long a graph of actions takes.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use cullet_proto::longrunning::Outcome;
use cullet_proto::reapi;
use cullet_proto::reapi::Property;
use cullet_proto::reapi::execution::service::execution_client::ExecutionClient;
use cullet_proto::reapi::execution::{ExecuteRequest, ExecuteResponse};
use cullet_proto::reapi::storage::service::content_addressable_storage_client::ContentAddressableStorageClient;
use cullet_proto::reapi::storage::{BatchUpdateBlobsRequest, BlobUpdate};
use prost::Message as _;
use prost::bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tonic::transport::Channel;

use super::actions::{Actions, message};
use super::load::{connect, rate};
use super::{a_second, digest};
use crate::Result;
use crate::check::{Report, Target, seconds};

/// Actions a second, over processes that are started and waited for.
const SPAWNS: f64 = 0.35;

/// Clients at once.
const CLIENTS: usize = 16;

/// Rows of the graph, and actions of each.
const ROWS: usize = 20;
const COLUMNS: usize = 20;

/// What the graph may take over what a peer takes for it, where processes start as fast as on the machine that this was measured
/// on: seconds, and processes that two threads started there in a second.
const GRAPH: f64 = 0.4;
const PEER: f64 = 1.9;
const PEER_SPAWNS: f64 = 2800.0;

/// One coordinator at this address, and one worker without a sandbox.
pub(super) async fn run(report: &mut Report, url: &str) -> Result<()> {
    report.heading("a worker without a sandbox, 16 clients");
    let here = connect(url).await?;
    let actions = Arc::new(Actions::store_for(here[0].clone(), Some(platform())).await?);
    let executed = rate(&here, CLIENTS, move |channel, number| {
        let actions = Arc::clone(&actions);
        async move { actions.execute(channel, number).await }
    });
    let (executed, spawned) = (executed.await?, spawns(&here).await?);
    let what = "Execute of /bin/true, against fork and exec of it in two loops";
    report.compare(what, executed, spawned, Target::AtLeast(SPAWNS), a_second);

    let took = graph(&here).await?;
    let peer = PEER * PEER_SPAWNS / spawned;
    let what = "a graph of 20 rows of 20 actions, against a peer scaled by fork and exec";
    report.compare(what, took, peer, Target::AtMost(GRAPH), seconds);
    let again = graph(&here).await?;
    report.compare(
        "the same graph from the cache, against the first time",
        again,
        took,
        Target::AtMost(1.0),
        seconds,
    );
    Ok(())
}

/// What asks for such a worker.
fn platform() -> reapi::Platform {
    let property = |name: &str, value: &str| Property { name: name.to_owned(), value: value.to_owned() };
    reapi::Platform { properties: vec![property("executor", "plain")] }
}

/// Processes a second that two threads start and wait for.
async fn spawns(channels: &[Channel]) -> Result<f64> {
    let spawn = |_, _| async {
        tokio::task::block_in_place(|| Command::new("/bin/true").stdin(Stdio::null()).status())?;
        Ok(())
    };
    rate(channels, 2, spawn).await
}

/// `Directory`, of files alone.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Directory {
    #[prost(message, repeated, tag = "1")]
    files: Vec<FileNode>,
}

/// `FileNode`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct FileNode {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    digest: Option<reapi::Digest>,
}

/// What an action left, once it has.
type Left = watch::Receiver<Option<reapi::Digest>>;

/// How long the graph takes: each action has what two of the row before it left.
async fn graph(channels: &[Channel]) -> Result<f64> {
    let places = Arc::new(Semaphore::new(CLIENTS));
    let begin = Instant::now();
    let (mut before, mut tasks): (Vec<Left>, Vec<_>) = (Vec::new(), Vec::new());
    for row in 0..ROWS {
        let mut now = Vec::new();
        for column in 0..COLUMNS {
            let (tell, left) = watch::channel(None);
            now.push(left);
            let inputs: Vec<Left> = match &before[..] {
                [] => Vec::new(),
                before => vec![before[column].clone(), before[(column + 1) % COLUMNS].clone()],
            };
            let channel = channels[column % channels.len()].clone();
            let places = Arc::clone(&places);
            tasks.push(tokio::spawn(async move {
                let mut files = Vec::new();
                for (input, name) in inputs.into_iter().zip(["in1", "in2"]) {
                    files.push(FileNode { name: name.to_owned(), digest: Some(output(input).await?) });
                }
                let _place = places.acquire().await?;
                let made = execute(channel, Directory { files }, row * COLUMNS + column).await?;
                tell.send_replace(Some(made));
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            }));
        }
        before = now;
    }
    for task in tasks {
        task.await??;
    }
    Ok(begin.elapsed().as_secs_f64())
}

async fn output(mut left: Left) -> Result<reapi::Digest> {
    let found = left.wait_for(Option::is_some).await?;
    found.clone().ok_or_else(|| "an action left nothing".into())
}

/// Executes the action with this number and these inputs: which file it left.
async fn execute(channel: Channel, root: Directory, number: usize) -> Result<reapi::Digest> {
    let script = format!("cat in* > out 2>&-; echo {number} >> out");
    let command = reapi::Command {
        arguments: ["/bin/sh", "-c", &script].map(str::to_owned).to_vec(),
        output_paths: vec!["out".to_owned()],
        platform: Some(platform()),
        ..reapi::Command::default()
    };
    let (root, command) = (root.encode_to_vec(), command.encode_to_vec());
    let action = reapi::Action {
        command_digest: Some(message(&digest(&command))),
        input_root_digest: Some(message(&digest(&root))),
        ..reapi::Action::default()
    };
    let action = action.encode_to_vec();
    let named = message(&digest(&action));
    let requests = [root, command, action].map(|bytes| BlobUpdate {
        digest: Some(message(&digest(&bytes))),
        data: Bytes::from(bytes),
        compressor: 0,
    });
    let request =
        BatchUpdateBlobsRequest { requests: requests.to_vec(), ..BatchUpdateBlobsRequest::default() };
    ContentAddressableStorageClient::new(channel.clone()).batch_update_blobs(request).await?;
    let request = ExecuteRequest { action_digest: Some(named), ..ExecuteRequest::default() };
    let mut told = ExecutionClient::new(channel).execute(request).await?.into_inner();
    let mut last = None;
    while let Some(operation) = told.message().await? {
        last = operation.result;
    }
    let Some(Outcome::Response(response)) = last else {
        return Err("an operation has no response".into());
    };
    let response = ExecuteResponse::decode(&response.value[..])?;
    let file = response.result.and_then(|result| result.output_files.into_iter().next());
    file.and_then(|file| file.digest).ok_or_else(|| format!("no output: {}", response.message).into())
}

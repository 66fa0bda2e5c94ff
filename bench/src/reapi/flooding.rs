//! One client that asks for as much as it can, and what the calls of others take meanwhile.
//!
//! The flood is a process of its own that yields to all others: elsewhere it would have a machine of its own, and what is asked
//! is what the cluster makes of it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cullet_proto::bytestream::ReadResponse;
use cullet_proto::reapi;
use cullet_proto::reapi::storage::service::content_addressable_storage_client::ContentAddressableStorageClient;
use tokio::task::JoinHandle;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::actions::Actions;
use super::batch;
use super::many::{slowest, slowest_hundredth};
use super::streams::Blob;
use crate::Result;
use crate::check::{Report, Target, bytes, seconds};
use crate::measure::resident;

/// The slowest hundredth of others' calls beside the flood, over that without it.
const SLOWER: f64 = 3.0;

/// Others, and how often each of them asks for a result.
const OTHERS: usize = 16;
const EVERY: Duration = Duration::from_millis(50);

/// Uploads of one client at once, and bytes of each.
const UPLOADS: usize = 32;
const UPLOAD: u64 = 16 << 20;

/// Batches and executions of one client at once.
const BATCHES: usize = 64;
const EXECUTIONS: usize = 256;

/// Executions of somebody else, one after the other.
const SINGLE: u64 = 300;

/// Readers that read nothing but their first bytes, how long what they asked for is, and what each of them may cost in bytes.
const READERS: usize = 512;
const READ: u64 = 64 << 20;
const EACH: f64 = (1 << 20) as f64;

/// What they take without reading it, in bytes: as little as HTTP/2 allows to begin with.
const WINDOW: u32 = (1 << 16) - 1;

/// How long a flood goes on before it is looked at what others see.
const RISES: Duration = Duration::from_secs(2);

/// One coordinator at this address, which is this process, and one worker.
pub(super) async fn run(report: &mut Report, url: &str, process: u32) -> Result<()> {
    report.heading("one client that floods a cluster: the slowest of a hundred calls of others, against those without it");
    let channel = connect(url).await?;
    let actions = Arc::new(Actions::store(channel.clone()).await?);
    let action = actions.executed(channel.clone()).await?;

    let alone = hits(url, &action).await?;
    for (kind, name) in [("uploads", "uploads of 16 MiB"), ("batches", "batches of 16 blobs")] {
        let flood = Flood::start(url, kind).await?;
        let beside = hits(url, &action).await?;
        let what = format!("GetActionResult, beside {} {name} a second", flood.end()?);
        report.compare(&what, beside, alone, Target::AtMost(SLOWER), seconds);
    }

    let before = resident(process);
    let readers = readers(url).await?;
    let beside = hits(url, &action).await?;
    let what = format!("GetActionResult, beside {READERS} who do not read what they asked for");
    report.compare(&what, beside, alone, Target::AtMost(SLOWER), seconds);
    let grown = resident(process).saturating_sub(before) as f64;
    let what = format!("memory of one of {READERS} who do not read");
    report.compare(&what, grown / READERS as f64, EACH, Target::AtMost(1.0), bytes);
    drop(readers);

    let alone = executions(&channel, &actions, 0).await?;
    let flood = Flood::start(url, "executions").await?;
    let beside = executions(&channel, &actions, SINGLE).await?;
    let what = format!("Execute, beside {} executions a second", flood.end()?);
    report.compare(&what, beside, alone, Target::AtMost(SLOWER), seconds);
    Ok(())
}

/// A flood, until its input is closed; then it says how many calls a second there were.
pub(crate) fn child(url: &str, kind: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let actions = Arc::new(Actions::store(connect(url).await?).await?);
        let calls = match kind {
            "uploads" => {
                Calls::begin(url, UPLOADS, |channel, number| async move {
                    tokio::task::block_in_place(|| Blob::new(UPLOAD, number)).write(channel).await
                })
                .await?
            }
            "batches" => {
                Calls::begin(url, BATCHES, |channel, number| async move {
                    ContentAddressableStorageClient::new(channel).batch_update_blobs(batch(number)).await?;
                    Ok(())
                })
                .await?
            }
            _ => {
                Calls::begin(url, EXECUTIONS, move |channel, number| {
                    let actions = Arc::clone(&actions);
                    async move { actions.execute_for("flood", channel, number).await }
                })
                .await?
            }
        };
        println!("begun");
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        println!("{}", calls.end().await?);
        Ok(())
    })
}

async fn connect(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?)
}

/// How long others' questions after a result take.
async fn hits(url: &str, action: &reapi::Digest) -> Result<f64> {
    slowest(url, OTHERS, EVERY, action).await
}

/// Readers of a large blob that have read the first bytes of it, and no more.
async fn readers(url: &str) -> Result<Vec<Streaming<ReadResponse>>> {
    let blob = Blob::new(READ, READ);
    blob.write(connect(url).await?).await?;
    // What is sent to them stays where it is.
    let narrow = Endpoint::from_shared(url.to_owned())?
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW);
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = blob.begin(narrow.connect().await?).await?;
        reader.message().await?;
        readers.push(reader);
    }
    Ok(readers)
}

/// How long somebody's executions take that come one after the other. `from`: the first of their numbers.
async fn executions(channel: &Channel, actions: &Actions, from: u64) -> Result<f64> {
    let mut times = Vec::new();
    for number in from..from + SINGLE {
        let begin = Instant::now();
        actions.execute_for("somebody", channel.clone(), (1 << 60) + number).await?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(slowest_hundredth(times))
}

/// The process that floods.
struct Flood {
    child: Child,
    says: BufReader<ChildStdout>,
}

impl Flood {
    /// Returns when it has risen.
    async fn start(url: &str, kind: &str) -> Result<Self> {
        // Whoever has something to do goes before it at once; nice(1) would leave it its turns, of milliseconds each.
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(std::env::current_exe()?).args(["__flood", url, kind]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut says = BufReader::new(child.stdout.take().ok_or("the flood has no output")?);
        says.read_line(&mut String::new())?;
        tokio::time::sleep(RISES).await;
        Ok(Self { child, says })
    }

    /// Calls a second.
    fn end(mut self) -> Result<String> {
        drop(self.child.stdin.take());
        let mut calls = String::new();
        self.says.read_line(&mut calls)?;
        self.child.wait()?;
        Ok(calls.trim().to_owned())
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Calls of one client, as many at once as it likes.
struct Calls {
    ends: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    begun: Instant,
    tasks: Vec<JoinHandle<Result<()>>>,
}

impl Calls {
    async fn begin<F, A>(url: &str, at_once: usize, call: F) -> Result<Self>
    where
        F: Fn(Channel, u64) -> A + Send + Sync + 'static,
        A: Future<Output = Result<()>> + Send,
    {
        let (channel, call) = (connect(url).await?, Arc::new(call));
        let (ends, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        // Nobody has asked for these before.
        let first = fastrand::u64(..) >> 1;
        let one = |_| {
            let (channel, call) = (channel.clone(), Arc::clone(&call));
            let (ends, calls) = (Arc::clone(&ends), Arc::clone(&calls));
            tokio::spawn(async move {
                while !ends.load(Ordering::Relaxed) {
                    call(channel.clone(), first + calls.fetch_add(1, Ordering::Relaxed)).await?;
                }
                Ok(())
            })
        };
        let tasks = (0..at_once).map(one).collect();
        Ok(Self { ends, calls, begun: Instant::now(), tasks })
    }

    /// How many a second there were.
    async fn end(self) -> Result<u64> {
        let calls = self.calls.load(Ordering::Relaxed) as f64 / self.begun.elapsed().as_secs_f64();
        self.ends.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await??;
        }
        Ok(calls as u64)
    }
}

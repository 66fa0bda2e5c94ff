//! Many clients: how long calls take among a thousand, and what connections cost on which nothing is said.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cullet_proto::reapi;
use cullet_proto::reapi::results::GetActionResultRequest;
use cullet_proto::reapi::results::service::action_cache_client::ActionCacheClient;
use cullet_tests::HTTP2_HELLO;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tonic::transport::{Channel, Endpoint};

use crate::Result;
use crate::check::{Report, Target, bytes, seconds};
use crate::measure::resident;

/// Clients, each with a connection of its own, and those that they are compared with.
const CLIENTS: [usize; 2] = [1000, 64];

/// Calls a second of all clients together: what few could make as well, so that waiting for each other is no part of it.
const CALLS: u32 = 2000;

/// How long clients call.
const LASTS: Duration = Duration::from_secs(5);

/// The slowest hundredth of calls among many clients, over that among few.
const SLOWER: f64 = 3.0;

/// Connections on which nothing is said, and what one may cost in bytes.
const IDLE: usize = 50_000;
const EACH: f64 = 64.0 * 1024.0;

/// Connections from one address: there are not many more ports for one.
const FROM_ONE: usize = 20_000;

/// Files that are open besides connections.
const FILES: u64 = 2000;

/// Lets this process, and those that it starts, have as many connections as this needs, or as the machine allows. Says how many
/// of those are on which nothing is said.
pub(super) fn allow() -> Result<usize> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let files = most.min(IDLE as u64 + FILES);
    setrlimit(Resource::RLIMIT_NOFILE, files, most)?;
    Ok(files.saturating_sub(FILES) as usize)
}

/// `process`: the coordinator at this address. `count`: how many connections there may be. `action` has a result.
pub(super) async fn run(
    report: &mut Report,
    url: &str,
    (process, count): (u32, usize),
    action: &reapi::Digest,
) -> Result<()> {
    report.heading("GetActionResult, 2,000 calls a second of all clients together, the slowest of a hundred");
    let every = |clients: usize| Duration::from_secs(1) * clients as u32 / CALLS;
    let [many, few] = CLIENTS.map(|clients| slowest(url, clients, every(clients), action));
    let (few, many) = (few.await?, many.await?);
    report.compare("1,000 clients, against 64", many, few, Target::AtMost(SLOWER), seconds);
    let before = resident(process);
    let idle = connections(url, count).await?;
    let grown = resident(process).saturating_sub(before) as f64;
    let each = Target::AtMost(1.0);
    let what = format!("memory of an idle connection, of {count}");
    report.compare(&what, grown / idle.len() as f64, EACH, each, bytes);
    let beside = slowest(url, CLIENTS[1], every(CLIENTS[1]), action).await?;
    report.compare("64 clients beside them, against 64 alone", beside, few, Target::AtMost(SLOWER), seconds);
    Ok(())
}

/// How long the fastest of the slowest hundredth of calls took, in seconds. `every`: the time between two calls of a client.
pub(super) async fn slowest(
    url: &str,
    clients: usize,
    every: Duration,
    action: &reapi::Digest,
) -> Result<f64> {
    let mut channels = Vec::new();
    for _ in 0..clients {
        channels.push(Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?);
    }
    let action = Arc::new(action.clone());
    let tasks = channels.into_iter().map(|channel| tokio::spawn(calls(channel, Arc::clone(&action), every)));
    let mut times = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        times.extend(task.await??);
    }
    Ok(slowest_hundredth(times))
}

/// The fastest of the slowest hundredth.
pub(super) fn slowest_hundredth(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// How long each call of a client took.
async fn calls(channel: Channel, action: Arc<reapi::Digest>, every: Duration) -> Result<Vec<f64>> {
    let (mut client, end) = (ActionCacheClient::new(channel), Instant::now() + LASTS);
    // They do not all call at the same time.
    tokio::time::sleep(every.mul_f64(fastrand::f64())).await;
    let (mut turns, mut times) = (tokio::time::interval(every), Vec::new());
    while Instant::now() < end {
        turns.tick().await;
        let request = GetActionResultRequest {
            action_digest: Some((*action).clone()),
            ..GetActionResultRequest::default()
        };
        let begin = Instant::now();
        client.get_action_result(request).await?;
        times.push(begin.elapsed().as_secs_f64());
    }
    Ok(times)
}

/// Connections to a server that have said hello and nothing since.
async fn connections(url: &str, count: usize) -> Result<Vec<TcpStream>> {
    let to: SocketAddr = url.trim_start_matches("http://").trim_end_matches('/').parse()?;
    let mut connections = Vec::new();
    for number in 0..count {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 1, 1 + (number / FROM_ONE) as u8), 0).into())?;
        let mut connection = socket.connect(to).await?;
        connection.write_all(HTTP2_HELLO).await?;
        // Its settings: it has taken the connection in.
        connection.read_exact(&mut [0; 9]).await?;
        connections.push(connection);
    }
    Ok(connections)
}

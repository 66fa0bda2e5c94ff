//! Logs that are read while the step runs.

use std::time::Duration;

use cullet_cache::{ActionResult, KnownLog, LogCursor, LogStream, NextBytes, Stream};
use cullet_proto::v1::attempt_logs_client::AttemptLogsClient;
use cullet_proto::v1::{Attempt, LogChunk, ReadAttemptLogRequest};
use cullet_worker::remote::Limits;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::fixture::{FUNCTION, Fixture, attempt, limits};
use crate::peer::{PATIENCE, Peer};

struct Server {
    channel: Channel,
    _stop: DropGuard,
}

impl Server {
    async fn start(fixture: &Fixture) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        tokio::spawn({
            let (daemon, stop) = (fixture.daemon.clone(), stop.clone());
            async move { daemon.serve(listener, tonic::service::Routes::default(), stop).await.unwrap() }
        });
        let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
        Self { channel, _stop: stop.drop_guard() }
    }

    async fn read(&self, attempt: &Attempt, offset: u64, follow: bool) -> Result<Streaming<LogChunk>, Code> {
        let request = ReadAttemptLogRequest { attempt: Some(attempt.clone()), offset, follow };
        let answer = AttemptLogsClient::new(self.channel.clone()).read_attempt_log(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| status.code())
    }

    /// Everything from `offset` on, in `text`.
    async fn append(&self, attempt: &Attempt, text: &mut Vec<u8>, follow: bool, most: usize) -> bool {
        let mut chunks = self.read(attempt, text.len() as u64, follow).await.unwrap();
        for _ in 0..most {
            match tokio::time::timeout(PATIENCE, chunks.message()).await.unwrap().unwrap() {
                Some(chunk) => {
                    assert_eq!(chunk.offset, text.len() as u64);
                    text.extend_from_slice(&chunk.data);
                }
                None => return false,
            }
        }
        true
    }
}

/// The log as the cache has it.
async fn from_cache(fixture: &Fixture, result: &ActionResult) -> Vec<u8> {
    let mut streams = Vec::new();
    for log in [&result.stdout, &result.stderr] {
        streams.push(match log {
            LogStream::Inline(bytes) => bytes.clone(),
            LogStream::Blob(digest) => fixture.shared.blobs.get(digest).await.unwrap().into_bytes().unwrap(),
        });
    }
    let known = KnownLog::whole(&result.interleaving, streams[0].len() as u64, streams[1].len() as u64);
    let (mut cursor, mut all) = (LogCursor::default(), Vec::new());
    while let NextBytes::Here { stream, from, len } = cursor.next(known) {
        let source = &streams[usize::from(stream == Stream::Stderr)];
        all.extend_from_slice(&source[from as usize..(from + len) as usize]);
        cursor.advance(stream, len);
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_reconnects_sees_every_byte_once_also_after_the_end() {
    let mut peer = Peer::start().await;
    let limits = Limits { log_grace: Duration::from_secs(2), ..limits() };
    let fixture = Fixture::with(&[&peer.address], limits);
    let server = Server::start(&fixture).await;
    let mut call = peer.welcome().await;
    let script = "i=0; while [ $i -lt 3000 ]; do echo \"line $i\"; [ $((i % 7)) = 0 ] && echo \"warning $i\" >&2; \
                  [ $((i % 500)) = 0 ] && sleep 0.05; i=$((i+1)); done; printf end >&2";
    assert_eq!(server.read(&attempt(0, 1), 0, true).await.unwrap_err(), Code::NotFound);
    call.start(&fixture.start(0, 1, script)).await;
    while server.read(&attempt(0, 1), 0, false).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut live = Vec::new();
    let mut connections = 1;
    // Reconnects after every few pieces.
    while server.append(&attempt(0, 1), &mut live, true, connections % 9 + 1).await {
        connections += 1;
    }
    // On a busy machine the reader finds more of it at once.
    assert!(connections > 3, "{connections} connections");
    let finished = call.finished().await;
    let result = ActionResult::decode(FUNCTION, finished.result).unwrap();
    assert!(matches!(result.stdout, LogStream::Blob(_)));
    assert!(result.interleaving.len() > 10, "{:?}", result.interleaving);
    let cached = from_cache(&fixture, &result).await;
    assert!(live == cached, "{} bytes live, {} in the cache", live.len(), cached.len());
    // After the end, and for a while after that is in the log; whoever comes later looks into the cache.
    for _ in 0..2 {
        for offset in [0, 1, cached.len() / 2, cached.len() - 1, cached.len()] {
            let mut text = cached[..offset].to_vec();
            assert!(!server.append(&attempt(0, 1), &mut text, true, usize::MAX).await);
            assert!(text == cached, "from {offset} on");
        }
        call.acknowledge(&attempt(0, 1)).await;
    }
    let started = std::time::Instant::now();
    while server.read(&attempt(0, 1), 0, false).await.is_ok() {
        assert!(started.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_holds_back_nobody() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let server = Server::start(&fixture).await;
    let mut call = peer.welcome().await;
    call.start(&fixture.start(
        0,
        1,
        "touch $D/runs; while [ ! -e $D/go ]; do sleep 0.05; done; yes | head -c 30000000",
    ))
    .await;
    fixture.until("runs").await;
    let mut stuck = server.read(&attempt(0, 1), 0, true).await.unwrap();
    std::fs::write(fixture.path("go"), "").unwrap();
    let finished = call.finished().await;
    assert!(finished.has_exit_code && finished.exit_code == 0, "{finished:?}");
    let mut bytes = 0;
    while let Some(chunk) = stuck.message().await.unwrap() {
        assert_eq!(chunk.offset, bytes);
        bytes += chunk.data.len() as u64;
    }
    assert_eq!(bytes, 30_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_is_healthy_and_refuses_what_names_no_attempt() {
    let peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let server = Server::start(&fixture).await;
    let mut bad = attempt(0, 1);
    bad.run = "nonsense".to_owned();
    assert_eq!(server.read(&bad, 0, false).await.unwrap_err(), Code::InvalidArgument);
    for service in ["", "cullet.v1.AttemptLogs"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = HealthClient::new(server.channel.clone()).check(request).await.unwrap();
        assert_eq!(answer.into_inner().status, 1, "{service}");
    }
}

//! Calls, streams and logs over coordinators that stop in the middle.

use std::sync::Mutex;
use std::time::Duration;

use cullet_cache::Stream;
use cullet_proto::v1;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::testing::{Script, broken, chunk, cluster, queued, serve};
use super::{ClusterError, LogTail, Missing, Patience, Watch};

const SHORT: Patience = Patience {
    answer: Duration::from_secs(5),
    outage: Duration::from_millis(400),
    queue: Duration::from_secs(5),
    say: |_| {},
    tell: |_| {},
};

/// An address at which nobody listens.
const DEAD: &str = "http://127.0.0.1:1";

async fn submit(cluster: &super::Cluster, patience: Patience) -> Result<v1::SubmitResponse, ClusterError> {
    let request = v1::SubmitRequest { request_id: "id".to_owned(), ..Default::default() };
    let call = |mut client: v1::runs_client::RunsClient<tonic::transport::Channel>| {
        let request = request.clone();
        async move { client.submit(request).await }
    };
    cluster.call(patience, call).await
}

fn accepted() -> Result<v1::SubmitResponse, Status> {
    Ok(v1::SubmitResponse { run: "r".to_owned(), existed: false })
}

#[tokio::test]
async fn a_call_goes_to_whoever_answers_and_waits_for_room() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(60)));
    let full = Status::with_error_details(Code::ResourceExhausted, "the queue is full", details);
    let script =
        Script { submits: Mutex::new([broken(), Err(full), accepted()].into()), ..Script::default() };
    let server = serve(script).await;
    let cluster = cluster(&[DEAD, &server.url]);
    let start = std::time::Instant::now();
    assert_eq!(submit(&cluster, Patience::ASKING).await.unwrap().run, "r");
    assert!(start.elapsed() >= Duration::from_millis(60));
    assert_eq!(server.script.asked(), ["submit id"; 3]);
}

#[tokio::test]
async fn a_call_is_not_made_again_once_it_is_stopped() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(20)));
    let full = Status::with_error_details(Code::ResourceExhausted, "the queue is full", details);
    let script = Script { submits: Mutex::new([Err(full), accepted()].into()), ..Script::default() };
    let server = serve(script).await;
    let (cluster, stop) = (cluster(&[&server.url]), CancellationToken::new());
    let call = |mut client: v1::runs_client::RunsClient<tonic::transport::Channel>| async move {
        client.submit(v1::SubmitRequest { request_id: "id".to_owned(), ..Default::default() }).await
    };
    let start = std::time::Instant::now();
    let stopping = async {
        while server.script.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let (answer, ()) = tokio::join!(cluster.call_until(&stop, Patience::ASKING, call), stopping);
    assert!(matches!(answer, Err(ClusterError::Stopped)), "{answer:?}");
    assert_eq!(server.script.asked(), ["submit id"]);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_outage_is_given_up_in_the_words_of_whoever_is_there() {
    let error = submit(&cluster(&[DEAD]), SHORT).await.unwrap_err();
    let ClusterError::Unreachable { tried } = &error else { panic!("{error}") };
    assert!(tried.len() == 1 && tried[0].0 == DEAD && tried[0].1.contains("refused"), "{tried:?}");

    let server = serve(Script::default()).await;
    let error = submit(&cluster(&[&server.url, DEAD]), SHORT).await.unwrap_err();
    assert!(matches!(&error, ClusterError::Unavailable { message } if message == "no worker has joined yet"));
}

#[tokio::test]
async fn a_no_is_not_asked_for_twice() {
    let wrong = Status::invalid_argument("cullet.yaml:1:1: no");
    let script = Script { submits: Mutex::new([Err(wrong), accepted()].into()), ..Script::default() };
    let server = serve(script).await;
    let error = submit(&cluster(&[&server.url]), SHORT).await.unwrap_err();
    assert!(matches!(error, ClusterError::Refused { code: Code::InvalidArgument, .. }), "{error}");
    assert_eq!(server.script.asked().len(), 1);
}

#[tokio::test]
async fn events_come_once_and_without_a_gap_over_broken_streams() {
    let watches = [
        vec![queued(1), queued(2), broken()],
        // Somebody who knows less, somebody who repeats, somebody who leaves one out, and somebody who just stops.
        vec![],
        vec![queued(2), queued(3), queued(5)],
        vec![queued(4), queued(5), queued(6)],
    ];
    let server = serve(Script { watches: Mutex::new(watches.into()), ..Script::default() }).await;
    let mut watch = Watch::new(cluster(&[&server.url]), "r");
    for sequence in 1..=6 {
        assert_eq!(watch.next().await.unwrap().sequence, sequence);
    }
    let asked = ["watch after 0", "watch after 2", "watch after 2", "watch after 3"];
    assert_eq!(server.script.asked(), asked);
}

async fn read(
    server: &super::testing::Scripted,
    missing: Missing,
) -> Result<Vec<(Stream, String)>, ClusterError> {
    let request = v1::ReadLogRequest { step: "s".to_owned(), follow: true, ..Default::default() };
    let mut tail = LogTail::new(cluster(&[&server.url]), request, missing, Duration::from_millis(500));
    let mut all = Vec::new();
    while let Some(printed) = tail.next().await? {
        all.push((printed.stream, String::from_utf8(printed.data.to_vec()).unwrap()));
    }
    Ok(all)
}

#[tokio::test]
async fn each_byte_of_a_log_comes_once_however_it_is_cut() {
    let answers = [
        vec![Err(Status::not_found("it has only just started"))],
        vec![chunk(0, false, b"abc"), chunk(3, true, b"DE"), broken()],
        // Cut elsewhere: a part is known, and all of one chunk.
        vec![chunk(0, false, b"abc"), chunk(2, true, b"xDEF"), chunk(9, false, b"gap")],
        vec![chunk(6, false, b"ghi")],
    ];
    let logs = Mutex::new([("s".to_owned(), answers.into())].into());
    let server = serve(Script { logs, ..Script::default() }).await;
    let printed = read(&server, Missing::MayCome).await.unwrap();
    let expected = [
        (Stream::Stdout, "abc".to_owned()),
        (Stream::Stderr, "DE".to_owned()),
        (Stream::Stderr, "F".to_owned()),
        (Stream::Stdout, "ghi".to_owned()),
    ];
    assert_eq!(printed, expected);
    let asked = ["log of s from 0", "log of s from 0", "log of s from 5", "log of s from 6"];
    assert_eq!(server.script.asked(), asked);
}

#[tokio::test]
async fn a_log_that_is_nowhere_is_an_error_at_once_or_after_a_while() {
    let nowhere = || vec![Err(Status::not_found("there is no such log"))];
    for (missing, calls) in [(Missing::IsFinal, 1..2), (Missing::MayCome, 3..50)] {
        let answers = (0..50).map(|_| nowhere()).collect();
        let logs = Mutex::new([("s".to_owned(), answers)].into());
        let server = serve(Script { logs, ..Script::default() }).await;
        let error = read(&server, missing).await.unwrap_err();
        assert!(matches!(error, ClusterError::Refused { code: Code::NotFound, .. }), "{error}");
        assert!(calls.contains(&server.script.asked().len()), "{missing:?}");
    }
}

#[tokio::test]
async fn a_run_is_found_by_the_start_of_its_name() {
    const ONE: &str = "0193a4b2c3d40000000000000000000a";
    const TWO: &str = "0193a4b2c3d40000000000000000000b";
    const THREE: &str = "01939999000000000000000000000000";
    let server = serve(Script { runs: vec![ONE, TWO, THREE], ..Script::default() }).await;
    let cluster = cluster(&[&server.url]);
    assert_eq!(cluster.find(None, None).await.unwrap(), ONE);
    assert_eq!(cluster.find(Some("01939"), None).await.unwrap(), THREE);
    assert_eq!(cluster.find(Some(&TWO.to_uppercase()), None).await.unwrap(), TWO);
    let error = cluster.find(Some("0193a4"), None).await.unwrap_err();
    assert!(matches!(&error, ClusterError::AmbiguousRun { candidates, .. } if candidates.len() == 2));
    for unknown in ["ff", "", "build", &"0".repeat(33)] {
        let error = cluster.find(Some(unknown), None).await.unwrap_err();
        assert!(matches!(error, ClusterError::UnknownRun { .. }), "{unknown}: {error}");
    }
}

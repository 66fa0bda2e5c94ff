//! The end of a worker.

use std::time::Duration;

use cullet_proto::v1::attempt_finished::Outcome;
use cullet_proto::v1::worker_message::Message as Heard;
use cullet_worker::remote::{Drained, Limits};

use crate::fixture::{Fixture, attempt, limits};
use crate::peer::Peer;

const ALL: Drained = Drained { running: 0, unacknowledged: 0 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_finished_and_nothing_is_begun() {
    let mut peer = Peer::start().await;
    let mut fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    call.start(&fixture.start(0, 1, "touch $D/runs; while [ ! -e $D/go ]; do sleep 0.05; done")).await;
    fixture.until("runs").await;
    fixture.drain.cancel();
    while !matches!(call.heard().await, Heard::Draining(_)) {}
    call.start(&fixture.start(1, 1, "touch $D/late")).await;
    let refused = call.finished().await;
    let Some(Outcome::Infra(infra)) = &refused.outcome else { panic!("{refused:?}") };
    assert_eq!(infra.reason, "the worker is shutting down");
    call.acknowledge(&attempt(1, 1)).await;
    // Also on a stream that begins later.
    drop(call);
    let mut call = peer.welcome().await;
    assert!(call.hello.draining);
    std::fs::write(fixture.path("go"), "").unwrap();
    let finished = call.finished().await;
    assert!(matches!(finished.outcome, Some(Outcome::Succeeded(_))), "{finished:?}");
    call.acknowledge(&attempt(0, 1)).await;
    assert_eq!(fixture.end().await, ALL);
    assert!(!fixture.path("late").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_too_long_is_stopped_and_is_no_fault_of_the_step() {
    let mut peer = Peer::start().await;
    let limits = Limits { drain: Duration::from_millis(300), ..limits() };
    let mut fixture = Fixture::with(&[&peer.address], limits);
    let mut call = peer.welcome().await;
    call.start(&fixture.start(0, 1, "touch $D/runs; exec sleep 1000")).await;
    fixture.until("runs").await;
    fixture.drain.cancel();
    let finished = call.finished().await;
    let Some(Outcome::Infra(infra)) = &finished.outcome else { panic!("{finished:?}") };
    assert_eq!(infra.reason, "the worker is shutting down");
    assert!(!finished.result.is_empty());
    call.acknowledge(&attempt(0, 1)).await;
    assert_eq!(fixture.end().await, ALL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_farewell_that_nobody_answers_ends_as_well() {
    let mut peer = Peer::start().await;
    let limits = Limits { farewell: Duration::from_millis(300), ..limits() };
    let mut fixture = Fixture::with(&[&peer.address], limits);
    let mut call = peer.welcome().await;
    call.start(&fixture.start(0, 1, "true")).await;
    call.finished().await;
    drop(peer);
    fixture.drain.cancel();
    assert_eq!(fixture.end().await, Drained { running: 0, unacknowledged: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_it_takes_nothing_until_it_greets_anew() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    assert!(!call.hello.draining);
    call.start(&fixture.start(0, 1, "touch $D/runs; while [ ! -e $D/go ]; do sleep 0.05; done")).await;
    fixture.until("runs").await;
    fixture.room.set(false);
    while !matches!(call.heard().await, Heard::Draining(_)) {}
    fixture.room.set(true);
    let mut call = peer.welcome().await;
    assert_eq!((call.hello.draining, &*call.hello.running), (false, &[attempt(0, 1)][..]));
    std::fs::write(fixture.path("go"), "").unwrap();
    let finished = call.finished().await;
    assert!(matches!(finished.outcome, Some(Outcome::Succeeded(_))), "{finished:?}");
    fixture.room.set(false);
    while !matches!(call.heard().await, Heard::Draining(_)) {}
    drop(call);
    assert!(peer.welcome().await.hello.draining, "also on a stream that begins later");
}

//! Start, stop, report, acknowledge.

use cullet_cache::ActionResult;
use cullet_digest::Digest;
use cullet_proto::v1::attempt_finished::Outcome;
use cullet_proto::v1::worker_message::Message as Heard;
use cullet_proto::v1::{Infra, StartInput, Tree, tree};
use cullet_worker::remote::Limits;

use crate::fixture::{FUNCTION, Fixture, attempt, limits, start};
use crate::peer::Peer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_runs_is_published_reported_and_forgotten() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    assert_eq!((call.hello.name.as_str(), call.hello.incarnation, call.hello.draining), ("w", 7, false));
    assert_eq!((call.hello.cpu_millis, call.hello.labels["Arch"].as_str()), (4000, "x86_64"));

    let mut wanted = start(3, 5, "echo made > out; echo printed; exit 0", &["out"]);
    let source = FUNCTION.digest(b"source");
    let wire = |digest: Digest| cullet_proto::v1::Digest {
        hash: digest.hash_hex(),
        size_bytes: digest.size() as i64,
    };
    wanted.inputs = vec![StartInput {
        path: "src".to_owned(),
        tree: Some(Tree { kind: tree::Kind::File.into(), digest: Some(wire(source)) }),
        holders: vec![],
    }];
    call.start(&wanted).await;
    let finished = call.finished().await;
    assert_eq!(finished.attempt, Some(attempt(3, 5)));
    let Some(Outcome::Succeeded(succeeded)) = &finished.outcome else { panic!("{finished:?}") };
    let made = FUNCTION.digest(b"made\n");
    let tree = Tree { kind: tree::Kind::File.into(), digest: Some(wire(made)) };
    assert_eq!(succeeded.outputs, [tree]);
    assert_eq!((finished.exit_code, finished.has_exit_code, finished.recorded), (0, true, false));
    assert!(finished.notes.is_empty(), "{finished:?}");
    let result = ActionResult::decode(FUNCTION, finished.result).unwrap();
    assert_eq!(result.outputs.len(), 1);
    assert_eq!(fixture.shared.blobs.get(&made).await.unwrap().into_bytes().unwrap(), "made\n");

    let holdings = loop {
        match call.heard().await {
            Heard::Holdings(holdings) if !holdings.trees.is_empty() => break holdings,
            Heard::Finished(finished) => panic!("{finished:?}"),
            _ => {}
        }
    };
    assert_eq!(holdings.trees, [wire(made), wire(source)]);

    call.acknowledge(&attempt(3, 5)).await;
    // A coordinator that leads no more asks for it again.
    call.start(&wanted).await;
    call.assert_quiet(10).await;
    drop(call);
    let call = peer.welcome().await;
    assert_eq!((call.hello.running.len(), call.hello.finished.len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hundredth_start_is_the_first_one() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    let start = fixture.start(0, 1, "echo x >> $D/runs; while [ ! -e $D/go ]; do sleep 0.05; done; exit 9");
    for _ in 0..100 {
        call.start(&start).await;
    }
    fixture.until("runs").await;
    call.assert_quiet(5).await;
    std::fs::write(fixture.path("go"), "").unwrap();
    let first = call.finished().await;
    assert!(matches!(&first.outcome, Some(Outcome::Failed(failed)) if failed.exit_code == 9), "{first:?}");
    for _ in 0..3 {
        call.start(&start).await;
        assert_eq!(call.finished().await, first);
    }
    call.acknowledge(&attempt(0, 1)).await;
    for _ in 0..100 {
        call.start(&start).await;
    }
    call.assert_quiet(5).await;
    assert_eq!(fixture.lines("runs"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_epoch_takes_the_place_of_an_older_one() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    call.start(&fixture.start(0, 1, "trap '' TERM; echo $$ > $D/old; while :; do sleep 0.05; done")).await;
    fixture.until("old").await;
    // The older process, which has to be killed, is gone before the newer one begins.
    let newer = "kill -0 $(cat $D/old) 2>/dev/null && exit 3; echo new";
    call.start(&fixture.start(0, 2, newer)).await;
    let finished = call.finished().await;
    assert_eq!(finished.attempt, Some(attempt(0, 2)));
    assert!(matches!(finished.outcome, Some(Outcome::Succeeded(_))), "{finished:?}");
    // What is older than what is known is nobody's wish any more.
    call.start(&fixture.start(0, 1, "echo x > $D/late")).await;
    call.stop(&attempt(0, 1)).await;
    call.assert_quiet(10).await;
    call.acknowledge(&attempt(0, 1)).await;
    drop(call);
    let call = peer.accept().await;
    assert_eq!((call.hello.running.len(), call.hello.finished.len()), (0, 1));
    assert!(!fixture.path("late").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_ends_what_runs_and_answers_for_what_never_did() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    call.start(&fixture.start(0, 1, "echo before; touch $D/runs; exec sleep 1000")).await;
    fixture.until("runs").await;
    call.stop(&attempt(0, 1)).await;
    let finished = call.finished().await;
    assert!(matches!(finished.outcome, Some(Outcome::Cancelled(_))), "{finished:?}");
    let result = ActionResult::decode(FUNCTION, finished.result).unwrap();
    assert_eq!(result.stdout, cullet_cache::LogStream::Inline("before\n".into()));

    call.stop(&attempt(1, 4)).await;
    let never = call.finished().await;
    assert_eq!(never.attempt, Some(attempt(1, 4)));
    assert!(matches!(never.outcome, Some(Outcome::Cancelled(_))), "{never:?}");
    // The Start that it overtook.
    call.start(&fixture.start(1, 4, "touch $D/late")).await;
    assert_eq!(call.finished().await, never);
    assert!(!fixture.path("late").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_started_while_too_many_reports_wait() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::with(&[&peer.address], Limits { unacknowledged: 2, ..limits() });
    let mut call = peer.welcome().await;
    for step in 0..2 {
        call.start(&fixture.start(step, 1, "echo x >> $D/runs")).await;
        call.finished().await;
    }
    for step in 2..4 {
        call.start(&fixture.start(step, 1, "echo x >> $D/runs")).await;
    }
    call.stop(&attempt(3, 1)).await;
    assert!(matches!(call.finished().await.outcome, Some(Outcome::Cancelled(_))));
    call.assert_quiet(10).await;
    assert_eq!(fixture.lines("runs"), 2);
    // It counts as running, so nobody gives it to another worker.
    drop(call);
    let mut call = peer.welcome().await;
    assert_eq!((call.hello.running.as_slice(), call.hello.finished.len()), (&[attempt(2, 1)][..], 3));
    call.acknowledge(&attempt(0, 1)).await;
    call.assert_quiet(5).await;
    call.acknowledge(&attempt(3, 1)).await;
    assert_eq!(call.finished().await.attempt, Some(attempt(2, 1)));
    assert_eq!(fixture.lines("runs"), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_understood_is_answered_with_the_reason() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    let mut call = peer.welcome().await;
    let mut nameless = fixture.start(0, 1, "true");
    nameless.attempt = None;
    call.start(&nameless).await;
    let good = fixture.start(1, 1, "true");
    let mut other = good.clone();
    other.action_message = fixture.start(1, 1, "false").action_message;
    call.start(&other).await;
    let mut reason = async || match call.finished().await.outcome {
        Some(Outcome::Infra(Infra { reason, .. })) => reason,
        other => panic!("{other:?}"),
    };
    let prefix = "the worker does not understand what to start: ";
    assert_eq!(reason().await, format!("{prefix}its action is not the one of its key"));
    let mut other = fixture.start(2, 1, "true");
    other.command_message = fixture.start(2, 1, "false").command_message;
    call.start(&other).await;
    let mut reason = async || match call.finished().await.outcome {
        Some(Outcome::Infra(Infra { reason, .. })) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason().await, format!("{prefix}its command is not the one that its action names"));
}

//! A shared store in trouble.

use std::sync::atomic::Ordering;

use cullet_cache::{ActionResult, LogStream};
use cullet_proto::v1::attempt_finished::Outcome;

use crate::fixture::{FUNCTION, Fixture, start};
use crate::peer::Peer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_stumbles_is_asked_again() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    fixture.shared.failures.store(2, Ordering::Relaxed);
    let mut call = peer.welcome().await;
    call.start(&start(0, 1, "echo x > out", &["out"])).await;
    let finished = call.finished().await;
    assert!(matches!(finished.outcome, Some(Outcome::Succeeded(_))), "{finished:?}");
    assert_eq!(fixture.shared.tries.load(Ordering::Relaxed), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_success_that_cannot_be_stored_is_none_and_a_failure_stays_one() {
    let mut peer = Peer::start().await;
    let fixture = Fixture::new(&[&peer.address]);
    fixture.shared.failures.store(usize::MAX, Ordering::Relaxed);
    let mut call = peer.welcome().await;
    let noisy = "i=0; while [ $i -lt 2000 ]; do echo line $i; i=$((i+1)); done; echo why >&2; echo x > out; ";
    call.start(&start(0, 1, &format!("{noisy} exit 0"), &["out"])).await;
    call.start(&start(1, 1, &format!("{noisy} exit 4"), &["out"])).await;
    for _ in 0..2 {
        let finished = call.finished().await;
        let result = ActionResult::decode(FUNCTION, finished.result.clone()).unwrap();
        assert_eq!((result.outputs.len(), result.stdout), (0, LogStream::default()));
        assert_eq!(result.stderr, LogStream::Inline("why\n".into()));
        let trouble = "what it left cannot be stored where others find it: the bucket is on fire";
        match (finished.attempt.unwrap().step, finished.outcome.unwrap()) {
            (0, Outcome::Infra(infra)) => assert_eq!(infra.reason, trouble),
            (1, Outcome::Failed(failed)) => {
                assert_eq!((failed.exit_code, &*finished.notes), (4, &[trouble.to_owned()][..]))
            }
            other => panic!("{other:?}"),
        }
    }
    // Bounded: a first try and five more for each.
    assert_eq!(fixture.shared.tries.load(Ordering::Relaxed), 12);
}

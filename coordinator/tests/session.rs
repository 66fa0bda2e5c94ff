//! Sessions over a world of memory: what is executed, what is not, and what is said about it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cullet_coordinator::event::{Event, SharedUse};
use cullet_coordinator::session::StoreBehind;
use cullet_digest::Digest;
use world::{TestStep, World, step};

#[tokio::test]
async fn a_second_run_executes_nothing() {
    let world = World::default();
    let steps = [step("a", "print 1", &[]), step("b", "print 2", &[0])];
    let cold = world.run(&steps).await;
    assert_eq!((cold.end.status.as_str(), cold.end.executed, cold.end.cached), ("succeeded", 2, 0));
    let warm = world.run(&steps).await;
    assert_eq!((warm.end.executed, warm.end.cached, warm.started.len()), (0, 2, 0));
    assert_eq!(warm.end.saved_ms, 10);
    assert_eq!(warm.step("b").action_digest, cold.step("b").action_digest);
}

#[tokio::test]
async fn an_equal_output_cuts_off_what_depends_on_it() {
    let world = World::default();
    world.run(&[step("a", "print same", &[]), step("b", "print 2", &[0])]).await;
    let edited = TestStep { effects: false, ..step("a", "print same", &[]) };
    let other =
        world.run(&[TestStep { script: "print same ", ..edited.clone() }, step("b", "print 2", &[0])]).await;
    assert_eq!(other.started, ["a", "b"], "the output differs by a space");
    let world = World::default();
    world.run(&[step("a", "print same", &[]), step("b", "print 2", &[0])]).await;
    world.memory.results.lock().unwrap().retain(|_, result| {
        result.outputs[0].path != "out" || {
            // Forget a's result only: it prints the same bytes again.
            let text = cullet_digest::TreeRef::File { digest: world::F.digest(b"same"), executable: false };
            result.outputs[0].kind != cullet_cache::OutputKind::Tree(text)
        }
    });
    let again = world.run(&[step("a", "print same", &[]), step("b", "print 2", &[0])]).await;
    assert_eq!((again.started.as_slice(), again.end.cached), (&["a".to_owned()][..], 1));
}

#[tokio::test]
async fn identical_steps_execute_once() {
    let outcome = World::default().run(&[step("a", "print 1", &[]), step("b", "print 1", &[])]).await;
    assert_eq!((outcome.end.executed, outcome.end.cached, outcome.started.len()), (1, 1, 1));
}

#[tokio::test]
async fn a_failure_skips_what_needs_it_and_stops_what_runs() {
    let steps = [step("a", "fail", &[]), step("b", "hang", &[]), step("c", "print 1", &[0])];
    let outcome = World::default().run(&steps).await;
    assert_eq!(outcome.end.status, "failed");
    assert_eq!(outcome.step("a").exit_code, Some(1));
    assert_eq!(outcome.step("b").status, "cancelled");
    let skipped = outcome.step("c");
    assert_eq!(
        (skipped.status.as_str(), skipped.reason.as_deref()),
        ("skipped", Some("needs a, which failed"))
    );
}

#[tokio::test]
async fn keep_going_runs_what_does_not_need_the_failure() {
    let world = World { keep_going: true, ..World::default() };
    let steps = [step("a", "fail", &[]), step("b", "print 1", &[]), step("c", "print 2", &[1])];
    let outcome = world.run(&steps).await;
    assert_eq!((outcome.end.status.as_str(), outcome.end.executed), ("failed", 2));
}

#[tokio::test]
async fn a_lost_input_is_made_again_and_said_once() {
    let world = World { lose: &["b"], ..World::default() };
    let outcome = world.run(&[step("a", "print 1", &[]), step("b", "print 2", &[0])]).await;
    assert_eq!(
        (outcome.end.status.as_str(), outcome.started.as_slice()),
        ("succeeded", &["a", "b", "a", "b"].map(str::to_owned)[..])
    );
    assert_eq!(outcome.notes().len(), 1, "{:?}", outcome.notes());
}

#[tokio::test]
async fn a_lost_input_root_is_stored_again_and_uses_up_no_retry() {
    let world = World { evict: &["b"], retry_infra: 0, ..World::default() };
    let outcome = world.run(&[step("a", "print 1", &[]), step("b", "print 2", &[0])]).await;
    assert_eq!((outcome.end.status.as_str(), outcome.end.executed), ("succeeded", 2));
    assert_eq!(outcome.started, ["a", "b", "b"]);
    let note = "trying again (attempt 2): its inputs could not be read from the cache";
    assert_eq!(outcome.notes(), [note]);
}

#[tokio::test]
async fn a_retry_is_announced_with_its_reason() {
    let world = World { refuse: &["a"], retry_infra: 1, ..World::default() };
    let outcome = world.run(&[step("a", "print 1", &[])]).await;
    assert_eq!((outcome.end.status.as_str(), outcome.started.len()), ("succeeded", 2));
    assert_eq!(outcome.notes(), ["trying again (attempt 2): no launcher"]);
    let note = outcome.events.iter().position(|event| matches!(event, Event::Note(_)));
    let again = outcome
        .events
        .iter()
        .position(|event| matches!(event, Event::StepStarted(start) if start.attempt == 2));
    assert!(note < again, "why comes before what");
}

#[tokio::test]
async fn lost_outputs_are_made_again_before_the_run_ends() {
    let world = World { deliver: true, ..World::default() };
    *world.delivery.lose.lock().unwrap() = 1;
    let outcome = world.run(&[step("a", "print 1", &[])]).await;
    assert_eq!((outcome.end.status.as_str(), outcome.started.len()), ("succeeded", 2));
    assert_eq!(*world.delivery.delivered.lock().unwrap(), ["result"]);
}

#[tokio::test]
async fn cancelling_ends_what_hangs() {
    let world = World::default();
    let cancel = world.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        cancel.cancel();
    });
    let outcome = world.run(&[step("a", "hang", &[]), step("b", "print 1", &[0])]).await;
    assert_eq!((outcome.end.status.as_str(), outcome.step("b").status.as_str()), ("cancelled", "cancelled"));
}

#[tokio::test]
async fn steps_with_effects_are_never_answered_by_the_cache() {
    let world = World::default();
    let steps = [TestStep { effects: true, ..step("deploy", "print 1", &[]) }];
    world.run(&steps).await;
    assert_eq!(world.run(&steps).await.started, ["deploy"]);
}

#[tokio::test]
async fn events_come_in_order() {
    let outcome = World::default().run(&[step("a", "print 1", &[])]).await;
    let names: Vec<&str> = outcome
        .events
        .iter()
        .map(|event| match event {
            Event::RunStarted(_) => "run_started",
            Event::StepStarted(_) => "step_started",
            Event::StepFinished(_) => "step_finished",
            Event::RunFinished(_) => "run_finished",
            _ => "other",
        })
        .collect();
    assert_eq!(names, ["run_started", "step_started", "step_finished", "run_finished"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wide_run_is_answered_by_the_cache_in_batches() {
    let world = World::default();
    let steps: Vec<TestStep> = (0..2000).map(|_| step("x", "print 1", &[])).collect();
    assert_eq!(world.run(&steps).await.end.executed, 1);
    assert_eq!(world.run(&steps).await.end.cached, 2000);
}

#[tokio::test]
async fn an_incomplete_result_is_said_and_made_again() {
    let world = World { incomplete: Some(2), ..World::default() };
    let outcome = world.run(&[step("a", "print 1", &[])]).await;
    let note = "the cached result of a is not whole (2 blobs are missing): running it again";
    assert_eq!((outcome.notes(), outcome.end.executed), (vec![note], 1));
    let kinds = outcome.events.iter().filter_map(|event| match event {
        cullet_coordinator::Event::Note(note) => Some(note.kind.as_deref()),
        _ => None,
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [Some("rerun")]);
}

/// A store that gave one result, and takes its time at the end.
#[derive(Default)]
struct Behind {
    gave: Mutex<Option<Digest>>,
    slow: AtomicBool,
}

#[async_trait]
impl StoreBehind for Behind {
    fn gave(&self, action: &Digest) -> bool {
        *self.gave.lock().unwrap() == Some(*action)
    }

    async fn settle(&self, cancelled: bool) -> SharedUse {
        if self.slow.load(Ordering::Relaxed) && !cancelled {
            std::future::pending::<()>().await;
        }
        SharedUse { location: "there".to_owned(), unpublished: cancelled.into(), ..SharedUse::default() }
    }
}

#[tokio::test]
async fn it_is_said_which_cache_answered() {
    let behind = Arc::new(Behind::default());
    let world = World { behind: Some(behind.clone()), ..World::default() };
    let steps = [step("a", "print 1", &[]), step("b", "print 2", &[0])];
    let cold = world.run(&steps).await;
    assert_eq!((cold.step("a").from, cold.end.shared_cache.as_ref().unwrap().cached_local), (None, 0));
    let key = cold.step("b").action_digest.unwrap();
    *behind.gave.lock().unwrap() = Some(Digest::parse(world::F, &key).unwrap());
    let warm = world.run(&steps).await;
    let from = ["a", "b"].map(|step| warm.step(step).from.unwrap());
    assert_eq!(from, ["local", "shared"]);
    let shared = warm.end.shared_cache.as_ref().unwrap();
    assert_eq!((shared.location.as_str(), shared.cached_local, shared.cached_shared), ("there", 1, 1));
    let alone = World { memory: world.memory.clone(), ..World::default() }.run(&steps).await;
    assert_eq!((alone.step("b").from, alone.end.shared_cache), (None, None));
}

#[tokio::test]
async fn whoever_cancels_does_not_wait_for_what_is_still_to_be_published() {
    let behind = Arc::new(Behind::default());
    behind.slow.store(true, Ordering::Relaxed);
    let world = World { behind: Some(behind), ..World::default() };
    let (steps, cancel) = ([step("a", "print 1", &[])], world.cancel.clone());
    let later = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        cancel.cancel();
    };
    let (run, ()) = tokio::join!(world.run(&steps), later);
    assert_eq!((run.end.status.as_str(), run.end.shared_cache.unwrap().unpublished), ("succeeded", 1));
}

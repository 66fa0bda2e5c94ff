use std::time::Duration;

use cullet_cache::Action;
use cullet_digest::DigestFunction;
use cullet_proto::v1::attempt_finished::Outcome as Wire;

use super::*;
use crate::StepLimits;

fn key(step: u32, epoch: u64) -> AttemptKey {
    let run = "0".repeat(32);
    AttemptKey::from_wire(Some(v1::Attempt { run, step, attempt: 1, epoch })).unwrap()
}

fn start(step: u32, epoch: u64) -> Start {
    let digest = DigestFunction::Blake3.digest(b"");
    let action = Action {
        arguments: vec!["true".to_owned()],
        env: vec![],
        working_directory: String::new(),
        outputs: vec![],
        input_root: digest,
        platform: vec![],
        timeout: Duration::from_secs(1),
        do_not_cache: false,
        salt: vec![],
        trees: false,
    };
    let (outputs, inputs, held, reports) = (vec![], vec![], vec![], vec![]);
    Start {
        key: key(step, epoch),
        name: "s".to_owned(),
        digest,
        action: action.into(),
        outputs,
        inputs,
        held,
        reports,
        image: None,
        service_images: Default::default(),
        limits: StepLimits::default(),
        caches: vec![],
        scope: cullet_cache::Scope::Protected,
        trace: None,
    }
}

fn table(most_unacknowledged: usize) -> Table {
    Table::new(most_unacknowledged, Retired::new(2))
}

fn done(table: &mut Table, step: u32, epoch: u64) {
    let key = key(step, epoch);
    table.finished(key, report(key, Conclusion::bare(Outcome::TimedOut)));
}

/// The steps, epochs and outcomes that are still to be sent.
fn unsent(table: &mut Table, session: u64) -> Vec<(u32, u64, Wire)> {
    let mut all = Vec::new();
    while let Some(report) = table.unsent(session) {
        let attempt = report.attempt.unwrap();
        all.push((attempt.step, attempt.epoch, report.outcome.unwrap()));
    }
    all
}

fn timed_out() -> Wire {
    Wire::TimedOut(v1::TimedOut {})
}

#[test]
fn an_attempt_is_launched_once_and_reported_until_it_is_acknowledged() {
    let mut table = table(10);
    assert!(table.start(start(0, 1)).unwrap().is_some());
    assert!(table.start(start(0, 1)).unwrap().is_none());
    assert_eq!((table.running(), unsent(&mut table, 1)), (1, vec![]));
    done(&mut table, 0, 1);
    done(&mut table, 0, 1);
    assert_eq!((table.running(), table.unacknowledged()), (0, 1));
    assert_eq!(unsent(&mut table, 1), [(0, 1, timed_out())]);
    assert_eq!(unsent(&mut table, 1), []);
    // Another session, or somebody who asks.
    assert_eq!(unsent(&mut table, 2), [(0, 1, timed_out())]);
    assert!(table.start(start(0, 1)).unwrap().is_none());
    assert_eq!(unsent(&mut table, 2), [(0, 1, timed_out())]);
    assert!(table.acknowledge(key(0, 1)).is_some());
    assert!(table.acknowledge(key(0, 1)).is_none());
    assert_eq!((table.unacknowledged(), unsent(&mut table, 3)), (0, vec![]));
    assert!(table.start(start(0, 1)).unwrap().is_none());
    table.stop(key(0, 1)).unwrap();
    assert_eq!(unsent(&mut table, 3), []);
    assert!(table.start(start(0, 2)).unwrap().is_some());
}

#[test]
fn a_newer_epoch_waits_for_the_end_of_the_older_and_nobody_hears_of_that() {
    let mut table = table(10);
    let old = table.start(start(0, 1)).unwrap().unwrap();
    let new = table.start(start(0, 3)).unwrap().unwrap();
    assert_eq!((old.handle.cancel.is_cancelled(), old.handle.cause.get()), (true, Some(&Cause::Superseded)));
    assert!(!new.handle.cancel.is_cancelled() && table.running() == 2);
    assert!(new.after.len() == 1 && !new.after[0].is_cancelled());
    for older in [1, 2] {
        assert!(table.start(start(0, older)).unwrap().is_none());
        table.stop(key(0, older)).unwrap();
    }
    done(&mut table, 0, 1);
    assert!(new.after[0].is_cancelled() && !new.handle.cancel.is_cancelled());
    assert_eq!((table.running(), unsent(&mut table, 1)), (1, vec![]));
    done(&mut table, 0, 3);
    assert_eq!(unsent(&mut table, 1), [(0, 3, timed_out())]);
    // Also one that has finished and was not acknowledged.
    assert!(table.start(start(0, 4)).unwrap().unwrap().after.is_empty());
    assert_eq!((table.unacknowledged(), unsent(&mut table, 2)), (0, vec![]));
}

#[test]
fn what_is_in_the_log_already_need_not_go_on() {
    let mut table = table(10);
    let launch = table.start(start(0, 1)).unwrap().unwrap();
    assert!(table.acknowledge(key(0, 1)).is_some());
    assert_eq!(launch.handle.cause.get(), Some(&Cause::Superseded));
    assert_eq!(table.inventory(1, 1000), (vec![], vec![]));
    done(&mut table, 0, 1);
    assert_eq!((table.running(), unsent(&mut table, 1)), (0, vec![]));
}

#[test]
fn a_stop_reaches_what_runs_what_waits_and_what_was_never_started() {
    let mut table = table(1);
    let launch = table.start(start(0, 1)).unwrap().unwrap();
    table.stop(key(0, 1)).unwrap();
    assert_eq!(launch.handle.cause.get(), Some(&Cause::Asked));
    assert_eq!(unsent(&mut table, 1), []);
    done(&mut table, 0, 1);
    assert!(table.start(start(1, 1)).unwrap().is_none());
    assert_eq!(table.running(), 0);
    table.stop(key(1, 1)).unwrap();
    table.stop(key(2, 1)).unwrap();
    let cancelled = || Wire::Cancelled(v1::Cancelled {});
    assert_eq!(unsent(&mut table, 1), [(0, 1, timed_out()), (1, 1, cancelled()), (2, 1, cancelled())]);
    for step in 0..3 {
        table.acknowledge(key(step, 1));
        assert!(table.next_launch().is_none());
    }
}

#[test]
fn deferred_attempts_are_launched_in_turn_when_there_is_room() {
    let mut table = table(1);
    assert!(table.start(start(9, 1)).unwrap().is_some());
    done(&mut table, 9, 1);
    for step in [3, 2, 1] {
        assert!(table.start(start(step, 1)).unwrap().is_none());
    }
    // The newer epoch goes to the end of the queue.
    assert!(table.start(start(3, 2)).unwrap().is_none());
    assert!(table.next_launch().is_none());
    let (running, finished) = table.inventory(1, 1000);
    assert_eq!((running.len(), finished.len(), table.running()), (3, 1, 0));
    table.acknowledge(key(9, 1));
    let mut order = Vec::new();
    while let Some(launch) = table.next_launch() {
        order.push(launch.start.key);
    }
    assert_eq!(order, [key(2, 1), key(1, 1), key(3, 2)]);
    assert_eq!(table.running(), 3);
}

#[test]
fn what_does_not_fit_into_a_greeting_counts_as_running_until_it_is_sent() {
    let mut table = table(10);
    for step in 1..4 {
        assert!(table.start(start(step, 1)).unwrap().is_some());
        done(&mut table, step, 1);
    }
    let size = prost::Message::encoded_len(&report(key(1, 1), Conclusion::bare(Outcome::TimedOut)));
    let (running, finished) = table.inventory(5, 2 * size + 1);
    assert_eq!((running, finished.len()), (vec![key(3, 1).to_wire()], 2));
    assert_eq!(unsent(&mut table, 5), [(3, 1, timed_out())]);
}

#[test]
fn a_worker_that_ends_refuses_what_it_has_not_begun() {
    let mut table = table(1);
    let running = table.start(start(0, 1)).unwrap().unwrap();
    table.stop(key(1, 1)).unwrap();
    assert!(table.start(start(2, 1)).unwrap().is_none());
    table.drain();
    assert!(table.start(start(3, 1)).unwrap().is_none());
    assert!(!running.handle.cancel.is_cancelled());
    let refused = || Wire::Infra(v1::Infra { reason: SHUTTING_DOWN.to_owned(), r#final: false });
    let expected = [(1, 1, Wire::Cancelled(v1::Cancelled {})), (2, 1, refused()), (3, 1, refused())];
    assert_eq!(unsent(&mut table, 1), expected);
    table.shut_down();
    assert_eq!(running.handle.cause.get(), Some(&Cause::Shutdown));
}

#[test]
fn the_table_is_bounded() {
    let mut table = table(usize::MAX);
    for step in 0..4096 {
        table.stop(key(step, 1)).unwrap();
    }
    assert_eq!(table.start(start(5000, 1)).unwrap_err(), Full);
    assert_eq!(table.stop(key(5000, 1)), Err(Full));
    // What is known is no more than before.
    assert!(table.start(start(0, 2)).unwrap().is_some());
    // Of two steps it is remembered that they ended.
    for step in 1..4 {
        table.acknowledge(key(step, 1));
    }
    assert!(table.start(start(2, 1)).unwrap().is_none());
    assert!(table.start(start(1, 1)).unwrap().is_some());
}

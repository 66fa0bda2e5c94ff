//! Leases and fencing, exhaustively: every order of deliveries, losses, duplicates, lost workers that come back, crashes
//! and changes of leader, within small bounds. The log is the list of commands that [`cullet_core::State`] took in: what
//! is checked is the code that decides, with a worker that does what the real one does.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected has failed")]

mod actions;
mod cluster;
mod leader;
mod log;
mod properties;
mod worker;

use cluster::{Bounds, Lease, Plant};
use stateright::{Checker as _, HasDiscoveries, Model as _};

const NONE: Bounds = Bounds {
    lost_workers: 0,
    takeovers: 0,
    crashes: 0,
    cancels: 0,
    lost: 0,
    repeated: 0,
    failures: 0,
    ticks: 0,
};

/// Small enough for half a minute without optimisation, large enough that every kind of trouble meets most others.
const BOUNDS: [Bounds; 9] = [
    Bounds { lost_workers: 2, ..NONE },
    Bounds { lost_workers: 1, crashes: 1, ..NONE },
    Bounds { lost_workers: 1, takeovers: 1, ..NONE },
    Bounds { lost_workers: 1, cancels: 1, ..NONE },
    Bounds { lost_workers: 1, repeated: 1, ..NONE },
    Bounds { lost_workers: 1, lost: 1, ..NONE },
    Bounds { takeovers: 1, repeated: 1, failures: 2, ..NONE },
    Bounds { takeovers: 1, repeated: 1, cancels: 1, ..NONE },
    Bounds { lost_workers: 1, failures: 1, ticks: 1, ..NONE },
];

/// Threads of the checker: what the smallest machine for tests has.
const THREADS: usize = 2;

#[test]
fn every_order_of_events_keeps_every_property() {
    let mut states = 0;
    let mut restarted = false;
    for bounds in BOUNDS {
        let checker = Lease { bounds, plant: None }.checker().threads(THREADS).spawn_dfs().join();
        for (name, path) in checker.discoveries() {
            assert_eq!(name, properties::AGAIN, "{bounds:?}: {path:?}");
            restarted = true;
        }
        states += checker.unique_state_count();
    }
    assert!(restarted, "nothing that is lost is ever run again");
    assert!(states > 100_000, "{states} states are not all there are");
}

/// The property is violated somewhere when this mistake is made.
fn assert_found(plant: Plant, property: &'static str, bounds: Bounds) {
    let checker = Lease { bounds, plant: Some(plant) }.checker().threads(THREADS);
    let found = checker.finish_when(HasDiscoveries::AllOf([property].into())).spawn_bfs().join();
    assert!(found.discovery(property).is_some(), "{plant:?} is not found");
}

#[test]
fn an_epoch_that_is_ignored_is_found() {
    assert_found(Plant::IgnoreEpoch, properties::FENCED, Bounds { lost_workers: 1, ..NONE });
}

#[test]
fn effects_that_are_started_again_are_found() {
    assert_found(Plant::RequeueEffects, properties::ACTED_ONCE, Bounds { lost_workers: 1, ..NONE });
}

#[test]
fn a_report_that_is_forgotten_too_early_is_found() {
    assert_found(Plant::ForgetReport, properties::STARTED_ONCE, Bounds { takeovers: 1, ..NONE });
}

#[test]
fn a_leader_that_does_not_ask_what_is_outstanding_is_found() {
    assert_found(Plant::ForgetOutstanding, properties::ENDS, Bounds { takeovers: 1, ..NONE });
}

#[test]
fn a_worker_that_starts_whatever_it_is_told_is_found() {
    assert_found(Plant::StartTwice, properties::STARTED_ONCE, Bounds { repeated: 1, ..NONE });
}

#[test]
fn a_worker_that_forgets_a_newer_epoch_is_found() {
    // The second failure brings the step back to the worker of the first one.
    let bounds = Bounds { repeated: 2, failures: 2, ..NONE };
    assert_found(Plant::ForgetNewer, properties::STARTED_ONCE, bounds);
}

#[test]
fn a_result_that_counts_twice_is_found() {
    assert_found(Plant::CountTwice, properties::ONE_RESULT, Bounds { repeated: 1, ..NONE });
}

//! Everything stops at every point of a history: what was acknowledged is there afterwards, and nothing else is but
//! what was being written.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use cullet_raft_log::simulation::{Faults, FaultyDisk};
use cullet_raft_log::{Log, Result};
use support::{Model, Step, history, open_as, reserving, wait};

const STEPS: usize = 7;

/// How far a history came before everything stopped.
struct Reached {
    acknowledged: Model,
    /// With the step that was under way.
    attempted: Model,
}

/// Every third seed with its own way to reserve room, and another one after what stopped.
fn open(disk: &FaultyDisk, seed: u64) -> Result<Log> {
    open_as(disk, reserving(seed))
}

fn run(disk: &FaultyDisk, seed: u64, steps: &[Step]) -> Reached {
    let mut model = Model::default();
    let Ok(log) = open(disk, seed) else { return Reached { attempted: model.clone(), acknowledged: model } };
    for step in steps {
        let after = model.after(*step);
        if model.perform(&log, *step).is_err() {
            return Reached { acknowledged: model, attempted: after };
        }
        if log.read(0..0, 0).is_err() {
            // It stopped after the acknowledgement, removing what is not needed.
            return Reached { acknowledged: after.clone(), attempted: after };
        }
        assert!(Model::of(&log).same(&after), "{step:?}");
        model = after;
    }
    Reached { acknowledged: model.clone(), attempted: model }
}

fn check(seed: u64, stop_at: u64, steps: &[Step]) {
    let disk = FaultyDisk::new(seed ^ stop_at << 32);
    disk.set_faults(Faults { stop_at: Some(stop_at), ..Faults::default() });
    let reached = run(&disk, seed, steps);
    let after = |disk: &FaultyDisk, loses: bool| if loses { disk.power_cut() } else { disk.restart() };
    let mut disk = after(&disk, !(seed + stop_at).is_multiple_of(3));
    if seed.is_multiple_of(2) {
        // It stops again while it is being mended.
        disk.set_faults(Faults { stop_at: Some(stop_at % 5), ..Faults::default() });
        drop(open(&disk, seed));
        disk = disk.power_cut();
    }
    let context = format!("seed {seed}, stopped at {stop_at}");
    let log = open(&disk, seed + stop_at).unwrap_or_else(|error| panic!("{context}: {error}"));
    let found = Model::of(&log);
    assert!(found.is_between(&reached.acknowledged, &reached.attempted), "{context}: {found:?}");
    // It goes on, and stops again while it writes over what was left behind.
    let step = Step::Append(2, 300);
    let more = found.after(step);
    if !(seed + stop_at).is_multiple_of(4) {
        disk.set_faults(Faults { stop_at: Some(disk.changes() + stop_at % 3), ..Faults::default() });
    }
    let gone_on = found.perform(&log, step).is_ok();
    let disk = disk.power_cut();
    drop(log);
    let log = open(&disk, seed).unwrap_or_else(|error| panic!("{context}, opened again: {error}"));
    let again = Model::of(&log);
    assert!(again.is_between(if gone_on { &more } else { &found }, &more), "{context}, opened again");
    again.perform(&log, step).unwrap();
    drop(log);
    assert!(
        Model::of(&open(&disk.power_cut(), seed).unwrap()).same(&again.after(step)),
        "{context}, gone on"
    );
}

#[test]
fn stopping_at_any_point_loses_nothing_that_was_acknowledged() {
    let mut points = 0;
    for seed in 0..1_000 {
        let steps = history(seed, STEPS);
        let disk = FaultyDisk::new(seed);
        run(&disk, seed, &steps);
        for stop_at in 0..=disk.changes() {
            check(seed, stop_at, &steps);
            points += 1;
        }
    }
    assert!(points > 20_000, "{points} points");
}

#[test]
fn a_batch_of_many_operations_is_lost_or_kept_in_order() {
    // Threads would hide which operations share a frame, so one append of several frames stands for them.
    for seed in 0..300 {
        let disk = FaultyDisk::new(seed);
        let log = open(&disk, seed).unwrap();
        let start = disk.changes();
        disk.set_faults(Faults { stop_at: Some(start + seed % 6), ..Faults::default() });
        let entries: Vec<_> = (0..12).map(|index| support::entry(index, 1, 400)).collect();
        let acknowledged = wait(|done| log.append(entries.clone(), done)).is_ok();
        drop(log);
        let found = open(&disk.power_cut(), seed).unwrap().read(0..100, usize::MAX).unwrap();
        assert_eq!(found[..], entries[..found.len()], "seed {seed}");
        assert!(!acknowledged || found.len() == entries.len(), "seed {seed}");
    }
}

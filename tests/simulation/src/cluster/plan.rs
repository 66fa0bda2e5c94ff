//! What goes wrong in a run of the whole cluster.

use std::time::Duration;

use crate::chance::Chance;
use crate::fault::{Plan, Planned};

/// What happens to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mishap {
    /// Its process ends, and another one begins.
    Kill,
    /// It is cut off from everybody, and goes on.
    Isolate,
    /// Its process stands still and then goes on, with what came meanwhile still before it.
    Pause,
}

/// To one worker, for a while.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit {
    pub(crate) worker: usize,
    pub(crate) mishap: Mishap,
    pub(crate) begins: Duration,
    pub(crate) ends: Duration,
}

/// A whole run.
pub(crate) struct Whole {
    /// What happens to coordinators.
    pub(crate) plan: Plan,
    /// What happens to workers; nothing in half of the runs, in which no step may run twice.
    pub(crate) hits: Vec<Hit>,
    /// When the last of it is over.
    pub(crate) healed: Duration,
}

impl Whole {
    pub(crate) fn new(seed: u64, workers: usize) -> Self {
        let mut plan = Plan::new(seed);
        let mut chance = Chance::new(seed, "workers");
        let count = if chance.percent(50) { 0 } else { chance.among(1..=3) };
        let mut begins = chance.millis(1500..=2500);
        let mut hits = Vec::new();
        for _ in 0..count {
            let mishap = match chance.among(0..=99) {
                0..35 => Mishap::Kill,
                35..70 => Mishap::Isolate,
                _ => Mishap::Pause,
            };
            // Shorter than a lease, or a little longer: what the worker did is late when it comes back.
            let late = mishap != Mishap::Kill && chance.percent(60);
            let ends = begins + if late { chance.millis(6200..=9000) } else { chance.millis(200..=6000) };
            let worker = chance.next() as usize % workers;
            hits.push(Hit { worker, mishap, begins, ends });
            begins = ends + chance.millis(100..=1500);
        }
        // Steps go on without one of the coordinators, and not only once it is back.
        let mut chance = Chance::new(seed, "for good");
        if chance.percent(40) {
            let begins = plan.healed + chance.millis(0..=800);
            plan.faults.push(Planned::for_good(begins, &mut chance));
        }
        let last = hits.iter().map(|hit| hit.ends).max().unwrap_or_default();
        Self { healed: plan.healed.max(last), plan, hits }
    }
}

//! Runs that are at their end and kept for whoever asks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::spec::RunSpec;
use crate::{RunId, Settings};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    run: RunId,
    steps: u64,
    /// How many commands were applied before the one that ended it.
    ended: u64,
}

/// Whose runs stand in one line: those of a tenant, and apart from them its operations, which are many more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Owner {
    tenant: Box<str>,
    operations: bool,
}

impl Owner {
    fn of(spec: &RunSpec) -> Self {
        Self { tenant: spec.tenant.clone(), operations: spec.operation }
    }
}

/// Runs of one owner, in the order in which they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    runs: BTreeMap<u64, Kept>,
    steps: u64,
}

/// How much an owner has, in two measures. Of two that have as much, the one whose oldest run is older has more.
type Rank = (u64, u64, Reverse<u64>, Arc<Owner>);

/// Who has the most gives way first, so that nobody's runs drop those of others who have little. Runs and steps are
/// measured apart: many small runs must not drop a few large ones, nor a large one many small ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retired {
    owners: BTreeMap<Arc<Owner>, Line>,
    by_runs: BTreeSet<Rank>,
    by_steps: BTreeSet<Rank>,
    last: u64,
    runs: u64,
    steps: u64,
}

impl Retired {
    /// Gives the run's place in the line.
    pub(crate) fn push(&mut self, spec: &RunSpec, run: RunId, steps: u64, ended: u64) -> u64 {
        self.last += 1;
        let (place, kept) = (self.last, Kept { run, steps, ended });
        self.change(Owner::of(spec), |line| {
            line.steps += steps;
            line.runs.insert(place, kept);
        });
        place
    }

    pub(crate) fn remove(&mut self, spec: &RunSpec, place: u64) {
        self.change(Owner::of(spec), |line| {
            if let Some(kept) = line.runs.remove(&place) {
                line.steps -= kept.steps;
            }
        });
    }

    /// Takes an owner's line out of all counts and orders, and puts it back as it is then.
    fn change(&mut self, owner: Owner, change: impl FnOnce(&mut Line)) {
        let known = self.owners.remove_entry(&owner);
        let (owner, mut line) = known.unwrap_or_else(|| (Arc::new(owner), Line::default()));
        if let Some((by_runs, by_steps)) = ranks(&owner, &line) {
            self.runs -= by_runs.0;
            self.steps -= by_steps.0;
            self.by_runs.remove(&by_runs);
            self.by_steps.remove(&by_steps);
        }
        change(&mut line);
        if let Some((by_runs, by_steps)) = ranks(&owner, &line) {
            self.runs += by_runs.0;
            self.steps += by_steps.0;
            self.by_runs.insert(by_runs);
            self.by_steps.insert(by_steps);
            self.owners.insert(owner, line);
        }
    }

    /// A run that is one too many: the oldest one of whoever has the most, or has more than one tenant may. What a command ended it does not take away:
    /// somebody may want to see it.
    pub(crate) fn excess(&self, settings: &Settings, now: u64) -> Option<RunId> {
        let large = self.steps > settings.keep_finished_steps;
        let many = self.runs > u64::from(settings.keep_finished_runs);
        let largest = self.by_steps.last().filter(|_| large);
        let too_many = |rank: &Rank| many || rank.0 > u64::from(settings.keep_finished_runs_per_tenant);
        let busiest = self.by_runs.last().filter(|rank| too_many(rank));
        [largest, busiest].into_iter().flatten().find_map(|(.., owner)| {
            let oldest = self.owners.get(owner)?.runs.values().next()?;
            (oldest.ended < now).then_some(oldest.run)
        })
    }
}

/// By runs, then steps, and the other way round; none without any run.
fn ranks(owner: &Arc<Owner>, line: &Line) -> Option<(Rank, Rank)> {
    let oldest = Reverse(*line.runs.keys().next()?);
    let (runs, steps) = (line.runs.len() as u64, line.steps);
    Some(((runs, steps, oldest, Arc::clone(owner)), (steps, runs, oldest, Arc::clone(owner))))
}

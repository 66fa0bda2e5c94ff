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

/// Runs of one tenant, in the order in which they ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Line {
    runs: BTreeMap<u64, Kept>,
    steps: u64,
}

/// How much a tenant has, in two measures. Of two that have as much, the one whose oldest run is older has more.
type Rank = (u64, u64, Reverse<u64>, Arc<str>);

/// Runs, and apart from them operations, of which there are many more: neither takes room from the other, and each kind has as much as
/// the settings say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retired {
    runs: Lines,
    operations: Lines,
}

impl Retired {
    /// Gives the run's place in the line.
    pub(crate) fn push(&mut self, spec: &RunSpec, run: RunId, steps: u64, ended: u64) -> u64 {
        self.kind(spec).push(&spec.tenant, run, steps, ended)
    }

    pub(crate) fn remove(&mut self, spec: &RunSpec, place: u64) {
        self.kind(spec).remove(&spec.tenant, place);
    }

    const fn kind(&mut self, spec: &RunSpec) -> &mut Lines {
        if spec.operation { &mut self.operations } else { &mut self.runs }
    }

    /// One that is one too many, of either kind.
    pub(crate) fn excess(&self, settings: &Settings, now: u64) -> Option<RunId> {
        self.runs.excess(settings, now).or_else(|| self.operations.excess(settings, now))
    }
}

/// Who has the most gives way first, so that nobody's runs drop those of others who have little. Runs and steps are
/// measured apart: many small runs must not drop a few large ones, nor a large one many small ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Lines {
    tenants: BTreeMap<Arc<str>, Line>,
    by_runs: BTreeSet<Rank>,
    by_steps: BTreeSet<Rank>,
    last: u64,
    runs: u64,
    steps: u64,
}

impl Lines {
    fn push(&mut self, tenant: &str, run: RunId, steps: u64, ended: u64) -> u64 {
        self.last += 1;
        let (place, kept) = (self.last, Kept { run, steps, ended });
        self.change(tenant, |line| {
            line.steps += steps;
            line.runs.insert(place, kept);
        });
        place
    }

    fn remove(&mut self, tenant: &str, place: u64) {
        self.change(tenant, |line| {
            if let Some(kept) = line.runs.remove(&place) {
                line.steps -= kept.steps;
            }
        });
    }

    /// Takes a tenant's line out of all counts and orders, and puts it back as it is then.
    fn change(&mut self, tenant: &str, change: impl FnOnce(&mut Line)) {
        let known = self.tenants.remove_entry(tenant);
        let (tenant, mut line) = known.unwrap_or_else(|| (tenant.into(), Line::default()));
        if let Some((by_runs, by_steps)) = ranks(&tenant, &line) {
            self.runs -= by_runs.0;
            self.steps -= by_steps.0;
            self.by_runs.remove(&by_runs);
            self.by_steps.remove(&by_steps);
        }
        change(&mut line);
        if let Some((by_runs, by_steps)) = ranks(&tenant, &line) {
            self.runs += by_runs.0;
            self.steps += by_steps.0;
            self.by_runs.insert(by_runs);
            self.by_steps.insert(by_steps);
            self.tenants.insert(tenant, line);
        }
    }

    /// A run that is one too many: the oldest one of whoever has the most, or has more than one tenant may. What a command ended it does not take away:
    /// somebody may want to see it.
    fn excess(&self, settings: &Settings, now: u64) -> Option<RunId> {
        let large = self.steps > settings.keep_finished_steps;
        let many = self.runs > u64::from(settings.keep_finished_runs);
        let largest = self.by_steps.last().filter(|_| large);
        let too_many = |rank: &Rank| many || rank.0 > u64::from(settings.keep_finished_runs_per_tenant);
        let busiest = self.by_runs.last().filter(|rank| too_many(rank));
        [largest, busiest].into_iter().flatten().find_map(|(.., tenant)| {
            let oldest = self.tenants.get(tenant)?.runs.values().next()?;
            (oldest.ended < now).then_some(oldest.run)
        })
    }
}

/// By runs, then steps, and the other way round; none without any run.
fn ranks(tenant: &Arc<str>, line: &Line) -> Option<(Rank, Rank)> {
    let oldest = Reverse(*line.runs.keys().next()?);
    let (runs, steps) = (line.runs.len() as u64, line.steps);
    Some(((runs, steps, oldest, Arc::clone(tenant)), (steps, runs, oldest, Arc::clone(tenant))))
}

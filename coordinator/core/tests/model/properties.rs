//! What must hold.

use std::collections::BTreeMap;

use stateright::Property;

use crate::cluster::{Cluster, EFFECTS, Lease, RUN};

/// A report counts only for the attempt and the epoch that are valid: one for each step.
pub(crate) const FENCED: &str = "only the valid attempt is recorded";
/// However often its end is reported.
pub(crate) const ONE_RESULT: &str = "a step has one result";
/// On any worker, in any attempt.
pub(crate) const ACTED_ONCE: &str = "a step that acts on the outside world starts once";
/// However often a worker is told.
pub(crate) const STARTED_ONCE: &str = "an attempt starts once";
/// When nothing is on its way any more.
pub(crate) const ENDS: &str = "the run ends and gives back all capacity";

/// Or the model would be about nothing.
pub(crate) const AGAIN: &str = "a step is started again";

pub(crate) fn all() -> Vec<Property<Lease>> {
    vec![
        Property::always(FENCED, |_, cluster: &Cluster| !cluster.unfenced),
        Property::always(ONE_RESULT, |_, cluster: &Cluster| cluster.ended.values().all(|count| *count <= 1)),
        Property::always(ACTED_ONCE, |_, cluster: &Cluster| {
            let starts = cluster.begun.iter().filter(|(key, _)| key.0 == EFFECTS);
            starts.map(|(_, count)| u32::from(*count)).sum::<u32>() <= 1
        }),
        Property::always(STARTED_ONCE, |_, cluster: &Cluster| {
            cluster.begun.values().all(|count| *count <= 1)
        }),
        Property::always("no worker is given more than it has", |_, cluster: &Cluster| {
            let mut running: BTreeMap<_, usize> = BTreeMap::new();
            let workers = cluster.log.state.workers();
            workers.for_each(|worker| *running.entry(worker.id).or_default() += worker.running);
            running.values().all(|count| *count <= 1)
        }),
        Property::eventually(ENDS, |_, cluster: &Cluster| {
            let ended = cluster.log.state.run(RUN).is_some_and(|run| run.status().is_some());
            let free = cluster.log.state.workers().all(|worker| worker.used_cpu_millis == 0);
            ended && free
        }),
        Property::sometimes(AGAIN, |_, cluster: &Cluster| cluster.begun.keys().any(|key| key.1 > 1)),
    ]
}

//! What became of steps that were executed behind the glass, as it is sent.

use cullet_proto::v1;
use cullet_proto::v1::step_outcome::{Cluster, Quarantined as Wire};

use crate::engine::Results;
use crate::glass::{Clusters, Entry, Outcome, Quarantined, outcomes, scope_of};

/// Outputs that are named of a step.
const MOST_DETAILS: usize = 100;

/// Of each step of an entry, of at most so many that are `left`.
pub(super) async fn outcomes_of(
    results: &dyn Results,
    entry: &Entry,
    left: &mut usize,
) -> Vec<v1::StepOutcome> {
    let found = outcomes(results, entry, *left).await;
    *left -= found.len();
    let scope = scope_of(entry).to_string();
    found.into_iter().map(|outcome| wire(outcome, &scope)).collect()
}

fn wire(outcome: Outcome, scope: &str) -> v1::StepOutcome {
    let Outcome { step, quarantined, cluster } = outcome;
    let mut details = Vec::new();
    let quarantined = match quarantined {
        Quarantined::AsSaid => Wire::AsSaid,
        Quarantined::Absent => Wire::Absent,
        Quarantined::Other(digest) => {
            details.push(digest.to_string());
            Wire::Other
        }
        Quarantined::Unread(why) => {
            details.push(why);
            Wire::Unread
        }
    };
    let cluster = match cluster {
        Clusters::Same => Cluster::Same,
        Clusters::NotMade => Cluster::NotMade,
        Clusters::Unknown => Cluster::Unknown,
        Clusters::Different(paths) => {
            details.extend(paths.into_iter().take(MOST_DETAILS));
            Cluster::Different
        }
        Clusters::Unread(why) => {
            details.push(why);
            Cluster::Unread
        }
    };
    let (quarantined, cluster) = (quarantined.into(), cluster.into());
    v1::StepOutcome { step, scope: scope.to_owned(), quarantined, cluster, details }
}

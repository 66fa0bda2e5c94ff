//! What a cluster says of the results that were made behind the glass.

use std::io::{self, Write};

use cullet_proto::v1;
use cullet_proto::v1::step_outcome::{Cluster, Quarantined};
use serde_json::{Value, json};

use crate::ui::clean;

/// Steps that are named; of all there are numbers.
const NAMED: usize = 20;

/// What was found of some steps.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    steps: usize,
    quarantined: [usize; 4],
    cluster: [usize; 5],
    /// What somebody should look at.
    odd: Vec<String>,
}

impl Outcomes {
    /// Counts the steps of an entry.
    pub(super) fn add(&mut self, seq: u64, steps: Vec<v1::StepOutcome>) {
        for step in steps {
            self.steps += 1;
            let (quarantined, cluster) = (step.quarantined(), step.cluster());
            self.quarantined[match quarantined {
                Quarantined::AsSaid => 0,
                Quarantined::Other => 1,
                Quarantined::Absent => 2,
                Quarantined::Unread | Quarantined::Unspecified => 3,
            }] += 1;
            self.cluster[match cluster {
                Cluster::Same => 0,
                Cluster::Different => 1,
                Cluster::NotMade => 2,
                Cluster::Unknown => 3,
                Cluster::Unread | Cluster::Unspecified => 4,
            }] += 1;
            let name = clean::line(&step.step);
            let details: Vec<String> = step.details.iter().map(|detail| clean::line(detail)).collect();
            let details = details.join(", ");
            let scope = clean::line(&step.scope);
            if quarantined == Quarantined::Other {
                self.odd.push(format!("entry {seq}, {name}: {scope} has another result: {details}"));
            }
            if cluster == Cluster::Different {
                self.odd.push(format!("entry {seq}, {name}: the cluster got something else: {details}"));
            }
        }
    }

    /// In words.
    pub(super) fn say(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.steps == 0 {
            return Ok(());
        }
        let listed = |counts: &[usize], words: &[&str]| {
            let told = counts.iter().zip(words).filter(|(count, _)| **count > 0);
            told.map(|(count, words)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
        };
        let scope = ["as said", "with another result", "not there", "not looked up"];
        let cluster = ["the same", "something else", "nothing", "not comparable", "not looked up"];
        writeln!(
            out,
            "results of {} executed steps: in quarantine {}; for the same key the cluster has {}",
            self.steps,
            listed(&self.quarantined, &scope),
            listed(&self.cluster, &cluster)
        )?;
        for odd in self.odd.iter().take(NAMED) {
            writeln!(out, "{odd}")?;
        }
        match self.odd.len().saturating_sub(NAMED) {
            0 => Ok(()),
            more => writeln!(out, "… and {more} more"),
        }
    }
}

/// For programs.
pub(super) fn object(step: &v1::StepOutcome) -> Value {
    let quarantined = match step.quarantined() {
        Quarantined::AsSaid => "as_said",
        Quarantined::Other => "other",
        Quarantined::Absent => "absent",
        Quarantined::Unread | Quarantined::Unspecified => "unread",
    };
    let cluster = match step.cluster() {
        Cluster::Same => "same",
        Cluster::Different => "different",
        Cluster::NotMade => "not_made",
        Cluster::Unknown => "unknown",
        Cluster::Unread | Cluster::Unspecified => "unread",
    };
    json!({
        "step": step.step,
        "scope": step.scope,
        "quarantined": quarantined,
        "cluster": cluster,
        "details": step.details,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, quarantined: Quarantined, cluster: Cluster, details: &[&str]) -> v1::StepOutcome {
        v1::StepOutcome {
            step: name.to_owned(),
            scope: "quarantine/ada".to_owned(),
            quarantined: quarantined.into(),
            cluster: cluster.into(),
            details: details.iter().map(|detail| (*detail).to_owned()).collect(),
        }
    }

    #[test]
    fn all_are_counted_and_those_named_that_somebody_should_look_at() {
        let mut outcomes = Outcomes::default();
        outcomes.add(2, vec![step("a", Quarantined::AsSaid, Cluster::Same, &[])]);
        outcomes.add(
            4,
            vec![
                step("b", Quarantined::AsSaid, Cluster::Different, &["bin/app"]),
                step("c\u{1b}[2J", Quarantined::Other, Cluster::NotMade, &["aa/1"]),
            ],
        );
        let mut out = Vec::new();
        outcomes.say(&mut out).unwrap();
        let said = String::from_utf8(out).unwrap();
        let mut lines = said.lines();
        assert_eq!(
            lines.next().unwrap(),
            "results of 3 executed steps: in quarantine 2 as said, 1 with another result; for the same key the cluster has \
             1 the same, 1 something else, 1 nothing"
        );
        assert_eq!(lines.next().unwrap(), "entry 4, b: the cluster got something else: bin/app");
        let last = lines.next().unwrap();
        assert!(
            last.ends_with("quarantine/ada has another result: aa/1") && !last.contains('\u{1b}'),
            "{last}"
        );
    }
}

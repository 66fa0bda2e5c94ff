//! Which steps of which run of a cluster are meant.

use cullet_proto::v1;

use crate::cluster::{Cluster, ClusterError};
use crate::error::CliError;
use crate::ui::{clean, short};

/// A run and the steps of it whose logs are wanted.
#[derive(Debug)]
pub(super) struct Selected {
    /// Its whole name.
    pub(super) run: String,
    pub(super) steps: Vec<v1::StepState>,
    /// Nobody named the steps: they are those that failed.
    pub(super) implicit: bool,
}

/// Nothing: what failed in the newest run. One word: a step of the newest run, or a run. Two: a run and a step. As on
/// one machine.
pub(super) async fn select(
    cluster: &Cluster,
    what: &[String],
    tenant: Option<&str>,
) -> Result<Selected, CliError> {
    match what {
        [] => Ok(failed(newest(cluster, tenant).await?)),
        [run, step, ..] => {
            let run = cluster.find(Some(run), None).await?;
            named(cluster.run(&run).await?, step)
        }
        [word] => {
            let no_step = match named(newest(cluster, tenant).await?, word) {
                Ok(selected) => return Ok(selected),
                Err(no_step) => no_step,
            };
            let run = match cluster.find(Some(word), None).await {
                Err(ClusterError::UnknownRun { .. }) => return Err(no_step),
                Err(several @ ClusterError::AmbiguousRun { .. }) => {
                    let what = no_step.to_string();
                    return Err(CliError::from(several)
                        .hint(format!("as the name of a step it means nothing: {what}")));
                }
                run => run?,
            };
            Ok(failed(cluster.run(&run).await?))
        }
    }
}

async fn newest(cluster: &Cluster, tenant: Option<&str>) -> Result<v1::Run, ClusterError> {
    let run = cluster.find(None, tenant).await?;
    cluster.run(&run).await
}

fn name_of(run: &v1::Run) -> String {
    run.summary.as_ref().map(|summary| summary.run.clone()).unwrap_or_default()
}

fn failed(run: v1::Run) -> Selected {
    let name = name_of(&run);
    let failed =
        |step: &v1::StepState| matches!(step.status.as_str(), "failed" | "timed_out" | "infra_failed");
    Selected { run: name, steps: run.steps.into_iter().filter(failed).collect(), implicit: true }
}

/// A step by its name, or all instances of a matrix step by the name before the bracket.
fn named(run: v1::Run, name: &str) -> Result<Selected, CliError> {
    let run_name = name_of(&run);
    let mut steps = run.steps;
    if let Some(exact) = steps.iter().position(|step| step.name == name) {
        steps = vec![steps.swap_remove(exact)];
    } else {
        steps.retain(|step| step.name.strip_prefix(name).is_some_and(|matrix| matrix.starts_with('[')));
    }
    if steps.is_empty() {
        let (step, id) = (clean::line(name), short(&run_name));
        let error = CliError::usage(format!("run {id} has no step '{step}'"));
        return Err(error.hint("see cullet status, or cullet runs"));
    }
    Ok(Selected { run: run_name, steps, implicit: false })
}

/// Whether nothing more happens to it.
pub(super) fn is_over(step: &v1::StepState) -> bool {
    !matches!(step.status.as_str(), "waiting" | "resolving" | "queued" | "running")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: &[(&str, &str)]) -> v1::Run {
        let step = |(name, status): &(&str, &str)| v1::StepState {
            name: (*name).to_owned(),
            status: (*status).to_owned(),
            ..Default::default()
        };
        v1::Run { steps: steps.iter().map(step).collect(), ..Default::default() }
    }

    fn names(selected: &Selected) -> Vec<&str> {
        selected.steps.iter().map(|step| step.name.as_str()).collect()
    }

    #[test]
    fn steps_are_named_exactly_or_by_their_matrix() {
        let steps =
            [("test", "failed"), ("test[shard=1]", "running"), ("lint[a=1]", "failed"), ("lint[a=2]", "x")];
        assert_eq!(names(&named(run(&steps), "test").unwrap()), ["test"]);
        assert_eq!(names(&named(run(&steps), "lint").unwrap()), ["lint[a=1]", "lint[a=2]"]);
        assert!(named(run(&steps), "lin").is_err());
        assert_eq!(names(&failed(run(&steps))), ["test", "lint[a=1]"]);
        assert!(is_over(&run(&steps).steps[0]) && !is_over(&run(&steps).steps[1]));
    }
}

//! The keys that a step had in earlier runs.

use std::cmp::Reverse;
use std::time::UNIX_EPOCH;

use cullet_cache::v1::digest_to_wire;
use cullet_cache::{Scope, StoreError};
use cullet_core::{Run, RunId, State, StepIndex, StepStatus, StepView, TimeMs};
use cullet_digest::Digest;
use cullet_proto::v1;
use futures_util::future::try_join;
use tonic::Status;

use super::access::unknown;
use super::summary::step_status;
use crate::engine::{Mark, Results, scope_of};
use crate::resolve::describe;

/// Other keys of the step that are told, as many as somebody switches between. Its own comes on top.
const OTHERS: usize = 8;

/// What the state knows.
#[derive(Debug)]
pub(super) struct Known {
    answer: v1::ListStepKeysResponse,
    /// The key whose result the step was given by the action cache, where it was.
    answered: Option<Digest>,
    /// The key that the step was executed with, where it was.
    executed: Option<Digest>,
    /// Whose results the run reads.
    scope: Scope,
}

/// Looks at every run that is kept, of which there are as many as the settings allow: as listing them does.
pub(super) fn known(state: &State, id: RunId, name: &str) -> Result<Known, Status> {
    let run = state.run(id).ok_or_else(|| unknown(id))?;
    let missing = || Status::not_found(format!("the run has no step '{name}'"));
    let index = position(run, name, 0).ok_or_else(missing)?;
    let view = run.step(index).ok_or_else(missing)?;
    let no_cache = run.spec().steps.get(index as usize).is_some_and(|step| step.bypass_cache);
    let until = view.finished_at.unwrap_or(TimeMs::MAX);
    let mut ends: Vec<(TimeMs, RunId, StepView<'_>)> = state
        .runs()
        .filter(|(_, other)| is_earlier(other, run))
        .filter_map(|(id, other)| {
            let step = other.step(position(other, name, index)?)?;
            Some((step.finished_at.filter(|at| *at <= until && tells(&step))?, id, step))
        })
        .collect();
    ends.sort_unstable_by_key(|(at, run, _)| (Reverse(*at), *run));
    let earlier = worth_telling(&ends, view.action);
    let answered = view.action.filter(|_| view.cached && succeeded(&view));
    let executed = view.action.filter(|_| !view.cached && !view.shared);
    Ok(Known {
        answer: v1::ListStepKeysResponse {
            no_cache,
            earlier,
            execution: None,
            evicted_at_ms: 0,
            audited: Vec::new(),
        },
        answered,
        executed,
        scope: scope_of(run),
    })
}

/// Of each key the last end, and of the step's `own` the last execution that succeeded: it tells where a cached result
/// comes from. The newest is the first, as among `ends`.
fn worth_telling(ends: &[(TimeMs, RunId, StepView<'_>)], own: Option<Digest>) -> Vec<v1::StepKey> {
    let mut others: Vec<Digest> = Vec::new();
    let (mut met, mut executed) = (false, false);
    let mut earlier = Vec::new();
    for (at, run, step) in ends {
        let Some(key) = step.action else { continue };
        let new = if Some(key) == own {
            let execution = succeeded(step) && !step.cached && !step.shared;
            let new = !met || (execution && !executed);
            (met, executed) = (true, executed || execution);
            new
        } else {
            let new = others.len() < OTHERS && !others.contains(&key);
            others.extend(Some(key).filter(|_| new));
            new
        };
        earlier.extend(told(*run, *at, step).filter(|_| new));
    }
    earlier
}

fn succeeded(step: &StepView<'_>) -> bool {
    step.status() == Some(StepStatus::Succeeded)
}

/// Whether it is of the same pipeline, and was submitted before.
fn is_earlier(other: &Run, run: &Run) -> bool {
    other.id() != run.id()
        && other.submitted_at() <= run.submitted_at()
        && other.spec().pipeline == run.spec().pipeline
        && other.spec().tenant == run.spec().tenant
}

/// Whether an end says something about a key: what was cancelled or failed by the machines does not.
fn tells(step: &StepView<'_>) -> bool {
    matches!(step.status(), Some(StepStatus::Succeeded | StepStatus::Failed | StepStatus::TimedOut))
}

/// Where the step with this name is: in most runs of a pipeline, where it is in the others.
fn position(run: &Run, name: &str, guess: StepIndex) -> Option<StepIndex> {
    let steps = &run.spec().steps;
    if steps.get(guess as usize).is_some_and(|step| &*step.name == name) {
        return Some(guess);
    }
    steps.iter().position(|step| &*step.name == name).map(|found| found as StepIndex)
}

fn told(run: RunId, at: TimeMs, step: &StepView<'_>) -> Option<v1::StepKey> {
    Some(v1::StepKey {
        run: run.to_string(),
        action: Some(digest_to_wire(&step.action?)),
        status: step_status(step.status()?).to_owned(),
        cached: step.cached || step.shared,
        finished_at_ms: at,
    })
}

impl Known {
    /// With what the action cache knows. Without that the answer is worth almost as much.
    pub(super) async fn complete(mut self, results: &dyn Results) -> v1::ListStepKeysResponse {
        if let Some(key) = self.answered {
            match results.of(&self.scope).actions.get(&key).await {
                Ok(result) => {
                    self.answer.execution = result.map(|result| v1::Execution {
                        started_at_ms: result.started_at_ms,
                        duration_ms: result.duration_ms,
                    });
                }
                Err(error) => {
                    tracing::warn!(error = describe(&error), "the result of a step cannot be read");
                }
            }
        }
        if let Some(key) = self.executed {
            match results.evicted(&self.scope, &key).await {
                Ok(at) => {
                    let since = at.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
                    self.answer.evicted_at_ms = since.map_or(0, |since| since.as_secs().saturating_mul(1000));
                }
                Err(error) => {
                    tracing::warn!(error = describe(&error), "what the store has evicted cannot be read");
                }
            }
            match audited(results, &self.scope, &key).await {
                Ok(Some(Mark { at_ms, outputs })) if at_ms >= self.answer.evicted_at_ms => {
                    (self.answer.evicted_at_ms, self.answer.audited) = (at_ms, outputs);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = describe(&error), "what audits found cannot be read");
                }
            }
        }
        self.answer
    }
}

/// The last time that an audit put a result in quarantine which a run of this scope would have found.
async fn audited(results: &dyn Results, scope: &Scope, key: &Digest) -> Result<Option<Mark>, StoreError> {
    let Some(kept) = results.kept() else { return Ok(None) };
    let (own, protected) =
        try_join(Mark::of(&kept, scope, key), Mark::of(&kept, &Scope::Protected, key)).await?;
    Ok(own.into_iter().chain(protected).max_by_key(|mark| mark.at_ms))
}

#[cfg(test)]
mod tests;

//! Background audits: a few of the steps that the action cache answered are executed again while workers have nothing to do, and
//! a result that cannot be made again is put in quarantine.
//!
//! An audit is a run with one step, whose inputs are those that the step had, in a scope that nobody reads and of a tenant that
//! nobody is. To the core it is a run as any other; that it delays nothing is seen to here: it begins when nothing waits, and is
//! cancelled when something does.

mod chosen;
mod mark;
mod run;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::{ActionResult, Scope, StoreError};
use cullet_core::{State, StepId};
use cullet_digest::{Digest, TreeRef};

pub(super) use chosen::Chosen;
pub use mark::Mark;

use self::chosen::Candidate;
use super::contexts::Context;
use super::{Leading, Results};
use crate::compare::differing;
use crate::metrics::Audited;
use crate::resolve::{describe, step_name};

/// How often it is looked whether there is something to audit, and time to.
const LOOK: Duration = Duration::from_secs(1);

/// Who pays for audits.
const TENANT: &str = "cullet-audit";

/// What an audit found.
#[derive(Debug)]
enum Found {
    Same,
    /// Another result than that in this scope, at these paths.
    Differs(Scope, Vec<String>),
    /// It did not come to a result; why, for people.
    Nothing(String),
}

impl Leading {
    /// Remembers the hit of a step, if it is one of those that are to be looked into.
    pub(super) fn maybe_audit(&self, context: &Context, id: StepId, action: Digest, inputs: &[TreeRef]) {
        if self.audit_share <= 0.0 || fastrand::f64() >= self.audit_share {
            return;
        }
        if !context.templates.may_be_audited(id.step) {
            return;
        }
        let candidate = self.read(|state| {
            let run = state.run(id.run)?;
            let (pipeline, step) = (run.spec().pipeline.to_string(), step_name(Some(run), id.step));
            let (submission, scope) = (run.spec().submission?, context.scope.clone());
            Some(Candidate { submission, pipeline, step, inputs: inputs.to_vec(), action, scope })
        });
        candidate.into_iter().for_each(|candidate| self.audits.add(candidate));
    }

    /// Audits one hit after the other whenever there is time, for as long as the term lasts.
    pub(super) fn begin_audits(self: &Arc<Self>) {
        if self.audit_share > 0.0 {
            let this = Arc::clone(self);
            self.spawn(async move { this.audit().await });
        }
    }

    async fn audit(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if !self.read(is_idle) {
                continue;
            }
            let Some(candidate) = self.audits.next() else { continue };
            let found = self.look_into(&candidate).await;
            self.conclude(&candidate, found).await;
        }
    }

    /// Says what an audit found, and keeps a result from being found that is not what the step gives.
    async fn conclude(&self, candidate: &Candidate, found: Found) {
        let Candidate { pipeline, step, action, .. } = candidate;
        match found {
            Found::Same => {
                self.metrics.audited(Audited::Same);
                tracing::debug!(step, %action, "an audit made the same again");
            }
            Found::Nothing(why) => {
                self.metrics.audited(Audited::Nothing);
                tracing::info!(step, %action, why, "an audit came to nothing");
            }
            Found::Differs(scope, outputs) => {
                self.metrics.audited(Audited::Differs);
                let mark = Mark { at_ms: self.now(), outputs: outputs.clone() };
                let put = quarantine(&*self.parts.results, (&scope, pipeline), action, &mark).await;
                let outputs = outputs.join(", ");
                match put {
                    Ok(()) => tracing::warn!(
                        step, %action, %scope, outputs,
                        "an audit made something else: the result is in quarantine, and nobody finds it any more"
                    ),
                    Err(error) => tracing::error!(
                        step, %action, %scope, outputs, error = describe(&error),
                        "an audit made something else, and the result cannot be put in quarantine"
                    ),
                }
            }
        }
    }

    /// Compares what was made with what the run of the hit was given.
    async fn compared(
        &self,
        candidate: &Candidate,
        made: &ActionResult,
        besides: &BTreeSet<String>,
    ) -> Result<Found, StoreError> {
        // As a run reads: its own scope, and then what is everybody's.
        for scope in [&candidate.scope, &Scope::Protected] {
            let Some(actions) = self.parts.results.only(scope) else { continue };
            let Some(recorded) = actions.get(&candidate.action).await? else { continue };
            let differing = differing(&recorded, made, besides);
            return Ok(match differing.is_empty() {
                true => Found::Same,
                false => Found::Differs(scope.clone(), differing),
            });
        }
        Ok(Found::Nothing("its result is gone".to_owned()))
    }
}

/// Whether nothing waits for a worker, and some worker for nothing.
fn is_idle(state: &State) -> bool {
    !waits(state) && state.workers().any(|worker| !worker.draining && worker.running == 0)
}

/// Whether a step waits for a worker that is not part of an audit.
fn waits(state: &State) -> bool {
    state.tenants().any(|tenant| tenant.ready > 0 && tenant.name != TENANT)
}

/// Takes a result out of its scope. Why is said first: a result that is gone for no reason would be worse than one that is there and
/// said to be wrong.
async fn quarantine(
    results: &dyn Results,
    (scope, pipeline): (&Scope, &str),
    action: &Digest,
    mark: &Mark,
) -> Result<(), StoreError> {
    if let Some(kept) = results.kept() {
        mark.put(&kept, scope, action).await?;
    }
    results.remove(scope, pipeline, action).await
}

#[cfg(test)]
mod tests;

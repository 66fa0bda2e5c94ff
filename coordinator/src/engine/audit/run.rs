//! The run of an audit, from its submission to what it made.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use cullet_cache::{ActionResult, Blob, StoreError};
use cullet_core::{LogCommand, RunId, StepStatus};
use cullet_digest::{DigestFunction, TreeRef};

use super::chosen::Candidate;
use super::{Found, TENANT, waits};
use crate::engine::contexts::{SubmissionTrouble, submission_of};
use crate::engine::{FUNCTION, Leading, Lost, Outcome};
use crate::request::{Audit, Request, Submitted};
use crate::resolve::describe;
use crate::submission::Submission;
use crate::template::Templates as _;

/// How often it is looked whether something else waits, and whether it is over.
const LOOK: Duration = Duration::from_millis(250);

/// Beyond the step's own timeout: for fetching, uploading and other attempts.
const LONGEST: Duration = Duration::from_secs(600);

/// Why an audit came to nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Submission(#[from] SubmissionTrouble),
    #[error("{}", describe(.0))]
    Store(#[from] StoreError),
    #[error("{0}")]
    Other(&'static str),
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Leading {
    /// Executes a step again and compares what it gives.
    pub(super) async fn look_into(&self, candidate: &Candidate) -> Found {
        let looked = async {
            let (run, besides) = self.begin(candidate).await?;
            let ended = self.end_of(run).await;
            let made = self.made(run, candidate).await;
            // Nobody asks for it, and others are not to be forgotten for it.
            self.tell(LogCommand::Forget { run }).await;
            ended?;
            let made = made?.ok_or(Trouble::Other("nothing was recorded of it"))?;
            Ok::<_, Trouble>(self.compared(candidate, &made, &besides).await?)
        };
        looked.await.unwrap_or_else(|trouble| Found::Nothing(trouble.to_string()))
    }

    /// Submits it. Says as well what is not compared.
    async fn begin(&self, candidate: &Candidate) -> Result<(RunId, BTreeSet<String>), Trouble> {
        let Candidate { submission, step, inputs, .. } = candidate.clone();
        let first = submission_of(&*self.parts.blobs, &submission).await?;
        let submitted = Submitted { audit: Some(Audit { step, inputs }), ..first };
        let request = Request {
            request_id: format!("{:032x}", fastrand::u128(..)),
            tenant: TENANT.to_owned(),
            priority: -100,
            no_cache: true,
            traceparent: String::new(),
            scope: Audit::scope(),
            ..submitted.request
        };
        let submitted = Arc::new(Submitted { request, ..submitted });
        let stored = submitted.encode();
        let digest = FUNCTION.digest(&stored);
        self.parts.blobs.put(&digest, Blob::from(stored)).await?;
        let dividing = Arc::clone(&submitted);
        let divided = crate::blocking::blocking(move || {
            let plan = dividing.request.plan().map_err(SubmissionTrouble::from)?;
            // Its inputs are known; where sources were does not matter.
            let nowhere = TreeRef::Directory(DigestFunction::Blake3.digest(b""));
            dividing.divide(plan, |_, _| Ok::<_, SubmissionTrouble>(nowhere))
        });
        let divided = divided.await.map_err(|_| Trouble::Other("the pipeline could not be planned"))??;
        let Submission { mut spec, templates } = divided;
        if spec.steps.len() != 1 {
            return Err(Trouble::Other("this version makes another plan of what was submitted"));
        }
        spec.submission = Some(digest);
        let outputs = templates.outputs(0);
        let besides = templates.reports(0).into_iter().filter(|path| !outputs.contains(path)).collect();
        let run = submitted.request.run_id();
        self.contexts.insert(run, &submitted, templates);
        let submit = LogCommand::Submit { run, spec: Arc::new(spec), at: self.now() };
        match self.propose(submit).await {
            Ok(Outcome::Refused { .. }) => {
                self.contexts.forget(run);
                Err(Trouble::Other("the cluster takes no more"))
            }
            Ok(Outcome::Accepted { .. } | Outcome::Applied) => Ok((run, besides)),
            Err(lost) => Err(lost.into()),
        }
    }

    /// Waits for its end, and brings it about where something else waits for a worker.
    async fn end_of(&self, run: RunId) -> Result<(), Trouble> {
        let timeout = self.read(|state| Some(state.run(run)?.spec().steps.first()?.timeout_ms));
        let until = tokio::time::Instant::now() + Duration::from_millis(timeout.unwrap_or(0)) + LONGEST;
        let mut cancelled = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let (ended, waits) = self.read(|state| {
                let run = state.run(run);
                (run.is_none_or(|run| run.status().is_some()), waits(state))
            });
            if ended {
                return cancelled.map_or(Ok(()), |why| Err(Trouble::Other(why)));
            }
            let is_late = tokio::time::Instant::now() >= until;
            if cancelled.is_none() && (waits || is_late) {
                cancelled =
                    Some(if waits { "something else waited for a worker" } else { "it took too long" });
                self.tell(LogCommand::Cancel { run, at: self.now() }).await;
            }
        }
    }

    /// The result that it made, which is then nowhere any more.
    async fn made(&self, run: RunId, candidate: &Candidate) -> Result<Option<ActionResult>, Trouble> {
        let step = self.read(|state| {
            let step = state.run(run)?.step(0)?;
            Some((step.status(), step.action))
        });
        match step {
            Some((Some(StepStatus::Succeeded), Some(action))) if action == candidate.action => {}
            Some((Some(StepStatus::Succeeded), _)) => return Err(Trouble::Other("its key was another one")),
            // Whether the step or the machine is to blame nobody knows, and there is nothing to compare.
            _ => return Err(Trouble::Other("it did not succeed this time")),
        }
        let Some(actions) = self.parts.results.only(&Audit::scope()) else { return Ok(None) };
        let made = actions.get(&candidate.action).await?;
        actions.remove(&candidate.action).await?;
        Ok(made)
    }
}

//! What workers say of attempts, recorded.

use std::sync::Arc;

use cullet_cache::{ActionResult, Blob, Scope};
use cullet_core::{AttemptOutcome, Detail, LogCommand, StepId, StepPhase, Usage};
use cullet_digest::Digest;
use cullet_proto::v1;
use prost::Message as _;

use super::{FUNCTION, Leading, Lost, ScopeResults, scope_of};
use crate::attempts::{AttemptKey, outcome};
use crate::notes::Said;
use crate::planted::{self, Bug};
use crate::resolve::describe;

/// What the state says of an attempt that somebody reports on.
struct Current {
    action: Digest,
    effects: bool,
    operation: bool,
    /// Whose result it is.
    scope: Scope,
}

impl Leading {
    /// Records how an attempt went. When this returns it is in the log, or it was of no interest any more.
    ///
    /// # Errors
    /// This coordinator leads no more: the worker has to tell the next one.
    #[tracing::instrument(
        name = "attempt",
        level = "debug",
        skip_all,
        fields(run = %key.id.run, step = key.id.step, attempt = key.attempt, epoch = key.epoch)
    )]
    pub(crate) async fn finished(
        self: &Arc<Self>,
        key: AttemptKey,
        report: v1::AttemptFinished,
    ) -> Result<(), Lost> {
        let _claim = self.reporting.claim(key).await;
        let permit = self.finishing.acquire().await.map_err(|_| Lost)?;
        let Some(current) = self.current(key) else {
            self.metrics.fenced_reports.inc_by(u64::from(self.is_superseded(key)));
            return Ok(());
        };
        let AttemptKey { id, attempt, epoch } = key;
        let mut said: Vec<Said> =
            report.notes.iter().map(|note| Said::warning(None, note.as_str())).collect();
        let duration_ms = report.duration_ms;
        let mut outcome = outcome(report.outcome.clone());
        if let Err(reason) = self.believed(id, &current, &outcome, &report).await {
            outcome = AttemptOutcome::Infra { reason: reason.into() };
        }
        let recorded = self.record(id, &current, &outcome, &report, &mut said).await;
        let blob = self.keep_detail(recorded, &report, &mut said).await;
        let usage = report.usage.map(|usage| {
            let v1::Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes } = usage;
            Usage { cpu_ms, peak_memory_bytes, read_bytes, written_bytes }
        });
        let detail = (blob.is_some() || usage.is_some()).then_some(Detail { blob, usage });
        for said in said {
            self.note(id, &said).await;
        }
        // What waits for the log shares one entry, and takes nothing of the store.
        drop((permit, report));
        let at = self.now();
        let ended = self.metrics.finished(&outcome);
        let command = LogCommand::AttemptFinished { id, attempt, epoch, outcome, duration_ms, detail, at };
        self.propose(command).await?;
        ended.inc();
        Ok(())
    }

    /// Nothing where the attempt is not the step's current one: whatever it came to changes nothing.
    fn current(&self, key: AttemptKey) -> Option<Current> {
        self.read(|state| {
            let run = state.run(key.id.run)?;
            let step = run.step(key.id.step)?;
            let current =
                step.phase == StepPhase::Running && (step.attempt, step.epoch) == (key.attempt, key.epoch);
            let current = current || planted::is(Bug::IgnoreEpoch) && step.phase == StepPhase::Running;
            let spec = run.spec();
            let effects = spec.steps.get(key.id.step as usize)?.effects;
            let (scope, operation) = (scope_of(run), spec.operation);
            current.then_some(Current { action: step.action?, effects, operation, scope })
        })
    }

    /// Whether another attempt has taken the place of this one: its report is refused, not merely repeated.
    fn is_superseded(&self, key: AttemptKey) -> bool {
        self.read(|state| {
            let step = state.run(key.id.run).and_then(|run| run.step(key.id.step));
            step.is_some_and(|step| (step.attempt, step.epoch) != (key.attempt, key.epoch))
        })
    }

    /// Whether a success is believed, where the cluster asks who says so. What the run goes on with has to be what is signed.
    async fn believed(
        &self,
        id: StepId,
        current: &Current,
        outcome: &AttemptOutcome,
        report: &v1::AttemptFinished,
    ) -> Result<(), String> {
        let AttemptOutcome::Succeeded { outputs } = outcome else { return Ok(()) };
        let workers = &self.policy.workers;
        if !workers.require_signatures {
            return Ok(());
        }
        let result = ActionResult::decode(current.action.function(), report.result.clone())
            .map_err(|error| error.to_string())?;
        let paths = self.context(id.run).await?.templates.outputs(id.step);
        let checked = workers.check(&current.action, &current.scope, &result, (&paths, outputs));
        checked.map_err(|why| why.to_string())
    }

    /// Writes a success into the action cache, in the scope of its run and no other, before anybody is told of it. Says whether it is there.
    async fn record(
        &self,
        id: StepId,
        current: &Current,
        outcome: &AttemptOutcome,
        report: &v1::AttemptFinished,
        said: &mut Vec<Said>,
    ) -> bool {
        let succeeded = matches!(outcome, AttemptOutcome::Succeeded { .. });
        // Every reason not to reuse it is a note.
        if !succeeded || current.effects || !report.notes.is_empty() {
            return false;
        }
        if current.operation && !self.is_to_be_kept(id).await {
            return false;
        }
        let stored = match ActionResult::decode(current.action.function(), report.result.clone()) {
            Ok(result) => {
                let ScopeResults { actions, .. } = self.parts.results.of(&current.scope);
                actions.put(&current.action, &result).await.map_err(|error| describe(&error))
            }
            Err(error) => Err(error.to_string()),
        };
        if let Err(why) = &stored {
            said.push(Said::warning(None, format!("its result is not in the cache: {why}")));
        }
        stored.is_ok()
    }

    /// Whether the result of an operation may be found by others. Where its action cannot be read any more, nobody knows.
    async fn is_to_be_kept(&self, id: StepId) -> bool {
        let context = self.context(id.run).await.ok();
        context
            .is_some_and(|context| context.templates.given().is_some_and(|given| !given.action.do_not_cache))
    }

    /// Keeps what the core has no use for, if there is anything.
    async fn keep_detail(
        &self,
        recorded: bool,
        report: &v1::AttemptFinished,
        said: &mut Vec<Said>,
    ) -> Option<Digest> {
        let result = if recorded { Default::default() } else { report.result.clone() };
        let nothing = result.is_empty() && report.reason.is_empty() && report.tests.is_none();
        if nothing && (recorded || !report.has_exit_code) {
            return None;
        }
        let detail = v1::AttemptDetail {
            exit_code: report.exit_code,
            has_exit_code: report.has_exit_code,
            reason: report.reason.clone(),
            result,
            tests: report.tests.clone(),
        };
        let bytes = detail.encode_to_vec();
        let digest = FUNCTION.digest(&bytes);
        match self.parts.blobs.put(&digest, Blob::from(bytes)).await {
            Ok(()) => Some(digest),
            Err(error) => {
                said.push(Said::warning(None, format!("its log is lost: {}", describe(&error))));
                None
            }
        }
    }
}

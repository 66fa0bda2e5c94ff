//! `cullet verify`: a run in which steps are executed twice.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use cullet_cache::{ActionResult, BlobStore};
use cullet_coordinator::workers::StartAttempt;
use cullet_pipeline::Plan;
use cullet_pipeline::plan::{InputFrom, Step};
use cullet_worker::Stream;
use cullet_worker::attempt::{Attempt, AttemptReport, Worker};
use cullet_worker::logs::LogEvents;
use tokio_util::sync::CancellationToken;

use super::Extras;
use crate::args::{Format, RunArgs, VerifyArgs};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::verify::{self, APART, Found, Verdict, Verdicts};

/// Which steps are executed twice, and what came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Verifying {
    /// All, where none is named.
    named: Vec<String>,
    /// Sorted.
    steps: Arc<[String]>,
    verdicts: Arc<Verdicts>,
}

/// Executes steps twice and compares what they leave.
pub(crate) fn verify(
    args: &VerifyArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let run = RunArgs {
        pipeline: args.pipeline.clone(),
        targets: args.steps.clone(),
        keep_going: true,
        locked: args.locked,
        executor: args.executor,
        jobs: args.jobs,
        // Whatever the environment says: a cluster has no two executions of a step.
        cluster: Some(String::new()),
        ..RunArgs::default()
    };
    let verifying = Verifying { named: args.steps.clone(), ..Verifying::default() };
    let extras = Extras {
        silent: args.format == Format::Json,
        verifying: Some(verifying.clone()),
        ..Extras::default()
    };
    let ended = super::run_with(&run, config, extras)?;
    let verdicts = verifying.verdicts.take();
    let text = match args.format {
        Format::Human => verify::human(&verdicts, config.terminal.stdout_style(config.color)),
        Format::Json => format!("{}\n", verify::json(&verdicts)),
    };
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    let differs = |verdict: &Verdict| !matches!(verdict.found, Found::Same);
    Ok(match ended {
        ExitStatus::Success if verdicts.iter().any(differs) => ExitStatus::StepFailed,
        ended => ended,
    })
}

impl Verifying {
    /// Changes the plan so that the steps in question are executed, each for itself, and leave nothing in the cache of
    /// results. Steps that act on the outside world are not executed at all, and nothing that needs them.
    pub(super) fn arrange(&mut self, plan: &mut Plan, file: &Path) -> Result<(), CliError> {
        let mut left_out: Vec<bool> = Vec::with_capacity(plan.steps.len());
        let mut chosen = Vec::new();
        for step in &mut plan.steps {
            let is_left_out = |other: u32| left_out.get(other as usize).copied().unwrap_or_default();
            let acts = step.settings.effects;
            let out = acts || needed(step).any(is_left_out);
            left_out.push(out);
            let is_named = self.names(&step.name);
            if out && is_named && !self.named.is_empty() {
                let why = if acts {
                    "acts on the outside world"
                } else {
                    "needs a step that acts on the outside world"
                };
                let place = format!("{}:{}: step '{}' {why}", file.display(), step.line, step.name);
                return Err(CliError::usage(place).hint("it is not executed twice for a comparison"));
            }
            if out {
                step.skip = Some("it acts on the outside world, or needs a step that does".into());
            } else if is_named && step.skip.is_none() {
                Arc::make_mut(&mut step.settings).effects = true;
                chosen.push(step.name.to_string());
            }
        }
        chosen.sort_unstable();
        self.steps = chosen.into();
        plan.outputs.clear();
        Ok(())
    }

    fn names(&self, step: &str) -> bool {
        let is_it = |name: &String| {
            step.strip_prefix(name.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        self.named.is_empty() || self.named.iter().any(is_it)
    }

    /// Executes a step again that has succeeded, if it is one of those in question.
    pub(super) async fn again(
        &self,
        worker: &Worker,
        attempt: Attempt,
        blobs: &dyn BlobStore,
        (start, first): (&StartAttempt, &AttemptReport),
        cancel: CancellationToken,
    ) {
        let AttemptReport::Succeeded { result: first, .. } = first else { return };
        let (step, masks) = (attempt.label.clone(), attempt.masks.clone());
        if self.steps.binary_search(&step).is_err() {
            return;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(until_apart(first)) => {}
        }
        // What an earlier step left in a volume must make no difference.
        let without_volumes = Attempt { caches: Vec::new(), ..attempt };
        let found = match worker.run(without_volumes, Unheard, cancel).await {
            AttemptReport::Succeeded { result: second, .. } => {
                // How long tests took is in their reports, which are no step's input.
                let reports = start.reports.iter().filter(|path| !start.outputs.contains(path));
                let besides = reports.collect::<Vec<_>>();
                verify::compare(blobs, (first, &second), &besides, &masks).await
            }
            AttemptReport::Failed { result, reason, .. } => {
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                Found::Ended(format!("the second time it failed with exit code {}{reason}", result.exit_code))
            }
            AttemptReport::TimedOut { .. } => {
                Found::Ended("the second time it ran into its timeout".to_owned())
            }
            AttemptReport::Infra { reason, .. } | AttemptReport::Impossible { reason } => {
                Found::Ended(format!("it could not be executed again: {reason}"))
            }
            AttemptReport::InputLost(_) => {
                Found::Ended("its inputs were lost before it was executed again".to_owned())
            }
            AttemptReport::Cancelled { .. } => return,
        };
        self.verdicts.add(&step, found);
    }
}

/// The steps that a step cannot do without, by their place in the plan.
pub(super) fn needed(step: &Step) -> impl Iterator<Item = u32> {
    let inputs = step.inputs.iter().filter_map(|input| match &input.from {
        InputFrom::Output(output) => Some(output.step),
        InputFrom::Source { .. } => None,
    });
    inputs.chain(step.needs.iter().copied())
}

fn until_apart(first: &ActionResult) -> std::time::Duration {
    let since = crate::ui::duration::now_ms().saturating_sub(first.started_at_ms);
    APART.saturating_sub(std::time::Duration::from_millis(since))
}

/// What the second execution prints was printed before.
struct Unheard;

impl LogEvents for Unheard {
    fn lines(&mut self, _: Stream, _: &str) {}
}

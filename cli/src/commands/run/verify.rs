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
    let verifying = Verifying::default();
    let extras = Extras {
        silent: args.format == Format::Json,
        verifying: Some(verifying.clone()),
        ..Extras::default()
    };
    let ended = super::run_with(&run, config, extras)?;
    if ended == ExitStatus::Usage {
        return Ok(ended);
    }
    let verdicts = verifying.verdicts.take(match ended {
        ExitStatus::Interrupted => "the run was stopped before that",
        _ => "it, or a step that it needs, did not succeed",
    });
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
        let acting = with_what_needs_them(plan, |step| step.settings.effects);
        let skipped = with_what_needs_them(plan, |step| step.skip.is_some());
        refuse(plan, file, &acting, &skipped)?;
        let mut is_meant = vec![plan.targets.is_empty(); plan.steps.len()];
        plan.targets.iter().flatten().for_each(|index| is_meant[*index as usize] = true);
        let mut chosen = Vec::new();
        for (index, step) in plan.steps.iter_mut().enumerate() {
            if acting[index] {
                step.skip = Some("it acts on the outside world, or needs a step that does".into());
            } else if is_meant[index] && !skipped[index] {
                Arc::make_mut(&mut step.settings).effects = true;
                chosen.push(step.name.to_string());
            }
        }
        self.verdicts.want(chosen);
        plan.outputs.clear();
        Ok(())
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
        if !self.verdicts.wants(&step) {
            return;
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(until_apart(first)) => {}
        }
        // What an earlier step left in a volume must make no difference. That there is one may make one: what is in a
        // volume is no part of a root or of an output.
        let mut attempt = attempt;
        attempt.caches.iter_mut().for_each(|volume| volume.empty = true);
        let found = match worker.run(attempt, Unheard, cancel).await {
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

/// Whether each step is one of these, or needs one of them.
pub(super) fn with_what_needs_them(plan: &Plan, is_one: impl Fn(&Step) -> bool) -> Vec<bool> {
    let mut found: Vec<bool> = Vec::with_capacity(plan.steps.len());
    for step in &plan.steps {
        let is_found = |other: u32| found.get(other as usize).copied().unwrap_or_default();
        let is_it = is_one(step) || needed(step).any(is_found);
        found.push(is_it);
    }
    found
}

/// Whoever names a step and does not get it executed twice must not take that for an answer.
fn refuse(plan: &Plan, file: &Path, acting: &[bool], skipped: &[bool]) -> Result<(), CliError> {
    let refused = |index: u32, why: String, hint: &str| {
        let step = &plan.steps[index as usize];
        let place = format!("{}:{}: step '{}' {why}", file.display(), step.line, step.name);
        Err(CliError::usage(place).hint(hint.to_owned()))
    };
    for target in &plan.targets {
        if let Some(index) = target.iter().find(|index| acting[**index as usize]) {
            let why = match plan.steps[*index as usize].settings.effects {
                true => "acts on the outside world",
                false => "needs a step that acts on the outside world",
            };
            return refused(*index, why.to_owned(), "it is not executed twice for a comparison");
        }
        // Some instances of a matrix may be skipped in every run.
        if let Some(index) = target.first().filter(|_| target.iter().all(|index| skipped[*index as usize])) {
            let why = match &plan.steps[*index as usize].skip {
                Some(reason) => format!("is skipped: {reason}"),
                None => "needs a step that is skipped".to_owned(),
            };
            return refused(*index, why, "set its parameters with --param, so that it runs");
        }
    }
    Ok(())
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

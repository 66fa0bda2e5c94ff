//! `cullet shell`: a run in which a person takes the place of a step, or comes after it.

use std::path::Path;
use std::sync::Arc;

use cullet_pipeline::Plan;
use cullet_pipeline::plan::{Settings, Step};

use super::Extras;
use super::verify::needed;
use super::visits::{self, Seat, Visits};
use super::watchers::Watchers;
use crate::args::{RunArgs, ShellArgs};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::{clean, seat};

/// Who wants to look into what.
#[derive(Debug, Clone)]
pub(super) struct Visiting {
    /// This step, in place of its program; none for each that fails.
    pub(super) step: Option<String>,
    /// What gets the terminal.
    pub(super) arguments: Vec<String>,
}

/// Opens a shell in a step.
pub(crate) fn shell(args: &ShellArgs, config: &Config) -> Result<ExitStatus, CliError> {
    let run = RunArgs {
        pipeline: args.pipeline.clone(),
        targets: vec![args.step.clone()],
        locked: args.locked,
        executor: args.executor,
        // Whatever the environment says: the terminal is here.
        cluster: Some(String::new()),
        shell_on_failure: args.on_failure,
        ..RunArgs::default()
    };
    if args.on_failure {
        return super::run(&run, config);
    }
    require_terminal()?;
    let arguments = if args.command.is_empty() { visits::shell() } else { args.command.clone() };
    let visiting = Some(Visiting { step: Some(args.step.clone()), arguments });
    super::run_with(&run, config, Extras { visiting, ..Extras::default() })
}

/// Whoever wants to look into steps that fail.
pub(super) fn after_failures(args: &RunArgs) -> Result<Option<Visiting>, CliError> {
    if !args.shell_on_failure {
        return Ok(None);
    }
    require_terminal()?;
    Ok(Some(Visiting { step: None, arguments: visits::shell() }))
}

fn require_terminal() -> Result<(), CliError> {
    if seat::is_there() {
        return Ok(());
    }
    let missing = CliError::usage("a shell needs a terminal, and standard input or output is none");
    Err(missing
        .hint("do not redirect them; in scripts, `cullet logs` and `cullet verify` say more of a step"))
}

impl Visiting {
    /// The same, with a terminal.
    pub(super) fn to_visits(&self, config: &Config, watchers: &Watchers) -> Visits {
        let Self { step, arguments } = self.clone();
        Visits { step, arguments, term: config.term.clone(), seat: Seat::of(watchers.clone()) }
    }

    /// Changes the plan so that the visit has its place. The step that is visited is what it is in every run, its key and
    /// the cache aside: nothing comes out of it, so nothing is looked up or kept.
    pub(super) fn arrange(&mut self, plan: &mut Plan, file: &Path) -> Result<(), CliError> {
        let Some(wanted) = &mut self.step else {
            for step in &mut plan.steps {
                // Whoever has seen the failure does not want to see it again.
                if step.settings.retries.failure > 0 {
                    Arc::make_mut(&mut step.settings).retries.failure = 0;
                }
            }
            return Ok(());
        };
        // It is the only target.
        let mut meant = plan.targets.iter().flatten().map(|index| *index as usize);
        let Some(index) = meant.next() else {
            return Err(CliError::usage(format!("{}: no step '{}'", file.display(), clean::line(wanted))));
        };
        let step = &plan.steps[index];
        if let Some(other) = meant.next() {
            let other = &plan.steps[other];
            let several =
                format!("'{wanted}' is several steps, '{}' and '{}' among them", step.name, other.name);
            return Err(CliError::usage(several).hint("name one of them"));
        }
        if let Some(reason) = &step.skip {
            let skipped =
                format!("{}:{}: step '{}' is skipped: {reason}", file.display(), step.line, step.name);
            return Err(CliError::usage(skipped).hint("set its parameters with --param, so that it runs"));
        }
        if let Some(acting) = acting_below(plan, index) {
            let what = format!(
                "{}:{}: step '{}' acts on the outside world, and '{}' needs it",
                file.display(),
                acting.line,
                acting.name,
                step.name
            );
            return Err(CliError::usage(what).hint(
                "looking around must not do that; `cullet run --shell-on-failure` opens a shell where a run fails",
            ));
        }
        let step = &mut plan.steps[index];
        *wanted = step.name.to_string();
        let settings: &mut Settings = Arc::make_mut(&mut step.settings);
        settings.effects = true;
        settings.reports.clear();
        step.outputs = Arc::default();
        plan.outputs.clear();
        Ok(())
    }
}

/// A step that would be executed before this one, however often that was done before, and that acts on the outside world.
fn acting_below(plan: &Plan, index: usize) -> Option<&Step> {
    let mut seen = vec![false; plan.steps.len()];
    let mut pending = vec![index];
    while let Some(here) = pending.pop() {
        for below in needed(&plan.steps[here]).map(|below| below as usize) {
            if !std::mem::replace(&mut seen[below], true) {
                pending.push(below);
            }
        }
    }
    let is_below = |(step, seen): &(&Step, bool)| *seen && step.settings.effects && step.skip.is_none();
    plan.steps.iter().zip(seen).find(is_below).map(|(step, _)| step)
}

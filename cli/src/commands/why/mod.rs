//! `cullet why`: why a step ran, or why it did not.

mod compare;
mod explain;
mod trees;

use std::io::Write;

use cullet_coordinator::event::{Event, Note, StepEnd};

use crate::args::WhyArgs;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::history::{Store, StoredRun};
use explain::Explainer;

/// What a run's events say of one step.
#[derive(Debug, Default)]
struct Facts {
    /// Its end, the last one where it was run again.
    end: Option<StepEnd>,
    /// Notes about it.
    notes: Vec<Note>,
    /// Names of steps that look like the one asked for.
    similar: Vec<String>,
}

/// Explains one step of one run.
pub(super) fn why(args: &WhyArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let run = Store::open(config.runs_dir()).find(args.run.as_deref())?;
    let facts = facts(&run, &args.step)?;
    let Some(end) = &facts.end else { return Err(unknown(&run, &args.step, &facts)) };
    let cache = cullet_cache::open(&config.cache_options())?;
    let explainer = Explainer { config, cache: &cache, run: &run };
    let text = explainer.explain(end, &facts.notes)?;
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn facts(run: &StoredRun, step: &str) -> Result<Facts, CliError> {
    let mut facts = Facts::default();
    run.events(|event, _| match event {
        Event::StepFinished(end) if end.step == step => facts.end = Some(end),
        Event::Note(note) if note.step.as_deref() == Some(step) => facts.notes.push(note),
        Event::RunStarted(start) => {
            let base = step.split('[').next().unwrap_or(step);
            let alike = |name: &String| name.starts_with(base) || base.starts_with(name.as_str());
            facts.similar = start.steps.into_iter().filter(alike).take(5).collect();
        }
        _ => {}
    })?;
    Ok(facts)
}

fn unknown(run: &StoredRun, step: &str, facts: &Facts) -> CliError {
    let name = crate::ui::short(&run.meta().run);
    if facts.similar.iter().any(|known| known == step) {
        return CliError::usage(format!("step '{step}' of run {name} has not ended"));
    }
    let error = CliError::usage(format!("run {name} has no step '{step}'"));
    match facts.similar.as_slice() {
        [] => error.hint(format!("`cullet status {name}` lists its steps")),
        similar => error.hint(format!("did you mean {}?", similar.join(", "))),
    }
}

//! `cullet why`: why a step ran, or why it did not.

mod compare;
mod explain;
mod facts;
mod reason;
mod trees;

use std::io::Write;

use crate::args::WhyArgs;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::history::{Store, StoredRun};
use explain::Explainer;
use facts::Facts;

/// Explains one step of one run.
pub(super) fn why(args: &WhyArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let run = Store::open(config.runs_dir()).find(args.run.as_deref())?;
    let facts = Facts::read(&run, &args.step)?;
    if facts.ends.is_empty() {
        return Err(unknown(&run, &args.step, &facts));
    }
    let cache = cullet_cache::open(&config.cache_options())?;
    let explainer = Explainer { config, cache: &cache, run: &run };
    let text = explainer.explain(&facts.ends)?;
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
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

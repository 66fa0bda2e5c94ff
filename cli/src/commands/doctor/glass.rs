//! Whether the glass could be broken today. Nothing of this keeps pipelines from running, so nothing of it is broken.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cullet_coordinator::glass::check;
use cullet_coordinator::resolve::describe;

use super::checks::{Check, Verdict};
use crate::args::{DoctorArgs, PipelineArgs, RunArgs};
use crate::commands::pipeline_file::base_directory;
use crate::commands::run::look::{Seen, look_through_glass};
use crate::config::Config;
use crate::error::CliError;
use crate::glass::{Standing, head, is_running, known_keys, others, path_in, standing, trial};
use crate::images::Outbound;

/// Names that are listed.
const MOST: usize = 5;

/// How long it is looked for images.
const IMAGES: Duration = Duration::from_secs(30);

/// Everything, in the order in which it is shown.
pub(super) fn all(args: &DoctorArgs, config: &Config) -> Vec<Check> {
    let mut checks = vec![journal(config)];
    let usual = PathBuf::from("cullet.yaml");
    let Some(file) = args.file.clone().or_else(|| Some(usual).filter(|file| file.exists())) else {
        return checks;
    };
    let run =
        RunArgs { pipeline: PipelineArgs { file: file.clone(), params: Vec::new() }, ..RunArgs::default() };
    match look_through_glass(&run, config) {
        Ok(Some(seen)) => {
            checks.push(results(&seen));
            checks.extend(images(&seen, config, &base_directory(&file)));
            checks.extend(approvals(&seen, config));
        }
        Ok(None) => {
            let finding = format!("{} is no pipeline that can be run", file.display());
            checks.push(Check::not("results", Verdict::Limited, finding, None));
        }
        // What a run lacks before its first step: a secret, an image, a source.
        Err(error) => {
            let finding = format!("{} would not run: {}", file.display(), describe(&error));
            checks.push(Check::not("results", Verdict::Limited, finding, error.hints().first().cloned()));
        }
    }
    checks
}

fn journal(config: &Config) -> Check {
    const NAME: &str = "journal";
    let (dir, path) = (&config.glass.dir, path_in(&config.glass.dir));
    let limited = |finding: String, remedy: Option<&str>| {
        Check::not(NAME, Verdict::Limited, finding, remedy.map(str::to_owned))
    };
    if let Some(why) = unwritable(dir) {
        let remedy = "without a journal no run breaks the glass: [break-glass] dir names another directory";
        return limited(format!("{} cannot be written: {why}", dir.display()), Some(remedy));
    }
    let keys = match known_keys(&config.glass) {
        Ok(keys) => keys,
        Err(error) => return limited(describe(&CliError::from(error)), None),
    };
    let Ok(bytes) = fs::read(&path) else {
        return Check::good(NAME, format!("{}, nothing on record yet", path.display()));
    };
    let checked = check(&bytes, Some(&keys), head(dir).as_ref());
    if let Some(problem) = checked.problems.first() {
        return limited(
            format!("{}: {problem}", path.display()),
            Some("cullet journal verify says everything"),
        );
    }
    let unfinished = checked.unfinished();
    if let Some(entry) = unfinished.iter().find(|entry| !is_running(dir, &entry.run)) {
        return limited(
            format!("{}: the run of entry {} never came to its end", path.display(), entry.seq),
            None,
        );
    }
    Check::good(NAME, format!("{}, {} entries, unchanged", path.display(), checked.entries.len()))
}

/// Why a directory that is there, or that would be made, cannot be written.
fn unwritable(dir: &Path) -> Option<String> {
    use rustix::fs::{Access, access};
    let existing = dir.ancestors().find(|path| path.exists())?;
    if !existing.is_dir() {
        return Some(format!("{} is no directory", existing.display()));
    }
    // A full disk says only to who writes that it is full.
    let tried = (existing == dir).then(|| trial(dir).err().map(|error| describe(&CliError::from(error))));
    access(existing, Access::WRITE_OK).err().map(|error| error.to_string()).or_else(|| tried.flatten())
}

/// How much of the pipeline is there already.
fn results(seen: &Seen) -> Check {
    let (hits, all) = (seen.hits.len(), seen.hits.len() + seen.misses.len());
    let mut finding = format!("{hits} of {all} steps have results");
    if !seen.misses.is_empty() {
        finding.push_str(&format!("; these would be executed: {}", names(&seen.misses)));
    }
    if !seen.acting.is_empty() {
        finding.push_str(&format!("; always executed: {}", names(&seen.acting)));
    }
    Check::good("results", finding)
}

fn names(all: &[String]) -> String {
    let more = all.len().saturating_sub(MOST);
    let mut names: Vec<&str> = all.iter().take(MOST).map(String::as_str).collect();
    let rest = format!("{more} more");
    if more > 0 {
        names.push(&rest);
    }
    names.join(", ")
}

/// Whether images are here, or can be had; none without images.
fn images(seen: &Seen, config: &Config, base: &Path) -> Option<Check> {
    const NAME: &str = "images";
    if seen.images.is_empty() {
        return None;
    }
    let outbound = Outbound::new(config, base);
    let asked = async {
        let (mut here, mut away) = (0, Vec::new());
        for (name, digest) in &seen.images {
            match outbound.is_here(name, *digest).await {
                Ok(true) => here += 1,
                Ok(false) => {}
                Err(error) => away.push(describe(&error)),
            }
        }
        (here, away)
    };
    let all = seen.images.len();
    let limited = |finding| {
        let remedy = "a run of the pipeline brings them here, and a bundle carries them: cullet bundle";
        Some(Check::not(NAME, Verdict::Limited, finding, Some(remedy.to_owned())))
    };
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()
    else {
        return limited("cannot be looked for".to_owned());
    };
    let found = runtime.block_on(async { tokio::time::timeout(IMAGES, asked).await });
    runtime.shutdown_background();
    match found {
        Ok((here, away)) if away.is_empty() && here == all => {
            Some(Check::good(NAME, format!("all {all} are on this machine")))
        }
        Ok((here, away)) if away.is_empty() => limited(format!(
            "{here} of {all} are on this machine, and the others can be had as long as their registries answer"
        )),
        Ok((_, away)) => limited(names(&away)),
        Err(_) => limited("their registries do not answer in time".to_owned()),
    }
}

/// Whether steps that act on the outside world could be approved; none without any.
fn approvals(seen: &Seen, config: &Config) -> Option<Check> {
    const NAME: &str = "approval";
    if seen.acting.is_empty() {
        return None;
    }
    let steps = names(&seen.acting);
    Some(match standing(&config.glass) {
        Standing::Waived => Check::good(NAME, format!("{steps}: nobody has to approve")),
        Standing::Possible(needed, there) => {
            Check::good(NAME, format!("{steps}: {needed} of {} must approve", others(there)))
        }
        Standing::Impossible(needed, there) => {
            let remedy = "[break-glass] approvers = [\"ed25519:… grace\"] in the configuration file says who may, approvals \
                          = 0 that nobody has to";
            let finding = format!("{steps}: {} must approve, and {there} may", others(needed));
            Check::not(NAME, Verdict::Limited, finding, Some(remedy.to_owned()))
        }
    })
}

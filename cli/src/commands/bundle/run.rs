//! `cullet bundle run`: the pipeline of a bundle, with nothing but what is in it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::project::Project;
use super::{open, project};
use crate::args::{BundleRunArgs, PipelineArgs, RunArgs};
use crate::commands::run::bundled;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};

pub(super) fn run(args: &BundleRunArgs, config: &Config) -> Result<ExitStatus, CliError> {
    let (bundle, _) = open(&args.file)?;
    let contents = bundle.contents();
    if let Some(tree) = contents.sources.iter().find(|tree| !tree.included) {
        let name = crate::ui::clean::line(&tree.name);
        return Err(CliError::usage(format!("the bundle has only the digest of source '{name}'"))
            .hint("`cullet bundle import` brings its results to a machine that has the sources"));
    }
    let place = Place::make(&config.cache_dir.join("bundles"))?;
    let Project { file } = project::unpack(&bundle, config, &place.dir)?;
    let targets = if args.targets.is_empty() { &contents.targets } else { &args.targets };
    let run = RunArgs {
        targets: targets.clone(),
        pipeline: PipelineArgs { file, params: contents.params.clone().into_iter().collect() },
        progress: args.progress,
        output: args.output.clone(),
        keep_going: args.keep_going,
        no_cache: args.no_cache,
        locked: true,
        executor: args.executor,
        // Whatever the environment says: there is no network.
        cluster: Some(String::new()),
        ..RunArgs::default()
    };
    let mut config = config.clone();
    config.registries.bring(bundle.clone());
    bundled(&run, &config, bundle)
}

/// A directory that is this run's alone, and goes with it.
struct Place {
    dir: PathBuf,
    lock: PathBuf,
    _held: File,
}

impl Place {
    fn make(all: &Path) -> Result<Self, CliError> {
        let made = || -> io::Result<Self> {
            fs::create_dir_all(all)?;
            remove_left(all)?;
            let name = format!("{:016x}", crate::random::number());
            let (dir, lock) = (all.join(&name), all.join(format!("{name}{LOCK}")));
            let held = File::create_new(&lock)?;
            held.lock()?;
            Ok(Self { dir, lock, _held: held })
        };
        made().map_err(|error| {
            CliError::infra(format!("cannot make a directory in {}", all.display())).because(error)
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What stays is removed by the next run of a bundle.
        drop(fs::remove_dir_all(&self.dir).and_then(|()| fs::remove_file(&self.lock)));
    }
}

/// What the name of a directory's lock ends in.
const LOCK: &str = ".lock";

/// Removes what runs left that were killed: nobody holds their locks.
fn remove_left(all: &Path) -> io::Result<()> {
    for entry in fs::read_dir(all)?.flatten() {
        let lock = entry.path();
        let name = entry.file_name().to_string_lossy().strip_suffix(LOCK).map(str::to_owned);
        let (Some(name), Ok(held)) = (name, File::open(&lock)) else { continue };
        if held.try_lock().is_ok() {
            drop(fs::remove_dir_all(all.join(name)));
            drop(fs::remove_file(lock));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_go_with_their_runs_or_with_the_next_one() {
        let all = tempfile::tempdir().unwrap();
        let left = all.path().join("left");
        fs::create_dir_all(left.join("below")).unwrap();
        fs::write(all.path().join("left.lock"), "").unwrap();
        let first = Place::make(all.path()).unwrap();
        fs::create_dir(&first.dir).unwrap();
        let second = Place::make(all.path()).unwrap();
        fs::create_dir(&second.dir).unwrap();
        assert!(!left.exists() && first.dir.exists() && second.dir.exists());
        drop((first, second));
        assert_eq!(fs::read_dir(all.path()).unwrap().count(), 0);
    }
}

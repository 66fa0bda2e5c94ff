//! `cullet bundle run`: the pipeline of a bundle, with nothing but what is in it.

use super::project::Project;
use super::{open, project};
use crate::args::{BundleRunArgs, PipelineArgs, RunArgs};
use crate::commands::run::bundled;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};

pub(super) fn run(args: &BundleRunArgs, config: &Config) -> Result<ExitStatus, CliError> {
    let (bundle, _) = open(&args.file)?;
    let dir = config.cache_dir.join("bundles").join(bundle.digest().hex());
    let contents = bundle.contents();
    if let Some(tree) = contents.sources.iter().find(|tree| !tree.included) {
        let name = crate::ui::clean::line(&tree.name);
        return Err(CliError::usage(format!("the bundle has only the digest of source '{name}'"))
            .hint("`cullet bundle import` brings its results to a machine that has the sources"));
    }
    let Project { file } = project::unpack(&bundle, config, &dir)?;
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

//! `cullet run`: a pipeline, from its file to its end, on this machine or on a cluster.

pub(crate) mod behind;
mod deliver;
mod execute;
pub(crate) mod followed;
mod in_force;
pub(crate) mod interrupt;
mod lazy_executor;
mod local_workers;
pub(crate) mod look;
mod outputs;
mod platform;
pub(crate) mod prepare;
pub(crate) mod promote;
mod push;
mod remote;
mod run_id;
pub(crate) mod shell;
pub(crate) mod sources;
mod submit;
mod trace;
pub(crate) mod verify;
mod visits;
pub(crate) mod watchers;

use std::path::Path;
use std::sync::Arc;

use cullet_bundle::Bundle;
use cullet_cache::{LiveRun, LocalCache, StoreError};
use cullet_coordinator::event::{Event, EventSink as _, Note, RunEnd};
use cullet_coordinator::images::first_local;
use cullet_coordinator::submission::{RunOptions, submission};
use cullet_pipeline::Plan;
use cullet_pipeline::plan::{Image, Limits};
use cullet_worker::Volumes;

use super::pipeline_file::base_directory;
use super::{machine, pipeline_file};
use crate::args::RunArgs;
use crate::cluster::{Addresses, ClusterError};
use crate::config::{Config, Executor, RunConfig, SharedCacheConfig, SharedTrust};
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::history::Traffic;
use crate::images::{LocalImages, Pinned};
use crate::secrets;
use crate::shared_store;
use crate::ui::Closing;
pub(crate) use deliver::Written;
use execute::{CacheNotes, Execution};
use look::Looking;
use promote::Promoting;
use push::Pushes;
use shell::Visiting;
use verify::Verifying;
use watchers::Audience;

/// What is to be run, and what is known of its images.
struct Planned {
    plan: Plan,
    images: Pinned,
}

/// Runs a pipeline.
pub(super) fn run(args: &RunArgs, config: &Config) -> Result<ExitStatus, CliError> {
    let visiting = shell::after_failures(args)?;
    let (pushes, written) = (Pushes::of(&args.push)?, args.output.clone().map(Written::to));
    let extras = Extras { visiting, pushes: pushes.clone(), written: written.clone(), ..Extras::default() };
    match run_with(args, config, extras)? {
        ExitStatus::Success => pushes.push(written.as_ref(), config),
        other => Ok(other),
    }
}

/// Runs the pipeline of a bundle, with the bundle in place of a shared cache.
pub(crate) fn bundled(args: &RunArgs, config: &Config, bundle: Arc<Bundle>) -> Result<ExitStatus, CliError> {
    let written = args.output.clone().map(Written::to);
    run_with(args, config, Extras { written, bundle: Some(bundle), ..Extras::default() })
}

/// What a run on this machine can be beside a run.
#[derive(Debug, Default)]
struct Extras {
    /// Somebody looks into steps.
    visiting: Option<Visiting>,
    /// Steps are executed twice.
    verifying: Option<Verifying>,
    /// Nothing is executed.
    looking: Option<Looking>,
    /// What is executed is compared with what others have.
    promoting: Option<Promoting>,
    /// What was brought along in place of a shared cache.
    bundle: Option<Arc<Bundle>>,
    /// Where outputs go.
    written: Option<Written>,
    /// Which of them are pushed.
    pushes: Pushes,
    /// Nothing is shown.
    silent: bool,
}

impl Extras {
    /// Changes the plan to what is wanted.
    fn arrange(&mut self, plan: &mut Plan, file: &Path) -> Result<(), CliError> {
        if let Some(visiting) = &mut self.visiting {
            visiting.arrange(plan, file)?;
        }
        self.looking.iter().for_each(|looking| looking.arrange(plan));
        self.promoting.iter().for_each(|promoting| promoting.arrange(plan));
        self.verifying.as_mut().map_or(Ok(()), |verifying| verifying.arrange(plan, file))
    }

    /// Whether keys of the run are remembered: not where steps are not what they are in every run.
    fn has_usual_keys(&self) -> bool {
        self.verifying.is_none()
            && self.looking.is_none()
            && self.visiting.as_ref().is_none_or(|visiting| visiting.step.is_none())
    }
}

/// Runs a pipeline, and whatever is wanted beside that.
fn run_with(args: &RunArgs, config: &Config, mut extras: Extras) -> Result<ExitStatus, CliError> {
    let run_config = config.run(args);
    let named = config.cluster(args.cluster.as_deref());
    let addresses: Option<Addresses> =
        named.as_deref().map(str::parse).transpose().map_err(|error: ClusterError| {
            CliError::from(error).hint("leave out --cluster and CULLET_CLUSTER to run on this machine")
        })?;
    remote::refuse_flags(args, addresses.is_some())?;
    let color = config.terminal.stderr_style(config.color).color;
    let text = pipeline_file::read(&args.pipeline.file)?;
    if addresses.is_some() {
        submit::check_pipeline(&args.pipeline.file, &text)?;
    }
    let (mut plan, warnings) = match pipeline_file::plan(&args.pipeline, &args.targets, &text) {
        Ok(planned) => planned,
        Err(problems) => {
            diagnostics::report(&problems.render(color));
            return Ok(ExitStatus::Usage);
        }
    };
    diagnostics::report(&warnings.render(color));
    // They hold the text, and the run is long.
    drop(warnings);
    extras.pushes.check(&plan)?;
    extras.arrange(&mut plan, &args.pipeline.file)?;
    secrets::refuse(&plan, &args.pipeline.file, addresses.is_some(), run_config.executor)?;
    refuse_images(&plan, &args.pipeline.file, addresses.is_some(), run_config.executor)?;
    let platform = platform::of_run(&plan, &args.pipeline.file, addresses.as_ref())?;
    let images = Pinned::of(&plan, platform, &args.pipeline.file, args.locked)?;
    let planned = Planned { plan, images };
    if let Some(addresses) = addresses {
        return remote::run(args, (config, &run_config), &addresses, text, planned, extras.written);
    }
    drop(text);
    execute_plan(args, config, &run_config, planned, extras)
}

/// Steps with images are refused where nobody can execute them, and nothing is asked about their images there.
fn refuse_images(plan: &Plan, file: &Path, on_cluster: bool, executor: Executor) -> Result<(), CliError> {
    let first = || plan.step_images().into_iter().min_by_key(|(_, step)| step.line);
    let (found, problem, hint) = match executor {
        _ if on_cluster => (
            first_local(plan),
            "is on this machine, where no worker of a cluster can have it from",
            "push it to a registry that the workers reach, or leave out --cluster and CULLET_CLUSTER to run on this \
             machine",
        ),
        Executor::Plain => (
            first(),
            "cannot be used by the plain executor: its steps have the machine's files and no services",
            "images and services need the sandbox: leave out --executor, CULLET_EXECUTOR and `executor` in the \
             configuration file",
        ),
        Executor::Docker => return refuse_host(plan, file),
        Executor::Auto | Executor::Sandbox => return Ok(()),
    };
    let Some((reference, step)) = found else { return Ok(()) };
    let place = format!("{}:{}: step '{}'", file.display(), step.line, step.name);
    Err(CliError::usage(format!("{place}: the image '{reference}' {problem}")).hint(hint))
}

/// Containers have no machine's software.
fn refuse_host(plan: &Plan, file: &Path) -> Result<(), CliError> {
    let host = plan.steps.iter().filter(|step| step.settings.image == Image::Host);
    let Some(step) = host.min_by_key(|step| step.line) else { return Ok(()) };
    let place = format!("{}:{}: step '{}'", file.display(), step.line, step.name);
    let problem = "has no image, and Docker cannot run it: it would have the machine's own software";
    let hint = "give it an `image:` that has what it needs, or run it in the sandbox (--executor sandbox)";
    Err(CliError::usage(format!("{place} {problem}")).hint(hint))
}

fn execute_plan(
    args: &RunArgs,
    config: &Config,
    run_config: &RunConfig,
    planned: Planned,
    extras: Extras,
) -> Result<ExitStatus, CliError> {
    let Planned { mut plan, images } = planned;
    let base = base_directory(&args.pipeline.file);
    let secrets = secrets::resolve(&mut plan, &args.pipeline.file, &base, config)?;
    let has_secrets = !secrets.is_empty();
    let trust = config.trust(args.scope.as_ref());
    let cache = shared_store::local(&config.run_cache_options(), trust.local_scope())?;
    let shared = behind(args, config, &trust, extras.bundle.as_ref())?;
    let live = live_run(&cache)?;
    let prepared = prepare::prepare(config, run_config.executor, &plan, &base)?;
    let capacity = machine::capacity(run_config.cpu_millis, run_config.memory_bytes);
    let options = RunOptions {
        keep_going: args.keep_going,
        no_cache: args.no_cache,
        deliver: extras.written.is_some(),
        cpu_millis: capacity.cpu_millis,
        memory_bytes: capacity.memory_bytes,
    };
    let limits = plan.steps.iter().fold(Limits::default(), |all, step| all.or(step.settings.limits));
    let subtree = |source: u32, subpath: &str| prepared.sources.subtree(source, subpath);
    let images = images.resolve(config)?;
    extras.looking.iter().for_each(|looking| looking.prepared(&prepared.sources, &images));
    let roots = LocalImages::of(&images, config, &base);
    let plain_caches = machine::without_caches(run_config.executor, &plan);
    let submission =
        submission(plan, prepared.machine.clone(), images, options, subtree).map_err(prepare::unreadable)?;
    let run = run_id::fresh();
    let (shown, kept) = (!extras.silent, extras.has_usual_keys());
    let audience = Audience { shown, kept, promoting: extras.promoting.clone() };
    let mut watchers = match &extras.looking {
        Some(looking) => watchers::only(looking.clone()),
        None => watchers::start(config, run_config, args, run, &submission.spec.pipeline, audience),
    };
    let Extras { visiting, verifying, looking, written, .. } = extras;
    let visits = visiting.map(|visiting| visiting.to_visits(config, &watchers));
    let seat = visits.as_ref().map(|visits| Arc::clone(&visits.seat));
    for text in prepared.sources.warnings().chain(plain_caches) {
        let level = "warning".to_owned();
        watchers.event(&Event::Note(Note { level, kind: None, step: None, text }));
    }
    let roots = Arc::new(roots.watched_by(watchers.clone()));
    let images = Arc::clone(&roots);
    let volumes = config.volumes(Arc::new(CacheNotes(watchers.clone())));
    let execution = Execution {
        config,
        run_config,
        base: &base,
        cache: &cache,
        shared,
        prepared,
        run,
        submission,
        capacity,
        limits,
        full: live.is_none(),
        images,
        visits,
        verifying,
        looks: looking.is_some(),
        secrets: Arc::new(secrets),
        has_secrets,
        volumes: volumes.clone(),
        scope: trust.local_scope(),
    };
    let end = execution.execute(written.clone(), watchers.clone());
    seat.inspect(|seat| seat.clear());
    let end = end?;
    count(config, &end);
    let succeeded = end.status == "succeeded";
    watchers.close(&Closing { outputs: written.filter(|_| succeeded).as_ref().map(Written::closing) });
    settle(&cache, &roots, &volumes);
    Ok(exit_status(&end))
}

/// What is behind the cache of the machine. A bundle stands for a shared cache.
fn behind(
    args: &RunArgs,
    config: &Config,
    trust: &SharedTrust,
    bundle: Option<&Arc<Bundle>>,
) -> Result<Option<behind::Opened>, CliError> {
    if let Some(bundle) = bundle {
        return Ok(Some(behind::of_bundle(bundle, &config.cache_dir)));
    }
    let shared = config.shared_cache(args.shared_cache.as_deref())?;
    let shared = shared.map(|shared| SharedCacheConfig { trust: trust.clone(), ..shared });
    shared.map(|shared| behind::open(&shared, &config.cache_dir, &config.registries)).transpose()
}

/// Over its bound, the cache is brought back below it now that nobody waits, and what steps left for others is written to
/// the disk. The run is over: what fails here cannot change how it ended.
fn settle(cache: &LocalCache, roots: &LocalImages, volumes: &Volumes) {
    if let Err(error) = cache.maybe_gc() {
        diagnostics::report(&format!("warning: the cache could not be brought below its bound: {error}\n"));
    }
    if let Err(error) = roots.settle(cache.disk.bound()) {
        diagnostics::report(&format!(
            "warning: the images could not be brought below their bound: {error}\n"
        ));
    }
    if let Err(error) = volumes.settle(cullet_image::sync_when_quiet) {
        diagnostics::report(&format!("warning: cache volumes could not be written to the disk: {error}\n"));
    }
}

/// Counts what the tiers of the cache did. In a cache that cannot be written nobody does.
fn count(config: &Config, end: &RunEnd) {
    if let Err(error) = Traffic::add(&config.cache_dir, end) {
        tracing::debug!(%error, "what the cache did is not counted");
    }
}

/// Protects what the run uses from being evicted. On a full disk that cannot be written down; the cache may still
/// have all the answers, and an entry that disappears meanwhile is made again.
fn live_run(cache: &LocalCache) -> Result<Option<LiveRun>, CliError> {
    match cache.live_run() {
        Ok(live) => Ok(Some(live)),
        Err(StoreError::NoSpace { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn exit_status(end: &RunEnd) -> ExitStatus {
    match end.status.as_str() {
        "succeeded" => ExitStatus::Success,
        "cancelled" => ExitStatus::Interrupted,
        "infra_failed" => ExitStatus::Infra,
        _ => ExitStatus::StepFailed,
    }
}

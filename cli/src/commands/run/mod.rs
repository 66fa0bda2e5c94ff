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
mod rehearse;
mod remote;
mod run_id;
mod shared_volumes;
pub(crate) mod shell;
pub(crate) mod sources;
mod stores;
mod submit;
mod trace;
mod unusable;
pub(crate) mod verify;
mod visits;
pub(crate) mod watchers;

use std::path::Path;
use std::sync::Arc;

use cullet_bundle::Bundle;
use cullet_cache::LocalCache;
use cullet_coordinator::event::{Event, EventSink as _, Note, RunEnd};
use cullet_coordinator::session::Capacity;
use cullet_coordinator::submission::{RunOptions, submission};
use cullet_pipeline::Plan;
use cullet_pipeline::plan::Limits;
use cullet_worker::Volumes;

use super::pipeline_file::base_directory;
use super::{machine, pipeline_file};
use crate::args::RunArgs;
use crate::cluster::{Addresses, ClusterError};
use crate::config::{Config, RunConfig};
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::glass::{Glass, sent};
use crate::history::Traffic;
use crate::images::{LocalImages, Pinned};
use crate::secrets;
use crate::ui::Closing;
pub(crate) use deliver::Written;
use execute::{CacheNotes, Execution, Stage};
use look::Looking;
use promote::Promoting;
use push::Pushes;
use rehearse::Rehearsing;
use shell::Visiting;
use stores::{live_run, stores};
use unusable::refuse_images;
use verify::Verifying;
use watchers::{Audience, Watchers};

/// What is to be run, and what is known of its images.
struct Planned {
    plan: Plan,
    images: Pinned,
}

/// Runs a pipeline.
pub(super) fn run(args: &RunArgs, config: &Config) -> Result<ExitStatus, CliError> {
    if args.rehearse_break_glass {
        return rehearse::rehearse(args, config);
    }
    if !args.break_glass && config.cluster(args.cluster.as_deref()).is_some() {
        tell_unsent(config);
    }
    let glass = args.break_glass.then(|| Glass::open(args, config)).transpose()?;
    let visiting = shell::after_failures(args)?;
    let (pushes, written) = (Pushes::of(&args.push)?, args.output.clone().map(Written::to));
    // A person says once that the cluster is not meant.
    let here = RunArgs { cluster: Some(String::new()), ..args.clone() };
    let args = if glass.is_some() { &here } else { args };
    let extras = Extras {
        visiting,
        pushes: pushes.clone(),
        written: written.clone(),
        quarantined: glass.is_some(),
        glass,
        ..Extras::default()
    };
    match run_with(args, config, extras)? {
        ExitStatus::Success => pushes.push(written.as_ref(), config),
        other => Ok(other),
    }
}

/// Says that the cluster was not told yet what was done while it was down. It is not told behind anybody's back: a run goes on
/// whatever is wrong with the journal, and may be somebody's who may not send one.
fn tell_unsent(config: &Config) {
    let unsent = sent::unsent(&config.glass.dir);
    if unsent > 0 {
        let (entries, have) = if unsent == 1 { ("entry", "was") } else { ("entries", "were") };
        diagnostics::report(&format!(
            "note: {unsent} {entries} of the journal of break-glass runs {have} not sent to the cluster yet: cullet journal send\n"
        ));
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
    /// It is on record before it begins.
    glass: Option<Glass>,
    /// What it makes belongs to the quarantine scope, which is read as well.
    quarantined: bool,
    /// It is tried out without a network, and leaves nothing.
    rehearsing: Option<Rehearsing>,
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
        self.rehearsing.iter().for_each(|rehearsing| rehearsing.arrange(plan));
        self.verifying.as_mut().map_or(Ok(()), |verifying| verifying.arrange(plan, file))
    }

    /// Who hears of the run.
    fn audience(&self) -> Audience {
        let remembered = self.rehearsing.is_none();
        let promoting = self.promoting.clone();
        Audience { shown: !self.silent, remembered, kept: self.has_usual_keys(), promoting }
    }

    /// Whether keys of the run are remembered: not where steps are not what they are in every run, and not where no other run
    /// finds their results.
    fn has_usual_keys(&self) -> bool {
        self.verifying.is_none()
            && self.looking.is_none()
            && !self.quarantined
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
    extras.glass.iter_mut().for_each(|glass| glass.read(&text));
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

fn execute_plan(
    args: &RunArgs,
    config: &Config,
    run_config: &RunConfig,
    planned: Planned,
    mut extras: Extras,
) -> Result<ExitStatus, CliError> {
    let Planned { mut plan, images } = planned;
    let base = base_directory(&args.pipeline.file);
    let secrets = secrets::resolve(&mut plan, &args.pipeline.file, &base, config)?;
    let (cache, shared, scope) = stores(args, config, &extras)?;
    let live = live_run(&cache)?;
    let prepared = prepare::prepare(config, run_config.executor, &plan, &base)?;
    let capacity = machine::capacity(run_config.cpu_millis, run_config.memory_bytes);
    let options = run_options(args, capacity, extras.written.is_some());
    let limits = plan.steps.iter().fold(Limits::default(), |all, step| all.or(step.settings.limits));
    let subtree = |source: u32, subpath: &str| prepared.sources.subtree(source, subpath);
    let images = images.resolve(config)?;
    extras.looking.iter().for_each(|looking| looking.prepared(&prepared.sources, &images));
    let run = run_id::fresh();
    // What is on record as begun comes to an end on record.
    let stage = Stage::set()?;
    let begin = |glass: Glass| glass.begin(run.to_string(), args, &plan, &prepared.sources, &images);
    let broken = extras.glass.take().map(begin).transpose()?;
    let roots = LocalImages::of(&images, config, &base);
    let plain_caches = machine::without_caches(run_config.executor, &plan);
    let submission =
        submission(plan, prepared.machine.clone(), images, options, subtree).map_err(prepare::unreadable)?;
    let audience = extras.audience();
    let mut watchers = match &extras.looking {
        Some(looking) => watchers::only(looking.clone()),
        None => watchers::start(config, run_config, args, run, &submission.spec.pipeline, audience),
    };
    broken.iter().for_each(|broken| watchers.add(broken.watcher()));
    extras.rehearsing.iter().for_each(|rehearsing| watchers.add(rehearsing.watcher()));
    let Extras { visiting, verifying, looking, rehearsing, written, .. } = extras;
    let visits = visiting.map(|visiting| visiting.to_visits(config, &watchers));
    let seat = visits.as_ref().map(|visits| Arc::clone(&visits.seat));
    warn(&mut watchers, prepared.sources.warnings().chain(plain_caches));
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
        leaves_nothing: rehearsing.is_some(),
        has_secrets: !secrets.is_empty(),
        secrets: Arc::new(secrets),
        volumes: volumes.clone(),
        scope: scope.as_ref(),
    };
    let end = execution.execute(stage, written.clone(), watchers.clone());
    seat.inspect(|seat| seat.clear());
    let end = end?;
    if rehearsing.is_none() {
        count(config, &end);
    }
    let written = written.filter(|_| end.status == "succeeded");
    let outputs = written.as_ref().map(Written::closing);
    watchers.close(&Closing { outputs, unrecorded: rehearsing.is_some(), cluster: false });
    settle(&cache, &roots, &volumes);
    broken.map_or(Ok(()), |broken| broken.finish(&cache))?;
    Ok(exit_status(&end))
}

fn run_options(args: &RunArgs, capacity: Capacity, deliver: bool) -> RunOptions {
    RunOptions {
        keep_going: args.keep_going,
        no_cache: args.no_cache,
        deliver,
        cpu_millis: capacity.cpu_millis,
        memory_bytes: capacity.memory_bytes,
    }
}

fn warn(watchers: &mut Watchers, texts: impl Iterator<Item = String>) {
    for text in texts {
        let level = "warning".to_owned();
        watchers.event(&Event::Note(Note { level, kind: None, step: None, text }));
    }
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

pub(crate) fn exit_status(end: &RunEnd) -> ExitStatus {
    match end.status.as_str() {
        "succeeded" => ExitStatus::Success,
        "cancelled" => ExitStatus::Interrupted,
        "infra_failed" => ExitStatus::Infra,
        _ => ExitStatus::StepFailed,
    }
}

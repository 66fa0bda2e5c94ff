//! `cullet cache promote`: steps are executed again, and where that gives what one scope has, it becomes a result of another.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cullet_cache::{
    ActionCache, LocalCache, NoPeers, ObjectOptions, Scope, SharedCache, StoreError, Tiers, TiersOptions,
    TrustOptions,
};
use cullet_coordinator::compare::differing;
use cullet_coordinator::event::Event;
use cullet_coordinator::resolve::describe;
use cullet_digest::Digest;
use cullet_pipeline::Plan;
use cullet_pipeline::plan::{OutputPattern, Step};
use tokio::runtime::Handle;

use super::Extras;
use super::prepare::FUNCTION;
use super::verify::with_what_needs_them;
use crate::args::{PromoteArgs, RunArgs};
use crate::config::{Config, SharedCacheConfig, SharedCacheMode};
use crate::error::{CliError, ExitStatus};
use crate::runtime;
use crate::shared_store;
use crate::ui::{Closing, Moment, Observer, clean};

/// Where the results of such a run are before anybody has compared them: nobody else reads there.
fn apart() -> Scope {
    Scope::Quarantine("promotion".to_owned())
}

/// Which steps were executed, and how to compare them. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Promoting(Arc<Mutex<Seen>>);

#[derive(Debug, Default)]
struct Seen {
    /// Steps that succeeded by being executed, with their keys.
    executed: BTreeMap<String, Digest>,
    /// Paths that are no outputs of a step, where it has any: reports say how long tests took.
    besides: BTreeMap<String, BTreeSet<String>>,
}

/// Executes steps again, and writes what is the same into another scope.
///
/// # Errors
/// There is no shared cache that may be written, or it cannot be used.
pub(crate) fn promote(
    args: &PromoteArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let shared = destination(args, config)?;
    let run = RunArgs {
        pipeline: args.pipeline.clone(),
        targets: args.steps.clone(),
        keep_going: true,
        no_cache: true,
        locked: args.locked,
        jobs: args.jobs,
        executor: args.executor,
        // Whatever the environment says: what others executed proves nothing, and nothing is published before it is compared.
        cluster: Some(String::new()),
        shared_cache: Some(String::new()),
        scope: Some(apart()),
        ..RunArgs::default()
    };
    let promoting = Promoting::default();
    let extras = Extras { promoting: Some(promoting.clone()), ..Extras::default() };
    let ended = super::run_with(&run, config, extras)?;
    if matches!(ended, ExitStatus::Usage | ExitStatus::Interrupted) {
        return Ok(ended);
    }
    let seen = std::mem::take(&mut *promoting.seen());
    let runtime = runtime::of_threads(3)?;
    let (text, stays) =
        runtime.block_on(async { Moving::open(args, config, &shared)?.move_all(&seen).await })?;
    runtime.shutdown_background();
    out.write_all(text.as_bytes()).map_err(CliError::output)?;
    Ok(if ended == ExitStatus::Success && stays { ExitStatus::StepFailed } else { ended })
}

/// The shared cache, if anything may be written there.
fn destination(args: &PromoteArgs, config: &Config) -> Result<SharedCacheConfig, CliError> {
    if args.from == args.to {
        return Err(CliError::usage(format!(
            "--from and --to are both {}",
            clean::line(&args.to.to_string())
        )));
    }
    let shared = config.shared_cache(args.shared_cache.as_deref())?.ok_or_else(|| {
        CliError::usage("results are promoted in a shared cache, and none is named")
            .hint("name one with --shared-cache LOCATION, CULLET_SHARED_CACHE or `shared` in [cache]")
    })?;
    if shared.mode == SharedCacheMode::Read {
        let problem = format!("the shared cache {} is only read", clean::line(&shared.location));
        return Err(
            CliError::usage(problem).hint("CULLET_SHARED_CACHE_MODE=write, or `mode = \"write\"` in [cache]")
        );
    }
    Ok(shared)
}

impl Promoting {
    /// Steps that act on the outside world are not executed, and nothing that needs them. Nothing is handed out.
    pub(super) fn arrange(&self, plan: &mut Plan) {
        let acting = with_what_needs_them(plan, |step| step.settings.effects);
        let mut seen = self.seen();
        for (step, acts) in plan.steps.iter_mut().zip(acting) {
            if acts {
                step.skip = Some("it acts on the outside world, or needs a step that does".into());
            }
            let besides = besides(step);
            if !besides.is_empty() {
                seen.besides.insert(step.name.to_string(), besides);
            }
        }
        plan.outputs.clear();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // Every change is whole by itself.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reports of a step that are no outputs of it.
pub(crate) fn besides(step: &Step) -> BTreeSet<String> {
    let is_output = |path: &String| {
        step.outputs.iter().any(|output| matches!(&output.pattern, OutputPattern::Path(of) if of == path))
    };
    let reports = step.settings.reports.iter().map(|report| report.path.clone());
    reports.filter(|path| !is_output(path)).collect()
}

impl Observer for Promoting {
    fn event(&mut self, event: &Event, _: Moment) {
        let Event::StepFinished(end) = event else { return };
        let key = end.action_digest.as_deref().and_then(|text| Digest::parse(FUNCTION, text).ok());
        if let (false, "succeeded", Some(key)) = (end.cached, end.status.as_str(), key) {
            self.seen().executed.insert(end.step.clone(), key);
        }
    }

    fn tick(&mut self, _: Moment) {}

    fn close(&mut self, _: &Closing, _: Moment) {}
}

/// From one scope to another.
struct Moving<'a> {
    args: &'a PromoteArgs,
    /// What this machine made.
    made: LocalCache,
    /// What the one scope has, whoever says so: it is compared with what was made here.
    from: Arc<dyn ActionCache>,
    /// Signed, where this machine signs.
    to: Arc<dyn ActionCache>,
    tiers: Tiers,
}

/// What became of a step.
enum Promotion {
    Done,
    /// The one scope does not have it.
    Absent,
    Differs(Vec<String>),
}

impl<'a> Moving<'a> {
    fn open(args: &'a PromoteArgs, config: &Config, shared: &SharedCacheConfig) -> Result<Self, CliError> {
        let signing = shared.trust.options()?.signing;
        let spool = ObjectOptions::new(config.cache_dir.join("spool"));
        let options = ObjectOptions { variables: shared.variables.clone(), ..spool };
        let cache = shared_store::open(&shared.location, &options, &config.registries)?;
        let made = shared_store::local(&config.cache_options(), Some(&apart()))?;
        let to = TrustOptions { scope: args.to.clone(), signing, usual: None, trusted: None };
        let SharedCache { objects, .. } = &cache;
        let (peers, tiering) = (Arc::new(NoPeers), TiersOptions::default());
        let tiers = Tiers::new(made.disk.clone(), peers, objects.clone(), &tiering, Handle::current())?;
        let from = cache.only(&args.from);
        Ok(Self { args, made, from, to: cache.trusting(&to).all_actions, tiers })
    }

    /// Says what became of each step, and whether anything stays where it is.
    async fn move_all(&self, seen: &Seen) -> Result<(String, bool), CliError> {
        let live = self.made.live_run()?;
        let (from, to) = (self.args.from.to_string(), self.args.to.to_string());
        let (from, to) = (clean::line(&from), clean::line(&to));
        let (mut text, mut stays) = (String::new(), false);
        for (name, key) in &seen.executed {
            let none = BTreeSet::new();
            let moved = self.promote(key, seen.besides.get(name).unwrap_or(&none)).await;
            let step = clean::line(name);
            let _ = match moved.map_err(|error| {
                CliError::infra(format!("'{step}' cannot be promoted")).because(describe(&error))
            })? {
                Promotion::Done => {
                    writeln!(text, "{step}: what {from} has is what was made here; now in {to}")
                }
                Promotion::Absent => {
                    stays = true;
                    writeln!(text, "{step}: {from} has no result of it")
                }
                Promotion::Differs(paths) => {
                    stays = true;
                    let paths = paths.iter().map(|path| clean::line(path)).collect::<Vec<_>>();
                    writeln!(text, "{step}: differs from what {from} has: {}", paths.join(", "))
                }
            };
        }
        if seen.executed.is_empty() {
            text.push_str("nothing was executed\n");
        }
        drop(live);
        Ok((text, stays))
    }

    async fn promote(&self, key: &Digest, besides: &BTreeSet<String>) -> Result<Promotion, StoreError> {
        let gone = || StoreError::NotFound { digest: *key };
        let made = self.made.actions.get(key).await?.ok_or_else(gone)?;
        let Some(there) = self.from.get(key).await? else { return Ok(Promotion::Absent) };
        let differing = differing(&there, &made, besides);
        if !differing.is_empty() {
            return Ok(Promotion::Differs(differing));
        }
        // What was made here, and not what somebody else says of it.
        self.tiers.upload(&made).await?;
        self.to.put(key, &made).await?;
        Ok(Promotion::Done)
    }
}

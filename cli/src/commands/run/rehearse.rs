//! `cullet run --rehearse-break-glass`: the run that would break the glass, without a network, and without leaving anything.

use std::sync::{Arc, Mutex, PoisonError};

use cullet_cache::{Location, Scope};
use cullet_pipeline::Plan;

use super::verify::with_what_needs_them;
use super::{Extras, run_with};
use crate::args::RunArgs;
use crate::config::{Config, Executor, SharedCacheConfig, SharedCacheMode};
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::glass::{Journal, Record, Standing, cut_off_again, is_cut_off, others, standing};
use crate::ui::{Observer, clean};

/// A rehearsal. Clones share what it finds.
#[derive(Debug, Clone)]
pub(super) struct Rehearsing {
    /// Of what it makes, which nobody will ever read.
    pub(super) scope: Scope,
    record: Record,
    found: Arc<Mutex<Found>>,
}

/// What is not rehearsed.
#[derive(Debug, Default)]
struct Found {
    /// Steps that act on the outside world.
    acting: Vec<String>,
    /// Steps that need one of them.
    behind: Vec<String>,
    /// A shared cache that takes a network.
    away: Option<String>,
}

impl Rehearsing {
    fn new() -> Self {
        let scope = Scope::Quarantine(format!("rehearsal-{:016x}", crate::random::number()));
        Self { scope, record: Record::default(), found: Arc::default() }
    }

    /// Who has to hear of everything that happens.
    pub(super) fn watcher(&self) -> Box<dyn Observer> {
        Box::new(self.record.clone())
    }

    /// Leaves out what acts on the outside world, and what needs that.
    pub(super) fn arrange(&self, plan: &mut Plan) {
        let acting = with_what_needs_them(plan, |step| step.skip.is_none() && step.settings.effects);
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        for (step, _) in
            plan.steps.iter_mut().zip(acting).filter(|(step, acting)| *acting && step.skip.is_none())
        {
            let name = step.name.to_string();
            if step.settings.effects {
                found.acting.push(name)
            } else {
                found.behind.push(name)
            }
            step.skip =
                Some("it acts on the outside world, or needs a step that does: this is a rehearsal".into());
        }
        // What it leaves is nobody's.
        plan.outputs.clear();
    }

    /// The shared cache, if it is one that takes no network; it is only read.
    pub(super) fn reachable(&self, shared: Option<SharedCacheConfig>) -> Option<SharedCacheConfig> {
        let shared = shared?;
        if matches!(shared.location.parse(), Ok(Location::Directory(_))) {
            return Some(SharedCacheConfig { mode: SharedCacheMode::Read, ..shared });
        }
        self.found.lock().unwrap_or_else(PoisonError::into_inner).away = Some(shared.location);
        None
    }
}

/// Finds out whether the glass could be broken.
pub(super) fn rehearse(args: &RunArgs, config: &Config) -> Result<ExitStatus, CliError> {
    if !is_cut_off() {
        return Err(cut_off_again());
    }
    Journal::open(&config.glass)?.try_out()?;
    let rehearsing = Rehearsing::new();
    let args = RunArgs { cluster: Some(String::new()), keep_going: true, ..args.clone() };
    let extras = Extras { quarantined: true, rehearsing: Some(rehearsing.clone()), ..Extras::default() };
    let ended = run_with(&args, config, extras).map_err(|error| {
        error.hint("this was a rehearsal with the network cut off: a break-glass run would stop here as well")
    })?;
    let found = rehearsing.found.lock().unwrap_or_else(PoisonError::into_inner);
    let finished = rehearsing.record.finished(None);
    let mut said = Vec::new();
    if let Some(away) = &found.away {
        said.push(format!("from the local cache alone: {} takes a network", clean::line(away)));
    }
    if config.run(&args).executor == Executor::Docker {
        said.push("containers have the network of the Docker engine, which is not cut off".to_owned());
    }
    said.extend(rehearsing.record.troubles().iter().map(|trouble| clean::line(trouble)));
    if !found.acting.is_empty() {
        let acting = clean::line(&found.acting.join(", "));
        said.push(format!("not tried, because they act on the outside world: {acting}"));
    }
    if !found.behind.is_empty() {
        said.push(format!("not tried, because they need those: {}", clean::line(&found.behind.join(", "))));
    }
    let mut status = ended;
    if let (Standing::Impossible(needed, there), false) = (standing(&config.glass), found.acting.is_empty()) {
        said.push(format!("{} must approve that, and {there} may ([break-glass] approvers)", others(needed)));
        status = if ended == ExitStatus::Success { ExitStatus::Usage } else { ended };
    }
    let verdict = match status {
        ExitStatus::Success => "would work".to_owned(),
        ExitStatus::Interrupted => "was not tried to the end".to_owned(),
        _ => {
            let failed =
                finished.steps.iter().filter(|step| !matches!(&*step.status, "succeeded" | "skipped"));
            let names: Vec<String> = failed.map(|step| clean::line(&step.step)).collect();
            if names.is_empty() {
                "would not work".to_owned()
            } else {
                format!("would not work: {}", names.join(", "))
            }
        }
    };
    let (executed, cached) = (finished.executed, finished.cached);
    said.push(format!(
        "a break-glass run {verdict} ({executed} executed, {cached} cached); nothing was recorded"
    ));
    diagnostics::report(&said.iter().map(|line| format!("rehearsal: {line}\n")).collect::<String>());
    Ok(status)
}

//! Everybody who watches a run: the screen, and the history.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cullet_coordinator::resolve::describe;
use cullet_coordinator::{Event, EventSink};
use cullet_core::RunId;

use super::promote::Promoting;
use crate::args::RunArgs;
use crate::config::{Config, Progress, RunConfig};
use crate::diagnostics;
use crate::history::keys::KeyRecorder;
use crate::history::{HistoryError, Meta, RunRecorder, Store};
use crate::ui::duration::now_ms;
use crate::ui::{self, Closing, Gate, Observer, Observers};

/// The watchers, for whoever has something to tell and for the command that closes them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watchers(Arc<Mutex<Option<Observers>>>);

impl Watchers {
    /// Nobody yet: what is told before [`Watchers::begin`] is lost.
    pub(crate) fn idle() -> Self {
        Self::default()
    }

    /// From now on these watch, a run that started then (in milliseconds since the Unix epoch).
    pub(crate) fn begin(&self, list: Vec<Box<dyn Observer>>, started_ms: u64) {
        *self.lock() = Some(Observers::start_at(list, started_ms));
    }

    /// One more watches from now on.
    pub(super) fn add(&self, observer: Box<dyn Observer>) {
        if let Some(observers) = &*self.lock() {
            observers.add(observer);
        }
    }

    /// Tells what happened elsewhere, where it is known when.
    pub(crate) fn event_at(&self, event: &Event, wall_ms: Option<u64>) {
        if let Some(observers) = &mut *self.lock() {
            match wall_ms {
                Some(wall_ms) => observers.event_at(event, wall_ms),
                None => observers.event(event),
            }
        }
    }

    /// Somebody else has the terminal, or it is free again.
    pub(crate) fn hold(&self, held: bool) {
        if let Some(observers) = &*self.lock() {
            observers.hold(held);
        }
    }

    /// Tells everybody that this was all.
    pub(crate) fn close(&self, closing: &Closing) {
        let observers = self.lock().take();
        if let Some(observers) = observers {
            observers.close(closing);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Observers>> {
        // A watcher that panicked is a defect of display; the run is worth more.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventSink for Watchers {
    fn event(&mut self, event: &Event) {
        self.event_at(event, None);
    }
}

/// Who watches a run.
#[derive(Debug, Clone)]
pub(super) struct Audience {
    /// It is shown.
    pub(super) shown: bool,
    /// It is remembered.
    pub(super) remembered: bool,
    /// So are its keys.
    pub(super) kept: bool,
    /// Somebody compares what is made.
    pub(super) promoting: Option<Promoting>,
}

/// Starts watching.
pub(super) fn start(
    config: &Config,
    run_config: &RunConfig,
    args: &RunArgs,
    run: RunId,
    pipeline: &str,
    audience: Audience,
) -> Watchers {
    let mut list: Vec<Box<dyn Observer>> = Vec::new();
    if audience.shown {
        list.push(Box::new(Gate::of(renderer(config, run_config.progress))));
    }
    let scope = config.trust(args.scope.as_ref()).local_scope().map(ToString::to_string);
    let meta = Meta { scope, ..meta(args, &run.to_string(), pipeline) };
    let file = PathBuf::from(&meta.file);
    if audience.remembered
        && let Some(recorder) = recorder(config, &meta)
    {
        list.push(recorder);
        if audience.kept {
            list.push(Box::new(KeyRecorder::new(config.keys_dir(), file)));
        }
    }
    if let Some(promoting) = audience.promoting {
        list.push(Box::new(promoting));
    }
    let watchers = Watchers::idle();
    watchers.begin(list, meta.started_at_ms);
    watchers
}

/// Only this one watches, and nobody writes the run down.
pub(super) fn only(watcher: impl Observer + 'static) -> Watchers {
    let watchers = Watchers::idle();
    watchers.begin(vec![Box::new(watcher)], now_ms());
    watchers
}

/// Who shows the run.
pub(crate) fn renderer(config: &Config, progress: Progress) -> Box<dyn Observer> {
    ui::renderer(config.terminal.mode(progress), config.terminal.stdout_style(config.color))
}

/// What a run that starts now is started as.
pub(super) fn meta(args: &RunArgs, run: &str, pipeline: &str) -> Meta {
    let file = std::path::absolute(&args.pipeline.file).unwrap_or_else(|_| args.pipeline.file.clone());
    Meta {
        run: run.to_owned(),
        pipeline: pipeline.to_owned(),
        file: file.to_string_lossy().into_owned(),
        started_at_ms: now_ms(),
        targets: args.targets.clone(),
        params: args.pipeline.params.clone(),
        break_glass: args.break_glass,
        ..Meta::of_this_process()
    }
}

/// Who writes the run down. In a read-only or full cache nobody does: the run can do without a history, and a person
/// is told.
pub(super) fn recorder(config: &Config, meta: &Meta) -> Option<Box<dyn Observer>> {
    match RunRecorder::create(&Store::open(config.runs_dir()), meta) {
        Ok(recorder) => Some(Box::new(recorder)),
        // It is remembered.
        Err(HistoryError::Recorded { .. }) => None,
        Err(error) => {
            diagnostics::report(&format!("warning: this run is not remembered: {}\n", describe(&error)));
            None
        }
    }
}

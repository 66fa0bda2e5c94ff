//! Everybody who watches a run: the screen, and the history.

use std::sync::{Arc, Mutex, PoisonError};

use cullet_coordinator::resolve::describe;
use cullet_coordinator::{Event, EventSink};
use cullet_core::RunId;

use crate::args::RunArgs;
use crate::config::{Config, RunConfig};
use crate::diagnostics;
use crate::error::CliError;
use crate::history::keys::KeyRecorder;
use crate::history::{Meta, RunRecorder, Store};
use crate::ui::duration::now_ms;
use crate::ui::{self, Closing, Observer, Observers};

/// The watchers, for the session and for the command that closes them.
#[derive(Clone, Debug)]
pub(super) struct Watchers(Arc<Mutex<Option<Observers>>>);

impl Watchers {
    /// Tells everybody that this was all.
    pub(super) fn close(&self, closing: &Closing) {
        if let Some(observers) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            observers.close(closing);
        }
    }
}

impl EventSink for Watchers {
    fn event(&mut self, event: &Event) {
        if let Some(observers) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            observers.event(event);
        }
    }
}

/// Starts watching.
pub(super) fn start(
    config: &Config,
    run_config: &RunConfig,
    args: &RunArgs,
    run: RunId,
    pipeline: &str,
) -> Result<Watchers, CliError> {
    let style = config.terminal.stdout_style(config.color);
    let mut list: Vec<Box<dyn Observer>> =
        vec![ui::renderer(config.terminal.mode(run_config.progress), style)];
    let file = std::path::absolute(&args.pipeline.file).unwrap_or_else(|_| args.pipeline.file.clone());
    let meta = Meta {
        run: run.to_string(),
        pipeline: pipeline.to_owned(),
        file: file.to_string_lossy().into_owned(),
        started_at_ms: now_ms(),
        targets: args.targets.clone(),
        params: args.pipeline.params.clone(),
        ..Meta::of_this_process()
    };
    match RunRecorder::create(&Store::open(config.runs_dir()), &meta) {
        Ok(recorder) => {
            list.push(Box::new(recorder));
            list.push(Box::new(KeyRecorder::new(config.keys_dir(), file)));
        }
        // A read-only or full cache: the run can do without a history, and a person is told.
        Err(error) => {
            diagnostics::report(&format!("warning: this run is not remembered: {}\n", describe(&error)))
        }
    }
    Ok(Watchers(Arc::new(Mutex::new(Some(Observers::start(list))))))
}

//! `cullet logs`.

mod blobs;
mod find;
mod print;
mod remote;

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cullet_cache::{ActionResult, LocalCache};
use cullet_coordinator::StepEnd;
use cullet_digest::{Digest, DigestFunction};

use super::on_cluster;
use crate::args::LogsArgs;
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};
use crate::history::{Store, StoredRun};
use crate::shared_store;
use crate::ui::model::cause;
use crate::ui::{Tone, clean, duration, short};

use blobs::Logs;
use find::{Found, Results, find};

/// Prints what steps printed.
pub(super) fn logs(args: &LogsArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    if let Some(addresses) = on_cluster::named(&args.cluster, config)? {
        return remote::logs(args, config, &addresses, out);
    }
    if args.follow {
        return Err(CliError::usage("--follow is about steps of a cluster, and none is named").hint(
            "name one of its coordinators with --cluster URL; a run of this machine shows its own steps",
        ));
    }
    let store = Store::open(config.runs_dir());
    let Found { run, steps, results, implicit } = find(&store, &args.what)?;
    if steps.is_empty() {
        let name = short(&run.meta().run);
        diagnostics::report(&format!("no step of run {name} failed; name one: cullet logs {name} STEP\n"));
        return Ok(ExitStatus::Success);
    }
    let cache = shared_store::local(&config.cache_options(), run.meta().scope().as_ref())?;
    let cache = if run.meta().break_glass { cache.over(&config.quarantine()) } else { cache };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::infra("cannot start the runtime").because(error))?;
    if let ([step], true) = (&*steps, implicit) {
        let cause = cause(&step.status, step.exit_code, step.reason.as_deref(), step.duration_ms);
        let (step, name) = (clean::line(&step.step), short(&run.meta().run));
        diagnostics::report(&format!("{step} of run {name}: {cause}\n"));
    }
    let printer = Printer { cache: &cache, run: &run, results: &results, args, config };
    let mut problem = None;
    for step in &steps {
        if steps.len() > 1 {
            let cause = cause(&step.status, step.exit_code, step.reason.as_deref(), step.duration_ms);
            titled(&clean::line(&step.step), &step.status, &cause, config, out)?;
        }
        match runtime.block_on(printer.show(step, out)) {
            Ok(()) => {}
            Err(error) if error.kind() == crate::ErrorKind::Unread => return Err(error),
            // The others may still have theirs.
            Err(error) if steps.len() > 1 => {
                diagnostics::error(&error, config.terminal.stderr_style(config.color));
                problem = Some(error.status());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(problem.unwrap_or(ExitStatus::Success))
}

/// What the steps of one run are printed with.
struct Printer<'a> {
    cache: &'a LocalCache,
    run: &'a StoredRun,
    results: &'a Results,
    args: &'a LogsArgs,
    config: &'a Config,
}

impl Printer<'_> {
    async fn show(&self, step: &StepEnd, out: &mut dyn Write) -> Result<(), CliError> {
        let result = result(self.cache, step, self.results).await;
        let result = result.map_err(|error| elsewhere(error, self.run))?;
        if step.cached && result.started_at_ms < self.run.meta().started_at_ms {
            let (name, when) = (clean::line(&step.step), duration::rfc3339(result.started_at_ms));
            let ago = duration::ago(result.started_at_ms, duration::now_ms());
            diagnostics::report(&format!(
                "{name} came from the cache; this is its execution of {when} ({ago})\n"
            ));
        }
        let terminal = &self.config.terminal;
        let style = terminal.stdout.then(|| terminal.stdout_style(self.config.color));
        let logs = Logs { cache: self.cache, config: self.config };
        print::print(&logs, step, &result, self.args.stream, style, out).await
    }
}

/// What a cluster executed is in the cluster.
fn elsewhere(error: CliError, run: &StoredRun) -> CliError {
    match &run.meta().cluster {
        Some(cluster) => error.hint(format!("it ran on a cluster: add --cluster {}", clean::line(cluster))),
        None => error,
    }
}

/// Stands above the log of a step where there are several.
fn titled(
    name: &str,
    status: &str,
    cause: &str,
    config: &Config,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let title = format!("--- {name}: {cause} ---");
    let style = config.terminal.stdout_style(config.color);
    let tone = if status == "succeeded" { Tone::Good } else { Tone::Bad };
    writeln!(out, "{}", style.paint(tone, title)).map_err(CliError::output)
}

/// The result of the execution that made this end: as the run wrote it down, or else from the action cache.
async fn result(cache: &LocalCache, step: &StepEnd, results: &Results) -> Result<ActionResult, CliError> {
    let name = clean::line(&step.step);
    if let Some(encoded) = results.of(step) {
        let damaged = || CliError::infra(format!("the result of {name} is damaged in the history"));
        let bytes = STANDARD.decode(encoded).map_err(|error| damaged().because(error))?;
        return ActionResult::decode(DigestFunction::Blake3, bytes.into())
            .map_err(|error| damaged().because(error));
    }
    let Some(action) = &step.action_digest else {
        let why = cause(&step.status, step.exit_code, step.reason.as_deref(), step.duration_ms);
        return Err(CliError::usage(format!("{name} printed nothing: it never ran ({why})")));
    };
    let action = Digest::parse(DigestFunction::Blake3, action)
        .map_err(|error| CliError::infra(format!("the key of {name} is damaged")).because(error))?;
    if let Some(result) = cache.seen.get(&action).await? {
        return Ok(result);
    }
    let gone = match cache.tombstone(&action)? {
        Some(_) => CliError::infra(format!("the log of {name} was evicted from the cache")),
        None => CliError::infra(format!("the log of {name} is not in the cache")),
    };
    Err(gone.hint("run the step again, with --no-cache if need be"))
}

//! `cullet runs`.

mod remote;

use std::io::Write;

use serde_json::json;

use super::on_cluster;
use crate::args::{Format, RunsArgs};
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::history::{RunState, Store, StoredRun};
use crate::ui::table::{self, Cell};
use crate::ui::{Tone, clean, duration, short};

/// Lists runs, the newest first.
pub(super) fn runs(args: &RunsArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    if let Some(addresses) = on_cluster::named(&args.cluster, config)? {
        return remote::runs(args, config, &addresses, out);
    }
    let mut runs = Store::open(config.runs_dir()).runs()?;
    runs.truncate(args.limit);
    let now_ms = duration::now_ms();
    if args.format == Format::Json {
        for run in &runs {
            writeln!(out, "{}", object(run)).map_err(CliError::output)?;
        }
        return Ok(ExitStatus::Success);
    }
    let rows: Vec<Vec<Cell>> = runs.iter().map(|run| row(run, now_ms)).collect();
    let heading = ["RUN", "PIPELINE", "STATUS", "EXECUTED", "CACHED", "FAILED", "TOOK", "STARTED"];
    table(config, &heading, &rows, out)
}

fn table(
    config: &Config,
    heading: &[&str],
    rows: &[Vec<Cell>],
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    if rows.is_empty() {
        writeln!(out, "no run yet").map_err(CliError::output)?;
        return Ok(ExitStatus::Success);
    }
    let style = config.terminal.stdout_style(config.color);
    table::write(out, style, heading, rows).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

fn row(run: &StoredRun, now_ms: u64) -> Vec<Cell> {
    let state = run.state();
    let counts = match &state {
        RunState::Finished(end) => [end.executed, end.cached, end.failed].map(Cell::number),
        _ => ["-", "-", "-"].map(Cell::number),
    };
    let took = run.elapsed_ms(&state, now_ms).map_or_else(|| "-".to_owned(), duration::human_ms);
    let [executed, cached, failed] = counts;
    vec![
        Cell::text(short(&run.meta().run)),
        Cell::text(clean::line(&run.meta().pipeline)),
        Cell::text(state.word()).tone(tone(state.word())),
        executed,
        cached,
        failed,
        Cell::number(took),
        Cell::text(duration::ago(run.meta().started_at_ms, now_ms)),
    ]
}

/// The tone of the word for a run's state.
pub(super) fn tone(word: &str) -> Tone {
    match word {
        "succeeded" => Tone::Good,
        "running" => Tone::Busy,
        "failed" | "infra_failed" => Tone::Bad,
        _ => Tone::Warn,
    }
}

fn object(run: &StoredRun) -> serde_json::Value {
    let (meta, state) = (run.meta(), run.state());
    let mut object = json!({
        "run": meta.run,
        "pipeline": meta.pipeline,
        "file": meta.file,
        "status": state.word(),
        "started": run.started(),
    });
    if let RunState::Finished(end) = &state {
        object["executed"] = json!(end.executed);
        object["cached"] = json!(end.cached);
        object["failed"] = json!(end.failed);
        object["skipped"] = json!(end.skipped);
        object["duration_ms"] = json!(end.duration_ms);
        object["saved_ms"] = json!(end.saved_ms);
    }
    object
}

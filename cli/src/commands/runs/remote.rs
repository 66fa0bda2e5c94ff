//! Runs of a cluster.

use std::io::Write;

use cullet_proto::v1;
use serde_json::json;

use super::{on_cluster, table, tone};
use crate::args::{Format, RunsArgs};
use crate::cluster::Addresses;
use crate::config::Config;
use crate::error::{CliError, ExitStatus};
use crate::ui::table::Cell;
use crate::ui::{clean, duration, short};

/// Lists runs, the newest first; those of one tenant where the configuration names one.
pub(super) fn runs(
    args: &RunsArgs,
    config: &Config,
    addresses: &Addresses,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let runs = on_cluster::block_on(addresses, async |cluster| {
        Ok(cluster.runs(args.limit, config.tenant()).await?)
    })?;
    if args.format == Format::Json {
        for run in &runs {
            writeln!(out, "{}", object(run)).map_err(CliError::output)?;
        }
        return Ok(ExitStatus::Success);
    }
    let now_ms = duration::now_ms();
    let rows: Vec<Vec<Cell>> = runs.iter().map(|run| row(run, now_ms)).collect();
    let heading = ["RUN", "TENANT", "PIPELINE", "STATUS", "EXECUTED", "CACHED", "FAILED", "TOOK", "STARTED"];
    table(config, &heading, &rows, out)
}

fn row(run: &v1::RunSummary, now_ms: u64) -> Vec<Cell> {
    vec![
        Cell::text(short(&clean::line(&run.run))),
        Cell::text(clean::line(&run.tenant)),
        Cell::text(clean::line(&run.pipeline)),
        Cell::text(clean::line(&run.status)).tone(tone(&run.status)),
        Cell::number(run.executed),
        Cell::number(run.cached),
        Cell::number(run.failed),
        Cell::number(duration::human_ms(elapsed_ms(run, now_ms))),
        Cell::text(duration::ago(run.submitted_at_ms, now_ms)),
    ]
}

/// How long it took, or has taken so far.
fn elapsed_ms(run: &v1::RunSummary, now_ms: u64) -> u64 {
    let until = if run.finished_at_ms == 0 { now_ms } else { run.finished_at_ms };
    until.saturating_sub(run.submitted_at_ms)
}

fn object(run: &v1::RunSummary) -> serde_json::Value {
    let mut object = json!({
        "run": run.run,
        "pipeline": run.pipeline,
        "tenant": run.tenant,
        "priority": run.priority,
        "status": run.status,
        "started": duration::rfc3339(run.submitted_at_ms),
    });
    if run.finished_at_ms != 0 {
        object["executed"] = json!(run.executed);
        object["cached"] = json!(run.cached);
        object["failed"] = json!(run.failed);
        object["skipped"] = json!(run.skipped);
        object["duration_ms"] = json!(elapsed_ms(run, run.finished_at_ms));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_lives_has_no_end() {
        let live =
            v1::RunSummary { status: "running".to_owned(), submitted_at_ms: 1000, ..Default::default() };
        assert!(object(&live).get("duration_ms").is_none());
        assert_eq!(elapsed_ms(&live, 3500), 2500);
        let over = v1::RunSummary { finished_at_ms: 2000, ..live };
        assert_eq!(object(&over)["duration_ms"], 1000);
        assert_eq!(elapsed_ms(&over, 9999), 1000);
    }
}

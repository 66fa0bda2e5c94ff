//! `cullet graph`.

use std::io::Write;

use cullet_pipeline::graph;

use super::pipeline_file;
use crate::args::{GraphArgs, GraphFormat};
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};

/// Draws the steps of a pipeline.
pub(super) fn graph(args: &GraphArgs, config: &Config, out: &mut dyn Write) -> Result<ExitStatus, CliError> {
    let color = config.terminal.stderr_style(config.color).color;
    let text = pipeline_file::read(&args.pipeline.file)?;
    let plan = match pipeline_file::plan(&args.pipeline, &args.targets, &text) {
        Ok((plan, _)) => plan,
        Err(problems) => {
            diagnostics::report(&problems.render(color));
            return Ok(ExitStatus::Usage);
        }
    };
    let drawn = match args.format {
        GraphFormat::Text => graph::text(&plan),
        GraphFormat::Dot => graph::dot(&plan),
        GraphFormat::Mermaid => graph::mermaid(&plan),
        GraphFormat::Json => graph::json(&plan),
    };
    writeln!(out, "{}", drawn.trim_end()).map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

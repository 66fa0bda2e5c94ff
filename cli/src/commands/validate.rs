//! `cullet validate`.

use std::io::Write;

use serde_json::json;

use super::pipeline_file;
use crate::args::{Format, ValidateArgs};
use crate::config::Config;
use crate::diagnostics;
use crate::error::{CliError, ExitStatus};

/// Checks a pipeline file and reports everything that is wrong with it.
pub(super) fn validate(
    args: &ValidateArgs,
    config: &Config,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    let text = pipeline_file::read(&args.pipeline.file)?;
    let checked = pipeline_file::plan(&args.pipeline, &[], &text);
    let valid = checked.is_ok();
    let (steps, problems) = match checked {
        Ok((plan, warnings)) => (plan.steps.len(), warnings),
        Err(problems) => (0, problems),
    };
    match args.format {
        Format::Json => {
            let mut report = problems.to_json();
            report["file"] = json!(args.pipeline.file.display().to_string());
            report["valid"] = json!(valid);
            writeln!(out, "{report}").map_err(CliError::output)?;
        }
        Format::Human => {
            diagnostics::report(&problems.render(config.terminal.stderr_style(config.color).color));
            if valid {
                let plural = if steps == 1 { "" } else { "s" };
                let file = args.pipeline.file.display();
                writeln!(out, "{file}: {steps} step{plural}, no errors").map_err(CliError::output)?;
            }
        }
    }
    Ok(if valid { ExitStatus::Success } else { ExitStatus::Usage })
}

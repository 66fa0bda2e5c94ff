//! `cullet validate`.

use std::io::Write;

use cullet_pipeline::Diagnostics;
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
    let (steps, problems) = match check(args, &text) {
        Ok(checked) => checked,
        Err(problems) => return wrong(args, config, &problems, out),
    };
    if args.format == Format::Json {
        return object(args, &problems, true, out).map(|()| ExitStatus::Success);
    }
    diagnostics::report(&problems.render(config.terminal.stderr_style(config.color).color));
    let steps = match steps {
        Some(1) => "1 step, ".to_owned(),
        Some(steps) => format!("{steps} steps, "),
        None => String::new(),
    };
    let file = args.pipeline.file.display();
    writeln!(out, "{file}: {steps}no errors").map_err(CliError::output)?;
    Ok(ExitStatus::Success)
}

/// How many steps there are, and the warnings. A parameter without default that nobody set is no problem of the
/// file; then nobody knows how many steps there are.
fn check(args: &ValidateArgs, text: &str) -> Result<(Option<usize>, Diagnostics), Diagnostics> {
    let pipeline = pipeline_file::load(&args.pipeline.file, text)?;
    let steps = match pipeline.plan(&args.pipeline.params, &[]) {
        Ok(plan) => Some(plan.steps.len()),
        Err(problems) if !args.pipeline.params.is_empty() => return Err(problems),
        Err(_) => None,
    };
    Ok((steps, pipeline.warnings().clone()))
}

fn wrong(
    args: &ValidateArgs,
    config: &Config,
    problems: &Diagnostics,
    out: &mut dyn Write,
) -> Result<ExitStatus, CliError> {
    match args.format {
        Format::Json => object(args, problems, false, out)?,
        Format::Human => {
            diagnostics::report(&problems.render(config.terminal.stderr_style(config.color).color));
        }
    }
    Ok(ExitStatus::Usage)
}

fn object(
    args: &ValidateArgs,
    problems: &Diagnostics,
    valid: bool,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut report = problems.to_json();
    report["file"] = json!(args.pipeline.file.display().to_string());
    report["valid"] = json!(valid);
    writeln!(out, "{report}").map_err(CliError::output)
}

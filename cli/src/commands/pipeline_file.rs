//! Reads the pipeline file that a command names.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use cullet_pipeline::{Diagnostics, Pipeline, Plan};

use crate::args::PipelineArgs;
use crate::error::CliError;

/// The largest file that is read: a pipeline of a million steps, and no more than memory takes.
const MOST: u64 = 256 << 20;

/// What is relative to a pipeline file is relative to this directory.
pub fn base_directory(file: &Path) -> PathBuf {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The text of a pipeline file.
///
/// # Errors
/// The file cannot be read, is too large, or is not UTF-8.
pub fn read(file: &Path) -> Result<String, CliError> {
    let name = file.display();
    let wrong = |error: std::io::Error| {
        let failed = CliError::usage(format!("cannot read the pipeline file {name}"));
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => "name one with -f FILE, or go to the directory it is in",
            _ => "name another one with -f FILE",
        };
        failed.because(error).hint(hint)
    };
    let opened = std::fs::File::open(file).map_err(wrong)?;
    let mut bytes = Vec::new();
    opened.take(MOST + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > MOST {
        return Err(CliError::usage(format!("the pipeline file {name} is larger than 256 MiB")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        CliError::usage(format!("{name}:{line}: this is not UTF-8")).hint("save the file as UTF-8")
    })
}

/// A pipeline file, checked.
///
/// # Errors
/// All its problems.
pub fn load<'t>(file: &Path, text: &'t str) -> Result<Pipeline<'t>, Diagnostics> {
    cullet_pipeline::load(&file.display().to_string(), text)
}

/// What a pipeline file asks for with these parameters and targets, after its warnings.
///
/// # Errors
/// All its problems.
pub fn plan(args: &PipelineArgs, targets: &[String], text: &str) -> Result<(Plan, Diagnostics), Diagnostics> {
    let pipeline = load(&args.file, text)?;
    let plan = pipeline.plan(&args.params, targets)?;
    Ok((plan, pipeline.warnings().clone()))
}

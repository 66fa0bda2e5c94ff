//! References to steps, outputs and sources, as they are written.

use crate::expr::Complaint;
use crate::scalar::{is_name, is_name_byte};

/// `STEP` or `STEP[AXIS=VALUE,…]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StepRef<'t> {
    pub(super) step: &'t str,
    pub(super) selector: Option<&'t str>,
}

/// What an input may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InputRef<'t> {
    /// `SRC` or `SRC:SUBDIR`.
    Source { name: &'t str, subdir: Option<&'t str> },
    /// `STEP.OUTPUT`.
    Output { step: StepRef<'t>, output: &'t str },
}

/// A step, and what follows it.
fn step_and_rest(text: &str) -> Result<(StepRef<'_>, &str), Complaint> {
    let end = text.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(text.len());
    let (step, rest) = text.split_at(end);
    let Some(inside) = rest.strip_prefix('[') else {
        return Ok((StepRef { step, selector: None }, rest));
    };
    let Some((selector, rest)) = inside.split_once(']') else {
        return Err(Complaint::new(format!("`[` is not closed in `{}`", text.escape_debug()))
            .help("write it as `test[shard=2]`".to_owned()));
    };
    Ok((StepRef { step, selector: Some(selector) }, rest))
}

/// `STEP` or `STEP[AXIS=VALUE]`.
pub(super) fn step(text: &str) -> Result<StepRef<'_>, Complaint> {
    let (step, rest) = step_and_rest(text)?;
    if step.step.is_empty() || !rest.is_empty() {
        let complaint = Complaint::new(format!("`{}` is not the name of a step", text.escape_debug()));
        let output = rest.starts_with('.').then(|| format!("name the step alone: `{}`", step.step));
        return Err(complaint.help(output.or_else(|| Some("write `test` or `test[shard=2]`".to_owned()))));
    }
    Ok(step)
}

/// `STEP.OUTPUT` or `STEP[AXIS=VALUE].OUTPUT`.
pub(super) fn output(text: &str) -> Result<(StepRef<'_>, &str), Complaint> {
    match input(text)? {
        InputRef::Output { step, output } => Ok((step, output)),
        InputRef::Source { .. } => {
            Err(Complaint::new(format!("`{}` is not an output of a step", text.escape_debug()))
                .help("write STEP.OUTPUT, as in `build.bin`".to_owned()))
        }
    }
}

/// Any input.
pub(super) fn input(text: &str) -> Result<InputRef<'_>, Complaint> {
    let forms = "write SRC, SRC:SUBDIR, STEP.OUTPUT or STEP[AXIS=VALUE].OUTPUT";
    let unclear =
        || Complaint::new(format!("`{}` is not an input", text.escape_debug())).help(forms.to_owned());
    let (step, rest) = step_and_rest(text)?;
    if step.step.is_empty() {
        return Err(unclear());
    }
    if let Some(output) = rest.strip_prefix('.') {
        return match output.split_once(':') {
            _ if is_name(output) => Ok(InputRef::Output { step, output }),
            Some((name, _)) => Err(Complaint::new("an output cannot be taken in part")
                .help(format!("take `{}.{name}`, or make the part an output of its own", step.step))),
            None => Err(unclear()),
        };
    }
    match (step.selector, rest.strip_prefix(':')) {
        (None, Some(subdir)) => Ok(InputRef::Source { name: step.step, subdir: Some(subdir) }),
        (None, None) if rest.is_empty() => Ok(InputRef::Source { name: step.step, subdir: None }),
        (Some(_), _) if rest.is_empty() => {
            Err(Complaint::new(format!("`{}` names no output", text.escape_debug()))
                .help(format!("add the output's name, as in `{text}.report`")))
        }
        _ => Err(unclear()),
    }
}

//! Strings with expressions in them.

use std::borrow::Cow;

use super::evaluate::evaluate;
use super::{Fault, Names, Value};

const OPEN: &str = "${{";

/// Whether a text has an expression or an escaped one.
pub(crate) fn has_expression(text: &str) -> bool {
    text.contains(OPEN)
}

/// The text with its expressions replaced by their values; none if one is not known yet. `$${{` becomes `${{`.
/// Otherwise what is wrong with each of them.
pub(crate) fn render<'t>(text: &'t str, names: &dyn Names) -> Result<Option<Cow<'t, str>>, Vec<Fault>> {
    if !has_expression(text) {
        return Ok(Some(Cow::Borrowed(text)));
    }
    let mut out = String::with_capacity(text.len());
    let mut known = true;
    let mut faults = Vec::new();
    let mut at = 0;
    while let Some(found) = text[at..].find(OPEN) {
        let open = at + found;
        if let Some(before) = text[at..open].strip_suffix('$') {
            out.push_str(before);
            out.push_str(OPEN);
            at = open + OPEN.len();
            continue;
        }
        out.push_str(&text[at..open]);
        match delimited(text, open, names) {
            Ok((value, end)) => {
                value.text().map_or_else(|| known = false, |value| out.push_str(value));
                at = end;
            }
            Err(fault) => {
                faults.push(fault);
                at = text[open..].find("}}").map_or(text.len(), |end| open + end + 2);
            }
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    out.push_str(&text[at..]);
    Ok(known.then_some(Cow::Owned(out)))
}

/// A condition: one expression, in `${{ }}` or bare. Returns its truth, if known, and its text.
pub(crate) fn condition<'t>(text: &'t str, names: &dyn Names) -> Result<(Option<bool>, &'t str), Fault> {
    let start = text.len() - text.trim_start().len();
    let (value, inner) = if text[start..].starts_with(OPEN) {
        let (value, end) = delimited(text, start, names)?;
        if !text[end..].trim().is_empty() {
            return Err(Fault::new(end, "an `if` is one expression; nothing may follow its `}}`")
                .help("write all of it inside of one `${{ }}`"));
        }
        (value, &text[start + OPEN.len()..end - 2])
    } else {
        let (value, end) = evaluate(text, start, names)?;
        if end < text.len() || text.ends_with("}}") {
            return Err(Fault::new(end.saturating_sub(2), "`}}` closes nothing"));
        }
        (value, text)
    };
    match value {
        Value::Bool(value) => Ok((Some(value), inner.trim())),
        Value::Unknown => Ok((None, inner.trim())),
        other => Err(Fault::new(start, format!("an `if` must be true or false; it is {}", other.describe()))
            .help("compare it, as in `params.profile == 'release'`")),
    }
}

/// The value of the `${{ … }}` that begins at `open`, and where it ends.
fn delimited(text: &str, open: usize, names: &dyn Names) -> Result<(Value, usize), Fault> {
    if !text[open..].contains("}}") {
        return Err(Fault::new(open, "`${{` is not closed with `}}`")
            .help("write `$${{` for the characters themselves"));
    }
    let (value, end) = evaluate(text, open + OPEN.len(), names)?;
    if !text[..end].ends_with("}}") {
        return Err(Fault::new(open, "`${{` is not closed with `}}`"));
    }
    Ok((value, end))
}

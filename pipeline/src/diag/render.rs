//! Problems as people read them, with the lines of the file they are about.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Padding, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Severity, Span};

/// Characters of a line that are shown around a problem; a line of a megabyte is one in a machine-made file.
const LINE: usize = 400;

pub(super) fn render(diagnostics: &Diagnostics, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let lines = line_starts(&diagnostics.text);
    let mut out = String::new();
    for problem in &diagnostics.list {
        out.push_str(&one(diagnostics, problem, &lines, &renderer));
        out.push_str("\n\n");
    }
    if diagnostics.omitted > 0 {
        out.push_str(&format!("and {} more\n", diagnostics.omitted));
    }
    out
}

fn one(all: &Diagnostics, problem: &Diagnostic, lines: &[usize], renderer: &Renderer) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let message = clean(&problem.message);
    let mut group = annotate_snippets::Group::with_title(level.primary_title(message));
    let excerpts: Vec<Excerpt<'_>> = problem
        .span
        .iter()
        .map(|span| (*span, None))
        .chain(problem.labels.iter().map(|label| (label.span, Some(label.text.as_str()))))
        .map(|(span, label)| excerpt(&all.text, lines, span, label))
        .collect();
    for excerpt in &excerpts {
        let kind = if excerpt.label.is_some() { AnnotationKind::Context } else { AnnotationKind::Primary };
        group = group.element(
            Snippet::source(excerpt.line.as_ref())
                .path(all.file.as_str())
                .line_start(excerpt.number)
                .annotation(kind.span(excerpt.range.clone()).label(excerpt.label.map(clean))),
        );
    }
    if let Some(suggestion) = &problem.suggestion {
        if excerpts.is_empty() {
            group = group.element(Padding);
        }
        group = group.element(Level::HELP.message(clean(suggestion)));
    }
    renderer.render(&[group])
}

struct Excerpt<'t> {
    line: Cow<'t, str>,
    number: usize,
    range: Range<usize>,
    label: Option<&'t str>,
}

fn excerpt<'t>(text: &'t str, lines: &[usize], span: Span, label: Option<&'t str>) -> Excerpt<'t> {
    let index = (span.line.max(1) as usize - 1).min(lines.len() - 1);
    let end = lines.get(index + 1).copied().unwrap_or(text.len());
    let line = text[lines[index]..end].trim_end_matches(['\n', '\r']);
    let skip = (span.column.max(1) as usize - 1).saturating_sub(LINE / 2);
    let shown: Cow<'_, str> = if line.len() > LINE {
        Cow::Owned(line.chars().skip(skip).take(LINE).collect())
    } else {
        Cow::Borrowed(line)
    };
    let skip = if matches!(shown, Cow::Owned(_)) { skip } else { 0 };
    let at = |column: usize| shown.char_indices().nth(column).map_or(shown.len(), |(byte, _)| byte);
    let first = span.column.max(1) as usize - 1 - skip;
    let range = at(first)..at(first.saturating_add(span.width.max(1) as usize));
    Excerpt { range, line: shown, number: index + 1, label }
}

/// Where each line begins, in bytes; at least one.
pub(crate) fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(byte, _)| byte + 1)).collect()
}

/// A message may quote the file, and the file may hold what steers a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

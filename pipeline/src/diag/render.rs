//! Problems as people read them, with the lines of the file they are about.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Padding, Renderer, Snippet};

use super::{Diagnostic, Diagnostics, Severity, Span};

/// Characters of a line that are shown around a problem; a line of a megabyte is one in a machine-made file.
const LINE: usize = 400;
/// Lines between two marks up to which they are shown in one excerpt.
const NEAR: usize = 500;

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
    let marks: Vec<Mark<'_>> = problem
        .span
        .iter()
        .map(|span| Mark { span: *span, label: None })
        .chain(problem.labels.iter().map(|label| Mark { span: label.span, label: Some(&label.text) }))
        .collect();
    let mut group = Group::with_title(level.primary_title(clean(&problem.message)));
    if let Some(excerpt) = together(&all.text, lines, &marks) {
        let annotations: Vec<Annotation<'_>> =
            marks.iter().map(|mark| mark.annotation(excerpt.range(lines, mark.span))).collect();
        group = group.element(excerpt.snippet(all).annotations(annotations));
    } else {
        for mark in &marks {
            let excerpt = alone(&all.text, lines, mark.span);
            let annotation = mark.annotation(excerpt.range(lines, mark.span));
            group = group.element(excerpt.snippet(all).annotation(annotation));
        }
    }
    if let Some(suggestion) = &problem.suggestion {
        if marks.is_empty() {
            group = group.element(Padding);
        }
        group = group.element(Level::HELP.message(clean(suggestion)));
    }
    renderer.render(&[group])
}

/// A place to point at.
struct Mark<'d> {
    span: Span,
    label: Option<&'d str>,
}

impl<'d> Mark<'d> {
    fn annotation(&self, range: Range<usize>) -> Annotation<'d> {
        let kind = if self.label.is_some() { AnnotationKind::Context } else { AnnotationKind::Primary };
        kind.span(range).label(self.label.map(clean))
    }
}

/// Some lines of the file, or a part of one line.
struct Excerpt<'t> {
    text: Cow<'t, str>,
    /// Its first line, from 0.
    line: usize,
    /// Characters of that line that are left out before it.
    skipped: usize,
}

impl<'t> Excerpt<'t> {
    fn snippet(self, all: &'t Diagnostics) -> Snippet<'t, Annotation<'t>> {
        Snippet::source(self.text).path(all.file.as_str()).line_start(self.line + 1)
    }

    /// The bytes of a span, which begins in this excerpt.
    fn range(&self, lines: &[usize], span: Span) -> Range<usize> {
        let start = lines[index(lines, span)] - lines[self.line];
        let line = self.text.get(start..).unwrap_or("").lines().next().unwrap_or("");
        let at = |column: usize| line.char_indices().nth(column).map_or(line.len(), |(byte, _)| byte);
        let first = (span.column.max(1) as usize - 1).saturating_sub(self.skipped);
        let last = first.saturating_add(span.width.max(1) as usize);
        start + at(first)..start + at(last)
    }
}

/// One excerpt with all marks, if they are near each other; lines without a mark are folded away.
fn together<'t>(text: &'t str, lines: &[usize], marks: &[Mark<'_>]) -> Option<Excerpt<'t>> {
    let places = || marks.iter().map(|mark| index(lines, mark.span));
    let (first, last) = (places().min()?, places().max()?);
    let end = lines.get(last + 1).copied().unwrap_or(text.len());
    let excerpt = &text[lines[first]..end];
    let short = last - first <= NEAR && excerpt.lines().all(|line| line.len() <= LINE);
    short.then_some(Excerpt { text: Cow::Borrowed(excerpt), line: first, skipped: 0 })
}

/// The part of a line around a span.
fn alone<'t>(text: &'t str, lines: &[usize], span: Span) -> Excerpt<'t> {
    let line = index(lines, span);
    let end = lines.get(line + 1).copied().unwrap_or(text.len());
    let whole = text[lines[line]..end].trim_end_matches(['\n', '\r']);
    if whole.len() <= LINE {
        return Excerpt { text: Cow::Borrowed(whole), line, skipped: 0 };
    }
    let skipped = (span.column.max(1) as usize - 1).saturating_sub(LINE / 2);
    Excerpt { text: Cow::Owned(whole.chars().skip(skipped).take(LINE).collect()), line, skipped }
}

/// The line of a span, from 0; a span may lie behind the end of the file.
fn index(lines: &[usize], span: Span) -> usize {
    (span.line.max(1) as usize - 1).min(lines.len() - 1)
}

/// Where each line begins, in bytes; at least one.
fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.match_indices('\n').map(|(byte, _)| byte + 1)).collect()
}

/// A message may quote the file, and the file may hold what steers a terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

//! What a step keeps, what its summary reads, and what a run hands out.

use super::Compiler;
use super::inputs::{Resolving, below};
use super::reference;
use crate::decode::{Lazy, Named, OneOrMany, Scalar};
use crate::diag::{Diagnostic, Span};
use crate::expr::Complaint;
use crate::plan::{Output, OutputPattern, OutputRef, Report, ReportFormat, RunOutput};
use crate::scalar::{PathOrGlob, Pattern, RelativePath, check_name};

/// The most outputs of one step. References look through all of them, and a directory holds any number of files.
pub(super) const MOST_OUTPUTS: usize = 1_000;

/// Something at a path, for finding what lies in the same place.
pub(super) struct Placed {
    pub(super) path: String,
    pub(super) span: Span,
}

impl<'a> Compiler<'a> {
    /// The outputs, sorted by name.
    pub(super) fn outputs(
        &self,
        at: &Resolving<'_, 'a>,
        defined: &Named<'a, OneOrMany<Lazy<'a, PathOrGlob>>>,
    ) -> Vec<Output> {
        if let Some((key, _)) = defined.0.get(MOST_OUTPUTS) {
            self.cx.error(*key, Complaint::new(format!("a step has at most {MOST_OUTPUTS} outputs")));
            return Vec::new();
        }
        let mut outputs = Vec::with_capacity(defined.0.len());
        let mut placed = Vec::new();
        for (key, OneOrMany(patterns)) in &defined.0 {
            if let Err(complaint) = check_name("output", key.text()) {
                self.cx.error(*key, complaint);
            }
            if patterns.is_empty() {
                self.cx.error(*key, Complaint::new(format!("the output `{}` is empty", key.text())));
            }
            let found: Vec<(Pattern, Span)> = patterns
                .iter()
                .filter_map(|lazy| Some((lazy.get(self.cx, &at.scope)?, lazy.node.span())))
                .collect();
            placed.extend(found.iter().filter_map(|(pattern, span)| match pattern {
                Pattern::Path(path) => Some(Placed { path: path.clone(), span: *span }),
                Pattern::Glob(_) => None,
            }));
            self.same_globs(&found);
            outputs.push(Output { name: key.text().to_owned(), pattern: pattern(found) });
        }
        self.overlaps(placed, "output");
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        outputs
    }

    fn same_globs(&self, found: &[(Pattern, Span)]) {
        let mut seen = std::collections::HashMap::new();
        for (pattern, span) in found {
            if let (Pattern::Glob(glob), Some(first)) = (pattern, seen.insert(pattern, *span)) {
                let problem = Diagnostic::error(*span, format!("the glob `{glob}` is here twice"));
                self.cx.sink.push(problem.label(first, "first here"));
            }
        }
    }

    /// Reports things at the same path or one inside of the other.
    pub(super) fn overlaps(&self, mut placed: Vec<Placed>, what: &str) {
        // With `/` before every other character, what is inside of a directory follows it at once.
        placed.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')).then(a.span.cmp(&b.span)));
        let mut outer = 0;
        for inner in 1..placed.len() {
            let (a, b) = (&placed[outer], &placed[inner]);
            let rest = b.path.strip_prefix(a.path.as_str());
            let message = match rest {
                Some("") => format!("two {what}s are at `{}`", b.path),
                Some(rest) if rest.starts_with('/') => {
                    format!("the {what} at `{}` is inside of another one at `{}`", b.path, a.path)
                }
                _ => {
                    outer = inner;
                    continue;
                }
            };
            self.cx.sink.push(Diagnostic::error(b.span, message).label(a.span, "the other one"));
        }
    }

    /// The reports that the summary reads.
    pub(super) fn reports(
        &self,
        at: &Resolving<'_, 'a>,
        OneOrMany(defined): &OneOrMany<Lazy<'a, PathOrGlob>>,
    ) -> Vec<Report> {
        let paths = defined.iter().filter_map(|lazy| lazy.get(self.cx, &at.scope));
        let report = |pattern| match pattern {
            Pattern::Path(path) | Pattern::Glob(path) => Report { format: ReportFormat::Junit, path },
        };
        paths.map(report).collect()
    }

    /// What `--output` writes, of the steps that are in the plan: those with a place in `index_of`.
    pub(super) fn run_outputs<S: Scalar<Value = String>>(
        &self,
        defined: &Named<'a, Lazy<'a, S>>,
        index_of: &[Option<u32>],
    ) -> Vec<RunOutput> {
        let mut outputs = Vec::new();
        let mut placed = Vec::new();
        for (key, lazy) in &defined.0 {
            let path = Lazy::<RelativePath>::of(*key).get(self.cx, &self.params);
            let text = lazy.get(self.cx, &self.params);
            let (Some(path), Some(text)) = (path, text) else { continue };
            let refs = reference::output(&text).and_then(|(step, output)| self.output_refs(&step, output));
            match refs {
                Ok(refs) => outputs.extend(refs.into_iter().filter_map(|(suffix, from)| {
                    let path = below(&path, suffix);
                    placed.push(Placed { path: path.clone(), span: key.span() });
                    let step = index_of.get(from.step as usize).copied().flatten()?;
                    Some(RunOutput { path, from: OutputRef { step, ..from } })
                })),
                Err(complaint) => self.cx.error(lazy.node, complaint),
            }
        }
        self.whole_directory(&placed);
        self.overlaps(placed, "output");
        outputs.sort_by(|a, b| a.path.cmp(&b.path));
        outputs
    }

    /// An output that is the whole of `--output DIR` leaves no room for another.
    fn whole_directory(&self, placed: &[Placed]) {
        let Some(whole) = placed.iter().find(|placed| placed.path.is_empty()) else { return };
        for other in placed.iter().filter(|placed| !placed.path.is_empty()) {
            let problem =
                Diagnostic::error(other.span, format!("the output at `{}` is inside of `.`", other.path));
            self.cx.sink.push(problem.label(whole.span, "the other one"));
        }
    }
}

fn pattern(found: Vec<(Pattern, Span)>) -> OutputPattern {
    let single = found.len() == 1;
    let mut texts = Vec::with_capacity(found.len());
    for (pattern, _) in found {
        match pattern {
            Pattern::Path(path) if single => return OutputPattern::Path(path),
            Pattern::Path(text) | Pattern::Glob(text) => texts.push(text),
        }
    }
    OutputPattern::Globs(texts)
}

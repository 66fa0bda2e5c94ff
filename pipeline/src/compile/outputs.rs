//! What a step keeps, what its summary reads, and what a run hands out.

use super::Compiler;
use super::inputs::{Resolving, below};
use super::reference;
use super::roots::names_root;
use crate::decode::{Lazy, Named, OneOrMany};
use crate::diag::{Diagnostic, Span};
use crate::expr::Complaint;
use crate::plan::{
    ImageFormat, ImageOutput, Output, OutputPattern, OutputRef, Report, ReportFormat, RunOutput,
};
use crate::scalar::{PathOrGlob, Pattern, ROOTFS, RelativePath, check_name};
use crate::syntax::{RunOutputDef, RunOutputMap};

/// The most outputs of one step. References look through all of them, and a directory holds any number of files.
pub(super) const MOST_OUTPUTS: usize = 1_000;

/// The directory of the workspace that outputs cannot be in.
const RESERVED: &str = ".cullet";

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
                Pattern::Glob(_) | Pattern::Root => None,
            }));
            self.roots_alone(patterns, &found);
            self.same_globs(&found);
            outputs.push(Output { name: key.text().to_owned(), pattern: pattern(found) });
        }
        self.reserved(&placed);
        self.one_root(defined, &outputs);
        self.overlaps(placed, "output");
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        outputs
    }

    /// The root is an output of its own, and whether a step has it must be seen without knowing any parameter.
    fn roots_alone(&self, patterns: &[Lazy<'a, PathOrGlob>], found: &[(Pattern, Span)]) {
        if !found.iter().any(|(pattern, _)| *pattern == Pattern::Root) {
            return;
        }
        for lazy in patterns {
            if lazy.node.text().contains("${{") {
                let complaint = Complaint::new(format!("`{ROOTFS}` cannot come from an expression"));
                self.cx.error(
                    lazy.node,
                    complaint.help(format!("write `{ROOTFS}`, or `./{ROOTFS}` for a file")),
                );
            } else if patterns.len() > 1 && lazy.node.text() == ROOTFS {
                let complaint = Complaint::new(format!("`{ROOTFS}` is an output of its own"));
                self.cx
                    .error(lazy.node, complaint.help(format!("write `./{ROOTFS}` for a file of that name")));
            }
        }
    }

    fn one_root(&self, defined: &Named<'a, OneOrMany<Lazy<'a, PathOrGlob>>>, outputs: &[Output]) {
        let mut roots =
            defined.0.iter().zip(outputs).filter(|(_, output)| output.pattern == OutputPattern::Root);
        let Some(((first, _), _)) = roots.next() else { return };
        for ((second, _), _) in roots {
            let problem = Diagnostic::error(second.span(), "the step's root is two outputs");
            self.cx.sink.push(problem.label(first.span(), "the other one"));
        }
    }

    /// Where a step's result has its root.
    fn reserved(&self, placed: &[Placed]) {
        for output in placed.iter().filter(|output| output.path.split('/').next() == Some(RESERVED)) {
            let problem = Diagnostic::error(output.span, format!("`{RESERVED}` is no place for outputs"));
            self.cx
                .sink
                .push(problem.help("outputs of Cullet's own are there; choose another name".to_owned()));
        }
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
            Pattern::Root => Report { format: ReportFormat::Junit, path: ROOTFS.to_owned() },
        };
        paths.map(report).collect()
    }

    /// What `--output` writes, of the steps that are in the plan: those with a place in `index_of`.
    pub(super) fn run_outputs(
        &self,
        defined: &Named<'a, RunOutputDef<'a>>,
        index_of: &[Option<u32>],
    ) -> Vec<RunOutput> {
        let mut outputs = Vec::new();
        let mut placed = Vec::new();
        for (key, definition) in &defined.0 {
            let (lazy, map) = match definition {
                RunOutputDef::Reference(lazy) => (lazy, None),
                RunOutputDef::Full(map) => match &map.from {
                    Some(from) => (&from.value, Some(map)),
                    None => continue,
                },
            };
            let path = Lazy::<RelativePath>::of(*key).get(self.cx, &self.params);
            let text = lazy.get(self.cx, &self.params);
            let (Some(path), Some(text)) = (path, text) else { continue };
            let found = reference::output(&text).and_then(|(step, output)| {
                let is_root = names_root(self.steps.find(self.cx, step.step)?.body, output);
                Ok((self.output_refs(&step, output)?, is_root))
            });
            let count = found.as_ref().ok().map(|(refs, is_root)| (refs.len(), *is_root));
            let image = map
                .zip(count)
                .map_or_else(ImageOutput::default, |(map, count)| self.image_output(map, &text, count));
            if let (Ok((_, true)), true) = (&found, path.is_empty()) {
                let complaint = Complaint::new("an image cannot be the whole directory of `--output`");
                self.cx.error(*key, complaint.help("give it a name, such as `image`".to_owned()));
            }
            match found {
                Ok((refs, is_root)) => outputs.extend(refs.into_iter().filter_map(|(suffix, from)| {
                    let path = below(&path, suffix);
                    placed.push(Placed { path: path.clone(), span: key.span() });
                    let step = index_of.get(from.step as usize).copied().flatten()?;
                    let image = is_root.then(|| image.clone());
                    Some(RunOutput { path, from: OutputRef { step, ..from }, image })
                })),
                Err(complaint) => self.cx.error(lazy.node, complaint),
            }
        }
        self.whole_directory(&placed);
        self.overlaps(placed, "output");
        outputs.sort_by(|a, b| a.path.cmp(&b.path));
        outputs
    }

    /// How the image that `text` means is written; `count` says of how many steps it is an output, and whether it is one.
    fn image_output(
        &self,
        map: &RunOutputMap<'a>,
        text: &str,
        (count, is_root): (usize, bool),
    ) -> ImageOutput {
        let keys = [
            ("format", map.format.as_ref().map(|field| field.key)),
            ("name", map.name.as_ref().map(|field| field.key)),
        ];
        for (name, key) in keys.into_iter().filter_map(|(name, key)| Some((name, key?))).filter(|_| !is_root)
        {
            let complaint = Complaint::new(format!("`{name}` is for images, and `{text}` is none"));
            self.cx.error(key, complaint.help(format!("an image is an output that is `{ROOTFS}`")));
        }
        let format = map.format.as_ref().and_then(|field| field.value.get(self.cx, &self.params));
        let name = map.name.as_ref().and_then(|field| {
            let name = field.value.get(self.cx, &self.params)?;
            let complaint = match format.unwrap_or_default() {
                _ if !is_root => return None,
                ImageFormat::OciLayout => Complaint::new("only an archive has a name in it")
                    .help("add `format: docker-archive`; a layout is called as its directory is".to_owned()),
                ImageFormat::DockerArchive if count > 1 => {
                    Complaint::new(format!("`{text}` means {count} images, and a name is for one"))
                        .help("name one of the steps, as in `build[os=a].image`".to_owned())
                }
                ImageFormat::DockerArchive => return Some(name),
            };
            self.cx.error(field.key, complaint);
            None
        });
        ImageOutput { format: format.unwrap_or_default(), name }
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
            Pattern::Root if single => return OutputPattern::Root,
            // Reported where it stands with others.
            Pattern::Root => {}
            Pattern::Path(text) | Pattern::Glob(text) => texts.push(text),
        }
    }
    OutputPattern::Globs(texts)
}

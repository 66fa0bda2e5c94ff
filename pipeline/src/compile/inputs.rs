//! A step's inputs, and the steps it needs.

use super::Compiler;
use super::reference::{self, InputRef, StepRef};
use super::roots::names_root;
use super::steps::{InstanceScope, NamedStep};
use crate::decode::{Lazy, List, Named, Scalar};
use crate::diag::{Diagnostic, Span};
use crate::expr::Complaint;
use crate::plan::{Input, InputFrom, OutputRef};
use crate::scalar::RelativePath;
use crate::yaml::{Kind, Node};

/// The most inputs and needs of all steps together. Two matrices of 10,000 of which one takes all of the other
/// would make a hundred million.
pub(super) const MOST_EDGES: usize = 2_000_000;

/// One step that is being resolved.
pub(super) struct Resolving<'s, 'a> {
    pub(super) step: &'s NamedStep<'a>,
    pub(super) scope: InstanceScope<'s, 'a>,
}

impl<'a> Compiler<'a> {
    /// The inputs, sorted by path. [`OutputRef::step`] is an instance here, not yet a place in the plan.
    pub(super) fn inputs<S: Scalar<Value = String>>(
        &self,
        at: &Resolving<'_, 'a>,
        defined: &Named<'a, Lazy<'a, S>>,
    ) -> Vec<Input> {
        let mut found: Vec<(Input, Span)> = Vec::with_capacity(defined.0.len());
        for (key, lazy) in &defined.0 {
            let path = Lazy::<RelativePath>::of(*key).get(self.cx, &at.scope);
            let text = lazy.get(self.cx, &at.scope);
            let (Some(path), Some(text)) = (path, text) else { continue };
            match self.input(at.step, &path, &text) {
                Ok(inputs) => {
                    self.count_edges(*key, inputs.len());
                    found.extend(inputs.into_iter().map(|input| (input, key.span())));
                }
                Err(complaint) => self.cx.error(lazy.node, complaint),
            }
            if self.edges.get() > MOST_EDGES {
                break;
            }
        }
        found.sort_by(|(a, first), (b, second)| (&a.path, first).cmp(&(&b.path, second)));
        for [(a, first), (b, second)] in found.array_windows() {
            if a.path == b.path {
                let path = if a.path.is_empty() { "." } else { &*a.path };
                let problem = Diagnostic::error(*second, format!("two inputs are at `{path}`"));
                self.cx.sink.push(problem.label(*first, "the other one"));
            }
        }
        found.into_iter().map(|(input, _)| input).collect()
    }

    fn input(&self, user: &NamedStep<'a>, path: &str, text: &str) -> Result<Vec<Input>, Complaint> {
        match reference::input(text)? {
            InputRef::Source { name, subdir } => {
                let from = self.source(name, subdir)?;
                Ok(vec![Input { path: self.shared.text(path), from }])
            }
            InputRef::Output { step, output } => {
                self.not_itself(user, &step)?;
                let outputs = self.output_refs(&step, output)?;
                self.no_root(&step, output)?;
                let input = |(suffix, from)| {
                    let path = self.shared.text(&below(path, suffix));
                    Input { path, from: InputFrom::Output(from) }
                };
                Ok(outputs.into_iter().map(input).collect())
            }
        }
    }

    /// A root is no part of a workspace.
    fn no_root(&self, step: &StepRef<'_>, output: &str) -> Result<(), Complaint> {
        if !names_root(self.steps.find(self.cx, step.step)?.body, output) {
            return Ok(());
        }
        let message =
            format!("the output `{output}` of `{}` is its root directory, which is no input", step.step);
        Err(Complaint::new(message).help(format!("continue it: `from: {}`", step.step)))
    }

    fn source(&self, name: &str, subdir: Option<&str>) -> Result<InputFrom, Complaint> {
        let Some(&source) = self.sources.by_name.get(name) else {
            return Err(self.no_source(name));
        };
        self.sources.list[source as usize].used.set(true);
        let subpath = subdir.map(RelativePath::parse).transpose()?.unwrap_or_default();
        Ok(InputFrom::Source { source, subpath: self.shared.text(&subpath) })
    }

    fn no_source(&self, name: &str) -> Complaint {
        let complaint = Complaint::new(format!("there is no source `{name}`"));
        if let Ok(step) = self.steps.find(self.cx, name) {
            let output = outputs_of(step.body).next().map_or("OUTPUT", |(key, _)| key.text());
            return complaint.help(format!("`{name}` is a step; name its output, as in `{name}.{output}`"));
        }
        let names = || self.sources.list.iter().map(|source| source.key.text());
        complaint.help(self.cx.sink.did_you_mean(name, names()).or_else(|| {
            Some(match names().next() {
                Some(_) => format!("the sources are {}", super::params::join(names())),
                None => "define it in `sources:`".to_owned(),
            })
        }))
    }

    pub(super) fn not_itself(&self, user: &NamedStep<'a>, used: &StepRef<'_>) -> Result<(), Complaint> {
        if user.key.text() == used.step {
            return Err(Complaint::new(format!("the step `{}` cannot need itself", used.step)));
        }
        Ok(())
    }

    /// The outputs that a reference means, each with the suffix of its instance where it means several. The step
    /// is an instance.
    pub(super) fn output_refs(
        &self,
        step: &StepRef<'_>,
        output: &str,
    ) -> Result<Vec<(Option<&str>, OutputRef)>, Complaint> {
        let selection = self.steps.select(self.cx, step)?;
        let Some(place) = place_of(selection.step.body, output) else {
            let names = || outputs_of(selection.step.body).map(|(key, _)| key.text());
            let help = self.cx.sink.did_you_mean(output, names()).or_else(|| {
                Some(match names().next() {
                    Some(_) => format!("its outputs are {}", super::params::join(names())),
                    None => format!("`{}` has no outputs; declare it there", step.step),
                })
            });
            return Err(
                Complaint::new(format!("the step `{}` has no output `{output}`", step.step)).help(help)
            );
        };
        let refs = selection.rows.iter().map(|row| {
            let matrix = selection.step.matrix.as_ref().filter(|_| !selection.single);
            let suffix = matrix.map(|matrix| &*matrix.rows[*row as usize].suffix);
            (suffix, OutputRef { step: selection.step.first + row, output: place })
        });
        Ok(refs.collect())
    }

    /// The instances of `needs`, sorted.
    pub(super) fn needs<S: Scalar<Value = String>>(
        &self,
        at: &Resolving<'_, 'a>,
        List(defined): &List<Lazy<'a, S>>,
    ) -> Vec<u32> {
        let mut needs: Vec<u32> = Vec::new();
        for lazy in defined {
            let Some(text) = lazy.get(self.cx, &at.scope) else { continue };
            let selected = reference::step(&text).and_then(|step| {
                self.not_itself(at.step, &step)?;
                self.steps.select(self.cx, &step)
            });
            match selected {
                Ok(selection) => {
                    self.count_edges(lazy.node, selection.rows.len());
                    needs.extend(selection.rows.iter().map(|row| selection.step.first + row));
                }
                Err(complaint) => self.cx.error(lazy.node, complaint),
            }
            if self.edges.get() > MOST_EDGES {
                break;
            }
        }
        self.check_twice(defined);
        needs.sort_unstable();
        needs.dedup();
        needs
    }

    fn check_twice<S>(&self, needs: &[Lazy<'a, S>]) {
        if needs.len() < 2 {
            return;
        }
        let mut seen = std::collections::HashMap::with_capacity(needs.len());
        for lazy in needs {
            if let Some(first) = seen.insert(lazy.node.text(), lazy.node.span()) {
                let message = format!("`{}` is needed twice", lazy.node.text());
                self.cx.sink.push(Diagnostic::error(lazy.node.span(), message).label(first, "first here"));
            }
        }
    }

    pub(super) fn count_edges(&self, node: Node<'a>, more: usize) {
        let before = self.edges.get();
        self.edges.set(before + more);
        if before <= MOST_EDGES && before + more > MOST_EDGES {
            let message = format!("the steps have more than {MOST_EDGES} inputs and needs all together");
            self.cx.error(node, Complaint::new(message));
        }
    }
}

/// A path, or the directory of a matrix instance in it.
pub(super) fn below(path: &str, suffix: Option<&str>) -> String {
    match suffix {
        None => path.to_owned(),
        Some(suffix) if path.is_empty() => suffix.to_owned(),
        Some(suffix) => format!("{path}/{suffix}"),
    }
}

pub(super) fn outputs_of(body: Node<'_>) -> impl Iterator<Item = (Node<'_>, Node<'_>)> {
    let outputs = if body.kind() == Kind::Map { body.get("outputs") } else { None };
    outputs.into_iter().flat_map(Node::pairs)
}

/// The place that an output will have among the step's, which are sorted by name.
pub(super) fn place_of(body: Node<'_>, output: &str) -> Option<u32> {
    let mut known = false;
    let mut before = 0;
    for (key, _) in outputs_of(body).take(super::outputs::MOST_OUTPUTS) {
        known |= key.text() == output;
        before += u32::from(key.text() < output);
    }
    known.then_some(before)
}

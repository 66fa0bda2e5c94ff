//! Steps that continue the root directory of another one, and outputs that are one.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use super::Compiler;
use super::inputs::{Resolving, outputs_of, place_of};
use super::outputs::MOST_OUTPUTS;
use super::reference;
use super::steps::{InstanceScope, Steps};
use crate::decode::Lazy;
use crate::diag::Diagnostic;
use crate::expr::Complaint;
use crate::plan::{self, Image, Input, InputFrom, Output, OutputPattern, OutputRef, Settings, Step};
use crate::scalar::{ROOTFS, is_name_byte};
use crate::syntax::{ImageText, StepDef, StepText};
use crate::yaml::{Kind, Node};

/// The most steps that continue each other in a row. Overlayfs takes 500 directories, and those of the image are among
/// them.
const MOST_ROOTS: usize = 100;

/// Whose roots are continued, and what was found out about them.
pub(super) struct Roots<'a> {
    /// Names of steps. They are known before any expression is, so that what a step is asked to leave behind, which is
    /// part of its key, does not depend on what a run is asked for.
    continued: HashSet<&'a str>,
    known: RefCell<HashMap<u32, Option<Below>>>,
}

/// What the root of an instance begins as.
#[derive(Clone)]
enum Below {
    Image(Image),
    /// The root that this instance leaves.
    Instance(u32),
}

impl<'a> Roots<'a> {
    pub(super) fn new(steps: &Steps<'a>) -> Self {
        let bodies = steps.list.iter().filter(|step| step.body.kind() == Kind::Map);
        let named = bodies.filter_map(|step| step.body.get("from")).filter_map(written_name);
        Self { continued: named.collect(), known: RefCell::default() }
    }
}

/// The step that a `from` names, if the name is written out.
fn written_name(node: Node<'_>) -> Option<&str> {
    let text = node.text();
    let end = text.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty() && (rest.is_empty() || rest.starts_with('['))).then_some(name)
}

impl<'a> Compiler<'a> {
    /// What the root of the step is made of, and what is left of it for others. Called last.
    pub(super) fn root(
        &self,
        (step, settings): (&mut Step, &mut Settings),
        at: &Resolving<'_, 'a>,
        instance: u32,
        definition: &StepDef<'a>,
    ) {
        if let (Some(from), Some(image)) = (&definition.from, &definition.image) {
            let problem = Diagnostic::error(
                image.key.span(),
                "a step with `from` has the image of the step that it continues",
            );
            self.cx.sink.push(
                problem.label(from.key.span(), "continued here").help("leave one of them out".to_owned()),
            );
        }
        let (image, chain) = self.below(instance, definition);
        if let Some(image) = image {
            self.refuse_host(&image, at.step.body, definition);
            settings.image = image;
        }
        if !chain.is_empty() {
            let layer = |(number, below): (usize, &u32)| Input {
                path: self.shared.text(&plan::root_layer_path(number)),
                from: InputFrom::Output(OutputRef {
                    step: *below,
                    output: root_place(self.steps.of(*below).0.body),
                }),
            };
            let mut inputs = std::mem::take(&mut step.inputs).into_vec();
            inputs.extend(chain.iter().enumerate().map(layer));
            inputs.sort_by(|one, two| one.path.cmp(&two.path));
            step.inputs = inputs.into();
            if let Some(from) = &definition.from {
                self.count_edges(from.key, chain.len());
            }
        }
        let declared = step.outputs.iter().any(|output| output.pattern == OutputPattern::Root);
        if !declared && self.roots.continued.contains(at.step.key.text()) {
            let mut outputs = step.outputs.to_vec();
            outputs.push(Output { name: plan::CONTINUED.to_owned(), pattern: OutputPattern::Root });
            step.outputs = self.shared.outputs(outputs);
        }
    }

    /// The root of the machine is nobody's to continue or to hand out.
    fn refuse_host(&self, image: &Image, body: Node<'a>, definition: &StepDef<'a>) {
        if *image != Image::Host {
            return;
        }
        let help = "only a step in an image has a root of its own: give it an `image`";
        if let Some(from) = &definition.from {
            let step = written_name(from.value.node).unwrap_or_default();
            let message =
                format!("`{step}` runs in `host`, whose root is the machine's and cannot be continued");
            self.cx.error(from.value.node, Complaint::new(message).help(help.to_owned()));
        } else if let Some(key) = declared_root(body) {
            let message = "the step runs in `host`, whose root is the machine's and cannot be handed out";
            self.cx.error(key, Complaint::new(message).help(help.to_owned()));
        }
    }

    /// The image of an instance, as far as it is known, and the instances whose roots lie above that, the lowest first.
    fn below(&self, instance: u32, definition: &StepDef<'a>) -> (Option<Image>, Vec<u32>) {
        let mut chain: Vec<u32> = Vec::new();
        let mut at = instance;
        let image = loop {
            match self.begins_as(at) {
                None => break None,
                Some(Below::Image(image)) => break Some(image),
                // A circle is reported where steps are put into their order, for which the next one is enough.
                Some(Below::Instance(next)) if next == instance || chain.contains(&next) => {
                    chain.push(next);
                    chain.truncate(1);
                    break None;
                }
                Some(Below::Instance(_)) if chain.len() == MOST_ROOTS => {
                    if let Some(from) = &definition.from {
                        let message = format!("more than {MOST_ROOTS} steps continue each other in a row");
                        let help = "put some of them into one".to_owned();
                        self.cx.error(from.value.node, Complaint::new(message).help(help));
                    }
                    break None;
                }
                Some(Below::Instance(next)) => chain.push(next),
            }
            at = chain.last().copied().unwrap_or(instance);
        };
        chain.reverse();
        (image, chain)
    }

    /// Found out once, and so reported once, where several may ask.
    fn begins_as(&self, instance: u32) -> Option<Below> {
        let (step, row) = self.steps.of(instance);
        let matrix = step.matrix.as_deref().map(|matrix| (matrix, row));
        let at = Resolving { step, scope: InstanceScope { cx: self.cx, params: &self.params, matrix } };
        if !self.roots.continued.contains(step.key.text()) {
            return self.look(&at);
        }
        if let Some(known) = self.roots.known.borrow().get(&instance) {
            return known.clone();
        }
        let found = self.look(&at);
        self.roots.known.borrow_mut().insert(instance, found.clone());
        found
    }

    fn look(&self, at: &Resolving<'_, 'a>) -> Option<Below> {
        // What is no text is reported where the step is decoded.
        if at.step.body.kind() != Kind::Map {
            return None;
        }
        if let Some(node) = at.step.body.get("from") {
            return self.continues(at, node).map(Below::Instance);
        }
        let Some(node) = at.step.body.get("image") else { return Some(Below::Image(Image::Host)) };
        if node.kind() != Kind::Str {
            return None;
        }
        let text = Lazy::<ImageText>::of(node).get(self.cx, &at.scope)?;
        self.image(node, &text).map(Below::Image)
    }

    /// The instance whose root is continued.
    fn continues(&self, at: &Resolving<'_, 'a>, node: Node<'a>) -> Option<u32> {
        if !matches!(node.kind(), Kind::Str | Kind::Int | Kind::Float) {
            return None;
        }
        if written_name(node).is_none() && node.text().contains("${{") {
            let complaint = Complaint::new("the name of the step has to be written out");
            let help = "only values in brackets can be expressions, as in `install[os=${{ matrix.os }}]`";
            self.cx.error(node, complaint.help(help.to_owned()));
            return None;
        }
        let text = Lazy::<StepText>::of(node).get(self.cx, &at.scope)?;
        let selected = reference::step(&text).and_then(|step| {
            self.not_itself(at.step, &step)?;
            let selection = self.steps.select(self.cx, &step)?;
            match *selection.rows {
                [row] => Ok(selection.step.first + row),
                _ => {
                    let message =
                        format!("`{text}` means {} steps, and one root is continued", selection.rows.len());
                    let one = selection.rows.first().map(|row| self.steps.name(selection.step.first + row));
                    Err(Complaint::new(message)
                        .help(one.map(|one| format!("name one of them, as in `{one}`"))))
                }
            }
        });
        selected.map_err(|complaint| self.cx.error(node, complaint)).ok()
    }
}

/// Whether an output's value is the step's root.
pub(super) fn is_root(value: Node<'_>) -> bool {
    match value.kind() {
        Kind::Str => value.text() == ROOTFS,
        Kind::Seq => {
            value.len() == 1 && value.items().all(|item| item.kind() == Kind::Str && item.text() == ROOTFS)
        }
        _ => false,
    }
}

/// The name of the output that is the step's root.
fn declared_root(body: Node<'_>) -> Option<Node<'_>> {
    outputs_of(body).find(|(_, value)| is_root(*value)).map(|(key, _)| key)
}

/// Whether the output of that name is the step's root.
pub(super) fn names_root(body: Node<'_>, output: &str) -> bool {
    outputs_of(body).any(|(key, value)| key.text() == output && is_root(value))
}

/// The place of a continued step's root among its outputs: behind all others where it has no name.
fn root_place(body: Node<'_>) -> u32 {
    let declared = declared_root(body).and_then(|key| place_of(body, key.text()));
    declared.unwrap_or_else(|| outputs_of(body).take(MOST_OUTPUTS).count() as u32)
}

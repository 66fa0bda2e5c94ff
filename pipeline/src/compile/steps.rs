//! Steps by name, with their matrices expanded into instances.

use std::collections::HashMap;

use super::matrix::Matrix;
use super::params::Params;
use super::reference::StepRef;
use crate::decode::{Cx, Decode, Field, Named};
use crate::expr::{Complaint, Names, Value};
use crate::scalar::check_name;
use crate::syntax::{Deferred, MatrixDef, StepDef};
use crate::yaml::{Kind, Node};

/// The most instances of all steps together; their indexes are 32-bit numbers, and a plan of a million steps
/// takes about a gigabyte.
const MOST_INSTANCES: usize = 1_000_000;

/// All steps. An instance is a step with one combination of its matrix, or the step itself if it has none;
/// instances are numbered through in the order of the file.
pub(super) struct Steps<'a> {
    pub(super) by_name: HashMap<&'a str, u32>,
    pub(super) list: Vec<NamedStep<'a>>,
    /// The step of each instance.
    pub(super) owner: Vec<u32>,
}

/// Names that are listed for who knows none: more do not fit into a line.
const LISTED: usize = 8;

pub(super) struct NamedStep<'a> {
    pub(super) key: Node<'a>,
    pub(super) body: Node<'a>,
    /// The first of its instances.
    pub(super) first: u32,
    pub(super) matrix: Option<Box<Matrix<'a>>>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(cx: Cx<'a>, defined: Option<Field<'a, Named<'a, Deferred<'a, StepDef<'a>>>>>) -> Self {
        let (key, defined) = match defined {
            Some(field) => (Some(field.key), field.value.0),
            None => (None, Vec::new()),
        };
        if let (Some(key), true) = (key, defined.is_empty()) {
            cx.error(key, Complaint::new("a pipeline needs at least one step"));
        }
        let mut steps = Steps {
            by_name: HashMap::with_capacity(defined.len()),
            list: Vec::with_capacity(defined.len()),
            owner: Vec::with_capacity(defined.len()),
        };
        for (key, Deferred { node: body, .. }) in defined {
            if let Err(complaint) = check_name("step", key.text()) {
                cx.error(key, complaint);
            }
            steps.push(cx, key, body);
            if steps.owner.len() > MOST_INSTANCES {
                let message = format!("the matrices make more than {MOST_INSTANCES} steps");
                cx.error(key, Complaint::new(message));
                break;
            }
        }
        steps
    }

    fn push(&mut self, cx: Cx<'a>, key: Node<'a>, body: Node<'a>) {
        let matrix = (body.kind() == Kind::Map)
            .then(|| body.get("matrix"))
            .flatten()
            .and_then(|node| MatrixDef::decode(cx, node))
            .map(|definition| Box::new(Matrix::new(cx, definition)));
        let index = self.list.len() as u32;
        let count = matrix.as_ref().map_or(1, |matrix| matrix.rows.len());
        let first = self.owner.len() as u32;
        self.by_name.insert(key.text(), index);
        self.list.push(NamedStep { key, body, first, matrix });
        self.owner.extend(std::iter::repeat_n(index, count));
    }

    /// The step of an instance, and the instance's place in its matrix.
    pub(super) fn of(&self, instance: u32) -> (&NamedStep<'a>, usize) {
        let step = &self.list[self.owner[instance as usize] as usize];
        (step, (instance - step.first) as usize)
    }

    /// The name of an instance, unique in the plan.
    pub(super) fn name(&self, instance: u32) -> String {
        let (step, row) = self.of(instance);
        match &step.matrix {
            Some(matrix) => format!("{}[{}]", step.key.text(), matrix.rows[row].suffix),
            None => step.key.text().to_owned(),
        }
    }

    /// For who names none of them: what there is, as far as it is read.
    pub(super) fn listed(&self) -> Option<String> {
        let names: Vec<String> =
            self.list.iter().take(LISTED).map(|step| format!("`{}`", step.key.text())).collect();
        let more = match self.list.len().saturating_sub(LISTED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        (!names.is_empty()).then(|| format!("the steps are {}{more}", names.join(", ")))
    }

    /// The step of that name, or what is wrong with it.
    pub(super) fn find(&self, cx: Cx<'a>, name: &str) -> Result<&NamedStep<'a>, Complaint> {
        match self.by_name.get(name) {
            Some(index) => Ok(&self.list[*index as usize]),
            None => {
                let help = cx.sink.did_you_mean(name, self.list.iter().map(|step| step.key.text()));
                Err(Complaint::new(format!("there is no step `{}`", name.escape_debug())).help(help))
            }
        }
    }

    /// The instances that a reference means.
    pub(super) fn select(&self, cx: Cx<'a>, wanted: &StepRef<'_>) -> Result<Selection<'_, 'a>, Complaint> {
        let step = self.find(cx, wanted.step)?;
        let Some(matrix) = &step.matrix else {
            if wanted.selector.is_some() {
                return Err(Complaint::new(format!("the step `{}` has no matrix", wanted.step))
                    .help(format!("write `{}`", wanted.step)));
            }
            return Ok(Selection { step, rows: vec![0], single: true });
        };
        let Some(selector) = wanted.selector else {
            return Ok(Selection { step, rows: (0..matrix.rows.len() as u32).collect(), single: false });
        };
        let (rows, single) = matrix.select(cx, wanted.step, selector)?;
        Ok(Selection { step, rows, single })
    }
}

/// Instances of one step.
pub(super) struct Selection<'s, 'a> {
    pub(super) step: &'s NamedStep<'a>,
    /// Places in its matrix.
    pub(super) rows: Vec<u32>,
    /// Whether exactly one instance was meant, rather than all of some kind.
    pub(super) single: bool,
}

/// What expressions in an instance may name.
pub(super) struct InstanceScope<'s, 'a> {
    pub(super) cx: Cx<'a>,
    pub(super) params: &'s Params<'a>,
    /// Its matrix and its place in it.
    pub(super) matrix: Option<(&'s Matrix<'a>, usize)>,
}

impl Names for InstanceScope<'_, '_> {
    fn lookup(&self, root: &str, name: &str) -> Result<Value, Complaint> {
        let (Some((matrix, row)), "matrix") = (self.matrix, root) else {
            return self.params.lookup(root, name);
        };
        match matrix.axes.iter().position(|axis| *axis == name) {
            Some(axis) => Ok(matrix.rows[row].values[axis].clone()),
            None if name.is_empty() => {
                Err(Complaint::new("this names no axis").help("write `matrix.NAME`".to_owned()))
            }
            None => {
                let help = self.cx.sink.did_you_mean(name, matrix.axes.iter().copied());
                Err(Complaint::new(format!("the matrix has no `{name}`")).help(help))
            }
        }
    }
}

//! Matrices: every combination of values, with a name.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::rc::Rc;

use super::params::join;
use crate::decode::Cx;
use crate::expr::{Complaint, Value};
use crate::scalar::check_name;
use crate::syntax::{Literal, MatrixDef};
use crate::yaml::Node;

/// The most instances of one step: more is a slip, such as an axis too many.
const MOST_ROWS: usize = 10_000;
/// The most axes, and the most combinations in `include` and in `exclude`; every combination is compared with all
/// of the latter.
const MOST_AXES: usize = 16;
const MOST_EXCEPTIONS: usize = 1_000;
/// The longest suffix in bytes; it becomes the name of a directory, which may have 255.
const LONGEST_SUFFIX: usize = 200;

pub(super) struct Matrix<'a> {
    pub(super) axes: Vec<&'a str>,
    pub(super) rows: Vec<Row>,
    by_suffix: HashMap<Rc<str>, u32>,
}

/// One combination.
pub(super) struct Row {
    /// As in `os=linux,shard=2`; characters with a meaning there are percent-encoded.
    pub(super) suffix: Rc<str>,
    /// In the order of the axes.
    pub(super) values: Vec<Value>,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(cx: Cx<'a>, definition: MatrixDef<'a>) -> Self {
        let errors = cx.sink.errors();
        let mut matrix = Matrix { axes: Vec::new(), rows: Vec::new(), by_suffix: HashMap::new() };
        for (key, values) in &definition.axes {
            if let Err(complaint) = check_name("matrix axis", key.text()) {
                cx.error(*key, complaint);
            }
            if values.is_empty() {
                let message = format!("the axis `{}` has no values", key.text());
                cx.error(*key, Complaint::new(message).help("leave it out, or give it values".to_owned()));
            }
            matrix.axes.push(key.text());
        }
        if let ([], Some((_, first))) = (matrix.axes.as_slice(), definition.include.first()) {
            matrix.axes = first.0.iter().map(|(key, _)| key.text()).collect();
        }
        if matrix.axes.len() > MOST_AXES {
            cx.error(definition.node, Complaint::new(format!("a matrix has at most {MOST_AXES} axes")));
        } else if definition.include.len().max(definition.exclude.len()) > MOST_EXCEPTIONS {
            let message = format!("`include` and `exclude` have at most {MOST_EXCEPTIONS} combinations each");
            cx.error(definition.node, Complaint::new(message));
        } else {
            matrix.expand(cx, &definition);
            matrix.include(cx, &definition);
        }
        if matrix.rows.is_empty() && cx.sink.errors() == errors {
            let complaint = Complaint::new("the matrix is empty: no combination of values is left");
            cx.error(definition.node, complaint);
        }
        if matrix.rows.is_empty() {
            // The rest of the step is checked all the same.
            let values = vec![Value::Unknown; matrix.axes.len()];
            matrix.rows.push(Row { suffix: "".into(), values });
        }
        matrix
    }

    fn expand(&mut self, cx: Cx<'a>, definition: &MatrixDef<'a>) {
        let sizes: Vec<usize> = definition.axes.iter().map(|(_, values)| values.len()).collect();
        let total = sizes.iter().try_fold(1_usize, |total, size| total.checked_mul(*size));
        let excludes: Vec<Vec<(usize, &Value)>> =
            definition.exclude.iter().map(|(_, values)| self.exclusion(cx, values)).collect();
        let mut hit = vec![false; excludes.len()];
        match total {
            Some(total) if total <= MOST_ROWS && !sizes.is_empty() => {
                for combination in 0..total {
                    self.combination(cx, definition, combination, &excludes, &mut hit);
                }
            }
            Some(_) if sizes.is_empty() => {}
            _ => {
                let message = format!("the matrix has more than {MOST_ROWS} combinations");
                return cx.error(definition.node, Complaint::new(message));
            }
        }
        for ((node, _), _) in definition.exclude.iter().zip(&hit).filter(|(_, hit)| !**hit) {
            cx.error(*node, Complaint::new("this leaves nothing out: no combination has these values"));
        }
    }

    /// The combination of that number, the last axis turning fastest, unless it is left out.
    fn combination(
        &mut self,
        cx: Cx<'a>,
        definition: &MatrixDef<'a>,
        mut number: usize,
        excludes: &[Vec<(usize, &Value)>],
        hit: &mut [bool],
    ) {
        let mut literals: Vec<&Literal<'a>> = Vec::with_capacity(definition.axes.len());
        for (_, values) in definition.axes.iter().rev() {
            literals.push(&values[number % values.len()]);
            number /= values.len();
        }
        literals.reverse();
        let matches = |exclude: &[(usize, &Value)]| {
            exclude.iter().all(|(axis, value)| literals[*axis].value.text() == value.text())
        };
        let mut left_out = false;
        for (exclude, hit) in excludes.iter().zip(hit) {
            let matched = matches(exclude);
            *hit |= matched;
            left_out |= matched;
        }
        if !left_out {
            let at = literals.last().map_or(definition.node, |literal| literal.node);
            self.push(cx, at, literals.iter().map(|literal| literal.value.clone()).collect());
        }
    }

    fn exclusion<'d>(
        &self,
        cx: Cx<'a>,
        values: &'d crate::decode::Named<'a, Literal<'a>>,
    ) -> Vec<(usize, &'d Value)> {
        let place = |key: Node<'a>| {
            let axis = self.axes.iter().position(|axis| *axis == key.text());
            if axis.is_none() {
                cx.error(key, self.no_axis(cx, key.text()));
            }
            axis
        };
        values.0.iter().filter_map(|(key, literal)| Some((place(*key)?, &literal.value))).collect()
    }

    fn include(&mut self, cx: Cx<'a>, definition: &MatrixDef<'a>) {
        for (node, values) in &definition.include {
            if self.rows.len() >= MOST_ROWS {
                let message = format!("the matrix has more than {MOST_ROWS} combinations");
                return cx.error(*node, Complaint::new(message));
            }
            for (key, _) in &values.0 {
                if !self.axes.contains(&key.text()) {
                    cx.error(*key, self.no_axis(cx, key.text()));
                }
            }
            let value = |axis: &&str| {
                let given = values.0.iter().find(|(key, _)| key.text() == *axis);
                given.map(|(_, literal)| literal.value.clone())
            };
            match self.axes.iter().map(value).collect::<Option<Vec<Value>>>() {
                Some(row) => self.push(cx, *node, row),
                None => {
                    let complaint = Complaint::new("this combination does not give every axis a value");
                    cx.error(*node, complaint.help(format!("they are {}", join(self.axes.iter().copied()))));
                }
            }
        }
    }

    fn push(&mut self, cx: Cx<'a>, at: Node<'a>, values: Vec<Value>) {
        let mut suffix = String::new();
        for (axis, value) in self.axes.iter().zip(&values) {
            let separator = if suffix.is_empty() { "" } else { "," };
            let _ = write!(suffix, "{separator}{axis}={}", encode(value.text().unwrap_or_default()));
        }
        if suffix.len() > LONGEST_SUFFIX {
            let message = format!("the values of one combination have more than {LONGEST_SUFFIX} characters");
            return cx.error(at, Complaint::new(message));
        }
        let suffix: Rc<str> = suffix.into();
        if self.by_suffix.insert(Rc::clone(&suffix), self.rows.len() as u32).is_some() {
            let message = format!("the combination {suffix} is there twice");
            cx.error(at, Complaint::new(message));
        }
        self.rows.push(Row { suffix, values });
    }

    /// The rows that a selector such as `os=linux,shard=2` means, and whether it names one exactly.
    pub(super) fn select(
        &self,
        cx: Cx<'a>,
        step: &str,
        selector: &str,
    ) -> Result<(Vec<u32>, bool), Complaint> {
        if let Some(row) = self.by_suffix.get(selector) {
            return Ok((vec![*row], true));
        }
        let mut wanted: Vec<Option<&str>> = vec![None; self.axes.len()];
        for part in selector.split(',') {
            let (axis, value) = part.split_once('=').unwrap_or((part, ""));
            let (axis, value) = (axis.trim(), value.trim());
            let Some(place) = self.axes.iter().position(|known| *known == axis) else {
                return Err(self.no_axis(cx, axis));
            };
            if wanted[place].replace(value).is_some() {
                return Err(Complaint::new(format!("`{axis}` is given twice")));
            }
        }
        let matches = |row: &Row| {
            let mut pairs = row.values.iter().zip(&wanted);
            pairs.all(|(value, wanted)| wanted.is_none_or(|wanted| is(value, wanted)))
        };
        let rows = (0_u32..).zip(&self.rows).filter(|(_, row)| matches(row)).map(|(index, _)| index);
        let rows: Vec<u32> = rows.collect();
        if rows.is_empty() {
            let help = format!("there are {}", join(self.rows.iter().map(|row| &*row.suffix)));
            return Err(Complaint::new(format!("no instance of `{step}` has {selector}")).help(help));
        }
        Ok((rows, wanted.iter().all(Option::is_some)))
    }

    fn no_axis(&self, cx: Cx<'a>, axis: &str) -> Complaint {
        let help = cx.sink.did_you_mean(axis, self.axes.iter().copied());
        let help = help.unwrap_or_else(|| format!("its axes are {}", join(self.axes.iter().copied())));
        Complaint::new(format!("the matrix has no `{}`", axis.escape_debug())).help(help)
    }
}

fn is(value: &Value, wanted: &str) -> bool {
    value.text().is_some_and(|text| text == wanted || encode(text) == wanted)
}

/// A value inside of an instance's name: what separates there, and what a directory cannot be called, is written
/// as `%` and two hexadecimal digits for each byte.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || c.is_whitespace() || matches!(c, '%' | '/' | ',' | '[' | ']' | '=' | '\\') {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(out, "%{byte:02X}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

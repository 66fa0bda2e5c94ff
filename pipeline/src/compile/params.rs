//! Parameters and what expressions may name.

use std::cell::Cell;
use std::collections::BTreeMap;

use super::Request;
use crate::decode::{Cx, Field, Named};
use crate::diag::Diagnostic;
use crate::expr::{Complaint, Names, Value};
use crate::scalar::check_name;
use crate::syntax::{Literal, ParamDef};
use crate::yaml::Node;

/// The parameters with their values for this compilation.
pub(super) struct Params<'a> {
    cx: Cx<'a>,
    by_name: BTreeMap<&'a str, Param<'a>>,
}

pub(super) struct Param<'a> {
    pub(super) key: Node<'a>,
    pub(super) used: Cell<bool>,
    default: Option<Literal<'a>>,
    values: Option<Vec<Literal<'a>>>,
    value: Value,
}

impl<'a> Params<'a> {
    pub(super) fn new(
        cx: Cx<'a>,
        defined: Option<Field<'a, Named<'a, ParamDef<'a>>>>,
        request: &Request<'_>,
    ) -> Self {
        let mut params = Params { cx, by_name: BTreeMap::new() };
        for (key, definition) in defined.map(|field| field.value.0).unwrap_or_default() {
            if let Err(complaint) = check_name("parameter", key.text()) {
                cx.error(key, complaint);
                continue;
            }
            params.by_name.insert(key.text(), Param::new(cx, key, definition));
        }
        if let Request::Plan { params: given, .. } = request {
            given.iter().for_each(|(name, text)| params.set(name, text));
            params.require_all();
        }
        params
    }

    /// Every parameter, by name.
    pub(super) fn all(&self) -> impl Iterator<Item = &Param<'a>> {
        self.by_name.values()
    }

    fn set(&mut self, name: &str, text: &str) {
        let Some(param) = self.by_name.get_mut(name) else {
            let help = self.cx.sink.did_you_mean(name, self.by_name.keys().copied());
            let help = help.unwrap_or_else(|| match self.by_name.is_empty() {
                true => "this pipeline has no parameters".to_owned(),
                false => format!("there are {}", join(self.by_name.keys().copied())),
            });
            let message = format!("there is no parameter `{}`", name.escape_debug());
            self.cx.sink.push(Diagnostic::error(None, message).help(help));
            return;
        };
        match param.parse(text) {
            Ok(value) => param.value = value,
            Err(complaint) => self.cx.sink.push(
                Diagnostic::error(None, complaint.message)
                    .help(complaint.help)
                    .label(param.key.span(), "the parameter is defined here"),
            ),
        }
    }

    fn require_all(&self) {
        for (name, param) in &self.by_name {
            if param.value == Value::Unknown {
                let message = format!("the parameter `{name}` has no default and needs a value");
                let problem = Diagnostic::error(param.key.span(), message);
                self.cx.sink.push(problem.help(format!("pass `--param {name}=VALUE`")));
            }
        }
    }
}

impl<'a> Param<'a> {
    fn new(cx: Cx<'a>, key: Node<'a>, definition: ParamDef<'a>) -> Self {
        let (default, values) = match definition {
            ParamDef::Default(default) => (Some(default), None),
            ParamDef::Full(full) => {
                (full.default.map(|field| field.value), full.values.map(|field| field.value.0))
            }
        };
        let value = default.as_ref().map_or(Value::Unknown, |default| default.value.clone());
        let param = Param { key, used: Cell::new(false), default, values, value };
        param.check(cx);
        param
    }

    /// The values are of one type, and the default is one of them.
    fn check(&self, cx: Cx<'a>) {
        let Some(values) = &self.values else { return };
        let Some(first) = values.first() else {
            cx.error(self.key, Complaint::new("a parameter without any possible value"));
            return;
        };
        for value in values {
            if value.value.describe() != first.value.describe() {
                let message =
                    format!("this is {}, the first is {}", value.value.describe(), first.value.describe());
                cx.error(value.node, Complaint::new(message).help("give all values one type".to_owned()));
            }
        }
        if let Some(default) = &self.default
            && !values.iter().any(|value| value.value == default.value)
        {
            let message = format!("the default `{}` is not among the values", default.node.text());
            cx.error(default.node, Complaint::new(message).help(format!("they are {}", list(values))));
        }
    }

    /// A value from the command line, of the type that the default or the values have.
    fn parse(&self, text: &str) -> Result<Value, Complaint> {
        let name = self.key.text();
        let model = self.default.as_ref().or(self.values.as_ref().and_then(|values| values.first()));
        let value = match model.map(|literal| &literal.value) {
            Some(Value::Number(_)) if text.parse::<f64>().is_ok() => Value::Number(text.into()),
            Some(Value::Bool(_)) if matches!(text, "true" | "false") => Value::Bool(text == "true"),
            Some(other @ (Value::Number(_) | Value::Bool(_))) => {
                let text = text.escape_debug();
                return Err(Complaint::new(format!(
                    "the parameter `{name}` is {}; `{text}` is not",
                    other.describe()
                )));
            }
            _ => Value::Text(text.into()),
        };
        match &self.values {
            Some(values) if !values.iter().any(|allowed| allowed.value == value) => {
                let message = format!("the parameter `{name}` cannot be `{}`", text.escape_debug());
                Err(Complaint::new(message).help(format!("its values are {}", list(values))))
            }
            _ => Ok(value),
        }
    }
}

impl Names for Params<'_> {
    fn lookup(&self, root: &str, name: &str) -> Result<Value, Complaint> {
        match root {
            "params" if name.is_empty() => {
                Err(Complaint::new("this names no parameter").help("write `params.NAME`".to_owned()))
            }
            "params" => match self.by_name.get(name) {
                Some(param) => {
                    param.used.set(true);
                    Ok(param.value.clone())
                }
                None => {
                    let help = self.cx.sink.did_you_mean(name, self.by_name.keys().copied());
                    Err(Complaint::new(format!("there is no parameter `{name}`")).help(help))
                }
            },
            "matrix" => Err(Complaint::new("there are no matrix values here")
                .help("only a step with a `matrix` has them".to_owned())),
            _ => {
                let help = self.cx.sink.did_you_mean(root, ["params", "matrix"]);
                let help = help.unwrap_or_else(|| "strings are written in quotes: 'text'".to_owned());
                Err(Complaint::new(format!("`{root}` is neither `params` nor `matrix`")).help(help))
            }
        }
    }
}

fn list(values: &[Literal<'_>]) -> String {
    join(values.iter().map(|value| value.node.text()))
}

/// The first few of some names, for messages.
pub(super) fn join<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut names = names.map(|name| format!("`{}`", name.escape_debug()));
    let mut shown: Vec<String> = names.by_ref().take(8).collect();
    if names.next().is_some() {
        shown.push("…".to_owned());
    }
    shown.join(", ")
}

//! `${{ … }}`: expressions over parameters and matrix values.

mod evaluate;
mod lex;
mod template;

use std::rc::Rc;

pub(crate) use template::{condition, has_expression, render};

/// What an expression is made of and becomes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// A string.
    Text(Rc<str>),
    /// A number, as it was written: `1.10` stays `1.10`.
    Number(Rc<str>),
    /// `true` or `false`.
    Bool(bool),
    /// A parameter without default while a file is only being checked; it has every type.
    Unknown,
}

impl Value {
    /// The value of a YAML scalar; none for null, a list or a map.
    pub(crate) fn from_node(node: crate::yaml::Node<'_>) -> Option<Value> {
        use crate::yaml::Kind;
        match node.kind() {
            Kind::Str => Some(Value::Text(node.text().into())),
            Kind::Int | Kind::Float => Some(Value::Number(node.text().into())),
            Kind::Bool => Some(Value::Bool(node.text().eq_ignore_ascii_case("true"))),
            Kind::Null | Kind::Seq | Kind::Map | Kind::Alias => None,
        }
    }

    /// As it appears inside of a string; none if it is not known.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Number(text) => Some(text),
            Value::Bool(true) => Some("true"),
            Value::Bool(false) => Some("false"),
            Value::Unknown => None,
        }
    }

    /// With its article, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match self {
            Value::Text(_) => "a string",
            Value::Number(_) => "a number",
            Value::Bool(_) => "a boolean",
            Value::Unknown => "unknown",
        }
    }
}

/// What names mean inside an expression.
pub(crate) trait Names {
    /// The value of `params.NAME` or `matrix.NAME`, or what is wrong with it.
    fn lookup(&self, root: &str, name: &str) -> Result<Value, Complaint>;
}

/// What is wrong with a text, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Complaint {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Complaint { message: message.into(), help: None }
    }

    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

/// A [`Complaint`] about a part of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Where, in bytes from the beginning of the text.
    pub(crate) offset: usize,
    pub(crate) complaint: Complaint,
}

impl Fault {
    fn new(offset: usize, message: impl Into<String>) -> Self {
        Fault { offset, complaint: Complaint::new(message) }
    }

    fn help(mut self, help: &str) -> Self {
        self.complaint.help = Some(help.to_owned());
        self
    }
}

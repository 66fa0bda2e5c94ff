//! Parameters.

use serde_json::{Value as Json, json};

use crate::decode::{Cx, Decode, Defs, Lazy, List, mismatch, object};
use crate::expr::{Complaint, Value, has_expression};
use crate::scalar::Text;
use crate::yaml::{Kind, Node};

/// A string, number or boolean without expressions.
#[derive(Clone)]
pub(crate) struct Literal<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) value: Value,
}

impl<'a> Decode<'a> for Literal<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        let Some(value) = Value::from_node(node) else {
            mismatch(cx, node, "a string, a number or a boolean", None);
            return None;
        };
        if has_expression(node.text()) {
            cx.error(node, Complaint::new("there can be no expression here"));
        }
        Some(Literal { node, value })
    }

    fn schema(_: &mut Defs) -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

object! {
    /// A parameter with more than a default.
    pub(crate) struct Param requires [] {
        /// Its value unless `--param` gives another. Without one, `--param` is required.
        default: Literal<'a>,
        /// What it is for.
        description: Lazy<'a, Text>,
        /// The only values it may have.
        values: List<Literal<'a>>,
    }
}

/// A parameter: its default, or a [`Param`].
pub(crate) enum ParamDef<'a> {
    Default(Literal<'a>),
    Full(Box<Param<'a>>),
}

impl<'a> Decode<'a> for ParamDef<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Map => Param::decode(cx, node).map(|param| ParamDef::Full(Box::new(param))),
            Kind::Null => {
                let help = "write `\"\"` for an empty string, or `{ description: … }` for no default";
                mismatch(cx, node, "a default value", help.to_owned());
                None
            }
            _ => Literal::decode(cx, node).map(ParamDef::Default),
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [Literal::schema(defs), Param::schema(defs)] })
    }
}

//! What a step executes.

use serde_json::{Value as Json, json};

use crate::decode::{Cx, Decode, Defs, Lazy, List, mismatch};
use crate::scalar::{Argument, Text};
use crate::yaml::{Kind, Node};

/// A script for `/bin/sh -eu -c`, or a program and its arguments.
pub(crate) enum Run<'a> {
    Script(Lazy<'a, Text>),
    Arguments(Node<'a>, Vec<Lazy<'a, Argument>>),
}

impl<'a> Decode<'a> for Run<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Seq => List::decode(cx, node).map(|List(arguments)| Run::Arguments(node, arguments)),
            Kind::Str => Lazy::decode(cx, node).map(Run::Script),
            _ => {
                mismatch(cx, node, "a script or a list of arguments", None);
                None
            }
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [
            { "type": "string", "minLength": 1 },
            { "type": "array", "minItems": 1, "items": Lazy::<Argument>::schema(defs) },
        ] })
    }
}

//! Lists and maps with names chosen by the user.

use serde_json::{Value as Json, json};

use super::{Cx, Decode, Defs, mismatch};
use crate::yaml::{Kind, Node};

/// A list; items that do not decode are reported and left out.
pub(crate) struct List<T>(pub(crate) Vec<T>);

impl<'a, T: Decode<'a>> Decode<'a> for List<T> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Seq => Some(List(node.items().filter_map(|item| T::decode(cx, item)).collect())),
            Kind::Null | Kind::Map | Kind::Alias => {
                mismatch(cx, node, "a list", None);
                None
            }
            _ => {
                mismatch(cx, node, "a list", format!("write `[{}]`", node.text()));
                None
            }
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "type": "array", "items": T::schema(defs) })
    }
}

/// One value, or a list of them.
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<'a, T: Decode<'a>> Decode<'a> for OneOrMany<T> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Seq => List::decode(cx, node).map(|List(items)| OneOrMany(items)),
            _ => T::decode(cx, node).map(|one| OneOrMany(vec![one])),
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        let item = T::schema(defs);
        json!({ "anyOf": [item, { "type": "array", "items": item }] })
    }
}

/// A map from names or paths, in the order of the file; values that do not decode are reported and left out.
pub(crate) struct Named<'a, T>(pub(crate) Vec<(Node<'a>, T)>);

impl<T> Default for Named<'_, T> {
    fn default() -> Self {
        Named(Vec::new())
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Named<'a, T> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        if node.kind() != Kind::Map {
            mismatch(cx, node, "a map", None);
            return None;
        }
        let decoded = node.pairs().filter_map(|(key, value)| Some((key, T::decode(cx, value)?)));
        Some(Named(decoded.collect()))
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "type": "object", "additionalProperties": T::schema(defs) })
    }
}

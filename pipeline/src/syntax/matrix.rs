//! Matrices.

use serde_json::{Value as Json, json};

use super::param::Literal;
use crate::decode::{Cx, Decode, Defs, List, Named, mismatch};
use crate::expr::Value;
use crate::yaml::{Kind, Node};

/// An axis with its values.
pub(crate) type Axis<'a> = (Node<'a>, Vec<Literal<'a>>);
/// A combination of values, by axis.
pub(crate) type Combination<'a> = Named<'a, Literal<'a>>;

/// Axes and the combinations that are added and left out.
pub(crate) struct MatrixDef<'a> {
    pub(crate) node: Node<'a>,
    pub(crate) axes: Vec<Axis<'a>>,
    pub(crate) include: Vec<(Node<'a>, Combination<'a>)>,
    pub(crate) exclude: Vec<(Node<'a>, Combination<'a>)>,
}

impl<'a> Decode<'a> for MatrixDef<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        if node.kind() != Kind::Map {
            mismatch(cx, node, "a map from names to lists of values", None);
            return None;
        }
        let mut matrix = MatrixDef { node, axes: Vec::new(), include: Vec::new(), exclude: Vec::new() };
        for (key, value) in node.pairs() {
            match key.text() {
                "include" => matrix.include = combinations(cx, value),
                "exclude" => matrix.exclude = combinations(cx, value),
                _ => {
                    // An axis that is wrong is still an axis: expressions that name it are right.
                    let unknown = || List(vec![Literal { node: value, value: Value::Unknown }]);
                    let List(values) = List::decode(cx, value).unwrap_or_else(unknown);
                    matrix.axes.push((key, values));
                }
            }
        }
        Some(matrix)
    }

    fn schema(defs: &mut Defs) -> Json {
        let combinations = |what: &str| {
            json!({
                "type": "array",
                "description": what,
                "items": { "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } },
            })
        };
        let values = List::<Literal<'a>>::schema(defs);
        defs.entry("MatrixDef").or_insert_with(|| {
            json!({
                "type": "object",
                "description": "Axes by name, each a list of values; one instance for each combination.",
                "properties": {
                    "include": combinations("Combinations to add; each gives a value to every axis."),
                    "exclude": combinations("Combinations to leave out; values for some of the axes suffice."),
                },
                "additionalProperties": values,
                "minProperties": 1,
            })
        });
        json!({ "$ref": "#/$defs/MatrixDef" })
    }
}

fn combinations<'a>(cx: Cx<'a>, node: Node<'a>) -> Vec<(Node<'a>, Combination<'a>)> {
    if node.kind() != Kind::Seq {
        mismatch(cx, node, "a list of maps", None);
        return Vec::new();
    }
    node.items().filter_map(|item| Some((item, Combination::decode(cx, item)?))).collect()
}

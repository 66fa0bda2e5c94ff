//! Source trees.

use serde_json::{Value as Json, json};

use crate::decode::{Cx, Decode, Defs, Lazy, List, object};
use crate::scalar::{Glob, RelativePath};
use crate::yaml::{Kind, Node};

object! {
    /// A tree of files on the submitting machine. `.gitignore` is honoured.
    pub(crate) struct SourceTree requires ["path"] {
        /// A directory, relative to the pipeline file.
        path: Lazy<'a, RelativePath>,
        /// Globs of what to take. Default: everything.
        include: List<Lazy<'a, Glob>>,
        /// Globs of what to leave out. Default: nothing.
        exclude: List<Lazy<'a, Glob>>,
    }
}

/// A source: its path, or a [`SourceTree`].
pub(crate) enum SourceDef<'a> {
    Path(Lazy<'a, RelativePath>),
    Tree(Box<SourceTree<'a>>),
}

impl<'a> Decode<'a> for SourceDef<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Map => SourceTree::decode(cx, node).map(|tree| SourceDef::Tree(Box::new(tree))),
            _ => Lazy::decode(cx, node).map(SourceDef::Path),
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [Lazy::<RelativePath>::schema(defs), SourceTree::schema(defs)] })
    }
}

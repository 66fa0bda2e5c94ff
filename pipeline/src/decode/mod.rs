//! From YAML nodes to the language's types. Each type decodes itself, reports what is wrong with the node, and
//! describes itself for the JSON Schema, all from one definition, so that the three cannot disagree.

mod collection;
mod lazy;
mod object;

use serde_json::{Map as JsonMap, Value as Json};

use crate::diag::{Diagnostic, Sink};
use crate::expr::{Complaint, Fault};
use crate::yaml::Node;

pub(crate) use collection::{List, Named, OneOrMany};
pub(crate) use lazy::{Accepts, Lazy, Scalar, Scope};
pub(crate) use object::{Field, missing, object, unknown_key};

/// Where problems go, and the file they are in.
#[derive(Clone, Copy)]
pub(crate) struct Cx<'a> {
    pub(crate) sink: &'a Sink,
    pub(crate) text: &'a str,
}

impl<'a> Cx<'a> {
    /// Reports something about a whole node.
    pub(crate) fn error(self, node: Node<'a>, complaint: Complaint) {
        self.sink.push(Diagnostic::error(node.span(), complaint.message).help(complaint.help));
    }

    /// Reports something about a part of a scalar.
    pub(crate) fn fault(self, node: Node<'a>, fault: Fault) {
        if !self.sink.is_new_fault(node.span(), &fault) {
            return;
        }
        let span = if self.sink.is_crowded() { node.span() } else { node.locate(self.text, fault.offset) };
        self.sink.push(Diagnostic::error(span, fault.complaint.message).help(fault.complaint.help));
    }
}

/// A type of the language.
pub(crate) trait Decode<'a>: Sized {
    /// Reads it from a node; reports and returns nothing if that cannot be.
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self>;

    /// Its JSON Schema. Types with a name put theirs into `defs` and return a reference to it.
    fn schema(defs: &mut Defs) -> Json;
}

/// The `$defs` of a schema.
pub(crate) type Defs = JsonMap<String, Json>;

/// "expected X, found Y", with a hint.
pub(crate) fn mismatch<'a>(cx: Cx<'a>, node: Node<'a>, expected: &str, help: impl Into<Option<String>>) {
    let message = format!("expected {expected}, found {}", node.kind().describe());
    cx.error(node, Complaint { message, help: help.into() });
}

//! What a run hands out.

use serde_json::{Value as Json, json};

use super::words::OutputText;
use crate::decode::{Cx, Decode, Defs, Lazy, object};
use crate::scalar::{ImageForm, ImageName};
use crate::yaml::{Kind, Node};

object! {
    /// An output of the run with more than a reference.
    pub(crate) struct RunOutputMap requires ["from"] {
        /// STEP.OUTPUT.
        from: Lazy<'a, OutputText>,
        /// How an image is written: `oci-layout`, a directory, or `docker-archive`, a file. Default: `oci-layout`.
        format: Lazy<'a, ImageForm>,
        /// What `docker load` calls an image: `[HOST[:PORT]/]NAME[:TAG]`. Only for `docker-archive`. Default: no name.
        name: Lazy<'a, ImageName>,
    }
}

/// An output of the run: STEP.OUTPUT, or a [`RunOutputMap`].
pub(crate) enum RunOutputDef<'a> {
    Reference(Lazy<'a, OutputText>),
    Full(RunOutputMap<'a>),
}

impl<'a> Decode<'a> for RunOutputDef<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Map => RunOutputMap::decode(cx, node).map(RunOutputDef::Full),
            _ => Lazy::decode(cx, node).map(RunOutputDef::Reference),
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [Lazy::<OutputText>::schema(defs), RunOutputMap::schema(defs)] })
    }
}

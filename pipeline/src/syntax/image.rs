//! Images.

use serde_json::{Value as Json, json};

use super::words::{ImageDigest, ImageText};
use crate::decode::{Cx, Decode, Defs, Lazy, object};
use crate::yaml::{Kind, Node};

object! {
    /// An image with more than a reference.
    pub(crate) struct ImageSource requires ["reference"] {
        /// A registry reference, `oci-layout:DIR` or `docker-archive:FILE`.
        reference: Lazy<'a, ImageText>,
        /// The digest it must have, as `sha256:…`.
        digest: Lazy<'a, ImageDigest>,
    }
}

/// An image: its reference, or an [`ImageSource`].
pub(crate) enum ImageDef<'a> {
    Reference(Lazy<'a, ImageText>),
    Full(ImageSource<'a>),
}

impl<'a> Decode<'a> for ImageDef<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Map => ImageSource::decode(cx, node).map(ImageDef::Full),
            _ => Lazy::decode(cx, node).map(ImageDef::Reference),
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [Lazy::<ImageText>::schema(defs), ImageSource::schema(defs)] })
    }
}

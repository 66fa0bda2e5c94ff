//! Cache volumes.

use serde_json::{Value as Json, json};

use super::words::Volume;
use crate::decode::{Cx, Decode, Defs, Lazy, mismatch, object};
use crate::scalar::{Flag, Sharing};
use crate::yaml::{Kind, Node};

object! {
    /// A cache volume, and how steps share it.
    pub(crate) struct CacheMap requires ["volume"] {
        /// Its name.
        volume: Lazy<'a, Volume>,
        /// `true`: other machines have it too, by way of the shared cache. `free`, and `false`: every step has a copy of its
        /// own, and the last one to succeed is kept. `locked`: as `locked: true`. Default: `free`.
        shared: Lazy<'a, Sharing>,
        /// Whether one step at a time has it. Default: `false`.
        locked: Lazy<'a, Flag>,
    }
}

/// A cache: the name of a volume, or a [`CacheMap`].
pub(crate) enum CacheDef<'a> {
    Volume(Lazy<'a, Volume>),
    Full(CacheMap<'a>),
}

impl<'a> Decode<'a> for CacheDef<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match node.kind() {
            Kind::Map => CacheMap::decode(cx, node).map(CacheDef::Full),
            Kind::Str => Lazy::decode(cx, node).map(CacheDef::Volume),
            _ => {
                let help = "write `/root/.cache: NAME` or `/root/.cache: { volume: NAME, shared: true }`";
                mismatch(cx, node, "the name of a cache or a map", help.to_owned());
                None
            }
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [Lazy::<Volume>::schema(defs), CacheMap::schema(defs)] })
    }
}

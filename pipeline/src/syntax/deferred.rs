//! Values that are decoded when they are needed.

use std::marker::PhantomData;

use serde_json::Value as Json;

use crate::decode::{Cx, Decode, Defs};
use crate::yaml::Node;

/// A node that will be decoded as a `T`: the 100,000 steps of a large file are decoded one at a time.
pub(crate) struct Deferred<'a, T> {
    pub(crate) node: Node<'a>,
    decoded: PhantomData<T>,
}

impl<'a, T: Decode<'a>> Decode<'a> for Deferred<'a, T> {
    fn decode(_: Cx<'a>, node: Node<'a>) -> Option<Self> {
        Some(Deferred { node, decoded: PhantomData })
    }

    fn schema(defs: &mut Defs) -> Json {
        T::schema(defs)
    }
}

//! Scalars that may contain expressions.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde_json::{Value as Json, json};

use super::{Cx, Decode, Defs, mismatch};
use crate::expr::{self, Complaint, Names};
use crate::yaml::{Kind, Node};

/// Which YAML scalars a [`Scalar`] may be written as, besides a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// Only a string.
    Text,
    /// Also a number.
    Numbers,
    /// Also `true` and `false`.
    Bools,
    /// Any scalar but null.
    All,
}

/// How the text of a scalar becomes a value.
pub(crate) trait Scalar {
    /// What it becomes.
    type Value;
    /// Other scalars than strings that are taken by their text.
    const ACCEPTS: Accepts;
    /// With its article, for messages.
    const EXPECTED: &'static str;

    /// Parses the text after its expressions were replaced.
    fn parse(text: &str) -> Result<Self::Value, Complaint>;

    /// What to do about a scalar of the wrong type.
    fn hint(text: &str, kind: Kind) -> Option<String> {
        (kind != Kind::Null).then(|| format!("quote it: \"{text}\""))
    }

    /// The schema of a value without expressions.
    fn schema() -> Json;
}

/// What expressions in a place may name.
pub(crate) type Scope<'s> = &'s dyn Names;

/// A scalar of the file, a value as soon as there is a [`Scope`].
pub(crate) struct Lazy<'a, S> {
    pub(crate) node: Node<'a>,
    scalar: PhantomData<S>,
}

impl<S> Clone for Lazy<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Lazy<'_, S> {}

impl<'a, S: Scalar> Lazy<'a, S> {
    /// A node that is known to be a scalar, such as a key.
    pub(crate) fn of(node: Node<'a>) -> Self {
        Lazy { node, scalar: PhantomData }
    }

    /// Its value. Reports what is wrong with it; none also while a parameter in it is not known.
    pub(crate) fn get(self, cx: Cx<'a>, scope: Scope<'_>) -> Option<S::Value> {
        let text = rendered(cx, self.node, scope)?;
        S::parse(&text).map_err(|complaint| cx.error(self.node, complaint)).ok()
    }
}

/// The text of a scalar with its expressions replaced.
pub(crate) fn rendered<'a>(cx: Cx<'a>, node: Node<'a>, scope: Scope<'_>) -> Option<Cow<'a, str>> {
    match expr::render(node.text(), scope) {
        Ok(text) => text,
        Err(faults) => {
            faults.into_iter().for_each(|fault| cx.fault(node, fault));
            None
        }
    }
}

impl<'a, S: Scalar> Decode<'a> for Lazy<'a, S> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        let fits = match (node.kind(), S::ACCEPTS) {
            (Kind::Str, _) => true,
            (Kind::Int | Kind::Float, accepts) => matches!(accepts, Accepts::Numbers | Accepts::All),
            (Kind::Bool, accepts) => matches!(accepts, Accepts::Bools | Accepts::All),
            _ => false,
        };
        if !fits {
            let scalar = !matches!(node.kind(), Kind::Seq | Kind::Map);
            let help = scalar.then(|| S::hint(node.text(), node.kind())).flatten();
            mismatch(cx, node, S::EXPECTED, help);
            return None;
        }
        Some(Lazy::of(node))
    }

    fn schema(_: &mut Defs) -> Json {
        let plain = S::schema();
        if plain == json!({ "type": "string" }) {
            return plain;
        }
        json!({ "anyOf": [plain, { "type": "string", "pattern": r"\$\{\{" }] })
    }
}

//! Services and secrets: checked here, executed by a later version.

use serde_json::{Value as Json, json};

use super::Run;
use super::words::{ImageText, Place};
use crate::decode::{Cx, Decode, Defs, Lazy, Named, mismatch, object};
use crate::scalar::{Flag, Period, Port, Text};
use crate::yaml::{Kind, Node};

object! {
    /// How a service says that it is ready.
    pub(crate) struct Ready requires ["tcp"] {
        /// It accepts connections at this port.
        tcp: Lazy<'a, Port>,
        /// How long it may take. Default: `1m`.
        timeout: Lazy<'a, Period>,
    }
}

object! {
    /// A program that runs beside a step.
    pub(crate) struct ServiceDef requires ["image"] {
        /// Its image, as for a step.
        image: Lazy<'a, ImageText>,
        /// What to execute. Default: what the image says.
        run: Run<'a>,
        /// Its environment variables.
        env: Named<'a, Lazy<'a, Text>>,
        /// When it is ready. Default: as soon as it has started.
        ready: Ready<'a>,
    }
}

object! {
    /// Where a secret comes from: one of `env`, `file` and `provider`.
    pub(crate) struct SecretSource requires [] {
        /// An environment variable of whoever runs the pipeline.
        env: Lazy<'a, Place>,
        /// A file of whoever runs the pipeline.
        file: Lazy<'a, Place>,
        /// A provider of secrets that is configured where the pipeline runs.
        provider: Lazy<'a, Place>,
        /// What to ask the provider for. Default: the secret's name.
        key: Lazy<'a, Place>,
        /// Whether a salted identity of its value is part of the step's key. Default: false.
        identity: Lazy<'a, Flag>,
    }
}

/// A secret: the word `env`, or a [`SecretSource`].
pub(crate) enum SecretDef<'a> {
    /// The variable of the same name.
    Env,
    Full(Node<'a>, Box<SecretSource<'a>>),
}

impl<'a> Decode<'a> for SecretDef<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match (node.kind(), node.text()) {
            (Kind::Map, _) => {
                SecretSource::decode(cx, node).map(|source| SecretDef::Full(node, Box::new(source)))
            }
            (Kind::Str, "env") => Some(SecretDef::Env),
            (Kind::Str, text) => {
                let help = cx.sink.did_you_mean(text, ["env"]);
                let help =
                    help.unwrap_or_else(|| format!("write `{{ file: {text} }}` or `{{ env: {text} }}`"));
                mismatch(cx, node, "`env` or a map", help);
                None
            }
            _ => {
                mismatch(cx, node, "`env` or a map", None);
                None
            }
        }
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "anyOf": [{ "const": "env" }, SecretSource::schema(defs)] })
    }
}

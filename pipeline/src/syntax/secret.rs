//! Secrets.

use serde_json::{Value as Json, json};

use super::words::Place;
use crate::decode::{Accepts, Cx, Decode, Defs, Lazy, List, Scalar, mismatch, object};
use crate::expr::Complaint;
use crate::scalar::{Argument, Flag};
use crate::yaml::{Kind, Node};

object! {
    /// Where a secret comes from: one of `env`, `file`, `command` and `provider`.
    pub(crate) struct SecretSource requires [] {
        /// An environment variable of whoever runs the pipeline.
        env: Lazy<'a, Place>,
        /// A file of whoever runs the pipeline.
        file: Lazy<'a, Place>,
        /// A program and its arguments, started by whoever runs the pipeline: what it prints is the value.
        command: CommandLine<'a>,
        /// A provider of secrets that is configured where the pipeline runs.
        provider: Lazy<'a, Place>,
        /// What to ask the provider for. Default: the secret's name.
        key: Lazy<'a, Place>,
        /// `env` to set the environment variable of that name as well. Default: the file only.
        expose: Lazy<'a, Exposure>,
        /// Whether a salted identity of its value is part of the step's key. Default: false.
        identity: Lazy<'a, Flag>,
    }
}

/// A program and its arguments.
pub(crate) struct CommandLine<'a>(pub(crate) Vec<Lazy<'a, Argument>>);

impl<'a> Decode<'a> for CommandLine<'a> {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        if node.kind() != Kind::Seq {
            let help = "no shell reads it; write `[pass, show, token]`".to_owned();
            mismatch(cx, node, "a list of a program and its arguments", help);
            return None;
        }
        List::decode(cx, node).map(|List(arguments)| Self(arguments))
    }

    fn schema(defs: &mut Defs) -> Json {
        json!({ "type": "array", "minItems": 1, "items": Lazy::<Argument>::schema(defs) })
    }
}

/// `env`.
pub(crate) struct Exposure;

impl Scalar for Exposure {
    type Value = ();
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "`env`";

    fn parse(text: &str) -> Result<(), Complaint> {
        match text {
            "env" => Ok(()),
            _ => Err(Complaint::new(format!("a secret cannot be exposed as `{}`", text.escape_debug()))
                .help("it is `env`, or left out for the file alone".to_owned())),
        }
    }

    fn hint(_: &str, _: Kind) -> Option<String> {
        None
    }

    fn schema() -> Json {
        json!({ "const": "env" })
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

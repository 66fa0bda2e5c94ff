//! Small scalars of the language that are not amounts, paths or flags.

use serde_json::{Value as Json, json};

use crate::decode::{Accepts, Cx, Decode, Defs, Scalar, mismatch};
use crate::expr::Complaint;
use crate::plan::{Platform, PlatformError};
use crate::yaml::{Kind, Node};

/// The version of the language. There is one so far.
pub(crate) struct Version;

impl<'a> Decode<'a> for Version {
    fn decode(cx: Cx<'a>, node: Node<'a>) -> Option<Self> {
        match (node.kind(), node.text()) {
            (Kind::Int, "1") => return Some(Version),
            (Kind::Int | Kind::Float | Kind::Str, text) => {
                let text = text.escape_debug();
                let complaint =
                    Complaint::new(format!("this Cullet does not know version `{text}` of the language"));
                cx.error(node, complaint.help("write `cullet: 1`, or use a newer Cullet".to_owned()));
            }
            _ => mismatch(cx, node, "the version of the language", "write `cullet: 1`".to_owned()),
        }
        None
    }

    fn schema(_: &mut Defs) -> Json {
        json!({ "const": 1 })
    }
}

/// Declares a scalar that is a string here and whose meaning is found when names are resolved.
macro_rules! word {
    ($(#[doc = $about:literal])+ $name:ident, $expected:literal, $accepts:ident) => {
        $(#[doc = $about])+
        pub(crate) struct $name;

        impl Scalar for $name {
            type Value = String;
            const ACCEPTS: Accepts = Accepts::$accepts;
            const EXPECTED: &'static str = $expected;

            fn parse(text: &str) -> Result<String, Complaint> {
                if text.is_empty() || text.contains(|c: char| c.is_control()) {
                    let message = format!("`{}` is not {}", text.escape_debug(), $expected);
                    return Err(Complaint::new(message));
                }
                Ok(text.to_owned())
            }

            fn schema() -> Json {
                json!({ "type": "string", "minLength": 1 })
            }
        }
    };
}

word!(
    /// `SRC`, `SRC:SUBDIR`, `STEP.OUTPUT` or `STEP[AXIS=VALUE].OUTPUT`.
    InputText, "an input such as `src`, `src:tests` or `build.bin`", Text
);
word!(
    /// `STEP.OUTPUT` or `STEP[AXIS=VALUE].OUTPUT`.
    OutputText, "an output such as `build.bin`", Text
);
word!(
    /// `STEP` or `STEP[AXIS=VALUE]`.
    StepText, "the name of a step", Numbers
);
word!(
    /// `host`, a name in `images:`, a registry reference, `oci-layout:DIR` or `docker-archive:FILE`.
    ImageText, "an image", Text
);
word!(
    /// The name of a pipeline.
    Title, "a name", Text
);
word!(
    /// Where something outside is found: a variable, a file, a key of a provider.
    Place, "a name or a place", Text
);

/// A condition: `${{ … }}`, a bare expression, `true` or `false`.
pub(crate) struct Condition;

impl Scalar for Condition {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Bools;
    const EXPECTED: &'static str = "a condition";

    fn parse(text: &str) -> Result<String, Complaint> {
        Ok(text.to_owned())
    }

    fn hint(_: &str, _: Kind) -> Option<String> {
        Some("write an expression such as `params.profile == 'release'`".to_owned())
    }

    fn schema() -> Json {
        json!({ "type": ["string", "boolean"] })
    }
}

/// The name of a cache volume, shared by all steps of the pipeline that use it.
pub(crate) struct Volume;

impl Scalar for Volume {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "the name of a cache";

    fn parse(text: &str) -> Result<String, Complaint> {
        crate::scalar::check_name("cache", text).map(|()| text.to_owned())
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]{1,100}$" })
    }
}

/// A platform, as in `linux/arm64`.
pub(crate) struct PlatformText;

impl Scalar for PlatformText {
    type Value = Platform;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "a platform such as linux/arm64";

    fn parse(text: &str) -> Result<Platform, Complaint> {
        text.parse().map_err(|PlatformError { text, advice }| {
            let message = format!("`{}` is not a platform", text.escape_debug());
            Complaint::new(message).help(advice.to_owned())
        })
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^linux/[a-z0-9]+(/[a-z0-9]+)?$" })
    }
}

/// A SHA-256 digest, as in `sha256:…`.
pub(crate) struct ImageDigest;

impl Scalar for ImageDigest {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "a digest such as sha256:…";

    fn parse(text: &str) -> Result<String, Complaint> {
        let hex = text.strip_prefix("sha256:").unwrap_or("");
        if hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Ok(text.to_owned());
        }
        let message = format!("`{}` is not a digest", text.escape_debug());
        Err(Complaint::new(message).help("it is `sha256:` and 64 lower-case hexadecimal digits".to_owned()))
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

//! What an image is called.

use serde_json::{Value as Json, json};

use crate::decode::{Accepts, Scalar};
use crate::expr::Complaint;

/// `[HOST[:PORT]/]NAME[:TAG]`; with the tag `latest` where none is given.
///
/// Source: OCI distribution-spec, "Pulling manifests"; the grammar of the `distribution/reference` package, by which
/// Docker refuses names.
pub(crate) struct ImageName;

/// The most characters of a name without its tag, and of a tag.
const LONGEST: usize = 255;
const LONGEST_TAG: usize = 128;

impl Scalar for ImageName {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "the name of an image, such as `app:1`";

    fn parse(text: &str) -> Result<String, Complaint> {
        let wrong = |help: &str| {
            let complaint = Complaint::new(format!("`{}` is no name for an image", text.escape_debug()));
            Err(complaint.help(help.to_owned()))
        };
        if text.contains('@') {
            return wrong("leave out the digest: it is what is in the image that decides about it");
        }
        let last = text.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match text[last..].find(':') {
            Some(colon) => (&text[..last + colon], Some(&text[last + colon + 1..])),
            None => (text, None),
        };
        if name.chars().any(char::is_uppercase) {
            return wrong("names are in lower case; only a tag may have capital letters");
        }
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (Some(host), path),
            _ => (None, name),
        };
        let good = name.len() <= LONGEST
            && host.is_none_or(is_host)
            && path.split('/').all(is_component)
            && tag.is_none_or(is_tag);
        if !good {
            return wrong(
                "write [HOST[:PORT]/]NAME[:TAG], such as `app:1` or `registry.example/team/app:1.2`",
            );
        }
        Ok(format!("{name}:{}", tag.unwrap_or("latest")))
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

fn is_host(host: &str) -> bool {
    let (labels, port) = host.split_once(':').map_or((host, None), |(labels, port)| (labels, Some(port)));
    let is_label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && inside && !label.starts_with('-') && !label.ends_with('-')
    };
    labels.split('.').all(is_label) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Letters and digits, with a dot, one or two `_`, or any number of `-` between them.
fn is_component(component: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let between = component.split(|sign: char| sign.is_ascii() && is_word(sign as u8));
    let mut signs = between.filter(|sign| !sign.is_empty());
    let ends = |byte: Option<u8>| byte.is_some_and(is_word);
    ends(component.bytes().next())
        && ends(component.bytes().last())
        && signs.all(|sign| matches!(sign, "." | "_" | "__") || sign.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= LONGEST_TAG
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|byte| is_word(byte) || matches!(byte, b'.' | b'-'))
}

#[test]
fn names_are_those_that_docker_takes() {
    for (text, expected) in [
        ("app", "app:latest"),
        ("app:1", "app:1"),
        ("team/app:V1.2-rc_3", "team/app:V1.2-rc_3"),
        ("localhost/a__b", "localhost/a__b:latest"),
        ("registry.example:5000/a.b/c--d:x", "registry.example:5000/a.b/c--d:x"),
    ] {
        assert_eq!(ImageName::parse(text).ok().as_deref(), Some(expected), "{text}");
    }
    let digest = format!("app@sha256:{}", "0".repeat(64));
    for text in [
        "",
        "App",
        "app:",
        ":1",
        "app:-x",
        "a//b",
        "/a",
        "a/",
        "a..b",
        "a___b",
        "_a",
        "a-",
        "a b",
        "a:1:2",
        "é",
        "-x.example/a",
        "host:99999/a",
        "app:a/b",
        &digest,
        &format!("app:{}", "t".repeat(129)),
        &"a".repeat(256),
    ] {
        assert!(ImageName::parse(text).is_err(), "{text}");
    }
}

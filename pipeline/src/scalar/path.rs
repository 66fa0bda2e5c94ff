//! Paths, always with `/`, whatever machine reads the file.

use serde_json::{Value as Json, json};

use crate::decode::{Accepts, Scalar};
use crate::expr::Complaint;

/// The longest path that Linux takes.
const LONGEST: usize = 4096;

/// A path below some directory, normalised: without `.` and without a `/` at its end; empty for the directory
/// itself.
pub(crate) struct RelativePath;

impl Scalar for RelativePath {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Numbers;
    const EXPECTED: &'static str = "a path";

    fn parse(text: &str) -> Result<String, Complaint> {
        if text.starts_with('/') {
            let rest = text.strip_prefix("/workspace/").unwrap_or(text).trim_start_matches('/');
            return Err(Complaint::new(format!("`{text}` is absolute; this path must be relative"))
                .help((!rest.is_empty()).then(|| format!("write `{rest}`"))));
        }
        normalise(text)
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[^/]" })
    }
}

/// A path from the root.
pub(crate) struct AbsolutePath;

impl Scalar for AbsolutePath {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "an absolute path";

    fn parse(text: &str) -> Result<String, Complaint> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(Complaint::new(format!("`{text}` is relative; this path must begin with `/`")));
        };
        match normalise(rest)?.as_str() {
            "" => Err(Complaint::new("the root itself cannot be meant")),
            path => Ok(format!("/{path}")),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^/" })
    }
}

/// A relative path without `.`, refusing what leaves its directory or cannot be a path.
pub(crate) fn normalise(text: &str) -> Result<String, Complaint> {
    let complain = |what: &str| Complaint::new(format!("`{}` {what}", text.escape_debug()));
    if text.is_empty() {
        return Err(Complaint::new("the path is empty").help("write `.` for the directory itself".to_owned()));
    }
    if text.len() > LONGEST {
        return Err(Complaint::new(format!("the path is longer than {LONGEST} bytes")));
    }
    if text.contains('\0') {
        return Err(complain("has a NUL character in it"));
    }
    let mut path = String::with_capacity(text.len());
    for segment in text.strip_suffix('/').unwrap_or(text).split('/') {
        match segment {
            "" => return Err(complain("has an empty part in it").help("write one `/` at a time".to_owned())),
            "." => {}
            ".." => return Err(complain("leaves the directory it is in").help("use no `..`".to_owned())),
            _ if segment.len() > 255 => return Err(complain("has a part longer than 255 bytes")),
            _ => {
                if !path.is_empty() {
                    path.push('/');
                }
                path.push_str(segment);
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises() {
        for (text, path) in
            [(".", ""), ("./", ""), ("a", "a"), ("./a/./b/", "a/b"), ("...", "..."), ("a b", "a b")]
        {
            assert_eq!(RelativePath::parse(text).unwrap(), path, "{text}");
        }
        for text in ["", "/", "/a", "a//b", "..", "a/../b", "a\0", "//"] {
            assert!(RelativePath::parse(text).is_err(), "{text}");
        }
        assert_eq!(AbsolutePath::parse("/root/.cargo/").unwrap(), "/root/.cargo");
        for text in ["", "a", "/", "/..", "/a/../b"] {
            assert!(AbsolutePath::parse(text).is_err(), "{text}");
        }
    }
}

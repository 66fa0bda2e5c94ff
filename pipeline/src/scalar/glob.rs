//! Globs, and strings that are a path or a glob.

use globset::GlobBuilder;
use serde_json::{Value as Json, json};

use super::path::RelativePath;
use crate::decode::{Accepts, Scalar};
use crate::expr::Complaint;

/// A glob as in a `.gitignore`, for what of a source to take: `docs/`, `**/*.rs`.
pub(crate) struct Glob;

impl Scalar for Glob {
    type Value = String;
    const ACCEPTS: Accepts = Accepts::Text;
    const EXPECTED: &'static str = "a glob";

    fn parse(text: &str) -> Result<String, Complaint> {
        check(text.strip_prefix('/').unwrap_or(text), text)?;
        Ok(text.to_owned())
    }

    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

/// The word for a step's root directory among its outputs. A file of that name is `./rootfs`.
pub(crate) const ROOTFS: &str = "rootfs";

/// What an output or a report is: a path, or a glob where it has one of `*?[{`.
pub(crate) struct PathOrGlob;

/// The value of a [`PathOrGlob`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Pattern {
    /// Normalised, not empty.
    Path(String),
    /// As written.
    Glob(String),
    /// [`ROOTFS`].
    Root,
}

impl Scalar for PathOrGlob {
    type Value = Pattern;
    const ACCEPTS: Accepts = Accepts::Numbers;
    const EXPECTED: &'static str = "a path or a glob";

    fn parse(text: &str) -> Result<Pattern, Complaint> {
        if text.contains(['*', '?', '[', '{']) {
            if text.starts_with('/') {
                RelativePath::parse(text)?;
            }
            check(text, text)?;
            return Ok(Pattern::Glob(text.strip_prefix("./").unwrap_or(text).to_owned()));
        }
        if text == ROOTFS {
            return Ok(Pattern::Root);
        }
        match RelativePath::parse(text)? {
            path if path.is_empty() => Err(Complaint::new("the whole workspace is no output")
                .help("name a file or a directory in it, or write `**` for all of it".to_owned())),
            path => Ok(Pattern::Path(path)),
        }
    }

    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^[^/]" })
    }
}

fn check(glob: &str, written: &str) -> Result<(), Complaint> {
    let complain = |what: String| Complaint::new(format!("`{}` {what}", written.escape_debug()));
    if glob.is_empty() {
        return Err(Complaint::new("the glob is empty").help("write `**` for everything".to_owned()));
    }
    if glob.split('/').any(|segment| segment == "..") {
        return Err(complain("leaves the directory it is in".to_owned()).help("use no `..`".to_owned()));
    }
    if glob.contains('\0') {
        return Err(complain("has a NUL character in it".to_owned()));
    }
    match GlobBuilder::new(glob).literal_separator(true).build() {
        Ok(_) => Ok(()),
        Err(error) => Err(complain(format!("is not a valid glob: {}", error.kind()))),
    }
}

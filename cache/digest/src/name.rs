//! The name of one entry of a directory.

use std::fmt;
use std::ops::Deref;

/// A file, directory or symlink name that is a single, harmless path segment: not empty, not `.` or `..`, with
/// no `/` and no NUL. A name with a newline or any other UTF-8 character is allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeName(Box<str>);

/// Why a text is not the name of a directory entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be the name of a file: it is empty, '.', '..', or contains '/' or NUL")]
pub struct NameError(pub String);

impl NodeName {
    /// Checks `name` and keeps it.
    pub fn new(name: impl Into<Box<str>>) -> Result<Self, NameError> {
        let name = name.into();
        let harmless = !name.is_empty() && &*name != "." && &*name != ".." && !name.contains(['/', '\0']);
        if harmless { Ok(Self(name)) } else { Err(NameError(name.into())) }
    }
}

impl Deref for NodeName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

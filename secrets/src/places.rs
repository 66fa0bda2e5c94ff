//! Values in variables and files.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::path::Path;

use zeroize::Zeroizing;

use crate::{MOST_BYTES, SecretError, SecretValue};

/// The value of a variable, of which `variable` is what the environment has.
///
/// # Errors
/// It is not set, or is no value.
pub fn read_env(name: &str, variable: Option<OsString>) -> Result<SecretValue, SecretError> {
    let Some(value) = variable else {
        return Err(SecretError::Missing(format!("the environment variable {name} is not set")));
    };
    SecretError::value(format!("the environment variable {name}"), value.into_vec())
}

/// The value in a file, exactly as it is there.
///
/// # Errors
/// It cannot be read, is no file, or has no value.
pub fn read_file(path: &Path) -> Result<SecretValue, SecretError> {
    let place = format!("the file {}", path.display());
    let missing =
        |why: &dyn std::fmt::Display| SecretError::Missing(format!("{place} cannot be read: {why}"));
    let found = std::fs::metadata(path).map_err(|error| missing(&error))?;
    if !found.is_file() {
        return Err(missing(&"it is no regular file"));
    }
    // Of the full size at once, so that growing leaves no copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST_BYTES + 1));
    let file = File::open(path).map_err(|error| missing(&error))?;
    file.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(|error| missing(&error))?;
    SecretError::value(place.clone(), std::mem::take(&mut *bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let said = |result: Result<SecretValue, SecretError>| result.unwrap_err().to_string();
        assert!(
            said(read_file(&path)).ends_with("key cannot be read: No such file or directory (os error 2)")
        );
        assert!(said(read_file(dir.path())).ends_with("cannot be read: it is no regular file"));
        std::fs::write(&path, "x").unwrap();
        assert!(said(read_file(&path)).contains("key: it has fewer than 4 bytes"));
        std::fs::write(&path, vec![b'x'; MOST_BYTES + 1]).unwrap();
        assert!(said(read_file(&path)).contains("key: it has more than 65536 bytes"));
        std::fs::write(&path, "with its end\n").unwrap();
        assert_eq!(read_file(&path).unwrap().expose(), b"with its end\n");
        assert_eq!(said(read_env("A", None)), "the environment variable A is not set");
        assert_eq!(said(read_env("A", Some("".into()))), "the environment variable A: it is empty");
        assert_eq!(read_env("A", Some("value".into())).unwrap().expose(), b"value");
    }
}

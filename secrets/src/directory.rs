//! A directory with one file for each secret, as Kubernetes and Docker mount them.

use std::path::{Path, PathBuf};

use crate::{SecretError, SecretValue, read_file};

/// See the module. Files are read when they are asked for, so that one that was exchanged is the new one.
#[derive(Debug, Clone)]
pub struct SecretDir(PathBuf);

impl SecretDir {
    /// The directory at a path.
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The value of this name, if there is a file.
    ///
    /// # Errors
    /// The file cannot be read or has no value.
    pub fn get(&self, name: &str) -> Result<Option<SecretValue>, SecretError> {
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if name.is_empty() || !word {
            return Ok(None);
        }
        let path = self.0.join(name);
        // A link that leads nowhere is something else than none.
        match path.symlink_metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => read_file(&path).map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_files_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("TOKEN"), "value").unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let secrets = SecretDir::new(dir.path().join("sub"));
        assert!(secrets.get("TOKEN").unwrap().is_none());
        assert!(secrets.get("../TOKEN").unwrap().is_none());
        let secrets = SecretDir::new(dir.path().to_owned());
        assert_eq!(secrets.get("TOKEN").unwrap().unwrap().expose(), b"value");
        assert!(secrets.get("sub").is_err());
        assert!(secrets.get("").unwrap().is_none());
    }
}

//! What stands for a value in keys, where a pipeline asks for that.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::SecretValue;
use crate::forms::hex;

/// What makes identities of one place useless in another: without it, whoever sees a key could try passwords.
#[derive(Clone)]
pub struct Salt(Zeroizing<[u8; 32]>);

/// The salt can be neither read nor made.
#[derive(Debug, thiserror::Error)]
#[error("cannot use the salt of secrets' identities, {}", .path.display())]
pub struct SaltError {
    /// Its file.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl Salt {
    /// The one in the file, which is made where it is missing, readable for its owner only.
    ///
    /// # Errors
    /// It cannot be read, has not 32 bytes, or others can read it.
    pub fn of(path: &Path) -> Result<Self, SaltError> {
        let wrong = |source| SaltError { path: path.to_owned(), source };
        match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path).map_err(wrong)?,
            found => return found.map_err(wrong),
        }
        // Whoever made it first, it is the same for all.
        read(path).map_err(wrong)
    }

    /// The identity of a value, 32 hexadecimal digits.
    #[must_use]
    pub fn identity(&self, name: &str, value: &SecretValue) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(b"cullet secret identity v1\0");
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes());
        hasher.update(value.expose());
        hex(&hasher.finalize().as_bytes()[..16])
    }
}

fn read(path: &Path) -> io::Result<Salt> {
    use std::os::unix::fs::MetadataExt as _;
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        let problem = "others than its owner may read it: chmod 600";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(33));
    file.take(33).read_to_end(&mut bytes)?;
    let salt: [u8; 32] = bytes.as_slice().try_into().map_err(|_| {
        io::Error::new(io::ErrorKind::InvalidData, "it has not 32 bytes: remove it to have a new one")
    })?;
    Ok(Salt(Zeroizing::new(salt)))
}

/// Under its name only when it is whole.
fn make(path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let mut salt = Zeroizing::new([0; 32]);
    File::open("/dev/urandom")?.read_exact(&mut *salt)?;
    let fresh = parent.join(format!(".salt-{}-{:016x}", std::process::id(), fastrand::u64(..)));
    let made = (|| {
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&*salt)?;
        file.sync_all()?;
        match fs::hard_link(&fresh, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        }
    })();
    let _ = fs::remove_file(&fresh);
    made
}

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(***)")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn identities_differ_by_value_name_and_salt() {
        let dir = tempfile::tempdir().unwrap();
        let salt = Salt::of(&dir.path().join("new/salt")).unwrap();
        let other = Salt::of(&dir.path().join("other")).unwrap();
        let [one, two] = ["value-1", "value-2"].map(|text| SecretValue::new(text.into()).unwrap());
        let all = [
            salt.identity("A", &one),
            salt.identity("A", &two),
            salt.identity("B", &one),
            other.identity("A", &one),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!((distinct.len(), all[0].len()), (4, 32));
        let again = Salt::of(&dir.path().join("new/salt")).unwrap();
        assert_eq!(again.identity("A", &one), all[0]);
        assert_eq!(fs::read_dir(dir.path().join("new")).unwrap().count(), 1);
    }

    #[test]
    fn a_salt_that_others_read_or_that_is_cut_off_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("salt");
        fs::write(&path, [1; 31]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert!(Salt::of(&path).unwrap_err().source.to_string().contains("32 bytes"));
        fs::write(&path, [1; 32]).unwrap();
        assert!(Salt::of(&path).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(Salt::of(&path).unwrap_err().source.to_string().contains("chmod 600"));
    }
}

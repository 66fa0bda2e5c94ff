//! The key that signs the journal of this machine.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cullet_cache::{PublicKey, SigningKey};

use super::files;
use super::journal::JournalError;
use crate::config::GlassSettings;

/// The name of a key that is made here.
const NAME: &str = "key.pem";

/// What comes before the 32 bytes of a key in PKCS #8 (RFC 8410, section 10.3).
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The key in a file, or else that of this machine in the directory of its journal, which is made if there is none. Whoever
/// calls this has the journal's lock.
///
/// # Errors
/// A file has no key, or none can be made.
pub(super) fn of(dir: &Path, configured: Option<&Path>) -> Result<SigningKey, JournalError> {
    if let Some(path) = configured {
        return Ok(SigningKey::read(path)?);
    }
    let path = dir.join(NAME);
    match SigningKey::read(&path) {
        Err(error) if !path.exists() => {
            tracing::debug!(%error, "a key is made");
            make(&path)?;
            Ok(SigningKey::read(&path)?)
        }
        read => Ok(read?),
    }
}

/// The keys that may have signed the journal of this machine: the one that is configured, and the one that was made here.
///
/// # Errors
/// One of them cannot be read.
pub(crate) fn known(settings: &GlassSettings) -> Result<BTreeSet<PublicKey>, JournalError> {
    let made = Some(settings.dir.join(NAME)).filter(|path| path.exists());
    let keys = settings.signing_key.iter().cloned().chain(made).map(|path| SigningKey::read(&path));
    Ok(keys.map(|key| key.map(|key| key.public())).collect::<Result<_, _>>()?)
}

fn make(path: &Path) -> Result<(), JournalError> {
    let made = || {
        let der = [&PKCS8[..], &files::secret_bytes()?].concat();
        let text =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der));
        files::replace(path, text.as_bytes())
    };
    made().map_err(|error| JournalError::io("make", path, error))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let key = of(dir.path(), None).unwrap();
        assert_eq!(of(dir.path(), None).unwrap().public(), key.public());
        let mode = fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(of(other.path(), None).unwrap().public(), key.public());
        // One that is there and cannot be read is no reason to make another.
        fs::write(dir.path().join(NAME), "x").unwrap();
        assert!(of(dir.path(), None).is_err());
    }
}

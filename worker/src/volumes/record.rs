//! What the current version of a volume is made of.

use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::VolumeError;

/// A version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The lowest first; at least one.
    pub(super) layers: Vec<Layer>,
    /// When the machine was started that made it. Its files may have been lost with the power that time, unless they are
    /// known to be on the disk.
    pub(super) boot: String,
    /// Whether all of it is known to be on the disk.
    pub(super) synced: bool,
}

/// A directory among the volume's layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    pub(super) name: String,
    /// What it takes of the disk by itself.
    pub(super) bytes: u64,
}

impl Record {
    /// What it takes of the disk. Files that an upper layer hides count until the layers are made one.
    pub(super) fn bytes(&self) -> u64 {
        self.layers.iter().map(|layer| layer.bytes).sum()
    }
}

/// What tells one start of the machine from the next; empty where the kernel does not say.
pub(super) fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Reads a file that [`write`] wrote; none where there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, VolumeError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        bytes => bytes.map_err(VolumeError::io("read", path))?,
    };
    let damaged = || VolumeError::Damaged(path.to_owned());
    let end = bytes.iter().position(|&byte| byte == b'\n').ok_or_else(damaged)?;
    let (hash, body) = (&bytes[..end], &bytes[end + 1..]);
    if hash != hash_of(body).as_bytes() {
        return Err(damaged());
    }
    postcard::from_bytes(body).map(Some).map_err(|_| damaged())
}

/// Puts `value` in the place of the file at `path`, whole or not at all.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), VolumeError> {
    let failed = |path: &PathBuf| VolumeError::io("write", path);
    let draft = path.with_extension("new");
    let body = postcard::to_stdvec(value).map_err(|error| VolumeError::Io {
        action: "write",
        path: path.to_owned(),
        source: std::io::Error::other(error),
    })?;
    let mut file = File::create(&draft).map_err(failed(&draft))?;
    let text = [hash_of(&body).as_bytes(), b"\n", &body].concat();
    file.write_all(&text).map_err(failed(&draft))?;
    // A rename may reach the disk before what it renames; after a power cut the hash tells.
    fs::rename(&draft, path).map_err(VolumeError::io("replace", path))
}

/// Of bytes, as text.
pub(crate) fn hash_of(bytes: &[u8]) -> String {
    DigestFunction::Blake3.digest(bytes).hash_hex().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("current");
        assert_eq!(read::<Record>(&path).unwrap(), None);
        let layers = vec![Layer { name: "a".to_owned(), bytes: 3 }, Layer { name: "b".to_owned(), bytes: 4 }];
        let record = Record { layers, boot: boot(), synced: false };
        write(&path, &record).unwrap();
        assert_eq!((read(&path).unwrap(), record.bytes()), (Some(record), 7));
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(matches!(read::<Record>(&path), Err(VolumeError::Damaged(_))), "{length}");
        }
        let mut other = bytes;
        *other.last_mut().unwrap() ^= 1;
        fs::write(&path, other).unwrap();
        assert!(matches!(read::<Record>(&path), Err(VolumeError::Damaged(_))));
    }
}

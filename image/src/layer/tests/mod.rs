//! Layers crafted by hand.

mod capture;
mod compare;
mod engine;
mod hostile;
mod limits;
mod mounted;
mod ordinary;
mod round_trip;
mod whiteouts;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use tempfile::TempDir;

use super::compression::Encoder;
use super::*;
use crate::tarball::{Entry, Kind, TarWriter, Time};

/// An archive in the making.
pub(super) struct Archive(TarWriter<Vec<u8>>);

pub(super) const MTIME: i64 = 1_600_000_000;

pub(super) fn entry(path: impl AsRef<[u8]>, kind: Kind) -> Entry {
    let mode = if kind == Kind::Directory { 0o755 } else { 0o644 };
    let mtime = Time { seconds: MTIME, nanos: 0 };
    let path = path.as_ref().to_vec();
    Entry { path, link: Vec::new(), kind, size: 0, mode, uid: 0, gid: 0, mtime, xattrs: Vec::new() }
}

impl Archive {
    pub(super) fn new() -> Self {
        Self(TarWriter::new(Vec::new()))
    }

    pub(super) fn with(mut self, entry: Entry, bytes: &[u8]) -> Self {
        self.0.whole(&Entry { size: bytes.len() as u64, ..entry }, bytes).unwrap();
        self
    }

    pub(super) fn file(self, path: impl AsRef<[u8]>, bytes: &str) -> Self {
        self.with(entry(path, Kind::File), bytes.as_bytes())
    }

    pub(super) fn dir(self, path: impl AsRef<[u8]>) -> Self {
        self.with(entry(path, Kind::Directory), b"")
    }

    pub(super) fn symlink(self, path: &str, to: &str) -> Self {
        self.with(Entry { link: to.into(), ..entry(path, Kind::Symlink) }, b"")
    }

    pub(super) fn hard_link(self, path: &str, to: &str) -> Self {
        self.with(Entry { link: to.into(), ..entry(path, Kind::HardLink) }, b"")
    }

    /// Bytes as they are: headers that the writer would not write.
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.write(bytes).unwrap();
        self
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0.finish().unwrap()
    }

    pub(super) fn unpack(self) -> Result<(TempDir, Unpacked), LayerError> {
        unpack(&self.bytes(), &UnpackOptions::for_this_user())
    }

    /// Unpacks what has to be refused; why it was. Nothing may have come to be beside the layer's directory.
    #[track_caller]
    pub(super) fn refused(self) -> LayerError {
        let place = tempfile::tempdir().unwrap();
        let into = place.path().join("layer");
        std::fs::create_dir(&into).unwrap();
        let bytes = self.bytes();
        let options = UnpackOptions::for_this_user();
        let result = unpack_layer(&bytes[..], &into, &id(&bytes, &bytes), &options, &AtomicBool::new(false));
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "written beside the layer");
        result.expect_err("was not refused")
    }
}

/// What describes a layer truthfully.
pub(super) fn id(stored: &[u8], content: &[u8]) -> LayerId {
    LayerId { digest: Digest::of(stored), size: stored.len() as u64, diff_id: Digest::of(content) }
}

pub(super) fn unpack(bytes: &[u8], options: &UnpackOptions) -> Result<(TempDir, Unpacked), LayerError> {
    unpack_as(bytes, &id(bytes, bytes), options)
}

pub(super) fn unpack_as(
    stored: &[u8],
    id: &LayerId,
    options: &UnpackOptions,
) -> Result<(TempDir, Unpacked), LayerError> {
    let dir = tempfile::tempdir().unwrap();
    let unpacked = unpack_layer(stored, dir.path(), id, options, &AtomicBool::new(false))?;
    Ok((dir, unpacked))
}

pub(super) fn compressed(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(compression, Vec::new()).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn read(dir: &TempDir, path: &str) -> String {
    std::fs::read_to_string(dir.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// An extended attribute, if it is there.
pub(super) fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = [0; 256];
    let length = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    Some(value[..length].to_vec())
}

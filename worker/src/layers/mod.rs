//! The workspace after a step: what an overlay's layers show when they are looked at together.
//!
//! The overlay itself is gone by then, and mounting it again needs privileges; reading the layers needs none.
//! The rules are those of the kernel's overlayfs documentation (whiteouts, opaque directories).

mod beneath;
mod entry;
mod merge;
mod paths;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

pub(crate) use beneath::{open_dir, open_dir_unlocking, proc_path};
pub(crate) use entry::{Entry, FileEntry, LayerSet};
pub(crate) use paths::{Place, Places, join};

/// What a directory holds, by name.
pub(crate) type Entries = Vec<(Vec<u8>, Entry)>;

/// The merged view. Nothing changes below it while it is used.
#[derive(Debug)]
pub(crate) struct Workspace {
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    root: OwnedFd,
    /// The shared input root: never written to, and readable throughout.
    shared: bool,
}

/// What one layer has at a name.
enum Raw {
    Whiteout,
    Directory { opaque: bool },
    Other(Entry),
}

impl Workspace {
    /// Opens the layers, uppermost first. `inputs` is the one among them that is shared with other steps.
    pub(crate) fn open(layers: &[PathBuf], inputs: &Path) -> io::Result<Self> {
        if layers.is_empty() || layers.len() > LayerSet::MAX {
            return Err(io::Error::other("a workspace has between 1 and 64 layers"));
        }
        let open = |path: &PathBuf| {
            let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
            let root = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
            io::Result::Ok(Layer { root, shared: path == inputs })
        };
        Ok(Self { layers: layers.iter().map(open).collect::<Result<_, _>>()? })
    }

    /// The layers of the root directory.
    pub(crate) fn root(&self) -> LayerSet {
        LayerSet::first(self.layers.len())
    }

    /// The layer that is the shared input root, if one is.
    pub(crate) fn shared_layer(&self) -> Option<usize> {
        self.layers.iter().position(|layer| layer.shared)
    }

    /// Opens the part that `layer` has in the directory at `path`.
    pub(crate) fn open_dir(&self, layer: usize, path: &[u8]) -> io::Result<OwnedFd> {
        let layer = &self.layers[layer];
        match layer.shared {
            true => open_dir(layer.root.as_fd(), path),
            false => beneath::open_dir_unlocking(layer.root.as_fd(), path),
        }
    }

    /// What is at `name` in the directory at `dir`, which has parts in `layers`.
    pub(crate) fn entry(&self, dir: &[u8], layers: LayerSet, name: &[u8]) -> io::Result<Option<Entry>> {
        let mut merged = merge::Slot::default();
        for layer in layers.iter() {
            let part = self.open_dir(layer, dir)?;
            let stat = match rustix::fs::statat(&part, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(rustix::io::Errno::NOENT) => continue,
                stat => stat?,
            };
            merged.add(layer, self.raw(layer, layers, &part, name, &stat)?);
            if !merged.goes_on() {
                break;
            }
        }
        Ok(merged.finish())
    }

    /// Everything in the directory at `dir`, which has parts in `layers`, sorted by name. None where the step
    /// made more than `most` of it: as many names as somebody likes would need as much memory.
    pub(crate) fn list(&self, dir: &[u8], layers: LayerSet, most: u64) -> io::Result<Option<Entries>> {
        let (mut merged, mut made) = (merge::Listing::default(), 0);
        for layer in layers.iter() {
            let part = self.open_dir(layer, dir)?;
            for found in Dir::read_from(&part)? {
                let found = found?;
                let name = found.file_name().to_bytes();
                if name == b"." || name == b".." || !merged.wants(name) {
                    continue;
                }
                let stat = rustix::fs::statat(&part, name, AtFlags::SYMLINK_NOFOLLOW)?;
                let more = merged.add(name, layer, self.raw(layer, layers, &part, name, &stat)?);
                made += u64::from(more && !self.layers[layer].shared);
                if made > most {
                    return Ok(None);
                }
            }
        }
        Ok(Some(merged.finish()))
    }

    fn raw(
        &self,
        layer: usize,
        layers: LayerSet,
        part: &OwnedFd,
        name: &[u8],
        stat: &Stat,
    ) -> io::Result<Raw> {
        let covers = layers.any_below(layer);
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Raw::Directory { opaque: covers && self.is_opaque(part, name)? },
            FileType::CharacterDevice if stat.st_rdev == 0 => Raw::Whiteout,
            FileType::RegularFile if covers && stat.st_size == 0 && is_whiteout(part, name) => Raw::Whiteout,
            FileType::RegularFile => Raw::Other(Entry::File(FileEntry::new(layer, stat))),
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(part, name, Vec::new())?;
                Raw::Other(Entry::Symlink(target.into_bytes()))
            }
            kind => Raw::Other(Entry::Special(entry::special(kind))),
        })
    }

    fn is_opaque(&self, part: &OwnedFd, name: &[u8]) -> io::Result<bool> {
        let dir = beneath::open_dir_unlocking(part.as_fd(), name)?;
        let mut value = [0; 2];
        let mut says_yes = |attribute: &str| {
            matches!(rustix::fs::fgetxattr(&dir, attribute, &mut value), Ok(1)) && value[0] == b'y'
        };
        // Which of the two is used depends on whether the overlay was mounted with `userxattr`.
        Ok(says_yes("user.overlay.opaque") || says_yes("trusted.overlay.opaque"))
    }
}

/// Whether an empty file is a whiteout by attribute.
fn is_whiteout(part: &OwnedFd, name: &[u8]) -> bool {
    let path = proc_path(part.as_fd(), name);
    let has = |attribute: &str| rustix::fs::lgetxattr(&path, attribute, &mut [0_u8; 8]).is_ok();
    has("user.overlay.whiteout") || has("trusted.overlay.whiteout")
}

#[cfg(test)]
mod tests;

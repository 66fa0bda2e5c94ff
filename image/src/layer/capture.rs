//! What a process left of its root directory, as a layer: the upper directory of an overlay that was mounted with
//! other owners than the image has.

use std::fmt;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Mode, Stat};

use super::path::LayerPath;
use super::{Compression, Devices, LayerError, Limits, Notes, Owners, WriteOptions};
use crate::tarball::Xattrs;

/// User and group of the image for those that a file has on this machine.
pub type OwnersOf<'a> = &'a (dyn Fn(u32, u32) -> (u32, u32) + Sync);

/// How an upper directory becomes a layer.
#[derive(Clone, Copy)]
pub struct Capture<'a> {
    /// Whose the files are in the image.
    pub owners: OwnersOf<'a>,
    /// Paths that are left out, with all that is below them, such as places that something was mounted on.
    pub without: &'a [&'a str],
    /// The time of every entry, in seconds since 1970.
    pub mtime_s: u32,
    /// What is written can be unpacked within these.
    pub limits: Limits,
}

impl fmt::Debug for Capture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture").field("without", &self.without).finish_non_exhaustive()
    }
}

/// Writes what was changed as an uncompressed layer, the same for the same changes whoever mounted the overlay. Devices,
/// named pipes and sockets are left out, and counted. Files that their owner may not read are made readable: nobody may use the
/// directory for anything else. Blocking.
///
/// # Errors
/// [`LayerError::Limit`] and [`LayerError::Entry`] for what no layer can hold, [`LayerError::Io`] for everything else.
pub fn capture_layer(dir: &Path, to: impl Write, capture: &Capture<'_>) -> Result<Notes, LayerError> {
    let options = WriteOptions {
        compression: Compression::None,
        mtime_s: capture.mtime_s,
        owners: Owners::Kept,
        devices: Devices::Skip,
    };
    let (mut to, notes) = super::write::write_content(dir, to, &options, Some(capture))?;
    to.flush().map_err(|error| LayerError::io("write the layer of", dir, error))?;
    Ok(notes)
}

/// What was written so far, against the limits.
#[derive(Debug, Default)]
pub(super) struct Size {
    bytes: u64,
    entries: u64,
}

/// A tar block, of which every entry has one, and some two more for what has no room in it.
const HEADER: u64 = 512;
const HEADERS: u64 = 2;

impl Size {
    /// Counts an entry with content of this many bytes.
    pub(super) fn add(&mut self, limits: &Limits, content: u64) -> Result<(), LayerError> {
        if content > limits.file_bytes {
            return Err(LayerError::Limit { what: "bytes in one file", limit: limits.file_bytes });
        }
        self.entries += HEADERS;
        self.bytes += content.next_multiple_of(HEADER) + HEADERS * HEADER;
        if self.entries > limits.entries {
            return Err(LayerError::Limit { what: "entries", limit: limits.entries / HEADERS });
        }
        if self.bytes > limits.unpacked_bytes {
            return Err(LayerError::Limit { what: "bytes", limit: limits.unpacked_bytes });
        }
        Ok(())
    }
}

impl Capture<'_> {
    /// Whether the entry at this path is none of the image's.
    pub(super) fn leaves_out(&self, path: &LayerPath) -> bool {
        self.without.iter().any(|other| other.as_bytes() == path.bytes())
    }

    /// Attributes as they are in the image: those that name owners name those of the machine.
    pub(super) fn attributes(&self, xattrs: &mut Xattrs) {
        for (name, value) in xattrs {
            match &name[..] {
                b"security.capability" => self.capability(value),
                b"system.posix_acl_access" | b"system.posix_acl_default" => self.acl(value),
                _ => {}
            }
        }
    }

    /// Capabilities of a file that hold in one user namespace become those that hold in the image, where it was the
    /// image's root who gave them.
    ///
    /// Source: Linux, `include/uapi/linux/capability.h`, `struct vfs_ns_cap_data`.
    fn capability(&self, value: &mut Vec<u8>) {
        let word = |value: &[u8], at: usize| {
            value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
        };
        let (Some(magic), Some(root)) = (word(value, 0), word(value, CAPABILITY_V2)) else { return };
        if value.len() == CAPABILITY_V2 + 4
            && magic & REVISION_MASK == REVISION_3
            && (self.owners)(root, root).0 == 0
        {
            value.truncate(CAPABILITY_V2);
            value[..4].copy_from_slice(&(magic & !REVISION_MASK | REVISION_2).to_le_bytes());
        }
    }

    /// Source: Linux, `include/uapi/linux/posix_acl_xattr.h`.
    fn acl(&self, value: &mut [u8]) {
        for entry in value.get_mut(4..).unwrap_or_default().chunks_exact_mut(8) {
            let (tag, id) =
                (u16::from_le_bytes([entry[0], entry[1]]), [entry[4], entry[5], entry[6], entry[7]]);
            let id = u32::from_le_bytes(id);
            let inside = match tag {
                ACL_USER => (self.owners)(id, id).0,
                ACL_GROUP => (self.owners)(id, id).1,
                _ => continue,
            };
            entry[4..].copy_from_slice(&inside.to_le_bytes());
        }
    }

    /// Opens what its owner may not, by letting them.
    pub(super) fn open(
        &self,
        dir: &OwnedFd,
        name: &[u8],
        stat: &Stat,
        open: impl Fn() -> Result<OwnedFd, rustix::io::Errno>,
    ) -> Result<OwnedFd, rustix::io::Errno> {
        match open() {
            Err(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
                let own = Mode::from_raw_mode(stat.st_mode & 0o7777);
                rustix::fs::chmodat(dir, name, own | Mode::RUSR, AtFlags::empty())?;
                let opened = open()?;
                // A further name of the file has the same mode.
                rustix::fs::fchmod(opened.as_fd(), own)?;
                Ok(opened)
            }
            opened => opened,
        }
    }

    /// Lets the owner into a directory.
    pub(super) fn unlock(&self, dir: &OwnedFd, name: &[u8], stat: &Stat) -> Result<(), rustix::io::Errno> {
        let own = Mode::from_raw_mode(stat.st_mode & 0o7777);
        if own.contains(Mode::RWXU) {
            return Ok(());
        }
        rustix::fs::chmodat(dir, name, own | Mode::RWXU, AtFlags::empty())
    }
}

const REVISION_MASK: u32 = 0xff00_0000;
const REVISION_2: u32 = 0x0200_0000;
const REVISION_3: u32 = 0x0300_0000;
/// Bytes of the attribute without a root user.
const CAPABILITY_V2: usize = 20;
const ACL_USER: u16 = 0x02;
const ACL_GROUP: u16 = 0x08;

//! How much a layer may take.

use serde::{Deserialize, Serialize};

/// Bounds of one layer. Whatever exceeds one is refused when it is met, before more of the disk is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most bytes of the uncompressed archive, so that a few kilobytes cannot fill a disk.
    pub unpacked_bytes: u64,
    /// The most entries, so that they cannot use up all inodes either; headers that belong to entries count too.
    pub entries: u64,
    /// The most bytes of one file, by its header.
    pub file_bytes: u64,
    /// The most bytes of a path and of a link's target.
    pub path_bytes: usize,
}

impl Default for Limits {
    /// Well above what images in use have: CUDA and LLVM images come to 20 GiB and half a million entries. Linux
    /// knows no path of 4096 bytes.
    fn default() -> Self {
        Self { unpacked_bytes: 64 << 30, entries: 2_000_000, file_bytes: 32 << 30, path_bytes: 4095 }
    }
}

/// What to do with device files and named pipes. Neither is ever made: a step gets its devices from the sandbox, and
/// a device in a layer would be a way around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Devices {
    /// The entry is left out and counted. Base images of old distributions have a few in `/dev`, which the sandbox
    /// mounts over.
    #[default]
    Skip,
    /// The layer is refused.
    Refuse,
}

/// How a layer is marked up for overlayfs.
///
/// Source: Linux, `Documentation/filesystems/overlayfs.rst`, "whiteouts and opaque directories" and "User xattr".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OverlayForm {
    /// For a mount by real root: attributes in `trusted.overlay`, owners as the layer has them.
    Trusted,
    /// For a mount with `-o userxattr`: attributes in `user.overlay`, everything owned by whoever unpacks.
    User,
}

impl OverlayForm {
    /// The attribute of that name, with its namespace.
    pub(crate) fn attribute(self, name: &str) -> String {
        match self {
            Self::Trusted => format!("trusted.overlay.{name}"),
            Self::User => format!("user.overlay.{name}"),
        }
    }
}

/// What of a layer is not in its directory as the archive has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notes {
    /// Device files and named pipes that were left out.
    pub devices: u64,
    /// Entries that belong to whoever unpacked, because owners can only be set by root.
    pub owners: u64,
    /// Extended attributes that were left out: overlayfs' own, which a layer has no business to set, and those that
    /// the file system or the kernel refused.
    pub attributes: u64,
    /// The first few of them, for people.
    pub examples: Vec<String>,
}

/// Enough to see what kind of thing was left out.
const EXAMPLES: usize = 8;

impl Notes {
    pub(crate) fn example(&mut self, text: impl FnOnce() -> String) {
        if self.examples.len() < EXAMPLES {
            self.examples.push(text());
        }
    }
}

/// Whose the files of a layer are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owners {
    /// Those that the layer names; takes root.
    Kept,
    /// Whoever unpacks.
    Unpacker,
    /// Those that the layer names, at other numbers; takes a process that has these.
    Given(GivenOwners),
}

/// At which numbers the users and groups of a layer are. All numbers are those of the process that unpacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GivenOwners {
    /// The user of the layer that is `own`.
    pub uid: u32,
    /// The group of the layer that is `own`.
    pub gid: u32,
    /// Of one user and one group.
    pub own: u32,
    /// Where user and group 0 are; those behind them follow.
    pub block: u32,
    /// What this user and this group are on the machine itself. Layers of other ones are other layers.
    pub on_machine: (u32, u32),
}

impl GivenOwners {
    /// How many users and groups there are: as many as images have.
    const IDS: u32 = 65_536;

    /// User and group of a file; none where the layer names one that no image can have.
    pub(crate) fn of(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        let one = |id: u32, own: u32| match id {
            id if id == own => Some(self.own),
            id => (id < Self::IDS).then(|| self.block + id),
        };
        Some((one(uid, self.uid)?, one(gid, self.gid)?))
    }
}

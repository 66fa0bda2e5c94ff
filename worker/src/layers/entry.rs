//! What can stand at a name of a merged directory.

use rustix::fs::{FileType, Stat};

/// Some layers: bit n stands for the n-th from the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LayerSet(u64);

impl LayerSet {
    /// How many layers there can be. An executor returns two or three.
    pub(crate) const MAX: usize = 64;

    /// The first `count` layers.
    pub(crate) fn first(count: usize) -> Self {
        Self(if count >= Self::MAX { u64::MAX } else { (1 << count) - 1 })
    }

    /// One layer.
    pub(crate) fn only(layer: usize) -> Self {
        Self(1 << layer)
    }

    /// This and one more.
    pub(crate) fn with(self, layer: usize) -> Self {
        Self(self.0 | 1 << layer)
    }

    /// Whether `layer` is one of them.
    pub(crate) fn has(self, layer: usize) -> bool {
        self.0 >> layer & 1 == 1
    }

    /// Whether any lies below `layer`.
    pub(crate) fn any_below(self, layer: usize) -> bool {
        self.0 >> layer > 1
    }

    /// From the top.
    pub(crate) fn iter(self) -> impl Iterator<Item = usize> {
        (0..Self::MAX).filter(move |&layer| self.has(layer))
    }
}

/// One entry of the merged view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A regular file.
    File(FileEntry),
    /// A directory, with the layers that have a part in it.
    Directory(LayerSet),
    /// A symbolic link, and where it points.
    Symlink(Vec<u8>),
    /// Something that is no data, such as `a named pipe`.
    Special(&'static str),
}

/// A regular file of one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileEntry {
    /// Whose.
    pub(crate) layer: usize,
    /// In bytes.
    pub(crate) size: u64,
    /// Whether its owner may execute it.
    pub(crate) executable: bool,
    /// Its number on its filesystem; names with one number are one file.
    pub(crate) inode: u64,
    /// How many names it has, anywhere.
    pub(crate) links: u64,
}

impl FileEntry {
    /// From what the kernel says about it.
    #[allow(clippy::unnecessary_cast, reason = "the width of st_nlink differs between architectures")]
    pub(crate) fn new(layer: usize, stat: &Stat) -> Self {
        Self {
            layer,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            executable: stat.st_mode & 0o100 != 0,
            inode: stat.st_ino,
            links: stat.st_nlink as u64,
        }
    }
}

/// What a person calls a file that is no data.
pub(crate) fn special(kind: FileType) -> &'static str {
    match kind {
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "of an unknown kind",
    }
}

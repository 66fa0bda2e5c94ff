//! A scanned source.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use cullet_digest::{Digest, Directory, TreeRef};

use crate::dirs::Dirs;
use crate::node::Content;
use crate::problem::ScanWarning;

/// What a scan saw and did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanStats {
    /// Files that belong to the source.
    pub files: u64,
    /// Symbolic links.
    pub symlinks: u64,
    /// Directories, also those without a file, which are no part of the tree.
    pub directories: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files whose content was read.
    pub hashed_files: u64,
    /// Bytes that were read.
    pub hashed_bytes: u64,
    /// Directories whose digest was taken over from the last scan.
    pub reused_directories: u64,
}

/// A directory as it was when it was scanned: digests of everything, content of nothing. `Directory` messages
/// are made when somebody asks for them.
#[derive(Debug)]
pub struct SourceTree {
    root_path: PathBuf,
    dirs: Dirs,
    stats: ScanStats,
    warnings: Vec<ScanWarning>,
    /// Where each digest lies. Most runs ask for none, so they are made at the first question.
    directory_ids: OnceLock<HashMap<[u8; 32], u32>>,
    file_places: OnceLock<HashMap<[u8; 32], (u32, u32)>>,
}

/// Why a source has no such subtree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubtreeError {
    /// Nothing of that name, or only ignored or empty directories.
    #[error("'{path}' is not in the source: it does not exist, is ignored, or has no files in it")]
    NotFound {
        /// As asked for.
        path: String,
    },
    /// It is a symbolic link, or leads through one. Links are kept as links, never followed.
    #[error("'{path}' leads through the symbolic link '{link}', and links in a source are not followed")]
    Symlink {
        /// As asked for.
        path: String,
        /// The link, from the source's root.
        link: String,
    },
    /// The path is not a plain relative one.
    #[error("'{path}' is not a path inside the source: it must be relative and without '..'")]
    Path {
        /// As asked for.
        path: String,
    },
}

impl SourceTree {
    pub(crate) fn new(
        root_path: PathBuf,
        dirs: Dirs,
        mut stats: ScanStats,
        warnings: Vec<ScanWarning>,
    ) -> Self {
        for id in dirs.ids() {
            stats.directories += 1;
            for entry in dirs.listing(id).entries {
                match entry.content {
                    Content::File { size, .. } => {
                        stats.files += 1;
                        stats.bytes += size;
                    }
                    Content::Symlink { .. } => stats.symlinks += 1,
                }
            }
        }
        let (directory_ids, file_places) = (OnceLock::new(), OnceLock::new());
        Self { root_path, dirs, stats, warnings, directory_ids, file_places }
    }

    /// The digest of the root directory.
    pub fn root(&self) -> Digest {
        self.dirs.digest(0)
    }

    /// Where the tree lies, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.root_path
    }

    /// What the scan saw and did.
    pub const fn stats(&self) -> ScanStats {
        self.stats
    }

    /// What is allowed and probably not meant.
    pub fn warnings(&self) -> &[ScanWarning] {
        &self.warnings
    }

    /// The file or directory at `path`, relative to the root; empty or `.` for the root.
    pub fn subtree(&self, path: &str) -> Result<TreeRef, SubtreeError> {
        let error = || SubtreeError::NotFound { path: path.to_owned() };
        if path.starts_with('/') || path.split('/').any(|segment| segment == "..") {
            return Err(SubtreeError::Path { path: path.to_owned() });
        }
        let mut segments = path.split('/').filter(|segment| !matches!(*segment, "" | ".")).peekable();
        let mut id = 0;
        let mut above = String::new();
        while let Some(segment) = segments.next() {
            let listing = self.dirs.listing(id);
            above.push_str(segment);
            if let Some(at) = listing.subdir(segment) {
                id = self.dirs.dir(id).first_child + at as u32;
                above.push('/');
                continue;
            }
            return match listing.entry(segment).ok_or_else(error)?.content {
                Content::Symlink { .. } => Err(SubtreeError::Symlink { path: path.to_owned(), link: above }),
                Content::File { hash, size, executable } if segments.peek().is_none() => Ok(TreeRef::File {
                    digest: Digest::from_parts(self.dirs.function, hash, size),
                    executable,
                }),
                Content::File { .. } => Err(error()),
            };
        }
        let digest = self.dirs.digest(id);
        if id != 0 && digest.is_empty() { Err(error()) } else { Ok(TreeRef::Directory(digest)) }
    }

    /// The directory with that digest, if it is one of this tree.
    pub fn directory(&self, digest: &Digest) -> Option<Arc<Directory>> {
        self.dirs.directory(self.directory_id(digest)?).ok().map(Arc::new)
    }

    /// The encoded directory with that digest, if it is one of this tree.
    pub fn directory_bytes(&self, digest: &Digest) -> Option<Vec<u8>> {
        self.dirs.encode(self.directory_id(digest)?).ok()
    }

    /// Every directory of the tree once: its digest and its encoded bytes.
    pub fn directories(&self) -> impl Iterator<Item = (Digest, Vec<u8>)> {
        let ids = self.directory_ids();
        let once = self.dirs.ids().filter(|&id| ids.get(&self.dirs.dir(id).hash) == Some(&id));
        once.filter_map(|id| Some((self.dirs.digest(id), self.dirs.encode(id).ok()?)))
    }

    /// Everything that the tree is made of: its directories, and the content of its files. One that is there several
    /// times may come several times.
    pub fn digests(&self) -> impl Iterator<Item = Digest> {
        let part_of_tree = self.dirs.ids().filter(|&id| id == 0 || self.dirs.dir(id).size > 0);
        let directories = part_of_tree.map(|id| self.dirs.digest(id));
        let files = self.dirs.ids().flat_map(|id| self.dirs.listing(id).entries).filter_map(|entry| {
            let Content::File { hash, size, .. } = entry.content else { return None };
            Some(Digest::from_parts(self.dirs.function, hash, size))
        });
        directories.chain(files)
    }

    /// Where a file with that content lies, for whoever needs its bytes. The file may have changed since the
    /// scan: hash what is read.
    pub fn file(&self, digest: &Digest) -> Option<PathBuf> {
        let &(id, at) = self.file_places().get(digest.hash())?;
        let listing = self.dirs.listing(id);
        let entry = listing.entries.get(at as usize)?;
        let Content::File { size, .. } = entry.content else { return None };
        let same = digest.function() == self.dirs.function && digest.size() == size;
        same.then(|| self.root_path.join(self.dirs.path(id)).join(listing.text(entry.name)))
    }

    fn directory_id(&self, digest: &Digest) -> Option<u32> {
        let id = *self.directory_ids().get(digest.hash())?;
        (self.dirs.digest(id) == *digest).then_some(id)
    }

    fn directory_ids(&self) -> &HashMap<[u8; 32], u32> {
        self.directory_ids.get_or_init(|| {
            let part_of_tree = self.dirs.ids().filter(|&id| id == 0 || self.dirs.dir(id).size > 0);
            part_of_tree.map(|id| (self.dirs.dir(id).hash, id)).collect()
        })
    }

    fn file_places(&self) -> &HashMap<[u8; 32], (u32, u32)> {
        self.file_places.get_or_init(|| {
            let mut places = HashMap::with_capacity(self.stats.files as usize);
            for id in self.dirs.ids() {
                for (at, entry) in (0..).zip(self.dirs.listing(id).entries) {
                    if let Content::File { hash, .. } = entry.content {
                        places.insert(hash, (id, at));
                    }
                }
            }
            places
        })
    }
}

//! Input roots: named trees put together into one, reading as little as possible.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Digest, DigestFunction, Directory, DirectoryError, DirectoryNode, FileNode, NameError, NodeName,
    SymlinkNode,
};

/// What can be put at a path: a file, or a whole tree named by the digest of its root [`Directory`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TreeRef {
    /// One file.
    File {
        /// Its content.
        digest: Digest,
        /// Whether it may be executed.
        executable: bool,
    },
    /// A directory and everything below it.
    Directory(Digest),
}

impl TreeRef {
    /// The digest that names the file or the root directory.
    pub const fn digest(&self) -> Digest {
        match self {
            Self::File { digest, .. } | Self::Directory(digest) => *digest,
        }
    }
}

/// A tree and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount<'a> {
    /// Relative to the input root, `/` between segments; empty for the root itself.
    pub path: &'a str,
    /// What to put there.
    pub tree: TreeRef,
}

/// An input root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assembled {
    /// The digest of the root directory.
    pub root: Digest,
    /// The directories that did not exist before: digest and encoded bytes. Those of the mounted trees are
    /// not repeated here.
    pub directories: Vec<(Digest, Vec<u8>)>,
}

/// Why mounts do not make one tree. `E` is the error of whoever reads directories.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError<E> {
    /// Something is already there.
    #[error("two inputs meet at '{path}'")]
    Collision {
        /// The path, relative to the input root.
        path: String,
    },
    /// A mount path is not relative, or has a segment that no file can have.
    #[error("'{path}' is not a usable input path")]
    Path {
        /// The path.
        path: String,
        /// The segment that is wrong.
        source: NameError,
    },
    /// The resulting directory is not valid.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A mounted directory could not be read.
    #[error("a directory of an input could not be read")]
    Read(#[source] E),
}

/// Puts `mounts` together. A directory is read through `read` only where one mount lies inside another;
/// everywhere else its digest is enough.
pub fn assemble<E>(
    function: DigestFunction,
    mounts: &[Mount<'_>],
    read: impl FnMut(&Digest) -> Result<Arc<Directory>, E>,
) -> Result<Assembled, AssembleError<E>> {
    let mut root = Node::default();
    for mount in mounts {
        root.insert(mount)?;
    }
    let mut assembly = Assembly { function, read, made: Vec::new() };
    let root = assembly.directory(root, "")?;
    Ok(Assembled { root, directories: assembly.made })
}

/// A directory in the making: what is mounted exactly here, and what lies below.
#[derive(Default)]
struct Node {
    here: Option<TreeRef>,
    below: BTreeMap<NodeName, Node>,
}

impl Node {
    fn insert<E>(&mut self, mount: &Mount<'_>) -> Result<(), AssembleError<E>> {
        let mut node = self;
        for segment in mount.path.split('/').filter(|_| !mount.path.is_empty()) {
            let name = NodeName::new(segment)
                .map_err(|source| AssembleError::Path { path: mount.path.to_owned(), source })?;
            node = node.below.entry(name).or_default();
        }
        if node.here.replace(mount.tree).is_some() {
            return Err(AssembleError::Collision { path: mount.path.to_owned() });
        }
        Ok(())
    }
}

/// Directories being made, innermost first.
struct Assembly<R> {
    function: DigestFunction,
    read: R,
    made: Vec<(Digest, Vec<u8>)>,
}

impl<R, E> Assembly<R>
where
    R: FnMut(&Digest) -> Result<Arc<Directory>, E>,
{
    fn directory(&mut self, node: Node, path: &str) -> Result<Digest, AssembleError<E>> {
        let base = match node.here {
            Some(TreeRef::Directory(digest)) if node.below.is_empty() => return Ok(digest),
            Some(TreeRef::Directory(digest)) => (self.read)(&digest).map_err(AssembleError::Read)?,
            Some(TreeRef::File { .. }) => return Err(AssembleError::Collision { path: path.to_owned() }),
            None => Arc::default(),
        };
        let mut entries = Entries::from(&*base);
        for (name, node) in node.below {
            let path = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
            self.entry(&mut entries, name, node, &path)?;
        }
        let directory = Directory::new(entries.files, entries.directories, entries.symlinks)?;
        let bytes = directory.encode();
        let digest = self.function.digest(&bytes);
        self.made.push((digest, bytes));
        Ok(digest)
    }

    fn entry(
        &mut self,
        entries: &mut Entries,
        name: NodeName,
        mut node: Node,
        path: &str,
    ) -> Result<(), AssembleError<E>> {
        let collision = || AssembleError::Collision { path: path.to_owned() };
        let taken = entries.files.iter().any(|file| file.name == name)
            || entries.symlinks.iter().any(|link| link.name == name);
        if taken {
            return Err(collision());
        }
        if let Some(index) = entries.directories.iter().position(|directory| directory.name == name) {
            if node.here.is_some() {
                return Err(collision());
            }
            node.here = Some(TreeRef::Directory(entries.directories.swap_remove(index).digest));
        }
        if let (Some(TreeRef::File { digest, executable }), true) = (node.here, node.below.is_empty()) {
            entries.files.push(FileNode { name, digest, executable });
            return Ok(());
        }
        let digest = self.directory(node, path)?;
        entries.directories.push(DirectoryNode { name, digest });
        Ok(())
    }
}

/// The entries of a directory while mounts are added to it.
struct Entries {
    files: Vec<FileNode>,
    directories: Vec<DirectoryNode>,
    symlinks: Vec<SymlinkNode>,
}

impl From<&Directory> for Entries {
    fn from(directory: &Directory) -> Self {
        Self {
            files: directory.files().to_vec(),
            directories: directory.directories().to_vec(),
            symlinks: directory.symlinks().to_vec(),
        }
    }
}

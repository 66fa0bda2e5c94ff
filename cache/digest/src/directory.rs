//! One directory of a Merkle tree, in the canonical form of REAPI v2.

use prost::Message as _;

use crate::wire;
use crate::{Digest, DigestFunction, NameError, NodeName, ParseDigestError};

/// A file in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileNode {
    /// Its name.
    pub name: NodeName,
    /// Its content.
    pub digest: Digest,
    /// Whether it may be executed. No other mode bit is part of a tree.
    pub executable: bool,
}

/// A directory in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryNode {
    /// Its name.
    pub name: NodeName,
    /// The digest of its encoded [`Directory`].
    pub digest: Digest,
}

/// A symbolic link in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymlinkNode {
    /// Its name.
    pub name: NodeName,
    /// Where it points, uninterpreted.
    pub target: Box<str>,
}

/// The entries of one directory, sorted by name, each name once: the canonical form that REAPI v2 asks of
/// `Directory`, so equal directories have equal digests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    files: Vec<FileNode>,
    directories: Vec<DirectoryNode>,
    symlinks: Vec<SymlinkNode>,
}

/// Why a directory is not canonical.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// Two entries have one name.
    #[error("two entries of one directory are named {0:?}")]
    Duplicate(String),
    /// The entries of a received directory are not sorted by name.
    #[error("the entries of a directory are not sorted: {0:?} comes too late")]
    Unsorted(String),
    /// An entry has a name that no file can have.
    #[error(transparent)]
    Name(#[from] NameError),
    /// An entry has no digest, or one that is not a digest.
    #[error("the entry {name:?} of a directory has no usable digest")]
    Digest {
        /// The entry.
        name: String,
        /// What is wrong with its digest; none where there was no digest.
        source: Option<ParseDigestError>,
    },
    /// A symbolic link points nowhere.
    #[error("the symbolic link {0:?} has an empty target")]
    EmptyTarget(String),
    /// The bytes are not an encoded directory.
    #[error("these bytes are not a Directory message")]
    Decode(#[from] prost::DecodeError),
}

impl Directory {
    /// Sorts the entries and checks that no name is used twice.
    pub fn new(
        mut files: Vec<FileNode>,
        mut directories: Vec<DirectoryNode>,
        mut symlinks: Vec<SymlinkNode>,
    ) -> Result<Self, DirectoryError> {
        files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        directories.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        symlinks.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let directory = Self { files, directories, symlinks };
        directory.check_unique()?;
        Ok(directory)
    }

    fn check_unique(&self) -> Result<(), DirectoryError> {
        let mut names: Vec<&str> = self.names().collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(DirectoryError::Duplicate(pair[0].to_owned())),
            None => Ok(()),
        }
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        let files = self.files.iter().map(|node| &*node.name);
        let directories = self.directories.iter().map(|node| &*node.name);
        files.chain(directories).chain(self.symlinks.iter().map(|node| &*node.name))
    }

    /// The files, sorted by name.
    pub fn files(&self) -> &[FileNode] {
        &self.files
    }

    /// The directories, sorted by name.
    pub fn directories(&self) -> &[DirectoryNode] {
        &self.directories
    }

    /// The symbolic links, sorted by name.
    pub fn symlinks(&self) -> &[SymlinkNode] {
        &self.symlinks
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        wire::Directory {
            files: self.files.iter().map(FileNode::to_wire).collect(),
            directories: self.directories.iter().map(DirectoryNode::to_wire).collect(),
            symlinks: self.symlinks.iter().map(SymlinkNode::to_wire).collect(),
        }
        .encode_to_vec()
    }

    /// Reads the bytes of a directory whose digests are of `function`, and checks that they are canonical.
    /// Fields that this version does not know (node properties among them) are ignored.
    pub fn decode(function: DigestFunction, bytes: &[u8]) -> Result<Self, DirectoryError> {
        let message = wire::Directory::decode(bytes)?;
        let files = message.files.into_iter().map(|node| FileNode::from_wire(function, node));
        let directories =
            message.directories.into_iter().map(|node| DirectoryNode::from_wire(function, node));
        let directory = Self {
            files: files.collect::<Result<_, _>>()?,
            directories: directories.collect::<Result<_, _>>()?,
            symlinks: message.symlinks.into_iter().map(SymlinkNode::from_wire).collect::<Result<_, _>>()?,
        };
        check_sorted(directory.files.iter().map(|node| &node.name))?;
        check_sorted(directory.directories.iter().map(|node| &node.name))?;
        check_sorted(directory.symlinks.iter().map(|node| &node.name))?;
        directory.check_unique()?;
        Ok(directory)
    }

    /// The digest of the canonical bytes.
    pub fn digest(&self, function: DigestFunction) -> Digest {
        function.digest(&self.encode())
    }
}

fn check_sorted<'a>(names: impl Iterator<Item = &'a NodeName>) -> Result<(), DirectoryError> {
    let mut last: Option<&NodeName> = None;
    for name in names {
        if last.is_some_and(|last| last > name) {
            return Err(DirectoryError::Unsorted(name.to_string()));
        }
        last = Some(name);
    }
    Ok(())
}

fn digest_to_wire(digest: &Digest) -> Option<wire::Digest> {
    // A digest's size always fits: `Digest::from_wire` takes an i64 and a hasher cannot see 2^63 bytes.
    Some(wire::Digest { hash: digest.hash_hex(), size_bytes: digest.size() as i64 })
}

fn digest_from_wire(
    function: DigestFunction,
    name: &str,
    digest: Option<wire::Digest>,
) -> Result<Digest, DirectoryError> {
    let no_digest = |source| DirectoryError::Digest { name: name.to_owned(), source };
    let digest = digest.ok_or_else(|| no_digest(None))?;
    Digest::from_wire(function, &digest.hash, digest.size_bytes).map_err(|error| no_digest(Some(error)))
}

impl FileNode {
    fn to_wire(&self) -> wire::FileNode {
        wire::FileNode {
            name: self.name.to_string(),
            digest: digest_to_wire(&self.digest),
            is_executable: self.executable,
        }
    }

    fn from_wire(function: DigestFunction, node: wire::FileNode) -> Result<Self, DirectoryError> {
        let digest = digest_from_wire(function, &node.name, node.digest)?;
        Ok(Self { name: NodeName::new(node.name)?, digest, executable: node.is_executable })
    }
}

impl DirectoryNode {
    fn to_wire(&self) -> wire::DirectoryNode {
        wire::DirectoryNode { name: self.name.to_string(), digest: digest_to_wire(&self.digest) }
    }

    fn from_wire(function: DigestFunction, node: wire::DirectoryNode) -> Result<Self, DirectoryError> {
        let digest = digest_from_wire(function, &node.name, node.digest)?;
        Ok(Self { name: NodeName::new(node.name)?, digest })
    }
}

impl SymlinkNode {
    fn to_wire(&self) -> wire::SymlinkNode {
        wire::SymlinkNode { name: self.name.to_string(), target: self.target.to_string() }
    }

    fn from_wire(node: wire::SymlinkNode) -> Result<Self, DirectoryError> {
        if node.target.is_empty() {
            return Err(DirectoryError::EmptyTarget(node.name));
        }
        Ok(Self { name: NodeName::new(node.name)?, target: node.target.into() })
    }
}

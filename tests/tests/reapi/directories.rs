//! Directories as they are stored: messages of the API, built by hand, so that they may be wrong as well.

use cullet_proto::reapi::Digest;
use prost::Message as _;

use super::blobs::{Blob, Function};

/// `Directory`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct Directory {
    #[prost(message, repeated, tag = "1")]
    pub(crate) files: Vec<FileNode>,
    #[prost(message, repeated, tag = "2")]
    pub(crate) directories: Vec<DirectoryNode>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) symlinks: Vec<SymlinkNode>,
}

/// `FileNode`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct FileNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<Digest>,
    #[prost(bool, tag = "4")]
    pub(crate) is_executable: bool,
}

/// `DirectoryNode`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct DirectoryNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(message, optional, tag = "2")]
    pub(crate) digest: Option<Digest>,
}

/// `SymlinkNode`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(crate) struct SymlinkNode {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) target: String,
}

impl Directory {
    /// With one more file. Names have to come in their order.
    pub(crate) fn file(mut self, name: &str, blob: &Blob) -> Self {
        let digest = Some(blob.digest.clone());
        self.files.push(FileNode { name: name.to_owned(), digest, is_executable: false });
        self
    }

    /// The same with one that can be executed.
    pub(crate) fn program(mut self, name: &str, blob: &Blob) -> Self {
        let digest = Some(blob.digest.clone());
        self.files.push(FileNode { name: name.to_owned(), digest, is_executable: true });
        self
    }

    /// With one more directory.
    pub(crate) fn directory(mut self, name: &str, directory: &Blob) -> Self {
        let digest = Some(directory.digest.clone());
        self.directories.push(DirectoryNode { name: name.to_owned(), digest });
        self
    }

    /// With one more link.
    pub(crate) fn link(mut self, name: &str, target: &str) -> Self {
        self.symlinks.push(SymlinkNode { name: name.to_owned(), target: target.to_owned() });
        self
    }

    /// As it is stored.
    pub(crate) fn blob(&self, function: Function) -> Blob {
        Blob::new(function, self.encode_to_vec())
    }
}

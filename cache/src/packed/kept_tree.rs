//! The record of a tree: its directories, and where everything else below its root lies.

use std::collections::{HashMap, HashSet};
use std::mem::size_of;

use bytes::Bytes;
use cullet_digest::{Digest, Directory};
use serde::{Deserialize, Serialize};

use super::frame;
use crate::blob::is_the_empty_blob;

/// The form of the record; another one is none that we know.
const VERSION: u8 = 1;

/// The most bytes of a record when it is open: a few hundred thousand directories.
const MOST_OPEN: u64 = 256 << 20;

/// A record as it is written, with postcard.
#[derive(Serialize, Deserialize)]
struct Written {
    version: u8,
    /// Encoded `Directory` messages, the root first.
    directories: Vec<Bytes>,
    packs: Vec<PackPlace>,
    alone: Vec<Digest>,
}

/// Blobs that lie in a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PackPlace {
    /// The SHA-256 and length of the data that they are in; none where they are in the record itself.
    pub(super) data: Option<Digest>,
    /// Their bytes, where they are in the record itself.
    pub(super) inline: Bytes,
    /// What they are called. Their lengths say where each is.
    pub(super) blobs: Vec<Digest>,
}

/// Where a blob of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    /// It is one of the directories.
    Directory(usize),
    /// In a pack, from this byte.
    Pack { index: usize, offset: u64 },
}

/// What is below a directory, and where.
#[derive(Debug)]
pub struct KeptTree {
    root: Digest,
    directories: Vec<(Digest, Bytes)>,
    packs: Vec<PackPlace>,
    alone: Vec<Digest>,
    spots: HashMap<Digest, Spot>,
}

impl KeptTree {
    /// The directory that it begins at.
    pub const fn root(&self) -> Digest {
        self.root
    }

    /// All directories, encoded, the root among them. Their bytes are those of their digests.
    pub fn directories(&self) -> &[(Digest, Bytes)] {
        &self.directories
    }

    /// How many packs there are.
    pub fn packs(&self) -> usize {
        self.packs.len()
    }

    /// What is in a pack, in its order.
    pub fn in_pack(&self, index: usize) -> &[Digest] {
        self.packs.get(index).map_or(&[], |pack| &pack.blobs)
    }

    /// Blobs that are stored by themselves.
    pub fn alone(&self) -> &[Digest] {
        &self.alone
    }

    pub(super) fn place(&self, index: usize) -> Option<&PackPlace> {
        self.packs.get(index)
    }

    pub(super) fn spot(&self, blob: &Digest) -> Option<Spot> {
        self.spots.get(blob).copied()
    }

    pub(super) fn directory(&self, index: usize) -> Option<&Bytes> {
        self.directories.get(index).map(|(_, bytes)| bytes)
    }

    /// The data that the record points to.
    pub(super) fn needs(&self) -> Vec<Digest> {
        self.packs.iter().filter_map(|pack| pack.data).collect()
    }

    /// What it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        let directories: usize = self.directories.iter().map(|(_, bytes)| bytes.len() + 64).sum();
        let inline: usize = self.packs.iter().map(|pack| pack.inline.len()).sum();
        // The name in its pack, and what finds it.
        let blob = 2 * size_of::<Digest>() + 2 * size_of::<Spot>();
        directories + inline + (self.spots.len() + self.alone.len()) * blob
    }

    /// A tree of these parts; none where they are not everything below the root and nothing else.
    pub(super) fn new(
        root: Digest,
        directories: Vec<(Digest, Bytes)>,
        packs: Vec<PackPlace>,
        alone: Vec<Digest>,
    ) -> Option<Self> {
        let mut spots = HashMap::new();
        spots.extend(
            directories.iter().enumerate().map(|(index, (digest, _))| (*digest, Spot::Directory(index))),
        );
        for (index, pack) in packs.iter().enumerate() {
            let mut offset = 0_u64;
            for blob in &pack.blobs {
                spots.insert(*blob, Spot::Pack { index, offset });
                offset = offset.checked_add(blob.size())?;
            }
            if pack.data.is_none() && offset != pack.inline.len() as u64 {
                return None;
            }
        }
        let tree = Self { root, directories, packs, alone, spots };
        tree.is_whole().then_some(tree)
    }

    fn is_whole(&self) -> bool {
        let alone: HashSet<&Digest> = self.alone.iter().collect();
        let (mut seen, mut waiting) = (HashSet::from([self.root]), vec![self.root]);
        while let Some(directory) = waiting.pop() {
            let Some(Spot::Directory(index)) = self.spot(&directory) else { return false };
            let bytes = self.directory(index).map(|bytes| Directory::decode(self.root.function(), bytes));
            let Some(Ok(directory)) = bytes else { return false };
            let has = |blob: &Digest| {
                is_the_empty_blob(blob) || alone.contains(blob) || self.spots.contains_key(blob)
            };
            if !directory.files().iter().all(|file| has(&file.digest)) {
                return false;
            }
            let children = directory.directories().iter().map(|child| child.digest);
            waiting.extend(children.filter(|child| seen.insert(*child)));
        }
        seen.len() == self.directories.len()
    }

    /// The record.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let written = Written {
            version: VERSION,
            directories: self.directories.iter().map(|(_, bytes)| bytes.clone()).collect(),
            packs: self.packs.clone(),
            alone: self.alone.clone(),
        };
        let bytes = postcard::to_stdvec(&written).ok().filter(|bytes| bytes.len() as u64 <= MOST_OPEN)?;
        Some(frame::close(&bytes))
    }

    /// The tree of a record; none where it is damaged, or the record of another root.
    pub(super) fn decode(root: Digest, record: &Bytes) -> Option<Self> {
        let bytes = frame::open(record, MOST_OPEN)?;
        let written: Written =
            postcard::from_bytes(&bytes).ok().filter(|w: &Written| w.version == VERSION)?;
        let named = |bytes: Bytes| (root.function().digest(&bytes), bytes);
        let directories = written.directories.into_iter().map(named).collect();
        Self::new(root, directories, written.packs, written.alone)
    }
}

/// Whether this is a record of a form that is not ours, as far as that can be told.
pub(super) fn may_be_newer(record: &Bytes) -> bool {
    let version = frame::open(record, MOST_OPEN).and_then(|bytes| bytes.first().copied());
    version.is_some_and(|version| version != VERSION)
}

#[cfg(test)]
mod tests {
    use cullet_digest::{DigestFunction, DirectoryNode, FileNode, NodeName};

    use super::*;

    const FUNCTION: DigestFunction = DigestFunction::Blake3;

    fn file(name: &str, bytes: &[u8]) -> FileNode {
        FileNode { name: NodeName::new(name).unwrap(), digest: FUNCTION.digest(bytes), executable: false }
    }

    fn encoded(files: Vec<FileNode>, directories: Vec<DirectoryNode>) -> (Digest, Bytes) {
        let bytes = Bytes::from(Directory::new(files, directories, vec![]).unwrap().encode());
        (FUNCTION.digest(&bytes), bytes)
    }

    type Parts = (Digest, Vec<(Digest, Bytes)>, Vec<PackPlace>, Vec<Digest>);

    /// A directory with an empty file and one in the record, in which is a directory with one in a pack and one alone.
    fn parts() -> Parts {
        let inner = encoded(vec![file("b", b"in a pack"), file("c", b"alone")], vec![]);
        let below = DirectoryNode { name: NodeName::new("d").unwrap(), digest: inner.0 };
        let root = encoded(vec![file("a", b"in the record"), file("e", b"")], vec![below]);
        let inline = Bytes::from_static(b"in the record");
        let data = Some(DigestFunction::Sha256.digest(b"the pack"));
        let packs = vec![
            PackPlace { data: None, blobs: vec![FUNCTION.digest(&inline)], inline },
            PackPlace { data, inline: Bytes::new(), blobs: vec![FUNCTION.digest(b"in a pack")] },
        ];
        (root.0, vec![root, inner], packs, vec![FUNCTION.digest(b"alone")])
    }

    fn tree() -> KeptTree {
        let (root, directories, packs, alone) = parts();
        KeptTree::new(root, directories, packs, alone).unwrap()
    }

    #[test]
    fn a_record_survives() {
        let tree = tree();
        let read = KeptTree::decode(tree.root(), &tree.encode().unwrap().into()).unwrap();
        assert_eq!(read.directories(), tree.directories());
        assert_eq!((&read.packs, read.alone()), (&tree.packs, tree.alone()));
        let of = |bytes: &[u8]| read.spot(&FUNCTION.digest(bytes));
        assert_eq!(of(b"in the record"), Some(Spot::Pack { index: 0, offset: 0 }));
        assert_eq!(of(b"in a pack"), Some(Spot::Pack { index: 1, offset: 0 }));
        assert_eq!((of(b"alone"), of(b"")), (None, None));
    }

    #[test]
    fn a_record_that_lacks_anything_or_has_too_much_is_none() {
        let (root, directories, packs, alone) = parts();
        for without in 0..2 {
            let mut fewer = directories.clone();
            fewer.remove(without);
            assert!(KeptTree::new(root, fewer, packs.clone(), alone.clone()).is_none());
            let mut fewer = packs.clone();
            fewer.remove(without);
            assert!(KeptTree::new(root, directories.clone(), fewer, alone.clone()).is_none());
        }
        assert!(KeptTree::new(root, directories.clone(), packs.clone(), vec![]).is_none());
        let mut more = directories.clone();
        more.push(encoded(vec![], vec![]));
        assert!(KeptTree::new(root, more, packs.clone(), alone.clone()).is_none());
        let mut short = packs;
        short[0].inline = Bytes::from_static(b"in the recor");
        assert!(KeptTree::new(root, directories, short, alone).is_none());
    }

    #[test]
    fn a_record_of_another_root_and_a_damaged_one_are_none_or_whole() {
        let tree = tree();
        let record = Bytes::from(tree.encode().unwrap());
        assert!(KeptTree::decode(FUNCTION.digest(b"another"), &record).is_none());
        for len in 0..record.len() {
            assert!(KeptTree::decode(tree.root(), &record.slice(..len)).is_none(), "{len}");
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // Where a piece lies is not checked here: its bytes are, when they are read.
            if let Some(read) = KeptTree::decode(tree.root(), &flipped.into()) {
                assert_eq!(read.directories(), tree.directories(), "{bit}");
            }
        }
    }
}

//! The directories of a tree, most of them as the last scan left them.

use cullet_digest::{
    Digest, DigestFunction, Directory, DirectoryError, DirectoryNode, FileNode, NodeName, SymlinkNode,
};

use crate::node::{Content, Listing, OwnListing};
use crate::rules::RulesKey;
use crate::snapshot::{Record, Snapshot};
use crate::walk::Visited;

/// One directory.
#[derive(Debug)]
pub(crate) struct Dir {
    pub(crate) parent: u32,
    pub(crate) first_child: u32,
    pub(crate) record: Option<u32>,
    /// None: as the record has them.
    pub(crate) listing: Option<OwnListing>,
    pub(crate) rules: RulesKey,
    /// Of the encoded [`Directory`], once [`Dirs::seal`] has run.
    pub(crate) hash: [u8; 32],
    /// Bytes of the encoded [`Directory`]; 0 where no file is below.
    pub(crate) size: u64,
}

/// All directories, by id. The root has id 0, and a directory's id is smaller than those of its subdirectories.
#[derive(Debug)]
pub(crate) struct Dirs {
    pub(crate) function: DigestFunction,
    pub(crate) list: Vec<Dir>,
    pub(crate) cached: Option<Snapshot>,
}

impl Dirs {
    pub(crate) fn new(function: DigestFunction, mut visited: Vec<Visited>, cached: Option<Snapshot>) -> Self {
        visited.sort_unstable_by_key(|dir| dir.id);
        let list = visited.into_iter().map(Dir::from).collect();
        Self { function, list, cached }
    }

    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = u32> + use<> {
        // Ids are u32, so their number fits.
        0..self.list.len() as u32
    }

    pub(crate) fn dir(&self, id: u32) -> &Dir {
        &self.list[id as usize]
    }

    fn record(&self, id: u32) -> Option<&Record> {
        self.cached.as_ref()?.record(self.dir(id).record?)
    }

    pub(crate) fn listing(&self, id: u32) -> Listing<'_> {
        let dir = self.dir(id);
        match (&dir.listing, &self.cached, dir.record) {
            (Some(own), _, _) => own.view(),
            (None, Some(cached), Some(record)) => cached.listing(record),
            _ => Listing::EMPTY,
        }
    }

    /// The digest of a directory, once [`Self::seal`] has run.
    pub(crate) fn digest(&self, id: u32) -> Digest {
        let dir = self.dir(id);
        Digest::from_parts(self.function, dir.hash, dir.size)
    }

    /// The path of a directory from the root of the source; empty for the root.
    pub(crate) fn path(&self, id: u32) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while at != 0 {
            let parent = self.dir(at).parent;
            let listing = self.listing(parent);
            let place = (at - self.dir(parent).first_child) as usize;
            names.extend(listing.subdirs.get(place).map(|&span| listing.text(span)));
            at = parent;
        }
        names.reverse();
        names.join("/")
    }

    /// The children of a directory: name and id.
    pub(crate) fn children(&self, id: u32) -> impl Iterator<Item = (&str, u32)> {
        let listing = self.listing(id);
        let first = self.dir(id).first_child;
        listing.subdirs.iter().zip(first..).map(move |(&span, child)| (listing.text(span), child))
    }

    /// Computes the digests of all directories, from the leaves up. A directory takes its digest from the last
    /// scan if neither its entries nor the digest of a subdirectory changed. Returns how many did.
    pub(crate) fn seal(&mut self) -> Result<u64, DirectoryError> {
        let mut child_changed = vec![false; self.list.len()];
        let mut reused = 0;
        for id in self.ids().rev() {
            let at = id as usize;
            let record = self.record(id).map(|record| (record.hash, record.size));
            let kept = record.filter(|_| self.dir(id).listing.is_none() && !child_changed[at]);
            let digest = match kept {
                Some(digest) => {
                    reused += 1;
                    digest
                }
                None => {
                    let digest = self.function.digest(&self.encode(id)?);
                    (*digest.hash(), digest.size())
                }
            };
            if record != Some(digest) {
                child_changed[self.dir(id).parent as usize] = true;
            }
            (self.list[at].hash, self.list[at].size) = digest;
        }
        Ok(reused)
    }

    /// The canonical bytes of a directory whose subdirectories are sealed.
    pub(crate) fn encode(&self, id: u32) -> Result<Vec<u8>, DirectoryError> {
        Ok(self.directory(id)?.encode())
    }

    /// A directory whose subdirectories are sealed. Those without any file are left out: git does not know
    /// them, so two checkouts of one commit may differ in them.
    pub(crate) fn directory(&self, id: u32) -> Result<Directory, DirectoryError> {
        let listing = self.listing(id);
        let (mut files, mut links) = (Vec::new(), Vec::new());
        for entry in listing.entries {
            let name = NodeName::new(listing.text(entry.name))?;
            match entry.content {
                Content::File { hash, size, executable } => {
                    files.push(FileNode {
                        name,
                        digest: Digest::from_parts(self.function, hash, size),
                        executable,
                    });
                }
                Content::Symlink { target } => {
                    links.push(SymlinkNode { name, target: listing.text(target).into() });
                }
            }
        }
        let mut directories = Vec::new();
        for (name, child) in self.children(id) {
            if self.dir(child).size > 0 {
                directories.push(DirectoryNode { name: NodeName::new(name)?, digest: self.digest(child) });
            }
        }
        Directory::new(files, directories, links)
    }

    /// What the next scan starts from. None when it would not fit into 4 GiB of names.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let mut all = OwnListing::default();
        let mut dirs = Vec::with_capacity(self.list.len());
        for id in self.ids() {
            let (subdirs, entries) = (all.subdirs.len() as u32, all.entries.len() as u32);
            let listing = self.listing(id);
            for &name in listing.subdirs {
                let name = all.keep(listing.text(name))?;
                all.subdirs.push(name);
            }
            for entry in listing.entries {
                let mut entry = *entry;
                entry.name = all.keep(listing.text(entry.name))?;
                if let Content::Symlink { target } = &mut entry.content {
                    *target = all.keep(listing.text(*target))?;
                }
                all.entries.push(entry);
            }
            let Dir { first_child, rules, hash, size, .. } = *self.dir(id);
            let (subdirs, entries) = (subdirs..all.subdirs.len() as u32, entries..all.entries.len() as u32);
            dirs.push(Record { subdirs, entries, first_child, rules, hash, size });
        }
        let OwnListing { text, subdirs, entries } = all;
        Some(Snapshot { function: self.function, text, subdirs, entries, dirs })
    }
}

impl From<Visited> for Dir {
    fn from(visited: Visited) -> Self {
        let Visited { parent, first_child, record, listing, rules, .. } = visited;
        Self { parent, first_child, record, listing, rules, hash: [0; 32], size: 0 }
    }
}

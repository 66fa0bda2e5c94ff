//! What a walk over the outputs has found, before anything is hashed.

use std::collections::HashMap;

use cullet_digest::{Digest, NodeName};

use super::OutputLimits;
use super::fault::{OutputFault, shown};
use super::input_links::InputLinks;
use crate::layers::{FileEntry, Place, Places, join};

/// Files and directories of all outputs.
#[derive(Debug)]
pub(super) struct Found {
    /// The directories that files are in.
    pub(super) places: Places,
    /// Parents before their children.
    pub(super) dirs: Vec<FoundDir>,
    /// Each to be hashed once.
    pub(super) files: Vec<FoundFile>,
    /// Of all files to be hashed, in bytes.
    pub(super) bytes: u64,
    /// Links of the inputs that outputs take over.
    pub(super) input_links: InputLinks,
    entries: u64,
    limits: OutputLimits,
    inodes: HashMap<(usize, u64), usize>,
}

/// A directory of an output.
#[derive(Debug)]
pub(super) struct FoundDir {
    pub(super) place: Place,
    /// Kept even if nothing is in it.
    pub(super) wanted: bool,
    pub(super) files: Vec<(NodeName, FileRef, bool)>,
    pub(super) dirs: Vec<(NodeName, DirRef)>,
    pub(super) links: Vec<(NodeName, Box<str>)>,
}

/// A file to be hashed.
#[derive(Debug)]
pub(super) struct FoundFile {
    pub(super) place: Place,
    pub(super) name: Vec<u8>,
    pub(super) layer: usize,
}

/// A file's content.
#[derive(Debug, Clone, Copy)]
pub(super) enum FileRef {
    /// Comes from the inputs as it was.
    Known(Digest),
    /// At this place in [`Found::files`].
    Found(usize),
}

/// A directory's content.
#[derive(Debug, Clone, Copy)]
pub(super) enum DirRef {
    /// Comes from the inputs as it was, with everything below.
    Known(Digest),
    /// At this place in [`Found::dirs`].
    Found(usize),
}

impl Found {
    pub(super) fn new(limits: OutputLimits) -> Self {
        Self {
            places: Places::default(),
            dirs: Vec::new(),
            files: Vec::new(),
            bytes: 0,
            input_links: InputLinks::default(),
            entries: 0,
            limits,
            inodes: HashMap::new(),
        }
    }

    /// Adds a directory.
    pub(super) fn dir(&mut self, place: Place, wanted: bool) -> Result<usize, OutputFault> {
        self.count()?;
        self.dirs.push(FoundDir { place, wanted, files: vec![], dirs: vec![], links: vec![] });
        Ok(self.dirs.len() - 1)
    }

    /// Adds a file to be hashed; one that is found again, under this name or another, is hashed once.
    pub(super) fn file(&mut self, place: Place, name: &[u8], file: &FileEntry) -> Result<usize, OutputFault> {
        self.count()?;
        if let Some(&index) = self.inodes.get(&(file.layer, file.inode)) {
            return Ok(index);
        }
        self.bytes = self.bytes.saturating_add(file.size);
        if self.bytes > self.limits.bytes {
            let path = shown(&join(&self.places.path(place), name));
            return Err(OutputFault::TooLarge { path, limit: self.limits.bytes });
        }
        self.files.push(FoundFile { place, name: name.to_vec(), layer: file.layer });
        self.inodes.insert((file.layer, file.inode), self.files.len() - 1);
        Ok(self.files.len() - 1)
    }

    /// How many entries of a directory may be looked at: those that are still allowed if it is taken as a `whole`,
    /// but what globs pass over counts for itself.
    pub(super) fn room(&self, whole: bool) -> u64 {
        self.limits.entries - if whole { self.entries.min(self.limits.entries) } else { 0 }
    }

    /// More entries than may be.
    pub(super) fn too_many(&self) -> OutputFault {
        OutputFault::TooMany { limit: self.limits.entries }
    }

    /// Counts one more entry of any kind.
    pub(super) fn count(&mut self) -> Result<(), OutputFault> {
        self.entries += 1;
        match self.entries > self.limits.entries {
            true => Err(self.too_many()),
            false => Ok(()),
        }
    }
}

//! What a step left of its root directory in a container engine, as a layer. Engines give out the upper directory of an
//! overlay as an archive, which lacks what overlayfs says in attributes; what the step changed they list beside it. The two
//! together are what [`super::capture_layer`] reads from the directory itself, and become the same bytes.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use super::capture::{Capture, Size};
use super::path::{LayerPath, OPAQUE, WHITEOUT};
use super::root::failed;
use super::{LayerError, attributes};
use crate::tarball::{Entry, Kind, TarReader, TarWriter, Time};

/// What an engine says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is there, changed or new.
    There,
    /// It is gone; or, of a directory that is there, everything that was in it before.
    Gone,
}

/// Mode, user and group of a directory.
pub type DirectoryOwner = (u32, u32, u32);

/// What there is of a step's root.
#[derive(Debug)]
pub struct EngineRoot<'a> {
    /// An archive of the upper directory, which is the first directory in it.
    pub upper: &'a Path,
    /// An archive of the whole root, for directories that were moved: the overlays of engines leave their content where it
    /// was.
    pub merged: Option<&'a Path>,
    /// By paths without a slash at either end.
    pub changes: &'a BTreeMap<Vec<u8>, Change>,
    /// Directories in which the engine makes places to mount things on, as the image has them; none where it does not. They
    /// are no change of the step's unless they differ, or have more in them.
    pub places: &'a BTreeMap<Vec<u8>, Option<DirectoryOwner>>,
}

/// Writes what was changed as an uncompressed layer, by the same rules as [`super::capture_layer`]. Owners are those of the
/// archives. Paths that are left out are so with all that is below them. Blocking.
///
/// # Errors
/// [`LayerError::Limit`] and [`LayerError::Entry`] for what no layer can hold, [`LayerError::Tar`] for archives that nobody
/// can read, [`LayerError::Io`] for everything else.
pub fn capture_engine_layer(
    root: &EngineRoot<'_>,
    to: impl Write,
    capture: &Capture<'_>,
) -> Result<(), LayerError> {
    let mut gathering = Gathering { capture, nodes: BTreeMap::new(), files: Vec::new() };
    gathering.archive(root.upper, true, |_, _| true)?;
    if let Some(merged) = root.merged {
        let wanted = |path: &[u8], nodes: &Nodes| {
            root.changes.get(path) == Some(&Change::There) && !nodes.contains_key(&key(path))
        };
        gathering.archive(merged, false, wanted)?;
    }
    gathering.removed(root.changes);
    gathering.leave_out_places(root.places);
    gathering.write(to)
}

/// Sorted as directories are walked: everything in a directory right behind it.
type Key = Vec<u8>;
type Nodes = BTreeMap<Key, Node>;

enum Node {
    /// And where its bytes are: in which archive, and from where on.
    Entry {
        entry: Entry,
        file: usize,
        offset: u64,
        opaque: bool,
    },
    Whiteout,
}

fn key(path: &[u8]) -> Key {
    path.iter().map(|byte| if *byte == b'/' { 0 } else { *byte }).collect()
}

fn path_of(key: &[u8]) -> Vec<u8> {
    key.iter().map(|byte| if *byte == 0 { b'/' } else { *byte }).collect()
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    path.iter().rposition(|byte| *byte == b'/').map(|at| &path[..at])
}

struct Gathering<'a> {
    capture: &'a Capture<'a>,
    nodes: Nodes,
    files: Vec<File>,
}

impl Gathering<'_> {
    /// Adds what is wanted of an archive; `below` says whether everything is below a first directory.
    fn archive(
        &mut self,
        archive: &Path,
        below: bool,
        wanted: impl Fn(&[u8], &Nodes) -> bool,
    ) -> Result<(), LayerError> {
        let io = |error| LayerError::io("read", archive, error);
        let opened = File::open(archive).map_err(io)?;
        let mut reader = TarReader::new(BufReader::new(opened.try_clone().map_err(io)?), self.capture.limits);
        let file = self.files.len();
        self.files.push(opened);
        let mut found = Vec::new();
        while let Some(mut entry) = reader.next()? {
            let offset = reader.offset();
            reader.seek_past()?;
            let Some(path) = named(&entry.path, below)? else { continue };
            if self.leaves_out(&path) || !wanted(&path, &self.nodes) {
                continue;
            }
            if path.rsplit(|byte| *byte == b'/').next().is_some_and(|name| name.starts_with(WHITEOUT)) {
                return Err(LayerError::entry(&path, "begins with `.wh.`, which layers cannot hold"));
            }
            if entry.kind == Kind::HardLink {
                entry.link = named(&entry.link, below)?.unwrap_or_default();
            }
            entry.path.clone_from(&path);
            found.push((key(&path), Node::Entry { entry, file, offset, opaque: false }));
        }
        link_in_order(&mut found)?;
        self.nodes.extend(found);
        Ok(())
    }

    fn leaves_out(&self, path: &[u8]) -> bool {
        self.capture.without.iter().any(|other| {
            path.strip_prefix(other.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        })
    }

    /// What is gone. Engines name it alike, whether overlayfs hides it with a whiteout, which is a device in the archive,
    /// or all of its directory as opaque. They name in UTF-8 only: a device whose name is none can be nothing else.
    fn removed(&mut self, changes: &BTreeMap<Vec<u8>, Change>) {
        for (at, node) in &mut self.nodes {
            if matches!(node, Node::Entry { entry, .. } if entry.kind == Kind::Device(CHARACTERS))
                && std::str::from_utf8(at).is_err()
            {
                *node = Node::Whiteout;
            }
        }
        let gone = changes.iter().filter(|(path, change)| **change == Change::Gone && !self.leaves_out(path));
        let gone: Vec<&Vec<u8>> = gone.map(|(path, _)| path).filter(|path| is_exact(path)).collect();
        for path in gone {
            let at = key(path);
            if self.nodes.contains_key(&at) {
                if !self.hide_below(&at) {
                    self.nodes.insert(at, Node::Whiteout);
                }
            } else if !parent(path).is_some_and(|dir| self.hide_below(&key(dir))) {
                self.nodes.insert(at, Node::Whiteout);
            }
        }
    }

    /// Hides what lower layers have in a directory; whether it is one.
    fn hide_below(&mut self, at: &[u8]) -> bool {
        match self.nodes.get_mut(at) {
            Some(Node::Entry { entry, opaque, .. }) if entry.kind == Kind::Directory => {
                *opaque = true;
                true
            }
            _ => false,
        }
    }

    /// The deepest first, so that one that is left out does not keep the one that it is in.
    fn leave_out_places(&mut self, places: &BTreeMap<Vec<u8>, Option<DirectoryOwner>>) {
        for (path, known) in places.iter().rev() {
            let at = key(path);
            let Some(Node::Entry { entry, opaque: false, .. }) = self.nodes.get(&at) else { continue };
            let is_same =
                known.is_none_or(|(mode, uid, gid)| (entry.mode, entry.uid, entry.gid) == (mode, uid, gid));
            let below = [&at[..], &[0]].concat();
            let is_empty =
                self.nodes.range(below.clone()..).next().is_none_or(|(next, _)| !next.starts_with(&below));
            if entry.kind == Kind::Directory && is_same && is_empty {
                self.nodes.remove(&at);
            }
        }
    }

    fn write(self, to: impl Write) -> Result<(), LayerError> {
        let mut writing = Writing {
            tar: TarWriter::new(to),
            size: Size::default(),
            capture: self.capture,
            buffer: vec![0; CHUNK],
        };
        for (key, node) in self.nodes {
            let path = LayerPath::read(&path_of(&key))?;
            match node {
                Node::Whiteout => {
                    let (dir, name) = path.split().unwrap_or_default();
                    writing.marker([dir.bytes(), b"/", WHITEOUT, name].concat(), &path)?;
                }
                // As the directory itself would be read.
                Node::Entry { entry, .. } if matches!(entry.kind, Kind::Device(_)) => {}
                Node::Entry { entry, file, offset, opaque } => {
                    writing.entry(entry, (&self.files[file], offset), &path)?;
                    if opaque {
                        writing.marker([path.bytes(), b"/", OPAQUE].concat(), &path)?;
                    }
                }
            }
        }
        let finished = writing.tar.finish().and_then(|mut to| to.flush());
        finished.map_err(|error| failed("write", &LayerPath::default(), error))
    }
}

/// What [`TarReader`] calls a whiteout, among others.
const CHARACTERS: &str = "character device";

/// Whether an engine could name it as it is.
fn is_exact(path: &[u8]) -> bool {
    !path.windows(3).any(|bytes| bytes == "\u{fffd}".as_bytes())
}

/// Where an entry is below the root; none for the root itself.
fn named(name: &[u8], below: bool) -> Result<Option<Vec<u8>>, LayerError> {
    let path = LayerPath::read(name)?;
    let path = match below {
        false => path.bytes(),
        true => path.bytes().splitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default(),
    };
    Ok((!path.is_empty()).then(|| path.to_vec()))
}

/// Of several names of a file, the first one in the layer has its content, whichever the engine came to first.
fn link_in_order(found: &mut [(Key, Node)]) -> Result<(), LayerError> {
    let mut names: HashMap<Vec<u8>, Vec<usize>> = HashMap::new();
    for (index, (_, node)) in found.iter().enumerate() {
        if let Node::Entry { entry, .. } = node
            && entry.kind == Kind::HardLink
        {
            names.entry(entry.link.clone()).or_default().push(index);
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let firsts: Vec<(usize, Vec<usize>)> = found
        .iter()
        .enumerate()
        .filter_map(|(index, (key, _))| Some((index, names.remove(&path_of(key))?)))
        .collect();
    if let Some(first) = names.keys().next() {
        return Err(LayerError::entry(first, "has a further name, and is no change of the step's"));
    }
    for (owner, others) in firsts {
        let Some(first) = others.iter().chain([&owner]).copied().min_by_key(|index| &found[*index].0) else {
            continue;
        };
        let first_path = path_of(&found[first].0);
        if first != owner {
            let (one, two) = (path_of(&found[first].0), path_of(&found[owner].0));
            let (low, high) = (first.min(owner), first.max(owner));
            let (left, right) = found.split_at_mut(high);
            std::mem::swap(&mut left[low].1, &mut right[0].1);
            for (index, path) in [(first, one), (owner, two)] {
                if let Node::Entry { entry, .. } = &mut found[index].1 {
                    entry.path = path;
                }
            }
        }
        for index in others.into_iter().chain([owner]).filter(|index| *index != first) {
            if let Node::Entry { entry, .. } = &mut found[index].1 {
                entry.link.clone_from(&first_path);
            }
        }
    }
    Ok(())
}

const CHUNK: usize = 128 << 10;

struct Writing<'a, W: Write> {
    tar: TarWriter<W>,
    size: Size,
    capture: &'a Capture<'a>,
    buffer: Vec<u8>,
}

impl<W: Write> Writing<'_, W> {
    fn entry(
        &mut self,
        mut entry: Entry,
        (file, offset): (&File, u64),
        path: &LayerPath,
    ) -> Result<(), LayerError> {
        entry.mtime = self.mtime();
        entry.xattrs = attributes::of_image(std::mem::take(&mut entry.xattrs));
        match entry.kind {
            Kind::Directory => entry.path.push(b'/'),
            // Links have no permissions of their own; every system says something else.
            Kind::Symlink => (entry.mode, entry.xattrs) = (0o777, Vec::new()),
            Kind::HardLink => entry.xattrs.clear(),
            Kind::File | Kind::Device(_) => {}
        }
        self.header(&entry, path)?;
        let size = if entry.kind == Kind::File { entry.size } else { 0 };
        let mut done = 0;
        while done < size {
            let most = (size - done).min(CHUNK as u64) as usize;
            let bytes = &mut self.buffer[..most];
            file.read_exact_at(bytes, offset + done).map_err(|error| failed("read", path, error))?;
            self.tar.write(bytes).map_err(|error| failed("write", path, error))?;
            done += most as u64;
        }
        self.tar.pad(size).map_err(|error| failed("write", path, error))
    }

    /// An empty file that stands for something.
    fn marker(&mut self, path: Vec<u8>, at: &LayerPath) -> Result<(), LayerError> {
        let path = path.strip_prefix(b"/").unwrap_or(&path).to_vec();
        let (link, xattrs, mtime) = (Vec::new(), Vec::new(), self.mtime());
        let entry =
            Entry { path, link, kind: Kind::File, size: 0, mode: 0o600, uid: 0, gid: 0, mtime, xattrs };
        self.header(&entry, at)
    }

    fn header(&mut self, entry: &Entry, path: &LayerPath) -> Result<(), LayerError> {
        self.size.add(&self.capture.limits, entry.size)?;
        self.tar.entry(entry).map_err(|error| failed("write", path, error))
    }

    fn mtime(&self) -> Time {
        Time { seconds: self.capture.mtime_s.into(), nanos: 0 }
    }
}

//! A layer becomes a directory.

use std::io::{BufRead as _, BufReader, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::AtFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::announced::{Content, Opening, check, longer, over};
use super::compression::Decoder;
use super::meta::{DEFAULT_ACL, Meta};
use super::path::{Asked, LayerPath, OPAQUE};
use super::root::{DirectoryMeta, Occupant, Root, failed};
use super::stream::{Measured, Wanted};
use super::whiteout::{Made, Markers};
use super::{Devices, LayerError, LayerId, Notes, UnpackOptions};
use crate::tarball::{Entry, Kind, TarReader};

/// A layer that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unpacked {
    /// Bytes of the uncompressed archive.
    pub bytes: u64,
    /// Entries of the archive.
    pub entries: u64,
    /// What is not as in the archive.
    pub notes: Notes,
}

/// Read and written at once: large enough that calls do not matter, small against everything else in memory.
const CHUNK: usize = 128 << 10;

/// Unpacks a layer into an existing, empty directory that overlayfs can have as a lower layer. Blocking. The layer
/// is streamed: memory holds one chunk, the decompressor's window, and what directories get at the end.
///
/// Device files and named pipes are never made ([`Devices`]). Extended attributes of overlayfs in the archive are
/// dropped ([`Notes::attributes`]). A symbolic link is stored as it is and never followed. Nothing is synced: what a
/// power cut leaves of the directory is for the caller to tell.
///
/// # Errors
/// Whatever [`LayerError`] says. Then the directory holds a part of the layer and is good for nothing.
pub fn unpack_layer(
    source: impl Read,
    into: &Path,
    id: &LayerId,
    options: &UnpackOptions,
    cancelled: &AtomicBool,
) -> Result<Unpacked, LayerError> {
    let (content, notes, entries) = unpack(source, into, (id, Decoder::new), options, cancelled)?;
    check(content, id, cancelled).map(|bytes| Unpacked { bytes, entries, notes })
}

/// The same for an archive of this size of which somebody else knows that it is what it should be: not compressed,
/// whatever it begins with.
pub(crate) fn unpack_made(
    source: impl Read,
    into: &Path,
    size: u64,
    options: &UnpackOptions,
    cancelled: &AtomicBool,
) -> Result<Unpacked, LayerError> {
    // Of these, only the size is looked at.
    let digest = crate::Digest::of(b"");
    let id = LayerId { digest, size, diff_id: digest };
    let (content, notes, entries) =
        unpack(source, into, (&id, |source| Ok(Decoder::Plain(source))), options, cancelled)?;
    Ok(Unpacked { bytes: content.size(), entries, notes })
}

/// Unpacks all of it, of which nothing is compared yet but the limits.
fn unpack<R: Read>(
    source: R,
    into: &Path,
    (id, decoder): (&LayerId, Opening<R>),
    options: &UnpackOptions,
    cancelled: &AtomicBool,
) -> Result<(Content<R>, Notes, u64), LayerError> {
    let mut compressed = BufReader::with_capacity(CHUNK, Measured::new(source, id.size));
    if let Err(error) = compressed.fill_buf() {
        let (source, size) = (error.into(), compressed.get_ref().size());
        let longer = LayerError::Size { expected: id.size, actual: size };
        return Err(if compressed.get_ref().exceeded { longer } else { LayerError::Read { source } });
    }
    let decoder = decoder(compressed).map_err(|error| LayerError::Read { source: error.into() })?;
    let content = Measured::new(decoder, options.limits.unpacked_bytes);
    let mut unpacking = Unpacking::new(Wanted::new(content, cancelled), into, options)?;
    let placed = unpacking.run(cancelled);
    let (content, notes, entries) = unpacking.into_parts();
    let mut content = content.into_inner();
    if placed.is_err() && cancelled.load(Ordering::Relaxed) {
        return Err(LayerError::Cancelled);
    }
    if content.exceeded {
        return Err(LayerError::Limit { what: "bytes unpacked", limit: options.limits.unpacked_bytes });
    }
    if let Err(error) = placed {
        return Err(longer(content, id).unwrap_or(error));
    }
    content.drain(cancelled).map_err(|error| if content.exceeded { over(&options.limits) } else { error })?;
    Ok((content, notes, entries))
}

struct Unpacking<R> {
    reader: TarReader<R>,
    root: Root,
    meta: Meta,
    devices: Devices,
    entries: u64,
    buffer: Vec<u8>,
}

impl<R: Read> Unpacking<R> {
    fn new(content: R, into: &Path, options: &UnpackOptions) -> Result<Self, LayerError> {
        let mut root = Root::new(into, Markers::for_reading(), options.limits.entries)?;
        root.markers = Markers::probe(options.form, root.fd())
            .map_err(|error| LayerError::io("make a whiteout in", into, error))?;
        Ok(Self {
            reader: TarReader::new(content, options.limits),
            root,
            meta: Meta { owners: options.owners, notes: Notes::default() },
            devices: options.devices,
            entries: 0,
            buffer: vec![0; CHUNK],
        })
    }

    fn into_parts(self) -> (R, Notes, u64) {
        (self.reader.into_source(), self.meta.notes, self.entries)
    }

    fn run(&mut self, cancelled: &AtomicBool) -> Result<(), LayerError> {
        while let Some(entry) = self.reader.next()? {
            if cancelled.load(Ordering::Relaxed) {
                return Err(LayerError::Cancelled);
            }
            self.entries += 1;
            self.entry(&entry)?;
        }
        self.finish_directories(cancelled)
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), LayerError> {
        let path = LayerPath::read(&entry.path)?;
        if let Some((parent, name)) = path.split() {
            match Asked::by(name)? {
                Asked::Itself => (),
                Asked::Whiteout(hidden) => return self.whiteout(&parent, hidden),
                Asked::Opaque => return self.opaque(&parent),
                Asked::Nothing => return Ok(()),
            }
        }
        match entry.kind {
            Kind::Directory => self.directory(&path, entry),
            Kind::File => self.file(&path, entry),
            Kind::Symlink => self.symlink(&path, entry),
            Kind::HardLink => self.hard_link(&path, entry),
            Kind::Device(kind) => self.device(entry, kind),
        }
    }

    fn directory(&mut self, path: &LayerPath, entry: &Entry) -> Result<(), LayerError> {
        let &Entry { mode, uid, gid, mtime, .. } = entry;
        // Whatever is made below a directory that has this one would get it, too.
        let (default_acl, others): (Vec<_>, Vec<_>) =
            entry.xattrs.iter().partition(|(name, _)| name == DEFAULT_ACL);
        let default_acl = default_acl.first().map(|(_, value)| value.clone());
        let meta = DirectoryMeta { mode, uid, gid, mtime, default_acl, ..DirectoryMeta::default() };
        self.root.make_directory(path, meta)?;
        if !others.is_empty() {
            let dir = self.root.open(path).map_err(|error| failed("open", path, error))?;
            self.meta.attributes(path, dir.as_fd(), others.into_iter())?;
        }
        Ok(())
    }

    fn file(&mut self, path: &LayerPath, entry: &Entry) -> Result<(), LayerError> {
        let mut file = self.root.create(path)?;
        let mut left = entry.size;
        let mut hole = false;
        while left > 0 {
            // Whole chunks, so that runs of zeros are found whatever pieces they arrive in.
            let most = left.min(CHUNK as u64) as usize;
            let mut filled = 0;
            while filled < most {
                filled += self.reader.read(&mut self.buffer[filled..most])?;
            }
            let chunk = &self.buffer[..most];
            hole = is_zero(chunk);
            // Zeros take no room on the disk, however many a small archive unpacks to.
            let done = if hole {
                file.seek(SeekFrom::Current(most as i64)).map(drop)
            } else {
                file.write_all(chunk)
            };
            done.map_err(|error| failed("write", path, error))?;
            left -= most as u64;
        }
        if hole {
            file.set_len(entry.size).map_err(|error| failed("write", path, error))?;
        }
        self.meta.file(path, &file, entry)
    }

    fn symlink(&mut self, path: &LayerPath, entry: &Entry) -> Result<(), LayerError> {
        if entry.link.is_empty() {
            return Err(LayerError::entry(&entry.path, "is a symbolic link to nothing"));
        }
        self.root.place(path, |dir, name| rustix::fs::symlinkat(&entry.link[..], dir, name))?;
        let Some((parent, name)) = path.split() else { return Ok(()) };
        let dir = self.root.parent(&parent)?;
        self.meta.link(dir, name, path, entry)
    }

    /// A further name of a file of this layer. The first one is not followed if it is a symbolic link.
    fn hard_link(&mut self, path: &LayerPath, entry: &Entry) -> Result<(), LayerError> {
        let missing = |_| LayerError::entry(&entry.path, "is a hard link to what is not in this layer");
        let target = LayerPath::read(&entry.link)?;
        let Some((parent, first)) = target.split() else { return Err(missing(())) };
        if target == *path {
            return Err(LayerError::entry(&entry.path, "is a hard link to itself"));
        }
        let from = self.root.open(&parent).map_err(|error| match error {
            Errno::NOENT => missing(()),
            Errno::LOOP => LayerError::entry(&entry.path, "is a hard link through a symbolic link"),
            error => failed("open", &parent, error),
        })?;
        if self.root.occupant(&parent, first)? != Occupant::Other {
            return Err(missing(()));
        }
        self.root.place(path, |dir, name| rustix::fs::linkat(&from, first, dir, name, AtFlags::empty()))
    }

    fn device(&mut self, entry: &Entry, kind: &'static str) -> Result<(), LayerError> {
        let name = super::shown(&entry.path);
        match self.devices {
            Devices::Refuse => Err(LayerError::Device { entry: name, kind }),
            Devices::Skip => {
                self.meta.notes.devices += 1;
                self.meta.notes.example(|| format!("{name}, a {kind}"));
                Ok(())
            }
        }
    }

    /// Hides a name of lower layers. What this layer has under it stays, whichever came first.
    fn whiteout(&mut self, parent: &LayerPath, hidden: &[u8]) -> Result<(), LayerError> {
        self.root.parent(parent)?;
        match self.root.occupant(parent, hidden)? {
            Occupant::Whiteout | Occupant::Other => Ok(()),
            Occupant::Directory => {
                let joined = [parent.bytes(), b"/", hidden].concat();
                self.opaque(&LayerPath::read(&joined)?)
            }
            Occupant::Nothing => {
                let markers = self.root.markers;
                let made = markers
                    .whiteout(self.root.parent(parent)?, hidden)
                    .map_err(|error| failed("make a whiteout in", parent, error))?;
                if let (Made::Attribute, Some(meta)) = (made, self.root.directories.get_mut(parent)) {
                    meta.attribute_whiteouts = true;
                }
                Ok(())
            }
        }
    }

    /// Hides all that lower layers have in a directory. At the root, overlayfs does not look for the mark.
    fn opaque(&mut self, dir: &LayerPath) -> Result<(), LayerError> {
        if dir.is_root() {
            return Err(LayerError::entry(OPAQUE, "hides all layers below it, which overlayfs cannot do"));
        }
        self.root.parent(dir)?;
        if let Some(meta) = self.root.directories.get_mut(dir) {
            meta.opaque = true;
        }
        Ok(())
    }

    /// Deepest first: a directory that may not be entered is in the way of those below it.
    fn finish_directories(&mut self, cancelled: &AtomicBool) -> Result<(), LayerError> {
        let directories = std::mem::take(&mut self.root.directories);
        for (path, meta) in directories.iter().rev() {
            if cancelled.load(Ordering::Relaxed) {
                return Err(LayerError::Cancelled);
            }
            let dir = self.root.open(path).map_err(|error| failed("open", path, error))?;
            let marked = match meta {
                DirectoryMeta { opaque: true, .. } => self.root.markers.make_opaque(&dir),
                DirectoryMeta { attribute_whiteouts: true, .. } => {
                    self.root.markers.mark_attribute_whiteouts(&dir)
                }
                _ => Ok(()),
            };
            marked.map_err(|error| failed("mark", path, error))?;
            self.meta.directory(path, dir.as_fd(), meta)?;
        }
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // In pieces that the compiler turns into wide instructions.
    bytes.chunks(64).all(|piece| piece.iter().fold(0, |sum, byte| sum | byte) == 0)
}

/// Unpacks an archive with whiteouts of another kind than this file system would have.
#[cfg(test)]
pub(super) fn unpack_marked(
    archive: &[u8],
    into: &Path,
    markers: Markers,
    options: &UnpackOptions,
) -> Result<(), LayerError> {
    let mut unpacking = Unpacking::new(archive, into, options)?;
    unpacking.root.markers = markers;
    unpacking.run(&AtomicBool::new(false))
}

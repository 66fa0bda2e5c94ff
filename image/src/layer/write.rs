//! A directory becomes a layer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat};

use super::capture::{Capture, Size};
use super::compression::{Compression, Encoder, looks_compressed};
use super::path::{LayerPath, OPAQUE, WHITEOUT};
use super::root::{Root, failed};
use super::stream::MeasuredWriter;
use super::whiteout::{self, Markers};
use super::{Devices, LayerError, LayerId, Notes, Owners, attributes};
use crate::tarball::{Entry, Kind, TarWriter, Time, Xattrs};

/// How a layer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteOptions {
    /// Of the archive.
    pub compression: Compression,
    /// The time of every entry, in seconds since 1970, so that equal directories are equal layers.
    pub mtime_s: u32,
    /// Whose the entries are: as in the directory, or root's.
    pub owners: Owners,
    /// What becomes of device files, named pipes and sockets.
    pub devices: Devices,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            compression: Compression::default(),
            mtime_s: 0,
            owners: Owners::Unpacker,
            devices: Devices::Skip,
        }
    }
}

/// A layer that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What describes it.
    pub id: LayerId,
    /// Bytes of the uncompressed archive.
    pub bytes: u64,
    /// What is not as in the directory.
    pub notes: Notes,
}

/// Writes the content of a directory, such as the upper directory of an overlay, as a layer: sorted by name, with
/// one time for all entries, and with overlayfs' whiteouts and opaque directories as those of OCI. The directory
/// itself is not an entry. Blocking; files are streamed.
///
/// # Errors
/// [`LayerError::Entry`] for what no layer can hold: a name that begins with `.wh.`, and what overlayfs leaves in an
/// upper directory that was mounted with `redirect_dir` or `metacopy`. [`LayerError::Io`] where the directory cannot
/// be read or `to` not be written.
pub fn write_layer(dir: &Path, to: impl Write, options: &WriteOptions) -> Result<Written, LayerError> {
    let fail = |error| LayerError::io("write the layer of", dir, error);
    let compressed = Encoder::new(options.compression, MeasuredWriter::new(to)).map_err(fail)?;
    let (content, notes) = write_content(dir, MeasuredWriter::new(compressed), options, None)?;
    let (bytes, diff_id, compressed) = content.finish();
    let (size, digest, mut to) = compressed.finish().map_err(fail)?.finish();
    to.flush().map_err(fail)?;
    Ok(Written { id: LayerId { digest, size, diff_id }, bytes, notes })
}

/// The archive alone, of all of the directory or by the rules of a capture.
pub(super) fn write_content<W: Write>(
    dir: &Path,
    to: W,
    options: &WriteOptions,
    capture: Option<&Capture<'_>>,
) -> Result<(W, Notes), LayerError> {
    let mut writing = Writing {
        root: open_root(dir)?,
        here: None,
        tar: TarWriter::new(to),
        options: *options,
        capture,
        size: Size::default(),
        begun: false,
        linked: HashMap::new(),
        notes: Notes::default(),
        buffer: vec![0; CHUNK],
    };
    writing.tree()?;
    let to = writing.tar.finish().map_err(|error| LayerError::io("write the layer of", dir, error))?;
    Ok((to, writing.notes))
}

const CHUNK: usize = 128 << 10;

fn open_root(dir: &Path) -> Result<Root, LayerError> {
    Root::new(dir, Markers::for_reading(), 0)
}

struct Writing<'c, W: Write> {
    root: Root,
    /// The directory whose entries are written, opened once for all of them.
    here: Option<(LayerPath, OwnedFd)>,
    tar: TarWriter<W>,
    options: WriteOptions,
    capture: Option<&'c Capture<'c>>,
    size: Size,
    /// Whether an entry was written.
    begun: bool,
    /// Files with several names by device and inode, with the first name.
    linked: HashMap<(u64, u64), Vec<u8>>,
    notes: Notes,
    buffer: Vec<u8>,
}

impl<W: Write> Writing<'_, W> {
    /// Every directory before what is in it. Directories are opened one at a time, however deep they are.
    fn tree(&mut self) -> Result<(), LayerError> {
        let top = LayerPath::default();
        self.marks(&top)?;
        let mut open = vec![(top.clone(), self.names(&top)?)];
        while let Some((dir, names)) = open.last_mut() {
            let Some(name) = names.pop() else {
                open.pop();
                continue;
            };
            let path = LayerPath::read(&[dir.bytes(), b"/", &name].concat())?;
            if self.entry(&dir.clone(), &name, &path)? {
                open.push((path.clone(), self.names(&path)?));
            }
        }
        Ok(())
    }

    /// Names in a directory, the last one first.
    fn names(&self, dir: &LayerPath) -> Result<Vec<Vec<u8>>, LayerError> {
        let fd = self.root.open(dir).map_err(|error| failed("open", dir, error))?;
        let mut names = Vec::new();
        for entry in Dir::read_from(fd).map_err(|error| failed("list", dir, error))? {
            let entry = entry.map_err(|error| failed("list", dir, error))?;
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable_by(|one, two| two.cmp(one));
        Ok(names)
    }

    /// Writes an entry; whether it is a directory.
    fn entry(&mut self, parent: &LayerPath, name: &[u8], path: &LayerPath) -> Result<bool, LayerError> {
        if self.capture.is_some_and(|capture| capture.leaves_out(path)) {
            return Ok(false);
        }
        let here = match self.here.take() {
            Some(here) if here.0 == *parent => here,
            _ => {
                let dir = self.root.open(parent).map_err(|error| failed("open", parent, error))?;
                (parent.clone(), dir)
            }
        };
        let is_directory = self.entry_in(&here.1, parent, name, path);
        self.here = Some(here);
        is_directory
    }

    fn entry_in(
        &mut self,
        dir: &OwnedFd,
        parent: &LayerPath,
        name: &[u8],
        path: &LayerPath,
    ) -> Result<bool, LayerError> {
        if name.starts_with(WHITEOUT) {
            return Err(LayerError::entry(path.bytes(), "begins with `.wh.`, which layers cannot hold"));
        }
        let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed("look at", path, error))?;
        if whiteout::is(dir.as_fd(), name, &stat).map_err(|error| failed("look at", path, error))? {
            self.whiteout(parent, name)?;
            return Ok(false);
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                if let Some(capture) = self.capture {
                    let unlocked = capture.unlock(dir, name, &stat);
                    unlocked.map_err(|error| failed("enter", path, error))?;
                }
                self.directory(path, &stat)?;
                return Ok(true);
            }
            FileType::RegularFile => self.file(dir, name, path, &stat)?,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())
                    .map_err(|error| failed("read the link", path, error))?;
                let link = target.into_bytes();
                self.header(&Entry { link, ..self.describe(path, Kind::Symlink, &stat) }, path)?;
            }
            other => self.device(path, other)?,
        }
        Ok(false)
    }

    fn directory(&mut self, path: &LayerPath, stat: &Stat) -> Result<(), LayerError> {
        let fd = self.root.open(path).map_err(|error| failed("open", path, error))?;
        let mut entry = self.describe(path, Kind::Directory, stat);
        entry.path.push(b'/');
        entry.xattrs = self.attributes(path, fd.as_fd())?;
        self.header(&entry, path)?;
        self.marks(path)
    }

    /// What overlayfs has to say of a directory, beyond what is in it.
    fn marks(&mut self, path: &LayerPath) -> Result<(), LayerError> {
        let fd = self.root.open(path).map_err(|error| failed("open", path, error))?;
        let read = |name| whiteout::attribute(&fd, name).map_err(|error| failed("look at", path, error));
        if read("redirect")?.is_some() {
            let problem = "was renamed by reference: mount the overlay with redirect_dir=off";
            return Err(LayerError::entry(path.bytes(), problem));
        }
        if read("opaque")?.is_some_and(|value| value == b"y") {
            self.marker([path.bytes(), b"/", OPAQUE].concat(), path)?;
        }
        Ok(())
    }

    fn whiteout(&mut self, parent: &LayerPath, name: &[u8]) -> Result<(), LayerError> {
        self.marker([parent.bytes(), b"/", WHITEOUT, name].concat(), parent)
    }

    /// An empty file that stands for something.
    fn marker(&mut self, path: Vec<u8>, at: &LayerPath) -> Result<(), LayerError> {
        let path = path.strip_prefix(b"/").unwrap_or(&path).to_vec();
        let mtime = Time { seconds: self.options.mtime_s.into(), nanos: 0 };
        let entry = Entry {
            path,
            link: Vec::new(),
            kind: Kind::File,
            size: 0,
            mode: 0o600,
            uid: 0,
            gid: 0,
            mtime,
            xattrs: Vec::new(),
        };
        self.header(&entry, at)
    }

    fn file(&mut self, dir: &OwnedFd, name: &[u8], path: &LayerPath, stat: &Stat) -> Result<(), LayerError> {
        if stat.st_nlink > 1 {
            let first = self.linked.entry((stat.st_dev, stat.st_ino)).or_insert(path.bytes().to_vec());
            if first != path.bytes() {
                let link = first.clone();
                return self.header(&Entry { link, ..self.describe(path, Kind::HardLink, stat) }, path);
            }
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(dir, name, flags, Mode::empty());
        let opened = match self.capture {
            Some(capture) => capture.open(dir, name, stat, open),
            None => open(),
        };
        let fd = opened.map_err(|error| failed("open", path, error))?;
        if whiteout::attribute(&fd, "metacopy").map_err(|error| failed("look at", path, error))?.is_some() {
            let problem = "has its content in a lower layer: mount the overlay with metacopy=off";
            return Err(LayerError::entry(path.bytes(), problem));
        }
        let size = stat.st_size as u64;
        let xattrs = self.attributes(path, fd.as_fd())?;
        self.header(&Entry { size, xattrs, ..self.describe(path, Kind::File, stat) }, path)?;
        self.content(File::from(fd), size, path)
    }

    /// As many bytes as the header says, whoever writes to the file meanwhile.
    fn content(&mut self, mut file: File, size: u64, path: &LayerPath) -> Result<(), LayerError> {
        let mut left = size;
        while left > 0 {
            let most = left.min(CHUNK as u64) as usize;
            let count = file.read(&mut self.buffer[..most]).map_err(|error| failed("read", path, error))?;
            if count == 0 {
                return Err(LayerError::entry(path.bytes(), "became shorter while it was read"));
            }
            self.tar.write(&self.buffer[..count]).map_err(|error| failed("write", path, error))?;
            left -= count as u64;
        }
        self.tar.pad(size).map_err(|error| failed("write", path, error))
    }

    fn device(&mut self, path: &LayerPath, kind: FileType) -> Result<(), LayerError> {
        let kind = match kind {
            FileType::Socket => "socket",
            FileType::Fifo => "named pipe",
            _ => "device file",
        };
        let entry = super::shown(path.bytes());
        match self.options.devices {
            Devices::Refuse => Err(LayerError::Device { entry, kind }),
            Devices::Skip => {
                self.notes.devices += 1;
                self.notes.example(|| format!("{entry}, a {kind}"));
                Ok(())
            }
        }
    }

    fn attributes(&self, path: &LayerPath, file: BorrowedFd<'_>) -> Result<Xattrs, LayerError> {
        let mut xattrs = attributes::read(path, file)?;
        if let Some(capture) = self.capture {
            capture.attributes(&mut xattrs);
        }
        Ok(xattrs)
    }

    fn header(&mut self, entry: &Entry, path: &LayerPath) -> Result<(), LayerError> {
        // What the archive begins with says how it is compressed.
        let is_first = !std::mem::replace(&mut self.begun, true);
        if is_first && self.options.compression == Compression::None && looks_compressed(&entry.path) {
            let problem =
                "is the first one, and begins as compressed files do: programs would take the layer for one";
            return Err(LayerError::entry(path.bytes(), problem));
        }
        if let Some(capture) = self.capture {
            self.size.add(&capture.limits, entry.size)?;
        }
        self.tar.entry(entry).map_err(|error| failed("write", path, error))
    }

    fn describe(&self, path: &LayerPath, kind: Kind, stat: &Stat) -> Entry {
        let (uid, gid) = match self.options.owners {
            Owners::Kept => match self.capture {
                Some(capture) => (capture.owners)(stat.st_uid, stat.st_gid),
                None => (stat.st_uid, stat.st_gid),
            },
            Owners::Unpacker | Owners::Given(_) => (0, 0),
        };
        // Links have no permissions of their own; every system says something else.
        let mode = if kind == Kind::Symlink { 0o777 } else { stat.st_mode & 0o7777 };
        let mtime = Time { seconds: self.options.mtime_s.into(), nanos: 0 };
        let path = path.bytes().to_vec();
        Entry { path, link: Vec::new(), kind, size: 0, mode, uid, gid, mtime, xattrs: Vec::new() }
    }
}

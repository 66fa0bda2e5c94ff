//! Inputs as an archive for a container.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use tar::{Builder, EntryType, Header};

use crate::layers::{join, open_dir};

/// Where inputs are in containers, relative to the root directory.
pub(super) const WORKSPACE: &[u8] = b"workspace";

/// Writes everything in `dir` as what is to be at `place`, a path relative to the root directory, with modes and times as
/// they are, owned by one user and group; but for what is at one of the paths `without` below `dir`. Directories come before
/// what is in them. Blocks.
pub(super) fn pack(
    dir: &Path,
    (place, without): (&[u8], &[Vec<u8>]),
    owner: (u32, u32),
    to: impl Write,
) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(CWD, dir, flags, Mode::empty())?;
    let tar = Builder::new(BufWriter::with_capacity(CHUNK, to));
    let mut packing = Packing { tar, place, without, owner, root };
    packing.tree()?;
    packing.tar.into_inner()?.flush()
}

const CHUNK: usize = 128 << 10;

struct Packing<'a, W: Write> {
    tar: Builder<W>,
    place: &'a [u8],
    without: &'a [Vec<u8>],
    owner: (u32, u32),
    root: OwnedFd,
}

impl<W: Write> Packing<'_, W> {
    fn tree(&mut self) -> io::Result<()> {
        let mut pending = vec![Vec::new()];
        while let Some(path) = pending.pop() {
            let dir = open_dir(self.root.as_fd(), &path)?;
            let mut header = self.header(EntryType::Directory, &rustix::fs::fstat(&dir)?);
            self.tar.append_data(&mut header, self.name(&path), io::empty())?;
            for entry in Dir::read_from(&dir)? {
                let entry = entry?;
                let file = entry.file_name().to_bytes();
                if matches!(file, b"." | b"..") {
                    continue;
                }
                let below = join(&path, file);
                if self.without.contains(&below) {
                    continue;
                }
                let stat = rustix::fs::statat(&dir, file, AtFlags::SYMLINK_NOFOLLOW)?;
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::Directory => pending.push(below),
                    FileType::RegularFile => self.file(&dir, file, &below, &stat)?,
                    FileType::Symlink => self.link(&dir, file, &below, &stat)?,
                    // Inputs consist of nothing else.
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, dir: &OwnedFd, file: &[u8], path: &[u8], stat: &Stat) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = File::from(rustix::fs::openat(dir, file, flags, Mode::empty())?);
        let mut header = self.header(EntryType::Regular, stat);
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        header.set_size(size);
        self.tar.append_data(&mut header, self.name(path), opened.take(size))
    }

    fn link(&mut self, dir: &OwnedFd, file: &[u8], path: &[u8], stat: &Stat) -> io::Result<()> {
        let target = rustix::fs::readlinkat(dir, file, Vec::new())?;
        let mut header = self.header(EntryType::Symlink, stat);
        // As it is: `append_link` makes `a/b` of `a//b`, and the step would see, and leave, another link.
        match header.set_link_name_literal(target.as_bytes()) {
            Ok(()) => self.tar.append_data(&mut header, self.name(path), io::empty()),
            // Too long for the header; what goes before it is not changed.
            Err(_) => self.tar.append_link(
                &mut header,
                self.name(path),
                Path::new(std::ffi::OsStr::from_bytes(target.as_bytes())),
            ),
        }
    }

    fn header(&self, kind: EntryType, stat: &Stat) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(if kind == EntryType::Symlink { 0o777 } else { stat.st_mode & 0o777 });
        header.set_uid(self.owner.0.into());
        header.set_gid(self.owner.1.into());
        header.set_mtime(u64::try_from(stat.st_mtime).unwrap_or(0));
        header.set_size(0);
        header
    }

    fn name(&self, path: &[u8]) -> std::path::PathBuf {
        let joined = if path.is_empty() { self.place.to_vec() } else { join(self.place, path) };
        Path::new(std::ffi::OsStr::from_bytes(&joined)).to_owned()
    }
}

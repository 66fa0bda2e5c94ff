//! What a step changed of a directory that it was given, from the archive of what it left: as the upper directory of an
//! overlay would have it.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, Timespec, Timestamps};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use super::unpack::{split, within};
use crate::layers::{join, open_dir};

/// How it is told.
pub(super) struct Changed {
    /// What the step was given, which nobody writes to.
    pub(super) before: PathBuf,
    /// Where what is different goes; empty.
    pub(super) upper: PathBuf,
    /// The most bytes of that.
    pub(super) most: u64,
}

const CHUNK: usize = 256 << 10;

/// Permissions that are compared and kept: engines do not take all of them in.
const RIGHTS: u32 = 0o777;

impl Changed {
    /// Reads the archive to its end. Blocks.
    pub(super) fn take(&self, archive: impl Read) -> io::Result<()> {
        let open = |path: &PathBuf| {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::openat(CWD, path, flags, Mode::empty())
        };
        let mut taking = Taking {
            before: open(&self.before)?,
            upper: open(&self.upper)?,
            left: self.most,
            seen: HashSet::new(),
            dirs: HashSet::new(),
            made: HashSet::new(),
            buffer: (vec![0; CHUNK], vec![0; CHUNK]),
        };
        let mut archive = Archive::new(BufReader::with_capacity(CHUNK, archive));
        for entry in archive.entries()? {
            taking.entry(entry?)?;
        }
        taking.removed()
    }
}

struct Taking {
    before: OwnedFd,
    upper: OwnedFd,
    left: u64,
    /// All that is there now, and which of it are directories.
    seen: HashSet<Vec<u8>>,
    dirs: HashSet<Vec<u8>>,
    /// Directories that the upper one has.
    made: HashSet<Vec<u8>>,
    buffer: (Vec<u8>, Vec<u8>),
}

impl Taking {
    fn entry(&mut self, mut entry: Entry<'_, impl Read>) -> io::Result<()> {
        let path = entry.path_bytes().into_owned();
        let Some(path) = within(&path).map(<[u8]>::to_vec) else { return Ok(()) };
        let kind = entry.header().entry_type();
        let known = self.known(&path)?;
        match kind {
            EntryType::Directory => {
                let mode = entry.header().mode()? & RIGHTS;
                self.dirs.insert(path.clone());
                let is_same =
                    known.as_ref().is_some_and(|stat| is_dir(stat) && stat.st_mode & RIGHTS == mode);
                if !is_same {
                    self.dir(&path)?;
                    let dir = open_dir(self.upper.as_fd(), &path)?;
                    rustix::fs::fchmod(&dir, Mode::from_raw_mode(mode | 0o700))?;
                }
            }
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                if self.link(&path, known.as_ref())?.as_deref() != Some(&target[..]) {
                    let (at, name) = self.place(&path)?;
                    rustix::fs::symlinkat(&target[..], &at, &*name)?;
                }
            }
            EntryType::Link => self.hard_link(&entry, &path, known.as_ref())?,
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&mut entry, &path, known.filter(is_file))?;
            }
            // No part of a volume.
            _ => return Ok(()),
        }
        self.seen.insert(path);
        Ok(())
    }

    fn known(&self, path: &[u8]) -> io::Result<Option<Stat>> {
        let (parent, name) = split(path);
        let dir = match open_dir(self.before.as_fd(), parent) {
            Ok(dir) => dir,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        match rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn link(&self, path: &[u8], known: Option<&Stat>) -> io::Result<Option<Vec<u8>>> {
        if !known.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink) {
            return Ok(None);
        }
        let (parent, name) = split(path);
        let dir = open_dir(self.before.as_fd(), parent)?;
        Ok(Some(rustix::fs::readlinkat(&dir, name, Vec::new())?.into_bytes()))
    }

    /// A file that is as it was is read and compared: neither its size nor its time says that for sure.
    fn file(&mut self, entry: &mut Entry<'_, impl Read>, path: &[u8], known: Option<Stat>) -> io::Result<()> {
        let (size, mode) = (entry.size(), entry.header().mode()? & RIGHTS);
        let time = i64::try_from(entry.header().mtime()?).unwrap_or(0);
        let known = known.filter(|stat| {
            (u64::try_from(stat.st_size).ok(), stat.st_mode & RIGHTS, stat.st_mtime)
                == (Some(size), mode, time)
        });
        let before = known.is_some().then(|| self.open(path)).transpose()?;
        let mut same = 0;
        if let Some(before) = &before {
            loop {
                let count = read_full(entry, &mut self.buffer.0)?;
                if count == 0 {
                    return Ok(());
                }
                before.read_exact_at(&mut self.buffer.1[..count], same)?;
                if self.buffer.0[..count] != self.buffer.1[..count] {
                    let made = self.create(path, size)?;
                    copy_start(before, &made, same, &mut self.buffer.1)?;
                    return self.rest(entry, (made, count), (same, size), (mode, time));
                }
                same += count as u64;
            }
        }
        let made = self.create(path, size)?;
        self.rest(entry, (made, 0), (0, size), (mode, time))
    }

    /// Writes what is in the buffer, and what comes after it.
    fn rest(
        &mut self,
        entry: &mut impl Read,
        (mut file, mut count): (File, usize),
        (mut at, size): (u64, u64),
        (mode, time): (u32, i64),
    ) -> io::Result<()> {
        loop {
            file.write_all(&self.buffer.0[..count])?;
            at += count as u64;
            count = read_full(entry, &mut self.buffer.0)?;
            if count == 0 {
                break;
            }
        }
        if at != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        let time = Timespec { tv_sec: time, tv_nsec: 0 };
        Ok(rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?)
    }

    fn hard_link(
        &mut self,
        entry: &Entry<'_, impl Read>,
        path: &[u8],
        known: Option<&Stat>,
    ) -> io::Result<()> {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        let Some(target) = within(&target) else { return Err(odd("a hard link out of the volume")) };
        let (parent, first) = split(target);
        let first_known = self.known(target)?;
        let made = match open_dir(self.upper.as_fd(), parent) {
            Ok(dir) => match rustix::fs::statat(&dir, first, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if is_file(&stat) => Some(dir),
                _ => None,
            },
            Err(error) if is_absent(&error) => None,
            Err(error) => return Err(error),
        };
        let from = match made {
            Some(dir) => dir,
            None => {
                let is_same = |a: &Stat, b: &Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
                if known.zip(first_known.as_ref()).is_some_and(|(a, b)| is_same(a, b)) {
                    return Ok(());
                }
                open_dir(self.before.as_fd(), parent)?
            }
        };
        let (at, name) = self.place(path)?;
        Ok(rustix::fs::linkat(&from, first, &at, &*name, AtFlags::empty())?)
    }

    fn open(&self, path: &[u8]) -> io::Result<File> {
        let (parent, name) = split(path);
        let dir = open_dir(self.before.as_fd(), parent)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&dir, name, flags, Mode::empty())?))
    }

    fn create(&mut self, path: &[u8], size: u64) -> io::Result<File> {
        self.left = self.left.checked_sub(size).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "it is more than a volume may have")
        })?;
        let (at, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&at, &*name, flags, Mode::from_raw_mode(0o600))?))
    }

    /// The directory that something goes to, and its name there.
    fn place(&mut self, path: &[u8]) -> io::Result<(OwnedFd, Vec<u8>)> {
        let (parent, name) = split(path);
        self.dir(parent)?;
        Ok((open_dir(self.upper.as_fd(), parent)?, name.to_vec()))
    }

    /// Makes a directory and those that it is in, with the rights that they had.
    fn dir(&mut self, path: &[u8]) -> io::Result<()> {
        if path.is_empty() || self.made.contains(path) {
            return Ok(());
        }
        let (parent, name) = split(path);
        self.dir(parent)?;
        let at = open_dir(self.upper.as_fd(), parent)?;
        let mode = self.known(path)?.filter(is_dir).map_or(0o755, |stat| (stat.st_mode & RIGHTS) | 0o700);
        rustix::fs::mkdirat(&at, name, Mode::from_raw_mode(0o700))?;
        let made = open_dir(at.as_fd(), name)?;
        rustix::fs::fchmod(&made, Mode::from_raw_mode(mode))?;
        self.made.insert(path.to_vec());
        Ok(())
    }

    /// Hides what is gone, by the marks that overlayfs has for that.
    fn removed(&mut self) -> io::Result<()> {
        let mut pending = vec![Vec::new()];
        while let Some(path) = pending.pop() {
            let dir = open_dir(self.before.as_fd(), &path)?;
            for entry in Dir::read_from(&dir)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if matches!(name, b"." | b"..") {
                    continue;
                }
                let below = join(&path, name);
                if !self.seen.contains(&below) {
                    let (at, name) = self.place(&below)?;
                    rustix::fs::mknodat(&at, &*name, FileType::CharacterDevice, Mode::empty(), 0)?;
                } else if self.dirs.contains(&below) && self.known(&below)?.is_some_and(|stat| is_dir(&stat))
                {
                    pending.push(below);
                }
            }
        }
        Ok(())
    }
}

fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

/// Nothing is there, or not as a directory.
fn is_absent(error: &io::Error) -> bool {
    let links = error.raw_os_error() == Some(libc::ELOOP);
    links || matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// As much as there is, up to the buffer's length.
fn read_full(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn copy_start(from: &File, mut to: &File, bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut at = 0;
    while at < bytes {
        let most = usize::try_from(bytes - at).unwrap_or(buffer.len()).min(buffer.len());
        from.read_exact_at(&mut buffer[..most], at)?;
        to.write_all(&buffer[..most])?;
        at += most as u64;
    }
    Ok(())
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the engine's archive has {what}"))
}

#[cfg(test)]
mod tests;

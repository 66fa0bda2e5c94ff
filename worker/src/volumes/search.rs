//! Values of secrets in what a step wrote: whoever has the volume next must not find them there.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use cullet_secrets::Search;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, SeekFrom, Stat};

use super::VolumeError;
use super::tidy::open_root;
use crate::collect::shown;
use crate::layers::{Places, join, open_dir_unlocking, proc_path};

/// Which files are not read: those with more than one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linked {
    /// All are read.
    Searched,
    /// They are files of layers that others have already.
    Known,
}

/// Looks for values in names, in what links lead to and in files below `dir`, which nobody else uses.
///
/// # Errors
/// [`VolumeError::Secret`] where there is one, and whatever keeps this from being known.
pub(super) fn search_all(search: &Search, dir: &Path, linked: Linked) -> Result<(), VolumeError> {
    if search.is_idle() {
        return Ok(());
    }
    let failed = |error: io::Error| VolumeError::io("look for secrets in", dir)(error);
    let (root, mut places, mut buffer) = (open_root(dir)?, Places::default(), Vec::new());
    let mut pending = vec![places.start(b"")];
    while let Some(here) = pending.pop() {
        let path = places.path(here);
        let opened = open_dir_unlocking(root.as_fd(), &path).map_err(failed)?;
        for entry in Dir::read_from(&opened).map_err(|error| failed(error.into()))? {
            let entry = entry.map_err(|error| failed(error.into()))?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let stat = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| failed(error.into()))?;
            let found = match search.bytes(name) {
                Some(secret) => Some(secret),
                None => inside(search, (&opened, name), (&stat, linked), &mut buffer).map_err(failed)?,
            };
            if let Some(secret) = found {
                return Err(VolumeError::Secret {
                    path: shown(&join(&path, name)),
                    secret: secret.to_owned(),
                });
            }
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                pending.push(places.child(here, name));
            }
        }
    }
    Ok(())
}

/// The name of a secret that is in a file, or in where a link leads.
fn inside<'s>(
    search: &'s Search,
    (dir, name): (&OwnedFd, &[u8]),
    (stat, linked): (&Stat, Linked),
    buffer: &mut Vec<u8>,
) -> io::Result<Option<&'s str>> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(dir, name, Vec::new())?;
            Ok(search.bytes(target.as_bytes()))
        }
        FileType::RegularFile if stat.st_nlink > 1 && linked == Linked::Known => Ok(None),
        FileType::RegularFile => search.read_by(Written::of(open(dir, name, stat)?), buffer),
        _ => Ok(None),
    }
}

/// Opens a file, whatever its mode is, which stays what it is.
fn open(dir: &OwnedFd, name: &[u8], stat: &Stat) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(dir, name, flags, Mode::empty());
    match open() {
        Err(rustix::io::Errno::ACCESS) => {
            let path = proc_path(dir.as_fd(), name);
            rustix::fs::chmod(&path, Mode::RUSR)?;
            let opened = open();
            rustix::fs::chmod(&path, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
            Ok(opened?.into())
        }
        opened => Ok(opened?.into()),
    }
}

/// What was written to a file. A hole is one zero: nobody has time to read as many as a file without blocks can have.
struct Written {
    file: File,
    /// How much can be read until the next hole.
    left: u64,
    at: u64,
}

impl Written {
    const fn of(file: File) -> Self {
        Self { file, left: 0, at: 0 }
    }

    /// Goes to the next data. None at the end; whether there was a hole before it.
    fn next(&mut self) -> io::Result<Option<bool>> {
        let start = match rustix::fs::seek(&self.file, SeekFrom::Data(self.at)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => return Ok(None),
            // Filesystems that do not know holes have none.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
                self.left = u64::MAX;
                return Ok(Some(false));
            }
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&self.file, SeekFrom::Hole(start))?;
        rustix::fs::seek(&self.file, SeekFrom::Start(start))?;
        let hole = start > self.at;
        (self.left, self.at) = (end.saturating_sub(start), start);
        Ok(Some(hole))
    }
}

impl Read for Written {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            match self.next()? {
                None => return Ok(0),
                Some(true) if !buffer.is_empty() => {
                    buffer[0] = 0;
                    return Ok(1);
                }
                Some(_) => {}
            }
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read(&mut buffer[..most])?;
        // It ends before it said it would where somebody made it shorter.
        self.left = if count == 0 { 0 } else { self.left - count as u64 };
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn holes_are_not_read() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 40).unwrap();
        file.write_all_at(b"in the middle", 1 << 39).unwrap();
        let mut bytes = Vec::new();
        Written::of(file).take(64 << 20).read_to_end(&mut bytes).unwrap();
        assert!(bytes.len() < 1 << 20 && bytes[1..].starts_with(b"in the middle"), "{}", bytes.len());
        let mut plain = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut plain, b"all of it").unwrap();
        assert_eq!(io::read_to_string(Written::of(plain)).unwrap(), "all of it");
    }
}

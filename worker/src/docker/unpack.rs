//! A workspace from the archive that a container gives out. What is in it, the step decided.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use crate::layers::open_dir;

const CHUNK: usize = 256 << 10;

/// Puts what the archive has below its first directory into `target`, which is an empty directory, but for what is at one of
/// the paths `without`, or below. Owners are not kept, and this user can read everything. Links in the archive are never
/// followed. Blocks.
pub(super) fn unpack(from: impl Read, target: &Path, without: &[Vec<u8>]) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut unpacking =
        Unpacking { root: rustix::fs::openat(CWD, target, flags, Mode::empty())?, buffer: vec![0; CHUNK] };
    let mut archive = Archive::new(BufReader::with_capacity(CHUNK, from));
    for entry in archive.entries()? {
        let entry = entry?;
        let is_out = |path: &[u8]| {
            let of = |dir: &Vec<u8>| {
                path.strip_prefix(&dir[..]).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
            };
            without.iter().any(of)
        };
        if within(&entry.path_bytes()).is_some_and(is_out) {
            continue;
        }
        unpacking.entry(entry)?;
    }
    Ok(())
}

struct Unpacking {
    root: OwnedFd,
    buffer: Vec<u8>,
}

impl Unpacking {
    fn entry(&mut self, mut entry: Entry<'_, impl Read>) -> io::Result<()> {
        let path = entry.path_bytes().into_owned();
        let Some(path) = within(&path).map(<[u8]>::to_vec) else { return Ok(()) };
        let (parent, name) = split(&path);
        let dir = open_dir(self.root.as_fd(), parent)?;
        match entry.header().entry_type() {
            EntryType::Directory => made(rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(0o755))),
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                made(rustix::fs::symlinkat(&target[..], &dir, name))
            }
            EntryType::Link => self.hard_link(&entry, &dir, name),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                self.file(&mut entry, &dir, name)
            }
            // Neither a pipe nor a device is data: an output that is one is refused as such.
            EntryType::Fifo | EntryType::Char | EntryType::Block => {
                made(rustix::fs::mknodat(&dir, name, FileType::Fifo, Mode::from_raw_mode(0o600), 0))
            }
            _ => Ok(()),
        }
    }

    fn hard_link(&self, entry: &Entry<'_, impl Read>, dir: &OwnedFd, name: &[u8]) -> io::Result<()> {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        let Some(target) = within(&target) else { return Err(odd("a hard link out of the workspace")) };
        let (parent, first) = split(target);
        let from = open_dir(self.root.as_fd(), parent)?;
        made(rustix::fs::linkat(&from, first, dir, name, AtFlags::empty()))
    }

    fn file(&mut self, entry: &mut Entry<'_, impl Read>, dir: &OwnedFd, name: &[u8]) -> io::Result<()> {
        let size = entry.size();
        let mode = (entry.header().mode()? & 0o755) | 0o600;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o600))?);
        let mut left = size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let count = entry.read(&mut self.buffer[..most])?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let bytes = &self.buffer[..count];
            left -= count as u64;
            // A file with holes arrives without them, and may be larger than the disk.
            if count >= HOLE && bytes.iter().all(|byte| *byte == 0) {
                file.seek(SeekFrom::Current(i64::try_from(count).unwrap_or(0)))?;
            } else {
                file.write_all(bytes)?;
            }
        }
        file.set_len(size)?;
        Ok(rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?)
    }
}

/// The shortest run of zeros that is worth a hole: a block of common filesystems.
const HOLE: usize = 4096;

/// The part of a name below the archive's first directory; none for that one itself.
pub(super) fn within(path: &[u8]) -> Option<&[u8]> {
    let slash = path.iter().position(|byte| *byte == b'/')?;
    let below = path[slash + 1..].strip_suffix(b"/").unwrap_or(&path[slash + 1..]);
    (!below.is_empty()).then_some(below)
}

pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// No engine names something twice.
fn made(made: Result<(), Errno>) -> io::Result<()> {
    Ok(made?)
}

fn odd(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the engine's archive has {what}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::super::pack::pack;
    use super::*;

    #[test]
    fn what_goes_in_comes_out() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let long = "n".repeat(200);
        fs::create_dir_all(from.path().join("a").join(&long)).unwrap();
        fs::write(from.path().join("a").join(&long).join("file"), "text").unwrap();
        fs::write(from.path().join("run"), "#!").unwrap();
        fs::set_permissions(from.path().join("run"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::write(from.path().join("zeros"), vec![0; 3 * CHUNK + 7]).unwrap();
        std::os::unix::fs::symlink(&long, from.path().join("a/link")).unwrap();
        let mut archive = Vec::new();
        pack(from.path(), (b"workspace", &[]), (7, 8), &mut archive).unwrap();
        let mut read = Archive::new(&archive[..]);
        for entry in read.entries().unwrap() {
            let entry = entry.unwrap();
            assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (7, 8));
            assert!(entry.path().unwrap().starts_with("workspace"));
        }
        unpack(&archive[..], to.path(), &[]).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("a/link/file")).unwrap(), "text");
        let zeros = fs::metadata(to.path().join("zeros")).unwrap();
        assert_eq!(zeros.len(), 3 * CHUNK as u64 + 7);
        // All but the ends of what comes in pieces.
        assert!(zeros.blocks() < 100, "no hole: {}", zeros.blocks());
        let modes = ["run", "zeros"].map(|name| fs::metadata(to.path().join(name)).unwrap().mode() & 0o777);
        assert_eq!(modes, [0o755, 0o644]);
        let cut = tempfile::tempdir().unwrap();
        assert!(unpack(&archive[..archive.len() / 2], cut.path(), &[]).is_err(), "cut off");
    }

    fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (kind, path, link) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(0);
            let name = &mut header.as_old_mut().name;
            name[..path.len()].copy_from_slice(path.as_bytes());
            if !link.is_empty() {
                header.set_link_name_literal(link).unwrap();
            }
            header.set_cksum();
            tar.append(&header, io::empty()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn nothing_gets_out() {
        let outside = tempfile::tempdir().unwrap();
        let there = outside.path().to_str().unwrap();
        let up = format!("w/../{}", "x");
        for entries in [
            &[(EntryType::Symlink, "w/l", there), (EntryType::Regular, "w/l/file", "")][..],
            &[(EntryType::Regular, "w/../x", "")],
            &[(EntryType::Regular, &up, "")],
            &[(EntryType::Link, "w/x", "w/../../etc/hostname")],
            &[(EntryType::Link, "w/x", "elsewhere")],
        ] {
            let to = tempfile::tempdir().unwrap();
            let target = to.path().join("target");
            fs::create_dir(&target).unwrap();
            assert!(unpack(&archive(entries)[..], &target, &[]).is_err(), "{entries:?}");
            assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
            assert_eq!(fs::read_dir(to.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_is_no_data_is_seen_as_such() {
        let to = tempfile::tempdir().unwrap();
        let entries = [
            (EntryType::Directory, "w/", ""),
            (EntryType::Fifo, "w/pipe", ""),
            (EntryType::Char, "w/dev", ""),
        ];
        unpack(&archive(&entries)[..], to.path(), &[]).unwrap();
        use std::os::unix::fs::FileTypeExt as _;
        for name in ["pipe", "dev"] {
            assert!(fs::symlink_metadata(to.path().join(name)).unwrap().file_type().is_fifo());
        }
    }
}

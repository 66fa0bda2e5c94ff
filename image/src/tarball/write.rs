//! Archives written, each entry in one way only: ustar where that has room, extended headers where it has not.

use std::io::{self, Write};

use tar::{EntryType, Header};

use super::pax::{PaxRecord, XATTR};
use super::{BLOCK, Entry, Kind};

/// Writes an archive as a stream.
pub(crate) struct TarWriter<W> {
    to: W,
}

/// The largest numbers that their fields have room for: eleven and seven octal digits.
const SIZE_FIELD: u64 = 0o77_777_777_777;
const ID_FIELD: u32 = 0o7_777_777;
const NAME_FIELD: usize = 100;

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(to: W) -> Self {
        Self { to }
    }

    /// What goes before the bytes of an entry. Only whole seconds of its time are kept.
    pub(crate) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let records = records(entry);
        if !records.is_empty() {
            let mut header = blank(EntryType::XHeader, entry.mtime.seconds);
            name(&mut header, b"PaxHeader");
            header.set_size(records.len() as u64);
            header.set_cksum();
            self.to.write_all(header.as_bytes())?;
            self.to.write_all(&records)?;
            self.pad(records.len() as u64)?;
        }
        self.to.write_all(own_header(entry)?.as_bytes())
    }

    /// Bytes of the entry at hand; as many as it announced, by the time that [`Self::pad`] is called.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.to.write_all(bytes)
    }

    /// Fills up the last block of an entry of this size.
    pub(crate) fn pad(&mut self, size: u64) -> io::Result<()> {
        let missing = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
        self.to.write_all(&[0; BLOCK][..missing])
    }

    /// An entry and all of its bytes.
    #[cfg(test)]
    pub(crate) fn whole(&mut self, entry: &Entry, bytes: &[u8]) -> io::Result<()> {
        self.entry(entry)?;
        self.write(bytes)?;
        self.pad(entry.size)
    }

    /// Ends the archive; what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        Ok(self.to)
    }
}

fn records(entry: &Entry) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| PaxRecord { key, value }.write(&mut records);
    if entry.path.len() > NAME_FIELD {
        add(b"path", &entry.path);
    }
    if entry.link.len() > NAME_FIELD {
        add(b"linkpath", &entry.link);
    }
    if entry.size > SIZE_FIELD {
        add(b"size", entry.size.to_string().as_bytes());
    }
    for (key, id) in [(&b"uid"[..], entry.uid), (b"gid", entry.gid)] {
        if id > ID_FIELD {
            add(key, id.to_string().as_bytes());
        }
    }
    for (attribute, value) in &entry.xattrs {
        add(&[XATTR, attribute].concat(), value);
    }
    records
}

fn own_header(entry: &Entry) -> io::Result<Header> {
    let kind = match entry.kind {
        Kind::File => EntryType::Regular,
        Kind::Directory => EntryType::Directory,
        Kind::Symlink => EntryType::Symlink,
        Kind::HardLink => EntryType::Link,
        Kind::Device(kind) => return Err(io::Error::other(format!("a {kind} is not written"))),
    };
    let mut header = blank(kind, entry.mtime.seconds);
    name(&mut header, &entry.path);
    let link = &entry.link[..entry.link.len().min(NAME_FIELD)];
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link);
    header.set_size(if entry.size > SIZE_FIELD { 0 } else { entry.size });
    header.set_mode(entry.mode);
    let id = |id: u32| if id > ID_FIELD { 0 } else { u64::from(id) };
    header.set_uid(id(entry.uid));
    header.set_gid(id(entry.gid));
    header.set_cksum();
    Ok(header)
}

fn blank(kind: EntryType, seconds: i64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mtime(u64::try_from(seconds).unwrap_or(0));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn name(header: &mut Header, path: &[u8]) {
    let path = &path[..path.len().min(NAME_FIELD)];
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
}

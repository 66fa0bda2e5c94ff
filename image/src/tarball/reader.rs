//! Entries of an archive, one after the other.

use std::io::{Read, Seek};

use tar::{EntryType, Header};

use super::extras::Extras;
use super::fields::number;
use super::pax;
use super::{BLOCK, TarError};
use crate::layer::{Limits, shown};

/// Names and values.
pub(crate) type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    Symlink,
    HardLink,
    /// Never made, so that nothing more than which it is needs to be known.
    Device(&'static str),
}

/// A modification time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Time {
    /// Since 1970, in seconds.
    pub(crate) seconds: i64,
    /// Beyond them, forward.
    pub(crate) nanos: u32,
}

/// One entry, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As the archive has it.
    pub(crate) path: Vec<u8>,
    /// Target of a link, otherwise empty.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    pub(crate) size: u64,
    /// Permission bits only.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    /// Extended attributes, in the order of the archive.
    pub(crate) xattrs: Xattrs,
}

/// Reads an archive as a stream.
pub(crate) struct TarReader<R> {
    source: R,
    limits: Limits,
    /// Bytes read so far.
    offset: u64,
    /// Header blocks read so far.
    headers: u64,
    /// Of the entry at hand, still to be read: bytes, then padding.
    body: u64,
    padding: usize,
    /// The entry at hand, for messages.
    name: String,
}

/// The most bytes of one extended header: Linux allows attributes of 64 KiB, and paths of 4 KiB; ten attributes of
/// that size on one file have not been seen.
const EXTENDED: u64 = 1 << 20;

impl<R: Read> TarReader<R> {
    pub(crate) fn new(source: R, limits: Limits) -> Self {
        Self { source, limits, offset: 0, headers: 0, body: 0, padding: 0, name: String::new() }
    }

    /// The next entry; none at the end of the archive. What was not read of the one before is skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extras = Extras::default();
        loop {
            self.skip_body()?;
            let Some(header) = self.header()? else {
                if extras.is_any() {
                    return Err(self.bad("belongs to an entry that does not come"));
                }
                return Ok(None);
            };
            let size = self.field(&header, 124..136, "size")?;
            match header.entry_type() {
                EntryType::XHeader => self.extended(size, &mut extras)?,
                // Some programs forget what came before it.
                EntryType::XGlobalHeader if extras.is_any() => {
                    return Err(self.bad("is one for all entries between an entry and what belongs to it"));
                }
                EntryType::XGlobalHeader => self.global(size)?,
                EntryType::GNULongName => self.long(size, &mut extras.path)?,
                EntryType::GNULongLink => self.long(size, &mut extras.link)?,
                _ => return self.entry(&header, size, extras).map(Some),
            }
        }
    }

    /// Bytes of the entry at hand; none when it is at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let most = usize::try_from(self.body).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(TarError::Truncated { entry: self.name.clone() });
        }
        (self.body, self.offset) = (self.body - count as u64, self.offset + count as u64);
        Ok(count)
    }

    /// Passes over what is left of the entry at hand without reading it. That the archive goes on behind it, only the
    /// next header shows.
    pub(crate) fn seek_past(&mut self) -> Result<(), TarError>
    where
        R: Seek,
    {
        let distance = std::mem::take(&mut self.body) + std::mem::take(&mut self.padding) as u64;
        self.source.seek_relative(i64::try_from(distance).unwrap_or(i64::MAX))?;
        self.offset += distance;
        Ok(())
    }

    /// Where the next byte is in the archive; right after [`Self::next`], the first one of the entry.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// What the archive was read from, wherever that stands.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    fn skip_body(&mut self) -> Result<(), TarError> {
        let mut buffer = [0; 16 * BLOCK];
        while self.read(&mut buffer)? > 0 {}
        let padding = std::mem::take(&mut self.padding);
        let read = self.fill(&mut buffer[..padding])?;
        if read < padding {
            return Err(TarError::Truncated { entry: self.name.clone() });
        }
        Ok(())
    }

    /// Fills the buffer as far as there is anything.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TarError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let count = self.source.read(&mut buffer[filled..])?;
            if count == 0 {
                break;
            }
            filled += count;
        }
        self.offset += filled as u64;
        Ok(filled)
    }

    /// The next header block whose checksum is right. An archive ends with two empty blocks; a missing end is
    /// accepted, as by every other program.
    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut header = Header::new_old();
        match self.fill(header.as_mut_bytes())? {
            0 => return Ok(None),
            BLOCK => (),
            _ => return Err(TarError::Truncated { entry: String::new() }),
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            let mut second = [0; BLOCK];
            self.fill(&mut second)?;
            let empty = second.iter().all(|byte| *byte == 0);
            return if empty { Ok(None) } else { Err(self.bad("follows a single empty block")) };
        }
        self.headers += 1;
        if self.headers > self.limits.entries {
            return Err(TarError::Entries { limit: self.limits.entries });
        }
        let sum = self.field(&header, 148..156, "checksum")?;
        let bytes = header.as_bytes();
        let is = |index| if (148..156).contains(&index) { u64::from(b' ') } else { u64::from(bytes[index]) };
        if sum != (0..BLOCK).map(is).sum::<u64>() {
            return Err(self.bad("has a wrong checksum"));
        }
        super::header::oddity(bytes).map_or(Ok(Some(header)), |problem| Err(self.bad(problem)))
    }

    /// A number of the header that cannot be negative.
    fn field(&self, header: &Header, at: std::ops::Range<usize>, name: &str) -> Result<u64, TarError> {
        let value = number(&header.as_bytes()[at]).and_then(|value| u64::try_from(value).ok());
        value.ok_or_else(|| self.bad(format!("has a {name} that is no number")))
    }

    fn bad(&self, problem: impl Into<String>) -> TarError {
        TarError::Header { offset: self.offset.saturating_sub(BLOCK as u64), problem: problem.into() }
    }

    /// All of a short body, which then is at its end.
    fn short(&mut self, size: u64, limit: u64) -> Result<Vec<u8>, TarError> {
        if size > limit {
            return Err(TarError::TooLarge {
                entry: String::new(),
                what: "bytes in an extended header",
                size,
                limit,
            });
        }
        self.begin(size);
        let mut bytes = vec![0; size as usize + std::mem::take(&mut self.padding)];
        self.body = 0;
        if self.fill(&mut bytes)? < bytes.len() {
            return Err(TarError::Truncated { entry: String::new() });
        }
        // Some programs read on to the end of the block.
        if bytes.drain(size as usize..).any(|byte| byte != 0) {
            return Err(self.bad("has something behind its end"));
        }
        Ok(bytes)
    }

    fn begin(&mut self, size: u64) {
        self.body = size;
        self.padding = (BLOCK - (size % BLOCK as u64) as usize) % BLOCK;
    }

    /// A name of GNU tar that is longer than its field.
    fn long(&mut self, size: u64, name: &mut Option<Vec<u8>>) -> Result<(), TarError> {
        let mut bytes = self.short(size, self.limits.path_bytes as u64 + 1)?;
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        if bytes.is_empty() {
            return Err(self.bad("is an empty name"));
        }
        if name.replace(bytes).is_some() {
            return Err(self.bad("names an entry twice"));
        }
        Ok(())
    }

    /// What holds for all entries to come: some programs apply it and some do not, so it may not matter.
    fn global(&mut self, size: u64) -> Result<(), TarError> {
        let bytes = self.short(size, EXTENDED)?;
        let records = pax::records(&bytes).map_err(|problem| self.bad(problem))?;
        let mut extras = Extras::default();
        for record in records {
            if extras.apply(&record).map_err(|problem| self.bad(problem))? {
                let key = shown(record.key);
                return Err(
                    self.bad(format!("sets `{key}` for all entries, which programs read differently"))
                );
            }
        }
        Ok(())
    }

    fn extended(&mut self, size: u64, extras: &mut Extras) -> Result<(), TarError> {
        let bytes = self.short(size, EXTENDED)?;
        if std::mem::replace(&mut extras.pax, true) {
            return Err(self.bad("is a second extended header for one entry"));
        }
        for record in pax::records(&bytes).map_err(|problem| self.bad(problem))? {
            extras.apply(&record).map_err(|problem| self.bad(problem))?;
        }
        Ok(())
    }

    fn entry(&mut self, header: &Header, stated: u64, extras: Extras) -> Result<Entry, TarError> {
        let is_renamed = extras.path.is_some();
        let path = extras.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = extras.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let link = link.unwrap_or_default();
        self.name = shown(&path);
        let kind = self.kind(header, &path, is_renamed)?;
        if extras.sparse || header.entry_type() == EntryType::GNUSparse {
            return Err(TarError::Sparse { entry: self.name.clone() });
        }
        let size = self.size(stated, extras.size)?;
        if kind != Kind::File && size != 0 {
            return Err(self.bad("has bytes although it is no file"));
        }
        self.check_lengths(&path, &link, size)?;
        let mode = self.field(header, 100..108, "mode")? as u32 & 0o7777;
        let uid = extras.uid.map_or_else(|| self.field(header, 108..116, "user"), Ok)?;
        let gid = extras.gid.map_or_else(|| self.field(header, 116..124, "group"), Ok)?;
        let id = |id| u32::try_from(id).map_err(|_| self.bad("has a user or group beyond 32 bits"));
        let (uid, gid) = (id(uid)?, id(gid)?);
        let seconds = number(&header.as_bytes()[136..148]).map(|seconds| Time { seconds, nanos: 0 });
        let mtime = extras.mtime.or(seconds).ok_or_else(|| self.bad("has a time that is no number"))?;
        self.begin(size);
        Ok(Entry { path, link, kind, size, mode, uid, gid, mtime, xattrs: extras.xattrs })
    }

    fn kind(&self, header: &Header, path: &[u8], is_renamed: bool) -> Result<Kind, TarError> {
        let slash = path.ends_with(b"/");
        Ok(match header.as_bytes()[156] {
            // Before there was a type for directories, the slash said so: of either name, to different programs.
            0 if is_renamed && (slash || header.path_bytes().ends_with(b"/")) => {
                return Err(self.bad("has two names and a slash that tells what it is"));
            }
            0 if slash => Kind::Directory,
            b'0' | 0 | b'7' if slash => return Err(self.bad("is a file whose name ends in a slash")),
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Device("character device"),
            b'4' => Kind::Device("block device"),
            b'5' => Kind::Directory,
            b'6' => Kind::Device("named pipe"),
            other => return Err(self.bad(format!("has the unknown type {other:#04x}"))),
        })
    }

    /// The length of the body. Where the header and the extended header give different ones, programs disagree where
    /// the next entry begins; that is only in order where the header's field has no room for the size.
    fn size(&self, stated: u64, extended: Option<u64>) -> Result<u64, TarError> {
        const FIELD: u64 = 0o77_777_777_777;
        match extended {
            None => Ok(stated),
            Some(size) if size == stated || (stated == 0 && size > FIELD) => Ok(size),
            Some(size) => Err(self.bad(format!("gives two sizes, {stated} and {size}"))),
        }
    }

    fn check_lengths(&self, path: &[u8], link: &[u8], size: u64) -> Result<(), TarError> {
        let entry = || self.name.clone();
        let longest = path.len().max(link.len());
        if longest > self.limits.path_bytes {
            let (size, limit) = (longest as u64, self.limits.path_bytes as u64);
            return Err(TarError::TooLarge { entry: entry(), what: "bytes in its name", size, limit });
        }
        if path.is_empty() || path.contains(&0) || link.contains(&0) {
            return Err(self.bad("has an empty name or one with a NUL in it"));
        }
        if size > self.limits.file_bytes {
            let limit = self.limits.file_bytes;
            return Err(TarError::TooLarge { entry: entry(), what: "bytes", size, limit });
        }
        Ok(())
    }
}

//! What the store asks of a file system, so that tests can put a faulty one under it.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

mod real;

pub use real::RealDisk;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// To read what is there.
    Read,
    /// To read and to change what is there.
    Write,
    /// Empty, whether or not it was there.
    Create,
}

/// A directory tree that may lose what is not synced.
pub trait Disk: Send + Sync + 'static {
    /// Makes the directory and those above it.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Names in the directory, in any order; names that are not UTF-8 are nobody's business here and left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Renames a file, replacing what had the name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// After it, names made, changed and removed before are durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Takes the file's lock until the returned value is dropped; None where another holder has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Any + Send + Sync>>>;
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Its length, bytes.
    fn len(&self) -> io::Result<u64>;
    /// True when it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Reads up to `buffer.len()` bytes; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some of the bytes, at least one.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Cuts or extends it with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// After it, bytes written before and the length are durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Lets the next read come from the device where the system can do that. After a failed sync the kernel may keep
    /// pages that never reached the device and call them clean.
    fn forget_cached(&self) -> io::Result<()>;
}

/// Reads exactly as many bytes as the buffer has.
pub(crate) fn read_exact(file: &dyn DiskFile, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                buffer = &mut buffer[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of the bytes.
pub(crate) fn write_all(file: &dyn DiskFile, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

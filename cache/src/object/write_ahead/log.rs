//! A log of this process.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::home::Home;

/// A log that this process has locked for as long as it is open: whoever can lock one knows that nobody writes it.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) id: u64,
    pub(super) file: File,
    path: PathBuf,
}

impl Log {
    /// A new one, which survives a power cut.
    pub(super) fn create(home: &Home, id: u64) -> io::Result<Self> {
        let (draft, path) = (home.draft(id), home.log(id));
        home.directories.make(home.wal())?;
        let file = File::options().read(true).write(true).create_new(true).open(&draft)?;
        // Locked before it can be seen, so an unlocked one is always that of a dead process.
        let named = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(io::Error::from)
            .and_then(|()| std::fs::rename(&draft, &path))
            .and_then(|()| home.sync());
        if let Err(error) = named {
            // One of them is there. Nothing else can be done about it, and it is empty.
            let _ = std::fs::remove_file(&draft);
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(Self { id, file, path })
    }

    /// Writes bytes there, so that they survive a power cut. After a failure nothing may be written to it any more.
    pub(super) fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let written = self.try_write(at, bytes);
        if written.is_err() {
            // The disk may be full. What stays does no harm.
            let _ = self.file.set_len(at);
        }
        written
    }

    fn try_write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, at)?;
        self.file.sync_data()?;
        // Somebody else's hands, or locks that hold for one machine only.
        if self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("the log was removed while it was written"));
        }
        Ok(())
    }

    /// Removes it, for good. It stays readable for whoever has it open.
    pub(super) fn remove(&self, home: &Home) -> io::Result<()> {
        home.remove(&self.path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Whether files cannot be locked there at all.
pub(super) fn has_no_locks(error: &io::Error) -> bool {
    let refusals = [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL];
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}

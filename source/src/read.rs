//! Hashing one file that somebody may be writing to.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, SystemTime};

use cullet_digest::{DigestFunction, Hasher};
use rustix::fs::fstat;
use rustix::io::{Errno, read};

use crate::opened::Opened;
use crate::stat::{FileStat, Kind, StatKey};

/// How often a file that changes under our eyes is read again, with a pause of 10 ms that doubles each time:
/// 150 ms together, enough for an editor or a compiler to finish one write, and no hang at a log that grows.
const RETRIES: u32 = 4;

/// What is read at once. It has to stay in a core's first caches between reading and hashing: with 64 KiB,
/// copying costs a fifth of hashing; with 256 KiB it costs more than hashing. Larger than most source files,
/// so that one call reads them.
pub(crate) const BUFFER: usize = 64 << 10;

/// A file whose content was hashed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hashed {
    pub(crate) hash: [u8; 32],
    pub(crate) size: u64,
    pub(crate) executable: bool,
    pub(crate) stat: StatKey,
}

/// Why a file could not be hashed.
#[derive(Debug)]
pub(crate) enum ReadError {
    Changed,
    Io(io::Error),
}

impl From<Errno> for ReadError {
    fn from(errno: Errno) -> Self {
        match errno {
            // It was there when its directory was listed, or was no link then.
            Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Self::Changed,
            errno => Self::Io(errno.into()),
        }
    }
}

/// Hashes the file `name` in `directory`, again if it changes meanwhile.
pub(crate) fn hash_file(
    function: DigestFunction,
    directory: &Opened,
    name: &[u8],
    buffer: &mut [u8],
) -> Result<Hashed, ReadError> {
    hash_with_retries(function, || directory.file(name), buffer)
}

/// Hashes what `open` opens, again if it changes meanwhile.
pub(crate) fn hash_with_retries(
    function: DigestFunction,
    open: impl Fn() -> Result<OwnedFd, Errno>,
    buffer: &mut [u8],
) -> Result<Hashed, ReadError> {
    retry(|| hash_once(function, &open()?, buffer))
}

fn retry<T>(mut attempt: impl FnMut() -> Result<T, ReadError>) -> Result<T, ReadError> {
    let mut pause = Duration::from_millis(10);
    for _ in 0..RETRIES {
        match attempt() {
            Err(ReadError::Changed) => std::thread::sleep(pause),
            done => return done,
        }
        pause *= 2;
    }
    attempt()
}

fn hash_once(function: DigestFunction, file: &OwnedFd, buffer: &mut [u8]) -> Result<Hashed, ReadError> {
    let before = Before::look(file)?;
    let size = before.stat.key.size;
    let hash = if size <= buffer.len() as u64 {
        let mut filled = 0;
        while filled < size as usize {
            match read_some(file, &mut buffer[filled..size as usize])? {
                0 => return Err(ReadError::Changed),
                some => filled += some,
            }
        }
        function.digest(&buffer[..filled])
    } else {
        let mut hasher = Hasher::new(function);
        while hasher.size() < size {
            match read_some(file, buffer)? {
                0 => return Err(ReadError::Changed),
                some => hasher.update(&buffer[..some]),
            }
        }
        hasher.finish()
    };
    before.confirm(file, *hash.hash(), hash.size())
}

fn read_some(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize, Errno> {
    loop {
        match read(file.as_fd(), &mut *buffer) {
            Err(Errno::INTR) => {}
            done => return done,
        }
    }
}

/// A file as it was before its content was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before {
    pub(crate) stat: FileStat,
    at: SystemTime,
}

impl Before {
    pub(crate) fn look(file: &OwnedFd) -> Result<Self, ReadError> {
        let at = SystemTime::now();
        let stat = FileStat::new(&fstat(file)?);
        if stat.kind == Kind::File { Ok(Self { stat, at }) } else { Err(ReadError::Changed) }
    }

    /// The result, if the file is still as it was and as long as what was read.
    pub(crate) fn confirm(&self, file: &OwnedFd, hash: [u8; 32], size: u64) -> Result<Hashed, ReadError> {
        let after = FileStat::new(&fstat(file)?);
        if after.key != self.stat.key || size != after.key.size {
            return Err(ReadError::Changed);
        }
        let stat = after.key.if_settled(self.at);
        Ok(Hashed { hash, size, executable: after.executable, stat })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    fn hash(path: &std::path::Path) -> Result<Hashed, ReadError> {
        let open = || Ok(OwnedFd::from(File::open(path).map_err(|_| Errno::NOENT)?));
        hash_with_retries(DigestFunction::Blake3, open, &mut vec![0; 4096])
    }

    #[test]
    fn small_and_large_files_are_hashed_whole() {
        let dir = tempfile::tempdir().unwrap();
        for size in [0, 1, 4095, 4096, 4097, 100_000] {
            let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let path = dir.path().join(size.to_string());
            fs::write(&path, &bytes).unwrap();
            let hashed = hash(&path).unwrap();
            assert_eq!(hashed.hash, *DigestFunction::Blake3.digest(&bytes).hash(), "{size} bytes");
            assert_eq!(hashed.size, size);
        }
    }

    #[test]
    fn a_file_that_changes_once_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "old").unwrap();
        let file = OwnedFd::from(File::open(&path).unwrap());
        let before = Before::look(&file).unwrap();
        fs::write(&path, "newer").unwrap();
        assert!(matches!(before.confirm(&file, [0; 32], 3), Err(ReadError::Changed)));
        assert_eq!(hash(&path).unwrap().hash, *DigestFunction::Blake3.digest(b"newer").hash());
    }

    #[test]
    fn a_file_that_never_rests_is_given_up() {
        let mut attempts = 0;
        let result: Result<(), _> = retry(|| {
            attempts += 1;
            Err(ReadError::Changed)
        });
        assert!(matches!(result, Err(ReadError::Changed)));
        assert_eq!(attempts, RETRIES + 1);
    }

    #[test]
    fn a_file_that_comes_to_rest_is_taken() {
        let mut attempts = 0;
        let result = retry(|| {
            attempts += 1;
            if attempts < 3 { Err(ReadError::Changed) } else { Ok(attempts) }
        });
        assert_eq!(result.ok(), Some(3));
    }

    #[test]
    fn a_file_that_lost_its_end_is_noticed_while_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, [7; 100]).unwrap();
        let file = OwnedFd::from(File::open(&path).unwrap());
        let mut start = [0; 60];
        rustix::io::read(&file, &mut start).unwrap();
        // 40 bytes are left where the status says 100.
        let result = hash_once(DigestFunction::Blake3, &file, &mut vec![0; 1000]);
        assert!(matches!(result, Err(ReadError::Changed)));
    }
}

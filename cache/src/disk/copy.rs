//! Bytes from one file to another.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use cullet_digest::{Digest, DigestFunction, Hasher};

/// Large enough for BLAKE3 to use all lanes of the processor, small enough for its caches.
const BUFFER: usize = 128 << 10;

/// Hashes what is left of a stream.
pub(super) fn hash(function: DigestFunction, source: &mut impl Read, size_hint: u64) -> io::Result<Digest> {
    hash_while_copying(function, source, &mut io::sink(), size_hint)
}

/// Copies what is left of a stream, and gives the digest of what was written.
pub(super) fn hash_while_copying(
    function: DigestFunction,
    source: &mut impl Read,
    dest: &mut impl Write,
    size_hint: u64,
) -> io::Result<Digest> {
    let mut hasher = Hasher::new(function);
    // One more than announced, so that the end is seen without another buffer; never a huge buffer on a promise.
    let mut buffer = vec![0; usize::try_from(size_hint + 1).unwrap_or(BUFFER).min(BUFFER)];
    loop {
        let len = match source.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(len) => len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&buffer[..len]);
        dest.write_all(&buffer[..len])?;
    }
}

/// Makes `dest` share the blocks of `source`; false where the filesystem cannot.
pub(super) fn reflink(source: &File, dest: &File) -> bool {
    // Asked once per process and answered for all: a cache and what is made from it are nearly always on one
    // filesystem, and where they are not a copy is right as well.
    static POINTLESS: AtomicBool = AtomicBool::new(false);
    if POINTLESS.load(Ordering::Relaxed) {
        return false;
    }
    let done = clone(source, dest);
    if !done {
        POINTLESS.store(true, Ordering::Relaxed);
    }
    done
}

#[cfg(target_os = "linux")]
fn clone(source: &File, dest: &File) -> bool {
    rustix::fs::ioctl_ficlone(dest, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn clone(_source: &File, _dest: &File) -> bool {
    false
}

/// Copies the bytes of an open file to an empty one, in the cheapest way there is.
pub(super) fn copy(mut source: &File, mut dest: &File) -> io::Result<()> {
    if !reflink(source, dest) {
        // Within the kernel, where the two filesystems allow it.
        io::copy(&mut source, &mut dest)?;
    }
    Ok(())
}

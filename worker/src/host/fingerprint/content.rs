//! What stands for a file's contents.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use cullet_digest::{DigestFunction, Hasher};

/// The largest script whose home paths are normalised; wrappers are far smaller.
const MAX_SCRIPT_BYTES: u64 = 64 << 10;
/// Files above this stand for themselves by their size and three samples: reading a gigabyte of compilers before a
/// first build is a second that nobody would understand. What makes two large programs or archives of the same
/// size differ shows there: an ELF file's build id and an archive's index at its start, a zip file's at its end.
const MAX_WHOLE_BYTES: u64 = 1 << 20;
const SAMPLE_BYTES: usize = 64 << 10;

/// The digest of a file's contents, in hexadecimal. In a script, the home directory is read as `~`: wrappers
/// contain their own path.
pub(super) fn digest(path: &Path, size: u64, home: Option<&Path>) -> io::Result<String> {
    let mut file = File::open(path)?;
    if size <= MAX_SCRIPT_BYTES {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if let (true, Some(home)) = (bytes.starts_with(b"#!"), home) {
            bytes = without_home(&bytes, home);
        }
        return Ok(DigestFunction::Blake3.digest(&bytes).hash_hex());
    }
    if size <= MAX_WHOLE_BYTES {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        return Ok(DigestFunction::Blake3.digest(&bytes).hash_hex());
    }
    let mut hasher = Hasher::new(DigestFunction::Blake3);
    let mut sample = vec![0; SAMPLE_BYTES];
    hasher.update(&size.to_le_bytes());
    for offset in [0, size / 2, size - SAMPLE_BYTES as u64] {
        file.read_exact_at(&mut sample, offset)?;
        hasher.update(&sample);
    }
    Ok(hasher.finish().hash_hex())
}

/// The text with the home directory written as `~`.
pub(super) fn without_home(bytes: &[u8], home: &Path) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    match home.to_str() {
        // A home of `/` or nothing would turn every slash into a tilde.
        Some(home) if home.len() > 1 => text.replace(home, "~").into_bytes(),
        _ => bytes.to_vec(),
    }
}

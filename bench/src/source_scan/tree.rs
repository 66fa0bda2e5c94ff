//! Trees to scan.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;

/// Files in one directory.
const PER_DIRECTORY: usize = 100;

/// So many small files, each different, in directories two deep.
pub(crate) fn many_files(root: &Path, files: usize) -> Result<()> {
    for directory in 0..files.div_ceil(PER_DIRECTORY) {
        let at = root.join(format!("part-{}", directory / 25)).join(format!("dir-{directory}"));
        fs::create_dir_all(&at)?;
        for file in 0..PER_DIRECTORY.min(files - directory * PER_DIRECTORY) {
            fs::write(
                at.join(format!("file-{file}.txt")),
                format!("file {file} of directory {directory}\n"),
            )?;
        }
    }
    Ok(())
}

/// So many bytes: half in files of 16 MiB, a quarter in files of 512 KiB, a quarter in files of 64 KiB.
pub(crate) fn many_bytes(root: &Path, bytes: u64) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for (name, share, size) in [("large", 2, 16 << 20), ("middle", 4, 512 << 10), ("small", 4, 64 << 10)] {
        let at = root.join(name);
        fs::create_dir_all(&at)?;
        for number in 0..(bytes / share / size).max(1) {
            let file = at.join(format!("{number}.bin"));
            fs::write(&file, noise(number ^ size, size as usize))?;
            files.push(file);
        }
    }
    Ok(files)
}

/// Bytes that no filesystem shortens (xorshift64).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

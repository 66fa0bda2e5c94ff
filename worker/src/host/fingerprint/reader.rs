//! Reading files and directories, or remembering them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cullet_digest::DigestFunction;

use super::memory::{Content, Memory, Stamp};

/// The largest script whose home paths are normalised; wrappers are far smaller.
const MAX_SCRIPT_BYTES: u64 = 64 << 10;
/// The most names of one directory that are looked at. Tool directories have hundreds.
const MAX_NAMES: usize = 50_000;
const BUFFER_BYTES: usize = 256 << 10;

/// Reads what has changed since the last time, and remembers the rest.
pub(super) struct Reader {
    known: Memory,
    seen: Memory,
    read_any: bool,
}

impl Reader {
    pub(super) fn new(known: Memory) -> Self {
        Self { known, seen: Memory::new(), read_any: false }
    }

    /// What to remember, unless it is what was known before.
    pub(super) fn into_changed_memory(self) -> Option<Memory> {
        (self.read_any || self.seen.len() != self.known.len()).then_some(self.seen)
    }

    /// The digest of a file's contents; `None` when there is none to read. Links are followed. In a script, the
    /// home directory is read as `~`: wrappers contain their own path.
    pub(super) fn file(&mut self, path: &Path, home: Option<&Path>) -> Option<String> {
        let found = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let content = self.remember(path, &found, || digest(path, found.len(), home).map(Content::File))?;
        match content {
            Content::File(digest) => Some(digest),
            Content::Names(_) => None,
        }
    }

    /// The names in a directory, sorted; none when there is no such directory.
    pub(super) fn names(&mut self, path: &Path) -> Vec<String> {
        let Some(found) = fs::metadata(path).ok().filter(fs::Metadata::is_dir) else {
            return Vec::new();
        };
        match self.remember(path, &found, || names(path).map(Content::Names)) {
            Some(Content::Names(names)) => names,
            _ => Vec::new(),
        }
    }

    fn remember(
        &mut self,
        path: &Path,
        found: &fs::Metadata,
        read: impl FnOnce() -> io::Result<Content>,
    ) -> Option<Content> {
        let stamp = Stamp::of(found);
        let key = PathBuf::from(path);
        if let Some((known, content)) = self.known.get(&key)
            && *known == stamp
        {
            self.seen.insert(key, (stamp, content.clone()));
            return Some(content.clone());
        }
        let content = read().ok()?;
        if stamp.is_settled() {
            self.read_any = true;
            self.seen.insert(key, (stamp, content.clone()));
        }
        Some(content)
    }
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(path)?.take(MAX_NAMES) {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

fn digest(path: &Path, size: u64, home: Option<&Path>) -> io::Result<String> {
    let mut file = File::open(path)?;
    if size <= MAX_SCRIPT_BYTES {
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        if let (true, Some(home)) = (bytes.starts_with(b"#!"), home) {
            bytes = without_home(&bytes, home);
        }
        return Ok(DigestFunction::Blake3.digest(&bytes).hash_hex());
    }
    let mut hasher = cullet_digest::Hasher::new(DigestFunction::Blake3);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish().hash_hex()),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// The text with the home directory written as `~`.
fn without_home(bytes: &[u8], home: &Path) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    match home.to_str() {
        // A home of `/` or nothing would turn every slash into a tilde.
        Some(home) if home.len() > 1 => text.replace(home, "~").into_bytes(),
        _ => bytes.to_vec(),
    }
}

//! Results that are still to be published: an empty file each, so that they outlive the process.

use std::io;
use std::path::{Path, PathBuf};

use cullet_digest::{Digest, DigestFunction};

use crate::Scope;

/// A directory of names. Not synced: a process that is killed leaves them, and what a power cut takes is a result that
/// only this machine has.
#[derive(Debug, Clone)]
pub(super) struct Queue(PathBuf);

/// Results left by earlier processes that are taken up at once: more of them are for later runs.
const MOST_TAKEN: usize = 10_000;

impl Queue {
    /// What is to go to this scope of a place.
    pub(super) fn of(cache_dir: &Path, place: &str, scope: &Scope) -> Self {
        let hash = DigestFunction::Blake3.digest(format!("{scope} {place}").as_bytes());
        Self(cache_dir.join("unpublished").join(&hash.hash_hex()[..16]))
    }

    pub(super) fn add(&self, action: &Digest) -> io::Result<()> {
        let path = self.path(action);
        match std::fs::write(&path, []) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(&self.0)?;
                std::fs::write(path, [])
            }
            written => written,
        }
    }

    pub(super) fn remove(&self, action: &Digest) {
        // One that stays is published once more, which changes nothing.
        let _ = std::fs::remove_file(self.path(action));
    }

    /// What is in it. Names of no action are passed over.
    pub(super) fn all(&self) -> Vec<Digest> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let names = entries.flatten().map(|entry| entry.file_name());
        names.filter_map(|name| digest(name.to_str()?)).take(MOST_TAKEN).collect()
    }

    fn path(&self, action: &Digest) -> PathBuf {
        self.0.join(format!("{}-{}-{}", action.function(), action.hash_hex(), action.size()))
    }
}

fn digest(name: &str) -> Option<Digest> {
    let (function, rest) = name.split_once('-')?;
    Digest::parse(function.parse().ok()?, &rest.replace('-', "/")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_queued_is_found_again_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let queue = Queue::of(dir.path(), "s3://a", &Scope::Protected);
        assert!(queue.all().is_empty());
        let mut actions: Vec<Digest> =
            [DigestFunction::Blake3, DigestFunction::Sha256].map(|function| function.digest(b"x")).into();
        actions.iter().for_each(|action| queue.add(action).unwrap());
        std::fs::write(queue.0.join("other"), []).unwrap();
        std::fs::write(queue.0.join("blake3-00-1"), []).unwrap();
        let mut found = Queue::of(dir.path(), "s3://a", &Scope::Protected).all();
        found.sort();
        actions.sort();
        assert_eq!(found, actions);
        assert!(
            Queue::of(dir.path(), "s3://b", &Scope::Protected).all().is_empty(),
            "another place wants others"
        );
        let branch = Scope::Branch("x".to_owned());
        assert!(Queue::of(dir.path(), "s3://a", &branch).all().is_empty(), "and so does another scope");
        actions.iter().for_each(|action| queue.remove(action));
        assert!(queue.all().is_empty());
    }
}

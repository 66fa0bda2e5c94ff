//! How far the journal of this machine is with a cluster.

use std::fs;
use std::path::{Path, PathBuf};

use cullet_coordinator::glass::Head;
use serde::{Deserialize, Serialize};

use super::files;
use super::journal::{JournalError, head};

/// What a cluster said that it has.
#[derive(Debug, Serialize, Deserialize)]
struct Sent {
    /// As it was asked.
    cluster: String,
    /// The last entry that it has.
    #[serde(flatten)]
    head: Head,
}

/// Remembers that a cluster has all up to this entry.
///
/// # Errors
/// The disk.
pub(crate) fn remember(dir: &Path, cluster: &str, head: Head) -> Result<(), JournalError> {
    let path = path(dir);
    let sent = serde_json::to_vec(&Sent { cluster: cluster.to_owned(), head })?;
    files::replace(&path, &sent).map_err(|error| JournalError::io("write", &path, error))
}

/// How many entries no cluster has, as far as this machine knows. Two short files are read for that.
pub(crate) fn unsent(dir: &Path) -> u64 {
    let Some(head) = head(dir) else { return 0 };
    let sent: Option<Sent> = fs::read(path(dir)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    head.seq.saturating_sub(sent.map_or(0, |sent| sent.head.seq))
}

fn path(dir: &Path) -> PathBuf {
    dir.join("sent.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_after_it_was_sent_is_unsent() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(unsent(dir.path()), 0, "nobody broke the glass");
        let head = |seq| Head { seq, hash: "x".to_owned() };
        let comes_to =
            |seq| fs::write(dir.path().join("head.json"), serde_json::to_vec(&head(seq)).unwrap()).unwrap();
        comes_to(2);
        assert_eq!(unsent(dir.path()), 2);
        remember(dir.path(), "http://c-0:7400", head(2)).unwrap();
        assert_eq!(unsent(dir.path()), 0);
        comes_to(5);
        assert_eq!(unsent(dir.path()), 3);
        fs::write(path(dir.path()), "x").unwrap();
        assert_eq!(unsent(dir.path()), 5, "rather once too often than not at all");
    }
}

//! The journal of a machine: a file of signed lines, each of which names the one before. It only ever grows.
//!
//! How far it has come is in a second file, written after each entry, so that entries that are missing at the end are missed.

use std::fs::{self, File};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use cullet_cache::{KeyError, PublicKey, SigningKey};
use cullet_coordinator::glass::{Entry, Event, Head, Line, NOTHING, Who, hash, lines, seal};

use super::{files, key};
use crate::config::GlassSettings;
use crate::error::CliError;
use crate::ui::duration::{now_ms, rfc3339};

/// Why there is no journal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// The disk.
    #[error("cannot {action} {}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What serialises cannot fail here, but says that it could.
    #[error("an entry cannot be written")]
    Entry(#[from] serde_json::Error),
}

impl JournalError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

impl From<JournalError> for CliError {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Key(error) => Self::usage("the journal cannot be signed").because(error),
            error => Self::infra("the journal of break-glass runs cannot be written")
                .because(error)
                .hint("`dir` in [break-glass] of the configuration file names another directory for it"),
        }
    }
}

/// The journal of this machine, with what signs it.
#[derive(Debug)]
pub(crate) struct Journal {
    dir: PathBuf,
    key: SigningKey,
}

/// An entry that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Appended {
    pub(crate) seq: u64,
    /// What a person should know of the journal, each a sentence.
    pub(crate) notes: Vec<String>,
}

/// While it lives, the run counts as going on.
#[derive(Debug)]
pub(crate) struct Running {
    path: PathBuf,
    _held: File,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Whoever finds it without its lock knows that nobody is there.
        let _ = fs::remove_file(&self.path);
    }
}

impl Journal {
    /// The journal in its directory, both made if need be.
    ///
    /// # Errors
    /// Either cannot be made, or the key cannot be read.
    pub(crate) fn open(settings: &GlassSettings) -> Result<Self, JournalError> {
        let dir = settings.dir.clone();
        files::private_dir(&dir).map_err(|error| JournalError::io("make", &dir, error))?;
        let _lock = lock(&dir)?;
        let key = key::of(&dir, settings.signing_key.as_deref())?;
        Ok(Self { dir, key })
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        path_in(&self.dir)
    }

    /// What checks its signatures.
    pub(crate) fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// Makes sure that an entry could be written.
    ///
    /// # Errors
    /// It could not.
    pub(crate) fn try_out(&self) -> Result<(), JournalError> {
        let path = self.path();
        files::private()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(|error| JournalError::io("write", &path, error))?;
        trial(&self.dir)
    }

    /// Writes an entry. When this returns, it is on the disk.
    ///
    /// # Errors
    /// It could not be written; then nothing of it is in the journal.
    pub(crate) fn append(&self, who: &Who, run: &str, event: Event) -> Result<Appended, JournalError> {
        let _lock = lock(&self.dir)?;
        let path = self.path();
        let failed = |error| JournalError::io("write", &path, error);
        let is_new = !path.exists();
        let mut file = files::private().create(true).truncate(false).open(&path).map_err(failed)?;
        let bytes = fs::read(&path).map_err(|error| JournalError::io("read", &path, error))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut notes = Vec::new();
        if whole < bytes.len() {
            notes.push(self.set_aside(&file, &bytes[whole..], whole as u64)?);
        }
        let (seq, previous) = self.next(&bytes[..whole], &mut notes);
        let time = rfc3339(now_ms());
        let entry = Entry { seq, time, previous, who: who.clone(), run: run.to_owned(), event };
        let line = seal(&entry, &self.key)?;
        let written = file.seek(SeekFrom::Start(whole as u64)).and_then(|_| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_all()?;
            if is_new { files::sync_directory_of(&path) } else { Ok(()) }
        });
        if let Err(error) = written {
            // Where not even this works, the next one sets it aside.
            let _ = file.set_len(whole as u64);
            return Err(failed(error));
        }
        let head = serde_json::to_vec(&Head { seq, hash: hash(line.as_bytes()) })?;
        let place = head_in(&self.dir);
        if let Err(error) = files::replace(&place, &head) {
            // An entry that is taken for missing must not be there.
            let _ = file.set_len(whole as u64).and_then(|()| file.sync_all());
            return Err(JournalError::io("write", &place, error));
        }
        Ok(Appended { seq, notes })
    }

    /// The number of the next entry, and what it names as the one before. What is known to have been there before counts,
    /// even if it is gone: then the gap stays to be seen.
    fn next(&self, bytes: &[u8], notes: &mut Vec<String>) -> (u64, String) {
        let lines: Vec<&[u8]> = lines(bytes).collect();
        let (seq, hashed) = match lines.last() {
            None => (0, NOTHING.to_owned()),
            Some(last) => match Line::parse(last) {
                Some(line) => (line.entry.seq, hash(last)),
                None => {
                    notes.push("the last entry of the journal is damaged".to_owned());
                    (lines.len() as u64, hash(last))
                }
            },
        };
        match head(&self.dir) {
            Some(head) if head.seq > seq || head.seq == seq && head.hash != hashed => {
                notes.push(
                    "the journal is not what it was: entries at its end were changed or removed (cullet journal verify)"
                        .to_owned(),
                );
                (head.seq + 1, head.hash)
            }
            _ => (seq + 1, hashed),
        }
    }

    /// Keeps half a line, of an entry that was being written when the power went, in a file of its own.
    fn set_aside(&self, file: &File, torn: &[u8], whole: u64) -> Result<String, JournalError> {
        let aside = self.dir.join(format!("torn-{}-{:08x}.txt", now_ms(), crate::random::number() as u32));
        files::replace(&aside, torn).map_err(|error| JournalError::io("write", &aside, error))?;
        let cut = file.set_len(whole).and_then(|()| file.sync_all());
        cut.map_err(|error| JournalError::io("mend", &self.path(), error))?;
        Ok(format!("the journal ended with half an entry, which is kept in {}", aside.display()))
    }

    /// Says of a run that it goes on, as long as what is returned lives.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn running(&self, run: &str) -> Result<Running, JournalError> {
        let path = running_in(&self.dir, run);
        let failed = |error| JournalError::io("write", &path, error);
        let held = files::private().create(true).truncate(false).open(&path).map_err(failed)?;
        held.lock().map_err(failed)?;
        Ok(Running { path: path.clone(), _held: held })
    }
}

/// Makes sure that something can be written in a directory that is there.
///
/// # Errors
/// It cannot.
pub(crate) fn trial(dir: &Path) -> Result<(), JournalError> {
    let trial = dir.join("trial");
    let written = files::replace(&trial, b"trial\n").and_then(|()| fs::remove_file(&trial));
    written.map_err(|error| JournalError::io("write", &trial, error))
}

/// The journal in a directory.
pub(crate) fn path_in(dir: &Path) -> PathBuf {
    dir.join("journal.jsonl")
}

fn head_in(dir: &Path) -> PathBuf {
    dir.join("head.json")
}

fn running_in(dir: &Path, run: &str) -> PathBuf {
    dir.join(format!("{run}.running"))
}

/// How far the journal in a directory has come, as far as that is known.
pub(crate) fn head(dir: &Path) -> Option<Head> {
    serde_json::from_slice(&fs::read(head_in(dir)).ok()?).ok()
}

/// Whether a process of this machine executes the run.
pub(crate) fn is_running(dir: &Path, run: &str) -> bool {
    File::open(running_in(dir, run)).is_ok_and(|file| file.try_lock_shared().is_err())
}

/// One at a time writes; held for milliseconds.
fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let failed = |error| JournalError::io("lock", &path, error);
    let file = files::private().create(true).truncate(false).open(&path).map_err(failed)?;
    file.lock().map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;

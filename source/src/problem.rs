//! What can be wrong with a tree.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cullet_digest::DirectoryError;

/// Why a source tree could not be scanned.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// The root is not there, is no directory, or may not be read.
    #[error("the source directory '{}' cannot be opened", path.display())]
    Root {
        /// As asked for.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The repository's own ignore files, above the root, cannot be read.
    #[error("'{}', which says what belongs to the source, cannot be read", path.display())]
    IgnoreFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Entries of the tree that cannot be part of a source.
    #[error("{0}")]
    Entries(Problems),
    /// There is more than [`crate::ScanLimits`] allows.
    #[error(
        "the source directory '{}' has more than {limit} entries: exclude what the steps do not need \
         (`exclude` of the source, or a .gitignore file)", path.display()
    )]
    TooMany {
        /// The source's root.
        path: PathBuf,
        /// The bound that was passed.
        limit: u32,
    },
    /// A directory of the tree has no canonical form; no file system allows this.
    #[error("a directory of the source has no canonical form")]
    Directory(#[from] DirectoryError),
}

/// Everything that is wrong with a tree, at once.
#[derive(Debug)]
pub struct Problems {
    /// Sorted by path, at most [`crate::ScanLimits::max_reports`].
    pub list: Vec<Problem>,
    /// How many more there were.
    pub more: u64,
}

/// One entry that cannot be part of a source.
#[derive(Debug)]
pub struct Problem {
    /// From the source's root, `/` between segments, made printable: see [`printable`].
    pub path: String,
    /// What is wrong.
    pub kind: ProblemKind,
}

/// What is wrong with an entry.
#[derive(Debug, thiserror::Error)]
pub enum ProblemKind {
    /// The name is not UTF-8, which REAPI asks of names.
    #[error("the name is not UTF-8: rename it or exclude it")]
    NameNotUtf8,
    /// The target of a symbolic link is not UTF-8.
    #[error("the target of this symbolic link is not UTF-8: change it or exclude the link")]
    TargetNotUtf8,
    /// A FIFO, a socket or a device.
    #[error("a {0} cannot be the input of a step: exclude it or remove it")]
    Special(&'static str),
    /// It may not be read.
    #[error("it cannot be read ({0}): make it readable for the user who runs this, or exclude it")]
    Unreadable(#[source] io::Error),
    /// Somebody is writing to it, and went on through every retry.
    #[error("it changed while it was read: wait until nothing writes to it, or exclude it")]
    Changed,
    /// It is inside more directories than [`crate::ScanLimits::max_depth`].
    #[error("it lies more than {0} directories deep: exclude the directory at the top")]
    TooDeep(u32),
    /// A `.gitignore` file with more than [`crate::ScanLimits::max_ignore_bytes`].
    #[error("an ignore file of more than {0} bytes is refused: shorten it")]
    IgnoreFileTooLarge(u64),
}

/// Something that is allowed and probably not meant.
#[derive(Debug)]
pub enum ScanWarning {
    /// A symbolic link that leads out of the source, where a step will find something else, or nothing.
    SymlinkLeavesSource {
        /// From the source's root, made printable.
        path: String,
        /// Where it points, made printable.
        target: String,
    },
    /// The stat cache could not be written: the next scan will read more files than it had to.
    CacheNotWritten {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Warnings that are not listed.
    More(u64),
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of the source cannot be used:", count_entries(self.list.len() as u64 + self.more))?;
        for Problem { path, kind } in &self.list {
            write!(f, "\n  {path}: {kind}")?;
        }
        if self.more > 0 {
            write!(f, "\n  and {} more", self.more)?;
        }
        Ok(())
    }
}

fn count_entries(count: u64) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

impl fmt::Display for ScanWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SymlinkLeavesSource { path, target } => {
                write!(f, "{path}: the symbolic link leads out of the source, to {target}")
            }
            Self::CacheNotWritten { path, source } => {
                write!(f, "the stat cache '{}' could not be written: {source}", path.display())
            }
            Self::More(count) => write!(f, "and {count} more warnings"),
        }
    }
}

/// Bytes of a path for a person: what is not UTF-8 as `\xNN`, control characters and backslashes escaped, so
/// that a newline in a name can forge no line of a message.
pub fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || character == '\\' {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// The longest path the kernel takes. A tree can be deeper: its megabytes of path would help nobody.
const SHOWN: usize = 4096;

/// A path for a report, its middle left out where it is very long.
fn shown(path: &[u8]) -> String {
    if path.len() <= SHOWN {
        return printable(path);
    }
    format!("{} … {}", printable(&path[..SHOWN / 2]), printable(&path[path.len() - SHOWN / 2..]))
}

/// Where the threads of a scan put what they find.
#[derive(Debug)]
pub(crate) struct Reports {
    max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    // By path, so that an ignore file that cannot be read is reported once, not again when it is hashed.
    problems: BTreeMap<String, ProblemKind>,
    more_problems: u64,
    warnings: BTreeMap<String, String>,
    more_warnings: u64,
}

impl Reports {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // What a panicking thread left behind is still a list of true reports.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn problem(&self, path: &[u8], kind: ProblemKind) {
        let mut inner = self.lock();
        let path = shown(path);
        if inner.problems.len() < self.max {
            inner.problems.entry(path).or_insert(kind);
        } else if !inner.problems.contains_key(&path) {
            inner.more_problems += 1;
        }
    }

    pub(crate) fn symlink_leaves(&self, path: &[u8], target: &str) {
        let mut inner = self.lock();
        if inner.warnings.len() < self.max {
            inner.warnings.insert(shown(path), shown(target.as_bytes()));
        } else {
            inner.more_warnings += 1;
        }
    }

    /// The warnings, or all problems if there is one.
    pub(crate) fn finish(self) -> Result<Vec<ScanWarning>, Problems> {
        let inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        if !inner.problems.is_empty() {
            let list = inner.problems.into_iter().map(|(path, kind)| Problem { path, kind }).collect();
            return Err(Problems { list, more: inner.more_problems });
        }
        let leaves = |(path, target)| ScanWarning::SymlinkLeavesSource { path, target };
        let mut warnings: Vec<_> = inner.warnings.into_iter().map(leaves).collect();
        if inner.more_warnings > 0 {
            warnings.push(ScanWarning::More(inner.more_warnings));
        }
        Ok(warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_shown_without_danger() {
        assert_eq!(printable(b"plain/\xc3\xa9"), "plain/é");
        assert_eq!(printable(b"a\nb\xff\\"), "a\\nb\\xff\\\\");
        assert_eq!(printable(b"\x1b[2J"), "\\u{1b}[2J");
    }

    #[test]
    fn only_so_many_problems_are_kept() {
        let reports = Reports::new(2);
        for name in ["c", "a", "a", "b"] {
            reports.problem(name.as_bytes(), ProblemKind::Changed);
        }
        let problems = reports.finish().unwrap_err();
        assert_eq!(problems.list.iter().map(|problem| problem.path.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(problems.more, 1);
        assert!(problems.to_string().starts_with("3 entries of the source cannot be used:"));
    }
}

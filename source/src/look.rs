//! Looking at the entries of one directory: which of them belong to the source, and which are as they were.

use std::time::SystemTime;

use rustix::io::Errno;

use crate::node::{Content, Entry, Listing};
use crate::opened::{Names, Opened};
use crate::problem::{ProblemKind, Reports};
use crate::rules::{Candidate, Decision, Rules};
use crate::stat::{FileStat, Kind, StatKey};

/// An entry that belongs to the source.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Its position in [`Names`].
    pub(crate) name: usize,
    pub(crate) what: What,
}

#[derive(Debug)]
pub(crate) enum What {
    /// `old`: its position among the subdirectories of the last scan.
    Directory {
        old: Option<usize>,
        included: bool,
    },
    /// A file or link that is as the last scan left it: its position among the entries.
    Unchanged {
        old: usize,
    },
    /// A file to be read.
    File {
        size: u64,
        executable: bool,
    },
    Symlink {
        target: String,
        stat: StatKey,
    },
}

/// One directory, while its entries are looked at.
pub(crate) struct Look<'a> {
    pub(crate) dir: &'a Opened,
    pub(crate) names: &'a Names,
    pub(crate) rules: &'a Rules,
    pub(crate) included: bool,
    /// What the last scan found here.
    pub(crate) old: Listing<'a>,
    /// The last scan chose with the same rules.
    pub(crate) same_rules: bool,
    /// Names in this directory that are no part of any source.
    pub(crate) skip: &'a [&'a [u8]],
    pub(crate) reports: &'a Reports,
    /// The path of this directory from the root of the repository with a slash at its end; names are put
    /// behind it in turn.
    pub(crate) path: &'a mut Vec<u8>,
    /// Where the path from the source's root begins in `path`.
    pub(crate) base: usize,
}

impl Look<'_> {
    /// Puts into `seen` what belongs to the source, sorted by name.
    pub(crate) fn at_all(&mut self, seen: &mut Vec<Seen>) {
        seen.clear();
        let (mut subdir, mut entry) = (0, 0);
        let (names, directory_len) = (self.names, self.path.len());
        for at in 0..names.len() {
            let (name, kind) = (names.name(at), names.kind(at));
            // Both lists are sorted: each pointer only ever moves on.
            let old_subdir =
                advance(&mut subdir, self.old.subdirs.len(), name, |i| self.old.text(self.old.subdirs[i]));
            let old_entry = advance(&mut entry, self.old.entries.len(), name, |i| {
                self.old.text(self.old.entries[i].name)
            });
            self.path.truncate(directory_len);
            self.path.extend_from_slice(name);
            let known =
                self.same_rules && if kind == Kind::Directory { old_subdir } else { old_entry }.is_some();
            let decision = self.decide(name, kind, known);
            if decision == Decision::Leave {
                continue;
            }
            let what = match kind {
                Kind::Directory => {
                    let included = decision == Decision::Take;
                    self.checked_name(name).map(|_| What::Directory { old: old_subdir, included })
                }
                kind => self.look_at(name, kind, old_entry),
            };
            seen.extend(what.map(|what| Seen { name: at, what }));
        }
        self.path.truncate(directory_len);
    }

    fn decide(&self, name: &[u8], kind: Kind, known: bool) -> Decision {
        if self.skip.contains(&name) {
            return Decision::Leave;
        }
        if known && self.rules.include_all() {
            return Decision::Take;
        }
        let entry = Candidate { path: self.path, name, is_directory: kind == Kind::Directory };
        self.rules.decide(&entry, self.included)
    }

    fn checked_name<'n>(&self, name: &'n [u8]) -> Option<&'n str> {
        let checked = std::str::from_utf8(name).ok();
        if checked.is_none() {
            self.problem(ProblemKind::NameNotUtf8);
        }
        checked
    }

    fn look_at(&self, name: &[u8], kind: Kind, old: Option<usize>) -> Option<What> {
        if let Kind::Special(kind) = kind {
            self.problem(ProblemKind::Special(kind));
            return None;
        }
        self.checked_name(name)?;
        let read_at = SystemTime::now();
        let stat = match self.dir.stat(name) {
            Ok(stat) if stat.kind == kind => stat,
            Ok(_) => {
                self.problem(ProblemKind::Changed);
                return None;
            }
            // Gone since the directory was listed: as if it never was there.
            Err(Errno::NOENT) => return None,
            Err(error) => {
                self.problem(ProblemKind::Unreadable(error.into()));
                return None;
            }
        };
        let unchanged = old.filter(|&old| is_as(&self.old.entries[old], &stat));
        match (kind, unchanged) {
            (Kind::File, Some(old)) => Some(What::Unchanged { old }),
            (Kind::File, None) => Some(What::File { size: stat.key.size, executable: stat.executable }),
            (_, Some(old)) => {
                if let Content::Symlink { target } = self.old.entries[old].content {
                    self.warn_if_leaving(self.old.text(target));
                }
                Some(What::Unchanged { old })
            }
            (_, None) => self.read_link(name, stat.key.if_settled(read_at)),
        }
    }

    fn read_link(&self, name: &[u8], stat: StatKey) -> Option<What> {
        let target = match self.dir.link_target(name) {
            Ok(target) => target,
            Err(error) => {
                self.problem(match error {
                    Errno::NOENT | Errno::INVAL => ProblemKind::Changed,
                    error => ProblemKind::Unreadable(error.into()),
                });
                return None;
            }
        };
        let Ok(target) = String::from_utf8(target) else {
            self.problem(ProblemKind::TargetNotUtf8);
            return None;
        };
        self.warn_if_leaving(&target);
        Some(What::Symlink { target, stat })
    }

    fn warn_if_leaving(&self, target: &str) {
        let path = &self.path[self.base..];
        let depth = path.iter().filter(|&&byte| byte == b'/').count();
        if leaves(target, depth) {
            self.reports.symlink_leaves(path, target);
        }
    }

    fn problem(&self, kind: ProblemKind) {
        self.reports.problem(&self.path[self.base..], kind);
    }
}

/// Moves `at` on to the first of `len` sorted names that is not before `name`; its position if it is that name.
fn advance<'t>(at: &mut usize, len: usize, name: &[u8], text: impl Fn(usize) -> &'t str) -> Option<usize> {
    while *at < len {
        match text(*at).as_bytes().cmp(name) {
            std::cmp::Ordering::Less => *at += 1,
            std::cmp::Ordering::Equal => return Some(*at),
            std::cmp::Ordering::Greater => return None,
        }
    }
    None
}

fn is_as(old: &Entry, stat: &FileStat) -> bool {
    let same_kind = match old.content {
        Content::File { executable, .. } => stat.kind == Kind::File && executable == stat.executable,
        Content::Symlink { .. } => stat.kind == Kind::Symlink,
    };
    same_kind && old.stat == stat.key
}

/// Whether a link that lies `depth` directories below the root leads out of it, going by its text alone.
fn leaves(target: &str, depth: usize) -> bool {
    if target.starts_with('/') {
        return true;
    }
    let mut depth = depth;
    for segment in target.split('/') {
        match segment {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_source_are_known_by_their_text() {
        for (target, depth, expected) in [
            ("/etc/passwd", 3, true),
            ("..", 0, true),
            ("..", 1, false),
            ("../../x", 1, true),
            ("a/../..", 0, true),
            ("a/b/../../c", 0, false),
            ("./../x", 1, false),
        ] {
            assert_eq!(leaves(target, depth), expected, "{target} at {depth}");
        }
    }
}

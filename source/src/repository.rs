//! The git repository that a source lies in, as far as it says what is ignored.
//!
//! Only what belongs to the repository counts. A user's own excludes file (`core.excludesFile`) differs from
//! host to host, and the same source is to have the same digest on all of them.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::problem::ScanError;
use crate::rules::Rules;

/// The rules that hold at the root of a source, before its own `.gitignore`.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// The path from the repository's root to the source's, with a slash at its end unless it is empty.
    pub(crate) prefix: Vec<u8>,
    pub(crate) rules: Rules,
}

impl Surroundings {
    /// Looks upwards from `root`, an absolute path without links.
    pub(crate) fn find(
        root: &Path,
        include: &[String],
        exclude: &[String],
        max_ignore_bytes: u64,
    ) -> Result<Self, ScanError> {
        let Some((repository, git)) = root.ancestors().find_map(|at| Some((at, git_directory(at)?))) else {
            return Ok(Self { prefix: Vec::new(), rules: Rules::new(include, exclude, 0) });
        };
        let inside = root.strip_prefix(repository).unwrap_or(Path::new(""));
        let mut prefix = inside.as_os_str().as_bytes().to_vec();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        let mut rules = Rules::new(include, exclude, prefix.len());
        if let Some(text) = read(&git.join("info/exclude"), max_ignore_bytes)? {
            rules = rules.with_file(&text, 0);
        }
        let mut at = repository.to_owned();
        let mut base = 0;
        for segment in inside.iter() {
            if let Some(text) = read(&at.join(".gitignore"), max_ignore_bytes)? {
                rules = rules.with_file(&text, base);
            }
            base += segment.len() + 1;
            at.push(segment);
        }
        Ok(Self { prefix, rules })
    }
}

/// Where git keeps what the work tree at `at` shares with others of the same repository; none if there is no
/// work tree.
fn git_directory(at: &Path) -> Option<PathBuf> {
    let git = at.join(".git");
    if git.join("HEAD").exists() {
        return Some(git);
    }
    // A submodule or a further work tree: a file that says where.
    let text = fs::read_to_string(&git).ok()?;
    let git = at.join(text.strip_prefix("gitdir: ")?.trim_end());
    match fs::read_to_string(git.join("commondir")) {
        Ok(common) => Some(git.join(common.trim_end())),
        Err(_) => Some(git),
    }
}

/// A file of rules; none if it is not there or is a link.
fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, ScanError> {
    let failed = |source| ScanError::IgnoreFile { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Ok(None),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(failed(error)),
    }
    let mut text = Vec::new();
    fs::File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut text)).map_err(failed)?;
    if text.len() as u64 > limit {
        return Err(failed(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "it is too large for an ignore file",
        )));
    }
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::{Candidate, Decision};

    fn leaves(at: &Surroundings, path: &str) -> bool {
        let name = path.rsplit('/').next().unwrap().as_bytes();
        let path = [at.prefix.as_slice(), path.as_bytes()].concat();
        at.rules.decide(&Candidate { path: &path, name, is_directory: false }, true) == Decision::Leave
    }

    #[test]
    fn ignore_files_above_the_source_count_up_to_the_repository() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("repo/a/b");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(dir.path().join("repo/.git/info")).unwrap();
        fs::write(dir.path().join("repo/.git/HEAD"), "").unwrap();
        fs::write(dir.path().join("repo/.git/info/exclude"), "info\n").unwrap();
        fs::write(dir.path().join(".gitignore"), "outside\n").unwrap();
        fs::write(dir.path().join("repo/.gitignore"), "top\n/a/b/anchored\n").unwrap();
        fs::write(dir.path().join("repo/a/.gitignore"), "b/middle\n!top2\n").unwrap();
        let found = Surroundings::find(&root, &["*".into()], &[], 1000).unwrap();
        assert_eq!(found.prefix, b"a/b/");
        for (path, expected) in [
            ("info", true),
            ("top", true),
            ("anchored", true),
            ("middle", true),
            ("outside", false),
            ("x", false),
        ] {
            assert_eq!(leaves(&found, path), expected, "{path}");
        }
    }

    #[test]
    fn a_file_named_git_leads_to_the_shared_directory() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("main.git");
        fs::create_dir_all(main.join("worktrees/w")).unwrap();
        fs::create_dir_all(main.join("info")).unwrap();
        fs::write(main.join("info/exclude"), "shared\n").unwrap();
        fs::write(main.join("worktrees/w/commondir"), "../..\n").unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir(&tree).unwrap();
        fs::write(tree.join(".git"), format!("gitdir: {}\n", main.join("worktrees/w").display())).unwrap();
        let found = Surroundings::find(&tree, &[], &[], 1000).unwrap();
        assert!(leaves(&found, "shared"));
    }
}

//! What is being written, beside the place where it will be.

use std::fs;
use std::path::{Path, PathBuf};

/// A directory that is to take the place of another, or of a file. Whatever of it is still there when this is dropped is
/// removed.
#[derive(Debug)]
pub(super) struct Draft(PathBuf);

impl Draft {
    /// One that is not there yet. Those for the same place go whose process was killed.
    pub(super) fn beside(target: &Path) -> Self {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let start = format!(".{name}.cullet-");
        if let Some(entries) = target.parent().and_then(|dir| fs::read_dir(dir).ok()) {
            for entry in entries.flatten() {
                let file_name = entry.file_name();
                let process = file_name.to_str().and_then(|file_name| file_name.strip_prefix(&start));
                if process.and_then(|process| process.parse().ok()).is_some_and(is_gone) {
                    drop(fs::remove_dir_all(entry.path()));
                }
            }
        }
        Self(target.with_file_name(format!("{start}{}", std::process::id())))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// Whether a process of that number left something and is no more: another one, or this one long ago, whose number has come
/// again.
fn is_gone(process: u32) -> bool {
    process == std::process::id() || !Path::new("/proc").join(process.to_string()).exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_killed_processes_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("app");
        // No process has a number above 4,194,304.
        let names =
            [".app.cullet-4999999", ".app.cullet-1", ".app.cullet-", ".app.cullet-x", ".lib.cullet-4999999"];
        for name in names {
            fs::create_dir(dir.path().join(name)).unwrap();
            fs::write(dir.path().join(name).join("file"), "").unwrap();
        }
        let draft = Draft::beside(&target);
        fs::create_dir(draft.path()).unwrap();
        let there = |name: &str| dir.path().join(name).exists();
        assert_eq!(names.map(there), [false, true, true, true, true]);
        drop(draft);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 4);
        // What took its place stays.
        let draft = Draft::beside(&target);
        fs::create_dir(draft.path()).unwrap();
        fs::rename(draft.path(), &target).unwrap();
        drop(draft);
        assert!(target.is_dir());
    }
}

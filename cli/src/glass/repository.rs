//! What a repository says of the directory of a pipeline.

use std::path::Path;
use std::process::{Command, Stdio};

use cullet_coordinator::glass::Git;

/// The commit, and whether files differ from it; none outside of a repository, and where there is no `git`.
pub(super) fn of(dir: &Path) -> Option<Git> {
    let commit = git(dir, &["rev-parse", "HEAD"])?.trim().to_owned();
    if commit.is_empty() {
        return None;
    }
    // What cannot be found out is not said to be clean.
    let changes = git(dir, &["status", "--porcelain"]);
    Some(Git { commit, dirty: changes.is_none_or(|changes| !changes.is_empty()) })
}

/// Neither changes anything nor starts what the repository's configuration names.
fn git(dir: &Path, arguments: &[&str]) -> Option<String> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let mut command = Command::new("git");
    command.args(["--no-optional-locks", "-c", "core.fsmonitor=false"]).args(arguments);
    let output = command.current_dir(dir).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_told_from_what_was_changed_since() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(of(dir.path()), None);
        if git(dir.path(), &["init", "-q"]).is_none() {
            // Without git, nothing can be said.
            return;
        }
        assert_eq!(of(dir.path()), None, "no commit yet");
        let file = dir.path().join("file");
        std::fs::write(&file, "1").unwrap();
        git(dir.path(), &["add", "file"]).unwrap();
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"];
        git(dir.path(), &[&identity[..], &["commit", "-qm", "x"]].concat()).unwrap();
        let clean = of(dir.path()).unwrap();
        assert!(clean.commit.len() >= 40 && !clean.dirty, "{clean:?}");
        std::fs::write(&file, "2").unwrap();
        assert_eq!(of(dir.path()).unwrap(), Git { dirty: true, ..clean });
    }
}

//! Finding the directories of `/opt`, `/nix` and `/gnu` that the machine's programs come from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::env::SYSTEM_PATH;
use super::looks::Looks;
use super::seen::apart;

/// The directories to show: those where a directory of `PATH` lies, or where a link in one leads.
pub(super) fn find(path: &[String], looks: &mut Looks) -> BTreeSet<PathBuf> {
    let mut found: BTreeSet<PathBuf> = path.iter().filter_map(|dir| apart(Path::new(dir))).collect();
    // Most machines have nothing there, and reading a few hundred links would be for nothing.
    if !["/opt", "/nix", "/gnu"].map(|dir| has_entries(Path::new(dir), looks)).contains(&true) {
        return found;
    }
    let mut searched = BTreeSet::new();
    for dir in path.iter().map(String::as_str).chain(SYSTEM_PATH) {
        if let Some(dir) = looks.canonical(Path::new(dir))
            && searched.insert(dir.clone())
        {
            // Which links are in it, and where they lead, changes only together with it.
            looks.metadata(&dir);
            found.extend(links_of(&dir));
        }
    }
    found.retain(|dir| looks.is_dir(dir));
    found
}

fn has_entries(dir: &Path, looks: &mut Looks) -> bool {
    looks.metadata(dir).is_some() && fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some())
}

fn links_of(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.filter_map(move |link| apart(&resolve(dir, &fs::read_link(link.path()).ok()?)))
}

/// Where a link in `dir` leads, one step, by its text alone.
fn resolve(dir: &Path, target: &Path) -> PathBuf {
    let mut path = PathBuf::new();
    for part in dir.join(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_into_opt_brings_its_package() {
        let base = tempfile::tempdir().unwrap();
        let link =
            |name: &str, target: &str| std::os::unix::fs::symlink(target, base.path().join(name)).unwrap();
        link("java", "/opt/jdk/bin/java");
        link("cc", "gcc");
        std::fs::write(base.path().join("gcc"), "").unwrap();
        assert_eq!(links_of(base.path()).collect::<Vec<_>>(), [PathBuf::from("/opt/jdk")]);
    }

    #[test]
    fn relative_links_are_followed_by_their_text() {
        assert_eq!(resolve(Path::new("/usr/bin"), Path::new("../../opt/x/y")), Path::new("/opt/x/y"));
        assert_eq!(resolve(Path::new("/usr/bin"), Path::new("/nix/z")), Path::new("/nix/z"));
    }
}

//! Finding the tools that the caller of cullet would run.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::apart;
use super::env::SYSTEM_PATH;
use super::home::{companions, neighbours};
use super::looks::Looks;

/// Entries of `/` below which nothing is ever shown, whatever `PATH` says: they are the step's own.
const STEPS_OWN: [&str; 5] = ["proc", "sys", "dev", "tmp", "workspace"];

/// The tools of this machine that lie outside its package manager's directories.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTools {
    /// The directories of `PATH`, in the caller's order, that exist and that steps may see.
    pub path: Vec<String>,
    /// Directories to show read-only at their own path: those of `path` that are hidden otherwise, and what
    /// belongs to them.
    pub binds: Vec<PathBuf>,
    /// Variables that tell the tools where their files are.
    pub env: Vec<(String, String)>,
    /// The caller's home directory, which the fingerprint writes as `~`.
    pub home: Option<PathBuf>,
}

impl HostTools {
    /// Looks through the caller's `PATH`. A directory is left out when showing it would show too much: the home
    /// directory itself or one above it.
    pub fn discover(path: &str, home: Option<&Path>) -> Self {
        Self::discover_with(path, home, &mut Looks::default())
    }

    /// As [`HostTools::discover`], with every look that it takes written down.
    pub(super) fn discover_with(path: &str, home: Option<&Path>, looks: &mut Looks) -> Self {
        // A service account's home may be `/`, which is nobody's in particular.
        let home = home.filter(|home| home.is_absolute() && home.parent().is_some());
        let mut tools = Self { home: home.map(Path::to_path_buf), ..Self::default() };
        let mut binds = BTreeSet::new();
        for entry in path.split(':') {
            let dir = normal(Path::new(entry));
            if !may_be_shown(&dir, home) || !looks.is_dir(&dir) {
                continue;
            }
            let Some(text) = dir.to_str() else { continue };
            if tools.path.iter().any(|known| known == text) {
                continue;
            }
            tools.path.push(text.to_owned());
            tools.add_companions(&dir, &mut binds, looks);
            binds.insert(dir);
        }
        binds.extend(apart::find(&tools.path, looks));
        tools.binds = binds.into_iter().collect();
        tools
    }

    fn add_companions(&mut self, dir: &Path, binds: &mut BTreeSet<PathBuf>, looks: &mut Looks) {
        let below_home = self.home.as_ref().and_then(|home| Some((home, dir.strip_prefix(home).ok()?)));
        let found = match below_home {
            Some((home, relative)) => companions(home, relative),
            None => neighbours(dir, looks),
        };
        binds.extend(found.dirs.into_iter().filter(|dir| looks.is_dir(dir)));
        if let Some(variable) = found.env
            && !self.env.contains(&variable)
        {
            self.env.push(variable);
        }
    }

    /// The value of `PATH` for steps: the caller's order, then the system directories it lacks.
    pub fn path_variable(&self) -> String {
        let mut dirs: Vec<&str> = self.path.iter().map(String::as_str).collect();
        for dir in SYSTEM_PATH {
            if !dirs.contains(&dir) {
                dirs.push(dir);
            }
        }
        dirs.join(":")
    }
}

/// The path without `.` parts and doubled slashes. A path with `..` is returned as it is, and not shown.
fn normal(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

fn may_be_shown(dir: &Path, home: Option<&Path>) -> bool {
    let plain = dir.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    let Some(Component::Normal(first)) = dir.components().nth(1) else {
        return false;
    };
    let above_home = home.is_some_and(|home| home.starts_with(dir));
    dir.is_absolute() && plain && !above_home && !STEPS_OWN.iter().any(|own| first == *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_no_home_no_parent_of_it_and_nothing_relative() {
        let home = Some(Path::new("/home/u"));
        for refused in
            ["/home/u", "/home", "/", "", ".", "bin", "/tmp/bin", "/proc/1/root", "/usr/../home/u/x"]
        {
            assert!(!may_be_shown(Path::new(refused), home), "{refused}");
        }
        for shown in ["/home/u/bin", "/usr/bin", "/data/tools/bin"] {
            assert!(may_be_shown(Path::new(shown), home), "{shown}");
        }
    }

    #[test]
    fn rustup_beside_cargo_is_found_where_nobody_lives() {
        let dir = tempfile::tempdir_in("/var").unwrap();
        let bin = dir.path().join("cargo/bin");
        std::fs::create_dir_all(&bin).unwrap();
        let found = || HostTools::discover(bin.to_str().unwrap(), Some(Path::new("/home/u")));
        assert_eq!(found().env, []);
        std::fs::create_dir_all(dir.path().join("rustup/toolchains")).unwrap();
        let rustup = dir.path().join("rustup");
        assert_eq!(found().env, [("RUSTUP_HOME".to_owned(), rustup.to_string_lossy().into_owned())]);
        assert!(found().binds.contains(&rustup));
    }

    #[test]
    fn the_root_directory_is_no_home() {
        assert_eq!(HostTools::discover("/usr/bin", Some(Path::new("/"))).home, None);
        assert_eq!(HostTools::discover("/usr/bin", Some(Path::new(""))).home, None);
    }

    #[test]
    fn keeps_the_callers_order_and_adds_the_system_directories() {
        let tools = HostTools::discover("/usr/bin:/usr/bin/:/nonexistent:/bin", None);
        assert!(tools.path_variable().starts_with("/usr/bin:"));
        assert_eq!(tools.path_variable().matches("/usr/bin").count(), 1);
        assert!(tools.path_variable().contains("/usr/local/sbin"));
        assert!(!tools.path_variable().contains("nonexistent"));
    }
}

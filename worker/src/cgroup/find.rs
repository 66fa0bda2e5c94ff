//! Where the group of this process is, for each controller.

use std::fs;
use std::path::{Path, PathBuf};

/// Which kind of hierarchy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// One of its own for each controller.
    One,
    /// The unified one.
    Two,
}

/// The group that this process is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    pub(super) path: PathBuf,
}

/// What says of a group of version 2 that it is not the machine's own root.
const TYPE: &str = "cgroup.type";
const CONTROL: &str = "cgroup.subtree_control";
/// Where this process goes to make room for groups beside it.
const ASIDE: &str = "cullet-main";
/// What the processes of a group are in, and what others enter it by.
pub(super) const PROCS: &str = "cgroup.procs";

/// The group of a process with this `/proc/PID/cgroup` and this `/proc/PID/mountinfo`: of version 1 where the controller
/// has a hierarchy of its own, otherwise of version 2.
pub(super) fn find(membership: &str, mounts: &str, controller: &str) -> Option<Hierarchy> {
    let own = |wanted: &dyn Fn(&str) -> bool| {
        membership.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            wanted(controllers).then_some(path)
        })
    };
    let one = own(&|controllers| controllers.split(',').any(|name| name == controller));
    let found = match one {
        Some(path) => (Version::One, mounted(mounts, "cgroup", Some(controller), path)?),
        None => (Version::Two, mounted(mounts, "cgroup2", None, own(&str::is_empty)?)?),
    };
    let (version, path) = found;
    // Moved there by an earlier look of this process: groups are made beside it.
    let around = path.parent().filter(|_| version == Version::Two && path.ends_with(ASIDE));
    Some(Hierarchy { version, path: around.map_or_else(|| path.clone(), Path::to_owned) })
}

/// Where a path of a hierarchy is seen. A container may see a part of it only.
fn mounted(mounts: &str, kind: &str, controller: Option<&str>, path: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let (place, filesystem) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let mut filesystem = filesystem.split(' ');
        let is_it = filesystem.next()? == kind;
        let options = filesystem.nth(1)?;
        let has = controller.is_none_or(|wanted| options.split(',').any(|option| option == wanted));
        let inside = Path::new(path).strip_prefix(root).ok()?;
        (is_it && has).then(|| Path::new(point).join(inside))
    })
}

impl Hierarchy {
    /// Whether groups with this controller can be made here; of version 2, has that made possible.
    pub(super) fn is_usable(&self, controller: &str) -> bool {
        match self.version {
            Version::One => is_writable(&self.path),
            Version::Two => {
                let offered = fs::read_to_string(self.path.join("cgroup.controllers")).unwrap_or_default();
                offered.split_whitespace().any(|name| name == controller)
                    && is_writable(&self.path)
                    && self.hand_down(controller)
            }
        }
    }

    /// Groups below this one get the controller. The kernel refuses that to a group with processes in it, so they go into
    /// one below, where they are nobody else's: this process alone, or a whole container.
    fn hand_down(&self, controller: &str) -> bool {
        let control = self.path.join(CONTROL);
        let handed = fs::read_to_string(&control).unwrap_or_default();
        if handed.split_whitespace().any(|name| name == controller) {
            return true;
        }
        let ask = || fs::write(&control, format!("+{controller}")).is_ok();
        ask() || (self.is_own() && self.step_aside() && ask())
    }

    fn is_own(&self) -> bool {
        let members = fs::read_to_string(self.path.join(PROCS)).unwrap_or_default();
        let alone = members.lines().all(|line| line.parse() == Ok(std::process::id()));
        let cgroup = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let is_root_of_namespace = cgroup.lines().any(|line| line == "0::/");
        self.path.join(TYPE).exists() && (alone || is_root_of_namespace)
    }

    fn step_aside(&self) -> bool {
        let aside = self.path.join(ASIDE);
        if fs::create_dir(&aside).is_err() && !aside.is_dir() {
            return false;
        }
        let members = fs::read_to_string(self.path.join(PROCS)).unwrap_or_default();
        // One that has just ended cannot be moved and need not be.
        members.lines().for_each(|process| drop(fs::write(aside.join(PROCS), process)));
        fs::read_to_string(self.path.join(PROCS)).is_ok_and(|left| left.trim().is_empty())
    }
}

fn is_writable(dir: &Path) -> bool {
    nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
        24 30 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        25 24 0:23 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        26 24 0:24 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct\n\
        27 24 0:25 /box /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
        28 24 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

    #[test]
    fn a_controller_is_found_in_its_own_hierarchy_or_in_the_unified_one() {
        let membership = "5:cpuacct:/\n4:memory:/box/inner\n3:cpu,x:/a\n0::/b\n";
        let found = |controller| find(membership, HYBRID, controller);
        let one = |path| Some(Hierarchy { version: Version::One, path: PathBuf::from(path) });
        assert_eq!(found("memory"), one("/sys/fs/cgroup/memory/inner"));
        assert_eq!(found("cpu"), one("/sys/fs/cgroup/cpu/a"));
        let two = Hierarchy { version: Version::Two, path: PathBuf::from("/sys/fs/cgroup/unified/b") };
        assert_eq!(found("pids"), Some(two.clone()));
        assert_eq!(find("0::/b/cullet-main\n", HYBRID, "pids"), Some(two), "it has stepped aside");
        assert_eq!(find("4:memory:/elsewhere\n", HYBRID, "memory"), None, "not what is seen here");
        assert_eq!(find("", HYBRID, "memory"), None);
        assert_eq!(find("0::/\n", "", "memory"), None);
    }

    #[test]
    fn of_version_2_the_controller_is_handed_down() {
        let dir = tempfile::tempdir().unwrap();
        let hierarchy = Hierarchy { version: Version::Two, path: dir.path().to_owned() };
        assert!(!hierarchy.is_usable("memory"), "it is not offered");
        fs::write(dir.path().join("cgroup.controllers"), "cpu memory\n").unwrap();
        assert!(hierarchy.is_usable("memory"));
        assert_eq!(fs::read_to_string(dir.path().join(CONTROL)).unwrap(), "+memory");
        fs::write(dir.path().join(CONTROL), "memory pids\n").unwrap();
        assert!(hierarchy.is_usable("memory"));
        assert_eq!(fs::read_to_string(dir.path().join(CONTROL)).unwrap(), "memory pids\n", "it was already");
    }
}

//! The groups of one step.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::find::{Hierarchy, PROCS, Version};

/// The kernel's usual period of a processor quota, microseconds.
const PERIOD_US: u64 = 100_000;

/// The smallest quota that the kernel takes, microseconds.
const LEAST_QUOTA_US: u64 = 1_000;

/// How often a group is asked to go whose last process is being buried, and how long apart.
const REMOVALS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// One in each hierarchy that is needed. Removed with this value.
#[derive(Debug, Default)]
pub(crate) struct Group {
    dirs: Vec<PathBuf>,
    memory: Option<(Version, PathBuf)>,
}

/// What a group with a limit of memory saw.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The most that all its processes had together, bytes; 0 where the kernel does not say.
    pub(crate) peak_bytes: u64,
    /// Processes that were killed because there was no more.
    pub(crate) killed: u64,
}

impl Group {
    pub(super) fn limit_memory(&mut self, hierarchy: &Hierarchy, name: &str, bytes: u64) -> io::Result<()> {
        let dir = self.make(hierarchy, name)?;
        let limit = bytes.to_string();
        match hierarchy.version {
            Version::One => {
                fs::write(dir.join("memory.limit_in_bytes"), &limit)?;
                // Not every kernel counts what is swapped out.
                if_there(&dir.join("memory.memsw.limit_in_bytes"), &limit)?;
            }
            Version::Two => {
                fs::write(dir.join("memory.max"), &limit)?;
                if_there(&dir.join("memory.swap.max"), "0")?;
            }
        }
        self.memory = Some((hierarchy.version, dir));
        Ok(())
    }

    pub(super) fn limit_cpu(&mut self, hierarchy: &Hierarchy, name: &str, millis: u32) -> io::Result<()> {
        let dir = self.make(hierarchy, name)?;
        let quota = (u64::from(millis) * PERIOD_US / 1000).max(LEAST_QUOTA_US);
        match hierarchy.version {
            Version::One => {
                fs::write(dir.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
                match fs::write(dir.join("cpu.cfs_quota_us"), quota.to_string()) {
                    // A group around this one has less, which is the only thing that the kernel can find wrong with it: then
                    // that one is the limit. Version 2 sees to that by itself.
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
                    written => written,
                }
            }
            Version::Two => fs::write(dir.join("cpu.max"), format!("{quota} {PERIOD_US}")),
        }
    }

    /// Of version 2, both limits are in one.
    fn make(&mut self, hierarchy: &Hierarchy, name: &str) -> io::Result<PathBuf> {
        let dir = hierarchy.path.join(name);
        if !self.dirs.contains(&dir) {
            fs::create_dir(&dir)?;
            self.dirs.push(dir.clone());
        }
        Ok(dir)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.dirs.is_empty()
    }

    /// Files that a process enters the groups by, writing 0 for itself: wherever it is, and whatever it sees of `/sys`.
    pub(crate) fn entrances(&self) -> io::Result<Vec<File>> {
        self.dirs.iter().map(|dir| File::options().write(true).open(dir.join(PROCS))).collect()
    }

    /// What is known once the step has ended. What cannot be read is not known.
    pub(crate) fn seen(&self) -> Seen {
        let Some((version, dir)) = &self.memory else { return Seen::default() };
        let (peak, events) = match version {
            Version::One => ("memory.max_usage_in_bytes", "memory.oom_control"),
            Version::Two => ("memory.peak", "memory.events"),
        };
        let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
        Seen {
            peak_bytes: read(peak).trim().parse().unwrap_or(0),
            killed: counted(&read(events), "oom_kill").unwrap_or(0),
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for dir in &self.dirs {
            for _ in 0..REMOVALS {
                match fs::remove_dir(dir) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(PAUSE),
                    // It is gone, or whoever starts next removes it.
                    _ => break,
                }
            }
        }
    }
}

fn counted(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

fn if_there(path: &Path, text: &str) -> io::Result<()> {
    if path.exists() { fs::write(path, text) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dir: &Path, name: &str) -> String {
        fs::read_to_string(dir.join(name)).unwrap()
    }

    /// Ordinary directories stand for the kernel's: what is written and read is the same.
    fn hierarchy(version: Version) -> (tempfile::TempDir, Hierarchy) {
        let dir = tempfile::tempdir().unwrap();
        let hierarchy = Hierarchy { version, path: dir.path().to_owned() };
        (dir, hierarchy)
    }

    #[test]
    fn version_2_has_one_group_for_all_limits() {
        let (dir, hierarchy) = hierarchy(Version::Two);
        let mut group = Group::default();
        group.limit_memory(&hierarchy, "g", 1 << 20).unwrap();
        group.limit_cpu(&hierarchy, "g", 250).unwrap();
        let made = dir.path().join("g");
        fs::write(made.join(PROCS), "").unwrap();
        assert_eq!(group.entrances().unwrap().len(), 1);
        assert_eq!(
            (read(&made, "memory.max").as_str(), read(&made, "cpu.max").as_str()),
            ("1048576", "25000 100000")
        );
        fs::write(made.join("memory.peak"), "4096\n").unwrap();
        fs::write(made.join("memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 9\n").unwrap();
        assert_eq!(group.seen(), Seen { peak_bytes: 4096, killed: 2 });
    }

    #[test]
    fn version_1_has_a_group_for_each() {
        let (memory, in_memory) = hierarchy(Version::One);
        let (cpu, in_cpu) = hierarchy(Version::One);
        let mut group = Group::default();
        group.limit_memory(&in_memory, "g", 4096).unwrap();
        group.limit_cpu(&in_cpu, "g", 1).unwrap();
        assert_eq!(group.dirs.len(), 2);
        assert_eq!(read(&memory.path().join("g"), "memory.limit_in_bytes"), "4096");
        assert_eq!(read(&cpu.path().join("g"), "cpu.cfs_quota_us"), "1000", "the kernel takes no less");
        fs::write(
            memory.path().join("g/memory.oom_control"),
            "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
        )
        .unwrap();
        assert_eq!(group.seen(), Seen { peak_bytes: 0, killed: 1 });
        assert!(Group::default().is_empty() && Group::default().seen() == Seen::default());
    }

    /// On a machine with version 1, as its administrator.
    #[test]
    fn more_than_the_group_around_allows_is_no_error() {
        let said = |path: &str| fs::read_to_string(path).unwrap();
        let own = super::super::find::find(&said("/proc/self/cgroup"), &said("/proc/self/mountinfo"), "cpu");
        let Some(own) = own.filter(|own| own.version == Version::One && own.is_usable("cpu")) else { return };
        let around = own.path.join(format!("cullet-test-{}", std::process::id()));
        fs::create_dir(&around).unwrap();
        fs::write(around.join("cpu.cfs_quota_us"), "50000").unwrap();
        let mut group = Group::default();
        let hierarchy = Hierarchy { version: Version::One, path: around.clone() };
        let quota = |millis, name: &str, group: &mut Group| {
            group.limit_cpu(&hierarchy, name, millis).map(|()| read(&around.join(name), "cpu.cfs_quota_us"))
        };
        let quotas =
            [(2_000, "more"), (250, "less")].map(|(millis, name)| quota(millis, name, &mut group).ok());
        drop(group);
        fs::remove_dir(&around).unwrap();
        assert_eq!(quotas, [Some("-1\n".to_owned()), Some("25000\n".to_owned())]);
    }

    #[test]
    fn a_group_goes_with_its_value() {
        let (dir, hierarchy) = hierarchy(Version::Two);
        let mut group = Group::default();
        drop(group.make(&hierarchy, "g").unwrap());
        assert!(dir.path().join("g").exists());
        drop(group);
        assert!(!dir.path().join("g").exists());
    }
}

//! Control groups for steps that have limits: memory and processor time of all processes of a step together.
//!
//! A group is made for an attempt, entered by the first process of the step before anything of the step runs, and
//! removed afterwards. A step without such limits has none: moving a process into a group takes the kernel
//! milliseconds. Both versions of cgroups are written to; see `Documentation/admin-guide/cgroup-v1` and
//! `cgroup-v2.rst` of the kernel for the files.

mod find;
mod group;

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::StepLimits;

use find::{Hierarchy, Version, find};
pub(crate) use group::{Group, Seen};

/// Where groups can be made for each kind of limit.
#[derive(Debug, Default)]
pub struct Cgroups {
    memory: Option<Hierarchy>,
    cpu: Option<Hierarchy>,
    made: AtomicU64,
    /// Drawn at random.
    own: u32,
}

/// Of the names of all groups that are made here.
const PREFIX: &str = "cullet.";

impl Cgroups {
    /// Looks where this process may make groups, and removes those of processes that are gone. What is not there is a limit
    /// that is not enforced, never an error.
    pub fn open() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let (membership, mounts) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"));
        let usable = |controller| {
            let hierarchy = find(&membership, &mounts, controller)?;
            remove_abandoned(&hierarchy.path);
            hierarchy.is_usable(controller).then_some(hierarchy)
        };
        Self {
            memory: usable("memory"),
            cpu: usable("cpu"),
            made: AtomicU64::default(),
            own: fastrand::u32(..),
        }
    }

    /// Which of these limits nothing here enforces.
    pub fn missing(&self, limits: &StepLimits) -> Vec<&'static str> {
        let asked = [
            ("memory", limits.memory_bytes > 0, self.memory.is_some()),
            ("cpu", limits.cpu_millis > 0, self.cpu.is_some()),
        ];
        asked.into_iter().filter(|(_, wanted, there)| *wanted && !there).map(|(name, ..)| name).collect()
    }

    /// A group with these limits, as far as they can be enforced; none where there is nothing to enforce.
    pub(crate) fn group(&self, limits: &StepLimits) -> io::Result<Option<Group>> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        // Another executor of this process counts for itself.
        let name = format!("{PREFIX}{}.{:08x}{number:08x}", std::process::id(), self.own);
        let mut group = Group::default();
        if let (Some(hierarchy), 1..) = (&self.memory, limits.memory_bytes) {
            group.limit_memory(hierarchy, &name, limits.memory_bytes)?;
        }
        if let (Some(hierarchy), 1..) = (&self.cpu, limits.cpu_millis) {
            group.limit_cpu(hierarchy, &name, limits.cpu_millis)?;
        }
        Ok(Some(group).filter(|group| !group.is_empty()))
    }
}

/// Which kind of hierarchy each controller has.
impl fmt::Display for Cgroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |hierarchy: &Option<Hierarchy>| match hierarchy.as_ref().map(|found| found.version) {
            None => "none",
            Some(Version::One) => "cgroup version 1",
            Some(Version::Two) => "cgroup version 2",
        };
        let (memory, cpu) = (version(&self.memory), version(&self.cpu));
        if memory == cpu { f.write_str(memory) } else { write!(f, "memory by {memory}, cpu by {cpu}") }
    }
}

/// Removes the groups of processes that were killed. One that is still in use stays: the kernel removes empty ones only.
fn remove_abandoned(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let Some(owner) = name.to_str().and_then(owner_of) else { continue };
        if !Path::new("/proc").join(owner).exists() {
            // Somebody else may remove it at the same time.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The number of the process that made a group of this name.
fn owner_of(name: &str) -> Option<&str> {
    let (owner, number) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let consists_of =
        |text: &str, is_digit: fn(&u8) -> bool| !text.is_empty() && text.as_bytes().iter().all(is_digit);
    let is_ours = consists_of(owner, u8::is_ascii_digit) && consists_of(number, u8::is_ascii_hexdigit);
    is_ours.then_some(owner)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_groups_that_are_made_here_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let own = format!("{PREFIX}{}.0", std::process::id());
        for name in ["cullet.4194305.12", "cullet.4194305", "cullet.x.1", "cullet.beef.1", "other", &own] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        remove_abandoned(dir.path());
        let mut left: Vec<String> = fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        let mut expected = vec![
            "cullet.4194305".to_owned(),
            own,
            "cullet.x.1".to_owned(),
            "cullet.beef.1".to_owned(),
            "other".to_owned(),
        ];
        expected.sort();
        assert_eq!(left, expected);
    }

    #[test]
    fn what_is_not_asked_for_is_not_missed() {
        let nothing = Cgroups::default();
        assert!(nothing.missing(&StepLimits { processes: 5, ..StepLimits::default() }).is_empty());
        let limits = StepLimits { memory_bytes: 1, cpu_millis: 1, ..StepLimits::default() };
        assert_eq!(nothing.missing(&limits), ["memory", "cpu"]);
        assert!(nothing.group(&limits).unwrap().is_none());
        let half = Cgroups {
            cpu: Some(Hierarchy { version: Version::One, path: PathBuf::from("/nowhere") }),
            ..Cgroups::default()
        };
        assert_eq!(half.missing(&limits), ["memory"]);
        assert!(half.group(&limits).is_err());
    }
}

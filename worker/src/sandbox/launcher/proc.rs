//! `/proc`: a handle to one that is certainly that, and what of it is kept from steps.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::super::fault::{During, Fault};
use super::mounts;
use super::step_root::open_dir;
use super::sys::{self, attr};

/// The inode number of the root of every `/proc` (`PROC_ROOT_INO` of Linux).
const ROOT_INODE: u64 = 1;

/// A writable `/proc`, whatever is mounted at that name or over parts of it by now. What is written to it goes nowhere
/// else: a file that looks like one of it and is another has been a way out of containers (CVE-2025-52881).
pub(super) struct Proc(OwnedFd);

impl Proc {
    /// The one that this process sees.
    pub(super) fn current() -> Result<Self, Fault> {
        Self::checked(open_dir(Path::new("/proc"))?.into())
    }

    /// What is mounted at `place`, without anything that is mounted over it later.
    pub(super) fn at(place: &Path) -> Result<Self, Fault> {
        Self::checked(sys::clone_mount(&mounts::c_path(place)?).during("keep a handle to /proc")?)
    }

    fn checked(dir: OwnedFd) -> Result<Self, Fault> {
        let kind = rustix::fs::fstatfs(&dir).map_err(io::Error::from).during("look at /proc")?.f_type;
        let inode = rustix::fs::fstat(&dir).map_err(io::Error::from).during("look at /proc")?.st_ino;
        if kind != libc::PROC_SUPER_MAGIC || inode != ROOT_INODE {
            return Err(Fault::new("find a /proc at /proc: another filesystem is there", libc::EXDEV));
        }
        Ok(Self(dir))
    }

    /// Writes to a file that is there.
    pub(super) fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let within = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = openat2(&self.0, path, flags, Mode::empty(), within)?;
        rustix::io::write(&file, text.as_bytes())?;
        Ok(())
    }
}

/// Files about the machine, and directories; what Docker hides.
const HIDDEN: [&str; 11] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
    "key-users",
];

/// What Docker shows read-only.
const READ_ONLY: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// What of `/proc` is kept from steps on this machine.
#[derive(Debug)]
pub(super) struct Masks {
    /// Something empty and read-only to show instead.
    file: PathBuf,
    dir: PathBuf,
    /// The name, and whether it is a directory.
    hidden: Vec<(&'static str, bool)>,
    read_only: Vec<&'static str>,
}

impl Masks {
    /// Looks what there is. What is shown instead is made below `stage`, which steps never see: with a device such as
    /// `/dev/null`, whoever replaces it decides what is shown (CVE-2025-31133).
    pub(super) fn new(stage: &Path) -> Result<Self, Fault> {
        let (file, dir) = (stage.join("no-file"), stage.join("no-directory"));
        File::create(&file).during("create an empty file")?;
        super::view::make_dirs(&dir)?;
        for empty in [&file, &dir] {
            mounts::bind(empty, empty)?;
            mounts::restrict(empty, attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC)?;
        }
        let found = |name: &'static str| {
            let found = fs::symlink_metadata(Path::new("/proc").join(name)).ok()?;
            Some((name, found.is_dir()))
        };
        let hidden = HIDDEN.into_iter().filter_map(found).collect();
        let read_only = READ_ONLY.into_iter().filter_map(found).map(|(name, _)| name).collect();
        Ok(Self { file, dir, hidden, read_only })
    }

    /// Covers what is kept from the step in the `/proc` at `proc`.
    pub(super) fn cover(&self, proc: &Path) -> Result<(), Fault> {
        for (name, is_dir) in &self.hidden {
            mounts::bind(if *is_dir { &self.dir } else { &self.file }, &proc.join(name))?;
        }
        for name in &self.read_only {
            let place = proc.join(name);
            mounts::bind(&place, &place)?;
            mounts::restrict_all(&place, attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC)?;
        }
        Ok(())
    }
}

/// Mounts /proc of this process's pid namespace, or shows the machine's read-only where that is refused.
pub(super) fn mount(root: &Path, own_proc: bool) -> Result<(), Fault> {
    let target = root.join("proc");
    if !own_proc {
        mounts::bind(Path::new("/proc"), &target)?;
        return mounts::restrict_all(&target, attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC);
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mounts::filesystem("proc", &target, flags, "")
}

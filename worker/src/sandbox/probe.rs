//! What the machine allows, found out by trying.

use std::os::unix::fs::chown;
use std::path::Path;

use nix::sys::utsname::uname;
use nix::unistd::{AccessFlags, access};

use super::config::{LauncherCommand, ViewConfig};
use super::connection::{Connection, advice};
use super::owner::sandbox_owner;
use super::protocol::{Grounds, Mode, Part, Trial};
use super::tier::Tier;

/// The first kernel with everything the sandbox uses: process limits per user namespace are the last of it.
const OLDEST_KERNEL: (u32, u32) = (5, 14);

/// What the machine allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxReport {
    /// What steps would run in.
    pub tier: Tier,
    /// What was tried.
    pub facts: Vec<Fact>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// What it is, such as `overlay`.
    pub name: &'static str,
    /// Whether it works.
    pub ok: bool,
    /// What it is for, or why it does not work.
    pub why: String,
    /// What to do when it does not.
    pub remedy: Option<String>,
}

impl SandboxReport {
    /// What is missing of Landlock, which is used where the kernel has it.
    pub fn no_landlock(&self) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.name == LANDLOCK && !fact.ok)
    }

    /// Why steps cannot run in images, where they can run otherwise.
    pub fn no_images(&self) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.name == IMAGES && !fact.ok)
    }
}

/// The names of facts that are asked for.
const LANDLOCK: &str = "landlock";
const IMAGES: &str = "images";

/// Tries every part of the sandbox. `dir` is a directory on the filesystem where steps will run, usually the
/// cache's; a directory is made in it and removed.
pub fn probe(command: &LauncherCommand, view: &ViewConfig, dir: &Path) -> SandboxReport {
    let mut facts = vec![kernel()];
    let trials = prepare(view, dir).and_then(|grounds| {
        let tried = Connection::try_parts(command, &Mode::Trials(grounds.clone()));
        if let Some(base) = grounds.inputs.parent() {
            remove(base);
        }
        tried.map_err(|error| error.to_string())
    });
    let tier = match &trials {
        Ok(trials) => tier(trials),
        Err(reason) => Tier::Unavailable { reason: reason.clone() },
    };
    facts.extend(trials.into_iter().flatten().map(|trial| fact(&trial)));
    facts.push(cgroups());
    SandboxReport { tier, facts }
}

fn prepare(view: &ViewConfig, dir: &Path) -> Result<Grounds, String> {
    let base = dir.join(format!("probe-{}", std::process::id()));
    let make = |path: &Path| {
        std::fs::create_dir_all(path)?;
        let owner = sandbox_owner();
        chown(path, owner, owner)
    };
    let grounds = Grounds { view: view.clone(), inputs: base.join("inputs"), scratch: base.join("scratch") };
    let dirs = [grounds.scratch.join("upper"), grounds.scratch.join("work"), grounds.inputs.clone()];
    match dirs.iter().try_for_each(|path| make(path)) {
        Ok(()) => Ok(grounds),
        Err(error) => Err(format!("cannot create directories in {}: {error}", dir.display())),
    }
}

fn remove(base: &Path) {
    for scratch in ["scratch", "scratch/root"] {
        super::executor::open_overlay_work(&base.join(scratch));
    }
    // Left behind, it is an empty directory in the cache, which the cache's own cleaning removes.
    let _ = std::fs::remove_dir_all(base);
}

fn tier(trials: &[Trial]) -> Tier {
    let failed = |part: Part| trials.iter().find(|trial| trial.part == part)?.fault.as_ref();
    let essential = [Part::UserNamespace, Part::View, Part::Isolation, Part::Overlay, Part::Filter];
    if let Some(fault) = essential.into_iter().find_map(failed) {
        let reason = format!("{fault}. {}", advice(fault));
        return Tier::Unavailable { reason };
    }
    match failed(Part::OwnProc) {
        Some(_) => Tier::without_own_proc(),
        None => Tier::Full,
    }
}

const IMAGES_ADVICE: &str = "Only steps in images need this. With root's rights they need Linux 5.19, the right to mount, and a \
                             cache on a filesystem that can be mounted with mapped owners, such as ext4, xfs or btrfs";

fn fact(trial: &Trial) -> Fact {
    let (name, purpose) = match trial.part {
        Part::UserNamespace => ("user namespace", "a step has no rights over the machine"),
        Part::View => ("view", "a step sees the machine's software read-only and nothing else of it"),
        Part::Isolation => ("namespaces", "a step has its own network, IPC, host name and cgroup root"),
        Part::Overlay => ("overlay", "a step can change its inputs without the cache noticing"),
        Part::OwnProc => ("own /proc", "a step sees its own processes only"),
        Part::Filter => ("system call filter", "a step makes no system call but those that builds need"),
        Part::Landlock => (LANDLOCK, "what a step may write and reach is said to the kernel twice"),
        Part::Images => {
            (IMAGES, "a step can run in an image, with its users as far as this user can have them")
        }
    };
    match &trial.fault {
        None => Fact { name, ok: true, why: purpose.to_owned(), remedy: None },
        Some(fault) => {
            let remedy = match trial.part {
                // A second wall where the first one stands.
                Part::Landlock => None,
                Part::Images => Some(IMAGES_ADVICE),
                _ => Some(advice(fault)),
            };
            Fact { name, ok: false, why: fault.to_string(), remedy: remedy.map(str::to_owned) }
        }
    }
}

fn kernel() -> Fact {
    let release = uname().map(|name| name.release().to_string_lossy().into_owned());
    let release = release.unwrap_or_default();
    let mut numbers = release.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let ok = version >= OLDEST_KERNEL;
    Fact {
        name: "kernel",
        ok,
        why: format!("Linux {release}"),
        remedy: (!ok).then(|| format!("Linux {}.{} or newer is needed", OLDEST_KERNEL.0, OLDEST_KERNEL.1)),
    }
}

/// Not needed by this sandbox, which bounds processes by user namespace; said because people expect limits.
fn cgroups() -> Fact {
    let writable = |path: &str| access(path, AccessFlags::W_OK).is_ok();
    let unified = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let (ok, found) = if unified.contains("memory") && writable("/sys/fs/cgroup") {
        (true, "version 2, writable")
    } else if writable("/sys/fs/cgroup/memory") {
        (true, "version 1, writable")
    } else {
        (false, "none that is writable")
    };
    Fact {
        name: "cgroups",
        ok,
        why: format!("{found}; a step's memory and cpu are planned with, not enforced"),
        remedy: None,
    }
}

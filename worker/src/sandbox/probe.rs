//! What the machine allows, found out by trying.

use std::os::unix::fs::chown;
use std::path::Path;

use nix::sys::utsname::uname;

use super::config::{LauncherCommand, ViewConfig};
use super::connection::{Connection, advice};
use super::owner::sandbox_owner;
use super::protocol::{Grounds, Mode, Part, Trial};
use super::sub_ids::{NoSubIds, SubIds};
use super::tier::Tier;
use crate::StepLimits;
use crate::cgroup::Cgroups;

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

    /// Whether an ordinary user has further users and groups for images. None where it has all anyway.
    pub fn sub_ids(&self) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.name == SUB_IDS)
    }

    /// What can be limited by control groups.
    pub fn cgroups(&self) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.name == CGROUPS)
    }

    /// Why steps cannot run in images, where they can run otherwise.
    pub fn no_images(&self) -> Option<&Fact> {
        self.facts.iter().find(|fact| fact.name == IMAGES && !fact.ok)
    }
}

/// The names of facts that are asked for.
const LANDLOCK: &str = "landlock";
const IMAGES: &str = "images";
const SUB_IDS: &str = "sub-ids";
const CGROUPS: &str = "cgroups";

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
    let tried = trials.into_iter().flatten().map(|trial| fact(&trial));
    facts.extend(tried.filter_map(|fact| if fact.name == SUB_IDS { ranged(fact) } else { Some(fact) }));
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

const CGROUPS_ADVICE: &str = "Of version 2, Cullet needs a group of its own that it may write to: `systemd-run --user --scope -p \
                              Delegate=yes cullet …`, or a service with Delegate=yes. Of version 1, it has to be root";

const IMAGES_ADVICE: &str = "Only steps in images need this. With root's rights they need Linux 5.19, the right to mount, and a \
                             cache on a filesystem that can be mounted with mapped owners, such as ext4, xfs or btrfs";

fn fact(trial: &Trial) -> Fact {
    let (name, purpose) = match trial.part {
        Part::UserNamespace => ("user namespace", "a step has no rights over the machine"),
        Part::SubIds => (SUB_IDS, "files of images can have several owners"),
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
                Part::SubIds => Some(SUB_IDS_ADVICE),
                Part::Images => Some(IMAGES_ADVICE),
                _ => Some(advice(fault)),
            };
            Fact { name, ok: false, why: fault.to_string(), remedy: remedy.map(str::to_owned) }
        }
    }
}

/// What there is, where it works; otherwise why not.
fn ranged(tried: Fact) -> Option<Fact> {
    match SubIds::find() {
        Err(NoSubIds::Root) => None,
        Err(none) => {
            let remedy = none.remedy().map(str::to_owned);
            Some(Fact { name: SUB_IDS, ok: false, why: none.to_string(), remedy })
        }
        Ok(ids) if tried.ok => {
            let why =
                format!("{}, users from {} on, groups from {} on", tried.why, ids.first_uid, ids.first_gid);
            Some(Fact { why, ..tried })
        }
        Ok(_) => Some(tried),
    }
}

const SUB_IDS_ADVICE: &str = "newuidmap and newgidmap need their set-user-id bit or their capabilities, in a filesystem that is \
                              not mounted `nosuid`, and a caller that is not held by `no_new_privs`";

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

/// What the limits of steps need that the kernel keeps for a group of processes.
fn cgroups() -> Fact {
    let cgroups = Cgroups::open();
    let missing = cgroups.missing(&StepLimits { cpu_millis: 1, memory_bytes: 1, ..StepLimits::default() });
    let (why, remedy) = if missing.is_empty() {
        (format!("memory and processor time of a step are limited ({cgroups})"), None)
    } else {
        let why = format!(
            "limits of {} are not enforced: there is no control group in which this process may make others",
            missing.join(" and ")
        );
        (why, Some(CGROUPS_ADVICE.to_owned()))
    };
    Fact { name: CGROUPS, ok: missing.is_empty(), why, remedy }
}

//! Landlock: what a step may reach, said a second time to a part of the kernel that knows nothing of mounts. Where the
//! kernel has none, mounts alone say it.
//!
//! It is also the only thing between a step that has the machine's network and the abstract sockets of the machine's
//! processes (Linux 6.12).

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, RestrictionStatus,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use super::super::fault::Fault;

/// The newest version that was looked at; of an older kernel's, what there is.
const VERSION: ABI = ABI::V7;

/// Where a step that sees the machine's software may write. In `/proc` and `/dev`, mounts and owners say more;
/// `/dev/shm` is below that one.
const WRITABLE: [&str; 5] = ["/workspace", "/tmp", "/var/tmp", "/dev", "/proc"];

/// How much of it there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Confined {
    Wholly,
    InPart,
    /// The kernel has no Landlock, or it is switched off.
    Not,
}

/// Confines this process and all it starts; `no_new_privs` is set. `owns_root` is for a step in an image, whose root
/// directory is its own.
/// `further` places are mounted for this step to write to, besides those that every step has.
pub(super) fn confine(owns_root: bool, further: &[&Path]) -> Result<Confined, Fault> {
    let status = restrict(owns_root, further).map_err(|error| {
        let errno = std::error::Error::source(&error)
            .and_then(|source| source.downcast_ref::<std::io::Error>()?.raw_os_error());
        Fault::new(format!("confine the step with Landlock ({error})"), errno.unwrap_or(libc::EINVAL))
    })?;
    Ok(match status.ruleset {
        RulesetStatus::FullyEnforced => Confined::Wholly,
        RulesetStatus::PartiallyEnforced => Confined::InPart,
        RulesetStatus::NotEnforced => Confined::Not,
    })
}

fn restrict(owns_root: bool, further: &[&Path]) -> Result<RestrictionStatus, RulesetError> {
    let all = AccessFs::from_all(VERSION);
    let devices = AccessFs::MakeBlock | AccessFs::MakeChar;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(all)?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?
        .create()?
        .no_new_privs(false);
    let mut allow = |path: &Path, access: BitFlags<AccessFs>| {
        // What is not there is in nobody's reach.
        let Ok(place) = PathFd::new(path) else { return Ok(()) };
        (&mut rules).add_rule(PathBeneath::new(place, access)).map(drop)
    };
    if owns_root {
        allow(Path::new("/"), all & !devices)?;
    } else {
        allow(Path::new("/"), AccessFs::from_read(VERSION))?;
        for path in WRITABLE.iter().map(Path::new).chain(further.iter().copied()) {
            allow(path, all & !devices)?;
        }
    }
    rules.restrict_self()
}

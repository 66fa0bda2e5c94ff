//! Further users and groups that an ordinary user may have in namespaces of its own: what `/etc/subuid` and `/etc/subgid`
//! hand out (subuid(5)), and the programs that put them there (newuidmap(1)).

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::{Pid, Uid, User, getegid, geteuid};
use serde::{Deserialize, Serialize};

use super::config::{IMAGE_BLOCK, INSIDE_UID};
use super::fault::{During, Fault};
use super::frame::{recv_packet, send_packet};
use super::launcher::{Cloned, clone_process, exit_now};
use crate::image_root::IMAGE_IDS;

/// As many further users and groups as an image has, and how to have them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubIds {
    /// The machine's id of the first user.
    pub first_uid: u32,
    /// The same of the first group.
    pub first_gid: u32,
    newuidmap: PathBuf,
    newgidmap: PathBuf,
}

/// Why there are none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSubIds {
    /// Root has all users anyway.
    #[error("root needs none")]
    Root,
    /// Only these programs may write such maps.
    #[error("{0} is not installed")]
    NoProgram(&'static str),
    /// Nobody handed any out.
    #[error("{file} has no {IMAGE_IDS} ids in a row for {user}")]
    NoRange {
        /// Which file.
        file: &'static str,
        /// Whose ids are missing.
        user: String,
    },
}

impl NoSubIds {
    /// What to do about it.
    pub fn remedy(&self) -> Option<&'static str> {
        match self {
            Self::Root => None,
            Self::NoProgram(_) => {
                Some("install newuidmap and newgidmap (Debian: uidmap; others: shadow-utils)")
            }
            Self::NoRange { .. } => Some(
                "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 USER, with ids that nobody else has",
            ),
        }
    }
}

/// Where these programs are, whatever `PATH` is.
const PLACES: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];

impl SubIds {
    /// Those of whoever runs this.
    ///
    /// # Errors
    /// Why there are none. Whether those that are there can be used is for [`Self::enter`] to find out.
    pub fn find() -> Result<Self, NoSubIds> {
        let uid = geteuid();
        if uid.is_root() {
            return Err(NoSubIds::Root);
        }
        let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
        let range = |file: &'static str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            first_of(&text, uid, name.as_deref()).ok_or_else(|| NoSubIds::NoRange {
                file,
                user: name.clone().unwrap_or_else(|| uid.to_string()),
            })
        };
        let program = |name: &'static str| {
            let found = PLACES.iter().map(|place| Path::new(place).join(name)).find(|path| path.is_file());
            found.ok_or(NoSubIds::NoProgram(name))
        };
        Ok(Self {
            newuidmap: program("newuidmap")?,
            newgidmap: program("newgidmap")?,
            first_uid: range("/etc/subuid")?,
            first_gid: range("/etc/subgid")?,
        })
    }

    /// Has this process, which has one thread, enter new namespaces of these kinds and one of users, in which it is user
    /// 1000, and in which the range begins at [`IMAGE_BLOCK`]. Why that is not so is the answer of a process that has entered,
    /// some ids of which may be missing.
    pub(super) fn enter(&self, further: CloneFlags) -> Result<Result<(), Fault>, Fault> {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .during("create a socket")?;
        let target = std::process::id();
        match clone_process(0).during("create a process")? {
            Cloned::Child => {
                drop(ours);
                // Nothing is mapped where the other one could not enter.
                if matches!(recv_packet::<bool>(theirs.as_fd()), Ok(Some(_))) {
                    let _ = send_packet(theirs.as_fd(), &self.map(target), &[]);
                }
                exit_now(0)
            }
            Cloned::Parent(_, pid) => {
                drop(theirs);
                let entered = unshare(CloneFlags::CLONE_NEWUSER | further).during("create a user namespace");
                let mapped = entered.map(|()| {
                    send_packet(ours.as_fd(), &true, &[]).during("ask for further users")?;
                    match recv_packet::<Result<(), Fault>>(ours.as_fd()).during("hear of further users")? {
                        Some((mapped, _)) => mapped,
                        None => Err(Fault::new("map further users: that process was killed", libc::EPIPE)),
                    }
                });
                drop(ours);
                waitpid(Pid::from_raw(pid), None).during("wait for a process")?;
                mapped
            }
        }
    }

    /// In the namespace around that of `target`.
    fn map(&self, target: u32) -> Result<(), Fault> {
        let maps = [
            (&self.newgidmap, getegid().as_raw(), self.first_gid),
            (&self.newuidmap, geteuid().as_raw(), self.first_uid),
        ];
        for (program, own, first) in maps {
            let numbers =
                [INSIDE_UID, own, 1, IMAGE_BLOCK, first, IMAGE_IDS].map(|number| number.to_string());
            let status = Command::new(program)
                .arg(target.to_string())
                .args(numbers)
                .env_clear()
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .during(format!("run {}", program.display()))?;
            if !status.success() {
                return Err(Fault::new(format!("map further users with {}", program.display()), libc::EPERM));
            }
        }
        Ok(())
    }
}

/// Has this process, which has one thread, have these users and groups beside its own from here on.
///
/// # Errors
/// In a sentence.
pub fn enter_sub_ids(ids: &SubIds) -> Result<(), String> {
    ids.enter(CloneFlags::empty()).flatten().map_err(|fault| fault.to_string())
}

/// The first id of the first range that is long enough: `NAME:FIRST:COUNT`, with a name or a number.
fn first_of(text: &str, uid: Uid, name: Option<&str>) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let is_own = Some(owner) == name || owner.parse() == Ok(uid.as_raw());
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.parse().ok()?;
        let is_long_enough = count >= IMAGE_IDS && first.checked_add(IMAGE_IDS).is_some();
        (is_own && is_long_enough && first > 0).then_some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_that_is_long_enough_counts() {
        let text =
            "other:1:99999999\nme:300000:100\n\nme:x:65536\n me:400000:65536\n7:500000:70000\nme:9:70000";
        let found = |uid, name| first_of(text, Uid::from_raw(uid), name);
        assert_eq!(found(1, Some("me")), Some(400_000));
        assert_eq!(found(7, Some("nobody")), Some(500_000));
        assert_eq!(found(8, None), None);
        assert_eq!(first_of("me:4294967000:65536\nme:0:65536", Uid::from_raw(1), Some("me")), None);
    }
}

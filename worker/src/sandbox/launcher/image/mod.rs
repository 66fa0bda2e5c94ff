//! The root directory of a step in an image, in place of the view of the machine. What the step has of its own there
//! (`/proc`, `/dev`, `/tmp`, its workspace) is moved over from the view.

mod layers;
mod namespace;
mod places;
mod user;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use rustix::fs::{FileType, OFlags, ResolveFlags};
use rustix::io::Errno;

use self::namespace::Namespace;
pub(super) use self::places::{open, skeletons};
pub(crate) use self::user::{Account, Wanted};
use super::super::config::{IMAGE_BLOCK, INSIDE_UID};
use super::super::fault::{During, Fault};
use super::caches;
use super::footing::{self, Standing};
use super::privileges;
use super::proc::Proc;
use super::secrets;
use super::step_root::open_dir;
use super::view::View;
use crate::{ImageRoot, Owners, SecretFile};

/// The most that is read of `/etc/passwd` and of `/etc/group`: ten thousand users of common length.
const ACCOUNTS_BYTES: u64 = 1 << 20;

/// A root directory that stands, and whoever is going to live in it.
pub(super) struct Root {
    account: Account,
    owners: Owners,
    /// Where there are more ids than one.
    namespace: Option<Namespace>,
}

impl Root {
    /// Mounts the image at `view.image`, with everything of the step's own that `view` has, and secrets where the step finds
    /// them.
    pub(super) fn assemble(
        standing: Standing,
        view: &View,
        image: &ImageRoot,
        scratch: &Path,
        files: &[SecretFile],
    ) -> Result<Self, Fault> {
        let own = if files.is_empty() { None } else { Some(secrets::PLACE) };
        let root = Self::mount(standing, view, image, scratch, own)?;
        places::fill(view, &open_dir(&view.image)?, &root.owners)?;
        if let Some(place) = own {
            let shown = secrets::fill(view, files, root.owners.own)?;
            places::show(&shown, &open_dir(&view.image)?, &root.owners, place)?;
        }
        Ok(root)
    }

    /// Makes the directory in which a service of the image starts, where that is not there: as root of the image, which its
    /// user need not be.
    pub(super) fn make_start(&self, view: &View, directory: &str) -> Result<(), Fault> {
        // Steps start in their workspace, and make nothing there either.
        if Path::new(directory).is_absolute() {
            places::make_way(&open_dir(&view.image)?, &self.owners, directory);
        }
        Ok(())
    }

    /// Mounts the image alone, above a place that most images do not have.
    pub(super) fn mount(
        standing: Standing,
        view: &View,
        image: &ImageRoot,
        scratch: &Path,
        place: Option<&str>,
    ) -> Result<Self, Fault> {
        if let Standing::Namespace { became: Some(_), .. } = standing {
            let action =
                "use an image's layers, which belong to root, without root's right to mount (CAP_SYS_ADMIN)";
            return Err(Fault::new(action, libc::EPERM));
        }
        layers::check(&image.layers)?;
        let wanted = Wanted::parse(&image.user)?;
        let found = match wanted.certain() {
            Some(_) => None,
            // The namespace depends on the user, the mount on the namespace, and the user on what is mounted.
            None => Some(look_up(&wanted, &layers::peek(view, &image.layers, standing)?)?),
        };
        let (uid, gid) = found.as_ref().map(Account::ids).or(wanted.certain()).unwrap_or_default();
        let (own, block) = ids(standing, image.ranged, (uid, gid))?;
        let owners = Owners { uid, gid, own, block };
        let namespace = block.map(|_| Namespace::new(&owners)).transpose()?;
        let mapped = namespace.as_ref().filter(|_| standing == Standing::Root);
        if let Some(place) = place {
            places::add(&caches::places_to_be(view), place, &owners)?;
        }
        layers::mount(view, &image.layers, scratch, &owners, mapped)?;
        let account = match found {
            Some(account) => account,
            None => Account { uid, gid, ..look_up(&wanted, &open_dir(&view.image)?)? },
        };
        Ok(Self { account, owners, namespace })
    }

    /// Whose files are whose.
    pub(super) fn owners(&self) -> Owners {
        self.owners
    }

    /// The user's home directory.
    pub(super) fn home(&self) -> String {
        self.account.home.clone()
    }

    /// Turns this process into the image's user, in a user namespace that owns nothing but itself. Which capabilities
    /// that user keeps is the answer.
    pub(super) fn become_user(self, most_processes: u64, proc: &Proc) -> Result<u64, Fault> {
        let Account { uid, gid, .. } = self.account;
        match self.namespace {
            Some(namespace) => namespace.enter(&self.account, most_processes)?,
            None => {
                let (outside_uid, outside_gid) = (geteuid().as_raw(), getegid().as_raw());
                unshare(CloneFlags::CLONE_NEWUSER).during("create the step's user namespace")?;
                footing::map_ids(proc, (uid, outside_uid), (gid, outside_gid))?;
            }
        }
        Ok(if uid == 0 { privileges::OF_ROOT } else { privileges::NONE })
    }
}

/// The ids of the image's user and of where all others begin, as this process has them.
fn ids(
    standing: Standing,
    ranged: Option<(u32, u32)>,
    user: (u32, u32),
) -> Result<(Option<u32>, Option<u32>), Fault> {
    match (standing, ranged) {
        (Standing::Root, _) => Ok((standing.owner(), Some(IMAGE_BLOCK))),
        (_, None) => Ok((standing.owner(), None)),
        // Every file would be somebody else's.
        (_, Some(_)) if !standing.has_range() => {
            Err(Fault::new("use an image's layers, which belong to sub-ids, without these", libc::EPERM))
        }
        (_, Some(unpacked)) if unpacked != user => {
            let ((uid, gid), (other_uid, other_gid)) = (user, unpacked);
            let action = format!("be {uid}:{gid} of an image that was unpacked for {other_uid}:{other_gid}");
            Err(Fault::new(action, libc::EINVAL))
        }
        (_, Some(_)) => Ok((Some(INSIDE_UID), Some(IMAGE_BLOCK))),
    }
}

fn look_up(wanted: &Wanted, root: &File) -> Result<Account, Fault> {
    wanted.look_up(&text(root, "etc/passwd")?, &text(root, "etc/group")?)
}

/// A file of the image; nothing where there is none. Links are the image's, and end at its root.
fn text(root: &File, path: &str) -> Result<String, Fault> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let within = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let file = match open(root, path, flags, within) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(String::new()),
        Err(error) => return Err(std::io::Error::from(error)).during(format!("read /{path} of the image")),
    };
    let is_file = rustix::fs::fstat(&file)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile);
    let mut bytes = Vec::new();
    if is_file {
        file.take(ACCOUNTS_BYTES).read_to_end(&mut bytes).during(format!("read /{path} of the image"))?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

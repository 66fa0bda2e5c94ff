//! Mounts, namespaces and roots.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::attempt::{Attempt, Outcome, whether};
use super::call::{HERE, NONE, call, end, text, to};

pub(crate) const ALL: &[Attempt] = &[
    ("mount a tmpfs", || mount(c"none", c"/tmp", c"tmpfs", 0)),
    ("mount a proc", || mount(c"none", c"/tmp", c"proc", 0)),
    ("mount an overlay", || mount(c"none", c"/tmp", c"overlay", 0)),
    ("bind the root", || mount(c"/", c"/tmp", c"", libc::MS_BIND)),
    ("make the root writable", || mount(c"none", c"/", c"", libc::MS_REMOUNT | libc::MS_BIND)),
    ("make mounts shared", || mount(c"none", c"/", c"", libc::MS_SHARED | libc::MS_REC)),
    ("move a mount", || mount(c"/workspace", c"/tmp", c"", libc::MS_MOVE)),
    ("unmount", || {
        let places =
            [c"/proc/sys", c"/proc/kcore", c"/proc", c"/dev/null", c"/dev", c"/workspace", c"/etc/hosts"];
        let could = |place: &&std::ffi::CStr| call(libc::SYS_umount2, [text(place), 2]).is_ok();
        Outcome::CouldAt(
            places.iter().copied().filter(could).map(|place| place.to_string_lossy().into()).collect(),
        )
    }),
    ("fsopen", || call(libc::SYS_fsopen, [text(c"tmpfs"), 0]).into()),
    ("fspick", || call(libc::SYS_fspick, [HERE, text(c"/"), 0]).into()),
    ("fsconfig", || call(libc::SYS_fsconfig, [0, 6, 0, 0, 0]).into()),
    ("fsmount", || call(libc::SYS_fsmount, [0, 0, 0]).into()),
    ("open_tree", || call(libc::SYS_open_tree, [HERE, text(c"/"), 1]).into()),
    ("move_mount", || call(libc::SYS_move_mount, [HERE, text(c"/workspace"), HERE, text(c"/tmp"), 0]).into()),
    ("mount_setattr", || {
        let change = [0_u64, 1, 0, 0];
        call(libc::SYS_mount_setattr, [HERE, text(c"/"), 0, to(&change), 32]).into()
    }),
    ("pivot_root", || call(libc::SYS_pivot_root, [text(c"/workspace"), text(c"/workspace")]).into()),
    ("unshare", || {
        let could = |(_, flag): &(&str, libc::c_int)| call(libc::SYS_unshare, [*flag as usize]).is_ok();
        Outcome::CouldAt(NAMESPACES.into_iter().filter(could).map(|(name, _)| name.to_owned()).collect())
    }),
    ("clone", || {
        let could = |(_, flag): &(&str, libc::c_int)| match call(
            libc::SYS_clone,
            [(*flag | libc::SIGCHLD) as usize, 0, 0, 0, 0],
        ) {
            Ok(0) => end(),
            made => made.is_ok(),
        };
        Outcome::CouldAt(NAMESPACES.into_iter().filter(could).map(|(name, _)| name.to_owned()).collect())
    }),
    ("clone3", || {
        let mut arguments = [0_u64; 8];
        (arguments[0], arguments[4]) = (libc::CLONE_NEWUSER as u64, libc::SIGCHLD as u64);
        match call(libc::SYS_clone3, [to(&arguments), 64]) {
            Ok(0) => end(),
            made => made.into(),
        }
    }),
    ("setns", || {
        let could = |name: &&str| {
            let file = File::open(format!("/proc/self/ns/{name}"));
            file.is_ok_and(|file| call(libc::SYS_setns, [file.as_raw_fd() as usize, 0]).is_ok())
        };
        let names = ["user", "mnt", "net", "pid", "ipc", "uts", "cgroup"];
        Outcome::CouldAt(names.into_iter().filter(could).map(str::to_owned).collect())
    }),
    ("open namespaces of process 1", || File::open("/proc/1/ns/mnt").into()),
    ("chroot", || call(libc::SYS_chroot, [text(c"/tmp")]).into()),
    ("leave a chroot", || {
        let before = File::open("/").ok();
        if call(libc::SYS_chroot, [text(c"/tmp")]).is_err() || before.is_none() {
            return whether(false, "there is no chroot");
        }
        let descriptor = before.as_ref().map_or(NONE, |file| file.as_raw_fd() as usize);
        let _ = call(libc::SYS_fchdir, [descriptor]);
        (0..64).for_each(|_| drop(call(libc::SYS_chdir, [text(c"..")])));
        let _ = call(libc::SYS_chroot, [text(c".")]);
        whether(outside(Path::new("/")), "it ends at the step's own root")
    }),
    ("go above the root", || {
        let up = "../".repeat(64);
        whether(outside(Path::new(&up)), "it ends at the step's own root")
    }),
    ("go up from the working directory", || {
        let up = format!("/proc/self/cwd/{}", "../".repeat(64));
        whether(outside(Path::new(&up)), "it ends at the step's own root")
    }),
    ("find mounts that gain rights", || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let gains = |line: &&str| !line.split(' ').nth(5).is_some_and(|options| options.contains("nosuid"));
        Outcome::CouldAt(mounts.lines().filter(gains).map(place).collect())
    }),
    ("find mounts with devices", || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let devices = |line: &&str| !line.split(' ').nth(5).is_some_and(|options| options.contains("nodev"));
        Outcome::CouldAt(mounts.lines().filter(devices).map(place).collect())
    }),
    ("learn paths of the machine from mounts", || {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let canary = std::env::var("CANARY").unwrap_or_default();
        let dir = Path::new(&canary).parent().and_then(Path::to_str).filter(|dir| dir.len() > 1);
        whether(dir.is_some_and(|dir| mounts.contains(dir)), "they are not there")
    }),
];

const NAMESPACES: [(&str, libc::c_int); 7] = [
    ("mnt", libc::CLONE_NEWNS),
    ("uts", libc::CLONE_NEWUTS),
    ("ipc", libc::CLONE_NEWIPC),
    ("user", libc::CLONE_NEWUSER),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("cgroup", libc::CLONE_NEWCGROUP),
];

fn mount(
    source: &std::ffi::CStr,
    target: &std::ffi::CStr,
    kind: &std::ffi::CStr,
    flags: libc::c_ulong,
) -> Outcome {
    call(libc::SYS_mount, [text(source), text(target), text(kind), flags as usize, 0]).into()
}

fn place(line: &str) -> String {
    line.split(' ').nth(4).unwrap_or_default().to_owned()
}

/// Whether the machine can be seen from a directory: a file of it, whose path the caller of the step gave.
fn outside(root: &Path) -> bool {
    let canary = std::env::var("CANARY").unwrap_or_default();
    let seen = !canary.is_empty() && root.join(canary.trim_start_matches('/')).exists();
    let own = std::fs::metadata("/proc/1/root/").is_ok_and(|root| root.ino() > 0);
    seen || own
}

//! What can be read, written and made where.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use super::attempt::{Attempt, Outcome, whether};
use super::call::{HERE, call, text};

/// Trees that steps have in common with the machine or with each other.
const SHARED: [&str; 12] = [
    "/proc/sys",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
    "/proc/scsi",
    "/proc/acpi",
    "/proc/driver",
    "/proc/tty",
    "/proc/pressure",
    "/proc/sysvipc",
    "/sys",
    "/etc",
];

pub(crate) const ALL: &[Attempt] = &[
    ("write in", || Outcome::CouldAt(SHARED.iter().flat_map(|tree| writable(Path::new(tree))).collect())),
    ("write to", || {
        let files = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
        let files = files.filter(|path| path.is_file());
        Outcome::CouldAt(files.filter(|path| opens_for_writing(path)).map(said).collect())
    }),
    ("write to devices", || {
        let files = fs::read_dir("/dev").into_iter().flatten().flatten().map(|entry| entry.path());
        let devices = files.filter(|path| fs::symlink_metadata(path).is_ok_and(|found| is_device(&found)));
        Outcome::CouldAt(devices.filter(|path| opens_for_writing(path)).map(said).collect())
    }),
    ("make files in", || {
        let fixed = [
            "/",
            "/var/tmp",
            "/var/lib",
            "/dev/shm",
            "/dev/pts",
            "/proc/self",
            "/proc/sys",
            "/usr/bin",
            "/etc/ssl",
        ];
        let top = fs::read_dir("/").into_iter().flatten().flatten();
        let mut places: Vec<PathBuf> = top.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        places.extend(fixed.map(PathBuf::from));
        places.sort();
        places.dedup();
        Outcome::CouldAt(places.into_iter().filter(|place| makes(place)).map(said).collect())
    }),
    ("change core_pattern", || fs::write("/proc/sys/kernel/core_pattern", "|/bin/false").into()),
    ("change owners of settings", || {
        std::os::unix::fs::chown("/proc/sys/kernel/core_pattern", Some(0), None).into()
    }),
    ("open settings by a handle of another name", || {
        let _ = symlink("/proc/self/root/proc/sys/kernel/core_pattern", "/tmp/settings");
        File::options().write(true).open("/tmp/settings").into()
    }),
    ("read", || {
        let secret = [
            "/proc/kcore",
            "/proc/keys",
            "/proc/key-users",
            "/proc/timer_list",
            "/proc/sched_debug",
            "/proc/interrupts",
            "/proc/latency_stats",
            "/proc/kmsg",
            "/proc/kpagecount",
            "/proc/vmallocinfo",
            "/proc/slabinfo",
            "/proc/kallsyms",
            "/etc/shadow",
            "/proc/1/environ",
            "/proc/1/maps",
            "/proc/1/mem",
            "/proc/1/auxv",
            "/proc/1/stack",
        ];
        Outcome::CouldAt(secret.into_iter().filter(|path| tells(path)).map(str::to_owned).collect())
    }),
    ("list", || {
        let secret = [
            "/proc/1/fd",
            "/proc/1/root/",
            "/proc/1/cwd/",
            "/proc/scsi",
            "/proc/acpi",
            "/proc/asound",
            "/sys/kernel",
            "/sys/fs/cgroup",
            "/sys/firmware",
            "/root/.ssh",
            "/home",
            "/run",
            "/mnt",
            "/media",
            "/srv",
            "/boot",
            "/lost+found",
        ];
        let full = |path: &&str| fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        Outcome::CouldAt(secret.into_iter().filter(full).map(str::to_owned).collect())
    }),
    ("make a device", || {
        let made = |(name, kind, major, minor): &(&str, libc::mode_t, u32, u32)| {
            let device = libc::makedev(*major, *minor);
            let path = std::ffi::CString::new(format!("/workspace/{name}")).unwrap_or_default();
            call(libc::SYS_mknodat, [HERE, text(&path), (kind | 0o666) as usize, device as usize]).is_ok()
        };
        let kinds =
            [("disk", libc::S_IFBLK, 254, 0), ("mem", libc::S_IFCHR, 1, 1), ("null", libc::S_IFCHR, 1, 3)];
        Outcome::CouldAt(kinds.into_iter().filter(made).map(|(name, ..)| name.to_owned()).collect())
    }),
    ("open devices of the machine", || {
        let names = [
            "mem",
            "kmem",
            "port",
            "kmsg",
            "fuse",
            "kvm",
            "vda",
            "sda",
            "loop-control",
            "net/tun",
            "vhost-vsock",
            "console",
        ];
        let opens = |name: &&str| File::open(Path::new("/dev").join(name)).is_ok();
        Outcome::CouldAt(names.into_iter().filter(opens).map(str::to_owned).collect())
    }),
    ("replace devices", || {
        let replaced = |name: &&str| {
            let path = Path::new("/dev").join(name);
            fs::rename("/workspace/none", &path).is_ok()
                || fs::remove_file(&path).is_ok()
                || fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).is_ok()
        };
        Outcome::CouldAt(
            ["null", "zero", "full", "random", "urandom", "tty"]
                .into_iter()
                .filter(replaced)
                .map(str::to_owned)
                .collect(),
        )
    }),
    ("make a control group", || fs::create_dir("/sys/fs/cgroup/canary").into()),
    ("name a release agent", || fs::write("/sys/fs/cgroup/memory/release_agent", "/bin/false").into()),
    ("find descriptors that are not its own", || {
        let own = ["0", "1", "2"];
        let found = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
        // The directory itself is read by the one that does not exist any more when its link is looked at.
        let others = found.filter(|entry| !own.iter().any(|name| entry.file_name() == *name));
        Outcome::CouldAt(
            others
                .filter_map(|entry| fs::read_link(entry.path()).ok())
                .filter(|to| !to.starts_with("/proc"))
                .map(said)
                .collect(),
        )
    }),
    ("change an input behind an overlay", || {
        let _ = fs::hard_link("/workspace/input", "/workspace/linked");
        let _ = File::options().append(true).open("/workspace/linked").map(|mut file| {
            use std::io::Write as _;
            file.write_all(b"changed\n")
        });
        // Whoever started the step looks whether the input itself is as it was.
        whether(false, "the step has a copy")
    }),
    ("make a set-user-id program of somebody else", || {
        let _ = fs::copy("/proc/self/exe", "/workspace/owned");
        let made = std::os::unix::fs::chown("/workspace/owned", Some(0), Some(0));
        let own = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
        whether(made.is_ok() && !own, "it cannot give files away, or has its own only")
    }),
    ("link to what it may not read", || {
        call(
            libc::SYS_linkat,
            [HERE, text(c"/proc/1/exe"), HERE, text(c"/workspace/exe"), libc::AT_SYMLINK_FOLLOW as usize],
        )
        .into()
    }),
];

fn said(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

fn is_device(found: &fs::Metadata) -> bool {
    found.file_type().is_char_device() || found.file_type().is_block_device()
}

/// Nothing is written: opening asks for the right to.
fn opens_for_writing(path: &Path) -> bool {
    File::options()
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_NOFOLLOW)
        .open(path)
        .is_ok()
}

fn writable(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![dir.to_owned()];
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => pending.push(entry.path()),
                Ok(kind) if kind.is_file() && opens_for_writing(&entry.path()) => {
                    found.push(said(entry.path()))
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn makes(dir: &Path) -> bool {
    let path = dir.join("escapes-canary");
    File::create_new(&path).is_ok_and(|_| {
        let _ = fs::remove_file(&path);
        true
    })
}

/// Whether there is anything to read. Addresses that are all zero say nothing.
fn tells(path: &str) -> bool {
    use std::io::Read as _;
    let Ok(file) = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path) else { return false };
    let mut text = Vec::new();
    let read = file.take(64).read_to_end(&mut text);
    read.is_ok() && text.iter().any(|byte| !b"0 \n".contains(byte)) && !text.starts_with(b"0000000000000000 ")
}

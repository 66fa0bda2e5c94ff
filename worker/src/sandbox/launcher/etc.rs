//! `/etc` of the view: what configures software, as the machine has it; the files that would tell one machine from
//! another, replaced by ones that are the same everywhere; and nothing else.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;

use super::super::fault::{During, Fault};
use super::mounts;
use super::view::{self, make_dirs};
use crate::host::seen;

const PASSWD: &str = "root:x:0:0:root:/tmp:/bin/sh\n\
    cullet:x:1000:1000:cullet:/tmp:/bin/sh\n\
    nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ncullet:x:1000:\nnogroup:x:65534:\n";
pub(super) const HOSTS: &str = "127.0.0.1 localhost cullet\n::1 localhost ip6-localhost ip6-loopback\n";

/// Name and contents. A host name, a machine id or a list of resolvers in a result would make it this machine's.
pub(crate) const FILES: [(&str, &str); 6] = [
    ("passwd", PASSWD),
    ("group", GROUP),
    ("hostname", "cullet\n"),
    ("hosts", HOSTS),
    ("machine-id", ""),
    ("resolv.conf", ""),
];

/// The files that a step with the network needs as the machine has them.
const NETWORK: [&str; 2] = ["hosts", "resolv.conf"];

/// Files of `/etc` up to this size are copied: for small ones a mount would cost every step more than a copy costs
/// the launcher. `ld.so.cache`, the largest on most machines, has a few hundred KiB at most.
const MAX_COPIED_BYTES: u64 = 512 << 10;

/// Builds `/etc` of the view; returns what to bind over it for a step with the network.
pub(super) fn build(root: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Fault> {
    let (outside, inside) = (Path::new("/etc"), root.join("etc"));
    make_dirs(&inside)?;
    for entry in fs::read_dir(outside).into_iter().flatten().filter_map(Result::ok) {
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| seen::is_etc_shown(name)) else {
            continue;
        };
        view::show_entry(outside, &inside, name)?;
        show_file(&entry.path(), &inside.join(name))?;
    }
    for dir in seen::COVERED.map(|dir| root.join(dir)) {
        if fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) {
            mounts::filesystem("tmpfs", &dir, MsFlags::empty(), "mode=0755,size=4k")?;
        }
    }
    let mut network = Vec::new();
    for (name, contents) in FILES {
        let file = inside.join(name);
        fs::write(&file, contents).during(format!("write {name}"))?;
        let machines = outside.join(name);
        if NETWORK.contains(&name) && machines.is_file() {
            network.push((machines, file));
        }
    }
    Ok(network)
}

/// Shows a regular file; anything else is not for here.
fn show_file(outside: &Path, inside: &Path) -> Result<(), Fault> {
    let Some(found) = fs::symlink_metadata(outside).ok().filter(fs::Metadata::is_file) else {
        return Ok(());
    };
    if found.len() <= MAX_COPIED_BYTES && fs::copy(outside, inside).is_ok() {
        return Ok(());
    }
    // Too large, or not for this user to read: a step finds it as the user does.
    File::create(inside).during(format!("create {}", inside.display()))?;
    mounts::bind(outside, inside)
}

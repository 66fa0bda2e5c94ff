//! The files of `/etc` that would tell one machine from another, replaced by ones that are the same everywhere.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::super::fault::{During, Fault};
use super::mounts;
use super::view::{inside, make_dirs};

const PASSWD: &str = "root:x:0:0:root:/tmp:/bin/sh\n\
    cullet:x:1000:1000:cullet:/tmp:/bin/sh\n\
    nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n";
const GROUP: &str = "root:x:0:\ncullet:x:1000:\nnogroup:x:65534:\n";
const HOSTS: &str = "127.0.0.1 localhost cullet\n::1 localhost ip6-localhost ip6-loopback\n";

/// Name and contents. A host name, a machine id or a list of resolvers in a result would make it this machine's.
const FILES: [(&str, &str); 6] = [
    ("passwd", PASSWD),
    ("group", GROUP),
    ("hostname", "cullet\n"),
    ("hosts", HOSTS),
    ("machine-id", ""),
    ("resolv.conf", ""),
];

/// The files that a step with the network needs as the machine has them.
const NETWORK: [&str; 2] = ["hosts", "resolv.conf"];

/// Puts the files in place; returns what to bind back for a step with the network.
pub(super) fn place(stage: &Path, root: &Path) -> Result<Vec<(PathBuf, PathBuf)>, Fault> {
    let mut network = Vec::new();
    for (name, contents) in FILES {
        let Some(target) = target_of(root, name)? else {
            continue;
        };
        let file = stage.join(format!("etc.{name}"));
        fs::write(&file, contents).during(format!("write {name}"))?;
        mounts::bind(&file, &target)?;
        if NETWORK.contains(&name) {
            network.push((Path::new("/etc").join(name), target));
        }
    }
    Ok(network)
}

/// The file in the view that `/etc/NAME` leads to, if there is one to cover.
fn target_of(root: &Path, name: &str) -> Result<Option<PathBuf>, Fault> {
    let outside = Path::new("/etc").join(name);
    // The whole way is resolved on the machine: a link inside the view must not lead out of it.
    let Ok(resolved) = fs::canonicalize(&outside) else {
        return Ok(None);
    };
    let target = inside(root, &resolved);
    if fs::symlink_metadata(&target).is_err() {
        // Typically /run/systemd/resolve/stub-resolv.conf, below an empty /run of the view's own.
        let parent = target.parent().unwrap_or(root);
        if make_dirs(parent).is_err() || File::create(&target).is_err() {
            return Ok(None);
        }
    }
    Ok(Some(target))
}

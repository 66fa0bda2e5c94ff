//! Files of `/etc` that are the same for all steps on all machines, in a place from which an engine can show them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::sandbox::ETC_FILES;
use crate::services::hosts;

/// Those that the sandbox mounts over what an image has.
const SHOWN: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// Writes them, with the names of services; pairs of a path here and a path in containers.
pub(super) fn write(scratch: &Path, services: &[String]) -> io::Result<Vec<(PathBuf, String)>> {
    let dir = scratch.join("etc");
    fs::create_dir(&dir)?;
    let files = ETC_FILES.iter().filter(|(name, _)| SHOWN.contains(name));
    let write = |(name, contents): &(&str, &str)| {
        let path = dir.join(name);
        let contents = if *name == "hosts" { hosts(contents, services) } else { (*contents).to_owned() };
        fs::write(&path, contents)?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        Ok((path, format!("/etc/{name}")))
    };
    files.map(write).collect()
}

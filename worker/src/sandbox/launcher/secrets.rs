//! The step's secrets as files. They are in a filesystem of the step's own that lives in memory and is never swapped
//! (ramfs), which is mounted in the step's mount namespace alone.

use std::ffi::CString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::super::fault::{During, Fault};
use super::mounts;
use super::sys::attr;
use super::view::View;
use crate::{RootUpper, SecretFile};

/// Where a step finds them, in its root.
pub(super) const PLACE: &str = RootUpper::SECRETS;

/// Shows them in the view of the machine, whose `/run` is empty.
pub(super) fn show(view: &View, files: &[SecretFile], owner: Option<u32>) -> Result<(), Fault> {
    if files.is_empty() {
        return Ok(());
    }
    let shown = fill(view, files, owner)?;
    mounts::bind(shown.parent().unwrap_or(&shown), &view.root.join("run"))
}

/// Makes the directory with the files, each readable for its owner alone, and gives its path, which is not yet in the
/// step's root.
pub(super) fn fill(view: &View, files: &[SecretFile], owner: Option<u32>) -> Result<PathBuf, Fault> {
    let run = view.private.join("run");
    DirBuilder::new().mode(0o755).create(&run).during("make a place for secrets")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mounts::filesystem("ramfs", &run, flags, "mode=0755")?;
    let dir = run.join("secrets");
    DirBuilder::new().mode(0o755).create(&dir).during("make a place for secrets")?;
    for file in files {
        write(&dir.join(&file.name), file, owner).during(format!("show the secret {}", file.name))?;
    }
    mounts::restrict(&run, attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC)?;
    Ok(dir)
}

fn write(path: &Path, secret: &SecretFile, owner: Option<u32>) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o400).open(path)?;
    file.write_all(secret.value.expose())?;
    if owner.is_some() {
        chown(path, owner, owner)?;
    }
    Ok(())
}

/// As a variable of the step's program.
pub(super) fn variable(secret: &SecretFile) -> Result<CString, Fault> {
    let value = secret.value.for_env();
    // With the NUL at its end and nothing more: what has another size is copied, and the copy before that stays.
    let mut text = Vec::with_capacity(secret.name.len() + value.len() + 2);
    text.extend_from_slice(secret.name.as_bytes());
    text.push(b'=');
    text.extend_from_slice(value);
    CString::new(text)
        .map_err(|_| Fault::new(format!("pass the secret {} with a NUL byte", secret.name), libc::EINVAL))
}

/// No memory of this process gets to a disk. A limit of 0 forbids files and not a program that the kernel starts for
/// dumps; 1 forbids both (core(5), and `do_coredump` of Linux).
pub(super) fn forbid_cores() -> Result<(), Fault> {
    let hard = getrlimit(Resource::RLIMIT_CORE).during("read a limit")?.1;
    setrlimit(Resource::RLIMIT_CORE, hard.min(1), hard).during("set a limit")
}

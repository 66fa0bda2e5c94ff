//! What one step adds to the view: its /proc, its private directories, its workspace. Then the view becomes `/`.

use std::ffi::CString;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, umount2};
use nix::unistd::{chdir, pivot_root};

use super::super::config::ViewConfig;
use super::super::fault::{During, Fault};
use super::super::protocol::StepRequest;
use super::proc::{self, Proc};
use super::sys::{self, attr};
use super::view::View;
use super::{Prepared, mounts};

/// Name in the step's tmpfs, and where it is shown.
const PRIVATE: [(&str, &str); 3] = [("tmp", "tmp"), ("var-tmp", "var/tmp"), ("shm", "dev/shm")];

/// Mounts everything of the step's own into this process's copy of the view.
/// A handle to a writable `/proc` is the answer.
pub(super) fn assemble(prepared: &Prepared, request: &StepRequest) -> Result<Proc, Fault> {
    let Prepared { view, config, own_proc, masks, .. } = prepared;
    let root = &view.root;
    mount_workspace(&request.inputs, &request.scratch, &root.join("workspace"))?;
    proc::mount(root, *own_proc)?;
    let proc = if *own_proc { Proc::at(&root.join("proc"))? } else { Proc::current()? };
    masks.cover(&root.join("proc"))?;
    mount_private(view, config)?;
    let quiet = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    mounts::filesystem("devpts", &root.join("dev/pts"), quiet, "newinstance,ptmxmode=0666,mode=0620")?;
    if request.network {
        for (outside, inside) in &view.network_files {
            let source = fs::canonicalize(outside).during(format!("find {}", outside.display()))?;
            mounts::bind(&source, inside)?;
            mounts::restrict(inside, attr::RDONLY | attr::NOSUID | attr::NODEV)?;
        }
    }
    Ok(proc)
}

/// One tmpfs shown in three places: a filesystem costs more than a mount.
fn mount_private(view: &View, config: &ViewConfig) -> Result<(), Fault> {
    let options = match config.tmp_bytes {
        Some(bytes) => format!("mode=0755,size={bytes}"),
        None => "mode=0755".to_owned(),
    };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mounts::filesystem("tmpfs", &view.private, flags, &options)?;
    let everyone = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    let shown = PRIVATE.iter().try_for_each(|(name, place)| {
        let source = view.private.join(name);
        DirBuilder::new().mode(0o1777).create(&source).during(format!("create /{place}"))?;
        mounts::bind(&source, &view.root.join(place))
    });
    nix::sys::stat::umask(everyone);
    shown
}

/// The inputs below, whatever the step writes above.
///
/// The directories are named by descriptors: their paths may hold any character, and what the step reads in
/// its mountinfo says nothing about the machine. `volatile` saves a sync of the whole filesystem at the end;
/// `userxattr` marks opaque directories in a way that any user can make and read.
pub(super) fn mount_workspace(inputs: &Path, scratch: &Path, target: &Path) -> Result<(), Fault> {
    let (inputs, scratch) = (open_dir(inputs)?, open_dir(scratch)?);
    let (lower, upper) = (inputs.as_raw_fd(), scratch.as_raw_fd());
    let options = format!(
        "lowerdir=/proc/self/fd/{lower},upperdir=/proc/self/fd/{upper}/upper,\
         workdir=/proc/self/fd/{upper}/work,userxattr,volatile"
    );
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mounts::filesystem("overlay", target, flags, &options)
}

/// A directory to name by its descriptor.
pub(super) fn open_dir(path: &Path) -> Result<File, Fault> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(path)
        .during(format!("open {}", path.display()))
}

/// Makes what is mounted at `root` this process's root, and the machine's unreachable.
pub(super) fn pivot(root: &Path) -> Result<(), Fault> {
    chdir(root).during("enter the step's root")?;
    pivot_root(".", ".").during("make it the root")?;
    umount2(".", MntFlags::MNT_DETACH).during("detach the machine's root")?;
    chdir("/").during("enter the new root")
}

/// Puts the view's own /dev/null on standard input.
pub(super) fn silence_stdin() -> Result<(), Fault> {
    use std::os::fd::AsFd;
    let null = File::open("/dev/null").during("open /dev/null")?;
    sys::duplicate_to(null.as_fd(), 0).during("replace standard input")
}

/// A path as the kernel takes it.
pub(super) fn c_string(text: &str) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| Fault::new("pass an argument with a NUL byte", libc::EINVAL))
}

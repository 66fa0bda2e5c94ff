//! The system calls that the crates we use do not wrap. Each is safe to call from a single-threaded process.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Mount attributes of mount_setattr(2).
pub(crate) mod attr {
    pub(crate) const RDONLY: u64 = 0x1;
    pub(crate) const NOSUID: u64 = 0x2;
    pub(crate) const NODEV: u64 = 0x4;
    pub(crate) const NOEXEC: u64 = 0x8;
}

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sets attributes on the mount at `path`, and on all below it when `recursive`.
pub(crate) fn mount_setattr(path: &CStr, recursive: bool, attributes: u64) -> io::Result<()> {
    let change = MountAttr { attr_set: attributes, ..MountAttr::default() };
    let flags = if recursive { libc::AT_RECURSIVE } else { 0 };
    change_mount(libc::AT_FDCWD, path, flags, &change)
}

/// A mount of the directory at `path` alone, which is nowhere yet.
pub(crate) fn clone_mount(path: &CStr) -> io::Result<OwnedFd> {
    let flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    // SAFETY: `path` is a C string that outlives the call; the descriptor is owned right away.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Shows the files of a mount that is nowhere yet with the owners that a user namespace has in their place: whose id is
/// 5 belongs to whoever is 5 there.
pub(crate) fn map_owners(
    mount: BorrowedFd<'_>,
    namespace: BorrowedFd<'_>,
    attributes: u64,
) -> io::Result<()> {
    let change = MountAttr {
        attr_set: attributes | libc::MOUNT_ATTR_IDMAP,
        userns_fd: namespace.as_raw_fd().cast_unsigned().into(),
        ..MountAttr::default()
    };
    change_mount(mount.as_raw_fd(), c"", libc::AT_EMPTY_PATH, &change)
}

fn change_mount(at: RawFd, path: &CStr, flags: libc::c_int, change: &MountAttr) -> io::Result<()> {
    // SAFETY: `path` is a C string and `change` a mount_attr of the size given; both outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            at,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(change),
            size_of::<MountAttr>(),
        )
    };
    check(result).map(drop)
}

/// Sets attributes on a mount that is nowhere yet.
pub(crate) fn restrict_mount(mount: BorrowedFd<'_>, attributes: u64) -> io::Result<()> {
    let change = MountAttr { attr_set: attributes, ..MountAttr::default() };
    change_mount(mount.as_raw_fd(), c"", libc::AT_EMPTY_PATH, &change)
}

/// Puts a mount that is nowhere yet at `path`.
pub(crate) fn attach_mount(mount: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH;
    // SAFETY: two C strings that outlive the call, and numbers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            path.as_ptr(),
            flags,
        )
    };
    check(result).map(drop)
}

/// What [`clone_process`] returns in each of the two processes.
pub(crate) enum Cloned {
    /// In the new process.
    Child,
    /// In the calling process: a pidfd of the new one, and its number.
    Parent(OwnedFd, libc::pid_t),
}

/// Like fork, into these new namespaces. By the older of the calls for it: containers refuse the newer one, whose flags
/// their filters cannot see.
pub(crate) fn clone_process(namespaces: libc::c_int) -> io::Result<Cloned> {
    clone(namespaces)
}

/// Like fork, but what either of the two opens or closes is so for both.
pub(crate) fn clone_sharing_files() -> io::Result<Cloned> {
    clone(libc::CLONE_FILES)
}

fn clone(flags: libc::c_int) -> io::Result<Cloned> {
    let mut pidfd: RawFd = -1;
    let flags = (flags | libc::CLONE_PIDFD | libc::SIGCHLD) as libc::c_ulong;
    // No stack: the child goes on with a copy of this one. The next argument is where the pidfd goes; the others are of
    // no use without their flags.
    // SAFETY: without CLONE_VM and a stack this is fork; the launcher has one thread, so the child may go on
    // with any code. The kernel writes the descriptor to `pidfd`, which outlives the call.
    let pid =
        check(unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, &raw mut pidfd, 0_usize, 0_usize) })?;
    if pid == 0 {
        return Ok(Cloned::Child);
    }
    // SAFETY: the kernel has just made this descriptor for us.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Cloned::Parent(pidfd, pid as libc::pid_t))
}

/// Room for a few calls that have no large variables.
const SMALL_STACK: usize = 64 << 10;

/// A process in these new namespaces that has the memory of this one, as after vfork, but while this one goes on: nothing is
/// copied, which takes a large part of what a launch takes. Its pidfd. It has a stack of its own, which is never given back.
///
/// # Safety
/// `work` may do nothing but make system calls, and those not through the C library where they may fail: there is one `errno`
/// for both processes. It may not panic nor allocate.
pub(crate) unsafe fn clone_sharing_memory<F: Fn() + Sync + 'static>(
    namespaces: libc::c_int,
    work: F,
) -> io::Result<OwnedFd> {
    extern "C" fn run<F: Fn() + 'static>(work: *mut libc::c_void) -> libc::c_int {
        // SAFETY: it points to the work below, which stays for ever and which nobody changes.
        let work: &'static F = unsafe { &*work.cast::<F>() };
        work();
        0
    }
    let work: &'static F = Box::leak(Box::new(work));
    let stack =
        Box::leak(Box::<[u128]>::new_uninit_slice(SMALL_STACK / size_of::<u128>())).as_mut_ptr_range();
    let mut pidfd: RawFd = -1;
    let flags = namespaces | libc::CLONE_VM | libc::CLONE_PIDFD | libc::SIGCHLD;
    let work = std::ptr::from_ref(work).cast_mut().cast();
    // SAFETY: the stack grows down from its end, which is aligned for it and belongs to the new process alone. The caller vouches
    // for what that one does. The kernel writes the descriptor to `pidfd`, which outlives the call.
    check(unsafe { libc::clone(run::<F>, stack.end.cast(), flags, work, &raw mut pidfd) }.into())?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(pidfd) })
}

/// A pidfd of this very process.
pub(crate) fn own_pidfd() -> io::Result<OwnedFd> {
    // SAFETY: pidfd_open takes numbers; the descriptor is owned right away.
    unsafe {
        let fd = check(libc::syscall(libc::SYS_pidfd_open, libc::getpid(), 0))?;
        Ok(OwnedFd::from_raw_fd(fd as RawFd))
    }
}

/// Makes `number` refer to what `fd` refers to, kept across exec.
pub(crate) fn duplicate_to(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        // SAFETY: fcntl on a descriptor that is open, with a flag word.
        return check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: the callers only name 0, 1 and 2, or 3 in a process that never uses its other objects again.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

/// Closes every descriptor from `first` on.
pub(crate) fn close_from(first: libc::c_uint) -> io::Result<()> {
    // SAFETY: the callers are about to exec or never touch an object that owns one of them again.
    check(unsafe { libc::close_range(first, libc::c_uint::MAX, 0) }.into()).map(drop)
}

/// prctl(2) with plain numbers.
pub(crate) fn prctl(option: libc::c_int, second: libc::c_ulong, third: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the callers only use options whose arguments are numbers.
    check(unsafe { libc::prctl(option, second, third, 0, 0) }.into()).map(drop)
}

/// Takes a session keyring of its own, so that what the kernel does for a step finds no key of whoever started cullet. No
/// step can ask for keys itself: its filter refuses that. Containers refuse it to cullet as well, and a user may have two
/// hundred keyrings only; then the step has that of the launcher, or none.
pub(crate) fn leave_keyring() {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: the kernel reads a name, of which there is none.
    let _ = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<u8>()) };
}

/// Names this thread, at most 15 bytes.
pub(crate) fn set_name(name: &CStr) -> io::Result<()> {
    // SAFETY: PR_SET_NAME reads a C string, which outlives the call.
    check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }.into()).map(drop)
}

/// Gives up every capability of this thread that is not in the set `kept`, and passes none on to programs by themselves.
pub(crate) fn keep_capabilities(kept: u64) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header: [u32; 2] = [VERSION_3, 0];
    // Effective, permitted, inheritable; the lower half of each, then the upper.
    let (lower, upper) = (kept as u32, (kept >> 32) as u32);
    let data = [lower, lower, 0, upper, upper, 0];
    // SAFETY: a header and two data blocks as capset(2) lays them out for version 3.
    check(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) }).map(drop)
}

/// Switches the loopback interface of this network namespace on.
pub(crate) fn loopback_up() -> io::Result<()> {
    // SAFETY: socket takes numbers; the descriptor is owned right away.
    let socket = unsafe {
        let fd = check(libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0).into())?;
        OwnedFd::from_raw_fd(fd as RawFd)
    };
    // SAFETY: ifreq is plain data, for which all zeros are valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (target, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *target = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }.into())
        .map(drop)
}

/// Gives every signal its default action back and blocks none.
pub(crate) fn default_signals() {
    // Asked of the kernel itself: the C library hides the two signals it uses, which may be ignored as well.
    const KERNEL_SIGSET_BYTES: usize = 8;
    let default_action = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the kernel reads a struct sigaction, at most 32 bytes, of which all zeros mean SIG_DFL.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default_action.as_ptr(),
                std::ptr::null_mut::<u64>(),
                KERNEL_SIGSET_BYTES,
            );
        }
    }
    unblock_signals();
}

/// Gives SIGCHLD its default action back: a process that ignores it cannot wait for its children.
pub(crate) fn notice_children() {
    // SAFETY: setting SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
}

fn unblock_signals() {
    // SAFETY: the set is initialised by sigemptyset before use.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Ends this process at once: no destructors, no atexit handlers of the program it was forked from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit never returns and touches nothing of ours.
    unsafe { libc::_exit(code) }
}

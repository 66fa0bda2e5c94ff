//! System calls that no build or test needs and that have opened kernels before.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch,
};

use super::super::fault::Fault;

/// What a step may not call: keyrings (shared by user, not by namespace), programs for the kernel, tracing of
/// the machine, asynchronous rings (which walk around filters), mounts and modules.
const REFUSED: [libc::c_long; 30] = [
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_open_by_handle_at,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_lookup_dcookie,
];

/// Set in the numbers of x32, a second set of calls that the kernel counts as the same architecture.
#[cfg(target_arch = "x86_64")]
const X32_BIT: i64 = 0x4000_0000;

/// `kexec_load` in x32: the only one of the calls above with a number of its own there.
#[cfg(target_arch = "x86_64")]
const X32_KEXEC_LOAD: i64 = 528;

/// Numbers of calls, also those that x32 has for them.
#[cfg(target_arch = "x86_64")]
fn with_x32(calls: &[libc::c_long]) -> impl Iterator<Item = i64> {
    calls.iter().flat_map(|call| [*call, call | X32_BIT])
}

/// Numbers of calls.
#[cfg(not(target_arch = "x86_64"))]
fn with_x32(calls: &[libc::c_long]) -> impl Iterator<Item = i64> {
    calls.iter().map(|call| i64::from(*call))
}

/// The numbers to refuse. Programs of another architecture (32-bit ones) need no numbers: the compiled filter
/// starts with a check that ends them with SIGSYS.
#[cfg(target_arch = "x86_64")]
fn numbers() -> impl Iterator<Item = i64> {
    let x32 = REFUSED.into_iter().chain([X32_KEXEC_LOAD]).map(|call| call | X32_BIT);
    REFUSED.into_iter().chain(x32)
}

/// The numbers to refuse.
#[cfg(not(target_arch = "x86_64"))]
fn numbers() -> impl Iterator<Item = i64> {
    REFUSED.into_iter().map(i64::from)
}

/// The filter, compiled once and installed in every step; `None` on an architecture the compiler does not know.
pub(super) fn compile() -> Result<Option<BpfProgram>, Fault> {
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Ok(None);
    };
    let rules: BTreeMap<i64, Vec<SeccompRule>> = numbers().map(|call| (call, Vec::new())).collect();
    let refuse = SeccompAction::Errno(libc::EPERM as u32);
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, architecture)
        .and_then(BpfProgram::try_from)
        .map(Some)
        .map_err(|_| Fault::new("compile the system call filter", libc::EINVAL))
}

/// Filters that refuse user namespaces, for machines on which their number cannot be limited. Compiled once.
pub(super) fn against_namespaces() -> Result<Vec<BpfProgram>, Fault> {
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else {
        return Err(Fault::new("filter system calls on this architecture", libc::ENOSYS));
    };
    let flag = libc::CLONE_NEWUSER as u64;
    let asks = || SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag);
    let rule = || asks().and_then(|condition| SeccompRule::new(vec![condition]));
    let bad = |_| Fault::new("compile the system call filter", libc::EINVAL);
    let compile = |calls: &[libc::c_long], rules: &dyn Fn() -> Result<Vec<SeccompRule>, _>, errno: i32| {
        let calls = with_x32(calls).map(|call| rules().map(|rules| (call, rules)));
        let calls: BTreeMap<i64, Vec<SeccompRule>> = calls.collect::<Result<_, _>>().map_err(bad)?;
        let answer = SeccompAction::Errno(errno.unsigned_abs());
        let filter = SeccompFilter::new(calls, SeccompAction::Allow, answer, architecture).map_err(bad)?;
        BpfProgram::try_from(filter).map_err(bad)
    };
    Ok(vec![
        compile(&[libc::SYS_unshare, libc::SYS_clone], &|| Ok(vec![rule()?]), libc::EPERM)?,
        // Its flags are in memory, where a filter cannot look. Whoever is told that there is no such call uses the other.
        compile(&[libc::SYS_clone3], &|| Ok(Vec::new()), libc::ENOSYS)?,
    ])
}

/// Installs the filter for this process and all it starts.
pub(super) fn install(filter: &BpfProgram) -> Result<(), Fault> {
    seccompiler::apply_filter(filter).map_err(|_| Fault::new("install the system call filter", libc::EINVAL))
}

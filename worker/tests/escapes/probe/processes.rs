//! Other processes, and rights of its own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};

use super::attempt::{Attempt, Outcome, whether};
use super::call::{call, into, to};

pub(crate) const ALL: &[Attempt] = &[
    ("trace process 1", || call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, 1, 0, 0]).into()),
    ("read the memory of process 1", || {
        let mut byte = [0_u64; 2];
        let vector = [into(&mut byte), 8];
        call(libc::SYS_process_vm_readv, [1, to(&vector), 1, to(&vector), 1, 0]).into()
    }),
    ("write to the memory of process 1", || fs::File::options().write(true).open("/proc/1/mem").into()),
    ("take descriptors of process 1", || {
        let Ok(process) = call(libc::SYS_pidfd_open, [1, 0]) else {
            return whether(false, "it has no descriptor");
        };
        call(libc::SYS_pidfd_getfd, [process.cast_unsigned() as usize, 0, 0]).into()
    }),
    ("compare with process 1", || call(libc::SYS_kcmp, [1, std::process::id() as usize, 0, 0, 0]).into()),
    ("limit process 1", || {
        let mut limit = [0_u64; 2];
        call(libc::SYS_prlimit64, [1, libc::RLIMIT_NOFILE as usize, 0, into(&mut limit)]).into()
    }),
    ("let process 1 be killed first", || fs::write("/proc/1/oom_score_adj", "1000").into()),
    ("be killed last", || fs::write("/proc/self/oom_score_adj", "-1000").into()),
    ("outrank others", || call(libc::SYS_setpriority, [0, 0, (-20_isize).cast_unsigned()]).into()),
    ("run in real time", || {
        let priority = [1_u32];
        call(libc::SYS_sched_setscheduler, [0, 1, to(&priority)]).into()
    }),
    ("signal processes of others", || {
        // Where `/proc` is the machine's, its numbers are those of another namespace.
        let own =
            fs::read_link("/proc/self").is_ok_and(|own| own.as_os_str() == &*std::process::id().to_string());
        let others = if own { others() } else { Vec::new() };
        let signalled =
            |pid: &&String| pid.parse().is_ok_and(|pid: usize| call(libc::SYS_kill, [pid, 0]).is_ok());
        Outcome::CouldAt(others.iter().filter(signalled).cloned().collect())
    }),
    ("see processes of others", || whether(!others().is_empty(), "there are none")),
    ("read environments of others", || {
        let read =
            |pid: &&String| fs::read(format!("/proc/{pid}/environ")).is_ok_and(|bytes| !bytes.is_empty());
        Outcome::CouldAt(others().iter().filter(read).cloned().collect())
    }),
    ("become root", || became(call(libc::SYS_setresuid, [0, 0, 0]))),
    ("become a group of the system", || became(call(libc::SYS_setresgid, [42, 42, 42]))),
    ("take groups", || {
        let groups = [0_u32, 42];
        call(libc::SYS_setgroups, [2, to(&groups)]).into()
    }),
    ("take every capability", || {
        let header = [0x2008_0522_u32, 0];
        call(libc::SYS_capset, [to(&header), to(&[u32::MAX, u32::MAX, 0, 0x1FF, 0x1FF, 0])]).into()
    }),
    ("allow new rights again", || {
        let _ = call(libc::SYS_prctl, [libc::PR_SET_NO_NEW_PRIVS as usize, 0, 0, 0, 0]);
        let left = call(libc::SYS_prctl, [libc::PR_GET_NO_NEW_PRIVS as usize, 0, 0, 0, 0]);
        whether(left.is_ok_and(|left| left == 0), "it is for good")
    }),
    ("gain rights by a set-user-id program", || {
        let own = privileges(Command::new("/proc/self/exe"));
        let _ = fs::copy("/proc/self/exe", "/workspace/gaining");
        let _ =
            fs::set_permissions("/workspace/gaining", std::os::unix::fs::PermissionsExt::from_mode(0o6755));
        let gained = |path: &&str| {
            let other = privileges(Command::new(path));
            !other.is_empty() && other != own
        };
        Outcome::CouldAt(
            ["/workspace/gaining", "/gaining"].into_iter().filter(gained).map(str::to_owned).collect(),
        )
    }),
    ("do without a filter", || {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        whether(!status.contains("Seccomp:\t2"), "there is one")
    }),
    ("make more than a thousand processes", || {
        let mut children = Vec::new();
        while children.len() <= 1000 {
            let child = Command::new("/proc/self/exe")
                .arg("wait")
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .spawn();
            let Ok(child) = child else { break };
            children.push(child);
        }
        let made = children.len();
        children.into_iter().for_each(|mut child| drop(child.kill().and_then(|()| child.wait())));
        whether(made > 1000, "the limit of processes")
    }),
    ("take a gibibyte of memory", || {
        let mut taken: Vec<Vec<u8>> = Vec::new();
        (0..64).for_each(|_| taken.push(vec![1; 16 << 20]));
        whether(taken.iter().all(|part| part.first() == Some(&1)), "it was given none")
    }),
];

/// Processes that are neither process 1 nor below it.
fn others() -> Vec<String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let numbers = numbers.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    let parent = |number: &String| -> Option<String> {
        let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
        let after = stat.rsplit_once(") ")?.1;
        Some(after.split(' ').nth(1)?.to_owned())
    };
    let parents: BTreeMap<String, String> =
        numbers.filter_map(|number| Some((number.clone(), parent(&number)?))).collect();
    let own = fs::read_link("/proc/self").unwrap_or_default();
    let mut mine = vec!["1".to_owned(), own.to_string_lossy().into_owned()];
    while let Some(next) = mine.last().and_then(|last| parents.get(last)).filter(|next| next.as_str() > "0") {
        mine.push(next.clone());
    }
    parents.into_keys().filter(|number| !mine.contains(number)).collect()
}

/// An id that nobody has in its user namespace is an invalid one.
fn became(result: std::io::Result<i64>) -> Outcome {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => whether(false, "nobody has that id"),
        other => other.into(),
    }
}

/// Until whoever started this process is gone.
pub(crate) fn wait() -> String {
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
    String::new()
}

/// Who this process is, and what it may do.
pub(crate) fn own_privileges() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| {
        ["Uid", "Gid", "CapPrm", "CapEff", "CapBnd"].iter().any(|name| line.starts_with(name))
    });
    lines.map(|line| format!("{line}\n")).collect()
}

fn privileges(mut program: Command) -> String {
    let output = program.arg("privileges").stdin(Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// Becomes a program for which these system calls do nothing and succeed: parts of the sandbox that are missing, and think
/// that they are there.
pub(crate) fn blind(numbers: &str, program: Vec<String>) -> String {
    let calls = numbers.split(',').filter_map(|number| number.parse().ok());
    let rules = calls.map(|call: i64| (call, Vec::new())).collect();
    let done = seccompiler::SeccompAction::Errno(0);
    let architecture = std::env::consts::ARCH.try_into();
    let filter = architecture.and_then(|architecture| {
        seccompiler::SeccompFilter::new(rules, seccompiler::SeccompAction::Allow, done, architecture)
    });
    let program_for_kernel = filter.and_then(seccompiler::BpfProgram::try_from);
    match program_for_kernel.map(|filter| seccompiler::apply_filter(&filter)) {
        Ok(Ok(())) => {}
        other => return format!("no filter: {other:?}\n"),
    }
    let Some((first, rest)) = program.split_first() else { return "blind to what?\n".to_owned() };
    format!("{}\n", Command::new(first).args(rest).exec())
}

//! Which system calls a step may make. What is not allowed is refused: keyrings (shared by user, not by namespace),
//! programs for the kernel, tracing of the machine, asynchronous rings (which walk around filters), mounts, namespaces,
//! modules, and whatever the next kernel brings.

mod calls;
mod program;

use std::collections::BTreeMap;

use seccompiler::{BpfProgram, TargetArch};

use self::calls::{EVERYWHERE, HERE, NEW, OWN};
use self::program::{Answer, Check, Finding};
use super::super::fault::Fault;

/// Flags of clone(2) that make namespaces; those that Docker refuses.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWCGROUP)
    .cast_unsigned();

/// Sockets of a machine's processes, of the internet, and what programs ask for addresses with. All others are drivers that
/// no build needs.
const FAMILIES: [u32; 4] = [
    libc::AF_UNIX.cast_unsigned(),
    libc::AF_INET.cast_unsigned(),
    libc::AF_INET6.cast_unsigned(),
    libc::AF_NETLINK.cast_unsigned(),
];

/// `PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and the question which it is: Docker's. Without address space
/// randomisation, for one, an attack is easier.
const PERSONALITIES: [u32; 5] = [0, 8, 0x2_0000, 0x2_0008, u32::MAX];

/// Typing for whoever else is at a terminal.
const TERMINALS: [u32; 2] = [0x5412, 0x541C];

/// Process 1 of a step runs as the step's user, who could take its descriptors away.
const FIRST: [u32; 1] = [1];

/// Set in the numbers of x32, a second set of calls that the kernel counts as the same architecture as x86-64. All of
/// them are refused.
const X32_BIT: u32 = 0x4000_0000;

/// Calls of which an argument decides: it, the argument's number, and what is allowed.
const CHECKED: [(libc::c_long, Check); 5] = [
    (libc::SYS_clone, Check { argument: 0, finding: Finding::NoneOf(NAMESPACES), errno: libc::EPERM }),
    (libc::SYS_personality, Check { argument: 0, finding: Finding::Is(&PERSONALITIES), errno: libc::EPERM }),
    (libc::SYS_socket, Check { argument: 0, finding: Finding::Is(&FAMILIES), errno: libc::EAFNOSUPPORT }),
    (libc::SYS_prlimit64, Check { argument: 0, finding: Finding::IsNot(&FIRST), errno: libc::EPERM }),
    (libc::SYS_ioctl, Check { argument: 1, finding: Finding::IsNot(&TERMINALS), errno: libc::EPERM }),
];

/// What the filter says to each call, by number.
fn answers() -> BTreeMap<u32, Answer> {
    let number = |number: libc::c_long| u32::try_from(number).unwrap_or(X32_BIT);
    let all = EVERYWHERE.iter().chain(NEW).chain(HERE).chain(OWN);
    let mut answers: BTreeMap<u32, Answer> = all.map(|(_, call)| (number(*call), Answer::Allow)).collect();
    answers.extend(CHECKED.map(|(call, check)| (number(call), Answer::Ask(check))));
    // Its flags are in memory, where a filter cannot look. Whoever is told that there is no such call uses the other.
    answers.insert(number(libc::SYS_clone3), Answer::Refuse(libc::ENOSYS));
    answers
}

/// The filter, compiled once and installed in every step.
pub(super) fn compile() -> Result<BpfProgram, Fault> {
    let architecture = match TargetArch::try_from(std::env::consts::ARCH) {
        Ok(known @ (TargetArch::x86_64 | TargetArch::aarch64)) => known,
        _ => return Err(Fault::new("filter system calls on this architecture", libc::ENOSYS)),
    };
    program::compile(architecture, &ranges(&answers()))
        .map_err(|()| Fault::new("compile the system call filter", libc::EINVAL))
}

/// From which number on there is which answer, until the next one.
fn ranges(answers: &BTreeMap<u32, Answer>) -> Vec<(u32, Answer)> {
    const REFUSED: Answer = Answer::Refuse(libc::EPERM);
    let mut ranges: Vec<(u32, Answer)> = vec![(0, REFUSED)];
    let mut from = |start: u32, answer: Answer| match ranges.last_mut() {
        Some((_, last)) if *last == answer => {}
        Some((begin, last)) if *begin == start => *last = answer,
        _ => ranges.push((start, answer)),
    };
    for (&call, &answer) in answers {
        from(call, answer);
        if !answers.contains_key(&(call + 1)) {
            from(call + 1, REFUSED);
        }
    }
    // Programs try a new call and go back to an old one where the kernel has none: so for those that are newer than this
    // list, which would otherwise look forbidden to them.
    let newest = answers.last_key_value().map_or(0, |(call, _)| call + 1);
    from(newest, Answer::Refuse(libc::ENOSYS));
    from(X32_BIT, REFUSED);
    ranges
}

/// Installs the filter for this process and all it starts.
pub(super) fn install(filter: &BpfProgram) -> Result<(), Fault> {
    seccompiler::apply_filter(filter).map_err(|_| Fault::new("install the system call filter", libc::EINVAL))
}

#[cfg(test)]
mod tests;

//! A filter as a program for the kernel's packet filter. It searches by halves: the kernel runs it once for every possible
//! call when it is installed, to remember what is always allowed, and a list of three hundred comparisons would make each
//! step start half a millisecond later.

use seccompiler::{BpfProgram, TargetArch, sock_filter};

/// What is said to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    Allow,
    /// With this error.
    Refuse(i32),
    Ask(Check),
}

/// Looks at the lower half of an argument, which is all that the kernel uses of a flag word or of an `int`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) argument: u32,
    pub(super) finding: Finding,
    /// What is said otherwise.
    pub(super) errno: i32,
}

/// What an argument has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finding {
    Is(&'static [u32]),
    IsNot(&'static [u32]),
    /// None of these bits is set.
    NoneOf(u32),
}

// `struct seccomp_data` of seccomp(2): number, architecture, address, six arguments of eight bytes. Both architectures
// have the lower half of a number first.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

// `include/uapi/linux/bpf_common.h` of Linux.
const LOAD: u16 = 0x20;
const RETURN: u16 = 0x06;
const IF_EQUAL: u16 = 0x15;
const IF_AT_LEAST: u16 = 0x35;
const IF_ANY_BIT: u16 = 0x45;

fn load(offset: u32) -> sock_filter {
    sock_filter { code: LOAD, jt: 0, jf: 0, k: offset }
}

fn give(action: u32) -> sock_filter {
    sock_filter { code: RETURN, jt: 0, jf: 0, k: action }
}

fn jump(code: u16, value: u32, (then, otherwise): (u8, u8)) -> sock_filter {
    sock_filter { code, jt: then, jf: otherwise, k: value }
}

fn allow() -> sock_filter {
    give(libc::SECCOMP_RET_ALLOW)
}

fn refuse(errno: i32) -> sock_filter {
    give(libc::SECCOMP_RET_ERRNO | (errno.cast_unsigned() & libc::SECCOMP_RET_DATA))
}

/// `ranges` says from which number on there is which answer. Fails where a jump would be too far for one byte.
pub(super) fn compile(architecture: TargetArch, ranges: &[(u32, Answer)]) -> Result<BpfProgram, ()> {
    let audit = match architecture {
        TargetArch::aarch64 => 0xC000_00B7,
        _ => 0xC000_003E,
    };
    // Programs of another architecture, 32-bit ones above all, have other numbers.
    let mut program = vec![
        load(ARCHITECTURE),
        jump(IF_EQUAL, audit, (1, 0)),
        give(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    program.extend(search(ranges)?);
    Ok(program)
}

fn search(ranges: &[(u32, Answer)]) -> Result<BpfProgram, ()> {
    match ranges {
        [] => Err(()),
        [(_, answer)] => leaf(*answer),
        _ => {
            let (below, above) = ranges.split_at(ranges.len() / 2);
            let (below, from) = (search(below)?, above.first().map(|(start, _)| *start).ok_or(())?);
            let over = u8::try_from(below.len()).map_err(drop)?;
            let mut program = vec![jump(IF_AT_LEAST, from, (over, 0))];
            program.extend(below);
            program.extend(search(above)?);
            Ok(program)
        }
    }
}

fn leaf(answer: Answer) -> Result<BpfProgram, ()> {
    let Check { argument, finding, errno } = match answer {
        Answer::Allow => return Ok(vec![allow()]),
        Answer::Refuse(errno) => return Ok(vec![refuse(errno)]),
        Answer::Ask(check) => check,
    };
    let mut program = vec![load(ARGUMENTS + 8 * argument)];
    let mut any_of = |values: &[u32], found: sock_filter, otherwise: sock_filter| {
        for (index, value) in values.iter().enumerate() {
            let over = u8::try_from(values.len() - index).map_err(drop)?;
            program.push(jump(IF_EQUAL, *value, (over, 0)));
        }
        program.extend([otherwise, found]);
        Ok(())
    };
    match finding {
        Finding::Is(values) => any_of(values, allow(), refuse(errno))?,
        Finding::IsNot(values) => any_of(values, refuse(errno), allow())?,
        Finding::NoneOf(bits) => {
            program.extend([jump(IF_ANY_BIT, bits, (1, 0)), allow(), refuse(errno)]);
        }
    }
    Ok(program)
}

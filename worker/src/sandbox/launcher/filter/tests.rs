use std::collections::BTreeSet;

use super::*;

/// What Docker's profile names for a container without further capabilities, on any architecture.
/// Source: `seccomp/default_linux.go` of github.com/moby/profiles, commit cd3bed8.
const DOCKER: &str = include_str!("docker.txt");

const DOCUMENT: &str = include_str!("../../../../../docs/system-calls.md");

fn names() -> BTreeSet<&'static str> {
    let all = EVERYWHERE.iter().chain(NEW).chain(HERE).chain(OWN);
    all.map(|(name, _)| name.strip_prefix("SYS_").unwrap()).collect()
}

/// What the kernel would do: runs the program over a call.
fn answer(program: &BpfProgram, architecture: u32, call: u32, arguments: [u64; 6]) -> u32 {
    let (mut at, mut accumulator) = (0, 0);
    loop {
        let line = &program[at];
        at += 1;
        let (code, value) = (line.code, line.k);
        let holds = match code {
            0x20 => {
                accumulator = match value {
                    0 => call,
                    4 => architecture,
                    _ => (arguments[(value as usize - 16) / 8] & 0xFFFF_FFFF) as u32,
                };
                continue;
            }
            0x06 => return value,
            0x15 => accumulator == value,
            0x35 => accumulator >= value,
            0x45 => accumulator & value != 0,
            other => panic!("{other}"),
        };
        at += usize::from(if holds { line.jt } else { line.jf });
    }
}

#[cfg(target_arch = "x86_64")]
const HERE_IS: u32 = 0xC000_003E;
#[cfg(not(target_arch = "x86_64"))]
const HERE_IS: u32 = 0xC000_00B7;
const ALLOWED: u32 = 0x7FFF_0000;

const fn refused(errno: i32) -> u32 {
    0x0005_0000 | errno.cast_unsigned()
}

fn asked(call: libc::c_long, arguments: [u64; 6]) -> u32 {
    answer(&compile().unwrap(), HERE_IS, u32::try_from(call).unwrap(), arguments)
}

#[test]
fn what_is_on_the_list_is_allowed_and_nothing_else() {
    let program = compile().unwrap();
    let allowed: BTreeSet<libc::c_long> =
        EVERYWHERE.iter().chain(NEW).chain(HERE).chain(OWN).map(|(_, call)| *call).collect();
    let checked = CHECKED.map(|(call, _)| call);
    let newest = *allowed.last().unwrap();
    for call in (0..1000_u32).chain(X32_BIT - 5..X32_BIT + 1000).chain([u32::MAX]) {
        let number = libc::c_long::from(call);
        if checked.contains(&number) {
            continue;
        }
        let expected = match number {
            _ if allowed.contains(&number) => ALLOWED,
            _ if number == libc::SYS_clone3 => refused(libc::ENOSYS),
            _ if number > newest && call < X32_BIT => refused(libc::ENOSYS),
            _ => refused(libc::EPERM),
        };
        // No argument makes a difference.
        for argument in [0, u64::MAX] {
            assert_eq!(answer(&program, HERE_IS, call, [argument; 6]), expected, "{call}");
        }
        assert_eq!(answer(&program, 0x4000_0003, call, [0; 6]), 0x8000_0000, "32-bit programs are ended");
    }
    // The kernel goes through it for every call when it is installed.
    assert!(program.len() < 400, "{}", program.len());
}

#[test]
fn arguments_are_looked_at() {
    let first = |value: u64| [value, 0, 0, 0, 0, 0];
    let thread = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND | libc::CLONE_SETTLS;
    assert_eq!(asked(libc::SYS_clone, first(thread as u64)), ALLOWED);
    for bit in 0..32 {
        let expected = if NAMESPACES & 1 << bit == 0 { ALLOWED } else { refused(libc::EPERM) };
        assert_eq!(asked(libc::SYS_clone, first(1 << bit)), expected, "{bit}");
    }
    for family in 0..64 {
        let allowed = [1, 2, 10, 16].contains(&family);
        let expected = if allowed { ALLOWED } else { refused(libc::EAFNOSUPPORT) };
        assert_eq!(asked(libc::SYS_socket, first(family)), expected, "{family}");
    }
    // The kernel takes an int, whatever the upper half is.
    assert_eq!(asked(libc::SYS_socket, first(1 << 32 | 40)), refused(libc::EAFNOSUPPORT));
    for (personality, expected) in
        [(0, ALLOWED), (8, ALLOWED), (0xFFFF_FFFF, ALLOWED), (0x004_0000, refused(1))]
    {
        assert_eq!(asked(libc::SYS_personality, first(personality)), expected, "{personality}");
    }
    for (process, expected) in [(0, ALLOWED), (1, refused(1)), (2, ALLOWED)] {
        assert_eq!(asked(libc::SYS_prlimit64, first(process)), expected, "{process}");
    }
    for (request, expected) in [(0x5412, refused(1)), (0x541C, refused(1)), (0x5413, ALLOWED)] {
        assert_eq!(asked(libc::SYS_ioctl, [0, request, 0, 0, 0, 0]), expected, "{request}");
    }
}

#[test]
fn the_list_is_no_wider_than_dockers() {
    let docker: BTreeSet<&str> = DOCKER.lines().collect();
    let wider: Vec<_> = names().into_iter().filter(|name| !docker.contains(name)).collect();
    assert!(wider.is_empty(), "{wider:?}");
    for (call, _) in CHECKED {
        assert!(!EVERYWHERE.iter().any(|(_, plain)| *plain == call), "{call} is on two lists");
    }
}

#[test]
fn the_documented_list_is_this_one() {
    let block = |title: &str| -> BTreeSet<&str> {
        let after = DOCUMENT.split_once(title).unwrap().1;
        let block = after.split("```").nth(1).unwrap();
        block.split_whitespace().filter(|word| *word != "text").collect()
    };
    let everywhere = block("## On every architecture");
    let documented: BTreeSet<&str> = match cfg!(target_arch = "x86_64") {
        true => everywhere.union(&block("## On x86-64 only")).copied().collect(),
        false => everywhere.union(&block("## On arm64 only")).copied().collect(),
    };
    assert_eq!(names(), documented);
}

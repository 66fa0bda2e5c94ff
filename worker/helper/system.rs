//! System calls. Those that every architecture has: the older ones have other names on newer machines.

use core::arch::asm;
use core::ffi::{CStr, c_char};

#[cfg(target_arch = "x86_64")]
mod number {
    pub(super) const READ: usize = 0;
    pub(super) const WRITE: usize = 1;
    pub(super) const SOCKET: usize = 41;
    pub(super) const CONNECT: usize = 42;
    pub(super) const GETSOCKOPT: usize = 55;
    pub(super) const EXECVE: usize = 59;
    pub(super) const EXIT_GROUP: usize = 231;
    pub(super) const OPENAT: usize = 257;
    pub(super) const PPOLL: usize = 271;
}

#[cfg(target_arch = "aarch64")]
mod number {
    pub(super) const OPENAT: usize = 56;
    pub(super) const READ: usize = 63;
    pub(super) const WRITE: usize = 64;
    pub(super) const PPOLL: usize = 73;
    pub(super) const EXIT_GROUP: usize = 94;
    pub(super) const SOCKET: usize = 198;
    pub(super) const CONNECT: usize = 203;
    pub(super) const GETSOCKOPT: usize = 209;
    pub(super) const EXECVE: usize = 221;
}

pub(crate) const ENOENT: i32 = 2;
pub(crate) const E2BIG: i32 = 7;
pub(crate) const ENOEXEC: i32 = 8;
pub(crate) const EACCES: i32 = 13;
pub(crate) const ENOTDIR: i32 = 20;
pub(crate) const ETIMEDOUT: i32 = 110;
pub(crate) const EINPROGRESS: i32 = 115;

pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
const SOCK_STREAM: usize = 1;
const SOCK_NONBLOCK: usize = 0o4000;
const SOL_SOCKET: usize = 1;
const SO_ERROR: usize = 4;
const AT_FDCWD: isize = -100;

pub(crate) const READABLE: i16 = 1;
pub(crate) const WRITABLE: i16 = 4;

/// `struct pollfd`.
#[repr(C)]
pub(crate) struct Watched {
    pub(crate) descriptor: i32,
    pub(crate) events: i16,
    pub(crate) happened: i16,
}

/// An `errno`.
pub(crate) type Outcome = Result<usize, i32>;

fn outcome(answer: isize) -> Outcome {
    usize::try_from(answer).map_err(|_| i32::try_from(-answer).unwrap_or(i32::MAX))
}

/// # Safety
/// The arguments are what the call takes.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: usize, [a, b, c, d, e]: [usize; 5]) -> Outcome {
    let answer: isize;
    // SAFETY: the kernel changes these registers and no others.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _,
            options(nostack)
        );
    }
    outcome(answer)
}

/// # Safety
/// The arguments are what the call takes.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: usize, [a, b, c, d, e]: [usize; 5]) -> Outcome {
    let answer: isize;
    // SAFETY: the kernel changes this register and no other.
    unsafe {
        asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a.cast_signed() => answer,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack)
        );
    }
    outcome(answer)
}

pub(crate) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: it takes a number, and does not return.
        let _ = unsafe { call(number::EXIT_GROUP, [code.cast_unsigned() as usize, 0, 0, 0, 0]) };
    }
}

pub(crate) fn read(descriptor: i32, to: &mut [u8]) -> Outcome {
    // SAFETY: the buffer is as long as is said.
    unsafe { call(number::READ, [descriptor as usize, to.as_mut_ptr() as usize, to.len(), 0, 0]) }
}

/// All of it.
pub(crate) fn write(descriptor: i32, mut bytes: &[u8]) -> Result<(), i32> {
    while !bytes.is_empty() {
        // SAFETY: the buffer is as long as is said.
        let written = unsafe {
            call(number::WRITE, [descriptor as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0])
        }?;
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

pub(crate) fn open(path: &CStr) -> Result<i32, i32> {
    // SAFETY: a string; without flags it is opened to be read.
    let opened = unsafe { call(number::OPENAT, [AT_FDCWD.cast_unsigned(), path.as_ptr() as usize, 0, 0, 0]) };
    opened.map(|descriptor| descriptor as i32)
}

/// A socket that does not block.
pub(crate) fn socket(family: u16) -> Result<i32, i32> {
    // SAFETY: it takes numbers.
    let made = unsafe { call(number::SOCKET, [family.into(), SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0]) };
    made.map(|descriptor| descriptor as i32)
}

pub(crate) fn connect(socket: i32, address: &[u8]) -> Result<(), i32> {
    // SAFETY: the address is as long as is said.
    unsafe { call(number::CONNECT, [socket as usize, address.as_ptr() as usize, address.len(), 0, 0]) }
        .map(drop)
}

/// What became of a socket; 0 for nothing bad.
pub(crate) fn error_of(socket: i32) -> Result<i32, i32> {
    let (mut error, mut length) = (0_i32, 4_u32);
    let places = [(&raw mut error) as usize, (&raw mut length) as usize];
    // SAFETY: the option is an int, and there is room for one.
    unsafe { call(number::GETSOCKOPT, [socket as usize, SOL_SOCKET, SO_ERROR, places[0], places[1]]) }?;
    Ok(error)
}

/// Until something happens; false where nothing did within so many seconds. Interruptions count as nothing.
pub(crate) fn wait(watched: &mut [Watched], seconds: Option<i64>) -> bool {
    let time = [seconds.unwrap_or_default(), 0];
    let time = if seconds.is_some() { time.as_ptr() as usize } else { 0 };
    // SAFETY: so many structures, a struct timespec or none, and no signals.
    let happened = unsafe { call(number::PPOLL, [watched.as_mut_ptr() as usize, watched.len(), time, 0, 0]) };
    happened.is_ok_and(|count| count > 0)
}

/// Comes back only with an error.
///
/// # Safety
/// Both lists end with a null pointer.
pub(crate) unsafe fn execve(
    path: *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) -> i32 {
    // SAFETY: as the caller promises.
    unsafe { call(number::EXECVE, [path as usize, arguments as usize, environment as usize, 0, 0]) }
        .err()
        .unwrap_or_default()
}

//! What Cullet has in containers of an engine: a program without a library, so that it runs in any image and in none.
//!
//! - `hold` does nothing, for ever: a container of it holds the network of a step and its services, and secrets in memory.
//! - `connect PORT` connects to that port of the container, says `+`, or `-` and the number of the error in one byte, and
//!   passes on what it reads.
//! - `secrets NAME,NAME PROGRAM ARGUMENT…` becomes that program, with the contents of `/run/secrets/NAME` as variables: an
//!   engine would write them to its disk. There may be no names.
//!
//! `build.rs` compiles it, outside of any crate.

#![no_std]
#![no_main]
// There is no library that would have them; and none of the loops of `memory` may become a call of itself.
#![no_builtins]

mod become_program;
mod memory;
mod relay;
mod system;

use core::ffi::{CStr, c_char};

/// When it was not asked for anything that it knows.
const MISUSED: i32 = 64;

// The kernel gives the number of arguments, the arguments and the variables on the stack.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {main}",
    "ud2",
    main = sym main
);
#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, #0",
    "mov x30, #0",
    "mov x0, sp",
    "bl {main}",
    "brk #1",
    main = sym main
);

/// What the kernel has put on the stack.
struct Given {
    arguments: *const *const c_char,
    count: usize,
}

impl Given {
    /// An argument; none behind the last.
    fn argument(&self, index: usize) -> Option<&'static CStr> {
        if index >= self.count {
            return None;
        }
        // SAFETY: so many strings are there, as long as the process is.
        unsafe { Some(CStr::from_ptr(*self.arguments.add(index))) }
    }

    /// Pointers to the arguments from one on, with a null pointer behind the last.
    fn from(&self, index: usize) -> *const *const c_char {
        // SAFETY: the null pointer is at `count`.
        unsafe { self.arguments.add(index.min(self.count)) }
    }

    /// The variables.
    fn variables(&self) -> impl Iterator<Item = &'static CStr> {
        // SAFETY: they begin behind the null pointer of the arguments.
        let mut next = unsafe { self.arguments.add(self.count + 1) };
        core::iter::from_fn(move || {
            // SAFETY: there is a null pointer behind the last, which is not gone beyond.
            let pointer = unsafe { Some(*next) }.filter(|pointer| !pointer.is_null())?;
            // SAFETY: as above; and all of them are strings, as long as the process is.
            unsafe {
                next = next.add(1);
                Some(CStr::from_ptr(pointer))
            }
        })
    }
}

extern "C" fn main(stack: *const usize) -> ! {
    // SAFETY: this is how a process begins (System V ABI, "process initialization").
    let given = unsafe { Given { count: *stack, arguments: stack.add(1).cast() } };
    let code = match given.argument(1).map(CStr::to_bytes) {
        Some(b"hold") => hold(),
        Some(b"connect") => given.argument(2).map_or(MISUSED, |port| relay::relay(port.to_bytes())),
        Some(b"secrets") => become_program::run(&given).unwrap_or(MISUSED),
        _ => MISUSED,
    };
    system::exit(code)
}

fn hold() -> i32 {
    loop {
        system::wait(&mut [], None);
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    system::exit(101)
}

/// The standard library's own parts refer to it; nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

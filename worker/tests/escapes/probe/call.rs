//! System calls by number, past everything that a library would check first.

use std::ffi::CStr;
use std::io;

/// An argument: a number, or the address of something that outlives the call.
pub(crate) type Word = usize;

pub(crate) fn call<const N: usize>(number: libc::c_long, words: [Word; N]) -> io::Result<i64> {
    let mut six = [0; 6];
    for (to, from) in six.iter_mut().zip(words) {
        *to = from;
    }
    // SAFETY: addresses among the arguments are of things that outlive the call, as the callers see to; what the kernel
    // writes is no larger than they are. A wrong one is the kernel's to refuse.
    let result = unsafe { libc::syscall(number, six[0], six[1], six[2], six[3], six[4], six[5]) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub(crate) fn text(text: &CStr) -> Word {
    text.as_ptr().addr()
}

pub(crate) fn to<T>(thing: &T) -> Word {
    std::ptr::from_ref(thing).addr()
}

pub(crate) fn into<T>(thing: &mut T) -> Word {
    std::ptr::from_mut(thing).addr()
}

/// For "this directory" and "no descriptor".
pub(crate) const NONE: Word = Word::MAX;
pub(crate) const HERE: Word = libc::AT_FDCWD as Word;

/// Ends a process that an attempt made and that was not wanted.
pub(crate) fn end() -> ! {
    std::process::exit(0)
}

//! Where every random number of a run comes from.
//!
//! The standard library's hash maps, tokio's order of `select!` branches and raft's election timeouts all begin with
//! what `getrandom` of the C library gives. This program has a `getrandom` of its own, which the linker prefers: after
//! [`seed`] it gives the same bytes every time. One process plays one seed, so that nothing is left over from another.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::chance;

static SEEDED: AtomicBool = AtomicBool::new(false);
static STATE: AtomicU64 = AtomicU64::new(0);

/// From here on, everything random follows from the seed.
pub(crate) fn seed(seed: u64) {
    STATE.store(seed, Ordering::SeqCst);
    SEEDED.store(true, Ordering::SeqCst);
    fastrand::seed(seed);
}

/// `getrandom(2)`.
///
/// # Safety
/// `buffer` must have room for `length` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(
    buffer: *mut libc::c_void,
    length: libc::size_t,
    flags: libc::c_uint,
) -> libc::ssize_t {
    if !SEEDED.load(Ordering::SeqCst) {
        // SAFETY: the caller's promise is the kernel's condition.
        return unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as libc::ssize_t };
    }
    // SAFETY: the caller promises room for so many bytes, and whatever is there may be written over.
    let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length) };
    for chunk in bytes.chunks_mut(8) {
        let state = STATE.fetch_add(chance::STEP, Ordering::SeqCst);
        chunk.copy_from_slice(&chance::mix(state).to_le_bytes()[..chunk.len()]);
    }
    length as libc::ssize_t
}

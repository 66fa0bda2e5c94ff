//! Counts what each thread holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
}

/// Bytes that this thread asked for and did not give back, each piece rounded up as an allocator does.
pub(crate) fn held() -> usize {
    HELD.with(Cell::get)
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

/// What an ordinary allocator takes for a piece: eight bytes in front, in units of sixteen.
const fn taken(size: usize) -> usize {
    (size + 8).next_multiple_of(16)
}

// SAFETY: every call goes unchanged to the system's allocator; counting touches a thread-local integer only.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.with(|held| held.set(held.get().wrapping_add(taken(layout.size()))));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        HELD.with(|held| held.set(held.get().wrapping_sub(taken(layout.size()))));
        // SAFETY: the piece came from `alloc` above, so from the system's allocator, with this layout.
        unsafe { System.dealloc(piece, layout) }
    }
}

//! Reading bytes never takes more memory than a small multiple of their length.

#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![expect(unsafe_code, reason = "a counting allocator has to implement GlobalAlloc")]

#[allow(dead_code, unused_imports, reason = "the corpus is replayed by another binary")]
mod specimens;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes held by this thread since the start of a measurement, and the most of them.
    static USAGE: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn note(bytes: isize) {
    let _ = USAGE.try_with(|usage| {
        let (held, peak) = usage.get();
        usage.set((held + bytes, peak.max(held + bytes)));
    });
}

// SAFETY: every call is passed on to the system allocator unchanged; counting touches a
// thread-local cell without destructor and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size().cast_signed());
        // SAFETY: the caller's contract is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        note(-layout.size().cast_signed());
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn peak(work: impl FnOnce()) -> isize {
    USAGE.set((0, 0));
    work();
    USAGE.get().1
}

/// An entry of a list takes at most this many times its bytes: a signed message is an enum of all
/// messages, as large as the largest.
const RATIO: isize = 5;
const OVERHEAD_BYTES: isize = 1024;

#[test]
fn reading_takes_no_more_memory_than_the_input_allows() {
    for valid in specimens::valid().iter().step_by(3) {
        for (kind, reading) in specimens::READINGS.iter().enumerate() {
            let most = |bytes: &[u8]| bytes.len() as isize * RATIO + OVERHEAD_BYTES;
            let check = |bytes: &[u8], what: &str| {
                let found = peak(|| reading(bytes));
                assert!(found <= most(bytes), "type {kind}, {what}: {found} bytes for {}", bytes.len());
            };
            check(valid, "valid");
            // A count or a length anywhere, as large as each of its bounds.
            for at in (0..valid.len().saturating_sub(4)).step_by(1 + valid.len() / 50) {
                for value in [64, 4096, 1 << 20, u32::MAX] {
                    let mut bytes = valid.clone();
                    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
                    check(&bytes, &format!("{value} at {at}"));
                    check(&bytes[..at + 4], &format!("{value} at {at}, then nothing"));
                }
            }
        }
    }
}

//! The memory of polynomials, used again instead of being asked for and given back.
//!
//! A key switch at N = 2^15 works in some fifteen megabytes. The kernel takes about as long to
//! hand out fresh pages of that size as the transforms take to fill them, so every thread keeps
//! the buffers that it dropped last, up to [`KEPT_BYTES`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ops::{Deref, DerefMut};
use zeroize::Zeroize;

/// Most bytes that one thread keeps: a hoisted ciphertext at the top of INF15-90 (13 MB) and
/// everything that a rotation of it needs.
const KEPT_BYTES: usize = 32 << 20;

/// Shorter buffers are left to the allocator, which is good at them.
const KEPT_WORDS_MIN: usize = 1 << 12;

#[derive(Default)]
struct Kept {
    /// Oldest first.
    buffers: VecDeque<Vec<u32>>,
    words: usize,
}

thread_local! {
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Residues in memory of their own.
///
/// Dropping does not wipe: whoever holds a secret wipes it before.
pub(crate) struct Words {
    buffer: Vec<u32>,
}

impl Words {
    /// `length` words with unspecified contents; every one must be written before it is read.
    pub(crate) fn unset(length: usize) -> Self {
        let kept = KEPT.try_with(|kept| kept.borrow_mut().take(length)).ok().flatten();
        let mut buffer = kept.unwrap_or_else(|| vec![0; length]);
        // A kept buffer may be a little longer.
        buffer.truncate(length);
        if cfg!(debug_assertions) {
            // No residue: what forgets to write fails its test.
            buffer.fill(u32::MAX);
        }
        Words { buffer }
    }

    /// `length` zeros.
    pub(crate) fn zeroed(length: usize) -> Self {
        match KEPT.try_with(|kept| kept.borrow_mut().take(length)).ok().flatten() {
            Some(mut buffer) => {
                buffer.truncate(length);
                buffer.fill(0);
                Words { buffer }
            }
            // Zero pages come from the kernel as they are touched.
            None => Words { buffer: vec![0; length] },
        }
    }

    /// Keeps the first `length` words and wipes the others.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.buffer[length..].zeroize();
        self.buffer.truncate(length);
    }
}

impl Kept {
    /// The shortest buffer that is long enough and wastes less than an eighth.
    fn take(&mut self, length: usize) -> Option<Vec<u32>> {
        if length < KEPT_WORDS_MIN {
            return None;
        }
        let fits = |x: &Vec<u32>| (length..=length + length / 8).contains(&x.len());
        let fit = self.buffers.iter().enumerate().filter(|(_, x)| fits(x)).min_by_key(|(_, x)| x.len());
        let buffer = self.buffers.remove(fit?.0)?;
        self.words -= buffer.len();
        Some(buffer)
    }

    fn put(&mut self, buffer: Vec<u32>) {
        if buffer.len() < KEPT_WORDS_MIN {
            return;
        }
        self.words += buffer.len();
        self.buffers.push_back(buffer);
        while self.words * size_of::<u32>() > KEPT_BYTES {
            let Some(oldest) = self.buffers.pop_front() else { break };
            self.words -= oldest.len();
        }
    }
}

impl From<Vec<u32>> for Words {
    fn from(buffer: Vec<u32>) -> Self {
        Words { buffer }
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        // The thread may be ending; then the memory is simply freed.
        let _ = KEPT.try_with(|kept| kept.borrow_mut().put(buffer));
    }
}

impl Clone for Words {
    fn clone(&self) -> Self {
        let mut copy = Words::unset(self.len());
        copy.copy_from_slice(self);
        copy
    }
}

impl PartialEq for Words {
    fn eq(&self, other: &Self) -> bool {
        self.buffer == other.buffer
    }
}

impl Eq for Words {}

impl Deref for Words {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        &self.buffer
    }
}

impl DerefMut for Words {
    fn deref_mut(&mut self) -> &mut [u32] {
        &mut self.buffer
    }
}

impl Zeroize for Words {
    fn zeroize(&mut self) {
        crate::simd::wipe(&mut self.buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_buffer_serves_the_next_of_its_size_only() {
        let first = Words::unset(8000);
        let place = first.as_ptr();
        drop(first);
        assert_ne!(Words::unset(4096).as_ptr(), place);
        assert_ne!(Words::unset(8001).as_ptr(), place);
        let again = Words::zeroed(7800);
        assert_eq!((again.as_ptr(), again.len()), (place, 7800));
        assert!(again.iter().all(|&x| x == 0));
    }

    #[test]
    fn a_thread_keeps_a_bounded_amount_and_drops_the_oldest() {
        let all: Vec<Words> = (0..5).map(|_| Words::unset(KEPT_BYTES / 16)).collect();
        let last = all[4].as_ptr();
        drop(all);
        let held = KEPT.with_borrow(|kept| kept.buffers.iter().map(Vec::len).sum::<usize>());
        // Four of the five are just as much as it may keep.
        assert_eq!(held * size_of::<u32>(), KEPT_BYTES);
        assert!(KEPT.with_borrow(|kept| kept.buffers.iter().any(|x| x.as_ptr() == last)));
    }
}

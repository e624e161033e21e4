//! Memory that is freed stays with the process for a while.
//!
//! Ciphertexts are made and dropped by the hundred megabyte. glibc hands the pages of such pieces back to the system at
//! once and asks for new ones, all zeros, with the next: a step of a head's training spends a third of its time on that
//! (`consilium run configs/head-circulation.toml`, two cores, 2.3 s instead of 1.5 s). Other systems' allocators are
//! left as they are.

/// Up to this size, bytes, pieces come from memory that is kept: the most that glibc takes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_PIECE: i32 = 32 << 20;
/// What may lie idle at the end of each of its heaps, bytes, before any of it goes back.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEPT_IDLE: i32 = 256 << 20;
/// What is asked for at once, bytes: a whole heap of a thread, of which none goes back before the idle part is reached.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ASKED_AT_ONCE: i32 = 64 << 20;

/// Has freed memory kept; returns whether it will be. Who set glibc's own variables decides.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep() -> bool {
    let variables = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_", "GLIBC_TUNABLES"];
    if variables.iter().any(|variable| std::env::var_os(variable).is_some()) {
        return false;
    }
    let settings =
        [(libc::M_MMAP_THRESHOLD, KEPT_PIECE), (libc::M_TRIM_THRESHOLD, KEPT_IDLE), (libc::M_TOP_PAD, ASKED_AT_ONCE)];
    settings.into_iter().all(|(parameter, value)| {
        #[expect(unsafe_code, reason = "the standard library has no such setting")]
        // SAFETY: takes two numbers by value, may be called at any time and by any thread.
        let taken = unsafe { libc::mallopt(parameter, value) };
        taken == 1
    })
}

/// Has freed memory kept; returns whether it will be. Here nothing is known of the allocator.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep() -> bool {
    false
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Bytes in pieces that were mapped one by one, and go back one by one.
    fn mapped() -> usize {
        #[expect(unsafe_code, reason = "the standard library does not tell")]
        // SAFETY: returns numbers by value.
        unsafe { libc::mallinfo2() }.hblkhd
    }

    #[test]
    fn large_pieces_are_not_mapped_one_by_one_once_memory_is_kept() {
        const PIECE: usize = 24 << 20;
        let before = mapped();
        let first = std::hint::black_box(vec![1u8; PIECE]);
        assert!(mapped() >= before + PIECE, "glibc maps such a piece for itself");
        drop(first);
        assert!(keep());
        let before = mapped();
        let second = std::hint::black_box(vec![1u8; PIECE]);
        assert!(mapped() < before + PIECE, "{} and {before}", mapped());
        drop(second);
    }
}

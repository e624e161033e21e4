//! Overwriting secrets at memory speed.
//!
//! `zeroize` writes element by element through volatile stores, which shows
//! where a secret buffer is used once per chunk. Here a plain fill is made
//! observable by a compiler barrier instead.
#![cfg_attr(
    all(not(miri), any(target_arch = "x86_64", target_arch = "aarch64")),
    expect(unsafe_code, reason = "an empty assembly statement is the compiler barrier")
)]

/// Sets every element to its default and keeps the compiler from removing
/// the stores although nothing reads them.
pub(crate) fn wipe<T: Copy + Default>(secret: &mut [T]) {
    secret.fill(T::default());
    barrier(secret.as_mut_ptr());
}

/// The compiler must assume that memory behind `pointer` is read here.
#[inline(always)]
fn barrier<T>(pointer: *mut T) {
    #[cfg(all(not(miri), any(target_arch = "x86_64", target_arch = "aarch64")))]
    // SAFETY: the statement is empty. Without `nomem` the compiler must have
    // finished all stores to memory that the pointer reaches.
    unsafe {
        std::arch::asm!("/* {0} */", in(reg) pointer, options(nostack, preserves_flags));
    }
    #[cfg(any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
    std::hint::black_box(pointer);
}

/// A scratch vector that is wiped on drop.
pub(crate) struct Scratch<T: Copy + Default>(Vec<T>);

impl<T: Copy + Default> Scratch<T> {
    /// `len` elements of the default value.
    pub(crate) fn new(len: usize) -> Self {
        Scratch(vec![T::default(); len])
    }
}

impl<T: Copy + Default> std::ops::Deref for Scratch<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Copy + Default> std::ops::DerefMut for Scratch<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

impl<T: Copy + Default> Drop for Scratch<T> {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wiped_slice_is_zero() {
        let mut secret = [0x5au32; 77];
        wipe(&mut secret);
        assert_eq!(secret, [0; 77]);
    }
}

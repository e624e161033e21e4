//! One prime with its transform: the unit in which polynomials are processed.
//!
//! The slice methods here are the hot kernels; they pick the widest
//! instruction set once per process and give equal results on all of them.

use super::modulus::{Modulus, ShoupFactor};
use super::ntt::NttTable;
use crate::simd;
use std::sync::Arc;

/// A prime modulus, its place in the frozen list and its transform tables.
///
/// Cloning shares the tables.
#[derive(Clone, Debug)]
pub struct Limb {
    index: u32,
    modulus: Modulus,
    root: u32,
    table: Arc<NttTable>,
}

impl Limb {
    /// The limb of prime `q` with quadratic non-residue `z` at degree `n`.
    pub(crate) fn new(index: u32, q: u32, z: u32, n: usize) -> Self {
        let modulus = Modulus::new(q);
        let root = modulus.pow(z, u64::from(q - 1) / (2 * n as u64));
        Limb { index, modulus, root, table: Arc::new(NttTable::new(modulus, n, root)) }
    }

    /// Place of the prime in the frozen list; selects its expansion stream.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The prime.
    pub fn modulus(&self) -> &Modulus {
        &self.modulus
    }

    /// The primitive `2N`-th root of unity.
    pub fn root(&self) -> u32 {
        self.root
    }

    /// The transform tables.
    pub fn table(&self) -> &NttTable {
        &self.table
    }

    /// Coefficients to evaluations, in place. Below 4q in, canonical out.
    pub fn forward(&self, a: &mut [u32]) {
        simd::forward(&self.table, a);
    }

    /// Evaluations to coefficients, in place. Canonical in and out.
    pub fn inverse(&self, a: &mut [u32]) {
        simd::inverse(&self.table, self.table.unscaled, a);
    }

    /// [`Limb::inverse`] times the canonical constant `factor`, at no further cost.
    pub fn inverse_scaled(&self, a: &mut [u32], factor: u32) {
        simd::inverse(&self.table, self.table.scaled(factor), a);
    }

    /// `a += b`.
    pub fn add(&self, a: &mut [u32], b: &[u32]) {
        simd::add(&self.modulus, a, b);
    }

    /// `a -= b`.
    pub fn sub(&self, a: &mut [u32], b: &[u32]) {
        simd::sub(&self.modulus, a, b);
    }

    /// `a = -a`.
    pub fn neg(&self, a: &mut [u32]) {
        simd::neg(&self.modulus, a);
    }

    /// `a *= b`, pointwise.
    pub fn mul(&self, a: &mut [u32], b: &[u32]) {
        simd::mul(&self.modulus, a, b);
    }

    /// `acc += a * b`, pointwise, reduced.
    pub fn mul_add(&self, acc: &mut [u32], a: &[u32], b: &[u32]) {
        simd::mul_add(&self.modulus, acc, a, b);
    }

    /// `a *= factor`; the inputs may be any 32-bit values.
    pub fn mul_scalar(&self, a: &mut [u32], factor: u32) {
        simd::mul_scalar(&self.modulus, a, self.modulus.shoup(factor));
    }

    /// `acc += a * factor`, reduced.
    pub fn mul_scalar_add(&self, acc: &mut [u32], a: &[u32], factor: u32) {
        simd::mul_scalar_add(&self.modulus, acc, a, self.modulus.shoup(factor));
    }

    /// `a = (a - b) * factor`, the closing step of ModDown and rescaling.
    pub fn sub_mul_scalar(&self, a: &mut [u32], b: &[u32], factor: u32) {
        simd::sub_mul_scalar(&self.modulus, a, b, self.modulus.shoup(factor));
    }

    /// `a = c + (a - b) * factor`, as [`Limb::sub_mul_scalar`] with an addition.
    pub fn sub_mul_scalar_add(&self, a: &mut [u32], b: &[u32], factor: u32, c: &[u32]) {
        simd::sub_mul_scalar_add(&self.modulus, a, b, self.modulus.shoup(factor), c);
    }

    /// The Shoup form of a canonical constant, for loops of one's own.
    pub fn shoup(&self, value: u32) -> ShoupFactor {
        self.modulus.shoup(value)
    }
}

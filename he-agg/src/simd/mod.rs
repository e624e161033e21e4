//! Vector kernels, chosen once per process by what the processor offers.
//!
//! Every kernel is exact integer arithmetic with canonical results, so all
//! instruction sets agree bit for bit with the scalar code; the tests compare
//! them on random and on extreme inputs. This is the only place with `unsafe`:
//! calling code compiled for an instruction set requires that it is present.

mod ceiling;
mod choice;
mod instances;
mod keystream;
mod lane_sums;
#[cfg(target_arch = "x86_64")]
mod lanes;
pub(crate) mod mersenne;
mod packing;
#[cfg(test)]
mod parity;
mod per_isa;
mod pointwise;
mod rounding;
mod sampling;
mod sums;
mod transform;
mod wipe;

pub(crate) use keystream::{BLOCK_BYTES, keystream};
pub(crate) use lane_sums::{
    LaneRange, LaneShape, LiftTable, Powers, TILE, WORD_BITS, lift, split_lanes, subtract_from_lanes, take_lanes,
    weigh_lanes, weigh_values,
};
pub(crate) use packing::{pack, packed_add, packed_below, unpack};
pub(crate) use rounding::{Rounding, round_randomly};
pub(crate) use sampling::{NARROW_BITS_MAX, accept_below, add_signed, centred_binomial, flooding, ternary};
pub(crate) use wipe::{Scratch, wipe};

pub use ceiling::{CHAIN, low_products, wide_products};
pub use choice::{IsaError, forward_on, inverse_on};

use crate::ring::{InverseScale, Modulus, NttTable, ShoupFactor};
use std::sync::OnceLock;
pub(crate) use sums::{DigitTerm, TERMS_MAX, TensorOperands, WeightedTerm};

/// What the process uses, once it is decided.
static CHOSEN: OnceLock<Isa> = OnceLock::new();

/// An instruction set for the kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Whatever the build target has.
    Scalar,
    /// x86-64 with AVX2: 8 lanes of 32 bits.
    Avx2,
    /// x86-64 with AVX-512 F, BW, DQ, VL: 16 lanes of 32 bits.
    Avx512,
}

impl Isa {
    /// The instruction set of this process: the widest of the processor, found on first use, or
    /// the one that [`Isa::limit`] asked for before.
    pub fn detect() -> Self {
        *CHOSEN.get_or_init(|| Isa::available().last().copied().unwrap_or(Isa::Scalar))
    }

    /// All instruction sets of this processor, narrowest first.
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = std::arch::is_x86_feature_detected!("avx2");
            let avx512 = avx2
                && std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512dq")
                && std::arch::is_x86_feature_detected!("avx512vl");
            let mut found = vec![Isa::Scalar];
            if avx2 {
                found.push(Isa::Avx2);
            }
            if avx512 {
                found.push(Isa::Avx512);
            }
            found
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            vec![Isa::Scalar]
        }
    }
}

/// Declares a kernel with one instance per instruction set and its dispatch.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*)) => {
        $(#[$doc])*
        pub(crate) fn $name($($arg: $type),*) {
            instances::$name(Isa::detect(), $($arg),*)
        }
    };
}

kernel!(
    /// Forward transform in place; below 4q in, canonical out.
    forward(table: &NttTable, a: &mut [u32])
);
kernel!(
    /// Inverse transform in place, times the constant of `scale`.
    inverse(table: &NttTable, scale: InverseScale, a: &mut [u32])
);
kernel!(
    /// `a += b`.
    add(m: &Modulus, a: &mut [u32], b: &[u32])
);
kernel!(
    /// `a -= b`.
    sub(m: &Modulus, a: &mut [u32], b: &[u32])
);
kernel!(
    /// `a = -a`.
    neg(m: &Modulus, a: &mut [u32])
);
kernel!(
    /// `a *= b`.
    mul(m: &Modulus, a: &mut [u32], b: &[u32])
);
kernel!(
    /// `acc += a * b`, reduced.
    mul_add(m: &Modulus, acc: &mut [u32], a: &[u32], b: &[u32])
);
kernel!(
    /// `a *= w`.
    mul_scalar(m: &Modulus, a: &mut [u32], w: ShoupFactor)
);
kernel!(
    /// `acc += a * w`, reduced.
    mul_scalar_add(m: &Modulus, acc: &mut [u32], a: &[u32], w: ShoupFactor)
);
kernel!(
    /// `a = (a - b) * w`.
    sub_mul_scalar(m: &Modulus, a: &mut [u32], b: &[u32], w: ShoupFactor)
);
kernel!(
    /// `out = c + (a - b) * w`.
    sub_mul_scalar_add(m: &Modulus, a: &mut [u32], b: &[u32], w: ShoupFactor, c: &[u32])
);
kernel!(
    /// `out = sum of x c 2^-32` over at most [`TERMS_MAX`] terms, in `[0, 4q)`.
    weighted_sum(m: &Modulus, terms: &[WeightedTerm<'_>], out: &mut [u32])
);
kernel!(
    /// `out = (2^57 + sum of x c) >> 58`; the sum stays below 2^64.
    fraction_count(terms: &[WeightedTerm<'_>], out: &mut [u32])
);
kernel!(
    /// `out = [sum of d b 2^-32, sum of d a 2^-32]` over at most [`TERMS_MAX`] digits.
    inner_product(m: &Modulus, terms: &[DigitTerm<'_>], out: [&mut [u32]; 2])
);
kernel!(
    /// `out += [x0 y0, x0 y1 + x1 y0, x1 y1]` over at most half of [`TERMS_MAX`] products.
    tensor_add(m: &Modulus, terms: &[TensorOperands<'_>], out: [&mut [u32]; 3])
);
kernel!(
    /// From `[0, 4q)` to `[0, q)`.
    reduce_lazy(m: &Modulus, a: &mut [u32])
);
kernel!(
    /// `out = v mod q` for `|v| < q`, without a branch.
    reduce_small(m: &Modulus, values: &[i64], out: &mut [u32])
);
kernel!(
    /// `rest = (rest - centred digit) * w`.
    garner_step(m: &Modulus, rest: &mut [u32], digit: &[u32], source: &Modulus, w: ShoupFactor)
);
kernel!(
    /// `acc = acc * factor + centred digit`.
    horner_step(acc: &mut [f64], factor: f64, digit: &[u32], source: &Modulus)
);
kernel!(
    /// One stage from slots to coefficients.
    fold_slots(real: &mut [f64], imaginary: &mut [f64], half: usize, cosines: &[f64], sines: &[f64])
);
kernel!(
    /// One stage from coefficients to slots.
    unfold_slots(real: &mut [f64], imaginary: &mut [f64], half: usize, cosines: &[f64], sines: &[f64])
);

//! Every kernel once per instruction set, behind an explicit [`Isa`].
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls into code compiled for a detected instruction set")
)]

use super::{Isa, pointwise};
use crate::ring::{Modulus, ShoupFactor};

pub(super) use super::sums::{fraction_count, inner_product, tensor_add, weighted_sum};
pub(super) use super::transform::{forward, inverse};

#[cfg(target_arch = "x86_64")]
macro_rules! instances {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(pub(super) fn $name(isa: Isa, $($arg: $type),*) {
            #[target_feature(enable = "avx2")]
            fn avx2($($arg: $type),*) { pointwise::$name($($arg),*) }
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
            fn avx512($($arg: $type),*) { pointwise::$name($($arg),*) }
            match isa {
                Isa::Scalar => pointwise::$name($($arg),*),
                // SAFETY: an `Isa` other than `Scalar` comes from `Isa::available`,
                // which checked the processor for these features.
                Isa::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                Isa::Avx512 => unsafe { avx512($($arg),*) },
            }
        })*
    };
}

#[cfg(not(target_arch = "x86_64"))]
macro_rules! instances {
    ($($name:ident($($arg:ident: $type:ty),*);)*) => {
        $(pub(super) fn $name(_: Isa, $($arg: $type),*) {
            pointwise::$name($($arg),*)
        })*
    };
}

instances! {
    add(m: &Modulus, a: &mut [u32], b: &[u32]);
    sub(m: &Modulus, a: &mut [u32], b: &[u32]);
    neg(m: &Modulus, a: &mut [u32]);
    mul(m: &Modulus, a: &mut [u32], b: &[u32]);
    mul_add(m: &Modulus, acc: &mut [u32], a: &[u32], b: &[u32]);
    mul_scalar(m: &Modulus, a: &mut [u32], w: ShoupFactor);
    mul_scalar_add(m: &Modulus, acc: &mut [u32], a: &[u32], w: ShoupFactor);
    sub_mul_scalar(m: &Modulus, a: &mut [u32], b: &[u32], w: ShoupFactor);
    sub_mul_scalar_add(m: &Modulus, a: &mut [u32], b: &[u32], w: ShoupFactor, c: &[u32]);
    reduce_lazy(m: &Modulus, a: &mut [u32]);
    reduce_small(m: &Modulus, values: &[i64], out: &mut [u32]);
    garner_step(m: &Modulus, rest: &mut [u32], digit: &[u32], source: &Modulus, w: ShoupFactor);
    horner_step(acc: &mut [f64], factor: f64, digit: &[u32], source: &Modulus);
    fold_slots(real: &mut [f64], imaginary: &mut [f64], half: usize, cosines: &[f64], sines: &[f64]);
    unfold_slots(real: &mut [f64], imaginary: &mut [f64], half: usize, cosines: &[f64], sines: &[f64]);
}

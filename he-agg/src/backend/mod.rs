//! Vector kernels, chosen once per process by what the processor offers.
//!
//! Every kernel is exact integer arithmetic with canonical results, so all
//! instruction sets agree bit for bit with the scalar code; the tests compare
//! them on random and on extreme inputs. This is the only place with `unsafe`:
//! calling code compiled for an instruction set requires that it is present.

mod instances;
#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(test)]
mod parity;
mod pointwise;
mod transform;

use crate::ring::{Modulus, NttTable, ShoupFactor};
use std::sync::OnceLock;

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
    /// The widest instruction set of this processor, found on first use.
    pub fn detect() -> Self {
        static FOUND: OnceLock<Isa> = OnceLock::new();
        *FOUND.get_or_init(|| Isa::available().last().copied().unwrap_or(Isa::Scalar))
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
    /// Forward transform in place.
    forward(table: &NttTable, a: &mut [u32])
);
kernel!(
    /// Inverse transform in place.
    inverse(table: &NttTable, a: &mut [u32])
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
    /// `acc += a * b` in 64 bits.
    accumulate(acc: &mut [u64], a: &[u32], b: &[u32])
);
kernel!(
    /// `out = acc mod q`.
    reduce_wide(m: &Modulus, acc: &[u64], out: &mut [u32])
);
kernel!(
    /// `acc = acc mod q`.
    fold(m: &Modulus, acc: &mut [u64])
);

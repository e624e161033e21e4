//! What the processor's multipliers can do at best: the yardstick beside which kernels are measured.
//!
//! Each value goes through [`CHAIN`] products in registers between one load and one store, and
//! there are enough independent values to hide the latency, so that nothing but the multipliers
//! is busy. The products themselves mean nothing.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls into code compiled for a detected instruction set")
)]

use super::{Isa, IsaError};

const LOW: u64 = u32::MAX as u64;

/// Multiplications per value of one call.
pub const CHAIN: usize = 8;

#[inline(always)]
fn low(values: &mut [u32]) {
    for value in values {
        // Squares: a product with a constant would be folded by the compiler.
        for _ in 0..CHAIN {
            *value = value.wrapping_mul(*value);
        }
    }
}

#[inline(always)]
fn wide(values: &mut [u64]) {
    let factor = values.first().map_or(1, |&value| value & LOW);
    for value in values {
        // The sum makes every bit of every product count, or the compiler would keep only the low ones.
        for _ in 0..CHAIN {
            *value = value.wrapping_add((*value & LOW).wrapping_mul(factor));
        }
    }
}

macro_rules! ceiling {
    ($(#[$doc:meta])* $name:ident = $body:ident($word:ty)) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// [`IsaError::Unavailable`].
        pub fn $name(isa: Isa, values: &mut [$word]) -> Result<(), IsaError> {
            isa.require()?;
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn avx2(values: &mut [$word]) {
                    $body(values);
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
                fn avx512(values: &mut [$word]) {
                    $body(values);
                }
                match isa {
                    Isa::Scalar => $body(values),
                    // SAFETY: `require` found the features that `Isa::available` stands for.
                    Isa::Avx2 => unsafe { avx2(values) },
                    // SAFETY: as above.
                    Isa::Avx512 => unsafe { avx512(values) },
                }
            }
            #[cfg(not(target_arch = "x86_64"))]
            $body(values);
            Ok(())
        }
    };
}

ceiling!(
    /// [`CHAIN`] products of 32 by 32 bits of which the low 32 are kept, per value.
    low_products = low(u32)
);
ceiling!(
    /// [`CHAIN`] products of 32 by 32 bits of which all 64 are kept, per value: what the high half
    /// of a product costs.
    wide_products = wide(u64)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_what_they_say_on_every_instruction_set() {
        for isa in Isa::available() {
            let mut low: Vec<u32> = (0..67).collect();
            let mut wide: Vec<u64> = (0..67).map(|i: u64| i.wrapping_mul(0x1234_5678_9abc_def1) + 7).collect();
            let (start, factor) = (wide.clone(), wide[0] & LOW);
            low_products(isa, &mut low).unwrap();
            wide_products(isa, &mut wide).unwrap();
            for i in 0..67 {
                let (mut x, mut y) = (i as u32, start[i]);
                for _ in 0..CHAIN {
                    x = x.wrapping_mul(x);
                    y = y.wrapping_add((y & LOW).wrapping_mul(factor));
                }
                assert_eq!((low[i], wide[i]), (x, y), "{isa}");
            }
        }
    }
}

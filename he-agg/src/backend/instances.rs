//! Every kernel once per instruction set, behind an explicit [`Isa`].
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "calls into code compiled for a detected instruction set")
)]

use super::{Isa, pointwise};
use crate::ring::{Modulus, ShoupFactor};

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
    accumulate(acc: &mut [u64], a: &[u32], b: &[u32]);
    reduce_wide(m: &Modulus, acc: &[u64], out: &mut [u32]);
    fold(m: &Modulus, acc: &mut [u64]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::NttTable;
    use crate::ring::primes::{NON_RESIDUES, PRIMES};
    use crate::stream::Stream;

    fn inputs(q: u32, n: usize) -> Vec<Vec<u32>> {
        let mut random = vec![0; n];
        Stream::from_seed([n as u8; 32]).fill_uniform(q, &mut random);
        let edges: Vec<u32> = (0..n).map(|i| [0, q - 1, 1, q - 2][i * 7 % 4]).collect();
        vec![random, edges, vec![0; n], vec![q - 1; n]]
    }

    #[test]
    fn transforms_agree_on_every_instruction_set() {
        for (i, log_n) in (1..=15).enumerate() {
            let (n, q) = (1 << log_n, PRIMES[i]);
            let m = Modulus::new(q);
            let psi = m.pow(NON_RESIDUES[i], u64::from(q - 1) / (2 * n as u64));
            let table = NttTable::new(m, n, psi);
            for input in inputs(q, n) {
                let mut expected = input.clone();
                table.forward_scalar(&mut expected);
                for isa in Isa::available() {
                    let mut a = input.clone();
                    forward(isa, &table, &mut a);
                    assert!(a == expected, "forward {isa:?} n = {n}");
                    inverse(isa, &table, &mut a);
                    assert!(a == input, "round trip {isa:?} n = {n}");
                    let (mut x, mut y) = (input.clone(), input.clone());
                    inverse(isa, &table, &mut x);
                    table.inverse_scalar(&mut y);
                    assert!(x == y, "inverse {isa:?} n = {n}");
                }
            }
        }
    }

    #[test]
    fn pointwise_kernels_agree_on_every_instruction_set() {
        // 1,003 leaves a remainder for every vector width.
        const N: usize = 1003;
        let m = Modulus::new(PRIMES[3]);
        let q = m.value();
        let w = m.shoup(q - 1);
        let all = inputs(q, N);
        for a in &all {
            for b in &all {
                let run = |isa| {
                    let mut out: Vec<Vec<u32>> = vec![a.clone(); 7];
                    add(isa, &m, &mut out[0], b);
                    sub(isa, &m, &mut out[1], b);
                    mul(isa, &m, &mut out[2], b);
                    mul_add(isa, &m, &mut out[3], b, a);
                    mul_scalar(isa, &m, &mut out[4], w);
                    mul_scalar_add(isa, &m, &mut out[5], b, w);
                    sub_mul_scalar(isa, &m, &mut out[6], b, w);
                    let mut negated = a.clone();
                    neg(isa, &m, &mut negated);
                    let mut acc: Vec<u64> = (0..N as u64).map(|i| i.wrapping_mul(u64::MAX / 5)).collect();
                    accumulate(isa, &mut acc, a, b);
                    let mut reduced = vec![0; N];
                    reduce_wide(isa, &m, &acc, &mut reduced);
                    fold(isa, &m, &mut acc);
                    (out, negated, acc, reduced)
                };
                let expected = run(Isa::Scalar);
                for isa in Isa::available() {
                    assert!(run(isa) == expected, "{isa:?}");
                }
                // And the scalar code agrees with 64-bit division.
                let wide = |x: u32| u64::from(x);
                for i in 0..N {
                    let (x, y, q) = (wide(a[i]), wide(b[i]), wide(q));
                    let want =
                        [x + y, x + q - y, x * y, x * y + x, x * (q - 1), x + y * (q - 1), (x + q - y) * (q - 1)];
                    for (k, want) in want.into_iter().enumerate() {
                        assert_eq!(wide(expected.0[k][i]), want % q, "kernel {k}");
                    }
                    assert_eq!(wide(expected.1[i]), (q - x) % q);
                    assert_eq!(wide(expected.3[i]), expected.2[i]);
                }
            }
        }
    }
}

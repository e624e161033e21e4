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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::{DigitTerm, TERMS_MAX, TensorOperands, WeightedTerm};
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
                    inverse(isa, &table, table.unscaled, &mut a);
                    assert!(a == input, "round trip {isa:?} n = {n}");
                    let (mut x, mut y) = (input.clone(), input.clone());
                    inverse(isa, &table, table.scaled(q - 5), &mut x);
                    table.inverse_scalar(table.scaled(q - 5), &mut y);
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
                    let mut out: Vec<Vec<u32>> = vec![a.clone(); 8];
                    add(isa, &m, &mut out[0], b);
                    sub(isa, &m, &mut out[1], b);
                    mul(isa, &m, &mut out[2], b);
                    mul_add(isa, &m, &mut out[3], b, a);
                    mul_scalar(isa, &m, &mut out[4], w);
                    mul_scalar_add(isa, &m, &mut out[5], b, w);
                    sub_mul_scalar(isa, &m, &mut out[6], b, w);
                    sub_mul_scalar_add(isa, &m, &mut out[7], b, w, a);
                    let mut negated = a.clone();
                    neg(isa, &m, &mut negated);
                    (out, negated)
                };
                let expected = run(Isa::Scalar);
                for isa in Isa::available() {
                    assert!(run(isa) == expected, "{isa:?}");
                }
                // And the scalar code agrees with 64-bit division.
                let wide = |x: u32| u64::from(x);
                for i in 0..N {
                    let (x, y, q) = (wide(a[i]), wide(b[i]), wide(q));
                    let want = [
                        x + y,
                        x + q - y,
                        x * y,
                        x * y + x,
                        x * (q - 1),
                        x + y * (q - 1),
                        (x + q - y) * (q - 1),
                        (x + q - y) * (q - 1) + x,
                    ];
                    for (k, want) in want.into_iter().enumerate() {
                        assert_eq!(wide(expected.0[k][i]), want % q, "kernel {k}");
                    }
                    assert_eq!(wide(expected.1[i]), (q - x) % q);
                }
            }
        }
    }

    #[test]
    fn floating_point_kernels_agree_to_the_last_bit() {
        const N: usize = 64;
        let m = Modulus::new(PRIMES[3]);
        let values = |seed: u8| -> Vec<f64> {
            let mut stream = Stream::from_seed([seed; 32]);
            (0..N).map(|_| (stream.next_f64() - 0.5) * 1e9).collect()
        };
        let (digits, mut small) = (inputs(m.value(), N), vec![0i64; N]);
        for (i, v) in small.iter_mut().enumerate() {
            *v = (i as i64 - 32) * ((i64::from(m.value()) - 1) / 32);
        }
        for half in [1, 2, 8, 32] {
            let run = |isa| {
                let (mut re, mut im) = (values(1), values(2));
                fold_slots(isa, &mut re, &mut im, half, &values(3), &values(4));
                unfold_slots(isa, &mut re, &mut im, half, &values(4), &values(5));
                horner_step(isa, &mut re, 1e9, &digits[0], &m);
                let mut rest = digits[1].clone();
                garner_step(isa, &m, &mut rest, &digits[0], &Modulus::new(PRIMES[7]), m.shoup(12345));
                let mut reduced = vec![0; N];
                reduce_small(isa, &m, &small, &mut reduced);
                (re, im, rest, reduced)
            };
            let expected = run(Isa::Scalar);
            assert!(expected.3.iter().zip(&small).all(|(&r, &v)| r == m.reduce_i64(v)));
            for isa in Isa::available() {
                assert!(run(isa) == expected, "{isa:?} {half}");
            }
        }
    }

    #[test]
    fn sums_of_products_agree_on_every_instruction_set_and_with_wide_integers() {
        // 1,003 leaves a remainder for every vector width.
        const N: usize = 1003;
        let m = Modulus::new(PRIMES[5]);
        let q = u128::from(m.value());
        let word = u128::from(m.word().value);
        for terms in [1, 2, 5, 6, 12] {
            // The last rounds are extreme: everything q - 1.
            for round in 0..2u8 {
                let slices: Vec<Vec<u32>> = (0..4 * terms)
                    .map(|i| match round {
                        0 => inputs(m.value(), N).swap_remove(i % 2),
                        _ => vec![m.value() - 1; N],
                    })
                    .collect();
                let at = |i: usize, k: usize| u128::from(slices[i][k]);
                let constants: Vec<u32> = (0..terms).map(|i| m.value() - 1 - i as u32).collect();
                let weighted: Vec<WeightedTerm<'_>> = (0..terms).map(|i| (&slices[i][..], constants[i])).collect();
                let digits: Vec<DigitTerm<'_>> =
                    (0..terms).map(|i| [&slices[3 * i][..], &slices[3 * i + 1], &slices[3 * i + 2]]).collect();
                let products = terms.min(TERMS_MAX / 2);
                let tensors: Vec<TensorOperands<'_>> =
                    (0..products).map(|i| std::array::from_fn(|j| &slices[4 * i + j][..])).collect();
                let fractions: Vec<WeightedTerm<'_>> = (0..terms).map(|i| (&slices[i][..], (1 << 29) - 1)).collect();
                let run = |isa| {
                    let mut lazy = vec![0; N];
                    weighted_sum(isa, &m, &weighted, &mut lazy);
                    let mut halves = [vec![0; N], vec![0; N]];
                    inner_product(isa, &m, &digits, halves.each_mut().map(|x| &mut x[..]));
                    let mut sums = [vec![7; N], vec![0; N], vec![m.value() - 1; N]];
                    tensor_add(isa, &m, &tensors, sums.each_mut().map(|x| &mut x[..]));
                    let mut counts = vec![0; N];
                    fraction_count(isa, &fractions, &mut counts);
                    (lazy, halves, sums, counts)
                };
                let expected = run(Isa::Scalar);
                for isa in Isa::available() {
                    assert!(run(isa) == expected, "{isa:?} {terms}");
                }
                let (lazy, halves, sums, counts) = expected;
                for k in 0..N {
                    let sum: u128 = (0..terms).map(|i| at(i, k) * u128::from(constants[i])).sum();
                    assert!(u128::from(lazy[k]) < 4 * q);
                    assert_eq!(u128::from(lazy[k]) * word % q, sum % q);
                    for (half, found) in halves.iter().enumerate() {
                        let sum: u128 = (0..terms).map(|i| at(3 * i, k) * at(3 * i + 1 + half, k)).sum();
                        assert!(u128::from(found[k]) < q);
                        assert_eq!(u128::from(found[k]) * word % q, sum % q);
                    }
                    let mut wanted = [7, 0, q - 1];
                    for i in 0..products {
                        let [x0, x1, y0, y1] = std::array::from_fn(|j| at(4 * i + j, k));
                        wanted[0] += x0 * y0;
                        wanted[1] += x0 * y1 + x1 * y0;
                        wanted[2] += x1 * y1;
                    }
                    for (found, wanted) in sums.iter().zip(wanted) {
                        assert_eq!(u128::from(found[k]), wanted % q);
                    }
                    let sum: u128 = (0..terms).map(|i| at(i, k) * ((1 << 29) - 1)).sum();
                    assert_eq!(u128::from(counts[k]), ((1u128 << 57) + sum) >> 58);
                }
            }
        }
    }
}

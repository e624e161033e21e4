//! Every instruction set gives the bits of the scalar code, and that agrees with division.
//!
//! Run it under the address sanitizer and Miri with `sanitize.sh`; Miri gets small sizes.

use super::instances::*;
use super::{DigitTerm, Isa, TERMS_MAX, TensorOperands, WeightedTerm, instances};
use crate::ring::primes::{NON_RESIDUES, PRIMES};
use crate::ring::{Modulus, NttTable};
use crate::stream::Stream;
use sha2::{Digest, Sha256};
use std::ops::RangeInclusive;

const LOG_N: RangeInclusive<u32> = if cfg!(miri) { 8..=9 } else { 1..=16 };

/// The table of the `i`-th prime at degree `n`, with its root.
fn table(i: usize, n: usize) -> (NttTable, u32) {
    let m = Modulus::new(PRIMES[i]);
    let psi = m.pow(NON_RESIDUES[i], u64::from(PRIMES[i] - 1) / (2 * n as u64));
    (NttTable::new(m, n, psi), psi)
}

/// Places in the list of primes that are 1 modulo `2n`; the list is made for degree 2^15.
fn primes(n: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..PRIMES.len()).filter(|&i| PRIMES[i] as usize % (2 * n) == 1).collect();
    if cfg!(miri) {
        places.truncate(1);
    } else {
        // First, last and some between: tables take longer than transforms.
        places = places.iter().copied().step_by(6).chain(places.last().copied()).collect();
        places.dedup();
    }
    places
}

fn random(q: u32, n: usize, seed: u8) -> Vec<u32> {
    let mut out = vec![0; n];
    Stream::from_seed([seed; 32]).fill_uniform(q, &mut out);
    out
}

/// Random values, and the ends of the range alone, mixed and in blocks.
fn inputs(q: u32, n: usize) -> Vec<Vec<u32>> {
    let ends = [0, q - 1, 1, q - 2, q / 2, q / 2 + 1];
    let pick = |f: &dyn Fn(usize) -> usize| (0..n).map(|i| ends[f(i) % ends.len()]).collect::<Vec<_>>();
    let impulse = (0..n).map(|i| if i == n - 1 { q - 1 } else { 0 }).collect();
    let mut all = vec![random(q, n, 1), pick(&|i| i * 7), pick(&|i| i / 16), impulse];
    all.extend([0, 1, q - 1].map(|value| vec![value; n]));
    all
}

#[test]
fn transforms_agree_at_every_degree_on_every_instruction_set() {
    for log_n in LOG_N {
        let n = 1 << log_n;
        for i in primes(n) {
            let (table, psi) = table(i, n);
            let q = PRIMES[i];
            for (kind, input) in inputs(q, n).into_iter().enumerate().take(if cfg!(miri) { 2 } else { 9 }) {
                let (mut forwards, mut inverses) = (input.clone(), input.clone());
                table.forward_scalar(&mut forwards);
                let scale = table.scaled(q - 5);
                table.inverse_scalar(scale, &mut inverses);
                assert!(forwards.iter().chain(&inverses).all(|&x| x < q), "canonical out");
                if kind == 0 {
                    // Some positions by Horner's rule, from the definition.
                    let m = Modulus::new(q);
                    for position in [0, 1, 15, 16, n / 2 + 3, n - 1].into_iter().filter(|&p| p < n) {
                        let x = m.pow(psi, NttTable::exponent(n, position) as u64);
                        let value = input.iter().rev().fold(0, |sum, &c| m.add(m.mul(sum, x), c));
                        assert_eq!(forwards[position], value, "n = {n}, position {position}");
                    }
                }
                for isa in Isa::available() {
                    let (mut x, mut y) = (input.clone(), input.clone());
                    forward(isa, &table, &mut x);
                    assert!(x == forwards, "forward {isa:?} n = {n} q = {q} input {kind}");
                    inverse(isa, &table, scale, &mut y);
                    assert!(y == inverses, "inverse {isa:?} n = {n} q = {q} input {kind}");
                    inverse(isa, &table, table.unscaled, &mut x);
                    assert!(x == input, "round trip {isa:?} n = {n} q = {q} input {kind}");
                }
            }
        }
    }
}

/// The smaller degrees are frozen through the public interface, in `tests/conformance`.
#[test]
#[cfg_attr(miri, ignore = "65,536 values")]
fn the_transform_of_degree_2_to_16_keeps_its_values() {
    let n = 1 << 16;
    let (table, _) = table(0, n);
    let q = u64::from(PRIMES[0]);
    let mut a: Vec<u32> = (0..n as u64).map(|i| ((3 * i * i + i + 1) % q) as u32).collect();
    instances::forward(Isa::detect(), &table, &mut a);
    let hash = Sha256::digest(a.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    assert_eq!(format!("{hash:x}"), "b79f1285c15e810a7c6a27cc81e3afa67f661e2e17ab7ca1d652e21c0f521cf1");
}

/// Words on either side of a slice that no kernel may touch.
const GUARD: usize = 5;
const CANARY: u32 = 0xdead_beef;

/// Runs `kernel` on a slice that starts at an odd address, and checks its surroundings.
fn guarded(content: &[u32], kernel: impl FnOnce(&mut [u32])) -> Vec<u32> {
    let mut words = vec![CANARY; content.len() + 2 * GUARD];
    let end = GUARD + content.len();
    words[GUARD..end].copy_from_slice(content);
    kernel(&mut words[GUARD..end]);
    assert!(words[..GUARD].iter().chain(&words[end..]).all(|&w| w == CANARY), "wrote outside");
    words[GUARD..end].to_vec()
}

/// Every remainder of every vector width, and a long run.
fn lengths() -> Vec<usize> {
    if cfg!(miri) { vec![0, 7, 35] } else { (0..=67).chain([1003]).collect() }
}

#[test]
fn pointwise_kernels_agree_at_every_length_and_touch_nothing_else() {
    for &q in if cfg!(miri) { &PRIMES[..1] } else { &PRIMES[..] }.iter().step_by(9) {
        let m = Modulus::new(q);
        for length in lengths() {
            let mut all = inputs(q, length.max(1));
            all.truncate(if cfg!(miri) { 2 } else { all.len() });
            for (a, b) in all.iter().zip(all.iter().cycle().skip(1)).chain(all.last().map(|a| (a, a))) {
                let (a, b) = (&a[..length], &b[..length]);
                let c = &random(q, length, 9);
                let w = m.shoup(if length % 2 == 0 { q - 1 } else { 77_777 });
                for isa in Isa::available() {
                    let exact = |found: Vec<u32>, name: &str, value: &dyn Fn(u64, u64, u64) -> u64| {
                        for i in 0..length {
                            let [x, y, z] = [a[i], b[i], c[i]].map(u64::from);
                            assert_eq!(u64::from(found[i]), value(x, y, z) % u64::from(q), "{name} {isa:?} at {i}");
                        }
                    };
                    let (wide_q, factor) = (u64::from(q), u64::from(w.value));
                    exact(guarded(a, |x| add(isa, &m, x, b)), "add", &|x, y, _| x + y);
                    exact(guarded(a, |x| sub(isa, &m, x, b)), "sub", &|x, y, _| x + wide_q - y);
                    exact(guarded(a, |x| neg(isa, &m, x)), "neg", &|x, _, _| wide_q - x);
                    exact(guarded(a, |x| mul(isa, &m, x, b)), "mul", &|x, y, _| x * y);
                    exact(guarded(a, |x| mul_add(isa, &m, x, b, c)), "mul_add", &|x, y, z| x + y * z);
                    exact(guarded(a, |x| mul_scalar(isa, &m, x, w)), "mul_scalar", &|x, _, _| x * factor);
                    exact(guarded(a, |x| mul_scalar_add(isa, &m, x, b, w)), "mul_scalar_add", &|x, y, _| {
                        x + y * factor
                    });
                    exact(guarded(a, |x| sub_mul_scalar(isa, &m, x, b, w)), "sub_mul_scalar", &|x, y, _| {
                        (x + wide_q - y) * factor
                    });
                    exact(guarded(a, |x| sub_mul_scalar_add(isa, &m, x, b, w, c)), "sub_mul_scalar_add", &|x, y, z| {
                        (x + wide_q - y) * factor + z
                    });
                }
            }
        }
    }
}

#[test]
fn kernels_that_take_unreduced_words_reduce_them() {
    let q = PRIMES[5];
    let m = Modulus::new(q);
    let (wide_q, length) = (u64::from(q), 53);
    let edges = [0, 1, q - 1, q, 2 * q - 1, 2 * q, 3 * q, 4 * q - 1, u32::MAX, 1 << 31];
    let lazy: Vec<u32> = (0..length).map(|i| edges[i * 3 % edges.len()]).collect();
    let acc = random(q, length, 2);
    let below: Vec<u32> = lazy.iter().map(|&x| x.min(4 * q - 1)).collect();
    for isa in Isa::available() {
        for factor in [0, 1, q - 1, 12345] {
            let (w, factor) = (m.shoup(factor), u64::from(factor));
            let found = guarded(&lazy, |x| mul_scalar(isa, &m, x, w));
            let sums = guarded(&acc, |x| mul_scalar_add(isa, &m, x, &lazy, w));
            for i in 0..length {
                let product = u64::from(lazy[i]) * factor;
                assert_eq!(u64::from(found[i]), product % wide_q, "mul_scalar {isa:?}");
                let sum = (u128::from(product) + u128::from(acc[i])) % u128::from(wide_q);
                assert_eq!(u128::from(sums[i]), sum, "mul_scalar_add {isa:?}");
            }
        }
        let reduced = guarded(&below, |x| reduce_lazy(isa, &m, x));
        for i in 0..length {
            assert_eq!(reduced[i], below[i] % q, "reduce_lazy {isa:?}");
        }
    }
    // A forward transform takes values below 4q.
    let (table, _) = table(5, 256);
    let lazy: Vec<u32> = (0..256).map(|i| edges[i % 8]).collect();
    let mut expected: Vec<u32> = lazy.iter().map(|&x| x % q).collect();
    table.forward_scalar(&mut expected);
    for isa in Isa::available() {
        assert!(guarded(&lazy, |x| forward(isa, &table, x)) == expected, "forward {isa:?}");
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
    // A remainder for every vector width.
    const N: usize = if cfg!(miri) { 71 } else { 1003 };
    let m = Modulus::new(PRIMES[5]);
    let q = u128::from(m.value());
    let word = u128::from(m.word().value);
    for terms in if cfg!(miri) { vec![2] } else { vec![1, 2, 5, 6, 12] } {
        // The last rounds are extreme: everything q - 1.
        for round in 0..2u8 {
            let slices: Vec<Vec<u32>> = (0..4 * terms)
                .map(|i| match round {
                    0 => inputs(m.value(), N).swap_remove(i % 3),
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

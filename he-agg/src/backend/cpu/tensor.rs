//! Sums of products of two-polynomial ciphertexts, reduced once per four terms.

use crate::backend::{Cpu, TensorTerm};
use crate::ring::{Eval, Limb, Poly};
use crate::simd::{self, TensorOperands};
use rayon::prelude::*;

/// Coefficients per block: the three polynomials of a sum take 12 KiB and stay in the first-level
/// cache while every group of terms adds to them.
const BLOCK: usize = 1024;

/// Terms whose products are summed in registers: sixteen streams of operands at once are about
/// what a processor prefetches.
const GROUP: usize = 4;

/// (sum x0 y0, sum x0 y1 + x1 y0, sum x1 y1) over all terms of each sum.
///
/// Block by block through all sums: right factors occur once and are larger than any cache, left
/// ones occur in many sums, and their blocks stay in the second-level cache meanwhile.
pub(crate) fn tensor_sums(sums: &[Vec<TensorTerm<'_, Cpu>>], basis: &[Limb], n: usize) -> Vec<[Poly<Eval>; 3]> {
    let mut results: Vec<_> = sums.iter().map(|_| [(); 3].map(|()| Poly::<Eval>::zero(n, basis.len()))).collect();
    // One sum has nothing to share: whole limbs keep the lists below short.
    let unit = if sums.len() == 1 { n } else { BLOCK.min(n) };
    // The same part of every result, so that threads share parts and not sums.
    let mut parts: Vec<Vec<[&mut [u32]; 3]>> =
        (0..basis.len() * n / unit).map(|_| Vec::with_capacity(sums.len())).collect();
    for result in &mut results {
        let [r0, r1, r2] = result.each_mut().map(|part| part.residues_mut().chunks_exact_mut(unit));
        for (((r0, r1), r2), part) in r0.zip(r1).zip(r2).zip(&mut parts) {
            part.push([r0, r1, r2]);
        }
    }
    parts.into_par_iter().enumerate().for_each(|(index, results)| {
        let (limb, start) = (index * unit / n, index * unit % n);
        for (terms, [r0, r1, r2]) in sums.iter().zip(results) {
            let blocks = r0.chunks_mut(BLOCK).zip(r1.chunks_mut(BLOCK)).zip(r2.chunks_mut(BLOCK));
            for (block, ((r0, r1), r2)) in blocks.enumerate() {
                let from = start + block * BLOCK;
                let range = from..from + r0.len();
                for group in terms.chunks(GROUP) {
                    let mut operands: [TensorOperands<'_>; GROUP] = [[&[]; 4]; GROUP];
                    for (operand, term) in operands.iter_mut().zip(group) {
                        let [x0, x1] = term.left.map(|x| &x.limb(limb)[range.clone()]);
                        let [y0, y1] = term.right.map(|y| &y.limb(limb)[range.clone()]);
                        *operand = [x0, x1, y0, y1];
                    }
                    let results = [&mut *r0, &mut *r1, &mut *r2];
                    simd::tensor_add(basis[limb].modulus(), &operands[..group.len()], results);
                }
            }
        }
    });
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Params, Preset};
    use crate::stream::Expander;

    #[test]
    fn the_sum_equals_reduced_products_past_the_reduction_interval() {
        let params = Params::toy(Preset::Inf13, 11);
        let basis = &params.q;
        let expander = Expander::new(&[3; 32], "test", params.preset, &[]);
        let polys: Vec<Poly<Eval>> = (0..4 * 19).map(|i| Poly::uniform(&expander, i, params.n, basis)).collect();
        for terms in [1, 7, 8, 9, 19] {
            let quads: Vec<_> = polys.chunks_exact(4).take(terms).collect();
            let operands: Vec<_> =
                quads.iter().map(|p| TensorTerm { left: [&p[0], &p[1]], right: [&p[2], &p[3]] }).collect();
            let halves = operands.chunks(terms.div_ceil(2)).map(<[_]>::to_vec).collect::<Vec<_>>();
            let mut parts = tensor_sums(&halves, basis, params.n).into_iter();
            let sums = tensor_sums(&[operands], basis, params.n).remove(0);
            let mut added = parts.next().unwrap();
            for part in parts {
                added.iter_mut().zip(&part).for_each(|(sum, part)| sum.add_assign(part, basis));
            }
            assert!(added == sums, "{terms} terms in two sums");
            let mut expected = [(); 3].map(|()| Poly::zero(params.n, basis.len()));
            for p in &quads {
                expected[0].mul_add(&p[0], &p[2], basis);
                expected[1].mul_add(&p[0], &p[3], basis);
                expected[1].mul_add(&p[1], &p[2], basis);
                expected[2].mul_add(&p[1], &p[3], basis);
            }
            assert!(sums == expected, "{terms} terms");
        }
    }
}

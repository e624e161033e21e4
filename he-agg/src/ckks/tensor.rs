//! Sums of products of two-polynomial ciphertexts, reduced once per eight terms.

use crate::ring::{ACCUMULATOR_TERMS, Eval, Limb, Poly};
use rayon::prelude::*;

/// Coefficients per block: the three 64-bit sums take 24 KiB, inside the first-level cache.
const BLOCK: usize = 1024;

/// The two factors of one product.
pub(crate) struct TensorTerm<'a> {
    pub(crate) left: [&'a Poly<Eval>; 2],
    pub(crate) right: [&'a Poly<Eval>; 2],
}

/// (sum x0 y0, sum x0 y1 + x1 y0, sum x1 y1) over all terms.
///
/// One pass over the operands: they are larger than any cache, the sums are not.
pub(crate) fn tensor_sum(terms: &[TensorTerm<'_>], basis: &[Limb], n: usize) -> [Poly<Eval>; 3] {
    let limbs: Vec<[Vec<u32>; 3]> =
        basis.par_iter().enumerate().map(|(index, limb)| limb_sums(terms, index, limb, n)).collect();
    let mut sums = [(); 3].map(|()| Poly::<Eval>::zero(n, basis.len()));
    for (index, parts) in limbs.iter().enumerate() {
        for (sum, part) in sums.iter_mut().zip(parts) {
            sum.limb_mut(index).copy_from_slice(part);
        }
    }
    sums
}

fn limb_sums(terms: &[TensorTerm<'_>], index: usize, limb: &Limb, n: usize) -> [Vec<u32>; 3] {
    let mut out = [(); 3].map(|()| vec![0u32; n]);
    let mut sums = [[0u64; BLOCK]; 3];
    for start in (0..n).step_by(BLOCK) {
        let range = start..(start + BLOCK).min(n);
        let [s0, s1, s2] = sums.each_mut().map(|sum| &mut sum[..range.len()]);
        s0.fill(0);
        s1.fill(0);
        s2.fill(0);
        // Products in the middle sum, which gets two per term.
        let mut held = 0;
        for term in terms {
            if held + 2 > ACCUMULATOR_TERMS {
                limb.fold(s0);
                limb.fold(s1);
                limb.fold(s2);
                held = 1;
            }
            held += 2;
            let [x0, x1] = term.left.map(|x| &x.limb(index)[range.clone()]);
            let [y0, y1] = term.right.map(|y| &y.limb(index)[range.clone()]);
            Limb::accumulate(s0, x0, y0);
            Limb::accumulate(s1, x0, y1);
            Limb::accumulate(s1, x1, y0);
            Limb::accumulate(s2, x1, y1);
        }
        for (part, sum) in out.iter_mut().zip([&*s0, &*s1, &*s2]) {
            limb.reduce_wide(sum, &mut part[range.clone()]);
        }
    }
    out
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
            let sums = tensor_sum(&operands, basis, params.n);
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

//! Sums of products of two-polynomial ciphertexts, reduced once per four terms.

use crate::backend::{self, TensorOperands};
use crate::ring::{Eval, Limb, Poly};
use rayon::prelude::*;

/// Coefficients per block: the three sums take 12 KiB and stay in the first-level cache while
/// every group of terms adds to them.
const BLOCK: usize = 1024;

/// Terms whose products are summed in registers: sixteen streams of operands at once are about
/// what a processor prefetches.
const GROUP: usize = 4;

/// The two factors of one product.
pub(crate) struct TensorTerm<'a> {
    pub(crate) left: [&'a Poly<Eval>; 2],
    pub(crate) right: [&'a Poly<Eval>; 2],
}

/// (sum x0 y0, sum x0 y1 + x1 y0, sum x1 y1) over all terms.
///
/// One pass over the operands: they are larger than any cache, the sums are not.
pub(crate) fn tensor_sum(terms: &[TensorTerm<'_>], basis: &[Limb], n: usize) -> [Poly<Eval>; 3] {
    let mut sums = [(); 3].map(|()| Poly::<Eval>::zero(n, basis.len()));
    let [s0, s1, s2] = sums.each_mut().map(|sum| sum.residues_mut().par_chunks_exact_mut(n));
    s0.zip(s1).zip(s2).zip(basis).enumerate().for_each(|(index, (((s0, s1), s2), limb))| {
        let blocks = s0.chunks_mut(BLOCK).zip(s1.chunks_mut(BLOCK)).zip(s2.chunks_mut(BLOCK));
        for (block, ((s0, s1), s2)) in blocks.enumerate() {
            let range = block * BLOCK..block * BLOCK + s0.len();
            for group in terms.chunks(GROUP) {
                let mut operands: [TensorOperands<'_>; GROUP] = [[&[]; 4]; GROUP];
                for (operand, term) in operands.iter_mut().zip(group) {
                    let [x0, x1] = term.left.map(|x| &x.limb(index)[range.clone()]);
                    let [y0, y1] = term.right.map(|y| &y.limb(index)[range.clone()]);
                    *operand = [x0, x1, y0, y1];
                }
                backend::tensor_add(limb.modulus(), &operands[..group.len()], [&mut *s0, &mut *s1, &mut *s2]);
            }
        }
    });
    sums
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

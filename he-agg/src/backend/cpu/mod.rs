//! The processor's backend: the vector kernels of [`crate::simd`], one limb at a time.
//!
//! The fused operations are its own: limb by limb through a whole key switch is faster here than
//! operation by operation through whole polynomials.

mod division;
mod key_switch;
mod tensor;

pub(crate) use division::Divider;

use super::{Backend, Basis, Division, GadgetTerm, KeySwitch, Outcome, Quotient, TensorTerm};
use crate::ckks::BaseConversion;
use crate::params::Params;
use crate::ring::{Automorphism, Coeff, Domain, Eval, Limb, Poly, Words};
use rayon::prelude::*;

/// The processor. Nothing fails here and nothing is transferred: polynomials are cloned.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    params: &'static Params,
}

impl Cpu {
    /// The backend of one parameter set.
    pub fn new(params: &'static Params) -> Self {
        Self { params }
    }

    fn limbs(&self, basis: &Basis) -> Vec<Limb> {
        basis.limbs(self.params).cloned().collect()
    }

    /// A polynomial over the primes of `basis`, written limb by limb.
    fn build<D: Domain>(&self, basis: &[Limb], write: impl Fn(usize, &Limb, &mut [u32]) + Sync + Send) -> Poly<D> {
        let mut out = Poly::unset(self.params.n, basis.len());
        out.par_limbs(basis, write);
        out
    }
}

impl Backend for Cpu {
    type Poly<D: Domain> = Poly<D>;

    fn params(&self) -> &'static Params {
        self.params
    }

    fn upload<D: Domain>(&self, polys: &[&Poly<D>]) -> Outcome<Vec<Poly<D>>> {
        Ok(polys.iter().copied().cloned().collect())
    }

    fn download<D: Domain>(&self, polys: &[&Poly<D>]) -> Outcome<Vec<Poly<D>>> {
        self.upload(polys)
    }

    fn truncate<D: Domain>(&self, poly: &mut Poly<D>, limbs: usize) {
        poly.truncate(limbs);
    }

    fn prefix<D: Domain>(&self, poly: &Poly<D>, limbs: usize) -> Poly<D> {
        poly.prefix(limbs)
    }

    fn forward(&self, basis: &Basis, polys: Vec<Poly<Coeff>>) -> Outcome<Vec<Poly<Eval>>> {
        let limbs = self.limbs(basis);
        Ok(polys.into_par_iter().map(|poly| poly.into_eval(&limbs)).collect())
    }

    fn inverse(
        &self,
        basis: &Basis,
        rows: &Basis,
        factors: &[u32],
        polys: &[&Poly<Eval>],
    ) -> Outcome<Vec<Poly<Coeff>>> {
        let limbs = self.limbs(rows);
        let one = |poly: &&Poly<Eval>| {
            self.build(&limbs, |index, limb, out| {
                out.copy_from_slice(poly.limb(rows.row_in(basis, self.params, index)));
                limb.inverse_scaled(out, factors[index]);
            })
        };
        Ok(polys.par_iter().map(one).collect())
    }

    fn convert(&self, basis: &Basis, from: &Basis, to: &Basis, scaled: &[&Poly<Coeff>]) -> Outcome<Vec<Poly<Coeff>>> {
        let (n, sources, targets) = (self.params.n, self.limbs(from), self.limbs(to));
        let conversion = BaseConversion::new(&sources);
        let one = |poly: &&Poly<Coeff>| {
            let mut rows = Words::unset(sources.len() * n);
            for (index, row) in rows.chunks_exact_mut(n).enumerate() {
                row.copy_from_slice(poly.limb(from.row_in(basis, self.params, index)));
            }
            let mut overflow = Words::unset(n);
            conversion.count_overflow(&rows, &mut overflow);
            let (rows, overflow) = (&*rows, &*overflow);
            self.build(&targets, |_, limb, out| {
                conversion.convert(rows, overflow, limb, out);
                out.iter_mut().for_each(|x| *x = limb.modulus().reduce_lazy(*x));
            })
        };
        Ok(scaled.par_iter().map(one).collect())
    }

    fn sum<D: Domain>(&self, basis: &Basis, lists: &[&[&Poly<D>]]) -> Outcome<Vec<Poly<D>>> {
        let limbs = self.limbs(basis);
        let one = |list: &&[&Poly<D>]| {
            self.build(&limbs, |index, limb, out| {
                for (term, poly) in list.iter().enumerate() {
                    if term == 0 {
                        out.copy_from_slice(poly.limb(index));
                    } else {
                        limb.add(out, poly.limb(index));
                    }
                }
            })
        };
        Ok(lists.par_iter().map(one).collect())
    }

    fn add<D: Domain>(&self, basis: &Basis, mut left: Vec<Poly<D>>, right: &[&Poly<D>]) -> Outcome<Vec<Poly<D>>> {
        let limbs = self.limbs(basis);
        left.par_iter_mut().zip(right).for_each(|(left, right)| {
            left.truncate(limbs.len());
            left.par_limbs(&limbs, |index, limb, x| limb.add(x, right.limb(index)));
        });
        Ok(left)
    }

    fn subtract<D: Domain>(&self, basis: &Basis, pairs: &[[&Poly<D>; 2]]) -> Outcome<Vec<Poly<D>>> {
        let limbs = self.limbs(basis);
        let one = |[left, right]: &[&Poly<D>; 2]| {
            self.build(&limbs, |index, limb, out| {
                out.copy_from_slice(left.limb(index));
                limb.sub(out, right.limb(index));
            })
        };
        Ok(pairs.par_iter().map(one).collect())
    }

    fn multiply_accumulate(&self, basis: &Basis, sums: &[&[[&Poly<Eval>; 2]]]) -> Outcome<Vec<Poly<Eval>>> {
        let limbs = self.limbs(basis);
        let one = |terms: &&[[&Poly<Eval>; 2]]| {
            self.build(&limbs, |index, limb, out| {
                out.fill(0);
                terms.iter().for_each(|[x, y]| limb.mul_add(out, x.limb(index), y.limb(index)));
            })
        };
        Ok(sums.par_iter().map(one).collect())
    }

    fn tensor(&self, basis: &Basis, sums: &[Vec<TensorTerm<'_, Self>>]) -> Outcome<Vec<[Poly<Eval>; 3]>> {
        Ok(tensor::tensor_sums(sums, &self.limbs(basis), self.params.n))
    }

    fn automorphism(&self, basis: &Basis, items: &[(&Poly<Eval>, &Automorphism)]) -> Outcome<Vec<Poly<Eval>>> {
        let limbs = self.limbs(basis);
        let one = |(poly, automorphism): &(&Poly<Eval>, &Automorphism)| {
            self.build(&limbs, |index, _, out| automorphism.permute(poly.limb(index), out))
        };
        Ok(items.par_iter().map(one).collect())
    }

    fn quotient(
        &self,
        basis: &Basis,
        keep: usize,
        factors: &[u32],
        items: &[Quotient<'_, Self>],
    ) -> Outcome<Vec<Poly<Eval>>> {
        let kept = Basis::ordinary(0..keep);
        let limbs = self.limbs(&kept);
        let one = |item: &Quotient<'_, Self>| {
            self.build(&limbs, |index, limb, out| {
                let mut x = Words::unset(self.params.n);
                x.copy_from_slice(item.division.x.limb(kept.row_in(basis, self.params, index)));
                limb.sub_mul_scalar(&mut x, item.remainder.limb(index), factors[index]);
                if let Some(addend) = item.division.addend {
                    limb.add(&mut x, addend.limb(index));
                }
                match item.division.automorphism {
                    Some(automorphism) => automorphism.permute(&x, out),
                    None => out.copy_from_slice(&x),
                }
            })
        };
        Ok(items.par_iter().map(one).collect())
    }

    fn gadget_product(&self, limbs: usize, items: &[GadgetTerm<'_, Self>]) -> Outcome<Vec<[Poly<Eval>; 2]>> {
        let one = |item: &GadgetTerm<'_, Self>| {
            key_switch::gadget_product(self.params, limbs, item.digits, item.key, item.own)
        };
        Ok(items.par_iter().map(one).collect())
    }

    fn lift(&self, limbs: usize, polys: &[&Poly<Eval>]) -> Outcome<Vec<Vec<Poly<Eval>>>> {
        Ok(polys.par_iter().map(|poly| key_switch::lift(self.params, limbs, poly)).collect())
    }

    fn divide(&self, basis: &Basis, keep: usize, items: Vec<Division<'_, Self>>) -> Outcome<Vec<Poly<Eval>>> {
        Ok(items.par_iter().map(|item| division::divide(self.params, basis, keep, item)).collect())
    }

    fn key_switch(&self, limbs: usize, keep: usize, items: &[KeySwitch<'_, Self>]) -> Outcome<Vec<[Poly<Eval>; 2]>> {
        Ok(items.par_iter().map(|item| key_switch::key_switch(self.params, limbs, keep, item)).collect())
    }
}

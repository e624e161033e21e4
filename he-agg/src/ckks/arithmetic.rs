//! Addition, plaintext products and ciphertext products, without any key.

use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::ckks::evaluator::{Evaluator, check_limbs, check_scales};
use crate::ckks::plaintext::Plaintext;
use crate::ckks::tensor::{TensorTerm, tensor_sums};
use crate::ring::{Eval, Limb, Poly};
use rayon::prelude::*;

impl Evaluator {
    /// `left + right`: same limbs and scale; two and three polynomials may be mixed.
    ///
    /// # Errors
    /// A mismatch of preset, limbs or scale, naming both.
    pub fn add(&self, left: &Ciphertext, right: &Ciphertext) -> Result<Ciphertext, CkksError> {
        let mut sum = left.clone();
        self.add_assign(&mut sum, right)?;
        Ok(sum)
    }

    /// `left += right`, as [`Evaluator::add`].
    ///
    /// # Errors
    /// As [`Evaluator::add`]; `left` is then unchanged.
    pub fn add_assign(&self, left: &mut Ciphertext, right: &Ciphertext) -> Result<(), CkksError> {
        self.check_pair(left, right)?;
        let basis = self.basis(left.limbs);
        pad(left, right.parts.len());
        for (x, y) in left.parts.iter_mut().zip(&right.parts) {
            x.add_assign(y, basis);
        }
        Ok(())
    }

    /// `left - right`, as [`Evaluator::add`].
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn sub(&self, left: &Ciphertext, right: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.check_pair(left, right)?;
        let mut difference = left.clone();
        pad(&mut difference, right.parts.len());
        for (x, y) in difference.parts.iter_mut().zip(&right.parts) {
            x.sub_assign(y, self.basis(left.limbs));
        }
        Ok(difference)
    }

    /// `ciphertext + plaintext`, same limbs and scale.
    ///
    /// # Errors
    /// A mismatch of preset, limbs or scale, naming both.
    pub fn add_plain(&self, ciphertext: &Ciphertext, plaintext: &Plaintext) -> Result<Ciphertext, CkksError> {
        self.check_plain(ciphertext, plaintext)?;
        check_scales(ciphertext.scale, plaintext.scale)?;
        let mut sum = ciphertext.clone();
        sum.parts[0].add_assign(&plaintext.poly, self.basis(sum.limbs));
        Ok(sum)
    }

    /// `ciphertext` times `plaintext`; the scales multiply.
    ///
    /// # Errors
    /// A mismatch of preset or limbs, naming both.
    pub fn mul_plain(&self, ciphertext: &Ciphertext, plaintext: &Plaintext) -> Result<Ciphertext, CkksError> {
        self.check_plain(ciphertext, plaintext)?;
        let mut product = ciphertext.clone();
        for part in &mut product.parts {
            part.mul_assign(&plaintext.poly, self.basis(ciphertext.limbs));
        }
        product.scale *= plaintext.scale;
        Ok(product)
    }

    /// `left right` as three polynomials; the scales multiply. Relinearise, then rescale.
    ///
    /// # Errors
    /// As [`Evaluator::mul_accumulate`].
    pub fn mul(&self, left: &Ciphertext, right: &Ciphertext) -> Result<Ciphertext, CkksError> {
        self.mul_accumulate(&[(left, right)])
    }

    /// The sum of `left right` over all terms, as three polynomials: one reduction per four
    /// terms and one relinearisation for all of them.
    ///
    /// # Errors
    /// [`CkksError::NoTerms`] for none; [`CkksError::Parts`] for factors that were not
    /// relinearised; a mismatch of preset, limbs or product scale, naming both.
    pub fn mul_accumulate(&self, terms: &[(&Ciphertext, &Ciphertext)]) -> Result<Ciphertext, CkksError> {
        self.mul_accumulate_all(&[terms]).and_then(|mut sums| sums.pop().ok_or(CkksError::NoTerms))
    }

    /// As [`Evaluator::mul_accumulate`] for every list of terms. Lists that share left factors are
    /// faster together, since memory is read once for all of them.
    ///
    /// # Errors
    /// As [`Evaluator::mul_accumulate`], for any list; all have the same limbs.
    pub fn mul_accumulate_all<'c, T>(&self, sums: &[T]) -> Result<Vec<Ciphertext>, CkksError>
    where
        T: AsRef<[(&'c Ciphertext, &'c Ciphertext)]>,
    {
        let Some(first) = sums.first() else {
            return Ok(Vec::new());
        };
        let limbs = first.as_ref().first().ok_or(CkksError::NoTerms)?.0.limbs;
        let scales =
            sums.iter().map(|terms| self.product_scale(terms.as_ref(), limbs)).collect::<Result<Vec<_>, _>>()?;
        let term = |(left, right): &(&'c Ciphertext, &'c Ciphertext)| TensorTerm {
            left: [&left.parts[0], &left.parts[1]],
            right: [&right.parts[0], &right.parts[1]],
        };
        let terms: Vec<Vec<TensorTerm<'_>>> =
            sums.iter().map(|terms| terms.as_ref().iter().map(term).collect()).collect();
        let results = tensor_sums(&terms, &self.params.q[..limbs], self.params.n);
        let ciphertext =
            |(parts, scale): ([_; 3], f64)| Ciphertext { params: self.params, limbs, scale, parts: parts.into() };
        Ok(results.into_iter().zip(scales).map(ciphertext).collect())
    }

    /// The scale of all products of a sum, whose factors have `limbs` limbs.
    fn product_scale(&self, terms: &[(&Ciphertext, &Ciphertext)], limbs: usize) -> Result<f64, CkksError> {
        let mut scale = None;
        for (left, right) in terms {
            for factor in [left, right] {
                self.check_preset(factor.preset())?;
                Self::check_parts(factor, 2, "a product")?;
                check_limbs(limbs, factor.limbs)?;
            }
            let product = left.scale * right.scale;
            check_scales(*scale.get_or_insert(product), product)?;
        }
        scale.ok_or(CkksError::NoTerms)
    }

    /// The sum of `ciphertext plaintext` over all terms, as two polynomials; the scales multiply.
    ///
    /// # Errors
    /// [`CkksError::NoTerms`] for none; [`CkksError::Parts`] for ciphertexts that were not
    /// relinearised; a mismatch of preset, limbs or product scale, naming both.
    pub fn mul_plain_accumulate(&self, terms: &[(&Ciphertext, &Plaintext)]) -> Result<Ciphertext, CkksError> {
        let &(first, _) = terms.first().ok_or(CkksError::NoTerms)?;
        let limbs = first.limbs;
        let mut scale = None;
        for (left, right) in terms {
            check_limbs(limbs, left.limbs)?;
            Self::check_parts(left, 2, "a product")?;
            self.check_plain(left, right)?;
            let product = left.scale * right.scale;
            check_scales(*scale.get_or_insert(product), product)?;
        }
        let mut parts = [(); 2].map(|()| Poly::<Eval>::zero(self.params.n, limbs));
        for (part, sum) in parts.iter_mut().enumerate() {
            let sums = sum.residues_mut().par_chunks_exact_mut(self.params.n).zip(self.basis(limbs));
            sums.enumerate().for_each(|(index, (sum, limb))| {
                for (left, right) in terms {
                    limb.mul_add(sum, left.parts[part].limb(index), right.poly.limb(index));
                }
            });
        }
        Ok(Ciphertext { params: self.params, limbs, scale: scale.unwrap_or(1.0), parts: parts.into() })
    }

    fn check_pair(&self, left: &Ciphertext, right: &Ciphertext) -> Result<(), CkksError> {
        self.check_preset(left.preset())?;
        self.check_preset(right.preset())?;
        check_limbs(left.limbs, right.limbs)?;
        check_scales(left.scale, right.scale)
    }

    fn check_plain(&self, left: &Ciphertext, right: &Plaintext) -> Result<(), CkksError> {
        self.check_preset(left.preset())?;
        self.check_preset(right.params.preset)?;
        check_limbs(left.limbs, right.limbs)
    }

    fn basis(&self, limbs: usize) -> &'static [Limb] {
        &self.params.q[..limbs]
    }
}

/// Adds zero polynomials until there are `parts`.
fn pad(ciphertext: &mut Ciphertext, parts: usize) {
    while ciphertext.parts.len() < parts {
        ciphertext.parts.push(Poly::zero(ciphertext.params.n, ciphertext.limbs));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Params, Preset};
    use crate::stream::Expander;

    #[test]
    fn the_sum_of_plaintext_products_is_the_products_added_up() {
        let params: &'static Params = Preset::Inf13.params();
        let (evaluator, limbs) = (Evaluator::new(Preset::Inf13).unwrap(), 3);
        let expander = Expander::new(&[4; 32], "test", Preset::Inf13, &[]);
        let poly = |index: u16| Poly::uniform(&expander, index.into(), params.n, &params.q[..limbs]);
        let scale = params.scale();
        let pairs: Vec<_> = (0..14)
            .map(|i| {
                let parts = vec![poly(3 * i), poly(3 * i + 1)];
                let plain = Plaintext { params, limbs, scale, poly: poly(3 * i + 2) };
                (Ciphertext { params, limbs, scale, parts }, plain)
            })
            .collect();
        let terms: Vec<_> = pairs.iter().map(|(x, y)| (x, y)).collect();
        let mut expected = evaluator.mul_plain(terms[0].0, terms[0].1).unwrap();
        for (x, y) in &terms[1..] {
            evaluator.add_assign(&mut expected, &evaluator.mul_plain(x, y).unwrap()).unwrap();
        }
        assert!(evaluator.mul_plain_accumulate(&terms).unwrap() == expected);
        assert_eq!(evaluator.mul_plain_accumulate(&[]).err(), Some(CkksError::NoTerms));
    }
}

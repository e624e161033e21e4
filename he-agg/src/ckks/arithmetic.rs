//! Addition, plaintext products and ciphertext products, without any key.

use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::ckks::evaluator::{Evaluator, check_limbs, check_scales};
use crate::ckks::plaintext::Plaintext;
use crate::ckks::tensor::{TensorTerm, tensor_sum};
use crate::ring::{Limb, Poly};

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
        let &(first, _) = terms.first().ok_or(CkksError::NoTerms)?;
        let limbs = first.limbs;
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
        let pairs: Vec<TensorTerm<'_>> = terms
            .iter()
            .map(|(left, right)| TensorTerm {
                left: [&left.parts[0], &left.parts[1]],
                right: [&right.parts[0], &right.parts[1]],
            })
            .collect();
        Ok(Ciphertext {
            params: self.params,
            limbs,
            scale: scale.unwrap_or(1.0),
            parts: tensor_sum(&pairs, &self.params.q[..limbs], self.params.n).into(),
        })
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

//! Addition, plaintext products and ciphertext products, without any key.

use crate::backend::{Backend, Basis, TensorTerm};
use crate::ckks::ciphertext::Ciphertext;
use crate::ckks::error::CkksError;
use crate::ckks::evaluator::{Evaluator, check_limbs, check_scales};
use crate::ckks::key_switch::only;
use crate::ckks::plaintext::Plaintext;
use crate::ring::{Eval, Poly};

impl<B: Backend> Evaluator<B> {
    /// `left + right`: same limbs and scale; two and three polynomials may be mixed.
    ///
    /// # Errors
    /// A mismatch of preset, limbs or scale, naming both.
    pub fn add(&self, left: &Ciphertext<B>, right: &Ciphertext<B>) -> Result<Ciphertext<B>, CkksError> {
        only(self.add_all(vec![left.clone()], &[right])?)
    }

    /// As [`Evaluator::add`] for several pairs of equal limbs; the left ones are written over where
    /// that pays.
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn add_all(&self, left: Vec<Ciphertext<B>>, right: &[&Ciphertext<B>]) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let Some(limbs) = left.first().map(|left| left.limbs) else { return Ok(Vec::new()) };
        for (left, right) in left.iter().zip(right) {
            self.check_pair(left, right)?;
            check_limbs(limbs, left.limbs)?;
        }
        let (mut sums, mut targets, mut addends) = (Vec::new(), Vec::new(), Vec::new());
        for (left, right) in left.into_iter().zip(right) {
            let (mut own, common) = (left.parts, right.parts.len());
            // Of three polynomials and two, the third is the sum's.
            let rest = own.split_off(own.len().min(common));
            addends.extend(&right.parts[..own.len()]);
            let rest = rest.into_iter().chain(right.parts.iter().skip(own.len()).cloned());
            sums.push((left.params, left.scale, own.len(), rest.collect::<Vec<_>>()));
            targets.extend(own);
        }
        let mut added = self.backend.add(&Basis::ordinary(0..limbs), targets, &addends)?.into_iter();
        let whole = |(params, scale, count, rest)| {
            let parts = added.by_ref().take(count).chain(rest).collect();
            Ciphertext { params, limbs, scale, parts }
        };
        Ok(sums.into_iter().map(whole).collect())
    }

    /// `left - right`, as [`Evaluator::add`].
    ///
    /// # Errors
    /// As [`Evaluator::add`].
    pub fn sub(&self, left: &Ciphertext<B>, right: &Ciphertext<B>) -> Result<Ciphertext<B>, CkksError> {
        self.check_pair(left, right)?;
        let (limbs, count) = (left.limbs, left.parts.len().max(right.parts.len()));
        let zero = self.backend.upload(&[&Poly::<Eval>::zero(self.params().n, limbs)])?;
        let of = |ciphertext: &'_ Ciphertext<B>, part: usize| ciphertext.parts.get(part).or(zero.first()).cloned();
        let operands: Vec<_> = (0..count).filter_map(|part| Some([of(left, part)?, of(right, part)?])).collect();
        let pairs: Vec<_> = operands.iter().map(|[x, y]| [x, y]).collect();
        let parts = self.backend.subtract(&Basis::ordinary(0..limbs), &pairs)?;
        Ok(left.with_parts(limbs, left.scale, parts))
    }

    /// `ciphertext + plaintext`, same limbs and scale.
    ///
    /// # Errors
    /// A mismatch of preset, limbs or scale, naming both.
    pub fn add_plain(&self, ciphertext: &Ciphertext<B>, plaintext: &Plaintext<B>) -> Result<Ciphertext<B>, CkksError> {
        only(self.add_plain_all(vec![ciphertext.clone()], &[plaintext])?)
    }

    /// As [`Evaluator::add_plain`] for several pairs of equal limbs; the ciphertexts are written
    /// over where that pays.
    ///
    /// # Errors
    /// As [`Evaluator::add_plain`].
    pub fn add_plain_all(
        &self,
        mut ciphertexts: Vec<Ciphertext<B>>,
        plaintexts: &[&Plaintext<B>],
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let Some(limbs) = ciphertexts.first().map(|first| first.limbs) else { return Ok(Vec::new()) };
        for (ciphertext, plaintext) in ciphertexts.iter().zip(plaintexts) {
            self.check_plain(ciphertext, plaintext)?;
            check_scales(ciphertext.scale, plaintext.scale)?;
            check_limbs(limbs, ciphertext.limbs)?;
        }
        let targets = ciphertexts.iter_mut().map(|ciphertext| ciphertext.parts.remove(0)).collect();
        let addends: Vec<_> = plaintexts.iter().map(|plaintext| &plaintext.poly).collect();
        let sums = self.backend.add(&Basis::ordinary(0..limbs), targets, &addends)?;
        ciphertexts.iter_mut().zip(sums).for_each(|(ciphertext, sum)| ciphertext.parts.insert(0, sum));
        Ok(ciphertexts)
    }

    /// `ciphertext` times `plaintext`; the scales multiply.
    ///
    /// # Errors
    /// A mismatch of preset or limbs, naming both.
    pub fn mul_plain(&self, ciphertext: &Ciphertext<B>, plaintext: &Plaintext<B>) -> Result<Ciphertext<B>, CkksError> {
        self.check_plain(ciphertext, plaintext)?;
        let pairs: Vec<_> = ciphertext.parts.iter().map(|part| [[part, &plaintext.poly]]).collect();
        let sums: Vec<_> = pairs.iter().map(|pair| &pair[..]).collect();
        let parts = self.backend.multiply_accumulate(&Basis::ordinary(0..ciphertext.limbs), &sums)?;
        Ok(ciphertext.with_parts(ciphertext.limbs, ciphertext.scale * plaintext.scale, parts))
    }

    /// `left right` as three polynomials; the scales multiply. Relinearise, then rescale.
    ///
    /// # Errors
    /// As [`Evaluator::mul_accumulate`].
    pub fn mul(&self, left: &Ciphertext<B>, right: &Ciphertext<B>) -> Result<Ciphertext<B>, CkksError> {
        self.mul_accumulate(&[(left, right)])
    }

    /// The sum of `left right` over all terms, as three polynomials: one reduction per four
    /// terms and one relinearisation for all of them.
    ///
    /// # Errors
    /// [`CkksError::NoTerms`] for none; [`CkksError::Parts`] for factors that were not
    /// relinearised; a mismatch of preset, limbs or product scale, naming both.
    pub fn mul_accumulate(&self, terms: &[(&Ciphertext<B>, &Ciphertext<B>)]) -> Result<Ciphertext<B>, CkksError> {
        only(self.mul_accumulate_all(&[terms])?)
    }

    /// As [`Evaluator::mul_accumulate`] for every list of terms. Lists that share left factors are
    /// faster together, since memory is read once for all of them.
    ///
    /// # Errors
    /// As [`Evaluator::mul_accumulate`], for any list; all have the same limbs.
    pub fn mul_accumulate_all<'c, T>(&self, sums: &[T]) -> Result<Vec<Ciphertext<B>>, CkksError>
    where
        T: AsRef<[(&'c Ciphertext<B>, &'c Ciphertext<B>)]>,
    {
        let Some(first) = sums.first() else {
            return Ok(Vec::new());
        };
        let (first, _) = *first.as_ref().first().ok_or(CkksError::NoTerms)?;
        let limbs = first.limbs;
        self.products(sums, limbs, |factor| check_limbs(limbs, factor.limbs))
    }

    /// As [`Evaluator::mul_accumulate_all`] of what [`Evaluator::drop_to`] keeps of every factor at `limbs`, without
    /// the copies.
    ///
    /// # Errors
    /// As [`Evaluator::mul_accumulate`], for any list, and as [`Evaluator::drop_to`], for any factor.
    pub fn mul_accumulate_all_at<'c, T>(&self, limbs: usize, sums: &[T]) -> Result<Vec<Ciphertext<B>>, CkksError>
    where
        T: AsRef<[(&'c Ciphertext<B>, &'c Ciphertext<B>)]>,
    {
        self.products(sums, limbs, |factor| factor.check_drop(limbs))
    }

    /// Sums of products at `limbs`, which every factor is checked to have.
    fn products<'c, T>(
        &self,
        sums: &[T],
        limbs: usize,
        check: impl Fn(&Ciphertext<B>) -> Result<(), CkksError>,
    ) -> Result<Vec<Ciphertext<B>>, CkksError>
    where
        T: AsRef<[(&'c Ciphertext<B>, &'c Ciphertext<B>)]>,
    {
        let Some((first, _)) = sums.first().and_then(|terms| terms.as_ref().first()) else {
            return if sums.is_empty() { Ok(Vec::new()) } else { Err(CkksError::NoTerms) };
        };
        let scales = sums.iter().map(|terms| self.product_scale(terms.as_ref(), &check));
        let scales = scales.collect::<Result<Vec<_>, _>>()?;
        let term = |(left, right): &(&'c Ciphertext<B>, &'c Ciphertext<B>)| TensorTerm {
            left: [&left.parts[0], &left.parts[1]],
            right: [&right.parts[0], &right.parts[1]],
        };
        let terms: Vec<Vec<TensorTerm<'_, B>>> =
            sums.iter().map(|terms| terms.as_ref().iter().map(term).collect()).collect();
        let results = self.backend.tensor(&Basis::ordinary(0..limbs), &terms)?;
        let whole = |(parts, scale): ([_; 3], f64)| first.with_parts(limbs, scale, parts.into());
        Ok(results.into_iter().zip(scales).map(whole).collect())
    }

    /// The scale of all products of a sum, whose factors have the limbs that they have to have.
    fn product_scale(
        &self,
        terms: &[(&Ciphertext<B>, &Ciphertext<B>)],
        check: impl Fn(&Ciphertext<B>) -> Result<(), CkksError>,
    ) -> Result<f64, CkksError> {
        let mut scale = None;
        for (left, right) in terms {
            for factor in [left, right] {
                self.check_preset(factor.preset())?;
                Self::check_parts(factor, 2, "a product")?;
                check(factor)?;
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
    pub fn mul_plain_accumulate(&self, terms: &[(&Ciphertext<B>, &Plaintext<B>)]) -> Result<Ciphertext<B>, CkksError> {
        only(self.mul_plain_accumulate_all(&[terms])?)
    }

    /// As [`Evaluator::mul_plain_accumulate`] for every list of terms.
    ///
    /// # Errors
    /// As [`Evaluator::mul_plain_accumulate`], for any list; all have the same limbs.
    pub fn mul_plain_accumulate_all<'c, T>(&self, sums: &[T]) -> Result<Vec<Ciphertext<B>>, CkksError>
    where
        T: AsRef<[(&'c Ciphertext<B>, &'c Plaintext<B>)]>,
    {
        let Some(first) = sums.first() else {
            return Ok(Vec::new());
        };
        let (first, _) = *first.as_ref().first().ok_or(CkksError::NoTerms)?;
        let limbs = first.limbs;
        let (mut scales, mut lists) = (Vec::new(), Vec::new());
        for terms in sums {
            let mut scale = None;
            for (left, right) in terms.as_ref() {
                check_limbs(limbs, left.limbs)?;
                Self::check_parts(left, 2, "a product")?;
                self.check_plain(left, right)?;
                let product = left.scale * right.scale;
                check_scales(*scale.get_or_insert(product), product)?;
            }
            scales.push(scale.ok_or(CkksError::NoTerms)?);
            for part in [0, 1] {
                lists.push(
                    terms.as_ref().iter().map(|(left, right)| [&left.parts[part], &right.poly]).collect::<Vec<_>>(),
                );
            }
        }
        let lists: Vec<_> = lists.iter().map(Vec::as_slice).collect();
        let mut parts = self.backend.multiply_accumulate(&Basis::ordinary(0..limbs), &lists)?.into_iter();
        let whole = |scale| first.with_parts(limbs, scale, parts.by_ref().take(2).collect());
        Ok(scales.into_iter().map(whole).collect())
    }

    fn check_pair(&self, left: &Ciphertext<B>, right: &Ciphertext<B>) -> Result<(), CkksError> {
        self.check_preset(left.preset())?;
        self.check_preset(right.preset())?;
        check_limbs(left.limbs, right.limbs)?;
        check_scales(left.scale, right.scale)
    }

    fn check_plain(&self, left: &Ciphertext<B>, right: &Plaintext<B>) -> Result<(), CkksError> {
        self.check_preset(left.preset())?;
        self.check_preset(right.params.preset)?;
        check_limbs(left.limbs, right.limbs)
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
            expected = evaluator.add(&expected, &evaluator.mul_plain(x, y).unwrap()).unwrap();
        }
        assert!(evaluator.mul_plain_accumulate(&terms).unwrap() == expected);
        assert_eq!(evaluator.mul_plain_accumulate(&[]).err(), Some(CkksError::NoTerms));
    }

    #[test]
    fn a_factor_divides_the_scale_and_nothing_else() {
        let params: &'static Params = Preset::Inf13.params();
        let poly = Poly::<Eval>::zero(params.n, 2);
        let whole = Ciphertext::<crate::backend::Cpu> { params, limbs: 2, scale: 8.0, parts: vec![poly.clone(), poly] };
        let scaled = whole.clone().scaled_by(0.5).unwrap();
        assert!(scaled.scale() == 16.0 && scaled.parts() == whole.parts());
        for (factor, scale) in [(16.0, 0.5), (-1.0, -8.0), (0.0, f64::INFINITY)] {
            assert_eq!(whole.clone().scaled_by(factor).err(), Some(CkksError::Scale { scale }));
        }
    }

    #[test]
    fn nothing_added_changes_nothing_and_has_the_shape_asked_for() {
        let (preset, evaluator) = (Preset::Inf13, Evaluator::new(Preset::Inf13).unwrap());
        let params = preset.params();
        let expander = Expander::new(&[5; 32], "test", preset, &[]);
        let parts = (0..2).map(|index| Poly::uniform(&expander, index, params.n, &params.q[..3])).collect();
        let whole = Ciphertext { params, limbs: 3, scale: 8.0, parts };
        assert!(evaluator.add(&whole, &Ciphertext::zero(preset, 3, 8.0).unwrap()).unwrap() == whole);
        for limbs in [0, 7] {
            let refused = Ciphertext::zero(preset, limbs, 8.0).err();
            assert_eq!(refused, Some(CkksError::Limbs { limbs, max: 6 }));
        }
        assert_eq!(Ciphertext::zero(preset, 3, 0.5).err(), Some(CkksError::Scale { scale: 0.5 }));
    }
}

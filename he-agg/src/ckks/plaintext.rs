//! Plaintexts: an encoded message with its scale and level.

use crate::backend::{Backend, Cpu, Outcome};
use crate::ckks::error::CkksError;
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};

/// An encoded message over the first `limbs` primes of Q, NTT domain.
///
/// It has no `Debug`: it may hold a private image or a decrypted result.
pub struct Plaintext<B: Backend = Cpu> {
    pub(crate) params: &'static Params,
    pub(crate) limbs: usize,
    pub(crate) scale: f64,
    pub(crate) poly: B::Poly<Eval>,
}

impl<B: Backend> Plaintext<B> {
    /// The parameter set.
    pub fn preset(&self) -> Preset {
        self.params.preset
    }

    /// Primes of Q it is represented modulo.
    pub fn limbs(&self) -> usize {
        self.limbs
    }

    /// The factor between coefficients and the message.
    pub fn scale(&self) -> f64 {
        self.scale
    }
}

impl Plaintext {
    /// X^power modulo X^N + 1 at scale 1: what is multiplied with it has its coefficients moved, not its slots.
    /// Negative powers are those of the inverse.
    ///
    /// # Errors
    /// [`CkksError::NotForEvaluation`] for an aggregation preset, [`CkksError::Limbs`].
    pub fn monomial(preset: Preset, power: i64, limbs: usize) -> Result<Self, CkksError> {
        let params = preset.params();
        if params.p.is_empty() {
            return Err(CkksError::NotForEvaluation { preset });
        }
        Self::monomial_over(params, power, limbs)
    }

    pub(crate) fn monomial_over(params: &'static Params, power: i64, limbs: usize) -> Result<Self, CkksError> {
        let max = params.q.len();
        if limbs == 0 || limbs > max {
            return Err(CkksError::Limbs { limbs, max });
        }
        let n = params.n as i64;
        let power = power.rem_euclid(2 * n);
        let mut coefficients = vec![0; params.n];
        coefficients[(power % n) as usize] = if power < n { 1 } else { -1 };
        let basis = &params.q[..limbs];
        Ok(Self { params, limbs, scale: 1.0, poly: Poly::from_signed(&coefficients, basis).into_eval(basis) })
    }

    /// Copies encoded weights to where `backend` computes, in one transfer. They are public there:
    /// an image or a decrypted result must not take this way.
    ///
    /// # Errors
    /// [`BackendError`](crate::backend::BackendError).
    pub fn upload<B: Backend>(plaintexts: &[&Self], backend: &B) -> Outcome<Vec<Plaintext<B>>> {
        let polys: Vec<_> = plaintexts.iter().map(|plaintext| &plaintext.poly).collect();
        let polys = backend.upload(&polys)?.into_iter();
        let one =
            |(poly, from): (_, &&Self)| Plaintext { params: from.params, limbs: from.limbs, scale: from.scale, poly };
        Ok(polys.zip(plaintexts).map(one).collect())
    }
}

impl<B: Backend> Clone for Plaintext<B> {
    fn clone(&self) -> Self {
        Self { params: self.params, limbs: self.limbs, scale: self.scale, poly: self.poly.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Cpu;
    use crate::ckks::{Ciphertext, Evaluator};

    #[test]
    fn a_monomial_moves_coefficients_and_turns_the_sign_of_those_that_come_round() {
        let params: &'static Params = Box::leak(Box::new(Params::toy(Preset::Trn14, 4)));
        let evaluator = Evaluator::on(Cpu::new(params)).unwrap();
        let basis = &params.q[..2];
        let counted: Vec<i64> = (1..=16).collect();
        let poly = Poly::from_signed(&counted, basis).into_eval(basis);
        let whole = Ciphertext { params, limbs: 2, scale: 3.0, parts: vec![poly.clone(), poly] };
        for (power, first, last) in [(0, 1, 16), (1, -16, 15), (-1, 2, -1), (16, -1, -16), (-3, 4, -3), (35, -14, 13)] {
            let plain = Plaintext::monomial_over(params, power, 2).unwrap();
            let moved = evaluator.mul_plain(&whole, &plain).unwrap();
            assert_eq!(moved.scale(), 3.0);
            for part in moved.parts() {
                let part = part.clone().into_coeff(basis);
                let centred = |place: usize| basis[0].modulus().centre(part.limb(0)[place]);
                assert_eq!((centred(0), centred(15)), (first, last), "X^{power}");
            }
        }
        assert_eq!(Plaintext::monomial(Preset::Trn14, 1, 12).err(), Some(CkksError::Limbs { limbs: 12, max: 11 }));
        assert_eq!(Plaintext::monomial(Preset::Trn14, 1, 0).err(), Some(CkksError::Limbs { limbs: 0, max: 11 }));
        let refused = Plaintext::monomial(Preset::Agg14, 1, 1).err();
        assert_eq!(refused, Some(CkksError::NotForEvaluation { preset: Preset::Agg14 }));
    }
}

//! The sigmoid on ciphertexts: seven products in four levels.
//!
//! ```text
//! u: a logit over the range;  v = 2 u² - 1;  T2 = 2 v² - 1;  T4 = 2 T2² - 1
//! sigmoid - 1/2 = u (A + B T4)
//! A = a0 + (a1 - a3) v + T2 (a2 + 2 a3 v),  B = b0 + b1 v + b2 T2
//! ```
//!
//! Doubling costs nothing, it is a factor of the scale; so is b2. Every other factor is multiplied where a level is
//! left over and brings its term to the scale of the others exactly.

use he_agg::backend::Backend;
use he_agg::ckks::{Ciphertext, CkksError, Encoder, EvaluationKeys, Evaluator, Plaintext};

use crate::polynomial::OddPolynomial;

/// Factors of the polynomial.
struct Factors {
    a: [f64; 4],
    b: [f64; 3],
}

impl Factors {
    fn new(sigmoid: &OddPolynomial) -> Self {
        let squares = sigmoid.in_squares();
        let d = |k: usize| squares.get(k).copied().unwrap_or(0.0);
        // T4 T1 = (T5 + T3) / 2 and T4 T2 = (T6 + T2) / 2.
        Self { a: [d(0), d(1), d(2) - d(6), d(3) - d(5)], b: [d(4), 2.0 * d(5), 2.0 * d(6)] }
    }
}

/// Scales of all that is made on the way.
#[derive(Debug, Clone, Copy)]
pub(super) struct SigmoidScales {
    v: f64,
    t2: f64,
    t4: f64,
    /// Of A and the products it is made of.
    a: f64,
    /// Of a2 + 2 a3 v.
    a_factor: f64,
    b: f64,
    /// Of the result.
    pub(super) errors: f64,
}

impl SigmoidScales {
    /// From the scale and primes of u.
    pub(super) fn new(sigmoid: &OddPolynomial, (u, limbs): (f64, usize), prime: impl Fn(usize) -> f64) -> Self {
        let square = |scale: f64, dropped: usize| scale * scale / prime(dropped) / 2.0;
        let v = square(u, limbs - 1);
        let t2 = square(v, limbs - 2);
        let t4 = square(t2, limbs - 3);
        let b = t2 / Factors::new(sigmoid).b[2].abs();
        // u A and (u B) T4 are added.
        let a = b / prime(limbs - 3) * t4;
        let a_factor = a * prime(limbs - 3) / t2;
        Self { v, t2, t4, a, a_factor, b, errors: u * a / prime(limbs - 4) }
    }
}

/// The sigmoid with its factors encoded.
pub(super) struct EncryptedSigmoid<B: Backend> {
    /// -1 beside v, T2 and T4.
    minus_one: [Plaintext<B>; 3],
    /// 2 a3, a1 - a3 and b1, to be multiplied with v.
    of_v: [Plaintext<B>; 3],
    /// a2, a0 and b0, to be added to these products.
    constants: [Plaintext<B>; 3],
    /// The factor b2, absolute, and whether it is below 0.
    last: (f64, bool),
    limbs: usize,
}

impl<B: Backend> EncryptedSigmoid<B> {
    pub(super) fn new(
        sigmoid: &OddPolynomial,
        (scales, limbs): (SigmoidScales, usize),
        encoder: &Encoder,
        evaluator: &Evaluator<B>,
    ) -> Result<Self, CkksError> {
        let Factors { a, b } = Factors::new(sigmoid);
        let params = evaluator.params();
        let every = |value: f64, scale: f64, limbs: usize| encoder.encode(&vec![value; params.slots()], scale, limbs);
        // v at limbs - 1, multiplied, loses one and is to be at the scale wanted.
        let dropped = f64::from(params.q[limbs - 2].modulus().value());
        let of_v = |value: f64, wanted: f64| every(value, wanted * dropped / scales.v, limbs - 1);
        let made = [
            every(-1.0, scales.v, limbs - 1)?,
            every(-1.0, scales.t2, limbs - 2)?,
            every(-1.0, scales.t4, limbs - 3)?,
            of_v(2.0 * a[3], scales.a_factor)?,
            of_v(a[1] - a[3], scales.a)?,
            of_v(b[1], scales.b)?,
            every(a[2], scales.a_factor, limbs - 2)?,
            every(a[0], scales.a, limbs - 2)?,
            every(b[0], scales.b, limbs - 2)?,
        ];
        let mut made = Plaintext::upload(&made.iter().collect::<Vec<_>>(), evaluator.backend())?.into_iter();
        let mut three =
            || <[_; 3]>::try_from(made.by_ref().take(3).collect::<Vec<_>>()).map_err(|_| CkksError::NoTerms);
        Ok(Self { minus_one: three()?, of_v: three()?, constants: three()?, last: (b[2].abs(), b[2] < 0.0), limbs })
    }

    /// sigmoid - 1/2 of every slot, four levels lower.
    pub(super) fn apply(
        &self,
        evaluator: &Evaluator<B>,
        keys: &EvaluationKeys<B>,
        u: &[Ciphertext<B>],
    ) -> Result<Vec<Ciphertext<B>>, CkksError> {
        let limbs = self.limbs;
        let double = |x: &[Ciphertext<B>], minus_one: &Plaintext<B>| {
            let squares = multiplied(evaluator, keys, x, x)?;
            let doubled = squares.into_iter().map(|square| square.scaled_by(2.0)).collect::<Result<Vec<_>, _>>()?;
            evaluator.add_plain_all(doubled, &vec![minus_one; x.len()])
        };
        let v = double(u, &self.minus_one[0])?;
        let t2 = double(&v, &self.minus_one[1])?;
        let t4 = double(&t2, &self.minus_one[2])?;

        let linear = |place: usize| {
            let lists: Vec<_> = v.iter().map(|v| [(v, &self.of_v[place])]).collect();
            let products = evaluator.mul_plain_accumulate_all(&lists)?;
            let scaled = evaluator.rescale_all(&products.iter().collect::<Vec<_>>())?;
            evaluator.add_plain_all(scaled, &vec![&self.constants[place]; v.len()])
        };
        let (high, low, b) = (linear(0)?, lowered(evaluator, &linear(1)?, limbs - 3)?, linear(2)?);
        let a = multiplied(evaluator, keys, &t2, &high)?;
        let a = evaluator.add_all(a, &low.iter().collect::<Vec<_>>())?;

        let last = t2.iter().map(|t2| t2.clone().scaled_by(self.last.0)).collect::<Result<Vec<_>, _>>()?;
        let b = if self.last.1 {
            b.iter().zip(&last).map(|(b, last)| evaluator.sub(b, last)).collect::<Result<Vec<_>, _>>()?
        } else {
            evaluator.add_all(b, &last.iter().collect::<Vec<_>>())?
        };
        let ub = multiplied(evaluator, keys, &lowered(evaluator, u, limbs - 2)?, &b)?;

        let u = lowered(evaluator, u, limbs - 3)?;
        let terms = u.iter().zip(&a).zip(ub.iter().zip(&t4));
        let lists: Vec<_> = terms.map(|((u, a), (ub, t4))| [(u, a), (ub, t4)]).collect();
        let sums = evaluator.mul_accumulate_all(&lists)?;
        evaluator.relinearise_rescale_all(&sums.iter().collect::<Vec<_>>(), keys)
    }
}

/// x y of each pair, one level lower.
fn multiplied<B: Backend>(
    evaluator: &Evaluator<B>,
    keys: &EvaluationKeys<B>,
    left: &[Ciphertext<B>],
    right: &[Ciphertext<B>],
) -> Result<Vec<Ciphertext<B>>, CkksError> {
    let lists: Vec<_> = left.iter().zip(right).map(|pair| [pair]).collect();
    let products = evaluator.mul_accumulate_all(&lists)?;
    evaluator.relinearise_rescale_all(&products.iter().collect::<Vec<_>>(), keys)
}

pub(super) fn lowered<B: Backend>(
    evaluator: &Evaluator<B>,
    ciphertexts: &[Ciphertext<B>],
    limbs: usize,
) -> Result<Vec<Ciphertext<B>>, CkksError> {
    ciphertexts.iter().map(|ciphertext| evaluator.drop_to(ciphertext, limbs)).collect()
}

//! Where residues live and what computes on them.
//!
//! A backend holds polynomials and does exact integer arithmetic on whole batches of them. All
//! backends give the same bits, those of the plain loops of [`crate::simd`]: every result is
//! reduced to `[0, q)`, and the one rounding there is, the overflow count of a base conversion, is
//! in fixed-point integers. `parity` compares them, operation by operation.
//!
//! Polynomials go to a backend and come back through [`Backend::upload`] and [`Backend::download`]
//! only. They are public values: ciphertexts, evaluation keys, encoded weights. Secret keys and
//! private images have no way to a device, because what holds them is never uploaded.

mod basis;
mod composed;
mod cpu;
mod error;
#[cfg(any(test, feature = "parity"))]
pub mod parity;

pub use basis::Basis;
pub use cpu::Cpu;
pub(crate) use cpu::Divider;
pub use error::BackendError;

use crate::ckks::SwitchingKey;
use crate::params::Params;
use crate::ring::{Automorphism, Coeff, Domain, Eval, Poly};

/// What every operation returns.
pub type Outcome<T> = Result<T, BackendError>;

/// One product of two-polynomial ciphertexts.
pub struct TensorTerm<'a, B: Backend> {
    /// c0 and c1 of the left factor.
    pub left: [&'a B::Poly<Eval>; 2],
    /// c0 and c1 of the right factor.
    pub right: [&'a B::Poly<Eval>; 2],
}

impl<B: Backend> Clone for TensorTerm<'_, B> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<B: Backend> Copy for TensorTerm<'_, B> {}

/// One inner product with a key.
pub struct GadgetTerm<'a, B: Backend> {
    /// The digits, each over the extended basis.
    pub digits: &'a [B::Poly<Eval>],
    /// The key; it may serve more limbs and digits.
    pub key: &'a SwitchingKey<B>,
    /// Polynomials over the limbs of Q, added P times.
    pub own: Option<[&'a B::Poly<Eval>; 2]>,
}

/// One division by the dropped primes of a basis, and what happens to the quotient on its way out.
pub struct Division<'a, B: Backend> {
    /// The dividend.
    pub x: &'a B::Poly<Eval>,
    /// Added to the quotient; it may have further limbs.
    pub addend: Option<&'a B::Poly<Eval>>,
    /// Applied to the sum.
    pub automorphism: Option<&'a Automorphism>,
}

/// The second half of a division: (x - remainder) times a constant per limb.
pub struct Quotient<'a, B: Backend> {
    /// The division.
    pub division: Division<'a, B>,
    /// The dividend modulo the dropped primes, centred, over the limbs that stay.
    pub remainder: &'a B::Poly<Eval>,
}

/// What a key switch multiplies the key with.
pub enum Digits<'a, B: Backend> {
    /// A polynomial that has not been lifted.
    Of(&'a B::Poly<Eval>),
    /// The digits of one that has, by [`Backend::lift`].
    Lifted(&'a [B::Poly<Eval>]),
}

/// One key switch with the division that ends it.
pub struct KeySwitch<'a, B: Backend> {
    /// The polynomial under the old secret.
    pub digits: Digits<'a, B>,
    /// From the old secret to the new one.
    pub key: &'a SwitchingKey<B>,
    /// Over the same limbs, divided together with the result.
    pub own: Option<[&'a B::Poly<Eval>; 2]>,
    /// Added after the division.
    pub addends: [Option<&'a B::Poly<Eval>>; 2],
    /// Applied at the end.
    pub automorphism: Option<&'a Automorphism>,
}

/// Where polynomials live, and the operations on batches of them.
///
/// A basis names the primes of the operands' rows. Operands over further rows at the end are
/// fine wherever they are only read: rows beyond the basis are ignored. A batch may be empty. That
/// shapes fit is the caller's promise, kept by [`crate::ckks::Evaluator`]; a mismatch asserts.
pub trait Backend: Clone + Send + Sync + Sized + 'static {
    /// A polynomial that lives here, over some basis.
    type Poly<D: Domain>: Clone + Send + Sync;

    /// The parameters, whose primes and degree all polynomials here share.
    fn params(&self) -> &'static Params;

    /// Copies polynomials to where this backend computes.
    ///
    /// # Errors
    /// [`BackendError`], here and everywhere.
    fn upload<D: Domain>(&self, polys: &[&Poly<D>]) -> Outcome<Vec<Self::Poly<D>>>;

    /// Copies polynomials back. Errors of earlier operations on them may show only here.
    ///
    /// # Errors
    /// [`BackendError`].
    fn download<D: Domain>(&self, polys: &[&Self::Poly<D>]) -> Outcome<Vec<Poly<D>>>;

    /// Keeps the first `limbs` rows.
    fn truncate<D: Domain>(&self, poly: &mut Self::Poly<D>, limbs: usize);

    /// A copy of the first `limbs` rows.
    fn prefix<D: Domain>(&self, poly: &Self::Poly<D>, limbs: usize) -> Self::Poly<D> {
        let mut copy = poly.clone();
        self.truncate(&mut copy, limbs);
        copy
    }

    /// Coefficients to evaluations.
    ///
    /// # Errors
    /// [`BackendError`].
    fn forward(&self, basis: &Basis, polys: Vec<Self::Poly<Coeff>>) -> Outcome<Vec<Self::Poly<Eval>>>;

    /// Evaluations to coefficients of the rows `rows` of polynomials over `basis`, each times its
    /// row's canonical factor.
    ///
    /// # Errors
    /// [`BackendError`].
    fn inverse(
        &self,
        basis: &Basis,
        rows: &Basis,
        factors: &[u32],
        polys: &[&Self::Poly<Eval>],
    ) -> Outcome<Vec<Self::Poly<Coeff>>>;

    /// Base conversion: of polynomials over `basis`, already multiplied by the factors of the
    /// conversion from `from`, the rows `from` as centred integers modulo the primes of `to`.
    ///
    /// # Errors
    /// [`BackendError`].
    fn convert(
        &self,
        basis: &Basis,
        from: &Basis,
        to: &Basis,
        scaled: &[&Self::Poly<Coeff>],
    ) -> Outcome<Vec<Self::Poly<Coeff>>>;

    /// The sum of each list, none of them empty.
    ///
    /// # Errors
    /// [`BackendError`].
    fn sum<D: Domain>(&self, basis: &Basis, lists: &[&[&Self::Poly<D>]]) -> Outcome<Vec<Self::Poly<D>>>;

    /// left + right of each pair; what is no longer needed is written over where that pays.
    ///
    /// # Errors
    /// [`BackendError`].
    fn add<D: Domain>(
        &self,
        basis: &Basis,
        left: Vec<Self::Poly<D>>,
        right: &[&Self::Poly<D>],
    ) -> Outcome<Vec<Self::Poly<D>>> {
        composed::add(self, basis, &left, right)
    }

    /// left - right of each pair.
    ///
    /// # Errors
    /// [`BackendError`].
    fn subtract<D: Domain>(&self, basis: &Basis, pairs: &[[&Self::Poly<D>; 2]]) -> Outcome<Vec<Self::Poly<D>>>;

    /// The sum of x y over each list of pairs, none of them empty.
    ///
    /// # Errors
    /// [`BackendError`].
    fn multiply_accumulate(&self, basis: &Basis, sums: &[&[[&Self::Poly<Eval>; 2]]]) -> Outcome<Vec<Self::Poly<Eval>>>;

    /// (sum x0 y0, sum x0 y1 + x1 y0, sum x1 y1) of each list of terms, none of them empty.
    ///
    /// # Errors
    /// [`BackendError`].
    fn tensor(&self, basis: &Basis, sums: &[Vec<TensorTerm<'_, Self>>]) -> Outcome<Vec<[Self::Poly<Eval>; 3]>>;

    /// f(X^k) of each polynomial and automorphism X -> X^k.
    ///
    /// # Errors
    /// [`BackendError`].
    fn automorphism(
        &self,
        basis: &Basis,
        items: &[(&Self::Poly<Eval>, &Automorphism)],
    ) -> Outcome<Vec<Self::Poly<Eval>>>;

    /// For every item the automorphism of (x - remainder) f + addend over the first `keep` primes
    /// of Q, where x is over `basis` and f the row's factor.
    ///
    /// # Errors
    /// [`BackendError`].
    fn quotient(
        &self,
        basis: &Basis,
        keep: usize,
        factors: &[u32],
        items: &[Quotient<'_, Self>],
    ) -> Outcome<Vec<Self::Poly<Eval>>>;

    /// (sum_j d_j b_j + P own0, sum_j d_j a_j + P own1) over the extended basis of `limbs` limbs,
    /// for the digits d_j and the key's pairs (b_j, a_j).
    ///
    /// # Errors
    /// [`BackendError`].
    fn gadget_product(&self, limbs: usize, items: &[GadgetTerm<'_, Self>]) -> Outcome<Vec<[Self::Poly<Eval>; 2]>>;

    /// ModUp: the centred digits of every polynomial of `limbs` limbs over the extended basis.
    ///
    /// # Errors
    /// [`BackendError`].
    fn lift(&self, limbs: usize, polys: &[&Self::Poly<Eval>]) -> Outcome<Vec<Vec<Self::Poly<Eval>>>> {
        composed::lift(self, limbs, polys)
    }

    /// ModDown, rescaling, or both at once: every polynomial over `basis` divided by all its
    /// primes but the first `keep` of Q, rounded.
    ///
    /// # Errors
    /// [`BackendError`].
    fn divide(&self, basis: &Basis, keep: usize, items: Vec<Division<'_, Self>>) -> Outcome<Vec<Self::Poly<Eval>>> {
        composed::divide(self, basis, keep, items)
    }

    /// Key switches of polynomials of `limbs` limbs, each ending in a division that leaves `keep`.
    ///
    /// # Errors
    /// [`BackendError`].
    fn key_switch(
        &self,
        limbs: usize,
        keep: usize,
        items: &[KeySwitch<'_, Self>],
    ) -> Outcome<Vec<[Self::Poly<Eval>; 2]>> {
        composed::key_switch(self, limbs, keep, items)
    }
}

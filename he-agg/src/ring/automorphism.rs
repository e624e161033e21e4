//! The automorphisms `X -> X^k` for odd `k`, in both domains.

use super::Limb;
use super::ntt::NttTable;
use super::poly::{Coeff, Eval, Poly};

/// `X -> X^k` at one degree, with its evaluation-domain permutation.
///
/// Build it once per rotation: the table costs N words.
#[derive(Debug)]
pub struct Automorphism {
    n: usize,
    k: usize,
    /// `out[i] = in[source[i]]` in the evaluation domain.
    source: Vec<u32>,
}

impl Automorphism {
    /// `X -> X^k` modulo `X^n + 1`; `k` is odd and taken modulo `2n`.
    pub fn new(n: usize, k: usize) -> Self {
        assert!(k % 2 == 1, "only odd powers are automorphisms");
        let k = k % (2 * n);
        // f(X^k) at psi^e is f at psi^(e k).
        let source = (0..n).map(|i| NttTable::position(n, NttTable::exponent(n, i) * k) as u32).collect();
        Automorphism { n, k, source }
    }

    /// The rotation of CKKS slots by `steps` to the left: `k = 5^steps`.
    pub fn rotation(n: usize, steps: i32) -> Self {
        let order = n as i64 / 2;
        let steps = i64::from(steps).rem_euclid(order);
        let k = (0..steps).fold(1usize, |k, _| k * 5 % (2 * n));
        Automorphism::new(n, k)
    }

    /// The exponent `k`.
    pub fn exponent(&self) -> usize {
        self.k
    }

    /// Applies the permutation to one limb in the evaluation domain.
    pub fn permute(&self, from: &[u32], to: &mut [u32]) {
        assert!(from.len() == self.n && to.len() == self.n, "degrees differ");
        for (to, &source) in to.iter_mut().zip(&self.source) {
            *to = from[source as usize];
        }
    }

    /// `f(X^k)` in the evaluation domain.
    pub fn apply_eval(&self, f: &Poly<Eval>) -> Poly<Eval> {
        let mut out = Poly::unset(f.n(), f.limbs());
        for i in 0..f.limbs() {
            self.permute(f.limb(i), out.limb_mut(i));
        }
        out
    }

    /// `f(X^k)` in the coefficient domain.
    pub fn apply_coeff(&self, f: &Poly<Coeff>, basis: &[Limb]) -> Poly<Coeff> {
        assert!(f.n() == self.n && f.limbs() == basis.len(), "polynomial and basis differ");
        let mut out = Poly::zero(f.n(), f.limbs());
        for (l, limb) in basis.iter().enumerate() {
            let to = out.limb_mut(l);
            for (i, &x) in f.limb(l).iter().enumerate() {
                let j = i * self.k % (2 * self.n);
                if j < self.n {
                    to[j] = x;
                } else {
                    to[j - self.n] = limb.modulus().neg(x);
                }
            }
        }
        out
    }

    /// `f(X^k)` for integer coefficients, for instance a secret before reduction.
    pub fn apply_integers(&self, f: &[i64]) -> zeroize::Zeroizing<Vec<i64>> {
        assert!(f.len() == self.n, "degrees differ");
        let mut out = zeroize::Zeroizing::new(vec![0; self.n]);
        for (i, &x) in f.iter().enumerate() {
            let j = i * self.k % (2 * self.n);
            out[j % self.n] = if j < self.n { x } else { -x };
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::{Params, Preset};
    use crate::stream::Expander;

    #[test]
    fn both_domains_agree_for_every_odd_power() {
        for log_n in [4, 8, 9] {
            let params = Params::toy(Preset::Inf13, log_n);
            let e = Expander::new(&[5; 32], "test", params.preset, &[]);
            let f = Poly::<Coeff>::uniform(&e, 0, params.n, &params.q);
            for k in (1..2 * params.n).step_by(if log_n == 4 { 2 } else { 62 }) {
                let phi = Automorphism::new(params.n, k);
                let coeff = phi.apply_coeff(&f, &params.q).into_eval(&params.q);
                let eval = phi.apply_eval(&f.clone().into_eval(&params.q));
                assert!(coeff == eval, "k = {k}");
            }
        }
    }

    #[test]
    fn integer_coefficients_follow_the_same_rule() {
        let params = Params::toy(Preset::Inf13, 8);
        let f: Vec<i64> = (0..256).map(|i| i * i - 300).collect();
        let phi = Automorphism::rotation(256, -3);
        let direct = Poly::from_signed(&phi.apply_integers(&f), &params.q);
        let reduced = phi.apply_coeff(&Poly::from_signed(&f, &params.q), &params.q);
        assert!(direct == reduced);
    }
}

//! Two sets of decryptors for one chunk: the attack of ePrint 2025/409 and
//! 2026/031, and the two walls against it.
//!
//! Without masks, shares `h1 = a lambda1 D + z1` and `h2 = a lambda2 D + z2`
//! give `z1 - k z2 = h1 - k h2 mod Q` with the public `k = lambda1/lambda2`.
//! Flooding is far below `sqrt Q`, so the closest point of a lattice of
//! dimension two is the pair of noises, and with them the share: no flooding
//! of any practical size helps. The lattice always holds the vector that
//! spells `k` as a fraction; with many hospitals and nearly disjoint sets it
//! is longer than the noise, and then the noise is found exactly.

use super::anatomy::{centred, common, lagrange, modulus, residues, rms};
use super::*;
use crate::ring::{Coeff, Eval, Poly};
use num_bigint::{BigInt, Sign};

const PARTIES: u16 = 64;
const THRESHOLD: u16 = 33;
/// In both sets, and the first of neither.
const VICTIM: u16 = 33;

/// `a / b` to the nearest integer.
fn nearest(a: &BigInt, b: &BigInt) -> BigInt {
    let (a, b) = if b.sign() == Sign::Minus { (-a, -b) } else { (a.clone(), b.clone()) };
    // floor((2a + b) / 2b), while division of big integers truncates.
    let numerator: BigInt = a * 2 + &b;
    let denominator: BigInt = b * 2;
    let quotient = &numerator / &denominator;
    if numerator.sign() == Sign::Minus && &quotient * &denominator != numerator { quotient - 1 } else { quotient }
}

type Vector = [BigInt; 2];

fn dot(x: &Vector, y: &Vector) -> BigInt {
    &x[0] * &y[0] + &x[1] * &y[1]
}

/// `x - f y`.
fn less(x: &Vector, f: &BigInt, y: &Vector) -> Vector {
    [&x[0] - f * &y[0], &x[1] - f * &y[1]]
}

/// Lagrange's reduction: the two shortest independent vectors.
fn reduce(mut x: Vector, mut y: Vector) -> [Vector; 2] {
    loop {
        if dot(&x, &x) > dot(&y, &y) {
            std::mem::swap(&mut x, &mut y);
        }
        let f = nearest(&dot(&x, &y), &dot(&x, &x));
        if f == BigInt::ZERO {
            return [x, y];
        }
        y = less(&y, &f, &x);
    }
}

/// The short `(z1, z2)` with `z1 - k z2 = c mod Q`, coefficient by coefficient.
fn noises(k: &BigInt, difference: &[BigInt], whole: &BigInt) -> Vec<Vector> {
    let [x, y] = reduce([whole.clone(), BigInt::ZERO], [k.clone(), BigInt::from(1)]);
    let determinant = &x[0] * &y[1] - &x[1] * &y[0];
    difference
        .iter()
        .map(|c| {
            // Babai's rounding of (c, 0) in the reduced basis.
            let first = nearest(&(c * &y[1]), &determinant);
            let second = nearest(&(-c * &x[1]), &determinant);
            less(&less(&[c.clone(), BigInt::ZERO], &first, &x), &second, &y)
        })
        .collect()
}

/// What the attacker makes of two shares: the noise of the first, and D.
fn attack(id: &ChunkId, params: &Params, h: [&Poly<Coeff>; 2], sets: [&[u16]; 2]) -> (Vec<BigInt>, Poly<Eval>) {
    let lambda = sets.map(|set| lagrange(params, set, VICTIM));
    let ratio: Vec<u32> = (0..params.q.len())
        .map(|l| {
            let m = params.q[l].modulus();
            m.mul(lambda[0][l], m.inv(lambda[1][l]))
        })
        .collect();
    let mut difference = h[1].clone();
    difference.mul_scalars(&ratio, &params.q);
    difference.neg_assign(&params.q);
    difference.add_assign(h[0], &params.q);
    let mut constant = Poly::zero(params.n, params.q.len());
    constant.residues_mut().chunks_exact_mut(params.n).zip(&ratio).for_each(|(limb, &k)| limb[0] = k);
    let k = centred(&constant, params).swap_remove(0);
    let found: Vec<BigInt> =
        noises(&k, &centred(&difference, params), &modulus(params)).into_iter().map(|[z1, _]| z1).collect();
    // D = (h1 - z1) / (a lambda1), point by point in the transform.
    let mut share = h[0].clone();
    share.sub_assign(&residues(&found, params), &params.q);
    let mut share = share.into_eval(&params.q);
    let a = common(id, params);
    for (l, limb) in params.q.iter().enumerate() {
        let m = limb.modulus();
        for (x, &a) in share.limb_mut(l).iter_mut().zip(a.limb(l)) {
            *x = m.mul(*x, m.inv(m.mul(a, lambda[0][l])));
        }
    }
    (found, share)
}

#[test]
fn shares_for_two_sets_give_the_key_share_away_unless_one_honest_mask_is_left() {
    let params: &'static Params = &TINY13;
    let mut epoch = Epoch::new(params, PARTIES, THRESHOLD, 4, Values::Random);
    let everyone: Vec<u16> = (1..=PARTIES).collect();
    let sets: [Vec<u16>; 2] = [(1..=THRESHOLD).collect(), (PARTIES - THRESHOLD + 1..=PARTIES).collect()];
    let id = epoch.id(0);
    let contexts = sets.each_ref().map(|set| epoch.context(id, &everyone, set));

    // The first wall: a ledger that remembers refuses the second set.
    let first = epoch.share(VICTIM, &contexts[0]).to_bytes();
    let refused = epoch.hospitals[usize::from(VICTIM) - 1].ledger.permit_share(&contexts[1]);
    let key = id.ledger_key(Use::Share);
    assert!(matches!(refused, Err(PermitError::Conflict { key: found }) if found == key));

    // Suppose it forgot. With all masks known the share falls, at full flooding.
    epoch.forget(VICTIM);
    let bytes = [first, epoch.share(VICTIM, &contexts[1]).to_bytes()];
    let secret = epoch.joint_point(VICTIM, &everyone);
    let run = |known: &[&[u16]; 2]| {
        let h = [0, 1].map(|i| epoch.stripped(&contexts[i], VICTIM, &bytes[i], known[i]));
        attack(&id, params, [&h[0], &h[1]], [&sets[0], &sets[1]])
    };
    let (noise, found) = run(&[&sets[0], &sets[1]]);
    assert_eq!(noise, epoch.flooding_in(&contexts[0], VICTIM, &bytes[0]));
    let deviation = f64::from(epoch.layout.flooding_bits()).exp2();
    assert!(rms(&noise) > 0.7 * deviation && rms(&noise) < 1.3 * deviation);
    assert!(found == secret, "the attack must succeed where nothing but flooding protects");

    // The second wall: one peer of each set that keeps its mask key to itself,
    // here the same peer in both; then nothing is found, and no noise is short.
    let peer = VICTIM - 1;
    let but_one = sets.each_ref().map(|set| set.iter().copied().filter(|&k| k != peer).collect::<Vec<_>>());
    let bound = BigInt::from(6) << epoch.layout.flooding_bits();
    for known in [[&but_one[0][..], &but_one[1]], [&[], &[]]] {
        let (noise, found) = run(&known);
        let agreements = found.residues().iter().zip(secret.residues()).filter(|(x, y)| x == y).count();
        // By chance 448 residues agree in 4e-7 places.
        assert_eq!(agreements, 0);
        assert!(noise.iter().all(|z| z.magnitude() > bound.magnitude()));
    }
}

//! Honest dealings fit, one wrong residue anywhere does not, and what is shown hides what it is made of.

use super::*;
use crate::aggregation::{AggregationSecret, Flooding, LaneLayout};
use crate::multiparty::{Crs, ServingSecret};
use crate::params::Preset;
use crate::wire::HEADER_BYTES;
use std::sync::LazyLock;

/// Small rings: every formula holds, nothing is secure.
static TRAINING: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Agg13, 6));
static SERVING: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Inf15x90, 6));
static HEAD: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Trn14, 6));

const EPOCH: [u8; 32] = [0xe9; 32];
const PARTIES: u16 = 5;
const THRESHOLD: u16 = 3;

/// What hospital 1 deals to each of five.
struct Dealt {
    check: DealingCheck,
    layout: LaneLayout,
    crs: [Crs; 2],
    training: Vec<KeyShare>,
    /// Of the serving secret, then of the one that a head is trained under.
    collective: [Vec<ServingKeyShare>; 2],
    blinding: Vec<BlindingPoint>,
}

impl Dealt {
    fn new() -> Self {
        let flooding = Flooding::secure(40, 1 << 10).unwrap();
        let layout = LaneLayout::new(&TRAINING, PARTIES, THRESHOLD, 16, flooding).unwrap();
        let params: [&'static Params; 2] = [&SERVING, &HEAD];
        let crs = params.map(|params| Crs::over(params, EPOCH));
        let mut stream = Stream::from_seed([7; 32]);
        let secrets = params.map(|params| ServingSecret::over(params, 1, &mut stream).unwrap());
        let mut points = |of: usize| secrets[of].share_points(&crs[of], THRESHOLD, PARTIES, &mut stream).unwrap();
        let collective = [points(0), points(1)];
        let check = DealingCheck::new(&TRAINING, &SERVING).with_training(&HEAD);
        Self {
            check,
            training: AggregationSecret::from_seed(&TRAINING, EPOCH, [3; 32]).deal(&layout, 1).unwrap(),
            collective,
            blinding: check.deal_blinding(THRESHOLD, PARTIES, &mut stream),
            layout,
            crs,
        }
    }

    /// What all receivers show, for one seed.
    fn shown(&self, seed: u8) -> Vec<Vec<u32>> {
        let factors = self.check.factors(&[seed; 32]);
        let [serving, head] = &self.collective;
        let of = |at: usize| factors.combine(&self.training[at], &[&serving[at], &head[at]], &self.blinding[at]);
        (0..usize::from(PARTIES)).map(of).collect()
    }

    /// Changes one residue of what `receiver` got of the training secret.
    fn alters_training(&mut self, receiver: usize, byte: usize) {
        let mut bytes = self.training[receiver].expose_bytes();
        bytes[HEADER_BYTES + byte] ^= 1;
        self.training[receiver] = KeyShare::from_bytes(&bytes, &self.layout, &EPOCH).unwrap();
    }

    fn alters_collective(&mut self, of: usize, receiver: usize, byte: usize) {
        let mut bytes = self.collective[of][receiver].to_bytes();
        bytes[HEADER_BYTES + byte] ^= 1;
        self.collective[of][receiver] = ServingKeyShare::from_bytes(&bytes, &self.crs[of]).unwrap();
    }
}

/// Primes of one repetition.
fn of_each() -> usize {
    TRAINING.q.len() + SERVING.base_limbs + HEAD.base_limbs
}

/// Which collective secret has a prime, and which of that one's it is; `None` of the aggregation secret.
fn collective(limb: usize) -> Option<(usize, usize)> {
    let limb = limb.checked_sub(TRAINING.q.len())?;
    Some(limb.checked_sub(SERVING.base_limbs).map_or((0, limb), |limb| (1, limb)))
}

/// The value at `at` of the polynomial through these points, by Lagrange's formula in wide integers.
fn interpolated(points: &[(i128, i128)], at: i128, modulus: i128) -> i128 {
    let power = |mut base: i128, mut exponent: i128| {
        let mut result = 1;
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result * base % modulus;
            }
            base = base * base % modulus;
            exponent >>= 1;
        }
        result
    };
    let term = |(x, y): &(i128, i128)| {
        points.iter().filter(|(other, _)| other != x).fold(*y, |product, (other, _)| {
            let inverse = power((x - other).rem_euclid(modulus), modulus - 2);
            product * (at - other).rem_euclid(modulus) % modulus * inverse % modulus
        })
    };
    points.iter().map(term).sum::<i128>().rem_euclid(modulus)
}

/// Which of the numbers shown lie on polynomials of a degree below `threshold`.
fn fit(shown: &[Vec<u32>], moduli: &[u32], threshold: u16) -> Vec<bool> {
    let of = |(at, modulus): (usize, &u32)| {
        let points: Vec<(i128, i128)> = (1..).zip(shown).map(|(x, values)| (x, i128::from(values[at]))).collect();
        let (first, rest) = points.split_at(usize::from(threshold));
        rest.iter().all(|(x, y)| interpolated(first, *x, i128::from(*modulus)) == *y)
    };
    moduli.iter().enumerate().map(of).collect()
}

#[test]
fn honest_dealings_fit_and_by_no_smaller_degree() {
    let dealt = Dealt::new();
    let moduli = dealt.check.moduli();
    assert_eq!(moduli.len(), REPETITIONS * of_each());
    let shown = dealt.shown(1);
    assert!(fit(&shown, &moduli, THRESHOLD).into_iter().all(|fits| fits));
    assert!(!fit(&shown, &moduli, THRESHOLD - 1).into_iter().any(|fits| fits));
    assert!(shown.iter().flatten().zip(moduli.iter().cycle()).all(|(value, modulus)| value < modulus));
}

/// A single residue that is off by one, of any secret, is seen in both repetitions of its prime and in no other.
#[test]
fn one_wrong_residue_of_any_secret_is_seen() {
    let (of_each, of_head) = (of_each(), TRAINING.q.len() + SERVING.base_limbs);
    let ends = [(0, 0), (4, TRAINING.q.len() - 1), (2, TRAINING.q.len()), (3, of_head - 1), (1, of_head)];
    for (receiver, limb) in ends.into_iter().chain([(3, of_each - 1)]) {
        let mut dealt = Dealt::new();
        let bytes_of_limb = TRAINING.n * 30 / 8;
        match collective(limb) {
            None => dealt.alters_training(receiver, limb * bytes_of_limb),
            Some((of, limb)) => dealt.alters_collective(of, receiver, limb * bytes_of_limb),
        }
        let found = fit(&dealt.shown(1), &dealt.check.moduli(), THRESHOLD);
        let expected: Vec<bool> = (0..REPETITIONS * of_each).map(|at| at % of_each != limb).collect();
        assert_eq!(found, expected, "receiver {receiver}, limb {limb}");
    }
}

/// The twin: nobody looks. Quorums with the receiver of the wrong point get another secret, the others the right one.
#[test]
fn without_the_check_a_quorum_with_that_receiver_opens_noise() {
    let mut dealt = Dealt::new();
    let limb = &TRAINING.q[0];
    let modulus = i128::from(limb.modulus().value());
    let secret = |shares: &[KeyShare], quorum: [usize; 3]| -> Vec<i128> {
        let at = |place: usize| {
            let of = |of: usize| (of as i128 + 1, i128::from(shares[of].eval().limb(0)[place]));
            interpolated(&quorum.map(of), 0, modulus)
        };
        (0..TRAINING.n).map(at).collect()
    };
    let honest = secret(&dealt.training, [0, 1, 2]);
    dealt.alters_training(2, 0);
    assert_ne!(secret(&dealt.training, [0, 1, 2]), honest);
    assert_eq!(secret(&dealt.training, [0, 1, 3]), honest);
    assert_eq!(secret(&dealt.training, [1, 3, 4]), honest);
}

/// What is shown is the combination plus the blinding, and another blinding of the same dealing shows other numbers.
#[test]
fn what_is_shown_is_hidden_by_the_blinding() {
    let mut dealt = Dealt::new();
    let (shown, moduli) = (dealt.shown(1), dealt.check.moduli());
    let blinding: Vec<Vec<u32>> = dealt.blinding.iter().map(|point| point.expose().to_vec()).collect();
    let none = || BlindingPoint::from_values(Zeroizing::new(vec![0; moduli.len()]), dealt.check).unwrap();
    dealt.blinding = (0..PARTIES).map(|_| none()).collect();
    let bare = dealt.shown(1);
    for ((shown, bare), blinding) in shown.iter().zip(&bare).zip(&blinding) {
        for (at, modulus) in moduli.iter().enumerate() {
            assert_ne!(shown[at], bare[at]);
            let sum = u64::from(bare[at]) + u64::from(blinding[at]);
            assert_eq!(u64::from(shown[at]), sum % u64::from(*modulus));
        }
    }
    let mut stream = Stream::from_seed([8; 32]);
    dealt.blinding = dealt.check.deal_blinding(THRESHOLD, PARTIES, &mut stream);
    let other = dealt.shown(1);
    assert!(shown.iter().flatten().zip(other.iter().flatten()).all(|(one, other)| one != other));
    // Of repetitions and seeds every one has factors of its own.
    dealt.blinding = (0..PARTIES).map(|_| none()).collect();
    let half = moduli.len() / REPETITIONS;
    assert!((0..half).all(|at| bare[0][at] != bare[0][at + half]));
    assert!(dealt.shown(2)[0].iter().zip(&bare[0]).all(|(one, other)| one != other));
}

/// The sum that is shown, from the definition.
#[test]
fn combinations_are_sums_of_products() {
    let dealt = Dealt::new();
    let factors = dealt.check.factors(&[1; 32]);
    let shown =
        factors.combine(&dealt.training[1], &dealt.collective.each_ref().map(|points| &points[1]), &dealt.blinding[1]);
    let of_each = of_each();
    for (at, modulus) in dealt.check.moduli().into_iter().enumerate() {
        let limb = at % of_each;
        let point = match collective(limb) {
            None => dealt.training[1].eval().limb(limb),
            Some((of, limb)) => dealt.collective[of][1].point().limb(limb),
        };
        let products = point.iter().zip(&factors.rho[at]).map(|(a, b)| u128::from(*a) * u128::from(*b));
        let sum = products.sum::<u128>() + u128::from(dealt.blinding[1].expose()[at]);
        assert_eq!(u128::from(shown[at]), sum % u128::from(modulus), "number {at}");
    }
}

#[test]
fn blindings_of_another_shape_are_refused() {
    let check = DealingCheck::new(&TRAINING, &SERVING);
    assert_eq!(check.moduli().len(), REPETITIONS * (TRAINING.q.len() + SERVING.base_limbs));
    let check = check.with_training(&HEAD);
    let moduli = check.moduli();
    let read = |values: Vec<u32>| BlindingPoint::from_values(Zeroizing::new(values), check).map(drop);
    assert_eq!(read(moduli.iter().map(|modulus| modulus - 1).collect()), Ok(()));
    for length in [0, moduli.len() - 1, moduli.len() + 1] {
        assert!(matches!(read(vec![0; length]), Err(DecodeError::Length { .. })));
    }
    for at in 0..moduli.len() {
        let mut values = vec![0; moduli.len()];
        values[at] = moduli[at];
        assert!(matches!(read(values), Err(DecodeError::Residue { limb, .. }) if limb == at));
    }
}

//! What whoever adds the first round of the relinearisation key could read off the second, if it were believed.
//!
//! The second message is s_i h0 + (u_i - s_i) h1 + e2_i (Mouchet et al., ePrint 2020/304, protocol 2): linear in the
//! secret, with the sums as factors. This crate computes it on any sums; the caller has to have added them itself.

use crate::ckks::{digit_count, extended_basis};
use crate::multiparty::ideal::toy;
use crate::multiparty::key_material::{KeyLabel, KeyMaterial};
use crate::multiparty::{Crs, R1, R2, RelinIntermediate, RelinKeyShare, RelinKeySum, ServingSecret};
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};
use crate::stream::Stream;
use crate::wire::Kind;

const LIMBS: usize = 2;
/// Above an error, so that rounding takes that away.
const FACTOR: u32 = 1 << 15;

/// h0 = 2^15 and h1 = 0 in every digit.
fn chosen(params: &'static Params, crs: &Crs) -> RelinIntermediate {
    let basis = extended_basis(params, LIMBS);
    // A constant has one value at all points.
    let mut factor = Poly::<Eval>::zero(params.n, basis.len());
    factor.par_limbs(&basis, |_, _, x| x.fill(FACTOR));
    let digits = digit_count(params, LIMBS);
    let parts = (0..digits).flat_map(|_| [factor.clone(), Poly::zero(params.n, basis.len())]).collect();
    let label = KeyLabel { kind: Kind::RelinearizationOne, steps: 0, limbs: LIMBS, polynomials: 2 * digits };
    let bytes = KeyMaterial { params, epoch: crs.epoch(), label, sender: 0, parts }.to_bytes();
    RelinIntermediate::from_bytes(&bytes, crs).unwrap()
}

/// The first digit of a second message, divided by the factor.
fn read(params: &'static Params, crs: &Crs, share: &RelinKeyShare<R2>) -> Vec<i64> {
    let polynomials = |limbs| digit_count(params, limbs);
    let material = KeyMaterial::from_bytes(&share.to_bytes(), crs, Kind::RelinearizationTwo, polynomials).unwrap();
    coefficients(params, &material.parts[0]).iter().map(|x| (*x as f64 / f64::from(FACTOR)).round() as i64).collect()
}

/// Centred, modulo the first special prime.
fn coefficients(params: &'static Params, poly: &Poly<Eval>) -> Vec<i64> {
    let prime = &extended_basis(params, LIMBS)[0];
    let mut coefficients = poly.limb(0).to_vec();
    prime.inverse(&mut coefficients);
    coefficients.iter().map(|x| prime.modulus().centre(*x)).collect()
}

#[test]
fn a_second_message_on_a_chosen_sum_is_the_secret_and_on_the_true_one_it_is_not() {
    let params = toy(Preset::Inf13, 8);
    let crs = Crs::over(params, [7; 32]);
    let mut stream = Stream::from_seed([3; 32]);
    let secrets = [1, 2].map(|party| ServingSecret::over(params, party, &mut stream).unwrap());
    let mut sum = RelinKeySum::<R1>::new(&crs, LIMBS, 2).unwrap();
    let [first, second] = secrets.each_ref().map(|secret| {
        let (share, mask) = RelinKeyShare::<R1>::generate(secret, &crs, LIMBS, &mut stream).unwrap();
        sum.absorb(&share).unwrap();
        mask
    });
    let expected = coefficients(params, secrets[0].poly());
    assert!(expected.iter().all(|x| x.abs() <= 1) && expected.iter().any(|x| *x != 0));

    let share = RelinKeyShare::<R2>::generate(&secrets[0], first, &chosen(params, &crs), &mut stream).unwrap();
    assert_eq!(read(params, &crs, &share), expected, "all of it, from one message");

    let (expected, honest) = (coefficients(params, secrets[1].poly()), sum.finish().unwrap());
    let share = RelinKeyShare::<R2>::generate(&secrets[1], second, &honest, &mut stream).unwrap();
    let alike = read(params, &crs, &share).iter().zip(&expected).filter(|(found, secret)| found == secret).count();
    // 256 residues of 2^30: one of them is as short as a secret's in 2^-15 of cases.
    assert!(alike <= 2, "{alike}");
}

//! What refreshes withstand, and what they do not.

use super::gates::integers;
use super::refreshes::{Training, ledger};
use crate::aggregation::MaskKey;
use crate::ckks::Ciphertext;
use crate::multiparty::{CeremonyError, GateHolderError, OpeningPermit, RefreshContext, RefreshShare, RefreshSum};
use crate::ring::Poly;

/// 2^86 as the second polynomial and nothing as the first.
fn forged(training: &Training) -> Ciphertext {
    let params = training.own.c.params;
    let (limbs, basis) = (params.base_limbs, &params.q[..params.base_limbs]);
    let mut constant = vec![0; params.n];
    constant[0] = 1_i128 << 86;
    let parts = vec![Poly::zero(params.n, limbs), Poly::from_signed_wide(&constant, basis).into_eval(basis)];
    Ciphertext { params, limbs, scale: 1.0, parts }
}

/// Whether an opener's refusal is the alarm.
fn is_alarm<E>(error: Option<&GateHolderError<E>>) -> bool {
    matches!(error, Some(GateHolderError::Ceremony(CeremonyError::RefreshRange { .. })))
}

/// The key cannot be guarded here: decryptors who share in the refresh of what they did not compute give it to any
/// opener who is no honest one. Who recomputes the ciphertext before sharing withholds it.
#[test]
fn a_forged_ciphertext_gives_the_collective_secret_to_an_opener_who_plays_along_and_alarms_an_honest_one() {
    let training = Training::new(3, 2);
    let ciphertext = forged(&training);
    let context = training.context(&ciphertext, &[2, 3]);
    let sum = training.sum(&context, &training.all_shares(&context)).unwrap();
    let opened = sum.unblinded(&context, &training.group());
    let read: Vec<f64> = opened.iter().map(|&x| (x as f64 / 86f64.exp2()).round()).collect();
    let params = training.own.c.params;
    let mut secret = training.own.c.ideal.clone();
    // The ideal secret's residues modulo P come first.
    let words = secret.residues_mut();
    words.copy_within(params.p.len() * params.n.., 0);
    let expected: Vec<f64> = integers(&secret, &params.q[..1]).iter().map(|x| x.to_string().parse().unwrap()).collect();
    assert!(expected.iter().any(|x| *x != 0.0));
    assert_eq!(read, expected);
    let refused = training.open(&context, &sum, 1, &mut ledger());
    assert!(is_alarm(refused.err().as_ref()));
}

#[test]
fn a_sum_is_uniform_to_whoever_lacks_the_group_key_and_opens_to_an_alarm_with_another() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 3]);
    let sum = training.sum(&context, &training.all_shares(&context)).unwrap();
    let largest = |values: &[i128]| values.iter().map(|x| x.unsigned_abs()).max().unwrap();
    assert!(largest(&sum.unblinded(&context, &training.group())) <= context.bound);
    let params = training.own.c.params;
    let modulus = params.log_q(params.base_limbs).exp2();
    for byte in 0..32 {
        let other = MaskKey::from_bytes([byte; 32]);
        let read = sum.unblinded(&context, &other);
        // Of a uniform variable on (-Q/2, Q/2), within five deviations of a mean over the coefficients.
        let mean_square = read.iter().map(|&x| (x as f64 / modulus).powi(2)).sum::<f64>() / params.n as f64;
        let slack = 5.0 * (1.0 / 180.0f64).sqrt() / (params.n as f64).sqrt();
        assert!((mean_square - 1.0 / 12.0).abs() < slack, "{byte}: {mean_square}");
        let mut ledger = ledger();
        let permit = OpeningPermit::claim(&mut ledger, &context, &sum).unwrap();
        let vault = super::refreshes::vault(1);
        let refused = sum.open(permit, &context, &other, &mut training.holder(1, &vault, &mut ledger));
        assert!(is_alarm(refused.err().as_ref()), "{byte}");
    }
}

/// The sum of a refresh with something added to one coefficient of one share.
fn shifted(
    training: &Training,
    context: &RefreshContext,
    place: usize,
    shift: i128,
) -> crate::multiparty::BlindedRefresh {
    let params = training.own.c.params;
    let basis = &params.q[..params.base_limbs];
    let mut values = vec![0; params.n];
    values[place] = shift;
    let mut sum = RefreshSum::new(context);
    for (number, (mut share, _)) in training.all_shares(context).into_iter().enumerate() {
        if number == 0 {
            share.coefficients.add_assign(&Poly::from_signed_wide(&values, basis), basis);
        }
        sum.absorb(&share).unwrap();
    }
    sum.finish().unwrap()
}

#[test]
fn what_is_opened_at_the_bound_passes_and_one_beyond_it_of_either_sign_alarms() {
    let mut training = Training::new(3, 2);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 2]);
    let honest = training.sum(&context, &training.all_shares(&context)).unwrap();
    let opened = honest.unblinded(&context, &training.group());
    let bound = i128::try_from(context.bound).unwrap();
    let n = training.own.c.params.n;
    for place in [0, 1, n / 2, n - 1] {
        for edge in [bound, -bound] {
            let at = shifted(&training, &context, place, edge - opened[place]);
            assert_eq!(at.unblinded(&context, &training.group())[place], edge);
            assert!(training.open(&context, &at, 1, &mut ledger()).is_ok(), "{place}");
            let beyond = shifted(&training, &context, place, edge + edge.signum() - opened[place]);
            assert!(is_alarm(training.open(&context, &beyond, 1, &mut ledger()).err().as_ref()), "{place}");
        }
    }
}

#[test]
fn any_part_of_the_shares_is_uniform_to_whoever_lacks_a_pair_key() {
    let mut training = Training::new(4, 3);
    let ciphertext = training.ciphertext();
    let context = training.context(&ciphertext, &[1, 2, 4]);
    let params = training.own.c.params;
    let shares = training.all_shares(&context);
    let all = training.sum(&context, &shares).unwrap();
    let modulus = params.log_q(params.base_limbs).exp2();
    for (left_out, _) in &shares {
        // Even with G: what is missing is the masks of the one left out.
        let mut part = all.coefficients.clone();
        part.sub_assign(&left_out.coefficients, &params.q[..params.base_limbs]);
        let sum = crate::multiparty::BlindedRefresh::of(&context, part);
        let read = sum.unblinded(&context, &training.group());
        let mean_square = read.iter().map(|&x| (x as f64 / modulus).powi(2)).sum::<f64>() / params.n as f64;
        assert!((mean_square - 1.0 / 12.0).abs() < 5.0 * 0.0746 / (params.n as f64).sqrt(), "{mean_square}");
    }
    // Nor do the shares of two refreshes of one ciphertext differ by noise alone.
    let other = crate::multiparty::RefreshRequest { attempt: 9, ..super::refreshes::request() };
    let other = training.try_context(other, &ciphertext, &[1, 2, 4]).unwrap();
    assert!(*context.blinding(&training.group()) != *other.blinding(&training.group()));
    for ((share, _), (again, _)) in shares.iter().zip(training.all_shares(&other)) {
        let mut difference = share.coefficients.clone();
        difference.sub_assign(&again.coefficients, &params.q[..params.base_limbs]);
        let read = crate::ckks::centred(&difference, &params.q[..params.base_limbs]);
        let mean_square = read.iter().map(|x| (x / modulus).powi(2)).sum::<f64>() / params.n as f64;
        assert!((mean_square - 1.0 / 12.0).abs() < 5.0 * 0.0746 / (params.n as f64).sqrt(), "{mean_square}");
    }
}

#[test]
fn the_flooding_of_every_decryptor_is_in_what_is_opened_in_full() {
    let mut training = Training::new(5, 3);
    let ciphertext = training.ciphertext();
    for set in [&[1, 2, 3][..], &[1, 2, 3, 4, 5]] {
        let context = training.context(&ciphertext, set);
        let sum = training.sum(&context, &training.all_shares(&context)).unwrap();
        let opened = sum.unblinded(&context, &training.group());
        let squares: f64 = opened.iter().map(|&x| (x as f64).powi(2)).sum();
        let rms = (squares / opened.len() as f64).sqrt();
        let deviation = (set.len() as f64).sqrt() * f64::from(context.flooding_log2()).exp2();
        assert!((rms / deviation - 1.0).abs() < 0.35, "{set:?}: {rms} {deviation}");
        // From each vault its own: twins would cancel or double.
        let noise = |party: u16| -> RefreshShare { training.share(&context, party, &mut ledger()).unwrap().0 };
        assert_ne!(noise(set[1]).to_bytes()[72..], noise(set[2]).to_bytes()[72..]);
    }
}

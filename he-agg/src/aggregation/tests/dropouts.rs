//! Cohorts chosen to single a hospital out.

use super::anatomy::{centred, common, lagrange};
use super::*;
use crate::ring::{Coeff, Poly};
use crate::sampler;
use num_bigint::BigInt;

#[test]
fn a_fake_drop_out_gives_one_hospital_away_and_the_ledger_refuses_it() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let (all, fewer, decryptors) = ([1, 2, 3, 4, 5], [1, 2, 4, 5], [1, 2, 4, 5]);
    let id = epoch.id(0);
    let with = epoch.round(0, &all, &decryptors);
    // Hospital 3 "dropped out" after all: the same chunk over the others.
    let context = epoch.context(id, &fewer, &decryptors);
    for party in decryptors {
        let refused = epoch.hospitals[usize::from(party) - 1].ledger.permit_share(&context);
        assert!(matches!(refused, Err(PermitError::Conflict { .. })), "hospital {party}");
    }
    // Hospitals that forgot would answer, and the difference is hospital 3.
    decryptors.iter().for_each(|&party| epoch.forget(party));
    let without = epoch.round(0, &fewer, &decryptors);
    let difference: Vec<i32> =
        with.values.iter().zip(&without.values).map(|(&x, &y)| i32::try_from(x - y).unwrap()).collect();
    let victim = &epoch.hospitals[2];
    assert!(difference == victim.values);
    assert_eq!(with.weight_sum - without.weight_sum, u64::from(victim.weight));
}

#[test]
fn a_cohort_of_one_would_unmask_its_hospital_and_is_refused_by_type() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let (id, decryptors, q) = (epoch.id(0), [1, 2, 3, 4], &TOY13.q);
    for alone in [&[3u16][..], &[3, 4], &[2, 3, 4]] {
        let refused = ShareContext::new(&epoch.layout, id, alone, &decryptors, MANIFEST).map(drop);
        let (found, min) = (alone.len(), 4);
        assert_eq!(refused, Err(AggregationError::TooFewContributors { found, min }));
    }
    // What such shares would add up to, flooding included: a s_3 and noise,
    // which takes the key stream off hospital 3's upload.
    let chunk = epoch.encrypt(3, id);
    let mut unmasked = chunk.c0.clone();
    for (i, party) in (0u8..).zip(decryptors) {
        let mut share = epoch.joint_point(party, &[3]);
        share.mul_scalars(&lagrange(&TOY13, &decryptors, party), q);
        share.mul_assign(&common(&id, &TOY13), q);
        unmasked.add_assign(&share.into_coeff(q), q);
        let mut stream = Stream::from_seed([i; 32]);
        let z = sampler::flooding(&mut stream, epoch.layout.flooding_bits(), TOY13.n);
        unmasked.add_assign(&Poly::from_signed_wide(&z, q), q);
    }
    let values = read_alone(&epoch.layout, &unmasked);
    assert!(values == epoch.hospitals[2].values);
    // Without the shares the upload alone says nothing.
    let masked = read_alone(&epoch.layout, &chunk.c0);
    let agreements = masked.iter().zip(&epoch.hospitals[2].values).filter(|(x, y)| x == y).count();
    assert!(agreements < 5, "{agreements} of {}", masked.len());
}

/// The value lanes of a single hospital's polynomial, without any check.
fn read_alone(layout: &LaneLayout, poly: &Poly<Coeff>) -> Vec<i32> {
    let lane = (BigInt::from(1) << layout.stride_bits()) - 1;
    let half = BigInt::from(1) << (layout.guard_bits() - 1);
    let mut lanes = Vec::new();
    for value in centred(poly, layout.params()) {
        let value: BigInt = (value + &half) >> layout.guard_bits();
        for l in 0..layout.lanes() {
            let shifted: BigInt = (&value >> (l * layout.stride_bits() as usize)) & &lane;
            lanes.push(i32::try_from(shifted).unwrap() - (1 << (layout.lane_bits() - 1)));
        }
    }
    lanes.split_off(layout.control_coefficients() * layout.lanes())
}

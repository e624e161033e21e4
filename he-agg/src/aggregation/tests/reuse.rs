//! One common polynomial used twice, and one request answered twice.

use super::anatomy::{centred, polynomial, rms};
use super::*;
use crate::ring::Coeff;
use num_bigint::BigInt;

/// The attacker's reading of `c0 - c0'`: the lanes' differences, if both were
/// made under one `a`, since `-a s` is then gone and the errors are tiny.
fn lane_differences(layout: &LaneLayout, left: &UpdateChunk, right: &UpdateChunk) -> Vec<i64> {
    let params = layout.params();
    let mut difference = polynomial::<Coeff>(&left.to_bytes(), params);
    difference.sub_assign(&polynomial(&right.to_bytes(), params), &params.q);
    let half = |bits: u32| BigInt::from(1) << (bits - 1);
    let mut lanes = Vec::with_capacity(layout.lanes_per_chunk());
    for value in centred(&difference, params) {
        // Arithmetic shifts round down, so half a unit first.
        let mut rest: BigInt = (value + half(layout.guard_bits())) >> layout.guard_bits();
        for _ in 0..layout.lanes() {
            let carry: BigInt = (&rest + half(layout.stride_bits())) >> layout.stride_bits();
            lanes.push(i64::try_from(&rest - (&carry << layout.stride_bits())).unwrap());
            rest = carry;
        }
    }
    lanes.split_off(layout.control_coefficients() * layout.lanes())
}

#[test]
fn two_encryptions_under_one_common_polynomial_give_the_difference_of_the_values_away() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let (id, old) = (epoch.id(0), epoch.hospitals[0].values.clone());
    let first = epoch.encrypt(1, id);
    let new: Vec<i32> = old.iter().map(|v| v.wrapping_mul(-77) % 30_000).collect();
    let wanted: Vec<i64> = old.iter().zip(&new).map(|(&x, &y)| i64::from(x) - i64::from(y)).collect();

    // The ledger refuses other integers under the same name.
    epoch.hospitals[0].values = new;
    let (layout, h) = (epoch.layout.clone(), &mut epoch.hospitals[0]);
    let request = EncryptRequest { layout: &layout, id, sender: 1, weight: h.weight, values: &h.values };
    let refused = h.ledger.permit_encryption(&request);
    let key = id.ledger_key(Use::Encrypt);
    assert!(matches!(refused, Err(PermitError::Conflict { key: found }) if found == key));

    // A hospital that forgot would publish the difference, bit for bit.
    epoch.forget(1);
    let second = epoch.encrypt(1, id);
    assert_eq!(lane_differences(&layout, &first, &second), wanted);
    // Under the next attempt's polynomial the same computation finds noise.
    let next = epoch.encrypt(1, ChunkId { attempt: 1, ..id });
    let found = lane_differences(&layout, &first, &next);
    let agreements = found.iter().zip(&wanted).filter(|(x, y)| x == y).count();
    assert!(agreements < 5, "{agreements} of {}", wanted.len());
}

/// Root mean square of the mean of the noises, per coefficient.
fn rms_of_mean(noises: &[Vec<BigInt>]) -> f64 {
    let sums: Vec<BigInt> = (0..noises[0].len()).map(|k| noises.iter().map(|noise| &noise[k]).sum()).collect();
    rms(&sums) / noises.len() as f64
}

#[test]
fn asking_again_gets_the_same_bytes_so_that_flooding_cannot_be_averaged_away() {
    const REPEATS: u8 = 25;
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let context = epoch.context(epoch.id(0), &[1, 2, 3, 4, 5], &[1, 2, 4, 5]);
    let deviation = f64::from(epoch.layout.flooding_bits()).exp2();
    let first = epoch.share(2, &context).to_bytes();

    // The same process, one that lost its ledger, and one started again from
    // its keys: always the same bytes, and all the noise is left in their mean.
    assert_eq!(first, epoch.share(2, &context).to_bytes());
    epoch.forget(2);
    assert_eq!(first, epoch.share(2, &context).to_bytes());
    epoch.hospitals[1].decryptor = epoch.decryptor(2, vault(2));
    epoch.forget(2);
    assert_eq!(first, epoch.share(2, &context).to_bytes());
    let noise = epoch.flooding_in(&context, 2, &first);
    let kept = rms_of_mean(&vec![noise; usize::from(REPEATS)]) / deviation;
    assert!((kept - 1.0).abs() < 0.2, "{kept}");

    // The twin: noise drawn afresh for every request melts by the root of the count.
    let fresh: Vec<Vec<BigInt>> = (0..REPEATS)
        .map(|repeat| {
            epoch.hospitals[1].decryptor = epoch.decryptor(2, VaultSecret::from_bytes([0x80 | repeat; 32]));
            let bytes = epoch.share(2, &context).to_bytes();
            assert_ne!(first, bytes);
            epoch.flooding_in(&context, 2, &bytes)
        })
        .collect();
    let left = rms_of_mean(&fresh) / deviation;
    assert!((left - 0.2).abs() < 0.04, "{left}");
}

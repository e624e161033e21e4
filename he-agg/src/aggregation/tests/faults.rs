//! Faults that only the checks after decryption, or the combination, can see.

use super::*;
use crate::aggregation::checksum::Checksum;
use crate::simd::mersenne;

#[test]
fn an_incomplete_or_altered_result_never_opens() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let s = [1, 2, 3, 4, 5];
    let id = epoch.id(0);
    let context = epoch.context(id, &s, &[1, 2, 4, 5]);
    let sum = epoch.sum(&s, id);
    let shares = epoch.shares(&context);
    let combine =
        |sum: &ChunkSum, shares: &[DecryptionShare]| BlindedSum::combine(&epoch.layout, &context, sum, shares).unwrap();
    let good = combine(&sum, &shares);
    let opened = |b: &BlindedSum| open(&epoch.layout, &context, &epoch.group, b);
    assert!(opened(&good).is_ok());

    // Each missing share, subtracted behind the back of `combine`.
    for share in &shares {
        let mut bad = good.clone();
        bad.y.sub_assign(&share.h, &TOY13.q);
        assert!(opened(&bad).is_err(), "share {} missing", share.party());
    }
    // Each limb of the result altered in every coefficient, or in one.
    for limb in 0..TOY13.q.len() {
        let modulus = *TOY13.q[limb].modulus();
        let mut all = good.clone();
        all.y.limb_mut(limb).iter_mut().for_each(|x| *x = modulus.add(*x, 1));
        assert!(opened(&all).is_err(), "limb {limb}");
        for coefficient in [0, 1, 17, 255] {
            let mut one = good.clone();
            let x = &mut one.y.limb_mut(limb)[coefficient];
            *x = modulus.add(*x, 12_345);
            assert!(opened(&one).is_err(), "limb {limb}, coefficient {coefficient}");
        }
    }
    // A doubled chunk and a lost one, behind the back of `ChunkSum`.
    for party in s {
        let chunk = epoch_encrypt_again(&epoch, party, id);
        let mut doubled = good.clone();
        doubled.y.add_assign(&chunk.c0, &TOY13.q);
        assert!(opened(&doubled).is_err(), "chunk {party} doubled");
        let mut lost = good.clone();
        lost.y.sub_assign(&chunk.c0, &TOY13.q);
        assert!(opened(&lost).is_err(), "chunk {party} lost");
    }
    // Without the group key there is nothing to read.
    let stranger = MaskKey::from_bytes([0x78; 32]);
    assert!(open(&epoch.layout, &context, &stranger, &good).is_err());
}

/// A sum to which lanes were added that its contributors did not send: noise and range are right, so that only the
/// control lanes can object.
fn opened_with_lanes(added: impl FnOnce(&LaneLayout) -> Vec<(usize, u64)>) -> Result<DecodedChunk, AggregationError> {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Small);
    let id = epoch.id(0);
    let context = epoch.context(id, &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let mut sum = epoch.sum(&[1, 2, 3, 4], id);
    let layout = &epoch.layout;
    for (lane, amount) in added(layout) {
        add_to_lane(&mut sum, layout, lane, amount);
    }
    let shares = epoch.shares(&context);
    let blinded = BlindedSum::combine(&epoch.layout, &context, &sum, &shares).unwrap();
    open(&epoch.layout, &context, &epoch.group, &blinded)
}

fn opened_with_lane_change(change: impl FnOnce(&LaneLayout) -> (usize, u64)) -> AggregationError {
    opened_with_lanes(|layout| vec![change(layout)]).unwrap_err()
}

/// What a coordinator adds that steers the model: a value, and the checksum that would fit at some point.
fn forged(layout: &LaneLayout, id: &ChunkId, group: &MaskKey, deltas: &[(usize, u64)]) -> Vec<(usize, u64)> {
    let checksum = Checksum::new(layout, id, group);
    let first = layout.control_coefficients() * layout.lanes();
    let of = |&(place, delta): &(usize, u64)| mersenne::mul(checksum.factor(place), delta);
    let sum = deltas.iter().map(of).fold(0, mersenne::add);
    let digits = (usize::from(layout.parties()) + 1..).zip(checksum.split(sum).map(u64::from));
    deltas.iter().map(|&(place, delta)| (first + place, delta)).chain(digits).collect()
}

/// Whoever knows the point, as a hospital does and as everybody did while it came from the epoch's public seed, adds
/// what he likes; the coordinator does not know it.
#[test]
fn values_that_nobody_sent_pass_with_the_groups_key_and_with_no_other() {
    let id = ChunkId { epoch: EPOCH, round: 3, attempt: 0, chunk: 0 };
    for deltas in [vec![(100, 1)], vec![(0, 9), (7, 1 << 10)], vec![(50, 1 << 15), (51, 1 << 15)]] {
        // Where a digit leaves its lane's range another place is as good.
        let at = |shift: usize| deltas.iter().map(|&(place, delta)| (place + shift, delta)).collect::<Vec<_>>();
        let with = |group: &MaskKey, shift| opened_with_lanes(|layout| forged(layout, &id, group, &at(shift)));
        let (shift, moved) = (0..40).find_map(|shift| Some((shift, with(&group_key(), shift).ok()?))).unwrap();
        let honest = opened_with_lanes(|_| vec![]).unwrap();
        for (place, delta) in at(shift) {
            assert_eq!(moved.values[place] - honest.values[place], delta as i64);
        }
        for guess in 0..20 {
            let refused = with(&MaskKey::from_bytes([guess; 32]), shift).unwrap_err();
            let (range, sum) = (matches!(refused, AggregationError::LaneRange { lane: 6..10, .. }), refused);
            assert!(range || matches!(sum, AggregationError::Checksum { .. }), "{sum:?}");
        }
        let without = opened_with_lanes(|layout| {
            let first = layout.control_coefficients() * layout.lanes();
            at(shift).into_iter().map(|(place, delta)| (first + place, delta)).collect()
        });
        assert!(matches!(without, Err(AggregationError::Checksum { .. })));
    }
}

#[test]
fn control_lanes_catch_well_formed_changes() {
    let presence = opened_with_lane_change(|_| (2, 1));
    assert_eq!(presence, AggregationError::Presence { party: 3, count: 2, expected: 1 });
    let absent = opened_with_lane_change(|_| (4, 1));
    assert_eq!(absent, AggregationError::Presence { party: 5, count: 1, expected: 0 });
    let weight = opened_with_lane_change(|_| (5, 1));
    assert!(matches!(weight, AggregationError::Checksum { .. }));
    for digit in 6..10 {
        let checksum = opened_with_lane_change(|_| (digit, 1));
        assert!(matches!(checksum, AggregationError::Checksum { .. }), "{checksum:?}");
    }
    let spare = opened_with_lane_change(|_| (10, 9));
    assert_eq!(spare, AggregationError::SpareLane { lane: 10, sum: 9 });
    let value = opened_with_lane_change(|l| (l.control_coefficients() * l.lanes() + 100, 1));
    assert!(matches!(value, AggregationError::Checksum { .. } | AggregationError::LaneRange { .. }));
}

#[test]
fn the_first_value_that_no_sum_can_have_is_named_wherever_it_lies() {
    let epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Small);
    let first = epoch.layout.control_coefficients() * epoch.layout.lanes();
    // Four times the largest lane value is 262,140; a lane holds 19 bits.
    let (sums, amount, last) = (epoch.expected(&[1, 2, 3, 4]).0, 200_000, epoch.layout.values_per_chunk() - 1);
    for places in [vec![0], vec![7], vec![700], vec![last], vec![900, 901], vec![600, 1200]] {
        let added = |_: &LaneLayout| places.iter().map(|place| (first + place, amount)).collect();
        let sum = sums[places[0]].cast_unsigned().wrapping_add(4 * (1 << 15) + amount);
        let named = AggregationError::LaneRange { lane: first + places[0], sum, max: 4 * 0xffff };
        assert_eq!(opened_with_lanes(added).unwrap_err(), named);
    }
}

#[test]
fn doubled_foreign_and_missing_parts_are_refused_by_name() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let (s, t, id) = ([1, 2, 3, 4], [2, 3, 4, 5], epoch.id(0));
    let context = epoch.context(id, &s, &t);
    let mut sum = epoch.sum(&s, id);
    let again = epoch.encrypt(1, id);
    let duplicate = AggregationError::Duplicate { object: "update chunk", party: 1 };
    assert_eq!(sum.absorb(&again), Err(duplicate));
    let elsewhere = epoch.encrypt(5, epoch.id(1));
    assert!(matches!(sum.absorb(&elsewhere), Err(AggregationError::ForeignObject { chunk: 1, .. })));

    let shares = epoch.shares(&context);
    let layout = epoch.layout.clone();
    let combine =
        |sum: &ChunkSum, shares: &[DecryptionShare]| BlindedSum::combine(&layout, &context, sum, shares).map(drop);
    assert_eq!(combine(&sum, &shares), Ok(()));
    let missing = AggregationError::Missing { object: "decryption share", party: 5 };
    assert_eq!(combine(&sum, &shares[..3]), Err(missing));
    let mut twice = shares.clone();
    twice.push(shares[0].clone());
    let duplicate = AggregationError::Duplicate { object: "decryption share", party: 2 };
    assert_eq!(combine(&sum, &twice), Err(duplicate));
    let mut other = epoch.sum(&[1, 2, 3], id);
    assert!(matches!(combine(&other, &shares), Err(AggregationError::WrongContributors { .. })));
    other.absorb(&epoch.encrypt(5, id)).unwrap();
    assert!(matches!(combine(&other, &shares), Err(AggregationError::WrongContributors { .. })));

    // A share made for another chunk, or read under another context.
    let context2 = epoch.context(epoch.id(2), &s, &t);
    let foreign = epoch.share(2, &context2);
    let mut mixed = shares.clone();
    mixed[0] = foreign.clone();
    assert!(matches!(combine(&sum, &mixed), Err(AggregationError::ForeignObject { .. })));
    let read = DecryptionShare::from_bytes(&foreign.to_bytes(), &layout, &context);
    assert!(matches!(read, Err(AggregationError::ForeignObject { .. })));
    let blinded = BlindedSum::combine(&layout, &context, &sum, &shares).unwrap();
    assert!(matches!(open(&layout, &context2, &epoch.group, &blinded), Err(AggregationError::ForeignObject { .. })));
    let read = BlindedSum::from_bytes(&blinded.to_bytes(), &layout, &context2);
    assert!(matches!(read, Err(AggregationError::ForeignObject { .. })));
}

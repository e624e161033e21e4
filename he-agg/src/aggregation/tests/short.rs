//! Chunks that end with their last value: exact like full ones, checked like full ones, and of no other length.

use super::*;
use crate::backend::Cpu;
use crate::error::DecodeError;
use crate::wire::{HEADER_BYTES, packed_len};

const S: [u16; 4] = [1, 2, 3, 5];
const T: [u16; 4] = [1, 2, 4, 5];

fn layout_for(params: &'static Params, values: usize) -> LaneLayout {
    let layout = LaneLayout::new(params, 5, 4, 16, Flooding::secure(40, 1 << 14).unwrap()).unwrap();
    layout.for_values(values)
}

fn full_chunk(params: &'static Params) -> usize {
    layout_for(params, 0).values_per_chunk()
}

#[test]
fn a_chunk_has_the_coefficients_of_its_values_and_of_its_controls() {
    // Five presence lanes, the weight and four digits in two coefficients of eight lanes; 256 in the ring.
    let full = full_chunk(&TOY13);
    assert_eq!(full, 8 * 254);
    for (values, coefficients) in [
        (0, [2, 2, 2]),
        (1, [3, 2, 2]),
        (8, [3, 2, 2]),
        (9, [4, 2, 2]),
        (48, [8, 2, 2]),
        (full - 8, [255, 2, 2]),
        (full - 7, [256, 2, 2]),
        (full, [256, 2, 2]),
        (full + 1, [256, 3, 2]),
        (full + 17, [256, 5, 2]),
        (2 * full, [256, 256, 2]),
        (usize::MAX, [256, 256, 256]),
    ] {
        let layout = layout_for(&TOY13, values);
        assert_eq!([0, 1, 2].map(|chunk| layout.coefficients(chunk)), coefficients, "{values} values");
        for chunk in 0..3 {
            let bytes = HEADER_BYTES + TOY13.q.len() * packed_len(coefficients[chunk as usize]);
            assert_eq!(layout.object_bytes(chunk), bytes);
            assert_eq!(layout.values_in(chunk), 8 * (coefficients[chunk as usize] - 2));
        }
    }
    assert_eq!(layout_for(&TOY13, 9).coefficients(u32::MAX), 2);
    let sized = layout_for(&TOY13, full + 17);
    assert_eq!(sized.update_bytes(full + 17), sized.object_bytes(0) + sized.object_bytes(1));
}

#[test]
fn layouts_of_different_numbers_of_values_have_different_digests() {
    let base = LaneLayout::standard(Preset::Agg13, 5).unwrap();
    let all = [base.clone(), base.clone().for_values(0), base.clone().for_values(1), base.for_values(usize::MAX)];
    let digests: std::collections::BTreeSet<_> = all.iter().map(LaneLayout::digest).collect();
    assert_eq!(digests.len(), all.len());
}

#[test]
fn sums_of_short_chunks_are_exact() {
    for (params, values) in [(&TOY13, Values::Random), (&TOY13, Values::Extremes), (&TOY14, Values::Max)] {
        let full = full_chunk(params);
        // Last tiles of 1 to 64 coefficients, all of them in one tile, and every remainder of four.
        for more in [1, 9, 17, 100, 8 * 61, 8 * 62, 8 * 63, 8 * 66 + 3, 8 * 126, 8 * 130, full - 1, full] {
            let mut epoch = Epoch::of(layout_for(params, full + more), values);
            epoch.check_round(0, &S, &T);
            epoch.check_round(1, &S, &T);
            assert!(epoch.layout.values_in(1) >= more);
            let mut alone = Epoch::of(layout_for(params, more), values);
            alone.check_round(0, &S, &T);
        }
    }
}

#[test]
fn fewer_values_than_a_short_chunk_has_room_for_are_zeros_there_and_more_are_refused() {
    let mut epoch = Epoch::of(layout_for(&TOY13, 101), Values::Max);
    let room = epoch.layout.values_in(0);
    assert_eq!(room, 8 * 13);
    for h in &mut epoch.hospitals {
        // Refused below, and not encrypted: the other place stays free.
        let values = vec![1; room + 1];
        let id = ChunkId { epoch: EPOCH, round: 3, attempt: 7, chunk: 0 };
        let request = EncryptRequest { layout: &epoch.layout, id, sender: 1, weight: 1, values: &values };
        let permit = h.ledger.permit_encryption(&request).unwrap();
        let refused = encrypt_chunk(permit, &request, &h.secret, &vault(1), &group_key()).map(drop);
        assert_eq!(refused, Err(AggregationError::TooManyValues { found: room + 1, max: room }));
        h.values[101..].fill(0);
    }
    epoch.check_round(0, &S, &T);
    let (id, layout) = (epoch.id(0), epoch.layout.clone());
    let padded = epoch.encrypt(1, id).to_bytes();
    let h = &epoch.hospitals[0];
    let values = &h.values[..101];
    let request = EncryptRequest { layout: &layout, id, sender: 1, weight: h.weight, values };
    let permit = MemoryLedger::new(layout.flooding()).permit_encryption(&request).unwrap();
    let bare = encrypt_chunk(permit, &request, &h.secret, &vault(1), &group_key()).unwrap().to_bytes();
    // Other content for the ledger, so other errors; the same sums.
    assert_eq!((bare.len(), bare != padded), (padded.len(), true));
}

/// A layout whose second chunk is short, the objects of that chunk, and what they are checked against.
struct Objects {
    epoch: Epoch,
    context: ShareContext,
    update: Vec<u8>,
    share: Vec<u8>,
    sum: Vec<u8>,
}

fn objects(more: usize) -> Objects {
    let layout = layout_for(&TOY13, full_chunk(&TOY13) + more);
    let mut epoch = Epoch::of(layout, Values::Random);
    let id = epoch.id(1);
    let context = epoch.context(id, &S, &T);
    let (update, sum) = (epoch.encrypt(1, id).to_bytes(), epoch.sum(&S, id));
    let shares = epoch.shares(&context);
    let blinded = BlindedSum::combine(&epoch.layout, &context, &sum, &shares).unwrap();
    let (share, sum) = (shares[0].to_bytes(), blinded.to_bytes());
    Objects { epoch, context, update, share, sum }
}

#[test]
fn a_chunk_of_any_other_length_is_refused() {
    let Objects { epoch, context, update, share, sum } = objects(100);
    let layout = &epoch.layout;
    let expected = layout.object_bytes(1);
    let limbs = TOY13.q.len();
    let sized = |coefficients| HEADER_BYTES + limbs * packed_len(coefficients);
    let (less, more) = (sized(layout.coefficients(1) - 1), sized(layout.coefficients(1) + 1));
    let full = layout.object_bytes(0);
    let refused = |error: AggregationError, found: usize, what: &str| {
        assert_eq!(error, DecodeError::Length { found, expected }.into(), "{what}");
    };
    for (what, bytes) in [("update", &update), ("share", &share), ("sum", &sum)] {
        assert_eq!(bytes.len(), expected, "{what}");
    }
    let lengths = [expected - 1, expected + 1, less, more, full, full - 1, HEADER_BYTES];
    for length in lengths {
        let with = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            bytes.resize(length, 0);
            bytes
        };
        refused(UpdateChunk::from_bytes(&with(&update), layout).map(drop).unwrap_err(), length, "update");
        refused(PackedChunk::from_bytes(&with(&update), layout).map(drop).unwrap_err(), length, "packed update");
        let mut running = ChunkSum::new(layout, *context.id());
        refused(running.absorb_bytes(&with(&update), layout).unwrap_err(), length, "absorbed update");
        assert!(running.contributors().is_empty());
        refused(DecryptionShare::from_bytes(&with(&share), layout, &context).map(drop).unwrap_err(), length, "share");
        refused(BlindedSum::from_bytes(&with(&sum), layout, &context).map(drop).unwrap_err(), length, "sum");
    }
    // A full chunk in the place of the short one, and the short one in the place of a full one.
    let at = |bytes: &[u8], chunk: u8| {
        let mut bytes = bytes.to_vec();
        bytes[24] = chunk;
        bytes
    };
    let mut epoch = Epoch::of(layout.clone(), Values::Random);
    let whole = epoch.encrypt(1, epoch.id(0)).to_bytes();
    refused(UpdateChunk::from_bytes(&at(&whole, 1), &epoch.layout).map(drop).unwrap_err(), full, "a full chunk");
    let error = UpdateChunk::from_bytes(&at(&update, 0), &epoch.layout).map(drop).unwrap_err();
    assert_eq!(error, DecodeError::Length { found: expected, expected: full }.into());
}

#[test]
fn residues_of_short_chunks_are_checked_to_the_last_and_the_bits_behind_them() {
    for more in [1, 8 * 2, 8 * 3, 8 * 4] {
        let Objects { epoch, update, .. } = objects(more);
        let n = epoch.layout.coefficients(1);
        let read = |bytes: &[u8]| PackedChunk::from_bytes(bytes, &epoch.layout).map(drop);
        for limb in 0..TOY13.q.len() {
            let q = TOY13.q[limb].modulus().value();
            let (from, to) = (HEADER_BYTES + limb * packed_len(n), HEADER_BYTES + (limb + 1) * packed_len(n));
            for at in 0..n {
                let mut residues = vec![0; n];
                crate::wire::unpack(&update[from..to], &mut residues).unwrap();
                residues[at] = q;
                let mut packed = Vec::new();
                crate::wire::pack(&residues, &mut packed);
                let expected = DecodeError::Residue { limb, position: at, value: q, modulus: q };
                assert_eq!(read(&[&update[..from], &packed, &update[to..]].concat()), Err(expected.into()));
            }
            let mut padded = update.clone();
            padded[to - 1] |= 0x80;
            if n % 4 == 0 {
                continue;
            }
            let refused = |error| matches!(error, Err(AggregationError::Decode(DecodeError::Padding { .. })));
            assert!(refused(read(&padded)), "limb {limb} of {n} coefficients");
            assert!(refused(UpdateChunk::from_bytes(&padded, &epoch.layout).map(drop)));
        }
    }
}

#[test]
fn objects_of_another_number_of_values_do_not_mix() {
    let Objects { epoch, context, update, share, sum } = objects(100);
    let other = layout_for(&TOY13, full_chunk(&TOY13) + 200);
    let residues = |layout: &LaneLayout| layout.coefficients(1) * TOY13.q.len();
    let shape = |found: &LaneLayout, expected: &LaneLayout| {
        Err(AggregationError::Shape { found: residues(found), expected: residues(expected) })
    };
    let (own, id) = (&epoch.layout, *context.id());
    let chunk = UpdateChunk::from_bytes(&update, own).unwrap();
    let packed = PackedChunk::from_bytes(&update, own).unwrap();
    let mut running = ChunkSum::new(&other, id);
    assert_eq!(running.absorb(&chunk), shape(own, &other));
    assert_eq!(running.absorb_packed(&packed), shape(own, &other));
    assert_eq!(ChunkTerms::new(&other, id).push(&packed), shape(own, &other));
    assert!(running.contributors().is_empty());

    let share = DecryptionShare::from_bytes(&share, own, &context).unwrap();
    let blinded = BlindedSum::from_bytes(&sum, own, &context).unwrap();
    assert_eq!(open(&other, &context, &epoch.group, &blinded).map(drop), shape(own, &other));
    assert!(open(own, &context, &epoch.group, &blinded).is_ok());
    // A sum and shares of two layouts, under a context of either.
    let mut wide = Epoch::of(other.clone(), Values::Random);
    let sum = wide.sum(&S, id);
    let of = |party| {
        let mut share = share.clone();
        share.party = party;
        share
    };
    let shares = T.map(of);
    assert_eq!(BlindedSum::combine(own, &context, &sum, &shares).map(drop), shape(&other, own));
    assert_eq!(BlindedSum::combine(&other, &context, &sum, &shares).map(drop), shape(own, &other));
}

#[test]
fn every_way_to_a_sum_gives_the_same_short_chunk() {
    for params in [&TOY13, &TOY14] {
        // One to four coefficients more than whole groups of four.
        for more in [1, 8, 100, 8 * 66 + 3] {
            let mut epoch = Epoch::of(layout_for(params, full_chunk(params) + more), Values::Random);
            let layout = epoch.layout.clone();
            let bodies: Vec<(ChunkId, Vec<Vec<u8>>)> = [1, 0, 2]
                .map(|chunk| {
                    let id = epoch.id(chunk);
                    let parties: &[u16] = if chunk == 2 { &[] } else { &S };
                    (id, parties.iter().map(|&party| epoch.encrypt(party, id).to_bytes()).collect())
                })
                .into();
            let terms: Vec<ChunkTerms<'_>> = bodies
                .iter()
                .map(|(id, bodies)| {
                    let mut terms = ChunkTerms::new(&layout, *id);
                    bodies.iter().for_each(|b| terms.push(&PackedChunk::from_bytes(b, &layout).unwrap()).unwrap());
                    terms
                })
                .collect();
            let together = ChunkTerms::sum_all(&Cpu::new(params), &terms).unwrap();
            for (((id, bodies), terms), together) in bodies.iter().zip(&terms).zip(&together) {
                let (mut one, mut packed) = (ChunkSum::new(&layout, *id), ChunkSum::new(&layout, *id));
                for bytes in bodies {
                    one.absorb(&UpdateChunk::from_bytes(bytes, &layout).unwrap()).unwrap();
                    packed.absorb_bytes(bytes, &layout).unwrap();
                }
                let expected = one.to_bytes();
                assert_eq!(expected.len(), layout.object_bytes(id.chunk));
                assert!(packed.to_bytes() == expected && terms.sum().to_bytes() == expected, "{id:?}");
                assert!(together.to_bytes() == expected, "{id:?}");
            }
        }
    }
}

#[test]
fn a_change_anywhere_in_a_short_chunk_is_found() {
    let Objects { mut epoch, context, sum: bytes, .. } = objects(100);
    let (layout, group) = (epoch.layout.clone(), group_key());
    let good = BlindedSum::from_bytes(&bytes, &layout, &context).unwrap();
    for limb in 0..TOY13.q.len() {
        let m = *TOY13.q[limb].modulus();
        for coefficient in 0..layout.coefficients(1) {
            let mut bad = good.clone();
            let x = &mut bad.y.limb_mut(limb)[coefficient];
            *x = m.add(*x, 12_345);
            assert!(open(&layout, &context, &group, &bad).is_err(), "limb {limb}, coefficient {coefficient}");
        }
    }

    // Well-formed changes: what the noise and the ranges allow.
    epoch = Epoch::of(layout.clone(), Values::Small);
    let shares = epoch.shares(&context);
    let mut opened = |lane: usize, amount: u64| {
        let mut sum = epoch.sum(&S, *context.id());
        add_to_lane(&mut sum, &layout, lane, amount);
        let blinded = BlindedSum::combine(&layout, &context, &sum, &shares).unwrap();
        open(&layout, &context, &group, &blinded).map(drop)
    };
    assert_eq!(opened(0, 0), Ok(()));
    let first = layout.control_coefficients() * layout.lanes();
    // The first and the last value, and both ends of the room behind it.
    for value in [0, 99, 100, layout.values_in(1) - 1] {
        assert!(matches!(opened(first + value, 1), Err(AggregationError::Checksum { .. })), "value {value}");
    }
    assert_eq!(opened(3, 1), Err(AggregationError::Presence { party: 4, count: 1, expected: 0 }));
    assert_eq!(opened(0, 1), Err(AggregationError::Presence { party: 1, count: 2, expected: 1 }));
    assert!(matches!(opened(5, 1), Err(AggregationError::Checksum { .. })), "the weight");
    assert!(matches!(opened(6, 1), Err(AggregationError::Checksum { .. })), "a digit of the checksum");
    assert_eq!(opened(10, 9), Err(AggregationError::SpareLane { lane: 10, sum: 9 }));
}

/// Presets, hospitals and the fewest values from which on an upload takes at most 0.85 of 32-bit floats.
const SMALL: [(Preset, u16, usize); 5] = [
    (Preset::Agg13, 3, 263),
    (Preset::Agg13, 5, 1282),
    (Preset::Agg13, 16, 1498),
    (Preset::Agg14, 17, 750),
    (Preset::Agg14, 64, 3283),
];

#[test]
fn uploads_take_at_most_0_85_of_32_bit_floats_but_for_the_smallest_networks() {
    for (preset, hospitals, least) in SMALL {
        let layout = LaneLayout::standard(preset, hospitals).unwrap();
        let ratio = |values: usize| layout.update_bytes(values) as f64 / (4 * values) as f64;
        let above = (1..3 * layout.values_per_chunk() + 50).filter(|&values| ratio(values) > 0.85).max();
        println!("{preset}, {hospitals} hospitals: at most 0.85 from {} values on", above.map_or(1, |most| most + 1));
        for values in [100, 1000, 3755, 65_520, 65_521, 131_000, 1_000_000] {
            let full = layout.object_bytes(0) * layout.chunks(values);
            let (before, after) = (full as f64 / values as f64, 4.0 * ratio(values));
            println!("  {values:>9} values: {before:9.2} bytes each before, {after:5.2} now: {:.3}", ratio(values));
        }
        assert_eq!(above.map(|most| most + 1), Some(least));
    }
}

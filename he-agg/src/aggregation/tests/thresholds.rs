//! Any threshold of hospitals opens exactly the integer sum; fewer open nothing.

use super::anatomy::{lagrange, polynomial};
use super::*;
use crate::ring::{Domain, Eval, Poly};
use crate::wire::{HEADER_BYTES, Header, Kind};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

#[test]
fn every_set_of_decryptors_of_every_cohort_up_to_five_opens_to_the_sum() {
    for n in 3..=5u16 {
        for t in n / 2 + 1..=n {
            let mut epoch = Epoch::new(&TINY13, n, t, 16, Values::Extremes);
            let mut chunk = 0;
            for size in usize::from(t.max(3))..=usize::from(n) {
                for s in subsets(n, size) {
                    for decryptors in subsets(n, usize::from(t)) {
                        epoch.check_round(chunk, &s, &decryptors);
                        chunk += 1;
                    }
                }
            }
        }
    }
}

#[test]
fn random_sets_of_up_to_sixty_four_hospitals_open_to_the_sum() {
    let mut stream = Stream::from_seed([21; 32]);
    for (n, params) in [(8, &*TINY13), (16, &TINY13), (33, &TINY14), (64, &TINY14)] {
        for t in [n / 2 + 1, 2 * n / 3 + 1, n] {
            let mut epoch = Epoch::new(params, n, t, 8, Values::Random);
            for chunk in 0..2 {
                let least = t.max(4);
                let size = least + stream.next_u32() as u16 % (n - least + 1);
                let (s, decryptors) = (draw(&mut stream, n, size.into()), draw(&mut stream, n, t.into()));
                epoch.check_round(chunk, &s, &decryptors);
            }
        }
    }
}

/// A key share from the packed point that a dealer would send.
fn key_share(layout: &LaneLayout, dealer: u16, receiver: u16, packed: &[u8]) -> KeyShare {
    let params = layout.params();
    let header = Header {
        epoch: EPOCH,
        round: u32::from(layout.threshold()),
        chunk: u32::from(receiver),
        sender: dealer,
        ..Header::new(Kind::KeyShare, params.preset, Eval::NUMBER, params.q.len(), 1)
    };
    let mut bytes = Vec::with_capacity(layout.object_bytes(0));
    header.write(&mut bytes);
    bytes.extend_from_slice(packed);
    KeyShare::from_bytes(&bytes, layout, &EPOCH).unwrap()
}

/// The largest supported round at its real size, 43 of 64 hospitals. Three
/// hospitals deal in earnest; the others deal the constant polynomial, which
/// is insecure but adds up alike, since forty more dealings would take longer
/// than all other tests. One decryptor at a time is in memory.
#[test]
fn a_full_size_chunk_of_forty_three_of_sixty_four_hospitals_opens() {
    let layout = LaneLayout::standard(Preset::Agg14, 64).unwrap();
    let params = layout.params();
    let (s, decryptors): (Vec<u16>, Vec<u16>) = ((1..=43).collect(), (22..=64).collect());
    let id = ChunkId { epoch: EPOCH, round: 1, attempt: 0, chunk: 0 };
    let mut sum = ChunkSum::new(&layout, id);
    let (mut values, mut weight) = (vec![0i64; layout.values_per_chunk()], 0u64);
    let mut secrets = Vec::new();
    let mut stream = Stream::from_seed([31; 32]);
    for &party in &s {
        let secret = AggregationSecret::generate(params, EPOCH, &mut stream);
        let own: Vec<i32> = (0..values.len()).map(|_| stream.next_u32() as i16 as i32).collect();
        let request = EncryptRequest { layout: &layout, id, sender: party, weight: 65_535, values: &own };
        let permit = MemoryLedger::new(layout.flooding()).permit_encryption(&request).unwrap();
        sum.absorb(&encrypt_chunk(permit, &request, &secret, &vault(party), &group_key()).unwrap()).unwrap();
        values.iter_mut().zip(&own).for_each(|(sum, &v)| *sum += i64::from(v));
        weight += 65_535;
        secrets.push(secret);
    }
    let packed: Vec<Vec<u8>> = secrets
        .iter()
        .map(|secret| {
            let mut bytes = Vec::new();
            secret.eval().pack_into(&mut bytes);
            bytes
        })
        .collect();
    let mut dealt: Vec<Vec<KeyShare>> =
        (1..=3).map(|dealer| secrets[usize::from(dealer) - 1].deal(&layout, dealer).unwrap()).collect();
    let context = ShareContext::new(&layout, id, &s, &decryptors, MANIFEST).unwrap();
    let shares: Vec<DecryptionShare> = decryptors
        .iter()
        .map(|&party| {
            let mut decryptor = Decryptor::new(layout.clone(), EPOCH, party, group_key(), vault(party)).unwrap();
            for points in &mut dealt {
                let place = points.iter().position(|share| share.receiver() == party).unwrap();
                decryptor.insert_share(points.swap_remove(place)).unwrap();
            }
            for &dealer in &s[3..] {
                let constant = &packed[usize::from(dealer) - 1];
                decryptor.insert_share(key_share(&layout, dealer, party, constant)).unwrap();
            }
            for &peer in decryptors.iter().filter(|&&peer| peer != party) {
                decryptor.insert_pair(peer, pair_key(party, peer)).unwrap();
            }
            let permit = MemoryLedger::new(layout.flooding()).permit_share(&context).unwrap();
            decryptor.share(permit, &context).unwrap()
        })
        .collect();
    let blinded = BlindedSum::combine(&layout, &context, &sum, &shares).unwrap();
    let decoded = open(&layout, &context, &group_key(), &blinded).unwrap();
    assert!(decoded.values == values);
    assert_eq!(decoded.weight_sum, weight);
    assert!(decoded.noise_max > 1 << layout.flooding_bits() && decoded.noise_max <= layout.noise_bound());
}

/// A whole epoch of any shape: hospitals, threshold, lane bits, contributors
/// beyond the least, kind of values, seed of the sets.
fn any_epoch() -> impl Strategy<Value = (u16, u16, u32, u16, Values, u64)> {
    let values = prop_oneof![
        3 => Just(Values::Random),
        1 => Just(Values::Max),
        1 => Just(Values::Min),
        2 => Just(Values::Extremes),
    ];
    (3u16..=24).prop_flat_map(move |n| {
        (n / 2 + 1..=n).prop_flat_map({
            let values = values.clone();
            move |t| {
                let extra = 0..=n - t.max(4).min(n);
                (Just(n), Just(t), LANE_BITS_MIN..=LANE_BITS_MAX, extra, values.clone(), any::<u64>())
            }
        })
    })
}

#[test]
fn epochs_of_any_shape_open_to_the_integer_sum() {
    let config = Config { cases: 96, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &[5; 32]));
    let outcome = runner.run(&any_epoch(), |(n, t, bits, extra, values, seed)| {
        let mut seeds = [0; 32];
        seeds[..8].copy_from_slice(&seed.to_le_bytes());
        let mut stream = Stream::from_seed(seeds);
        let mut epoch = Epoch::new(&TINY13, n, t, bits, values);
        let size = usize::from(t.max(4).min(n) + extra);
        let (s, decryptors) = (draw(&mut stream, n, size), draw(&mut stream, n, t.into()));
        epoch.check_round(seed as u32, &s, &decryptors);
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}

#[test]
fn one_point_fewer_than_the_threshold_interpolates_to_nothing() {
    let epoch = Epoch::new(&TINY13, 5, 4, 16, Values::Random);
    let (secret, q) = (&epoch.hospitals[0].secret, &TINY13.q);
    let points = secret.deal(&epoch.layout, 1).unwrap();
    let interpolate = |set: &[u16]| {
        let mut sum = Poly::<Eval>::zero(TINY13.n, q.len());
        for &party in set {
            let point = polynomial(&points[usize::from(party) - 1].expose_bytes(), &TINY13);
            sum.mul_scalars_add(&point, &lagrange(&TINY13, set, party), q);
        }
        sum
    };
    for set in subsets(5, 4).into_iter().chain(subsets(5, 5)) {
        assert!(interpolate(&set) == *secret.eval(), "{set:?}");
    }
    for set in subsets(5, 3).into_iter().chain(subsets(5, 2)).chain(subsets(5, 1)) {
        let found = interpolate(&set);
        let agreements = found.residues().iter().zip(secret.eval().residues()).filter(|(x, y)| x == y).count();
        assert_eq!(agreements, 0, "{set:?}");
    }
    assert_eq!(points[0].expose_bytes().len(), HEADER_BYTES + epoch.layout.chunk_bytes());
}

//! Facts about the gate: what it decrypts to, what a lift is, what is refused.

use super::close;
use super::gates::{Gates, halves, integers, ledger, named, query, switched, vec_sum};
use crate::aggregation::{Claim, PermitError, ReleaseLedger, VaultSecret};
use crate::backend::Cpu;
use crate::backend::parity::tests::Composed;
use crate::ckks::{Ciphertext, CkksError, Evaluator, GatedCiphertext, Plaintext};
use crate::error::DecodeError;
use crate::multiparty::ideal::toy;
use crate::multiparty::{
    CeremonyError, Crs, Gate, GateHolder, GateHolderError, GateKey, GateLabel, GatePermit, GateSecret, GateSeed,
    GateShare, GateSum, Gated, LiftSum,
};
use crate::params::Preset;
use crate::ring::Poly;
use crate::stream::Stream;
use num_bigint::BigInt;
use std::collections::BTreeSet;

fn weight(asker: u16) -> GateLabel {
    GateLabel { what: Gated::Weight, asker, number: 1 << 40, part: 3 }
}

/// The sum of weight vector 3 of attempt 2^40.
fn lift_sum(g: &Gates, limbs: usize) -> LiftSum {
    LiftSum::new(g.c.evaluator, &g.c.crs, (1 << 40, 3), (limbs, g.c.params.scale())).unwrap()
}

#[test]
fn a_lifted_query_decrypts_under_the_collective_key_and_not_before() {
    for (preset, parties) in [(Preset::Inf13, 3), (Preset::Inf14x30, 2), (Preset::Inf15x60, 1), (Preset::Inf15x90, 2)] {
        let params = toy(preset, 8);
        let top = params.q.len();
        let mut g = Gates::new(params, parties, top);
        let values = g.c.random_values(3.0);
        // One key serves every level.
        for limbs in [top, params.base_limbs + params.limbs_per_level, params.base_limbs] {
            let label = query(parties, limbs as u64);
            let gated = g.encrypt(label, &g.encode(&values, limbs));
            let lifted = g.lift(&gated, label);
            assert_eq!((lifted.limbs(), lifted.scale(), lifted.parts().len()), (limbs, params.scale(), 2));
            close(&g.c.reveal(&lifted), &values, 1e-3);
            let parts = vec![gated.c0.clone(), g.c.crs.gated(label, limbs)];
            let before = Ciphertext { params, limbs, scale: params.scale(), parts };
            let read = g.c.encoder.decode(&g.c.decrypt(&before));
            assert!(read.is_ok_and(|slots| slots.iter().any(|x| x.abs() > 1e3)));
        }
    }
}

#[test]
fn a_lift_is_its_definition_in_integers_bit_for_bit() {
    let mut g = Gates::small(2);
    let values = g.c.random_values(1.0);
    let params = g.c.params;
    for limbs in [g.limbs, g.limbs - 1, params.base_limbs] {
        let label = query(2, 5);
        let gated = g.encrypt(label, &g.encode(&values, limbs));
        let lifted = g.lift(&gated, label);
        let (a, basis) = (g.c.crs.gated(label, limbs), &params.q[..limbs]);
        for half in [0, 1] {
            let key = halves(params, limbs, &g.keys[1].key, half);
            let mut wanted = switched(params, limbs, &a, &key);
            if half == 0 {
                wanted.iter_mut().zip(integers(&gated.c0, basis)).for_each(|(sum, c0)| *sum += c0);
            }
            let found = integers(&lifted.parts()[half], basis);
            assert_eq!(super::gates::distance_log2(&found, &wanted, basis), f64::NEG_INFINITY, "{limbs} {half}");
        }
    }
}

#[test]
fn a_sum_is_its_definition_in_any_order_and_on_another_backend_bit_for_bit() {
    let mut g = Gates::small(3);
    let (params, limbs) = (g.c.params, g.limbs);
    let values: Vec<_> = (0..3).map(|_| g.c.random_values(1.0)).collect();
    let parts: Vec<_> = (1..=3).map(|i| g.encrypt(weight(i), &g.encode(&values[usize::from(i) - 1], limbs))).collect();
    let add = |order: [usize; 3]| {
        let mut sum = lift_sum(&g, limbs);
        order.iter().for_each(|&i| sum.absorb(&parts[i], &g.keys[i]).unwrap());
        assert_eq!(sum.absorbed().len(), 3);
        sum.finish().unwrap()
    };
    let found = add([0, 1, 2]);
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert!(add(order) == found);
    }
    let backend = Composed(Cpu::new(params));
    let evaluator = Evaluator::on(backend).unwrap();
    let mut sum = LiftSum::new(evaluator, &g.c.crs, (1 << 40, 3), (limbs, params.scale())).unwrap();
    for (part, key) in parts.iter().zip(&g.keys) {
        sum.absorb(part, &key.upload(&backend).unwrap()).unwrap();
    }
    let elsewhere = Ciphertext::download(&[&sum.finish().unwrap()], &backend).unwrap();
    assert!(elsewhere[0] == found);
    let lifted = evaluator.lift(&parts[0], &g.c.crs, weight(1), &g.keys[0].upload(&backend).unwrap()).unwrap();
    assert!(Ciphertext::download(&[&lifted], &backend).unwrap()[0] == g.lift(&parts[0], weight(1)));

    let basis = &params.q[..limbs];
    let seconds: Vec<_> = (1..=3).map(|i| g.c.crs.gated(weight(i), limbs)).collect();
    for half in [0, 1] {
        let keys: Vec<_> = g.keys.iter().map(|key| halves(params, limbs, &key.key, half)).collect();
        let terms: Vec<_> = seconds.iter().zip(&keys).map(|(a, key)| (a, &key[..])).collect();
        let mut wanted: Vec<BigInt> = vec_sum(params, limbs, &terms);
        for part in parts.iter().filter(|_| half == 0) {
            wanted.iter_mut().zip(integers(&part.c0, basis)).for_each(|(sum, c0)| *sum += c0);
        }
        let found = integers(&found.parts()[half], basis);
        assert_eq!(super::gates::distance_log2(&found, &wanted, basis), f64::NEG_INFINITY, "half {half}");
    }
    let expected: Vec<f64> = (0..params.slots()).map(|i| values.iter().map(|v| v[i]).sum()).collect();
    close(&g.c.reveal(&found), &expected, 1e-6);
}

#[test]
fn the_second_half_of_a_sum_takes_no_contribution() {
    let mut g = Gates::small(2);
    let values = g.c.random_values(1.0);
    let zero = GatedCiphertext::zero_over(g.c.params, g.limbs, g.c.params.scale()).unwrap();
    let (mut sum, mut keys) = (lift_sum(&g, g.limbs), lift_sum(&g, g.limbs));
    let mut first = Poly::zero(g.c.params.n, g.limbs);
    for i in [1, 2] {
        let part = g.encrypt(weight(i), &g.encode(&values, g.limbs));
        let key = &g.keys[usize::from(i) - 1];
        sum.absorb(&part, key).unwrap();
        keys.absorb(&zero, key).unwrap();
        first.add_assign(&part.c0, &g.c.params.q[..g.limbs]);
    }
    let (sum, keys) = (sum.finish().unwrap(), keys.finish().unwrap());
    assert!(sum.parts()[1] == keys.parts()[1]);
    // And the first half is that of the keys and the contributions, added.
    first.add_assign(&keys.parts()[0], &g.c.params.q[..g.limbs]);
    assert!(sum.parts()[0] == first);
}

#[test]
fn bytes_are_half_of_a_pair_and_keep_everything() {
    let params = Preset::Inf13.params();
    let mut g = Gates::new(params, 2, 4);
    let values = g.c.random_values(1.0);
    let gated = g.encrypt(query(1, 0), &g.encode(&values, 4));
    let bytes = gated.to_bytes();
    assert_eq!(2 * (bytes.len() - 72), g.c.encrypt(&values, params.scale(), 4).to_bytes().len() - 72);
    let read = GatedCiphertext::from_bytes(&bytes, Preset::Inf13).unwrap();
    assert_eq!((read.limbs(), read.scale(), read.digest()), (4, params.scale(), gated.digest()));
    assert!(g.lift(&read, query(1, 0)) == g.lift(&gated, query(1, 0)));
    assert_eq!(GateKey::from_bytes(&g.keys[1].to_bytes(), &g.c.crs).unwrap().digest(), g.keys[1].digest());
    // A query of network A: 19 limbs of INF15-90.
    let scale = Preset::Inf15x90.params().scale();
    assert_eq!(GatedCiphertext::zero(Preset::Inf15x90, 19, scale).unwrap().to_bytes().len(), 2_334_792);
}

#[test]
fn every_label_and_every_gate_has_randomness_of_its_own() {
    let params = toy(Preset::Inf13, 5);
    let (crs, other) = (Crs::over(params, [1; 32]), Crs::over(params, [2; 32]));
    let label = query(1, 1);
    let mut seen = BTreeSet::new();
    let mut fresh = |poly: &Poly<crate::ring::Eval>| assert!(seen.insert(poly.limb(0).to_vec()));
    for label in [
        label,
        GateLabel { what: Gated::Weight, ..label },
        GateLabel { asker: 2, ..label },
        GateLabel { number: 2, ..label },
        GateLabel { number: 1 + (1 << 32), ..label },
        GateLabel { part: 1, ..label },
    ] {
        fresh(&crs.gated(label, 4));
    }
    fresh(&crs.gated(label, 3));
    fresh(&other.gated(label, 4));
    for (crs, asker, limbs) in [(&crs, 1, 4), (&crs, 2, 4), (&crs, 1, 3), (&other, 1, 4)] {
        crs.gate(asker, limbs, 2).iter().flatten().for_each(&mut fresh);
    }
    let seed = GateSeed::from_bytes([5; 32]);
    for (crs, maker, asker) in [(&crs, 1, 2), (&crs, 2, 1), (&crs, 1, 1), (&other, 1, 2)] {
        fresh(&seed.mask(crs, maker, asker, 4));
    }
    fresh(&GateSeed::from_bytes([6; 32]).mask(&crs, 1, 2, 4));
    assert_eq!(*seed.expose_bytes(), [5; 32]);
}

#[test]
fn a_label_is_claimed_for_one_plaintext_and_a_repeat_has_the_same_bytes() {
    let g = Gates::small(2);
    let (one, two) = (g.encode(&[1.0], g.limbs), g.encode(&[2.0], g.limbs));
    let vault = VaultSecret::from_bytes([9; 32]);
    let mut ledger = ledger();
    let mut holder = GateHolder { secret: &g.secrets[0], crs: &g.c.crs, vault: &vault, ledger: &mut ledger };
    let mut bytes = |what, number, first, plaintexts: &[_]| {
        let encrypted = holder.encrypt(what, number, first, plaintexts)?;
        Ok::<Vec<_>, GateHolderError<_>>(encrypted.iter().map(GatedCiphertext::to_bytes).collect())
    };
    let both = [one.clone(), two.clone()];
    let first = bytes(Gated::Query, 7, 0, &both).unwrap();
    assert_eq!(bytes(Gated::Query, 7, 0, &both).unwrap(), first);
    assert_eq!(bytes(Gated::Query, 7, 1, &both[1..]).unwrap(), first[1..]);
    // Another scale, another message: another plaintext.
    let rescaled = g.c.encoder.encode(&[1.0], g.c.params.scale() / 2.0, g.limbs).unwrap();
    for other in [&two, &rescaled, &g.encode(&[1.0], g.limbs - 1)] {
        let refused = bytes(Gated::Query, 7, 0, std::slice::from_ref(other));
        let key = query(1, 7).ledger_key(g.c.crs.epoch());
        assert!(matches!(refused, Err(GateHolderError::Permit(PermitError::Conflict { key: k })) if k == key));
    }
    // Every other label is free.
    for (what, number, part) in
        [(Gated::Weight, 7, 0), (Gated::Query, 8, 0), (Gated::Query, 7 + (1 << 32), 0), (Gated::Query, 7, 2)]
    {
        assert!(bytes(what, number, part, std::slice::from_ref(&two)).is_ok(), "{what:?} {number} {part}");
    }
    // What is gated takes no release of the epoch.
    assert_eq!(ledger.left(), 1);
    let debug = format!("{:?}", GatePermit::claim(&mut ledger, &g.c.crs, query(1, 9), &one).unwrap());
    assert!(debug.starts_with("GatePermit") && !debug.contains("plaintext"), "{debug}");
}

#[test]
fn shares_of_another_gate_and_incomplete_sums_are_refused() {
    let mut g = Gates::small(3);
    let (limbs, max) = (g.limbs, g.c.params.q.len());
    let other = Crs::over(g.c.params, [8; 32]);
    let [first, foreign] = [g.share(1, 2), g.share(1, 3)];
    assert_eq!((first.sender(), first.asker(), first.limbs()), (1, 2, limbs));
    let mut sum = GateSum::new(&g.c.crs, 2, limbs, 3).unwrap();
    sum.absorb(&first).unwrap();
    assert_eq!(sum.absorb(&first), Err(CeremonyError::Duplicate { party: 1 }));
    assert_eq!(sum.absorb(&foreign), Err(CeremonyError::Mismatch { field: "asker", ours: 2, theirs: 3 }));
    let seed = GateSeed::from_bytes([1; 32]);
    let mut stream = Stream::from_seed([3; 32]);
    let mut generate =
        |crs: &Crs, asker, limbs| GateShare::generate(&g.c.secrets[1], crs, asker, limbs, &seed, &mut stream);
    assert!(matches!(sum.absorb(&generate(&other, 2, limbs).unwrap()), Err(CeremonyError::Epoch { .. })));
    let (ours, theirs) = (limbs as u64, limbs as u64 - 1);
    let refused = sum.absorb(&generate(&g.c.crs, 2, limbs - 1).unwrap());
    assert_eq!(refused, Err(CeremonyError::Mismatch { field: "limbs", ours, theirs }));
    for asker in [0, 65] {
        assert!(matches!(generate(&g.c.crs, asker, limbs), Err(CeremonyError::Party { .. })));
    }
    for limbs in [0, max + 1] {
        assert_eq!(generate(&g.c.crs, 1, limbs).err(), Some(CeremonyError::Limbs { limbs, max }));
    }
    let elsewhere = Crs::over(toy(Preset::Inf13, 5), [7; 32]);
    assert!(matches!(generate(&elsewhere, 1, 2), Err(CeremonyError::PresetMismatch { .. })));
    assert_eq!(sum.finish().err(), Some(CeremonyError::Missing { party: 2, parties: 3 }));
    assert_eq!(GateSum::new(&g.c.crs, 4, limbs, 3).err(), Some(CeremonyError::Party { party: 4, parties: 3 }));
    let refused = Gate::from_bytes(&first.to_bytes(), &g.c.crs).err();
    assert_eq!(refused, Some(DecodeError::Field { field: "sender", value: 1 }.into()));
    let mut bytes = first.to_bytes();
    for asker in [0, 65, 1 << 16] {
        bytes[16..20].copy_from_slice(&u32::to_le_bytes(asker));
        let refused = GateShare::from_bytes(&bytes, &g.c.crs).err();
        assert_eq!(refused, Some(DecodeError::Field { field: "asker", value: u64::from(asker) }.into()));
    }
}

#[test]
fn a_key_takes_the_askers_own_gate_and_every_seed() {
    let mut g = Gates::small(3);
    let other = Crs::over(g.c.params, [8; 32]);
    let mut stream = Stream::from_seed([3; 32]);
    let mut generate = |crs: &Crs, asker: usize, gate: usize, seeds: &[_]| {
        GateKey::generate(&g.secrets[asker], crs, &g.gates[gate], seeds, &mut stream)
    };
    let seeds = named(&g.seeds[1]);
    assert!(generate(&g.c.crs, 1, 1, &seeds).is_ok());
    let refused = generate(&g.c.crs, 1, 0, &seeds).err();
    assert_eq!(refused, Some(CeremonyError::Mismatch { field: "asker", ours: 2, theirs: 1 }));
    assert!(matches!(generate(&other, 1, 1, &seeds), Err(CeremonyError::Epoch { .. })));
    // Its own seed hides its secret: without it, no key.
    let without = |party: u16| seeds.iter().copied().filter(|(maker, _)| *maker != party).collect::<Vec<_>>();
    for (missing, parties) in [(2, 2), (1, 2)] {
        let refused = generate(&g.c.crs, 1, 1, &without(missing)).err();
        assert_eq!(refused, Some(CeremonyError::Missing { party: missing, parties }));
    }
    assert_eq!(generate(&g.c.crs, 1, 1, &seeds[..1]).err(), Some(CeremonyError::Missing { party: 2, parties: 2 }));
    let twice = [seeds[0], seeds[1], seeds[0]];
    assert_eq!(generate(&g.c.crs, 1, 1, &twice).err(), Some(CeremonyError::Duplicate { party: 1 }));
    let foreign = GateSecret::over(toy(Preset::Inf13, 5), 2, &mut g.c.stream).unwrap();
    let refused = GateKey::generate(&foreign, &g.c.crs, &g.gates[1], &seeds, &mut stream).err();
    assert_eq!(refused, Some(CeremonyError::PresetMismatch { left: Preset::Inf13, right: Preset::Inf15x90 }));
    for party in [0, 65] {
        assert!(matches!(GateSecret::over(g.c.params, party, &mut stream), Err(CeremonyError::Party { .. })));
    }
    let refused = GateSecret::generate(Preset::Agg13, 1, &mut stream).err();
    assert_eq!(refused, Some(CkksError::NotForEvaluation { preset: Preset::Agg13 }.into()));
}

#[test]
fn lifting_something_else_is_refused() {
    let g = Gates::small(2);
    let params = g.c.params;
    let plaintext = g.encode(&[1.0], g.limbs);
    let gated = g.encrypt(query(1, 0), &plaintext);
    let lift = |x: &GatedCiphertext, crs: &Crs, label, key: &GateKey| g.c.evaluator.lift(x, crs, label, key).err();
    let mismatch = Some(CeremonyError::Mismatch { field: "asker", ours: 1, theirs: 2 });
    assert_eq!(lift(&gated, &g.c.crs, query(1, 0), &g.keys[1]), mismatch);
    let other = Crs::over(params, [8; 32]);
    assert!(matches!(lift(&gated, &other, query(1, 0), &g.keys[0]), Some(CeremonyError::Epoch { .. })));
    let wide = GatedCiphertext::zero_over(params, g.limbs + 1, params.scale()).unwrap();
    let short = CkksError::KeyTooShort { key: g.limbs, ciphertext: g.limbs + 1 };
    assert_eq!(lift(&wide, &g.c.crs, query(1, 0), &g.keys[0]), Some(short.clone().into()));
    let foreign = GatedCiphertext::zero_over(toy(Preset::Inf13, 5), 2, 1.0).unwrap();
    let mismatch = CkksError::PresetMismatch { left: Preset::Inf15x90, right: Preset::Inf13 };
    assert_eq!(lift(&foreign, &g.c.crs, query(1, 0), &g.keys[0]), Some(mismatch.clone().into()));
    let elsewhere = Crs::over(toy(Preset::Inf13, 5), [7; 32]);
    assert_eq!(lift(&gated, &elsewhere, query(1, 0), &g.keys[0]), Some(mismatch.clone().into()));

    let mut sum = lift_sum(&g, g.limbs);
    assert_eq!(lift_sum(&g, g.limbs).finish().err(), Some(CkksError::NoTerms.into()));
    sum.absorb(&gated, &g.keys[0]).unwrap();
    assert_eq!(sum.absorb(&gated, &g.keys[0]), Err(CeremonyError::Duplicate { party: 1 }));
    let low = GatedCiphertext::zero_over(params, g.limbs - 1, params.scale()).unwrap();
    let refused = CkksError::LimbsMismatch { left: g.limbs, right: g.limbs - 1 };
    assert_eq!(sum.absorb(&low, &g.keys[1]), Err(refused.into()));
    let (left, right) = (params.scale(), params.scale() * (1.0 + f64::EPSILON));
    let near = GatedCiphertext::zero_over(params, g.limbs, right).unwrap();
    assert_eq!(sum.absorb(&near, &g.keys[1]), Err(CkksError::ScaleMismatch { left, right }.into()));
    assert_eq!(sum.absorbed().iter().collect::<Vec<_>>(), [1]);
    for limbs in [0, 20] {
        let refused = LiftSum::new(g.c.evaluator, &g.c.crs, (0, 0), (limbs, 1.0)).err();
        assert_eq!(refused, Some(CkksError::Limbs { limbs, max: 19 }.into()));
    }
    let refused = LiftSum::new(g.c.evaluator, &g.c.crs, (0, 0), (1, f64::NAN)).err();
    assert!(matches!(refused, Some(CeremonyError::Ckks(CkksError::Scale { .. }))));
    assert!(LiftSum::new(g.c.evaluator, &elsewhere, (0, 0), (1, 1.0)).is_err());
    // What a lift refuses, a sum refuses.
    assert_eq!(sum.absorb(&foreign, &g.keys[1]), Err(mismatch.clone().into()));
    let mut bytes = g.keys[1].to_bytes();
    bytes[40..72].copy_from_slice(&other.epoch());
    let stale = GateKey::from_bytes(&bytes, &other).unwrap();
    assert!(matches!(sum.absorb(&gated, &stale), Err(CeremonyError::Epoch { .. })));
    assert_eq!(lift_sum(&g, g.limbs + 1).absorb(&wide, &g.keys[1]), Err(short.into()));
}

#[test]
fn nothing_of_another_hospital_or_preset_is_encrypted_and_no_label_is_spent_on_it() {
    let mut g = Gates::small(2);
    let elsewhere = Crs::over(toy(Preset::Inf13, 5), [7; 32]);
    let plaintext = g.encode(&[1.0], g.limbs);
    let vault = VaultSecret::from_bytes([9; 32]);
    let permit = GatePermit::claim(&mut ledger(), &g.c.crs, query(2, 0), &plaintext).unwrap();
    let mismatch = CeremonyError::Mismatch { field: "asker", ours: 1, theirs: 2 };
    assert_eq!(g.secrets[0].encrypt(permit, &vault).err(), Some(mismatch));
    let params = elsewhere.params();
    let foreign = Plaintext { params, limbs: 2, scale: 1.0, poly: Poly::zero(params.n, 2) };
    let secret = GateSecret::over(params, 1, &mut g.c.stream).unwrap();
    let mut ledger = ledger();
    for (secret, crs, plaintext) in
        [(&secret, &g.c.crs, &foreign), (&g.secrets[0], &elsewhere, &plaintext), (&g.secrets[0], &g.c.crs, &foreign)]
    {
        let permit = GatePermit::claim(&mut super::gates::ledger(), crs, query(1, 0), plaintext).unwrap();
        assert!(matches!(secret.encrypt(permit, &vault), Err(CeremonyError::PresetMismatch { .. })));
        let mut holder = GateHolder { secret, crs, vault: &vault, ledger: &mut ledger };
        let refused = holder.encrypt(Gated::Query, 0, 0, std::slice::from_ref(plaintext));
        assert!(matches!(refused, Err(GateHolderError::Ceremony(CeremonyError::PresetMismatch { .. }))));
        let digest = [1; 32];
        let stored = ledger.claim(&query(1, 0).ledger_key(crs.epoch()), digest).unwrap();
        assert_eq!(stored, Claim::Stored(digest), "the label was free");
    }
}

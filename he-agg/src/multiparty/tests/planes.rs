//! Questions made of planes: what they show, what they cannot show, and how often a malformed plane stays closed.

use super::gates::{Gates, integers};
use crate::aggregation::{PermitError, VaultSecret};
use crate::backend::Cpu;
use crate::backend::parity::tests::Composed;
use crate::ckks::{Ciphertext, CkksError, EvaluationKeys, Evaluator, add_gadget, digit_count, extended_basis};
use crate::error::DecodeError;
use crate::multiparty::ideal::toy;
use crate::multiparty::{
    CeremonyError, Crs, GateSecret, KeyPlan, PLANES_PER_GROUP, PLANES_PER_INPUT, Plane, PlaneCommitment, PlaneDigests,
    PlaneDraw, PlaneKey, PlaneLevels, PlaneMaker, PlaneOpeningError, PlaneSeed, PlaneSum, claim_turns, opened_seeds,
    plane_coins,
};
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};
use crate::stream::Stream;

/// Gates with a key for conjugation, at all limbs.
fn gates(params: &'static Params, parties: u16) -> Gates {
    let limbs = params.q.len();
    Gates::with_plan(params, parties, limbs, &KeyPlan { conjugation_limbs: limbs, ..KeyPlan::default() })
}

fn plane_key(g: &mut Gates, asker: u16, limbs: usize) -> PlaneKey {
    let secret = &g.secrets[usize::from(asker) - 1];
    let key = PlaneKey::generate(secret, &g.c.crs, limbs, &mut g.c.stream).unwrap();
    PlaneKey::from_bytes(&key.to_bytes(), &g.c.crs).unwrap()
}

/// Four seeds and what they give.
fn planes(g: &Gates, key: &PlaneKey, pool: u8) -> ([PlaneSeed; PLANES_PER_INPUT], [Plane; PLANES_PER_INPUT]) {
    let seeds = [0, 1, 2, 3].map(|number| PlaneSeed::of_pool(&[pool; 32], key.preset(), number));
    let maker = PlaneMaker::new(key, &g.c.crs).unwrap();
    let planes = seeds.each_ref().map(|seed| {
        let plane = maker.encrypt(seed).unwrap();
        Plane::from_bytes(&plane.to_bytes(), &g.c.crs).unwrap()
    });
    (seeds, planes)
}

fn compose(planes: &[Plane; PLANES_PER_INPUT], turns: &[u8], levels: &PlaneLevels) -> PlaneSum {
    PlaneSum::compose(planes.each_ref(), turns, levels).unwrap()
}

fn lift(g: &Gates, sum: &PlaneSum, asker: u16) -> Ciphertext {
    g.c.evaluator.lift_planes(sum, &g.c.crs, &g.keys[usize::from(asker) - 1], &g.c.keys).unwrap()
}

/// Every slot but each fifth.
fn levels(params: &Params, least: f64, most: f64) -> PlaneLevels {
    PlaneLevels::new(least, most, (0..params.slots()).map(|slot| slot % 5 != 4).collect()).unwrap()
}

#[test]
fn a_question_shows_every_level_in_used_slots_and_zero_in_others() {
    for (preset, parties) in [(Preset::Inf13, 3), (Preset::Inf14x30, 2), (Preset::Inf15x60, 1), (Preset::Inf15x90, 2)] {
        let params = toy(preset, 9);
        let mut g = gates(params, parties);
        for (limbs, (least, most)) in [(params.q.len(), (0.0, 1.0)), (params.base_limbs + 1, (-1.5, 2.25))] {
            let key = plane_key(&mut g, parties, limbs);
            assert_eq!((key.asker(), key.limbs(), key.preset()), (parties, limbs, preset));
            let (seeds, planes) = planes(&g, &key, 1);
            let levels = levels(params, least, most);
            let wanted: Vec<u8> = (0..params.slots()).map(|slot| slot as u8).collect();
            let turns = levels.turns(&wanted, seeds.each_ref(), preset).unwrap();
            let lifted = lift(&g, &compose(&planes, &turns, &levels), parties);
            assert_eq!((lifted.limbs(), lifted.scale(), lifted.parts().len()), (limbs, params.scale(), 2));
            for (slot, found) in g.c.reveal(&lifted).into_iter().enumerate() {
                let step = (most - least) / 255.0;
                let level = least + step * f64::from(wanted[slot]);
                let expected = if slot % 5 == 4 { 0.0 } else { level };
                assert!((found - expected).abs() < step / 20.0, "{preset} {limbs} {slot}: {found} {expected}");
                assert!((levels.value(wanted[slot]) - level).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn no_turns_show_anything_out_of_range() {
    let params = toy(Preset::Inf15x90, 8);
    let mut g = gates(params, 1);
    let key = plane_key(&mut g, 1, 7);
    let levels = levels(params, 0.0, 255.0);
    let mut seen = std::collections::BTreeSet::new();
    for pool in 0..16 {
        let (_, planes) = planes(&g, &key, pool);
        let turns: Vec<u8> = (0..params.slots()).map(|_| g.c.stream.next_u32() as u8).collect();
        for (slot, found) in g.c.reveal(&lift(&g, &compose(&planes, &turns, &levels), 1)).into_iter().enumerate() {
            let nearest = found.round();
            assert!((found - nearest).abs() < 1e-4 && (0.0..256.0).contains(&nearest), "{slot}: {found}");
            if slot % 5 == 4 {
                assert_eq!(nearest, 0.0);
            } else {
                seen.insert(nearest as u8);
            }
        }
    }
    assert!(seen.len() > 250, "whatever is turned shows a level, and all levels are shown: {}", seen.len());
}

#[test]
fn turns_are_uniform_whatever_they_show_and_zero_where_nothing_is() {
    let slots = 4096;
    let levels = PlaneLevels::new(0.0, 1.0, (0..slots).map(|slot| slot < 4000).collect()).unwrap();
    for level in [0, 27, 255] {
        let seeds = [0, 1, 2, 3].map(|number| PlaneSeed::of_pool(&[9; 32], Preset::Inf13, number));
        let turns = levels.turns(&vec![level; slots], seeds.each_ref(), Preset::Inf13).unwrap();
        for digit in 0..4 {
            for turn in 0..4 {
                let count = turns[..4000].iter().filter(|turns| **turns >> (2 * digit) & 3 == turn).count();
                // 1000 expected, with a deviation of 27.
                assert!((880..1120).contains(&count), "{level} {digit} {turn}: {count}");
            }
        }
        assert!(turns[4000..].iter().all(|turns| *turns == 0));
    }
}

#[test]
fn values_become_the_nearest_levels() {
    let levels = PlaneLevels::new(-0.5, 0.5, vec![true; 3]).unwrap();
    assert_eq!(levels.slots(), 3);
    for level in 0..=255 {
        assert_eq!(levels.nearest(levels.value(level)), level);
        assert_eq!(levels.nearest(levels.value(level) + 0.4 / 255.0), level);
    }
    assert_eq!([-3.0, 3.0, f64::NAN].map(|value| levels.nearest(value)), [0, 255, 0]);
    for (least, most) in [(1.0, 1.0), (2.0, 1.0), (f64::NAN, 1.0), (0.0, f64::INFINITY)] {
        assert!(matches!(PlaneLevels::new(least, most, vec![]), Err(CeremonyError::PlaneLevels { .. })));
    }
}

#[test]
fn a_plane_follows_from_its_seed_its_key_and_its_epoch() {
    let params = toy(Preset::Inf15x90, 6);
    let mut g = gates(params, 2);
    let (first, second) = (plane_key(&mut g, 1, 5), plane_key(&mut g, 2, 5));
    let made = |key: &PlaneKey, number| {
        let seed = PlaneSeed::of_pool(&[3; 32], key.preset(), number);
        let again = PlaneSeed::from_bytes(*seed.expose_bytes());
        PlaneMaker::new(key, &g.c.crs).unwrap().encrypt(&again).unwrap()
    };
    let plane = made(&first, 0);
    assert_eq!(plane.to_bytes(), made(&first, 0).to_bytes());
    assert_eq!(plane.to_bytes().len(), 72 + 2 * 6 * 30 * 64 / 8);
    assert_eq!((plane.asker(), plane.limbs()), (1, 5));
    assert_ne!(plane.digest(), made(&first, 1).digest());
    assert_ne!(plane.parts[0].residues(), made(&second, 0).parts[0].residues());
    let elsewhere = Crs::over(params, [8; 32]);
    assert!(matches!(PlaneMaker::new(&first, &elsewhere).err(), Some(CeremonyError::Epoch { .. })));
    assert!(matches!(Plane::from_bytes(&plane.to_bytes(), &elsewhere).err(), Some(CeremonyError::Epoch { .. })));
    assert!(matches!(PlaneKey::from_bytes(&first.to_bytes(), &elsewhere).err(), Some(CeremonyError::Epoch { .. })));
    let secret = &g.secrets[0];
    for limbs in [0, 20] {
        let refused = PlaneKey::generate(secret, &g.c.crs, limbs, &mut Stream::from_seed([1; 32])).err();
        assert_eq!(refused, Some(CeremonyError::Limbs { limbs, max: 19 }));
    }
    let other = GateSecret::over(toy(Preset::Inf13, 6), 1, &mut Stream::from_seed([1; 32])).unwrap();
    let refused = PlaneKey::generate(&other, &g.c.crs, 5, &mut Stream::from_seed([1; 32])).err();
    assert!(matches!(refused, Some(CeremonyError::PresetMismatch { .. })));
}

#[test]
fn a_composition_is_the_same_on_another_backend_and_refuses_what_does_not_belong_together() {
    let params = toy(Preset::Inf15x90, 6);
    let mut g = gates(params, 2);
    let (key, lower) = (plane_key(&mut g, 1, 7), plane_key(&mut g, 1, 6));
    let others = plane_key(&mut g, 2, 7);
    let (_, own) = planes(&g, &key, 1);
    let levels = levels(params, 0.0, 1.0);
    let turns = vec![27; params.slots()];
    let sum = compose(&own, &turns, &levels);
    assert_eq!(sum.preset(), Preset::Inf15x90);
    let lifted = lift(&g, &sum, 1);
    let backend = Composed(Cpu::new(params));
    let evaluator = Evaluator::on(backend).unwrap();
    let (gate, keys) = (g.keys[0].upload(&backend).unwrap(), g.c.keys.upload(&backend).unwrap());
    let elsewhere = evaluator.lift_planes(&sum, &g.c.crs, &gate, &keys).unwrap();
    assert!(Ciphertext::download(&[&elsewhere], &backend).unwrap()[0] == lifted);

    let refused = |found: &PlaneSum, crs: &Crs, key: usize, keys: &EvaluationKeys| {
        g.c.evaluator.lift_planes(found, crs, &g.keys[key], keys).err()
    };
    let mismatch = |error: Option<CeremonyError>| match error {
        Some(CeremonyError::Mismatch { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    assert_eq!(mismatch(refused(&sum, &g.c.crs, 1, &g.c.keys)), "asker");
    let epoch = refused(&sum, &Crs::over(params, [8; 32]), 0, &g.c.keys);
    assert!(matches!(epoch, Some(CeremonyError::Epoch { .. })));
    let none = refused(&sum, &g.c.crs, 0, &EvaluationKeys::over(params));
    assert!(matches!(none, Some(CeremonyError::Ckks(CkksError::MissingRotation { steps: 32 }))), "{none:?}");
    let short = Gates::with_plan(params, 1, 6, &KeyPlan { conjugation_limbs: 7, ..KeyPlan::default() });
    let short = g.c.evaluator.lift_planes(&sum, &g.c.crs, &short.keys[0], &g.c.keys).err();
    assert!(matches!(short, Some(CeremonyError::Ckks(CkksError::KeyTooShort { .. }))), "{short:?}");
    let conjugation = |limbs| {
        let plan = KeyPlan { conjugation_limbs: limbs, ..KeyPlan::default() };
        Gates::with_plan(params, 1, 7, &plan).c.keys
    };
    let refused_by = |keys: &EvaluationKeys| refused(&sum, &g.c.crs, 0, keys);
    assert_eq!(refused_by(&conjugation(7)), None);
    let trimmed = refused_by(&conjugation(6));
    assert!(matches!(trimmed, Some(CeremonyError::Ckks(CkksError::KeyTooShort { .. }))), "{trimmed:?}");
    for (field, key) in [("limbs", &lower), ("asker", &others)] {
        let mut mixed = own.clone();
        mixed[2] = planes(&g, key, 1).1[2].clone();
        let refused = PlaneSum::compose(mixed.each_ref(), &turns, &levels).err();
        assert_eq!(mismatch(refused), field);
    }
    let mut foreign = own.clone();
    foreign[3].origin.epoch = [0; 32];
    let refused = PlaneSum::compose(foreign.each_ref(), &turns, &levels).err();
    assert!(matches!(refused, Some(CeremonyError::Epoch { .. })));
    let refused = PlaneSum::compose(own.each_ref(), &turns[1..], &levels).err();
    assert_eq!(refused, Some(CeremonyError::Turns { found: 31, expected: 32 }));
    let short = PlaneLevels::new(0.0, 1.0, vec![true; 33]).unwrap();
    let refused = PlaneSum::compose(own.each_ref(), &turns, &short).err();
    assert_eq!(refused, Some(CeremonyError::Turns { found: 33, expected: 32 }));
    let seeds = [0, 1, 2, 3].map(|number| PlaneSeed::of_pool(&[1; 32], key.preset(), number));
    let refused = short.turns(&[0; 32], seeds.each_ref(), key.preset()).err();
    assert_eq!(refused, Some(CeremonyError::Turns { found: 32, expected: 33 }));
}

/// A question whose maker took other planes, or other turns, than its evaluators have: another value, or noise.
#[test]
fn planes_of_another_asker_are_noise_under_ones_key() {
    let params = toy(Preset::Inf15x90, 6);
    let mut g = gates(params, 2);
    let key = plane_key(&mut g, 1, 7);
    let (_, mut own) = planes(&g, &key, 1);
    own.iter_mut().for_each(|plane| plane.origin.asker = 2);
    let levels = levels(params, 0.0, 1.0);
    let lifted = lift(&g, &compose(&own, &vec![0; params.slots()], &levels), 2);
    let read = g.c.encoder.decode(&g.c.decrypt(&lifted)).unwrap();
    assert!(read.iter().all(|x| x.abs() > 1e6), "the first asker's planes, sent as the second's");
}

#[test]
fn a_draw_leaves_one_plane_of_each_group_closed_and_is_of_one_asker() {
    let draw = |digest: u8, asker| PlaneDraw::from_digest(&[digest; 32], Preset::Inf13, asker, 4000);
    let first = draw(1, 1);
    assert_eq!(first.groups(), 4000);
    let opened: Vec<u32> = first.opened().collect();
    assert!(opened.len() == 28_000 && opened.is_sorted());
    let closed: Vec<u32> = (0..4000).map(|group| first.closed(group).unwrap()).collect();
    assert!(closed.iter().zip(0..).all(|(plane, group)| plane / PLANES_PER_GROUP == group));
    assert!(closed.iter().all(|plane| opened.binary_search(plane).is_err()));
    assert_eq!(first.closed(4000), None);
    for place in 0..PLANES_PER_GROUP {
        let count = closed.iter().filter(|plane| *plane % PLANES_PER_GROUP == place).count();
        // 500 expected, with a deviation of 21.
        assert!((415..585).contains(&count), "{place}: {count}");
    }
    assert!(first == draw(1, 1) && first != draw(2, 1) && first != draw(1, 2));
}

#[test]
fn a_pool_is_of_one_vault_and_one_epoch() {
    let params = toy(Preset::Inf13, 4);
    let pool =
        |vault: u8, epoch: u8| *PlaneSeed::pool(&VaultSecret::from_bytes([vault; 32]), &Crs::over(params, [epoch; 32]));
    assert_eq!(pool(1, 1), pool(1, 1));
    assert!(pool(1, 1) != pool(2, 1) && pool(1, 1) != pool(1, 2));
}

/// What planes do not show. An asker makes a share of its own gate, and nothing proves the form of such a
/// share: with a constant in it the gate key belongs to the gate and to a short secret exactly as an honest
/// one does, so that no proof about the two keys would find it, and every opened plane is right; but what the
/// closed ones show is out of range.
/// Shares of keys are for `audit own`, which makes them again.
#[test]
fn a_share_of_the_askers_own_gate_moves_its_questions_whatever_its_planes_are() {
    let params = toy(Preset::Inf15x90, 6);
    let mut g = gates(params, 2);
    let (limbs, basis) = (g.limbs, extended_basis(params, g.limbs));
    let (honest, mut own) = (g.share(2, 1), g.share(1, 1));
    // Zero modulo all other primes: an integer of the size of the modulus.
    let prime = params.p.len();
    basis[prime].add(own.0.parts[0].limb_mut(prime), &vec![1; params.n]);
    g.gates[0] = g.sum(1, &[own, honest]);
    g.keys[0] = g.key(1, 0);
    // b - Z' - a' r - P g k, which a proof would show to be short.
    let [_, masks] = g.c.crs.gate(1, limbs, digit_count(params, limbs));
    let mut mask = Poly::<Eval>::zero(params.n, basis.len());
    for (maker, seed) in (1..).zip(&g.seeds[0]) {
        mask.add_assign(&seed.mask(&g.c.crs, maker, 1, limbs), &basis);
    }
    for (digit, [b, _]) in g.keys[0].key.digits().enumerate() {
        let mut made = g.gates[0].0.parts[digit].clone();
        made.mul_add(&masks[digit], &mask, &basis);
        add_gadget(params, limbs, digit, &mut made, g.secrets[0].poly());
        let mut error = b.clone();
        error.sub_assign(&made, &basis);
        assert!(integers(&error, &basis).iter().all(|x| *x <= 21.into() && *x >= (-21).into()));
    }
    // All planes open, and yet: no level, but numbers far beyond.
    let key = plane_key(&mut g, 1, 7);
    let (_, own) = planes(&g, &key, 1);
    let levels = levels(params, 0.0, 1.0);
    let lifted = lift(&g, &compose(&own, &vec![0; params.slots()], &levels), 1);
    let read = g.c.encoder.decode(&g.c.decrypt(&lifted)).unwrap();
    assert!(read.iter().all(|x| x.abs() > 1e6));
}

/// An asker with a pool of planes of which some are malformed.
struct Cheat {
    g: Gates,
    key: PlaneKey,
    groups: u32,
}

impl Cheat {
    fn new(groups: u32) -> Self {
        let mut g = gates(toy(Preset::Inf13, 4), 1);
        let key = plane_key(&mut g, 1, 2);
        Self { g, key, groups }
    }

    /// Digests of a pool whose planes of these numbers have a constant more in their first halves.
    fn digests(&self, pool: &[u8; 32], malformed: &[u32]) -> PlaneDigests {
        let maker = PlaneMaker::new(&self.key, &self.g.c.crs).unwrap();
        let honest = PlaneDigests::of_pool(&maker, pool, self.groups, &|| ()).unwrap();
        let mut bytes = honest.to_bytes();
        for number in malformed {
            let mut plane = maker.encrypt(&PlaneSeed::of_pool(pool, Preset::Inf13, *number)).unwrap();
            plane.parts[0].limb_mut(1).iter_mut().for_each(|x| *x = (*x + (1 << 28)) % (1 << 29));
            let at = *number as usize * 32;
            bytes[at..at + 32].copy_from_slice(&plane.digest());
        }
        PlaneDigests::from_bytes(&bytes, self.groups).unwrap()
    }

    /// Whether the draw of these coins lets them through; the first that it finds otherwise.
    fn outcome(&self, pool: &[u8; 32], digests: &PlaneDigests, coins: &[u8; 32]) -> Result<(), PlaneOpeningError> {
        let draw = PlaneDraw::from_digest(coins, Preset::Inf13, 1, self.groups);
        let seeds = opened_seeds(pool, Preset::Inf13, &draw);
        let maker = PlaneMaker::new(&self.key, &self.g.c.crs).unwrap();
        digests.verify(&maker, &draw, &seeds, &|| ())
    }
}

#[test]
fn of_k_malformed_planes_none_is_opened_with_eight_to_the_minus_k() {
    let (cheat, mut stream) = (Cheat::new(3), Stream::from_seed([5; 32]));
    let pool = [4; 32];
    assert_eq!(cheat.outcome(&pool, &cheat.digests(&pool, &[]), &stream.seed()), Ok(()));
    for (malformed, trials, expected, three_deviations) in
        [(&[3][..], 1600, 200.0, 40.0), (&[7, 8], 3200, 50.0, 21.0), (&[0, 13, 23], 2048, 4.0, 6.0)]
    {
        let digests = cheat.digests(&pool, malformed);
        let passed = (0..trials).filter(|_| match cheat.outcome(&pool, &digests, &stream.seed()) {
            Ok(()) => true,
            Err(PlaneOpeningError::Differs { plane }) => {
                assert!(malformed.contains(&plane));
                false
            }
            Err(other) => panic!("{other:?}"),
        });
        let passed = passed.count() as f64;
        assert!((passed - expected).abs() < three_deviations, "{malformed:?}: {passed} of {trials}");
    }
}

#[test]
fn openings_of_another_shape_are_refused_by_name() {
    let cheat = Cheat::new(2);
    let (pool, coins) = ([4; 32], [1; 32]);
    let digests = cheat.digests(&pool, &[]);
    let draw = PlaneDraw::from_digest(&coins, Preset::Inf13, 1, 2);
    let maker = PlaneMaker::new(&cheat.key, &cheat.g.c.crs).unwrap();
    let mut told = std::sync::atomic::AtomicUsize::new(0);
    let tells = || {
        told.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    let seeds = opened_seeds(&pool, Preset::Inf13, &draw);
    assert_eq!(seeds.len(), 14 * 32);
    assert_eq!(digests.verify(&maker, &draw, &seeds, &tells), Ok(()));
    assert_eq!(*told.get_mut(), 14);
    let count = |found| Err(PlaneOpeningError::Count { found, expected: 14 * 32 });
    assert_eq!(digests.verify(&maker, &draw, &seeds[1..], &|| ()), count(14 * 32 - 1));
    assert_eq!(digests.verify(&maker, &draw, &[&seeds[..], &[0; 32]].concat(), &|| ()), count(15 * 32));
    let fewer = PlaneDigests::from_bytes(&digests.to_bytes()[..8 * 32], 1).unwrap();
    assert_eq!(fewer.verify(&maker, &draw, &seeds, &|| ()), count(14 * 32));
    let mut swapped = seeds;
    swapped[..64].rotate_left(32);
    assert!(matches!(digests.verify(&maker, &draw, &swapped, &|| ()), Err(PlaneOpeningError::Differs { .. })));
    assert_eq!(
        PlaneDigests::from_bytes(&digests.to_bytes(), 3).err(),
        Some(DecodeError::Length { found: 512, expected: 768 })
    );
    let plane = maker.encrypt(&PlaneSeed::of_pool(&pool, Preset::Inf13, 5)).unwrap();
    assert!(digests.is_plane(5, &plane) && !digests.is_plane(4, &plane) && !digests.is_plane(16, &plane));
}

#[test]
fn what_a_hospital_is_bound_to_is_of_one_hospital_one_level_and_one_epoch() {
    let mut cheat = Cheat::new(2);
    let (key, crs) = (cheat.key.clone(), cheat.g.c.crs.clone());
    let digests = cheat.digests(&[4; 32], &[]);
    let bodies = PlaneCommitment { key, coin: [6; 32], digests: digests.clone() }.to_bytes();
    let read = |bodies: &[Vec<u8>; 3], crs: &Crs, of| {
        PlaneCommitment::from_bytes(bodies.each_ref().map(Vec::as_slice), crs, of)
    };
    let found = read(&bodies, &crs, (1, 2, 2)).ok().unwrap();
    assert_eq!((found.key.to_bytes(), found.coin, &found.digests), (bodies[0].clone(), [6; 32], &digests));
    let refused = |bodies: &[Vec<u8>; 3], of| read(bodies, &crs, of).err();
    let mismatch = |field, ours, theirs| Some(CeremonyError::Mismatch { field, ours, theirs });
    assert_eq!(refused(&bodies, (2, 2, 2)), mismatch("asker", 2, 1));
    assert_eq!(refused(&bodies, (1, 3, 2)), mismatch("limbs", 3, 2));
    assert!(matches!(refused(&bodies, (1, 2, 3)), Some(CeremonyError::Decode(DecodeError::Length { .. }))));
    let elsewhere = Crs::over(cheat.g.c.params, [8; 32]);
    assert!(matches!(read(&bodies, &elsewhere, (1, 2, 2)).err(), Some(CeremonyError::Epoch { .. })));
    for coin in [31, 33] {
        let other = [bodies[0].clone(), vec![6; coin], bodies[2].clone()];
        let length = DecodeError::Length { found: coin, expected: 32 };
        assert_eq!(refused(&other, (1, 2, 2)), Some(CeremonyError::Decode(length)));
    }
    // Coins are of everything that all are bound to, in order, and of the epoch.
    let second = plane_key(&mut cheat.g, 1, 3).to_bytes();
    let coins = |crs: &Crs, all: &[&[Vec<u8>; 3]]| {
        plane_coins(crs, all.iter().map(|bodies| bodies.each_ref().map(Vec::as_slice)))
    };
    let other = |at: usize, body: Vec<u8>| {
        let mut other = bodies.clone();
        other[at] = body;
        other
    };
    let others = [other(0, second), other(1, vec![7; 32]), other(2, vec![0; 512])];
    let first = coins(&crs, &[&bodies, &others[0]]);
    let mut seen = std::collections::BTreeSet::from([first]);
    assert!(seen.insert(coins(&elsewhere, &[&bodies, &others[0]])));
    assert!(seen.insert(coins(&crs, &[&others[0], &bodies])));
    assert!(seen.insert(coins(&crs, &[&bodies])));
    assert!(others.iter().skip(1).all(|other| seen.insert(coins(&crs, &[&bodies, other]))));
    // Where one body ends and the next begins is part of it.
    let moved = [bodies[0].clone(), [&bodies[1][..], &[0]].concat(), bodies[2][1..].to_vec()];
    assert!(seen.insert(coins(&crs, &[&moved, &others[0]])));
}

#[test]
fn planes_are_turned_once() {
    let crs = Crs::over(toy(Preset::Inf13, 4), [7; 32]);
    let mut ledger = super::gates::ledger();
    let label = super::gates::query(1, 3);
    claim_turns(&mut ledger, &crs, label, &[1, 2]).unwrap();
    claim_turns(&mut ledger, &crs, label, &[1, 2]).unwrap();
    let key = label.ledger_key(crs.epoch());
    let again = claim_turns(&mut ledger, &crs, label, &[1, 3]);
    assert!(matches!(again, Err(PermitError::Conflict { key: of }) if of == key));
    claim_turns(&mut ledger, &crs, super::gates::query(1, 4), &[1, 3]).unwrap();
}

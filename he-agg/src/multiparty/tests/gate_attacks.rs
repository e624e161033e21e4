//! What a hospital that deviates gets out of the gate, each beside a twin without its rule.
//!
//! With the second half fixed by common randomness and a ciphertext's place, the phase of whatever a
//! cheater sends is, but for honest noise, a polynomial that the cheater computes itself: with
//! t_j = b_j - zeta_j, zeta_j the sum of the dealt -a s_i + e_i, it is c0 + <h(a), t>/P. So it tells
//! it nothing. The setting is that of Mouchet et al., ePrint 2020/304, with common randomness.

use super::close;
use super::gates::{Gates, centred, distance_log2, integers, modulus, multiply, named, query, switched};
use crate::ckks::{Ciphertext, EvaluationKeys, GatedCiphertext, SwitchingKey, add_gadget, digit_count, extended_basis};
use crate::multiparty::key_material::{KeyLabel, KeyMaterial};
use crate::multiparty::{
    GaloisKeyShare, GaloisKeySum, Gate, GateKey, GateLabel, GateSecret, GateSeed, GateShare, Gated, LiftSum, QueryKey,
    QuerySecret,
};
use crate::ring::{Automorphism, Eval, Poly};
use crate::stream::Stream;
use crate::wire::Kind;
use num_bigint::BigInt;

/// How far, as log2, a prediction may lie from the phase: honest noise.
const HONEST: f64 = 8.0;

fn weight(asker: u16) -> GateLabel {
    GateLabel { what: Gated::Weight, asker, number: 0, part: 0 }
}

/// a k of a label, which the label's hospital knows, as integers modulo Q.
fn own_term(g: &Gates, label: GateLabel) -> Vec<BigInt> {
    let basis = &g.c.params.q[..g.limbs];
    let secret = integers(g.secrets[usize::from(label.asker) - 1].poly(), &extended_basis(g.c.params, g.limbs));
    multiply(&integers(&g.c.crs.gated(label, g.limbs), basis), &secret)
}

fn plus(x: &[BigInt], y: &[BigInt]) -> Vec<BigInt> {
    x.iter().zip(y).map(|(x, y)| x + y).collect()
}

/// About uniform modulo Q: half of all coefficients are above Q/4, and some near Q/2.
fn assert_uniform(g: &Gates, phase: &[BigInt]) {
    let q = modulus(&g.c.params.q[..g.limbs]);
    let magnitude = |x: &BigInt| {
        let x = centred(x.clone(), &q);
        if x < BigInt::from(0) { -x } else { x }
    };
    let large = phase.iter().filter(|x| magnitude(x) * 4u32 > q).count();
    // 32 coefficients: 16 expected, deviation 2.8.
    assert!((4..=28).contains(&large), "{large} of {}", phase.len());
    assert!(phase.iter().any(|x| magnitude(x) * 8u32 > &q * 3u32));
}

fn uniform(g: &mut Gates, limbs: usize, special: bool) -> Poly<Eval> {
    let params = g.c.params;
    let basis = if special { extended_basis(params, limbs) } else { params.q[..limbs].to_vec() };
    let mut poly = Poly::zero(params.n, basis.len());
    for (index, limb) in basis.iter().enumerate() {
        g.c.stream.fill_uniform(limb.modulus().value(), poly.limb_mut(index));
    }
    poly
}

/// The constant polynomial 2^k, modulo Q or modulo P Q.
fn constant(g: &Gates, rows: usize, k: u32) -> Poly<Eval> {
    let mut poly = Poly::zero(g.c.params.n, rows);
    let extended = extended_basis(g.c.params, g.limbs);
    let basis = &extended[extended.len() - rows..];
    for (index, limb) in basis.iter().enumerate() {
        poly.limb_mut(index).fill(limb.modulus().pow(2, u64::from(k)));
    }
    poly
}

#[test]
fn the_query_of_another_under_ones_own_label_is_noise_that_one_computes_oneself() {
    let mut g = Gates::small(3);
    let (params, limbs) = (g.c.params, g.limbs);
    let values = g.c.random_values(1.0);
    let image = g.encode(&values, limbs);
    let sent = g.encrypt(query(1, 4), &image);
    close(&g.c.reveal(&g.lift(&sent, query(1, 4))), &values, 1e-6);

    // Hospital 2 sends the same bytes as its own, under either number; or the coordinator has
    // hospital 1 ask them again.
    for label in [query(2, 4), query(2, 5), query(1, 5)] {
        let phase = g.phase(&g.lift(&sent, label));
        let basis = &params.q[..limbs];
        let own = plus(&integers(&sent.c0, basis), &own_term(&g, label));
        assert!(distance_log2(&phase, &own, basis) < HONEST);
        assert!(distance_log2(&phase, &integers(&image.poly, basis), basis) > params.log_q(limbs) - 3.0);
        assert_uniform(&g, &phase);
    }
    // The twin: a ciphertext under the public key is nobody's, so its copy is answered like the original.
    let public = g.c.encrypt(&values, params.scale(), limbs);
    let copied = public.clone();
    close(&g.c.reveal(&copied), &values, 1e-6);
    // So is an own-key query, sent with a copy of the key of its asker.
    let secret = QuerySecret::over(params, &mut g.c.stream);
    let key = QueryKey::generate(&secret, &g.c.public_key, &g.c.crs, limbs, &mut g.c.stream).unwrap();
    let seeded = secret.encrypt(&image, &mut g.c.stream).unwrap();
    let copied = (seeded.clone(), QueryKey::from_bytes(&key.to_bytes(), &g.c.crs).unwrap());
    close(&g.c.reveal(&g.c.evaluator.switch_to_collective(&copied.0, &copied.1).unwrap()), &values, 1e-6);
}

#[test]
fn minus_the_others_isolates_no_contribution() {
    let mut g = Gates::small(4);
    let (params, limbs) = (g.c.params, g.limbs);
    let basis = &params.q[..limbs];
    let values: Vec<_> = (0..3).map(|_| g.c.random_values(1.0)).collect();

    // The twin: both halves under the public key, and the last takes away all but hospital 1's.
    let public: Vec<_> = values.iter().map(|v| g.c.encrypt(v, params.scale(), limbs)).collect();
    let others = g.c.evaluator.add(&public[1], &public[2]).unwrap();
    let mut last = g.c.encrypt(&[], params.scale(), limbs);
    last = g.c.evaluator.sub(&last, &others).unwrap();
    let sum = public.iter().fold(last, |sum, part| g.c.evaluator.add(&sum, part).unwrap());
    close(&g.c.reveal(&sum), &values[0], 1e-6);

    let honest: Vec<_> = (1..=3).map(|i| g.encrypt(weight(i), &g.encode(&values[usize::from(i) - 1], limbs))).collect();
    let mut last = GatedCiphertext::zero_over(params, limbs, params.scale()).unwrap();
    last.c0.sub_assign(&honest[1].c0, basis);
    last.c0.sub_assign(&honest[2].c0, basis);
    let mut sum = LiftSum::new(g.c.evaluator, &g.c.crs, (0, 0), (limbs, params.scale())).unwrap();
    for (part, key) in honest.iter().chain([&last]).zip(&g.keys) {
        sum.absorb(part, key).unwrap();
    }
    let phase = g.phase(&sum.finish().unwrap());
    // All honest weights are still in, and beside them what hospital 4 computes from public values.
    let own = plus(&integers(&last.c0, basis), &own_term(&g, weight(4)));
    let weights = values.iter().map(|v| integers(&g.encode(v, limbs).poly, basis)).reduce(|x, y| plus(&x, &y)).unwrap();
    assert!(distance_log2(&phase, &plus(&weights, &own), basis) < HONEST);
    let isolated = integers(&g.encode(&values[0], limbs).poly, basis);
    assert!(distance_log2(&phase, &isolated, basis) > params.log_q(limbs) - 3.0);
    assert_uniform(&g, &phase);
}

/// A key of hospital 1 with any first halves.
fn forged(g: &Gates, parts: &[Poly<Eval>]) -> GateKey {
    let (params, limbs) = (g.c.params, g.limbs);
    let label = KeyLabel { kind: Kind::GateKey, steps: 0, limbs, polynomials: parts.len() };
    let material = KeyMaterial { params, epoch: g.c.crs.epoch(), label, sender: 1, parts: parts.to_vec() };
    GateKey::from_bytes(&material.to_bytes(), &g.c.crs).unwrap()
}

/// t_j = b_j - zeta_j with zeta_j = Z'_j + a' r_A: what hospital 1 computes of its own key.
fn known(g: &Gates, parts: &[Poly<Eval>]) -> Vec<Vec<BigInt>> {
    let (params, limbs) = (g.c.params, g.limbs);
    let basis = extended_basis(params, limbs);
    let mut mask = Poly::zero(params.n, basis.len());
    for (maker, seed) in named(&g.seeds[0]) {
        mask.add_assign(&seed.mask(&g.c.crs, maker, 1, limbs), &basis);
    }
    let [_, masks] = g.c.crs.gate(1, limbs, parts.len());
    let one = |((b, masking), shares): ((&Poly<Eval>, &Poly<Eval>), &Poly<Eval>)| {
        let mut zeta = shares.clone();
        zeta.mul_add(masking, &mask, &basis);
        let mut t = b.clone();
        t.sub_assign(&zeta, &basis);
        integers(&t, &basis)
    };
    parts.iter().zip(&masks).zip(&g.gates[0].0.parts).map(one).collect()
}

#[test]
fn the_phase_of_anything_malformed_is_its_makers_prediction() {
    let mut g = Gates::small(3);
    let (params, limbs) = (g.c.params, g.limbs);
    let basis = &params.q[..limbs];
    let (digits, rows) = (digit_count(params, limbs), params.p.len() + limbs);
    let honest: Vec<_> = g.keys[0].key.digits().map(|[b, _]| b).collect();
    // The largest that a key can be, a secret of 2^40 and none at all.
    let mut wide = honest.clone();
    for (digit, b) in wide.iter_mut().enumerate() {
        add_gadget(params, limbs, digit, b, &constant(&g, rows, 40));
    }
    let keys = [
        honest,
        wide,
        (0..digits).map(|_| uniform(&mut g, limbs, true)).collect(),
        vec![Poly::zero(params.n, rows); digits],
        vec![constant(&g, rows, 100); digits],
    ];
    let first_halves = [
        g.encrypt(query(1, 0), &g.encode(&[1.0], limbs)).c0,
        uniform(&mut g, limbs, false),
        Poly::zero(params.n, limbs),
        constant(&g, limbs, 100),
    ];
    let label = query(1, 0);
    let a = g.c.crs.gated(label, limbs);
    for (k, parts) in keys.iter().enumerate() {
        let key = forged(&g, parts);
        let known = switched(params, limbs, &a, &known(&g, parts));
        for (c, c0) in first_halves.iter().enumerate() {
            let sent = GatedCiphertext { params, limbs, scale: params.scale(), c0: c0.clone() };
            let phase = g.phase(&g.c.evaluator.lift(&sent, &g.c.crs, label, &key).unwrap());
            let far = distance_log2(&phase, &plus(&known, &integers(c0, basis)), basis);
            println!("key {k}, first half {c}: 2^{far:.1} from the prediction");
            assert!(far < HONEST, "key {k}, first half {c}: 2^{far}");
        }
    }
    // A chosen second half, which no object of the gate can carry, is predicted no worse by who
    // knows its secret; the twin below is who does not.
    for (s, a) in
        [uniform(&mut g, limbs, false), Poly::zero(params.n, limbs), constant(&g, limbs, 60)].iter().enumerate()
    {
        let key = &g.keys[0].key;
        let phase = chosen_second_half(&g, a, key);
        let parts: Vec<_> = key.digits().map(|[b, _]| b).collect();
        let far = distance_log2(&phase, &switched(params, limbs, a, &known(&g, &parts)), basis);
        assert!(far < HONEST, "second half {s}: 2^{far}");
    }
    // The twin: a ciphertext with a second half of its sender's choice. (0, 2^60) is 2^60 s.
    let parts = vec![Poly::zero(params.n, limbs), constant(&g, limbs, 60)];
    let free = Ciphertext { params, limbs, scale: params.scale(), parts };
    let secret = integers(&g.c.ideal, &extended_basis(params, limbs));
    let read: Vec<_> = g.phase(&free).iter().map(|x| x >> 60).collect();
    assert_eq!(read, secret, "all of the collective secret");
}

/// The phase of ModDown <h(a), key>.
fn chosen_second_half(g: &Gates, a: &Poly<Eval>, key: &SwitchingKey) -> Vec<BigInt> {
    use crate::backend::{Backend, Digits, KeySwitch};
    let (params, limbs) = (g.c.params, g.limbs);
    let switch = KeySwitch { digits: Digits::Of(a), key, own: None, addends: [None, None], automorphism: None };
    let parts = g.c.evaluator.backend.key_switch(limbs, limbs, &[switch]).unwrap().remove(0);
    g.phase(&Ciphertext { params, limbs, scale: params.scale(), parts: parts.into() })
}

/// What hospital 1's query says after a gate that is off by `delta` per digit, which its forger knows.
fn shifted_by(g: &Gates, key: &GateKey, delta: &[Poly<Eval>], what: &str) {
    let (params, limbs) = (g.c.params, g.limbs);
    let (basis, extended, label) = (&params.q[..limbs], extended_basis(params, limbs), query(1, 0));
    let image = g.encode(&[0.5, -0.25], limbs);
    let sent = g.encrypt(label, &image);
    let phase = g.phase(&g.c.evaluator.lift(&sent, &g.c.crs, label, key).unwrap());
    let delta: Vec<_> = delta.iter().map(|delta| integers(delta, &extended)).collect();
    let shift = switched(params, limbs, &g.c.crs.gated(label, limbs), &delta);
    let image = integers(&image.poly, basis);
    let far = distance_log2(&phase, &plus(&image, &shift), basis);
    println!("{what}: 2^{far:.1} from the prediction");
    assert!(far < HONEST, "{what}: 2^{far}");
    // The asker's answer is wrong, and only that.
    assert!(distance_log2(&phase, &image, basis) > 60.0, "{what}");
}

#[test]
fn a_malformed_share_or_a_forged_gate_shifts_answers_by_what_the_forger_computes() {
    let mut g = Gates::small(3);
    let (params, limbs, rows) = (g.c.params, g.limbs, g.c.params.p.len() + g.limbs);
    let (basis, digits) = (extended_basis(params, limbs), digit_count(params, limbs));
    let honest = [g.share(1, 1), g.share(3, 1)];
    let [halves, masks] = g.c.crs.gate(1, limbs, digits);

    // Hospital 2's share is uniform. Its deviation is z' + a s_2 + a' r_21, both secrets its own.
    let parts: Vec<_> = (0..digits).map(|_| uniform(&mut g, limbs, true)).collect();
    let mask = g.seeds[0][1].mask(&g.c.crs, 2, 1, limbs);
    let deviation = parts.iter().zip(&halves).zip(&masks).map(|((part, a), masking)| {
        let mut delta = part.clone();
        delta.mul_add(a, g.c.secrets[1].poly(), &basis);
        delta.mul_add(masking, &mask, &basis);
        delta
    });
    let deviation: Vec<_> = deviation.collect();
    let label = KeyLabel { kind: Kind::GateShare, steps: 1, limbs, polynomials: digits };
    let material = KeyMaterial { params, epoch: g.c.crs.epoch(), label, sender: 2, parts };
    let malformed = GateShare::from_bytes(&material.to_bytes(), &g.c.crs).unwrap();
    let [first, last] = honest;
    let gate = g.sum(1, &[first, malformed, last]);
    g.gates.push(gate);
    let key = g.key(1, 3);
    shifted_by(&g, &key, &deviation, "a uniform share");

    // Whoever adds hands hospital 1 another sum.
    for (what, delta) in [
        ("a uniform forgery", (0..digits).map(|_| uniform(&mut g, limbs, true)).collect::<Vec<_>>()),
        ("2^200 in every digit", vec![constant(&g, rows, 200); digits]),
    ] {
        let mut parts = g.gates[0].0.parts.clone();
        parts.iter_mut().zip(&delta).for_each(|(part, delta)| part.add_assign(delta, &basis));
        let material = KeyMaterial { params, epoch: g.c.crs.epoch(), label, sender: 0, parts };
        g.gates.push(Gate::from_bytes(&material.to_bytes(), &g.c.crs).unwrap());
        let key = g.key(1, g.gates.len() - 1);
        shifted_by(&g, &key, &delta, what);
    }
}

/// The automorphism X -> X^(5^steps) of integers.
fn rotated(x: &[BigInt], steps: u32) -> Vec<BigInt> {
    let n = x.len();
    let mut out = vec![BigInt::from(0); n];
    for (i, x) in x.iter().enumerate() {
        let to = i * 5usize.pow(steps) % (2 * n);
        out[to % n] = if to < n { x.clone() } else { -x };
    }
    out
}

#[test]
fn a_malformed_rotation_share_shifts_answers_by_what_its_maker_computes() {
    const STEPS: usize = 3;
    let mut g = Gates::small(2);
    let (params, limbs) = (g.c.params, g.limbs);
    let (basis, digits) = (extended_basis(params, limbs), digit_count(params, limbs));
    let parts: Vec<_> = (0..digits).map(|_| uniform(&mut g, limbs, true)).collect();
    // Against -a phi^-1(s_2) + P g s_2, both of which hospital 2 has.
    let secret = &g.c.secrets[1];
    let turned = secret.rotated(&Automorphism::rotation(params.n, -(STEPS as i32)), limbs);
    let mut deviation = parts.clone();
    for (digit, (delta, a)) in deviation.iter_mut().zip(g.c.crs.rotation(STEPS, limbs, digits)).enumerate() {
        delta.mul_add(&a, &turned, &basis);
        let mut gadget = Poly::zero(params.n, basis.len());
        add_gadget(params, limbs, digit, &mut gadget, secret.poly());
        delta.sub_assign(&gadget, &basis);
    }
    let label = KeyLabel { kind: Kind::GaloisKey, steps: STEPS, limbs, polynomials: digits };
    let material = KeyMaterial { params, epoch: g.c.crs.epoch(), label, sender: 2, parts };
    let mut sum = GaloisKeySum::new(&g.c.crs, STEPS as i32, limbs, 2).unwrap();
    let honest = GaloisKeyShare::generate(&g.c.secrets[0], &g.c.crs, STEPS as i32, limbs, &mut g.c.stream);
    sum.absorb(&honest.unwrap()).unwrap();
    sum.absorb(&GaloisKeyShare::from_bytes(&material.to_bytes(), &g.c.crs).unwrap()).unwrap();
    let mut keys = EvaluationKeys::over(params);
    keys.insert_rotation(sum.finish().unwrap()).unwrap();

    let image = g.encode(&[0.5, -0.25], limbs);
    let lifted = g.lift(&g.encrypt(query(1, 0), &image), query(1, 0));
    let phase = g.phase(&g.c.evaluator.rotate(&lifted, STEPS as i32, &keys).unwrap());
    let deviation: Vec<_> = deviation.iter().map(|delta| integers(delta, &basis)).collect();
    let shift = switched(params, limbs, &lifted.parts()[1], &deviation);
    let image = integers(&image.poly, &params.q[..limbs]);
    let far = |wanted: &[BigInt]| distance_log2(&phase, &rotated(wanted, STEPS as u32), &params.q[..limbs]);
    assert!(far(&plus(&image, &shift)) < HONEST);
    assert!(far(&image) > params.log_q(limbs) - 3.0);
}

/// k - k' from the first digits of two keys of hospital 1, where it is short.
fn difference_of_secrets(g: &Gates, [one, other]: [&GateKey; 2]) -> Vec<BigInt> {
    let (params, specials) = (g.c.params, g.c.params.p.len());
    let basis = extended_basis(params, one.limbs().min(other.limbs()));
    let [mut difference, second] = [one, other].map(|key| {
        let [mut b, _] = key.key.digits().next().unwrap();
        b.truncate(basis.len());
        b
    });
    difference.sub_assign(&second, &basis);
    let difference = difference.into_coeff(&basis);
    // Modulo P there is no secret, only the errors' difference; modulo Q there is P times it beside.
    let (special, q) = (basis[0].modulus(), basis[specials].modulus());
    let p = params.p.iter().fold(1, |p, limb| q.mul(p, q.reduce_u64(u64::from(limb.modulus().value()))));
    let one = |k: usize| {
        let error = special.centre(difference.limb(0)[k]);
        let rest = q.sub(difference.limb(specials)[k], q.reduce_i64(error));
        BigInt::from(q.centre(q.mul(rest, q.inv(p))))
    };
    (0..params.n).map(one).collect()
}

#[test]
fn two_keys_of_one_gate_show_the_difference_of_their_secrets() {
    let mut g = Gates::small(2);
    let (params, basis) = (g.c.params, extended_basis(g.c.params, g.limbs));
    let secret = GateSecret::over(params, 1, &mut Stream::from_seed([6; 32])).unwrap();
    let [before, after] = [&g.secrets[0], &secret].map(|secret| integers(secret.poly(), &basis));
    let wanted: Vec<_> = before.iter().zip(after).map(|(x, y)| x - y).collect();
    g.secrets[0] = secret;
    let second = g.key(1, 0);
    assert_eq!(difference_of_secrets(&g, [&g.keys[0], &second]), wanted, "so a gate has one key, for ever");

    // Fresh seeds and shares change nothing: a key is -a s + P g k + e, without its masks.
    let again = |g: &mut Gates| {
        g.seeds[0] = (0..2).map(|_| GateSeed::generate(&mut g.c.stream)).collect();
        let shares = [g.share(1, 1), g.share(2, 1)];
        let gate = g.sum(1, &shares);
        g.gates.push(gate);
        g.key(1, g.gates.len() - 1)
    };
    let third = again(&mut g);
    assert_eq!(difference_of_secrets(&g, [&g.keys[0], &third]), wanted, "nor has an epoch another gate");
    // Other limbs, like another epoch, are another `a`, under which nothing is short. 32 residues of
    // 2^30 are as short as a difference of secrets in 2^-22 of cases.
    g.limbs -= 1;
    let fourth = again(&mut g);
    let short = |x: &BigInt| (-2..=2).any(|small| *x == BigInt::from(small));
    assert!(!difference_of_secrets(&g, [&g.keys[0], &fourth]).iter().any(short));
}

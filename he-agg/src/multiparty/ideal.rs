//! Tests only: a whole ceremony and the ideal secret key, which real parties never form.

use crate::aggregation::MaskKey;
use crate::backend::Cpu;
use crate::ckks::extended_basis;
use crate::ckks::{Ciphertext, Encoder, EvaluationKeys, Evaluator, Plaintext, PublicKey, decrypt};
use crate::multiparty::*;
use crate::params::{Params, Preset};
use crate::ring::{Eval, Poly};
use crate::stream::Stream;
use std::collections::BTreeMap;

/// Leaks a parameter set over a small ring: fast, and without security.
pub(crate) fn toy(preset: Preset, log_n: u32) -> &'static Params {
    Box::leak(Box::new(Params::toy(preset, log_n)))
}

/// The outcome of a ceremony of n parties, with the ideal secret beside it.
pub(crate) struct Ceremony {
    pub(crate) params: &'static Params,
    pub(crate) crs: Crs,
    pub(crate) secrets: Vec<ServingSecret>,
    pub(crate) ideal: Poly<Eval>,
    pub(crate) public_key: PublicKey,
    pub(crate) keys: EvaluationKeys,
    pub(crate) encoder: Encoder,
    pub(crate) evaluator: Evaluator,
    pub(crate) stream: Stream,
}

impl Ceremony {
    /// Runs the ceremony of the plan, every message through its bytes if `wire`.
    pub(crate) fn run(params: &'static Params, parties: u16, plan: &KeyPlan, wire: bool) -> Self {
        let mut stream = Stream::from_seed([42; 32]);
        let crs = Crs::over(params, [7; 32]);
        let secrets: Vec<_> =
            (1..=parties).map(|party| ServingSecret::over(params, party, &mut stream).unwrap()).collect();
        let mut ideal = Poly::zero(params.n, params.p.len() + params.q.len());
        for secret in &secrets {
            ideal.add_assign(secret.poly(), &extended_basis(params, params.q.len()));
        }
        let public_key = collective_public_key(&crs, &secrets, wire, &mut stream);
        let mut keys = EvaluationKeys::over(params);
        if plan.relin_limbs > 0 {
            let key = collective_relin_key(&crs, &secrets, plan.relin_limbs, wire, &mut stream);
            keys.set_relinearization(key).unwrap();
        }
        let conjugation = Some((params.slots() as i32, plan.conjugation_limbs)).filter(|(_, limbs)| *limbs > 0);
        for (steps, limbs) in plan.rotations.iter().map(|(steps, limbs)| (*steps, *limbs)).chain(conjugation) {
            let mut sum = GaloisKeySum::new(&crs, steps, limbs, parties).unwrap();
            for secret in &secrets {
                let share = GaloisKeyShare::generate(secret, &crs, steps, limbs, &mut stream).unwrap();
                let share = if wire { GaloisKeyShare::from_bytes(&share.to_bytes(), &crs).unwrap() } else { share };
                sum.absorb(&share).unwrap();
            }
            let key = sum.finish().unwrap();
            let key = if wire { GaloisKey::from_bytes(&key.to_bytes(&crs), &crs).unwrap() } else { key };
            keys.insert_rotation(key).unwrap();
        }
        let (encoder, evaluator) = (Encoder::over(params), Evaluator::on(Cpu::new(params)).unwrap());
        Self { params, crs, secrets, ideal, public_key, keys, encoder, evaluator, stream }
    }

    pub(crate) fn encrypt(&mut self, values: &[f64], scale: f64, limbs: usize) -> Ciphertext {
        let plaintext = self.encoder.encode(values, scale, limbs).unwrap();
        self.public_key.encrypt(&plaintext, &mut self.stream).unwrap()
    }

    pub(crate) fn decrypt(&self, ciphertext: &Ciphertext) -> Plaintext {
        decrypt(ciphertext, &self.ideal, self.params.p.len())
    }

    pub(crate) fn reveal(&self, ciphertext: &Ciphertext) -> Vec<f64> {
        self.encoder.decode(&self.decrypt(ciphertext)).unwrap()
    }

    /// The sums of all hospitals' points, by holder, each through its bytes.
    pub(crate) fn deal(&self, threshold: u16) -> Vec<ServingKeyShare> {
        let parties = self.secrets.len() as u16;
        let mut stream = Stream::from_seed([9; 32]);
        let mut shares: Vec<Option<ServingKeyShare>> = (0..parties).map(|_| None).collect();
        for secret in &self.secrets {
            let dealt = secret.share_points(&self.crs, threshold, parties, &mut stream).unwrap();
            for (held, share) in shares.iter_mut().zip(dealt) {
                let share = ServingKeyShare::from_bytes(&share.to_bytes(), &self.crs).unwrap();
                match held {
                    Some(sum) => sum.absorb(&share).unwrap(),
                    None => *held = Some(share),
                }
            }
        }
        shares.into_iter().flatten().collect()
    }

    /// Pair keys of one hospital, as the two halves would give them.
    pub(crate) fn pair_keys(&self, party: u16) -> BTreeMap<u16, MaskKey> {
        let half = |from: u16, to: u16| [(from * 64 + to) as u8; 32];
        let others = (1..=self.secrets.len() as u16).filter(|&other| other != party);
        let key = |other: u16| {
            let (ours, theirs) = (half(party, other), half(other, party));
            (other, MaskKey::pair(&self.crs.epoch(), (party, &ours), (other, &theirs)))
        };
        others.map(key).collect()
    }

    pub(crate) fn random_values(&mut self, bound: f64) -> Vec<f64> {
        let slots = self.params.slots();
        (0..slots).map(|_| bound * (2.0 * self.stream.next_f64() - 1.0)).collect()
    }
}

fn collective_public_key(crs: &Crs, secrets: &[ServingSecret], wire: bool, stream: &mut Stream) -> PublicKey {
    let mut sum = PublicKeySum::new(crs, secrets.len() as u16).unwrap();
    for secret in secrets {
        let share = PublicKeyShare::generate(secret, crs, stream).unwrap();
        let share = if wire { PublicKeyShare::from_bytes(&share.to_bytes(), crs).unwrap() } else { share };
        sum.absorb(&share).unwrap();
    }
    let key = sum.finish().unwrap();
    if wire { PublicKey::from_bytes(&key.to_bytes(crs), crs).unwrap() } else { key }
}

fn collective_relin_key(
    crs: &Crs,
    secrets: &[ServingSecret],
    limbs: usize,
    wire: bool,
    stream: &mut Stream,
) -> RelinearizationKey {
    let parties = secrets.len() as u16;
    let mut sum = RelinKeySum::<R1>::new(crs, limbs, parties).unwrap();
    let mut ephemerals = Vec::new();
    for secret in secrets {
        let (share, ephemeral) = RelinKeyShare::<R1>::generate(secret, crs, limbs, stream).unwrap();
        let share = if wire { RelinKeyShare::from_bytes(&share.to_bytes(), crs).unwrap() } else { share };
        sum.absorb(&share).unwrap();
        ephemerals.push(ephemeral);
    }
    let mut sums = sum.finish().unwrap();
    if wire {
        sums = RelinIntermediate::from_bytes(&sums.to_bytes(), crs).unwrap();
    }
    let mut second = RelinKeySum::<R2>::new(crs, limbs, parties).unwrap();
    for (secret, ephemeral) in secrets.iter().zip(ephemerals) {
        let share = RelinKeyShare::<R2>::generate(secret, ephemeral, &sums, stream).unwrap();
        let share = if wire { RelinKeyShare::from_bytes(&share.to_bytes(), crs).unwrap() } else { share };
        second.absorb(&share).unwrap();
    }
    let key = second.finish(&sums).unwrap();
    if wire { RelinearizationKey::from_bytes(&key.to_bytes(crs), crs).unwrap() } else { key }
}

/// Root mean square and largest coefficient of decryption minus `expected`.
pub(crate) fn noise(ceremony: &Ceremony, ciphertext: &Ciphertext, expected: &[f64]) -> (f64, f64) {
    let params = ceremony.params;
    let wanted = ceremony.encoder.encode(expected, ciphertext.scale(), ciphertext.limbs()).unwrap();
    let found = ceremony.decrypt(ciphertext);
    let values = crate::ckks::coefficient_differences(&found, &wanted);
    let squares: f64 = values.iter().map(|d| d * d).sum();
    let largest = values.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
    ((squares / params.n as f64).sqrt(), largest)
}

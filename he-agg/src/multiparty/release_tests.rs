//! Facts about releases: any threshold of hospitals, flooding, permits, masks.

use super::ideal::{Ceremony, toy};
use super::*;
use crate::aggregation::{Flooding, MaskKey, MemoryLedger, PermitError, VaultSecret};
use crate::ckks::{Ciphertext, coefficient_differences};
use crate::params::Preset;
use crate::stream::Stream;
use std::collections::BTreeMap;

/// A key of n hospitals whose secrets are dealt, with what decryptors hold.
pub(super) struct Hospitals {
    pub(super) c: Ceremony,
    pub(super) quorum: Quorum,
    pub(super) shares: Vec<ServingKeyShare>,
    pub(super) asker: AskerKey,
}

impl Hospitals {
    pub(super) fn new(c: Ceremony, threshold: u16) -> Self {
        let parties = c.secrets.len() as u16;
        let mut stream = Stream::from_seed([9; 32]);
        let mut shares: Vec<Option<ServingKeyShare>> = (0..parties).map(|_| None).collect();
        for secret in &c.secrets {
            let dealt = secret.share_points(&c.crs, threshold, parties, &mut stream).unwrap();
            for (held, share) in shares.iter_mut().zip(dealt) {
                let share = ServingKeyShare::from_bytes(&share.to_bytes(), &c.crs).unwrap();
                match held {
                    Some(sum) => sum.absorb(&share).unwrap(),
                    None => *held = Some(share),
                }
            }
        }
        let shares = shares.into_iter().flatten().collect();
        let asker = AskerKey::over(c.params, &mut stream);
        Self { c, quorum: Quorum { threshold, parties }, shares, asker }
    }

    pub(super) fn context<'a>(&'a self, ciphertext: &'a Ciphertext, set: &[u16]) -> SwitchContext<'a> {
        let asker = self.asker.public();
        SwitchContext::new(&self.c.crs, self.quorum, (1, [3; 32]), ciphertext, asker, set).unwrap()
    }

    /// Pair keys of one decryptor, as the two halves would give them.
    fn pair_keys(&self, party: u16) -> BTreeMap<u16, MaskKey> {
        let half = |from: u16, to: u16| [(from * 64 + to) as u8; 32];
        (1..=self.quorum.parties)
            .filter(|&other| other != party)
            .map(|other| {
                let (ours, theirs) = (half(party, other), half(other, party));
                let key = MaskKey::pair(&self.c.crs.epoch(), (party, &ours), (other, &theirs));
                (other, key)
            })
            .collect()
    }

    pub(super) fn share(
        &self,
        context: &SwitchContext<'_>,
        party: u16,
        policy: DecryptPolicy,
    ) -> Result<KeySwitchShare, CeremonyError> {
        let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
        let permit = SwitchPermit::claim(&mut ledger, context).unwrap();
        let key = &self.shares[usize::from(party) - 1];
        let vault = VaultSecret::from_bytes([party as u8; 32]);
        KeySwitchShare::generate(permit, context, key, policy, &self.pair_keys(party), &vault)
    }

    pub(super) fn release(&self, ciphertext: &Ciphertext, set: &[u16], policy: DecryptPolicy) -> Ciphertext {
        let context = self.context(ciphertext, set);
        let mut sum = SwitchSum::new(&context);
        for &party in set {
            let share = self.share(&context, party, policy).unwrap();
            let share = KeySwitchShare::from_bytes(&share.to_bytes(), &context).unwrap();
            sum.absorb(&share).unwrap();
        }
        sum.finish().unwrap()
    }
}

pub(super) fn small(threshold: u16) -> (Hospitals, Ciphertext) {
    let params = toy(Preset::Inf15x90, 8);
    let mut c = Ceremony::run(params, 5, &KeyPlan::default(), false);
    let values = c.random_values(4.0);
    let ciphertext = c.encrypt(&values, params.scale(), params.base_limbs);
    (Hospitals::new(c, threshold), ciphertext)
}

/// What a chain of three products on INF15-90 stays below.
fn bound() -> ErrorBound {
    ErrorBound::at_least(28.7).unwrap()
}

pub(super) fn flooded() -> DecryptPolicy {
    DecryptPolicy::Flooded(Flooding::secure(40, 1 << 10).unwrap(), bound())
}

#[test]
fn any_three_of_five_release_what_the_ideal_key_decrypts() {
    let (hospitals, ciphertext) = small(3);
    let direct = hospitals.c.decrypt(&ciphertext);
    let bits = flooded().flooding_over(hospitals.c.params).unwrap().unwrap();
    for mask in 0u16..32 {
        let set: Vec<u16> = (1..=5).filter(|j| mask >> (j - 1) & 1 == 1).collect();
        if set.len() < 3 {
            continue;
        }
        let released = hospitals.release(&ciphertext, &set, flooded());
        let read = hospitals.asker.decrypt(&released).unwrap();
        let differences = coefficient_differences(&read, &direct);
        let largest = differences.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
        let squares: f64 = differences.iter().map(|d| d * d).sum();
        let rms = (squares / differences.len() as f64).sqrt();
        // Every decryptor's noise is there in full, and nothing else of that size.
        let deviation = (set.len() as f64).sqrt() * f64::from(bits).exp2();
        assert!(largest < 6.5 * set.len() as f64 * f64::from(bits).exp2(), "{set:?}");
        assert!(rms > 0.8 * deviation && rms < 1.2 * deviation, "{set:?}: {rms} {deviation}");
    }
}

#[test]
fn a_release_lacking_one_share_is_refused_and_would_be_uniform() {
    let (hospitals, ciphertext) = small(3);
    let context = hospitals.context(&ciphertext, &[1, 2, 4]);
    let mut sum = SwitchSum::new(&context);
    for party in [1, 2] {
        sum.absorb(&hospitals.share(&context, party, flooded()).unwrap()).unwrap();
    }
    let partial = sum.result.clone();
    assert_eq!(sum.finish().err(), Some(CeremonyError::Missing { party: 4, parties: 3 }));
    // Uniform modulo 2^120: the message at 2^92 cannot be seen in it.
    let read = hospitals.asker.decrypt(&partial).unwrap();
    let direct = hospitals.c.decrypt(&ciphertext);
    let differences = coefficient_differences(&read, &direct);
    let squares: f64 = differences.iter().map(|d| d * d).sum();
    assert!((squares / differences.len() as f64).sqrt() > 117f64.exp2());
}

#[test]
fn shares_repeat_their_bytes_and_are_bound_to_their_release() {
    let (hospitals, ciphertext) = small(3);
    let context = hospitals.context(&ciphertext, &[1, 2, 4]);
    let share = hospitals.share(&context, 2, flooded()).unwrap();
    let again = hospitals.share(&context, 2, flooded()).unwrap();
    assert_eq!(share.to_bytes(), again.to_bytes());
    // Another T, another result, another query: refused.
    let other = hospitals.context(&ciphertext, &[1, 2, 3]);
    assert!(matches!(SwitchSum::new(&other).absorb(&share), Err(CeremonyError::Context { .. })));
    assert!(matches!(KeySwitchShare::from_bytes(&share.to_bytes(), &other), Err(CeremonyError::Context { .. })));
    let mut sum = SwitchSum::new(&context);
    sum.absorb(&share).unwrap();
    assert_eq!(sum.absorb(&again), Err(CeremonyError::Duplicate { party: 2 }));
    assert!(hospitals.share(&context, 3, flooded()).is_err());
}

#[test]
fn a_second_context_for_one_query_gets_no_permit() {
    let (hospitals, ciphertext) = small(3);
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 8).unwrap());
    let first = hospitals.context(&ciphertext, &[1, 2, 4]);
    let second = hospitals.context(&ciphertext, &[1, 2, 3]);
    let _ = SwitchPermit::claim(&mut ledger, &first).unwrap();
    let _ = SwitchPermit::claim(&mut ledger, &first).unwrap();
    assert!(matches!(SwitchPermit::claim(&mut ledger, &second), Err(PermitError::Conflict { .. })));
    assert_eq!(ledger.left(), 7);
    // A permit for one context does not serve another.
    let permit = SwitchPermit::claim(&mut ledger, &first).unwrap();
    let (key, vault) = (&hospitals.shares[0], VaultSecret::from_bytes([1; 32]));
    let keys = hospitals.pair_keys(1);
    assert!(matches!(
        KeySwitchShare::generate(permit, &second, key, flooded(), &keys, &vault),
        Err(CeremonyError::Context { .. })
    ));
}

#[test]
fn releases_that_would_be_unsafe_are_refused() {
    let (mut hospitals, ciphertext) = small(3);
    let context = hospitals.context(&ciphertext, &[1, 2, 3]);
    assert_eq!(
        hospitals.share(&context, 1, DecryptPolicy::TrustedHolder).err(),
        Some(CeremonyError::TrustedHolderShares { decryptors: 3 })
    );
    let permit = SwitchPermit { digest: context.digest() };
    let vault = VaultSecret::from_bytes([1; 32]);
    let key = &hospitals.shares[0];
    assert_eq!(
        KeySwitchShare::generate(permit, &context, key, flooded(), &BTreeMap::new(), &vault).err(),
        Some(CeremonyError::MissingPairKey { party: 2 })
    );
    let asker = hospitals.asker.public();
    let new = |ciphertext, set: &[u16]| {
        let (crs, quorum) = (&hospitals.c.crs, hospitals.quorum);
        SwitchContext::new(crs, quorum, (1, [0; 32]), ciphertext, asker, set).err()
    };
    assert_eq!(new(&ciphertext, &[1, 2]), Some(CeremonyError::TooFewDecryptors { found: 2, threshold: 3 }));
    assert_eq!(new(&ciphertext, &[1, 2, 2]), Some(CeremonyError::Duplicate { party: 2 }));
    assert_eq!(new(&ciphertext, &[1, 2, 6]), Some(CeremonyError::Party { party: 6, parties: 5 }));
    let product = hospitals.c.evaluator.mul(&ciphertext, &ciphertext).unwrap();
    assert!(matches!(new(&product, &[1, 2, 3]), Some(CeremonyError::NotReleasable { .. })));
    assert!(matches!(
        DecryptPolicy::Flooded(Flooding::secure(40, 1).unwrap(), bound()).flooding_log2(Preset::Inf13),
        Err(CeremonyError::FloodingTooLarge { preset: Preset::Inf13, .. })
    ));
    // A key share that lacks a dealer.
    let mut stream = Stream::from_seed([8; 32]);
    let secret = &hospitals.c.secrets[0];
    let dealt = secret.share_points(&hospitals.c.crs, 3, 5, &mut stream).unwrap();
    assert_eq!(
        secret.share_points(&hospitals.c.crs, 2, 5, &mut stream).err(),
        Some(CeremonyError::Threshold { threshold: 2, parties: 5 })
    );
    hospitals.shares = dealt;
    let context = hospitals.context(&ciphertext, &[1, 2, 3]);
    assert_eq!(hospitals.share(&context, 1, flooded()).err(), Some(CeremonyError::Missing { party: 2, parties: 5 }));
}

#[test]
fn flooding_follows_the_bound_in_whole_bits() {
    assert_eq!(bound().norm_log2(), 29);
    assert_eq!(ErrorBound::at_least(29.0), Some(bound()));
    assert_eq!(ErrorBound::at_least(-3.5).map(ErrorBound::norm_log2), Some(0));
    assert_eq!(ErrorBound::at_least(f64::NAN), None);
    assert_eq!(ErrorBound::at_least(f64::INFINITY), None);
    let flooding = Flooding::secure(64, 1 << 20).unwrap();
    let word =
        |norm| DecryptPolicy::Flooded(flooding, ErrorBound::at_least(norm).unwrap()).flooding_log2(Preset::Inf15x90);
    // sqrt(24 2^20) 2^32 = 2^44.3 above the norm, whatever the number of coefficients.
    assert_eq!(word(29.0), Ok(Some(74)));
    assert_eq!(word(39.0), Ok(Some(84)));
    assert!(matches!(word(40.0), Err(CeremonyError::FloodingTooLarge { flooding_log2: 85, .. })));
}

#[test]
fn asker_keys_and_serving_shares_survive_their_bytes_and_refuse_others() {
    let params = Preset::Inf13.params();
    let mut stream = Stream::from_seed([4; 32]);
    let asker = AskerKey::generate(Preset::Inf13, &mut stream).unwrap();
    let bytes = asker.public().to_bytes();
    let read = AskerPublicKey::from_bytes(&bytes, Preset::Inf13).unwrap();
    assert_eq!(read.digest(), asker.public().digest());
    assert!(read.a == asker.public().a && read.b == asker.public().b);
    assert!(AskerPublicKey::from_bytes(&bytes[1..], Preset::Inf13).is_err());
    assert!(AskerPublicKey::from_bytes(&bytes, Preset::Agg13).is_err());

    let crs = Crs::over(params, [6; 32]);
    let secret = ServingSecret::over(params, 2, &mut stream).unwrap();
    let mut shares = secret.share_points(&crs, 2, 3, &mut stream).unwrap();
    let (one, mut two) = (shares.remove(0), shares.remove(0));
    assert_eq!(two.absorb(&one), Err(CeremonyError::Mismatch { field: "holder", ours: 2, theirs: 1 }));
    let same = ServingKeyShare::from_bytes(&two.to_bytes(), &crs).unwrap();
    assert_eq!(two.absorb(&same), Err(CeremonyError::Duplicate { party: 2 }));
    let other = Crs::over(params, [5; 32]);
    assert!(matches!(ServingKeyShare::from_bytes(&two.to_bytes(), &other), Err(CeremonyError::Epoch { .. })));
}

#[test]
fn a_chain_of_three_products_stays_below_the_flooded_noise_bound_and_is_released() {
    let params = Preset::Inf15x90.params();
    let plan = KeyPlan { relin_limbs: 13, rotations: BTreeMap::from([(1, 7)]) };
    let mut c = Ceremony::run(params, 5, &plan, false);
    let mut expected = c.random_values(1.0);
    let mut encrypted = c.encrypt(&expected, params.scale(), 13);
    for _ in 0..3 {
        let product = c.evaluator.mul(&encrypted, &encrypted).unwrap();
        encrypted = c.evaluator.relinearise_rescale(&product, &c.keys).unwrap();
        expected.iter_mut().for_each(|x| *x *= *x);
        if encrypted.limbs() == 7 {
            encrypted = c.evaluator.rotate(&encrypted, 1, &c.keys).unwrap();
            expected.rotate_left(1);
        }
    }
    // f64 cannot carry 2^-70 of the message: compare in the slots, where 2^-50 is left.
    let values = c.reveal(&encrypted);
    let worst = values.iter().zip(&expected).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    assert!(worst < 1e-12, "{worst}");

    // A constant is one coefficient, so all others hold nothing but noise: 2 squared thrice.
    let mut chain = c.encrypt(&vec![2.0; params.slots()], params.scale(), 13);
    for _ in 0..3 {
        let product = c.evaluator.mul(&chain, &chain).unwrap();
        chain = c.evaluator.relinearise_rescale(&product, &c.keys).unwrap();
    }
    let wanted = vec![256.0; params.slots()];
    let wanted = c.encoder.encode(&wanted, chain.scale(), chain.limbs()).unwrap();
    let noise = coefficient_differences(&c.decrypt(&chain), &wanted);
    let squares: f64 = noise[1..].iter().map(|d| d * d).sum();
    let log2 = squares.log2() / 2.0;
    // Fresh 2^6.6 in each of 2^15, times 4, 8 and 32 in the three squarings.
    assert!((log2 - 24.1).abs() < 1.0, "2^{log2}");
    assert!(log2 < f64::from(bound().norm_log2()));

    let hospitals = Hospitals::new(c, 4);
    let policy = DecryptPolicy::Flooded(Flooding::secure(64, 1 << 20).unwrap(), bound());
    let released = hospitals.release(&encrypted, &[1, 2, 3, 5], policy);
    let read = hospitals.asker.decrypt(&released).unwrap();
    let values = hospitals.c.encoder.decode(&read).unwrap();
    // Per slot sqrt(4 N) 2^74 / 2^90 = 2^-7.5, six deviations of it.
    let worst = values.iter().zip(&expected).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    assert!(worst < 6.0 * (-7.5f64).exp2(), "{worst}");
}

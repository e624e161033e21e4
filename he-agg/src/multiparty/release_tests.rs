//! Facts about releases: any threshold of hospitals, flooding, permits, masks.

use super::ideal::{Ceremony, toy};
use super::serving_key_share::base;
use super::*;
use crate::aggregation::{Flooding, MaskKey, MemoryLedger, PermitError, VaultSecret};
use crate::ckks::{Ciphertext, CkksError, centred, coefficient_differences};
use crate::params::Preset;
use crate::stream::Stream;
use std::collections::BTreeMap;

/// What is announced with the queries of these tests.
pub(super) const REQUEST: ReleaseRequest = ReleaseRequest { query: 1, asker: 2, digest: [3; 32] };

/// A key of n hospitals whose secrets are dealt, with what decryptors hold.
pub(super) struct Hospitals {
    pub(super) c: Ceremony,
    pub(super) quorum: Quorum,
    pub(super) shares: Vec<ServingKeyShare>,
}

impl Hospitals {
    pub(super) fn new(c: Ceremony, threshold: u16) -> Self {
        let (parties, shares) = (c.secrets.len() as u16, c.deal(threshold));
        Self { c, quorum: Quorum { threshold, parties }, shares }
    }

    /// All slots that there are, so that half of a result's coefficients leave.
    pub(super) fn shape(&self, scale: f64) -> AnswerShape {
        AnswerShape { period: self.c.params.slots(), scale, value_max: 1024.0 }
    }

    pub(super) fn context_of(&self, shape: AnswerShape, set: &[u16]) -> ReleaseContext {
        let asker = REQUEST.asker.min(self.quorum.parties);
        ReleaseContext::new(&self.c.crs, self.quorum, ReleaseRequest { asker, ..REQUEST }, shape, set).unwrap()
    }

    pub(super) fn context(&self, ciphertext: &Ciphertext, set: &[u16]) -> ReleaseContext {
        self.context_of(self.shape(ciphertext.scale()), set)
    }

    /// Pair keys of one decryptor, as the two halves would give them.
    fn pair_keys(&self, party: u16) -> BTreeMap<u16, MaskKey> {
        self.c.pair_keys(party)
    }

    pub(super) fn share(
        &self,
        (context, result): (&ReleaseContext, &Ciphertext),
        party: u16,
        policy: DecryptPolicy,
    ) -> Result<ReleaseShare, CeremonyError> {
        let mut ledger = MemoryLedger::new(Flooding::secure(40, 1).unwrap());
        let permit = ReleasePermit::claim(&mut ledger, context, result).unwrap();
        let key = &self.shares[usize::from(party) - 1];
        let vault = VaultSecret::from_bytes([party as u8; 32]);
        ReleaseShare::generate(permit, (context, result), key, policy, &self.pair_keys(party), &vault)
    }

    /// The sum of a set's shares, each through its bytes.
    pub(super) fn sum<'a>(
        &self,
        context: &'a ReleaseContext,
        result: &Ciphertext,
        set: &[u16],
        policy: DecryptPolicy,
    ) -> ReleaseSum<'a> {
        let mut sum = ReleaseSum::new(context);
        for &party in set {
            let share = self.share((context, result), party, policy).unwrap();
            sum.absorb(&ReleaseShare::from_bytes(&share.to_bytes(), context).unwrap()).unwrap();
        }
        sum
    }

    /// What a sum of shares is away from direct decryption, in units of the result: the coefficients of the answer are
    /// multiples of N / 2 period.
    pub(super) fn misreadings(&self, sum: &ReleaseSum<'_>, context: &ReleaseContext, result: &Ciphertext) -> Vec<f64> {
        let basis = base(self.c.params);
        let direct = self.c.decrypt(result).poly.into_coeff(basis);
        let step = self.c.params.n / 2 / context.shape.period;
        let mut difference = (*sum.shares.sum).clone();
        difference.par_limbs(basis, |index, limb, x| {
            let m = limb.modulus();
            let raise = m.pow(2, u64::from(context.raised_bits));
            for (x, direct) in x.iter_mut().zip(direct.limb(index).iter().step_by(step)) {
                *x = m.sub(*x, m.mul(*direct, raise));
            }
        });
        let unit = f64::from(context.raised_bits).exp2();
        centred(&difference, basis).iter().map(|x| x / unit).collect()
    }

    /// The distinct slots that the asker reads.
    pub(super) fn read(&self, result: &Ciphertext, set: &[u16], policy: DecryptPolicy) -> Vec<f64> {
        let context = self.context(result, set);
        self.sum(&context, result, set, policy).finish().unwrap()
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

/// w of [`flooded`].
pub(super) fn flooded_bits(hospitals: &Hospitals) -> u32 {
    flooded().flooding_over(hospitals.c.params).unwrap().unwrap()
}

fn root_mean_square(values: &[f64]) -> f64 {
    (values.iter().map(|d| d * d).sum::<f64>() / values.len() as f64).sqrt()
}

#[test]
fn any_three_of_five_release_what_the_ideal_key_decrypts() {
    let (hospitals, ciphertext) = small(3);
    let bits = flooded_bits(&hospitals);
    let slots = hospitals.c.reveal(&ciphertext);
    for mask in 0u16..32 {
        let set: Vec<u16> = (1..=5).filter(|j| mask >> (j - 1) & 1 == 1).collect();
        if set.len() < 3 {
            continue;
        }
        let context = hospitals.context(&ciphertext, &set);
        let sum = hospitals.sum(&context, &ciphertext, &set, flooded());
        let differences = hospitals.misreadings(&sum, &context, &ciphertext);
        let largest = differences.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
        let rms = root_mean_square(&differences);
        // Every decryptor's noise is there in full, and nothing else of that size.
        let deviation = (set.len() as f64).sqrt() * f64::from(bits).exp2();
        assert!(largest < 6.5 * set.len() as f64 * f64::from(bits).exp2(), "{set:?}");
        assert!(rms > 0.75 * deviation && rms < 1.25 * deviation, "{set:?}: {rms} {deviation}");
        tests::close(&sum.finish().unwrap(), &slots, 1e-6);
    }
}

#[test]
fn repeating_slots_lie_in_few_coefficients_and_those_alone_leave() {
    let params = toy(Preset::Inf15x90, 8);
    let c = Ceremony::run(params, 5, &KeyPlan::default(), false);
    let mut hospitals = Hospitals::new(c, 3);
    for period in [1, 2, 4, 16, 64, 128] {
        let few: Vec<f64> = hospitals.c.random_values(500.0)[..period].to_vec();
        let values: Vec<f64> = few.iter().copied().cycle().take(params.slots()).collect();
        // The claim, on exact coefficients: multiples of N / 2 period alone, and the second half mirrors the first.
        let plain = hospitals.c.encoder.encode(&values, params.scale(), params.base_limbs).unwrap();
        let basis = base(params);
        let exact = centred(&plain.poly.clone().into_coeff(basis), basis);
        let step = params.n / 2 / period;
        let tiny = params.scale() * 1e-10;
        for (m, f) in exact.iter().enumerate() {
            let (k, is_ours) = (m / step, m % step == 0);
            assert!(is_ours || f.abs() < tiny, "{period}: {m}");
            if is_ours && (1..2 * period).contains(&k) {
                assert!((f + exact[(2 * period - k) * step]).abs() < tiny, "{period}: {k}");
            }
        }
        // The release, whose transform is read against the slots that went in.
        let result = hospitals.c.encrypt(&values, params.scale(), params.base_limbs);
        let context = hospitals.context_of(AnswerShape { period, ..hospitals.shape(params.scale()) }, &[1, 3, 5]);
        let sum = hospitals.sum(&context, &result, &[1, 3, 5], flooded());
        assert_eq!(sum.shares.sum.n(), period);
        tests::close(&sum.finish().unwrap(), &few, 1e-6);
    }
}

#[test]
fn what_lies_in_other_coefficients_does_not_leave() {
    let (mut hospitals, _) = small(3);
    let params = hospitals.c.params;
    // An image in slots that were to be empty: its part that repeats with the period leaves, and nothing else.
    let image = hospitals.c.random_values(4.0);
    let result = hospitals.c.encrypt(&image, params.scale(), params.base_limbs);
    let period = 4;
    let context = hospitals.context_of(AnswerShape { period, ..hospitals.shape(params.scale()) }, &[1, 2, 3]);
    let read = hospitals.sum(&context, &result, &[1, 2, 3], flooded()).finish().unwrap();
    let mean = |j: usize| {
        let of: Vec<f64> = image.iter().skip(j).step_by(period).copied().collect();
        of.iter().sum::<f64>() / of.len() as f64
    };
    tests::close(&read, &(0..period).map(mean).collect::<Vec<_>>(), 1e-6);
}

#[test]
fn a_release_lacking_one_share_is_refused_and_would_be_uniform() {
    let (hospitals, ciphertext) = small(3);
    let set = [1, 2, 4];
    let context = hospitals.context(&ciphertext, &set);
    for left_out in set {
        let some: Vec<u16> = set.iter().copied().filter(|party| *party != left_out).collect();
        let sum = hospitals.sum(&context, &ciphertext, &some, flooded());
        assert_eq!(sum.coefficients().err(), Some(CeremonyError::Missing { party: left_out, parties: 3 }));
        // Uniform modulo 2^120: the raised message at 2^110 cannot be seen in it.
        let unit = f64::from(context.raised_bits).exp2();
        let rms = unit * root_mean_square(&hospitals.misreadings(&sum, &context, &ciphertext));
        assert!(rms > 117f64.exp2(), "2^{}", rms.log2());
        assert_eq!(sum.finish().err(), Some(CeremonyError::Missing { party: left_out, parties: 3 }));
    }
}

#[test]
fn shares_repeat_their_bytes_and_are_bound_to_their_release() {
    let (hospitals, ciphertext) = small(3);
    let context = hospitals.context(&ciphertext, &[1, 2, 4]);
    let of = (&context, &ciphertext);
    let share = hospitals.share(of, 2, flooded()).unwrap();
    let again = hospitals.share(of, 2, flooded()).unwrap();
    assert_eq!(share.to_bytes(), again.to_bytes());
    // Another T: refused.
    let other = hospitals.context(&ciphertext, &[1, 2, 3]);
    assert!(matches!(ReleaseSum::new(&other).absorb(&share), Err(CeremonyError::Context { .. })));
    assert!(matches!(ReleaseShare::from_bytes(&share.to_bytes(), &other), Err(CeremonyError::Context { .. })));
    let mut sum = ReleaseSum::new(&context);
    sum.absorb(&share).unwrap();
    assert_eq!(sum.absorb(&again), Err(CeremonyError::Duplicate { party: 2 }));
    assert!(hospitals.share(of, 3, flooded()).is_err());
}

#[test]
fn a_second_context_or_result_for_one_query_gets_no_permit() {
    let (mut hospitals, ciphertext) = small(3);
    let (scale, limbs) = (hospitals.c.params.scale(), hospitals.c.params.base_limbs);
    let other = hospitals.c.encrypt(&[1.0], scale, limbs);
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 8).unwrap());
    let first = hospitals.context(&ciphertext, &[1, 2, 4]);
    let second = hospitals.context(&ciphertext, &[1, 2, 3]);
    let _ = ReleasePermit::claim(&mut ledger, &first, &ciphertext).unwrap();
    let _ = ReleasePermit::claim(&mut ledger, &first, &ciphertext).unwrap();
    for (context, result) in [(&second, &ciphertext), (&first, &other)] {
        let refused = ReleasePermit::claim(&mut ledger, context, result);
        assert!(matches!(refused, Err(PermitRefused::Permit(PermitError::Conflict { .. }))));
    }
    assert_eq!(ledger.left(), 7);
    // A permit for one context and result does not serve another.
    let (key, vault) = (&hospitals.shares[0], VaultSecret::from_bytes([1; 32]));
    let keys = hospitals.pair_keys(1);
    for of in [(&second, &ciphertext), (&first, &other)] {
        let permit = ReleasePermit::claim(&mut ledger, &first, &ciphertext).unwrap();
        assert!(matches!(
            ReleaseShare::generate(permit, of, key, flooded(), &keys, &vault),
            Err(CeremonyError::Context { .. })
        ));
    }
}

#[test]
fn nothing_that_is_trained_on_is_released() {
    let crs = Crs::new(Preset::Trn14, [1; 32]);
    let (quorum, shape) = (Quorum { threshold: 2, parties: 3 }, AnswerShape { period: 16, scale: 1e9, value_max: 1.0 });
    let refused = ReleaseContext::new(&crs, quorum, REQUEST, shape, &[1, 2]).err();
    assert_eq!(refused, Some(CeremonyError::NotForRelease { preset: Preset::Trn14 }));
}

#[test]
fn releases_that_would_be_unsafe_are_refused() {
    let (mut hospitals, ciphertext) = small(3);
    let context = hospitals.context(&ciphertext, &[1, 2, 3]);
    let of = (&context, &ciphertext);
    assert_eq!(
        hospitals.share(of, 1, DecryptPolicy::TrustedHolder).err(),
        Some(CeremonyError::TrustedHolderShares { decryptors: 3 })
    );
    let permit = ReleasePermit { digest: context.with(&ciphertext).unwrap() };
    let vault = VaultSecret::from_bytes([1; 32]);
    let key = &hospitals.shares[0];
    assert_eq!(
        ReleaseShare::generate(permit, of, key, flooded(), &BTreeMap::new(), &vault).err(),
        Some(CeremonyError::MissingPairKey { party: 2 })
    );
    let shape = hospitals.shape(ciphertext.scale());
    let new = |request, shape, set: &[u16]| {
        ReleaseContext::new(&hospitals.c.crs, hospitals.quorum, request, shape, set).err()
    };
    assert_eq!(new(REQUEST, shape, &[1, 2]), Some(CeremonyError::TooFewDecryptors { found: 2, threshold: 3 }));
    assert_eq!(new(REQUEST, shape, &[1, 2, 2]), Some(CeremonyError::Duplicate { party: 2 }));
    assert_eq!(new(REQUEST, shape, &[1, 2, 6]), Some(CeremonyError::Party { party: 6, parties: 5 }));
    for asker in [0, 6] {
        let request = ReleaseRequest { asker, ..REQUEST };
        assert_eq!(new(request, shape, &[1, 2, 3]), Some(CeremonyError::Party { party: asker, parties: 5 }));
    }
    let product = hospitals.c.evaluator.mul(&ciphertext, &ciphertext).unwrap();
    assert!(matches!(context.with(&product), Err(CeremonyError::NotReleasable { .. })));
    let scaled = hospitals.context_of(hospitals.shape(ciphertext.scale() * 1.01), &[1, 2, 3]);
    assert!(matches!(scaled.with(&ciphertext), Err(CeremonyError::Ckks(CkksError::ScaleMismatch { .. }))));
    assert!(matches!(
        DecryptPolicy::Flooded(Flooding::secure(40, 1).unwrap(), bound()).flooding_log2(Preset::Inf13),
        Err(CeremonyError::FloodingTooLarge { preset: Preset::Inf13, .. })
    ));
    // Values that leave no room above the scale for the flooding.
    let drowned = AnswerShape { scale: 40f64.exp2(), value_max: 1.0, ..shape };
    let drowned = hospitals.context_of(drowned, &[1, 2, 3]);
    let low = Ciphertext { scale: 40f64.exp2(), ..ciphertext.clone() };
    assert!(matches!(
        hospitals.share((&drowned, &low), 1, flooded()),
        Err(CeremonyError::FloodingTooLarge { scale_log2: 40, .. })
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
    assert_eq!(hospitals.share(of, 1, flooded()).err(), Some(CeremonyError::Missing { party: 2, parties: 5 }));
}

#[test]
fn flooding_that_could_come_round_in_the_modulus_is_refused() {
    let (hospitals, ciphertext) = small(3);
    let params = hospitals.c.params;
    let modulus: f64 = params.q[..params.base_limbs].iter().map(|limb| f64::from(limb.modulus().value()).log2()).sum();
    let mut released = [0; 2];
    for scale_log2 in 40..90 {
        let scale = f64::from(scale_log2).exp2();
        let shape = AnswerShape { scale, value_max: 1.0, ..hospitals.shape(scale) };
        let context = hospitals.context_of(shape, &[1, 2, 3]);
        let result = Ciphertext { scale, ..ciphertext.clone() };
        let share = hospitals.share((&context, &result), 1, flooded());
        // A value is below 8 2^w 2^g, and has a sign.
        let raised = f64::from(flooded_bits(&hospitals)) + (modulus - 1.0 - f64::from(scale_log2)).floor();
        let fits = raised + 3.0 < modulus - 1.0;
        match share.map(drop) {
            Ok(()) => assert!(fits, "2^{scale_log2}"),
            Err(error) => assert!(!fits && matches!(error, CeremonyError::FloodingTooLarge { .. }), "{error}"),
        }
        released[usize::from(fits)] += 1;
    }
    assert!(released.iter().all(|count| *count > 5), "{released:?}");
}

#[test]
fn answers_that_the_modulus_does_not_hold_are_refused_and_so_are_those_beyond_their_range() {
    let params = Preset::Inf15x90.params();
    let shape = AnswerShape { period: 16, scale: params.scale(), value_max: 1024.0 };
    // Four primes just below 2^30: 2^119.97 over 2^91 2^10.
    assert_eq!(shape.raised_bits(params), Ok(18));
    assert_eq!(AnswerShape { value_max: 1030.0, ..shape }.raised_bits(params), Ok(18));
    assert_eq!(AnswerShape { value_max: 2048.0, ..shape }.raised_bits(params), Ok(17));
    let none = [
        AnswerShape { period: 0, ..shape },
        AnswerShape { period: 12, ..shape },
        AnswerShape { period: params.n, ..shape },
        AnswerShape { scale: 120f64.exp2(), ..shape },
        AnswerShape { scale: f64::NAN, ..shape },
        AnswerShape { scale: f64::INFINITY, ..shape },
        AnswerShape { value_max: 0.5, ..shape },
        AnswerShape { value_max: 30f64.exp2(), ..shape },
    ];
    for wrong in none {
        assert!(matches!(wrong.raised_bits(params), Err(CeremonyError::AnswerShape { .. })), "{wrong:?}");
    }
    for value in [1025.0, -1025.0, f64::NAN] {
        let mut coefficients = [0.0; 16];
        coefficients[3] = value;
        assert!(matches!(shape.slots(&coefficients), Err(CeremonyError::AnswerRange { .. })), "{value}");
    }
    assert!(shape.slots(&[1024.0; 16]).is_ok());
}

#[test]
fn an_answer_carries_what_the_flooding_leaves_of_the_modulus() {
    let params = Preset::Inf15x90.params();
    let modulus: f64 = params.q[..4].iter().map(|limb| f64::from(limb.modulus().value()).log2()).sum();
    // Of a normal variable of this deviation, by the textbook.
    let hidden = (f64::from(77 + 18).exp2() * (2.0 * std::f64::consts::PI * std::f64::consts::E).sqrt()).log2();
    for period in [4usize, 16] {
        let shape = AnswerShape { period, scale: params.scale(), value_max: 1024.0 };
        let bits = shape.capacity_bits(params, 77).unwrap();
        let least = period as f64 * (modulus - hidden);
        assert!(bits as f64 >= least && (bits as f64) < least + 2.0, "{bits} {least}");
        assert_eq!(shape.capacity_bits(params, 120).unwrap(), 0);
    }
}

#[test]
fn release_shares_of_every_period_survive_their_bytes_and_refuse_others() {
    let (hospitals, ciphertext) = small(3);
    for period in [1, 2, 4, 16] {
        let shape = AnswerShape { period, ..hospitals.shape(ciphertext.scale()) };
        let context = hospitals.context_of(shape, &[1, 2, 3]);
        let bytes = hospitals.share((&context, &ciphertext), 1, flooded()).unwrap().to_bytes();
        assert_eq!(ReleaseShare::from_bytes(&bytes, &context).unwrap().to_bytes(), bytes);
        assert!(ReleaseShare::from_bytes(&bytes[1..], &context).is_err());
        assert!(ReleaseShare::from_bytes(&bytes[..bytes.len() - 1], &context).is_err());
        assert_eq!(bytes.len(), 72 + 4 * (30 * period).div_ceil(8));
    }
}

#[test]
fn flooding_follows_the_bound_in_whole_bits() {
    assert_eq!(bound().norm_log2(), 29);
    assert_eq!(ErrorBound::at_least(29.0), Some(bound()));
    assert_eq!(ErrorBound::at_least(-3.5).map(ErrorBound::norm_log2), Some(0));
    assert_eq!(ErrorBound::at_least(1023.5).map(ErrorBound::norm_log2), Some(1024));
    assert_eq!(ErrorBound::at_least(1024.0), None);
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
fn serving_shares_survive_their_bytes_and_refuse_others() {
    let params = Preset::Inf13.params();
    let mut stream = Stream::from_seed([4; 32]);
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
    let plan = KeyPlan { relin_limbs: 13, rotations: BTreeMap::from([(1, 7)]), ..KeyPlan::default() };
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
    let values = hospitals.read(&encrypted, &[1, 2, 3, 5], policy);
    // Per slot sqrt(4 N) 2^74 / 2^90 = 2^-7.5, six deviations of it.
    let worst = values.iter().zip(&expected).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs()));
    assert!(worst < 6.0 * (-7.5f64).exp2(), "{worst}");
}

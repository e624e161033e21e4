//! The objects of a serving epoch of two hospitals, keys trimmed to few limbs.

use he_agg::aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret};
use he_agg::ckks::{Ciphertext, Encoder, Evaluator, GatedCiphertext, Plaintext, SeededCiphertext};
use he_agg::multiparty::{
    AnswerShape, Crs, DecryptPolicy, ErrorBound, EvaluationKeys, GaloisKey, GaloisKeyShare, GaloisKeySum, Gate,
    GateKey, GateLabel, GatePermit, GateSecret, GateSeed, GateShare, GateSum, Gated, LiftSum, Plane, PlaneKey,
    PlaneMaker, PlaneSeed, PublicKey, PublicKeyShare, PublicKeySum, QueryKey, QuerySecret, Quorum, R1, R2,
    ReleaseContext, ReleasePermit, ReleaseRequest, ReleaseShare, RelinIntermediate, RelinKeyShare, RelinKeySum,
    RelinearizationKey, ServingKeyShare, ServingSecret,
};
use he_agg::{Preset, Stream};
use std::collections::BTreeMap;

const PARTIES: u16 = 2;
/// Coefficients that the answer is.
pub(crate) const PERIOD: usize = 16;
/// Slots by which the rotation key turns.
pub(crate) const STEPS: i32 = -3;

/// A ceremony's outcome.
pub(crate) struct Serving {
    pub(crate) preset: Preset,
    pub(crate) crs: Crs,
    pub(crate) public_key: PublicKey,
    pub(crate) public_key_share: PublicKeyShare,
    pub(crate) relin_one: RelinKeyShare<R1>,
    pub(crate) relin_sums: RelinIntermediate,
    pub(crate) relin_two: RelinKeyShare<R2>,
    pub(crate) relin_key: RelinearizationKey,
    pub(crate) galois_share: GaloisKeyShare,
    pub(crate) galois_key: GaloisKey,
    pub(crate) points: Vec<ServingKeyShare>,
    /// The whole key of hospital 1 alone.
    alone: ServingKeyShare,
    /// Two polynomials at the keys' limbs.
    pub(crate) ciphertext: Ciphertext,
    /// The same of zeros, whose bytes owe nothing to a platform's sine.
    pub(crate) zeros: Ciphertext,
    /// The zeros at the base limbs.
    pub(crate) result: Ciphertext,
    /// The zeros under an asker's secret, and the key that switches them to the collective one.
    pub(crate) query: SeededCiphertext,
    pub(crate) query_key: QueryKey,
    pub(crate) gate_share: GateShare,
    pub(crate) gate: Gate,
    pub(crate) gate_key: GateKey,
    /// The zeros under the gate secret of the key, as part 2 of its query 6.
    pub(crate) gated: GatedCiphertext,
    /// A key of the same gate secret, and a plane under it.
    pub(crate) plane_key: PlaneKey,
    pub(crate) plane: Plane,
}

impl Serving {
    /// The ceremony of `preset` with evaluation keys for up to `limbs` limbs.
    pub(crate) fn new(preset: Preset, limbs: usize) -> Self {
        let params = preset.params();
        let mut stream = Stream::from_seed([42; 32]);
        let crs = Crs::new(preset, [7; 32]);
        let secrets: Vec<_> =
            (1..=PARTIES).map(|party| ServingSecret::generate(preset, party, &mut stream).unwrap()).collect();

        let mut sum = PublicKeySum::new(&crs, PARTIES).unwrap();
        let mut public: Vec<_> =
            secrets.iter().map(|s| PublicKeyShare::generate(s, &crs, &mut stream).unwrap()).collect();
        public.iter().for_each(|share| sum.absorb(share).unwrap());
        let public_key = sum.finish().unwrap();

        let mut sum = RelinKeySum::<R1>::new(&crs, limbs, PARTIES).unwrap();
        let (mut ones, masks): (Vec<_>, Vec<_>) =
            secrets.iter().map(|s| RelinKeyShare::<R1>::generate(s, &crs, limbs, &mut stream).unwrap()).unzip();
        ones.iter().for_each(|share| sum.absorb(share).unwrap());
        let relin_sums = sum.finish().unwrap();
        let mut sum = RelinKeySum::<R2>::new(&crs, limbs, PARTIES).unwrap();
        let mut twos: Vec<_> = secrets
            .iter()
            .zip(masks)
            .map(|(s, mask)| RelinKeyShare::<R2>::generate(s, mask, &relin_sums, &mut stream).unwrap())
            .collect();
        twos.iter().for_each(|share| sum.absorb(share).unwrap());
        let kept = RelinIntermediate::from_bytes(&relin_sums.to_bytes(), &crs).unwrap();
        let relin_key = sum.finish(&relin_sums).unwrap();

        let mut sum = GaloisKeySum::new(&crs, STEPS, limbs, PARTIES).unwrap();
        let mut galois: Vec<_> =
            secrets.iter().map(|s| GaloisKeyShare::generate(s, &crs, STEPS, limbs, &mut stream).unwrap()).collect();
        galois.iter().for_each(|share| sum.absorb(share).unwrap());
        let galois_key = sum.finish().unwrap();

        let mut points = secrets[0].share_points(&crs, 2, PARTIES, &mut stream).unwrap();
        for (held, dealt) in points.iter_mut().zip(secrets[1].share_points(&crs, 2, PARTIES, &mut stream).unwrap()) {
            held.absorb(&dealt).unwrap();
        }
        let alone = secrets[0].share_points(&crs, 1, 1, &mut stream).unwrap().swap_remove(0);

        let encoder = Encoder::new(preset).unwrap();
        let values: Vec<f64> = (0..params.slots()).map(|i| (i % 97) as f64 / 97.0 - 0.5).collect();
        let mut encrypt = |values: &[f64]| {
            let plaintext = encoder.encode(values, params.scale(), limbs).unwrap();
            public_key.encrypt(&plaintext, &mut stream).unwrap()
        };
        let (zeros, ciphertext) = (encrypt(&[]), encrypt(&values));
        let result = Evaluator::new(preset).unwrap().drop_to(&zeros, params.base_limbs).unwrap();
        let secret = QuerySecret::generate(preset, &mut stream).unwrap();
        let nothing = encoder.encode(&[], params.scale(), limbs).unwrap();
        let query = secret.encrypt(&nothing, &mut stream).unwrap();
        let query_key = QueryKey::generate(&secret, &public_key, &crs, limbs, &mut stream).unwrap();
        let ((gate_share, gate, gate_key, gated), plane_key) = gate_objects(&secrets, &crs, limbs, &nothing);
        let plane = PlaneMaker::new(&plane_key, &crs).unwrap().encrypt(&PlaneSeed::from_bytes([0x63; 32])).unwrap();
        Serving {
            preset,
            crs,
            public_key,
            public_key_share: public.swap_remove(1),
            relin_one: ones.swap_remove(1),
            relin_sums: kept,
            relin_two: twos.swap_remove(1),
            relin_key,
            galois_share: galois.swap_remove(1),
            galois_key,
            points,
            alone,
            ciphertext,
            zeros,
            result,
            query,
            query_key,
            gate_share,
            gate,
            gate_key,
            gated,
            plane_key,
            plane,
        }
    }

    /// Relinearisation and rotation keys, as an evaluator takes them.
    pub(crate) fn evaluation_keys(&self) -> EvaluationKeys {
        let mut keys = EvaluationKeys::new(self.preset);
        keys.set_relinearization(self.relin_key.clone()).unwrap();
        let bytes = self.galois_key.to_bytes(&self.crs);
        keys.insert_rotation(GaloisKey::from_bytes(&bytes, &self.crs).unwrap()).unwrap();
        keys
    }

    /// The release that the release share belongs to: by both hospitals where the preset carries
    /// flooding, else by the first as trusted holder of its own key.
    pub(crate) fn context(&self) -> ReleaseContext {
        let parties = if self.flooded() { PARTIES } else { 1 };
        let decryptors: Vec<u16> = (1..=parties).collect();
        let (quorum, request) =
            (Quorum { threshold: parties, parties }, ReleaseRequest { query: 5, asker: 1, digest: [3; 32] });
        let shape = AnswerShape { period: PERIOD, scale: self.result.scale(), value_max: 1024.0 };
        ReleaseContext::new(&self.crs, quorum, request, shape, &decryptors).unwrap()
    }

    /// The share of hospital 1.
    pub(crate) fn release_share(&self, context: &ReleaseContext) -> ReleaseShare {
        let permit = ReleasePermit::claim(&mut MemoryLedger::new(flooding()), context, &self.result).unwrap();
        let pairs = BTreeMap::from([(2, MaskKey::from_bytes([0x55; 32]))]);
        let vault = VaultSecret::from_bytes([0x61; 32]);
        let (key, policy) = if self.flooded() {
            (&self.points[0], DecryptPolicy::Flooded(flooding(), bound()))
        } else {
            (&self.alone, DecryptPolicy::TrustedHolder)
        };
        ReleaseShare::generate(permit, (context, &self.result), key, policy, &pairs, &vault).unwrap()
    }

    fn flooded(&self) -> bool {
        DecryptPolicy::Flooded(flooding(), bound()).flooding_log2(self.preset).is_ok()
    }

    /// Every object of the epoch under its name.
    pub(crate) fn objects(&self) -> Vec<(&'static str, Vec<u8>)> {
        let product = Evaluator::new(self.preset).unwrap().mul(&self.zeros, &self.zeros).unwrap();
        let context = self.context();
        vec![
            ("ciphertext-2", self.zeros.to_bytes()),
            ("ciphertext-3", product.to_bytes()),
            ("public-key-share", self.public_key_share.to_bytes()),
            ("public-key", self.public_key.to_bytes(&self.crs)),
            ("relinearisation-one-share", self.relin_one.to_bytes()),
            ("relinearisation-one-sum", self.relin_sums.to_bytes()),
            ("relinearisation-two-share", self.relin_two.to_bytes()),
            ("relinearisation-key", self.relin_key.to_bytes(&self.crs)),
            ("galois-share", self.galois_share.to_bytes()),
            ("galois-key", self.galois_key.to_bytes(&self.crs)),
            ("release-share", self.release_share(&context).to_bytes().to_vec()),
            ("serving-key-share", self.points[1].to_bytes().to_vec()),
            ("seeded-ciphertext", self.query.to_bytes()),
            ("query-key", self.query_key.to_bytes()),
            ("gate-share", self.gate_share.to_bytes()),
            ("gate", self.gate.to_bytes()),
            ("gate-key", self.gate_key.to_bytes()),
            ("gated-ciphertext", self.gated.to_bytes()),
            ("plane-key", self.plane_key.to_bytes()),
            ("plane", self.plane.to_bytes()),
        ]
    }

    /// The gated ciphertext under its label, and as a sum of one: weight vector 2 of attempt 6.
    pub(crate) fn lifted(&self) -> [Ciphertext; 2] {
        let evaluator = Evaluator::new(self.preset).unwrap();
        let mut sum = LiftSum::new(evaluator, &self.crs, (6, 2), (self.gated.limbs(), self.gated.scale())).unwrap();
        sum.absorb(&self.gated, &self.gate_key).unwrap();
        [evaluator.lift(&self.gated, &self.crs, GATED, &self.gate_key).unwrap(), sum.finish().unwrap()]
    }
}

/// Where the gated ciphertext belongs.
const GATED: GateLabel = GateLabel { what: Gated::Query, asker: 2, number: 6, part: 2 };

/// The gate of hospital 2, and `plaintext` behind it.
fn gate_objects(
    secrets: &[ServingSecret],
    crs: &Crs,
    limbs: usize,
    plaintext: &Plaintext,
) -> ((GateShare, Gate, GateKey, GatedCiphertext), PlaneKey) {
    let mut stream = Stream::from_seed([0x47; 32]);
    let seeds: Vec<_> = secrets.iter().map(|_| GateSeed::generate(&mut stream)).collect();
    let mut sum = GateSum::new(crs, GATED.asker, limbs, PARTIES).unwrap();
    let mut shares: Vec<_> = secrets
        .iter()
        .zip(&seeds)
        .map(|(secret, seed)| GateShare::generate(secret, crs, GATED.asker, limbs, seed, &mut stream).unwrap())
        .collect();
    shares.iter().for_each(|share| sum.absorb(share).unwrap());
    let (gate, seeds) = (sum.finish().unwrap(), (1..).zip(&seeds).collect::<Vec<_>>());
    let secret = GateSecret::generate(crs.preset(), GATED.asker, &mut stream).unwrap();
    let key = GateKey::generate(&secret, crs, &gate, &seeds, &mut stream).unwrap();
    let permit = GatePermit::claim(&mut MemoryLedger::new(flooding()), crs, GATED, plaintext).unwrap();
    let gated = secret.encrypt(permit, &VaultSecret::from_bytes([0x62; 32])).unwrap();
    let plane_key = PlaneKey::generate(&secret, crs, limbs, &mut stream).unwrap();
    ((shares.swap_remove(0), gate, key, gated), plane_key)
}

fn bound() -> ErrorBound {
    ErrorBound::at_least(29.0).unwrap()
}

fn flooding() -> Flooding {
    Flooding::secure(40, 1 << 14).unwrap()
}

//! Whole rounds against the plain integer sum, and every fault that a round
//! must catch.

use super::*;
use crate::error::DecodeError;
use crate::params::{Params, Preset};
use crate::ring::Poly;
use crate::stream::Stream;
use std::sync::LazyLock;

/// Small rings: every formula holds, nothing is secure.
static TOY13: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Agg13, 8));
static TOY14: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Agg14, 8));

const EPOCH: [u8; 32] = [0xe9; 32];
const MANIFEST: [u8; 32] = [0x3a; 32];

struct Hospital {
    secret: AggregationSecret,
    decryptor: Decryptor,
    ledger: MemoryLedger,
    values: Vec<i32>,
    weight: u32,
}

/// An epoch after its key ceremony.
struct Epoch {
    layout: LaneLayout,
    hospitals: Vec<Hospital>,
    group: MaskKey,
}

fn vault(party: u16) -> VaultSecret {
    VaultSecret::from_bytes([party as u8; 32])
}

fn group_key() -> MaskKey {
    MaskKey::from_bytes([0x77; 32])
}

#[derive(Clone, Copy)]
enum Values {
    Random,
    Max,
    Min,
}

impl Epoch {
    fn new(params: &'static Params, n: u16, t: u16, b: u32, values: Values) -> Self {
        let flooding = Flooding::secure(40, 1 << 14).unwrap();
        let layout = LaneLayout::new(params, n, t, b, flooding).unwrap().with_three_contributors();
        let mut stream = Stream::from_seed([n as u8 ^ b as u8; 32]);
        let (low, high) = (-(1i64 << (b - 1)), (1i64 << (b - 1)) - 1);
        let mut hospitals: Vec<Hospital> = (1..=n)
            .map(|party| Hospital {
                secret: AggregationSecret::from_seed(params, EPOCH, stream.seed()),
                decryptor: Decryptor::new(layout.clone(), EPOCH, party, group_key(), vault(party)).unwrap(),
                ledger: MemoryLedger::new(flooding),
                values: (0..layout.values_per_chunk())
                    .map(|_| match values {
                        Values::Max => high as i32,
                        Values::Min => low as i32,
                        Values::Random => (low + (stream.next_u32() as i64 & ((1 << b) - 1))) as i32,
                    })
                    .collect(),
                weight: match values {
                    Values::Max => layout.lane_max() as u32,
                    _ => 1 + stream.next_u32() % layout.lane_max() as u32,
                },
            })
            .collect();
        for dealer in 1..=n {
            let shares = hospitals[usize::from(dealer) - 1].secret.deal(&layout, dealer).unwrap();
            for share in shares {
                // Through bytes, as they would travel inside a sealed message.
                let bytes = share.expose_bytes();
                let share = KeyShare::from_bytes(&bytes, &layout, &EPOCH).unwrap();
                let receiver = usize::from(share.receiver());
                hospitals[receiver - 1].decryptor.insert_share(share).unwrap();
            }
        }
        for i in 1..=n {
            for j in (1..=n).filter(|&j| j != i) {
                let (low, high) = (i.min(j), i.max(j));
                let halves = ([low as u8; 32], [high as u8 ^ 0x80; 32]);
                let key = MaskKey::pair(&EPOCH, (low, &halves.0), (high, &halves.1));
                hospitals[usize::from(i) - 1].decryptor.insert_pair(j, key).unwrap();
            }
        }
        Epoch { layout, hospitals, group: group_key() }
    }

    fn id(&self, chunk: u32) -> ChunkId {
        ChunkId { epoch: EPOCH, round: 3, attempt: 0, chunk }
    }

    fn encrypt(&mut self, party: u16, id: ChunkId) -> UpdateChunk {
        let h = &mut self.hospitals[usize::from(party) - 1];
        let request = EncryptRequest { layout: &self.layout, id, sender: party, weight: h.weight, values: &h.values };
        let permit = h.ledger.permit_encryption(&request).unwrap();
        encrypt_chunk(permit, &request, &h.secret, &vault(party)).unwrap()
    }

    fn share(&mut self, party: u16, context: &ShareContext) -> DecryptionShare {
        let h = &mut self.hospitals[usize::from(party) - 1];
        let permit = h.ledger.permit_share(context).unwrap();
        h.decryptor.share(permit, context).unwrap()
    }

    fn sum(&mut self, set: &[u16], id: ChunkId) -> ChunkSum {
        let mut sum = ChunkSum::new(&self.layout, id);
        for &party in set {
            // Through bytes, as they travel.
            let bytes = self.encrypt(party, id).to_bytes();
            assert_eq!(bytes.len(), self.layout.object_bytes());
            sum.absorb(&UpdateChunk::from_bytes(&bytes, &self.layout).unwrap()).unwrap();
        }
        sum
    }

    fn shares(&mut self, context: &ShareContext) -> Vec<DecryptionShare> {
        let decryptors = context.decryptors().to_vec();
        decryptors
            .iter()
            .map(|&party| {
                let bytes = self.share(party, context).to_bytes();
                DecryptionShare::from_bytes(&bytes, &self.layout, context).unwrap()
            })
            .collect()
    }

    fn expected(&self, set: &[u16]) -> (Vec<i64>, u64) {
        let mut values = vec![0i64; self.layout.values_per_chunk()];
        let mut weight = 0;
        for &party in set {
            let h = &self.hospitals[usize::from(party) - 1];
            values.iter_mut().zip(&h.values).for_each(|(s, &v)| *s += i64::from(v));
            weight += u64::from(h.weight);
        }
        (values, weight)
    }

    fn context(&self, id: ChunkId, s: &[u16], t: &[u16]) -> ShareContext {
        ShareContext::new(&self.layout, id, s, t, MANIFEST).unwrap()
    }

    fn round(&mut self, chunk: u32, s: &[u16], t: &[u16]) -> DecodedChunk {
        let id = self.id(chunk);
        let context = self.context(id, s, t);
        let sum = self.sum(s, id);
        let shares = self.shares(&context);
        let blinded = BlindedSum::combine(&self.layout, &context, &sum, &shares).unwrap();
        let blinded = BlindedSum::from_bytes(&blinded.to_bytes(), &self.layout, &context).unwrap();
        open(&self.layout, &context, &self.group, &blinded).unwrap()
    }

    fn check_round(&mut self, chunk: u32, s: &[u16], t: &[u16]) {
        let decoded = self.round(chunk, s, t);
        let (values, weight) = self.expected(s);
        assert!(decoded.values == values, "S = {s:?}, T = {t:?}");
        assert_eq!((decoded.weight_sum, &decoded.contributors[..]), (weight, s));
        // The flooding is really there: t shares of deviation 2^w.
        assert!(decoded.noise_max > 1 << self.layout.flooding_bits());
        assert!(decoded.noise_max <= self.layout.noise_bound());
    }
}

/// All subsets of `1..=n` with `k` members.
fn subsets(n: u16, k: usize) -> Vec<Vec<u16>> {
    (0u32..1 << n)
        .filter(|mask| mask.count_ones() as usize == k)
        .map(|mask| (1..=n).filter(|i| mask >> (i - 1) & 1 == 1).collect())
        .collect()
}

/// A subset of `k` of `1..=n` drawn from the stream.
fn draw(stream: &mut Stream, n: u16, k: usize) -> Vec<u16> {
    let mut all: Vec<u16> = (1..=n).collect();
    while all.len() > k {
        let i = stream.next_u32() as usize % all.len();
        all.remove(i);
    }
    all
}

#[test]
fn sums_equal_the_integer_sums_for_many_shapes_and_dropouts() {
    let mut stream = Stream::from_seed([11; 32]);
    let shapes: [(&'static Params, u16, u16, u32); 8] = [
        (&TOY13, 3, 2, 16),
        (&TOY13, 3, 3, 8),
        (&TOY13, 4, 3, 24),
        (&TOY13, 8, 6, 12),
        (&TOY13, 16, 11, 16),
        (&TOY13, 16, 9, 4),
        (&TOY14, 16, 11, 16),
        (&TOY14, 20, 14, 8),
    ];
    for (params, n, t, b) in shapes {
        for values in [Values::Random, Values::Max, Values::Min] {
            let mut epoch = Epoch::new(params, n, t, b, values);
            let least = usize::from(t.max(3));
            for (chunk, size) in [(0, usize::from(n)), (1, least)] {
                let s = draw(&mut stream, n, size);
                let t = draw(&mut stream, n, usize::from(t));
                epoch.check_round(chunk, &s, &t);
            }
        }
    }
}

#[test]
fn sixty_four_hospitals_fit_the_large_preset() {
    let mut stream = Stream::from_seed([12; 32]);
    let mut epoch = Epoch::new(&TOY14, 64, 43, 16, Values::Max);
    let (s, t) = (draw(&mut stream, 64, 64), draw(&mut stream, 64, 43));
    epoch.check_round(0, &s, &t);
}

#[test]
fn a_full_size_chunk_opens() {
    let mut epoch = Epoch::new(Preset::Agg13.params(), 5, 4, 16, Values::Random);
    epoch.check_round(9, &[1, 2, 4, 5], &[2, 3, 4, 5]);
}

#[test]
fn every_set_of_decryptors_gives_the_same_values() {
    for (n, t) in [(3, 2), (3, 3), (4, 3), (5, 3), (5, 4), (5, 5)] {
        let mut epoch = Epoch::new(&TOY13, n, t, 16, Values::Random);
        let everyone: Vec<u16> = (1..=n).collect();
        for (chunk, set) in (0..).zip(subsets(n, usize::from(t))) {
            epoch.check_round(chunk, &everyone, &set);
        }
    }
}

#[test]
fn threshold_decryption_equals_decryption_under_the_secrets() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let (s, id) = ([1, 2, 3, 5], epoch.id(0));
    let context = epoch.context(id, &s, &[1, 3, 4, 5]);
    let sum = epoch.sum(&s, id);
    let shares = epoch.shares(&context);
    let blinded = BlindedSum::combine(&epoch.layout, &context, &sum, &shares).unwrap();
    let threshold = open(&epoch.layout, &context, &epoch.group, &blinded).unwrap();
    // Ideal decryption: the sum plus a times the summed secrets, plus the
    // blinding that `open` expects.
    let q = &TOY13.q;
    let mut secret = Poly::zero(TOY13.n, q.len());
    for &party in &s {
        secret.add_assign(epoch.hospitals[usize::from(party) - 1].secret.eval(), q);
    }
    secret.mul_assign(&id.common(&TOY13), q);
    let mut ideal = blinded.clone();
    ideal.y = sum.poly().clone();
    ideal.y.add_assign(&secret.into_coeff(q), q);
    ideal.y.add_assign(&share::blinding(&TOY13, &epoch.group, &context), q);
    let ideal = open(&epoch.layout, &context, &epoch.group, &ideal).unwrap();
    assert_eq!(ideal.values, threshold.values);
    // Only the encryption errors are left: |S| of at most 21.
    assert!(ideal.noise_max <= 4 * 21);
}

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

/// The same bytes that the hospital sent before, from a fresh ledger.
fn epoch_encrypt_again(epoch: &Epoch, party: u16, id: ChunkId) -> UpdateChunk {
    let h = &epoch.hospitals[usize::from(party) - 1];
    let request = EncryptRequest { layout: &epoch.layout, id, sender: party, weight: h.weight, values: &h.values };
    let permit = MemoryLedger::new(epoch.layout.flooding()).permit_encryption(&request).unwrap();
    encrypt_chunk(permit, &request, &h.secret, &vault(party)).unwrap()
}

/// A plaintext whose noise and range are right, so that only the control
/// lanes can object.
fn opened_with_lane_change(change: impl FnOnce(&LaneLayout) -> (usize, u64)) -> AggregationError {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let id = epoch.id(0);
    let context = epoch.context(id, &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let mut sum = epoch.sum(&[1, 2, 3, 4], id);
    let layout = &epoch.layout;
    let (lane, amount) = change(layout);
    let (coefficient, l) = (lane / layout.lanes(), lane % layout.lanes());
    let shift = layout.guard_bits() as usize + l * layout.stride_bits() as usize;
    for (i, limb) in TOY13.q.iter().enumerate() {
        let m = limb.modulus();
        let added = m.mul(m.pow(2, shift as u64), m.reduce_u64(amount));
        let x = &mut sum.poly_mut().limb_mut(i)[coefficient];
        *x = m.add(*x, added);
    }
    let shares = epoch.shares(&context);
    let blinded = BlindedSum::combine(&epoch.layout, &context, &sum, &shares).unwrap();
    open(&epoch.layout, &context, &epoch.group, &blinded).unwrap_err()
}

#[test]
fn control_lanes_catch_well_formed_changes() {
    let presence = opened_with_lane_change(|_| (2, 1));
    assert_eq!(presence, AggregationError::Presence { party: 3, count: 2, expected: 1 });
    let absent = opened_with_lane_change(|_| (4, 1));
    assert_eq!(absent, AggregationError::Presence { party: 5, count: 1, expected: 0 });
    let weight = opened_with_lane_change(|_| (5, 1));
    assert!(matches!(weight, AggregationError::Checksum { .. }));
    let checksum = opened_with_lane_change(|_| (6, 1));
    assert!(matches!(checksum, AggregationError::Checksum { .. }));
    let spare = opened_with_lane_change(|_| (7, 9));
    assert_eq!(spare, AggregationError::SpareLane { lane: 7, sum: 9 });
    let value = opened_with_lane_change(|l| (l.control_coefficients() * l.lanes() + 100, 1));
    assert!(matches!(value, AggregationError::Checksum { .. } | AggregationError::LaneRange { .. }));
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

#[test]
fn a_second_share_for_one_chunk_is_refused_and_a_repeat_is_identical() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let id = epoch.id(0);
    let context = epoch.context(id, &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let first = epoch.share(1, &context).to_bytes();
    assert_eq!(first, epoch.share(1, &context).to_bytes());
    let changed = [
        epoch.context(id, &[1, 2, 3, 4], &[1, 2, 3, 5]),
        epoch.context(id, &[1, 2, 3, 4, 5], &[1, 2, 3, 4]),
        ShareContext::new(&epoch.layout, id, &[1, 2, 3, 4], &[1, 2, 3, 4], [0; 32]).unwrap(),
    ];
    for other in changed {
        let refused = epoch.hospitals[0].ledger.permit_share(&other);
        assert!(matches!(refused, Err(PermitError::Conflict { .. })));
    }
    // A permit for one context does not serve another one.
    let next = epoch.context(epoch.id(1), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let permit = epoch.hospitals[0].ledger.permit_share(&next).unwrap();
    let misused = epoch.hospitals[0].decryptor.share(permit, &context).map(drop);
    assert_eq!(misused, Err(AggregationError::ForeignPermit));
    // A hospital outside T has no share to give.
    let permit = epoch.hospitals[4].ledger.permit_share(&context).unwrap();
    let outside = epoch.hospitals[4].decryptor.share(permit, &context).map(drop);
    assert_eq!(outside, Err(AggregationError::NotADecryptor { party: 5 }));
}

#[test]
fn other_integers_under_one_common_polynomial_are_refused() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let id = epoch.id(0);
    let first = epoch.encrypt(1, id).to_bytes();
    assert_eq!(first, epoch.encrypt(1, id).to_bytes());
    assert_eq!(first, epoch_encrypt_again(&epoch, 1, id).to_bytes());
    let layout = epoch.layout.clone();
    let h = &mut epoch.hospitals[0];
    let mut values = h.values.clone();
    let request = EncryptRequest { layout: &layout, id, sender: 1, weight: h.weight, values: &[] };
    assert!(matches!(h.ledger.permit_encryption(&request), Err(PermitError::Conflict { .. })));
    // A permit does not serve changed values.
    let fresh = ChunkId { attempt: 1, ..id };
    let asked = EncryptRequest { id: fresh, values: &values, ..request };
    let permit = h.ledger.permit_encryption(&asked).unwrap();
    let mut changed = values.clone();
    changed[0] ^= 1;
    let changed = EncryptRequest { values: &changed, ..asked };
    let misused = encrypt_chunk(permit, &changed, &h.secret, &vault(1)).map(drop);
    assert_eq!(misused, Err(AggregationError::ForeignPermit));
    // The same integers under a new attempt have another ciphertext.
    let permit = h.ledger.permit_encryption(&asked).unwrap();
    let second = encrypt_chunk(permit, &asked, &h.secret, &vault(1)).unwrap().to_bytes();
    assert_ne!(first, second);

    // Requests that do not fit the layout.
    let mut try_request = |attempt, weight, values: &[i32]| {
        let id = ChunkId { attempt, ..id };
        let request = EncryptRequest { layout: &layout, id, sender: 1, weight, values };
        let permit = h.ledger.permit_encryption(&request).unwrap();
        encrypt_chunk(permit, &request, &h.secret, &vault(1)).map(drop)
    };
    assert!(matches!(try_request(2, 0, &[]), Err(AggregationError::Weight { .. })));
    assert!(matches!(try_request(3, 1 << 16, &[]), Err(AggregationError::Weight { .. })));
    let range = Err(AggregationError::ValueRange { bits: 16 });
    assert_eq!(try_request(4, 1, &[32768]), range);
    assert_eq!(try_request(5, 1, &[-32769]), range);
    assert_eq!(try_request(6, 1, &[i32::MIN]), range);
    assert_eq!(try_request(7, 1, &[32767, -32768]), Ok(()));
    values.push(0);
    assert!(matches!(try_request(8, 1, &values), Err(AggregationError::TooManyValues { .. })));
}

#[test]
fn every_attempt_is_charged_once_and_the_budget_ends() {
    let layout = Epoch::new(&TOY13, 5, 4, 16, Values::Random).layout;
    let mut ledger = MemoryLedger::new(Flooding::secure(40, 2).unwrap());
    let context = |attempt| {
        let id = ChunkId { epoch: EPOCH, round: 1, attempt, chunk: 0 };
        ShareContext::new(&layout, id, &[1, 2, 3, 4], &[1, 2, 3, 4], MANIFEST).unwrap()
    };
    let request =
        |attempt| EncryptRequest { layout: &layout, id: *context(attempt).id(), sender: 1, weight: 1, values: &[] };
    assert!(ledger.permit_encryption(&request(0)).is_ok());
    assert!(ledger.permit_share(&context(0)).is_ok());
    assert!(ledger.permit_share(&context(0)).is_ok());
    assert_eq!(ledger.left(), 1);
    // Encrypted, then abandoned: charged all the same.
    assert!(ledger.permit_encryption(&request(1)).is_ok());
    assert_eq!(ledger.left(), 0);
    assert!(matches!(ledger.permit_encryption(&request(2)), Err(PermitError::Exhausted(_))));
    assert!(matches!(ledger.permit_share(&context(2)), Err(PermitError::Exhausted(_))));
    assert!(ledger.permit_share(&context(1)).is_ok());
}

#[test]
fn sets_that_would_expose_a_hospital_are_refused() {
    let flooding = Flooding::secure(40, 1 << 14).unwrap();
    let layout = LaneLayout::new(&TOY13, 5, 3, 16, flooding).unwrap();
    let id = ChunkId { epoch: EPOCH, round: 1, attempt: 0, chunk: 0 };
    let new = |s: &[u16], t: &[u16]| ShareContext::new(&layout, id, s, t, MANIFEST).map(drop);
    assert_eq!(new(&[1, 2, 3, 4], &[1, 2, 3]), Ok(()));
    let few = AggregationError::TooFewContributors { found: 3, min: 4 };
    assert_eq!(new(&[1, 2, 3], &[1, 2, 3]), Err(few));
    let three = layout.clone().with_three_contributors();
    assert!(ShareContext::new(&three, id, &[1, 2, 3], &[1, 2, 3], MANIFEST).is_ok());
    assert!(ShareContext::new(&three, id, &[1, 2], &[1, 2, 3], MANIFEST).is_err());
    let count = AggregationError::DecryptorCount { found: 4, expected: 3 };
    assert_eq!(new(&[1, 2, 3, 4], &[1, 2, 3, 4]), Err(count));
    let order = AggregationError::PartyOrder { previous: 2, party: 2 };
    assert_eq!(new(&[1, 2, 2, 4], &[1, 2, 3]), Err(order));
    let order = AggregationError::PartyOrder { previous: 3, party: 1 };
    assert_eq!(new(&[1, 2, 3, 4], &[2, 3, 1]), Err(order));
    for party in [0, 6] {
        let unknown = AggregationError::UnknownParty { party, parties: 5 };
        assert_eq!(new(&[1, 2, 3, 4], &[party, 2, 3]), Err(unknown));
    }
}

#[test]
fn key_shares_of_another_epoch_receiver_or_threshold_are_refused() {
    let epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let layout = &epoch.layout;
    let secret = &epoch.hospitals[0].secret;
    let share = secret.deal(layout, 1).unwrap().remove(1);
    let bytes = share.expose_bytes();
    assert_eq!((share.dealer(), share.receiver()), (1, 2));
    assert!(KeyShare::from_bytes(&bytes, layout, &EPOCH).is_ok());
    assert!(KeyShare::from_bytes(&bytes, layout, &[0; 32]).is_err());
    let other = LaneLayout::new(&TOY13, 5, 3, 16, layout.flooding()).unwrap();
    assert!(KeyShare::from_bytes(&bytes, &other, &EPOCH).is_err());
    for len in [0, 71, bytes.len() - 1] {
        let truncated = KeyShare::from_bytes(&bytes[..len], layout, &EPOCH).map(drop);
        assert!(matches!(truncated, Err(AggregationError::Decode(DecodeError::Length { .. }))));
    }
    let mut wide = bytes.to_vec();
    // The first residue becomes 2^30 - 1, above every prime.
    wide[72..76].fill(0xff);
    let residue = KeyShare::from_bytes(&wide, layout, &EPOCH).map(drop);
    assert!(matches!(residue, Err(AggregationError::Decode(DecodeError::Residue { .. }))));
    let mut decryptor = Decryptor::new(layout.clone(), EPOCH, 3, group_key(), vault(3)).unwrap();
    assert!(matches!(decryptor.insert_share(share), Err(AggregationError::ForeignObject { .. })));
    // Dealing is repeatable, and a seed means another secret in another epoch.
    let again = secret.deal(layout, 1).unwrap().remove(1);
    assert_eq!(again.expose_bytes(), bytes);
    let seed = *secret.expose_seed();
    let elsewhere = AggregationSecret::from_seed(&TOY13, [1; 32], seed);
    assert!(elsewhere.eval() != secret.eval());
}

#[test]
fn a_share_needs_every_key_it_is_made_of() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let context = epoch.context(epoch.id(0), &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let mut bare = Decryptor::new(epoch.layout.clone(), EPOCH, 1, group_key(), vault(1)).unwrap();
    let permit = epoch.hospitals[0].ledger.permit_share(&context).unwrap();
    let missing = AggregationError::Missing { object: "key share", party: 1 };
    assert_eq!(bare.share(permit, &context).map(drop), Err(missing));
    for party in 1..=5u16 {
        let dealer = &epoch.hospitals[usize::from(party) - 1].secret;
        bare.insert_share(dealer.deal(&epoch.layout, party).unwrap().remove(0)).unwrap();
    }
    let permit = epoch.hospitals[0].ledger.permit_share(&context).unwrap();
    let missing = AggregationError::Missing { object: "mask key", party: 2 };
    assert_eq!(bare.share(permit, &context).map(drop), Err(missing));
}

#[test]
fn golden_identities_are_stable() {
    let mut epoch = Epoch::new(&TOY13, 5, 4, 16, Values::Random);
    let id = epoch.id(0);
    let context = epoch.context(id, &[1, 2, 3, 4], &[1, 2, 3, 4]);
    let hex = |d: [u8; 32]| d[..8].iter().map(|b| format!("{b:02x}")).collect::<String>();
    let found = [hex(epoch.encrypt(1, id).identity()), hex(context.digest()), hex(epoch.share(1, &context).identity())];
    assert_eq!(found, GOLDEN);
}

/// Recorded once. A change means that stored bytes no longer reproduce, which
/// needs a new format version.
const GOLDEN: [&str; 3] = ["dc38266e7155323a", "0ae1209d57a3b57e", "ca1015d6a0aab02c"];

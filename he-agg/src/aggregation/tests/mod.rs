//! An epoch in memory: the hospitals, their keys and one round, for tests.

use super::*;
use crate::params::{Params, Preset};
use crate::stream::Stream;
use std::sync::LazyLock;

mod active_sets;
mod anatomy;
mod budget;
mod dropouts;
mod faults;
mod noise;
mod packed;
mod refusals;
mod reuse;
mod short;
mod sums;
mod terms;
mod thresholds;

/// Small rings: every formula holds, nothing is secure.
static TOY13: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Agg13, 8));
static TOY14: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Agg14, 8));
/// Still smaller, for many epochs or many hospitals.
static TINY13: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Agg13, 6));
static TINY14: LazyLock<Params> = LazyLock::new(|| Params::toy(Preset::Agg14, 6));

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

/// The mask key of two hospitals, from the halves they would have chosen.
fn pair_key(i: u16, j: u16) -> MaskKey {
    let (low, high) = (i.min(j), i.max(j));
    MaskKey::pair(&EPOCH, (low, &[low as u8; 32]), (high, &[high as u8 ^ 0x80; 32]))
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

#[derive(Clone, Copy, Debug)]
enum Values {
    Random,
    /// Every lane and the weight at their largest.
    Max,
    /// Every lane and the weight at their smallest.
    Min,
    /// Far from either end.
    Small,
    /// Lanes at either end or zero, the weight at either end.
    Extremes,
}

impl Epoch {
    fn new(params: &'static Params, n: u16, t: u16, b: u32, values: Values) -> Self {
        let flooding = Flooding::secure(40, 1 << 14).unwrap();
        Epoch::of(LaneLayout::new(params, n, t, b, flooding).unwrap().with_three_contributors(), values)
    }

    /// Values for a full chunk; of a shorter one the first are used.
    fn of(layout: LaneLayout, values: Values) -> Self {
        let (params, n, b) = (layout.params(), layout.parties(), layout.lane_bits());
        let flooding = layout.flooding();
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
                        Values::Small => (stream.next_u32() % 1000) as i32 - 500,
                        Values::Min => low as i32,
                        Values::Random => (low + (stream.next_u32() as i64 & ((1 << b) - 1))) as i32,
                        Values::Extremes => [low as i32, high as i32, 0, -1][stream.next_u32() as usize % 4],
                    })
                    .collect(),
                weight: match values {
                    Values::Max => layout.lane_max() as u32,
                    Values::Min | Values::Small => 1,
                    Values::Random => 1 + stream.next_u32() % layout.lane_max() as u32,
                    Values::Extremes => [1, layout.lane_max() as u32][stream.next_u32() as usize % 2],
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
        for (i, hospital) in (1..=n).zip(&mut hospitals) {
            for j in (1..=n).filter(|&j| j != i) {
                hospital.decryptor.insert_pair(j, pair_key(i, j)).unwrap();
            }
        }
        Epoch { layout, hospitals, group: group_key() }
    }

    fn id(&self, chunk: u32) -> ChunkId {
        ChunkId { epoch: EPOCH, round: 3, attempt: 0, chunk }
    }

    fn encrypt(&mut self, party: u16, id: ChunkId) -> UpdateChunk {
        let h = &mut self.hospitals[usize::from(party) - 1];
        let values = &h.values[..self.layout.values_in(id.chunk)];
        let request = EncryptRequest { layout: &self.layout, id, sender: party, weight: h.weight, values };
        let permit = h.ledger.permit_encryption(&request).unwrap();
        encrypt_chunk(permit, &request, &h.secret, &vault(party), &group_key()).unwrap()
    }

    fn share(&mut self, party: u16, context: &ShareContext) -> DecryptionShare {
        let h = &mut self.hospitals[usize::from(party) - 1];
        let permit = h.ledger.permit_share(context).unwrap();
        h.decryptor.share(permit, context).unwrap()
    }

    /// A decryptor made again from the same keys and some vault secret.
    fn decryptor(&self, party: u16, vault: VaultSecret) -> Decryptor {
        let mut decryptor = Decryptor::new(self.layout.clone(), EPOCH, party, group_key(), vault).unwrap();
        for (dealer, hospital) in (1..=self.layout.parties()).zip(&self.hospitals) {
            let mut dealt = hospital.secret.deal(&self.layout, dealer).unwrap();
            decryptor.insert_share(dealt.swap_remove(usize::from(party) - 1)).unwrap();
            if dealer != party {
                decryptor.insert_pair(dealer, pair_key(party, dealer)).unwrap();
            }
        }
        decryptor
    }

    /// The process of a hospital after a restart that lost its ledger.
    fn forget(&mut self, party: u16) {
        self.hospitals[usize::from(party) - 1].ledger = MemoryLedger::new(self.layout.flooding());
    }

    fn sum(&mut self, set: &[u16], id: ChunkId) -> ChunkSum {
        let mut sum = ChunkSum::new(&self.layout, id);
        for &party in set {
            // Through bytes, as they travel.
            let bytes = self.encrypt(party, id).to_bytes();
            assert_eq!(bytes.len(), self.layout.object_bytes(id.chunk));
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
        let (mut values, weight) = self.expected(s);
        values.truncate(self.layout.values_in(chunk));
        for expected in [weight - 1, weight + 1] {
            let other = decoded.clone().weighing(expected).unwrap_err();
            assert_eq!(other, AggregationError::WeightSum { found: weight, expected });
        }
        let decoded = decoded.weighing(weight).unwrap();
        assert!(decoded.values == values, "S = {s:?}, T = {t:?}");
        assert_eq!((decoded.weight_sum, &decoded.contributors[..]), (weight, s));
        // The flooding is really there: t shares of deviation 2^w.
        // The largest of a few coefficients may be small.
        let few = if self.layout.coefficients(chunk) < 64 { 6 } else { 0 };
        assert!(decoded.noise_max > 1 << (self.layout.flooding_bits() - few));
        assert!(decoded.noise_max <= self.layout.noise_bound());
    }
}

/// Adds to a lane of a sum, as whoever holds it can: noise and range stay right where the amount fits the lane.
fn add_to_lane(sum: &mut ChunkSum, layout: &LaneLayout, lane: usize, amount: u64) {
    let (coefficient, l) = (lane / layout.lanes(), lane % layout.lanes());
    let shift = layout.guard_bits() as usize + l * layout.stride_bits() as usize;
    for (i, limb) in layout.params().q.iter().enumerate() {
        let m = limb.modulus();
        let added = m.mul(m.pow(2, shift as u64), m.reduce_u64(amount));
        let x = &mut sum.poly_mut().limb_mut(i)[coefficient];
        *x = m.add(*x, added);
    }
}

/// The same bytes that the hospital sent before, from a fresh ledger.
fn epoch_encrypt_again(epoch: &Epoch, party: u16, id: ChunkId) -> UpdateChunk {
    let h = &epoch.hospitals[usize::from(party) - 1];
    let values = &h.values[..epoch.layout.values_in(id.chunk)];
    let request = EncryptRequest { layout: &epoch.layout, id, sender: party, weight: h.weight, values };
    let permit = MemoryLedger::new(epoch.layout.flooding()).permit_encryption(&request).unwrap();
    encrypt_chunk(permit, &request, &h.secret, &vault(party), &group_key()).unwrap()
}

//! An epoch in memory: the hospitals, their keys and one round, for tests.

use super::*;
use crate::params::{Params, Preset};
use crate::stream::Stream;
use std::sync::LazyLock;

mod faults;
mod refusals;
mod sums;

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

/// The same bytes that the hospital sent before, from a fresh ledger.
fn epoch_encrypt_again(epoch: &Epoch, party: u16, id: ChunkId) -> UpdateChunk {
    let h = &epoch.hospitals[usize::from(party) - 1];
    let request = EncryptRequest { layout: &epoch.layout, id, sender: party, weight: h.weight, values: &h.values };
    let permit = MemoryLedger::new(epoch.layout.flooding()).permit_encryption(&request).unwrap();
    encrypt_chunk(permit, &request, &h.secret, &vault(party)).unwrap()
}

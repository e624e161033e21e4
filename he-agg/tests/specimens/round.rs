//! The objects of one training round of three hospitals, two of which decrypt.

use he_agg::Params;
use he_agg::aggregation::{
    AggregationSecret, BlindedSum, ChunkId, ChunkSum, DecodedChunk, DecryptionShare, Decryptor, EncryptRequest,
    Flooding, KeyShare, LaneLayout, MaskKey, MemoryLedger, ReleaseLedger, ShareContext, UpdateChunk, VaultSecret,
    encrypt_chunk, open,
};

/// The epoch of every round here.
pub(crate) const EPOCH: [u8; 32] = [0xe9; 32];
/// The key that only hospitals hold.
const GROUP: [u8; 32] = [0x77; 32];
const PARTIES: u16 = 3;
const THRESHOLD: u16 = 2;

/// A round in progress: what its decoders are checked against.
pub(crate) struct Round {
    pub(crate) layout: LaneLayout,
    pub(crate) context: ShareContext,
    secrets: Vec<AggregationSecret>,
    values: Vec<Vec<i32>>,
}

impl Round {
    /// The round over `params`, an aggregation preset or a small copy of one.
    pub(crate) fn new(params: &'static Params) -> Self {
        Self::of(Self::layout(params))
    }

    /// The same with so many values in the chunk, which is the last of its update.
    pub(crate) fn short(params: &'static Params, values: usize) -> Self {
        let layout = Self::layout(params);
        let before = layout.values_per_chunk() * Self::id().chunk as usize;
        Self::of(layout.for_values(before + values))
    }

    fn layout(params: &'static Params) -> LaneLayout {
        let flooding = Flooding::secure(40, 1 << 14).unwrap();
        LaneLayout::new(params, PARTIES, THRESHOLD, 16, flooding).unwrap().with_three_contributors()
    }

    fn of(layout: LaneLayout) -> Self {
        let params = layout.params();
        let context = ShareContext::new(&layout, Self::id(), &[1, 2, 3], &[1, 3], [0x3a; 32]).unwrap();
        let secrets = (1..=PARTIES).map(|p| AggregationSecret::from_seed(params, EPOCH, [p as u8; 32])).collect();
        // Values from both ends of the range and all between, without a random generator.
        let value = |p: usize, i: usize| ((i * 7919 + p * 104_729) % 65_536) as i32 - 32_768;
        let chunk = layout.values_in(Self::id().chunk);
        let values = (0..usize::from(PARTIES)).map(|p| (0..chunk).map(|i| value(p, i)).collect()).collect();
        Round { layout, context, secrets, values }
    }

    pub(crate) fn id() -> ChunkId {
        ChunkId { epoch: EPOCH, round: 3, attempt: 1, chunk: 2 }
    }

    pub(crate) fn update(&self, party: u16) -> UpdateChunk {
        let index = usize::from(party) - 1;
        let (layout, id, values) = (&self.layout, Self::id(), &self.values[index]);
        let request = EncryptRequest { layout, id, sender: party, weight: 100 * u32::from(party), values };
        let permit = MemoryLedger::new(layout.flooding()).permit_encryption(&request).unwrap();
        encrypt_chunk(permit, &request, &self.secrets[index], &vault(party), &MaskKey::from_bytes(GROUP)).unwrap()
    }

    pub(crate) fn key_shares(&self, dealer: u16) -> Vec<KeyShare> {
        self.secrets[usize::from(dealer) - 1].deal(&self.layout, dealer).unwrap()
    }

    /// The decryptor of a hospital, with every dealt point and mask key.
    pub(crate) fn decryptor(&self, party: u16) -> Decryptor {
        let group = MaskKey::from_bytes(GROUP);
        let mut decryptor = Decryptor::new(self.layout.clone(), EPOCH, party, group, vault(party)).unwrap();
        for dealer in 1..=PARTIES {
            let share = self.key_shares(dealer).swap_remove(usize::from(party) - 1);
            decryptor.insert_share(share).unwrap();
        }
        for peer in (1..=PARTIES).filter(|&peer| peer != party) {
            let halves = (party.min(peer), party.max(peer));
            let key = MaskKey::pair(&EPOCH, (halves.0, &[halves.0 as u8; 32]), (halves.1, &[halves.1 as u8; 32]));
            decryptor.insert_pair(peer, key).unwrap();
        }
        decryptor
    }

    pub(crate) fn share(&self, decryptor: &Decryptor) -> DecryptionShare {
        let permit = MemoryLedger::new(self.layout.flooding()).permit_share(&self.context).unwrap();
        decryptor.share(permit, &self.context).unwrap()
    }

    pub(crate) fn sum(&self) -> ChunkSum {
        let mut sum = ChunkSum::new(&self.layout, Self::id());
        for party in 1..=PARTIES {
            sum.absorb(&self.update(party)).unwrap();
        }
        sum
    }

    pub(crate) fn blinded(&self) -> BlindedSum {
        let shares = [1, 3].map(|party| self.share(&self.decryptor(party)));
        BlindedSum::combine(&self.layout, &self.context, &self.sum(), &shares).unwrap()
    }

    /// What a hospital reads; checked against the plain sums.
    pub(crate) fn opened(&self, blinded: &BlindedSum) -> DecodedChunk {
        let decoded = open(&self.layout, &self.context, &MaskKey::from_bytes(GROUP), blinded).unwrap();
        assert_eq!(decoded.values.len(), self.values[0].len());
        for (i, &sum) in decoded.values.iter().enumerate() {
            assert_eq!(sum, self.values.iter().map(|v| i64::from(v[i])).sum::<i64>());
        }
        decoded
    }

    /// Every object of the round under its name.
    pub(crate) fn objects(&self) -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("update-chunk", self.update(2).to_bytes()),
            ("key-share", self.key_shares(2)[2].expose_bytes().to_vec()),
            ("decryption-share", self.share(&self.decryptor(3)).to_bytes()),
            ("blinded-sum", self.blinded().to_bytes()),
        ]
    }
}

fn vault(party: u16) -> VaultSecret {
    VaultSecret::from_bytes([0x40 + party as u8; 32])
}

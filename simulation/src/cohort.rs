//! Hospitals of one training round, from bytes to bytes, as the protocol's parties work: the subject of `bench
//! aggregate`, and how features of a head are whitened by a sum.
//!
//! Keys and updates come from fixed seeds; the ledgers forget. All of it in one process: nothing here is secret.

use std::convert::Infallible;

use he_agg::Stream;
use he_agg::aggregation::{
    AggregationError, AggregationSecret, BlindedSum, ChunkId, ChunkSum, DecryptionShare, Decryptor, EncryptRequest,
    LaneLayout, MaskKey, MemoryLedger, PermitError, Quantiser, ReleaseLedger, ShareContext, VaultSecret, encrypt_chunk,
    open,
};
use rayon::prelude::*;

/// Seed of everything.
const SEED: [u8; 32] = *b"consilium bench, aggregation    ";

/// Values lie in [-CLIP, CLIP], so that every lane value occurs.
const CLIP: f32 = 0.1;

/// Training round that is imitated; its number changes nothing.
const ROUND: u32 = 1;

/// Why a round did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CohortError {
    /// A step failed.
    #[error("an aggregation step failed: {0}")]
    Aggregation(#[from] AggregationError),
    /// A ledger refused.
    #[error("the release ledger refused: {0}")]
    Permit(#[from] PermitError<Infallible>),
}

/// The objects of all chunks, as they travel.
pub type Wire = Vec<Vec<u8>>;

/// Hospitals with keys, and the size of their updates.
pub struct Cohort {
    layout: LaneLayout,
    parameters: usize,
    epoch: [u8; 32],
    secrets: Vec<AggregationSecret>,
    decryptors: Vec<Decryptor>,
    quantiser: Quantiser,
}

/// What a hospital reads from a round.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// Integer sums of all values.
    pub sums: Vec<i64>,
    /// Weighted means of all values.
    pub means: Vec<f64>,
    /// Sum of weights.
    pub weight_sum: u64,
}

fn group_key() -> MaskKey {
    MaskKey::from_bytes([0x67; 32])
}

fn vault(party: u16) -> VaultSecret {
    let mut bytes = [0x76; 32];
    bytes[..2].copy_from_slice(&party.to_le_bytes());
    VaultSecret::from_bytes(bytes)
}

impl Cohort {
    /// Makes all keys: every hospital's secret, and what the first `threshold` hospitals need to decrypt. Takes the
    /// memory of `hospitals * threshold` key shares.
    ///
    /// # Errors
    /// None in practice.
    pub fn new(layout: LaneLayout, parameters: usize) -> Result<Self, CohortError> {
        let layout = layout.for_values(parameters);
        let mut stream = Stream::from_seed(SEED);
        let epoch = stream.seed();
        let (parties, threshold) = (layout.parties(), layout.threshold());
        let mut decryptors = (1..=threshold)
            .map(|party| Decryptor::new(layout.clone(), epoch, party, group_key(), vault(party)))
            .collect::<Result<Vec<_>, _>>()?;
        for low in 1..=threshold {
            for high in low + 1..=threshold {
                let key = stream.seed();
                decryptors[usize::from(low) - 1].insert_pair(high, MaskKey::from_bytes(key))?;
                decryptors[usize::from(high) - 1].insert_pair(low, MaskKey::from_bytes(key))?;
            }
        }
        let mut secrets = Vec::with_capacity(usize::from(parties));
        for dealer in 1..=parties {
            let secret = AggregationSecret::generate(layout.params(), epoch, &mut stream);
            for (decryptor, share) in decryptors.iter_mut().zip(secret.deal(&layout, dealer)?) {
                decryptor.insert_share(share)?;
            }
            secrets.push(secret);
        }
        let quantiser = Quantiser::new(&layout, CLIP)?;
        Ok(Self { layout, parameters, epoch, secrets, decryptors, quantiser })
    }

    /// The layout.
    pub fn layout(&self) -> &LaneLayout {
        &self.layout
    }

    /// Chunks of one update.
    pub fn chunks(&self) -> usize {
        self.layout.chunks(self.parameters)
    }

    /// Bytes of one update, share or result on the wire, headers included.
    pub fn wire_bytes(&self) -> usize {
        self.layout.update_bytes(self.parameters)
    }

    /// The hospitals, from 1.
    pub fn hospitals(&self) -> std::ops::RangeInclusive<u16> {
        1..=self.layout.parties()
    }

    /// The update of a hospital, uniform in [-CLIP, CLIP].
    pub fn update(&self, hospital: u16) -> Vec<f32> {
        let mut stream = self.stream(hospital, 1);
        let mut bytes = vec![0; 4 * self.parameters];
        stream.fill(&mut bytes);
        let (words, _) = bytes.as_chunks::<4>();
        words.iter().map(|&word| (u32::from_le_bytes(word) as f32 / u32::MAX as f32 - 0.5) * 2.0 * CLIP).collect()
    }

    /// The weight of a hospital; no two are alike.
    ///
    /// # Errors
    /// None in practice.
    pub fn weight(&self, hospital: u16) -> Result<u32, CohortError> {
        let most = 100 + u32::from(self.layout.parties());
        Ok(Quantiser::weight(&self.layout, 100 + u32::from(hospital), most)?)
    }

    /// The integers of an update: the same for every call.
    ///
    /// # Errors
    /// None in practice.
    pub fn quantise(&self, hospital: u16, update: &[f32]) -> Result<Vec<i32>, CohortError> {
        Ok(self.quantiser.quantise(update, self.weight(hospital)?, &mut self.stream(hospital, 2))?)
    }

    /// A hospital's ledger. Repeats of one encryption or share are allowed and give the same bytes.
    pub fn ledger(&self) -> MemoryLedger {
        MemoryLedger::new(self.layout.flooding())
    }

    /// Integers to bytes on the wire: permits, encryption, packing.
    ///
    /// # Errors
    /// None in practice.
    pub fn encrypt(&self, hospital: u16, integers: &[i32], ledger: &mut MemoryLedger) -> Result<Wire, CohortError> {
        let (layout, weight) = (&self.layout, self.weight(hospital)?);
        let (secret, vault, group) = (&self.secrets[usize::from(hospital) - 1], vault(hospital), group_key());
        let mut permitted = Vec::with_capacity(self.chunks());
        for (chunk, values) in (0..).zip(integers.chunks(layout.values_per_chunk())) {
            let request = EncryptRequest { layout, id: self.id(chunk), sender: hospital, weight, values };
            permitted.push((request, ledger.permit_encryption(&request)?));
        }
        let encrypt = |(request, permit)| Ok(encrypt_chunk(permit, &request, secret, &vault, &group)?.to_bytes());
        permitted.into_par_iter().map(encrypt).collect()
    }

    /// The coordinator's addition: bytes of all updates in, bytes of the sums out.
    ///
    /// # Errors
    /// None in practice; malformed bytes would be refused here.
    pub fn add(&self, updates: &[Wire]) -> Result<Wire, CohortError> {
        let chunks = (0..self.chunks()).into_par_iter();
        chunks.map(|chunk| Ok(self.add_chunk(updates, chunk)?.to_bytes())).collect()
    }

    /// The sums themselves, as the shares are added to them.
    ///
    /// # Errors
    /// As [`Cohort::add`].
    pub fn sums(&self, updates: &[Wire]) -> Result<Vec<ChunkSum>, CohortError> {
        (0..self.chunks()).into_par_iter().map(|chunk| self.add_chunk(updates, chunk)).collect()
    }

    /// What shares are bound to, chunk by chunk: all hospitals contribute, the first `threshold` decrypt.
    ///
    /// # Errors
    /// None in practice.
    pub fn contexts(&self) -> Result<Vec<ShareContext>, CohortError> {
        let contributors: Vec<u16> = self.hospitals().collect();
        let decryptors = &contributors[..usize::from(self.layout.threshold())];
        let context = |chunk: usize| {
            Ok(ShareContext::new(&self.layout, self.id(chunk as u32), &contributors, decryptors, [0x6d; 32])?)
        };
        (0..self.chunks()).map(context).collect()
    }

    /// A hospital's decryption shares, as they travel. `decryptor` counts from 0.
    ///
    /// # Errors
    /// None in practice.
    pub fn share(
        &self,
        decryptor: usize,
        contexts: &[ShareContext],
        ledger: &mut MemoryLedger,
    ) -> Result<Wire, CohortError> {
        let decryptor = &self.decryptors[decryptor];
        let permits = contexts.iter().map(|context| ledger.permit_share(context)).collect::<Result<Vec<_>, _>>()?;
        let share = |(permit, context)| Ok(decryptor.share(permit, context)?.to_bytes());
        permits.into_par_iter().zip(contexts).map(share).collect()
    }

    /// The shares' bytes and the sums to the results' bytes.
    ///
    /// # Errors
    /// None in practice.
    pub fn combine(&self, contexts: &[ShareContext], sums: &[ChunkSum], shares: &[Wire]) -> Result<Wire, CohortError> {
        let chunks = contexts.par_iter().zip(sums).enumerate();
        chunks.map(|(chunk, (context, sum))| self.combine_chunk(context, sum, shares, chunk)).collect()
    }

    /// All that the coordinator does: bytes of updates and shares in, bytes of results out, chunk by chunk.
    ///
    /// # Errors
    /// None in practice.
    pub fn serve(&self, contexts: &[ShareContext], updates: &[Wire], shares: &[Wire]) -> Result<Wire, CohortError> {
        let chunks = contexts.par_iter().enumerate();
        let serve = |(chunk, context)| self.combine_chunk(context, &self.add_chunk(updates, chunk)?, shares, chunk);
        chunks.map(serve).collect()
    }

    /// The results' bytes to means.
    ///
    /// # Errors
    /// None in practice; a wrong result would be refused here.
    pub fn open(&self, contexts: &[ShareContext], results: &Wire) -> Result<Opened, CohortError> {
        let group = group_key();
        let opened: Vec<_> = contexts
            .par_iter()
            .zip(results)
            .map(|(context, bytes)| {
                let blinded = BlindedSum::from_bytes(bytes, &self.layout, context)?;
                let chunk = open(&self.layout, context, &group, &blinded)?;
                let means = self.quantiser.dequantise(&chunk.values, chunk.weight_sum)?;
                Ok((chunk, means))
            })
            .collect::<Result<_, CohortError>>()?;
        let weight_sum = opened.first().map_or(0, |(chunk, _)| chunk.weight_sum);
        let mut all = Opened { sums: Vec::new(), means: Vec::new(), weight_sum };
        all.sums.reserve(self.chunks() * self.layout.values_per_chunk());
        all.means.reserve(self.chunks() * self.layout.values_per_chunk());
        for (chunk, means) in &opened {
            all.sums.extend_from_slice(&chunk.values);
            all.means.extend_from_slice(means);
        }
        all.sums.truncate(self.parameters);
        all.means.truncate(self.parameters);
        Ok(all)
    }

    fn id(&self, chunk: u32) -> ChunkId {
        ChunkId { epoch: self.epoch, round: ROUND, attempt: 0, chunk }
    }

    fn stream(&self, hospital: u16, purpose: u8) -> Stream {
        let mut seed = SEED;
        seed[29..31].copy_from_slice(&hospital.to_le_bytes());
        seed[31] = purpose;
        Stream::from_seed(seed)
    }

    fn add_chunk(&self, updates: &[Wire], chunk: usize) -> Result<ChunkSum, CohortError> {
        let mut sum = ChunkSum::new(&self.layout, self.id(chunk as u32));
        for update in updates {
            sum.absorb_bytes(&update[chunk], &self.layout)?;
        }
        Ok(sum)
    }

    fn combine_chunk(
        &self,
        context: &ShareContext,
        sum: &ChunkSum,
        shares: &[Wire],
        chunk: usize,
    ) -> Result<Vec<u8>, CohortError> {
        let read = |share: &Wire| DecryptionShare::from_bytes(&share[chunk], &self.layout, context);
        let shares = shares.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(BlindedSum::combine(&self.layout, context, sum, &shares)?.to_bytes())
    }
}

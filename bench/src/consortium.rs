//! Hospitals that share a serving key and release an answer together, as the service's parties do, in one process.
//!
//! Every object travels as bytes: what is timed includes packing and unpacking, but no network and no disk. Keys come
//! from a fixed seed and the ledgers are in memory: nothing here is secret.

use std::{collections::BTreeMap, time::Instant};

use experiment::Release;
use he_agg::{
    Preset, Stream,
    aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret},
    ckks::Ciphertext,
    multiparty::{
        AnswerShape, Collective, Crs, KeyPlan, Quorum, ReleaseContext, ReleasePermit, ReleaseRequest, ReleaseShare,
        ReleaseSum, ServingKeyShare,
    },
};

use super::error::BenchError;

/// Stands for what the service binds a release to: asker, query and decryptors.
const REQUEST: [u8; 32] = [0x71; 32];

/// What a hospital needs to take part in a release.
struct Decryptor {
    key: ServingKeyShare,
    pairs: BTreeMap<u16, MaskKey>,
    vault: VaultSecret,
    ledger: MemoryLedger,
}

/// Keys of all hospitals.
pub struct Consortium {
    /// The collective keys.
    pub keys: Collective,
    quorum: Quorum,
    release: Release,
    decryptors: Vec<Decryptor>,
}

/// One answer on its way back.
pub struct Released {
    /// Each decryptor's share, which the service seals to the asker.
    pub shares: Vec<Vec<u8>>,
    /// Seconds of each decryptor.
    pub seconds: Vec<f64>,
}

impl Consortium {
    /// Hospitals needed to release an answer: two thirds and one.
    pub fn threshold(hospitals: u16) -> u16 {
        hospitals * 2 / 3 + 1
    }

    /// Runs the ceremony, and deals every secret to the decryptors.
    ///
    /// # Errors
    /// What a ceremony says.
    pub fn new(
        preset: Preset,
        hospitals: u16,
        release: Release,
        plan: &KeyPlan,
        stream: &mut Stream,
    ) -> Result<Self, BenchError> {
        let keys = Collective::new(Crs::new(preset, stream.seed()), hospitals, plan, stream)?;
        let quorum = Quorum { threshold: Self::threshold(hospitals), parties: hospitals };
        let held = keys.deal(quorum.threshold, stream)?.into_iter().take(usize::from(quorum.threshold));
        let halves: Vec<[u8; 32]> = (0..quorum.threshold).map(|_| stream.seed()).collect();
        let half = |party: u16| (party, &halves[usize::from(party) - 1]);
        let decryptor = |(party, key): (u16, ServingKeyShare)| {
            let others = (1..=quorum.threshold).filter(|other| *other != party);
            Decryptor {
                key,
                pairs: others
                    .map(|other| (other, MaskKey::pair(&keys.crs.epoch(), half(party), half(other))))
                    .collect(),
                vault: VaultSecret::from_bytes([party.to_le_bytes()[0]; 32]),
                ledger: MemoryLedger::new(release.flooding),
            }
        };
        let decryptors = (1..).zip(held).map(decryptor).collect();
        Ok(Self { keys, quorum, release, decryptors })
    }

    /// What every decryptor's share is flooded for.
    pub fn flooding(&self) -> Flooding {
        self.release.flooding
    }

    /// Releases an answer: every decryptor's flooded share.
    ///
    /// # Errors
    /// A result that is not at the base level, or of another scale than `shape` says.
    pub fn release(&mut self, query: u32, result: &[u8], shape: AnswerShape) -> Result<Released, BenchError> {
        let (preset, context) = (self.keys.crs.preset(), self.context(query, shape)?);
        let mut shares = Vec::with_capacity(self.decryptors.len());
        let mut seconds = Vec::with_capacity(self.decryptors.len());
        for Decryptor { key, pairs, vault, ledger } in &mut self.decryptors {
            let started = Instant::now();
            let result = Ciphertext::from_bytes(result, preset)?;
            let permit = ReleasePermit::claim(ledger, &context, &result)?;
            let policy = self.release.policy();
            let share = ReleaseShare::generate(permit, (&context, &result), key, policy, pairs, vault)?;
            shares.push(share.to_bytes().to_vec());
            seconds.push(started.elapsed().as_secs_f64());
        }
        Ok(Released { shares, seconds })
    }

    /// Adds the shares of an answer as its asker does, to the answer's slots.
    ///
    /// # Errors
    /// Bytes that are no shares of it.
    pub fn read(&self, query: u32, shares: &[Vec<u8>], shape: AnswerShape) -> Result<Vec<f64>, BenchError> {
        let context = self.context(query, shape)?;
        let mut sum = ReleaseSum::new(&context);
        for share in shares {
            sum.absorb(&ReleaseShare::from_bytes(share, &context)?)?;
        }
        Ok(sum.finish()?)
    }

    fn context(&self, query: u32, shape: AnswerShape) -> Result<ReleaseContext, BenchError> {
        let set: Vec<u16> = (1..=self.quorum.threshold).collect();
        let request = ReleaseRequest { query, asker: 1, digest: REQUEST };
        Ok(ReleaseContext::new(&self.keys.crs, self.quorum, request, shape, &set)?)
    }
}

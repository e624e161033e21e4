//! Hospitals that share a serving key and release an answer together, as the service's parties do, in one process.
//!
//! Every object travels as bytes: what is timed includes packing and unpacking, but no network and no disk. Keys come
//! from a fixed seed and the ledgers are in memory: nothing here is secret.

use std::{collections::BTreeMap, time::Instant};

use experiment::Release;
use he_agg::{
    Preset, Stream,
    aggregation::{Flooding, MaskKey, MemoryLedger, VaultSecret},
    ckks::{Ciphertext, Plaintext},
    multiparty::{
        AskerKey, AskerPublicKey, Collective, Crs, KeyPlan, KeySwitchShare, Quorum, ServingKeyShare, SwitchContext,
        SwitchPermit, SwitchSum,
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

/// Keys of all hospitals, and the key of the one that asks.
pub struct Consortium {
    /// The collective keys.
    pub keys: Collective,
    quorum: Quorum,
    release: Release,
    decryptors: Vec<Decryptor>,
    asker: AskerKey,
}

/// One answer on its way back.
pub struct Released {
    /// The answer under the asker's key.
    pub answer: Vec<u8>,
    /// Seconds of each decryptor.
    pub shares: Vec<f64>,
    /// Bytes of one share.
    pub share_bytes: usize,
    /// Seconds of the coordinator's addition.
    pub combine: f64,
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
        let mut held: Vec<Option<ServingKeyShare>> = (0..quorum.threshold).map(|_| None).collect();
        for secret in &keys.secrets {
            let dealt = secret.share_points(&keys.crs, quorum.threshold, hospitals, stream)?;
            for (held, share) in held.iter_mut().zip(dealt) {
                match held {
                    Some(sum) => sum.absorb(&share)?,
                    None => *held = Some(share),
                }
            }
        }
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
        let decryptors = (1..).zip(held.into_iter().flatten()).map(decryptor).collect();
        let asker = AskerKey::generate(preset, stream)?;
        Ok(Self { keys, quorum, release, decryptors, asker })
    }

    /// What every decryptor's share is flooded for.
    pub fn flooding(&self) -> Flooding {
        self.release.flooding
    }

    /// Switches a result to the asker: every decryptor's flooded share, and their sum.
    ///
    /// # Errors
    /// A result that is not at the base level.
    pub fn release(&mut self, query: u32, result: &[u8]) -> Result<Released, BenchError> {
        let (preset, quorum) = (self.keys.crs.preset(), self.quorum);
        let asker = self.asker.public().to_bytes();
        let set: Vec<u16> = (1..=quorum.threshold).collect();
        let mut shares = Vec::with_capacity(set.len());
        let mut seconds = Vec::with_capacity(set.len());
        for Decryptor { key, pairs, vault, ledger } in &mut self.decryptors {
            let started = Instant::now();
            let (result, asker) =
                (Ciphertext::from_bytes(result, preset)?, AskerPublicKey::from_bytes(&asker, preset)?);
            let context = SwitchContext::new(&self.keys.crs, quorum, (query, REQUEST), &result, &asker, &set)?;
            let permit = SwitchPermit::claim(ledger, &context)?;
            let policy = self.release.policy();
            shares.push(KeySwitchShare::generate(permit, &context, key, policy, pairs, vault)?.to_bytes());
            seconds.push(started.elapsed().as_secs_f64());
        }
        let started = Instant::now();
        let (result, asker) = (Ciphertext::from_bytes(result, preset)?, AskerPublicKey::from_bytes(&asker, preset)?);
        let context = SwitchContext::new(&self.keys.crs, quorum, (query, REQUEST), &result, &asker, &set)?;
        let mut sum = SwitchSum::new(&context);
        for share in &shares {
            sum.absorb(&KeySwitchShare::from_bytes(share, &context)?)?;
        }
        let answer = sum.finish()?.to_bytes();
        let combine = started.elapsed().as_secs_f64();
        Ok(Released { answer, shares: seconds, share_bytes: shares.first().map_or(0, Vec::len), combine })
    }

    /// Reads an answer as the asker does.
    ///
    /// # Errors
    /// Bytes that are no answer.
    pub fn read(&self, answer: &[u8]) -> Result<Plaintext, BenchError> {
        Ok(self.asker.decrypt(&Ciphertext::from_bytes(answer, self.keys.crs.preset())?)?)
    }
}

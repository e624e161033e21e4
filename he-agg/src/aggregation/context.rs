//! What a decryption share is bound to.

use super::chunk_id::ChunkId;
use super::error::AggregationError;
use super::layout::LaneLayout;
use sha2::{Digest, Sha256};

/// One chunk of one attempt, with its contributors S, its decryptors T and
/// the digest of the signed manifest. Only checked instances exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareContext {
    id: ChunkId,
    contributors: Vec<u16>,
    decryptors: Vec<u16>,
    manifest: [u8; 32],
    digest: [u8; 32],
}

impl ShareContext {
    /// Checks both sets against the layout: increasing, known, `|T| = t`,
    /// `|S|` at least the layout's minimum.
    ///
    /// # Errors
    /// [`AggregationError`] naming the set's fault.
    pub fn new(
        layout: &LaneLayout,
        id: ChunkId,
        contributors: &[u16],
        decryptors: &[u16],
        manifest: [u8; 32],
    ) -> Result<Self, AggregationError> {
        for parties in [contributors, decryptors] {
            for &party in parties {
                layout.check_party(party)?;
            }
            if let Some(&[previous, party]) = parties.array_windows::<2>().find(|[previous, party]| previous >= party) {
                return Err(AggregationError::PartyOrder { previous, party });
            }
        }
        let min = usize::from(layout.contributors_min());
        if contributors.len() < min {
            return Err(AggregationError::TooFewContributors { found: contributors.len(), min });
        }
        let expected = usize::from(layout.threshold());
        if decryptors.len() != expected {
            return Err(AggregationError::DecryptorCount { found: decryptors.len(), expected });
        }
        let mut hash = Sha256::new();
        hash.update(b"he-agg/share/v1");
        hash.update(layout.digest());
        hash.update(id.digest());
        for parties in [contributors, decryptors] {
            hash.update((parties.len() as u64).to_le_bytes());
            parties.iter().for_each(|party| hash.update(party.to_le_bytes()));
        }
        hash.update(manifest);
        Ok(ShareContext {
            id,
            contributors: contributors.to_vec(),
            decryptors: decryptors.to_vec(),
            manifest,
            digest: hash.finalize().into(),
        })
    }

    /// Epoch, round, attempt and chunk.
    pub fn id(&self) -> &ChunkId {
        &self.id
    }

    /// S, increasing.
    pub fn contributors(&self) -> &[u16] {
        &self.contributors
    }

    /// T, increasing.
    pub fn decryptors(&self) -> &[u16] {
        &self.decryptors
    }

    /// Digest of the signed manifest.
    pub fn manifest(&self) -> [u8; 32] {
        self.manifest
    }

    /// SHA-256 over all of it: the `ctx` to which masks and noise are bound.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

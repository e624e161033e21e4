//! The published model: sums of the hospitals' encrypted contributions, weight vector by weight vector.

use he_agg::ckks::{Ciphertext, GatedCiphertext};
use he_agg::multiparty::Crs;
use he_infer::{GatedWeightSum, Program};
use protocol::PartySet;
use protocol::blob::{BlobId, BlobKind};
use protocol::ids::{Attempt, Digest, PartyId, RoundId};
use protocol::message::KeySet;
use rayon::prelude::*;

use crate::bodies::{Bodies, ListId};
use crate::error::CoordinatorError;
use crate::serving_keys;

const WHAT: &str = "model contribution";

/// Lifts and adds `count` weight ciphertexts over `cohort`, stores the sums and returns the digest of the whole model.
///
/// # Errors
/// [`CoordinatorError::Malformed`] naming the hospital whose contribution has another shape than the program asks for.
pub(crate) fn add(
    bodies: &Bodies,
    program: &Program,
    epoch_seed: Digest,
    attempt: Attempt,
    (cohort, count): (PartySet, u32),
) -> Result<Digest, CoordinatorError> {
    let slots = program.weights();
    if count as usize != slots.len() {
        let source = std::io::Error::other(format!("{count} ciphertexts sent, the program has {}", slots.len()));
        return Err(CoordinatorError::malformed(WHAT, None, source));
    }
    let crs = Crs::new(program.params().preset, epoch_seed.0);
    let keys = cohort.iter().map(|party| Ok((party, serving_keys::gate_key(bodies, (KeySet::Serving, &crs), party)?)));
    let keys: Vec<_> = keys.collect::<Result<_, CoordinatorError>>()?;
    (0..slots.len()).into_par_iter().try_for_each(|weight| {
        let index = u32::try_from(weight).unwrap_or(u32::MAX);
        let own = |source| CoordinatorError::malformed(WHAT, None, source);
        let mut sum = GatedWeightSum::new(program, &crs, u64::from(attempt.0), weight).map_err(own)?;
        for (party, key) in &keys {
            let bytes = bodies.get(&chunk(attempt, Some(*party), index))?;
            let part = GatedCiphertext::from_bytes(&bytes, program.params().preset)
                .map_err(|source| CoordinatorError::malformed(WHAT, Some(*party), source))?;
            sum.absorb(&part, key).map_err(|source| CoordinatorError::malformed(WHAT, Some(*party), source))?;
        }
        let sum = sum.finish().map_err(own)?;
        bodies.put(&chunk(attempt, None, index), &sum.to_bytes()).map(|_| ())
    })?;
    Ok(bodies.root(model_list(attempt))?.root)
}

/// Reads a stored model.
///
/// # Errors
/// [`CoordinatorError::BodyMissing`] or [`CoordinatorError::Malformed`].
pub(crate) fn load(bodies: &Bodies, program: &Program, attempt: Attempt) -> Result<Vec<Ciphertext>, CoordinatorError> {
    (0..program.weights().len())
        .into_par_iter()
        .map(|index| {
            let bytes = bodies.get(&chunk(attempt, None, u32::try_from(index).unwrap_or(u32::MAX)))?;
            Ciphertext::from_bytes(&bytes, program.params().preset)
                .map_err(|source| CoordinatorError::malformed("stored model", None, source))
        })
        .collect()
}

/// The list of a model's bodies.
pub(crate) fn model_list(attempt: Attempt) -> ListId {
    ListId { kind: BlobKind::PublishChunk, round: 0, attempt: attempt.0, party: None }
}

fn chunk(attempt: Attempt, party: Option<PartyId>, index: u32) -> BlobId {
    BlobId::round(BlobKind::PublishChunk, RoundId(0), attempt, party, index)
}

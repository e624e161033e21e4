//! The published model: sums of the hospitals' encrypted contributions, weight vector by weight vector.

use he_agg::ckks::{Ciphertext, Evaluator};
use he_infer::Program;
use protocol::PartySet;
use protocol::blob::{BlobId, BlobKind};
use protocol::ids::{Attempt, Digest, PartyId, RoundId};
use rayon::prelude::*;

use crate::bodies::{Bodies, ListId};
use crate::error::CoordinatorError;

const WHAT: &str = "model contribution";

/// Adds `count` weight ciphertexts over `cohort`, stores the sums and returns the digest of the whole model.
///
/// # Errors
/// [`CoordinatorError::Malformed`] naming the hospital whose contribution has another shape than the program asks for.
pub(crate) fn add(
    bodies: &Bodies,
    program: &Program,
    attempt: Attempt,
    cohort: PartySet,
    count: u32,
) -> Result<Digest, CoordinatorError> {
    let slots = program.weights();
    if count as usize != slots.len() {
        let source = std::io::Error::other(format!("{count} ciphertexts sent, the program has {}", slots.len()));
        return Err(CoordinatorError::malformed(WHAT, None, source));
    }
    let evaluator = Evaluator::new(program.params().preset)
        .map_err(|source| CoordinatorError::malformed("serving preset", None, source))?;
    slots.par_iter().enumerate().try_for_each(|(index, slot)| {
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let mut sum: Option<Ciphertext> = None;
        for party in cohort.iter() {
            let wrong = |source| CoordinatorError::malformed(WHAT, Some(party), source);
            let bytes = bodies.get(&chunk(attempt, Some(party), index))?;
            let part = Ciphertext::from_bytes(&bytes, program.params().preset)
                .map_err(|source| CoordinatorError::malformed(WHAT, Some(party), source))?;
            if part.limbs() != slot.limbs() || part.scale() != slot.scale() || part.parts().len() != 2 {
                return Err(wrong(std::io::Error::other(format!(
                    "ciphertext {index} has {} limbs, scale {:e} and {} parts; {} limbs, scale {:e} and 2 parts are \
                     needed",
                    part.limbs(),
                    part.scale(),
                    part.parts().len(),
                    slot.limbs(),
                    slot.scale()
                ))));
            }
            sum = Some(match sum {
                None => part,
                Some(sum) => evaluator
                    .add(&sum, &part)
                    .map_err(|source| CoordinatorError::malformed(WHAT, Some(party), source))?,
            });
        }
        match sum {
            Some(sum) => bodies.put(&chunk(attempt, None, index), &sum.to_bytes()).map(|_| ()),
            None => Err(CoordinatorError::Abandoned),
        }
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

//! Refusals and failed checks of a training round.
//!
//! The checks of [`super::open`] are fatal for their chunk. Their details are
//! for the hospital's own log only: telling the coordinator which check failed
//! lets it learn by sending altered sums.

use super::flooding::FloodingError;
use crate::error::DecodeError;

/// What went wrong in a training round.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AggregationError {
    /// Bytes could not be decoded.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The flooding is too weak to be used.
    #[error(transparent)]
    Flooding(#[from] FloodingError),
    /// The number of hospitals is outside the supported range.
    #[error("{parties} hospitals, supported are {min} to {max}")]
    Parties {
        /// Hospitals asked for.
        parties: u16,
        /// Fewest supported.
        min: u16,
        /// Most supported.
        max: u16,
    },
    /// The threshold is not a majority of the hospitals.
    #[error("threshold {threshold} of {parties} hospitals; it must exceed half of them and not exceed all")]
    Threshold {
        /// Threshold asked for.
        threshold: u16,
        /// Hospitals.
        parties: u16,
    },
    /// The lane width is outside the supported range.
    #[error("lanes of {bits} bits, supported are {min} to {max}")]
    LaneBits {
        /// Bits asked for.
        bits: u32,
        /// Fewest supported.
        min: u32,
        /// Most supported.
        max: u32,
    },
    /// No lane fits above the guard gap.
    #[error(
        "no lane fits: {guard_bits} guard bits and lanes of {stride_bits} bits in {modulus_bits:.2} bits; choose a \
         larger preset or weaker flooding"
    )]
    NoLane {
        /// Bits of the guard gap.
        guard_bits: u32,
        /// Bits from one lane to the next.
        stride_bits: u32,
        /// `log2(Q)`.
        modulus_bits: f64,
    },
    /// A polynomial is not as long as the layout says for its chunk.
    #[error(
        "polynomial of {found} residues where the layout has {expected}; it was made or read by the layout of another \
         epoch or of another number of values"
    )]
    Shape {
        /// Residues found.
        found: usize,
        /// Residues expected.
        expected: usize,
    },
    /// A party number outside the epoch.
    #[error("hospital {party} is not one of 1 to {parties}")]
    UnknownParty {
        /// The number found.
        party: u16,
        /// Hospitals of the epoch.
        parties: u16,
    },
    /// A list of parties is not strictly increasing.
    #[error("hospitals are not listed once each in increasing order: {party} follows {previous}")]
    PartyOrder {
        /// The number before.
        previous: u16,
        /// The number that should have been larger.
        party: u16,
    },
    /// Too few contributors to release a sum.
    #[error("a sum of {found} contributors would be released; the least is {min}")]
    TooFewContributors {
        /// Contributors listed.
        found: usize,
        /// Fewest allowed.
        min: usize,
    },
    /// The number of decryptors is not the threshold.
    #[error("{found} decryptors listed, exactly {expected} are needed")]
    DecryptorCount {
        /// Decryptors listed.
        found: usize,
        /// The threshold.
        expected: usize,
    },
    /// A value is not a finite number, so it cannot be quantised.
    #[error("value {index} is not finite; the local training diverged")]
    NotFinite {
        /// Index of the first such value.
        index: usize,
    },
    /// The clipping bound is not a positive finite number.
    #[error("clipping bound {clip} is not a positive finite number")]
    Clip {
        /// The bound.
        clip: f32,
    },
    /// A weight is zero or does not fit a lane.
    #[error("weight {weight} is not in 1 to {max}")]
    Weight {
        /// The weight.
        weight: u64,
        /// Largest weight of the lane width.
        max: u64,
    },
    /// More values than a chunk holds.
    #[error("{found} values for a chunk of at most {max}")]
    TooManyValues {
        /// Values given.
        found: usize,
        /// Values of a chunk.
        max: usize,
    },
    /// At least one quantised value does not fit its lane.
    #[error("a quantised value does not fit a lane of {bits} bits; it was not made by this layout's quantiser")]
    ValueRange {
        /// Lane width.
        bits: u32,
    },
    /// A permit for other values or another context.
    #[error("the permit was issued for something else; ask the ledger again with what is to be released")]
    ForeignPermit,
    /// An object of another epoch, round, attempt or chunk.
    #[error(
        "{object} is of round {round}, attempt {attempt}, chunk {chunk} or epoch that differs from the one in progress"
    )]
    ForeignObject {
        /// What it is.
        object: &'static str,
        /// Round in it.
        round: u32,
        /// Attempt in it.
        attempt: u32,
        /// Chunk in it.
        chunk: u32,
    },
    /// A second object of a party.
    #[error("a second {object} of hospital {party}")]
    Duplicate {
        /// What it is.
        object: &'static str,
        /// The hospital.
        party: u16,
    },
    /// Something of a party is missing.
    #[error("{object} of hospital {party} is missing")]
    Missing {
        /// What is missing.
        object: &'static str,
        /// The hospital.
        party: u16,
    },
    /// A share comes from a party outside the decryptors.
    #[error("hospital {party} is not one of the decryptors of this chunk")]
    NotADecryptor {
        /// The hospital.
        party: u16,
    },
    /// The sum's contributors are not those of the context.
    #[error("the summed chunks are of other hospitals than the {expected} of the context")]
    WrongContributors {
        /// Contributors of the context.
        expected: usize,
    },
    /// Bits above the top lane are set after decryption.
    #[error("coefficient {coefficient}: bits above the top lane; a share or an update is wrong or missing")]
    LaneOverflow {
        /// Coefficient index.
        coefficient: usize,
    },
    /// The noise after decryption exceeds its bound.
    #[error("coefficient {coefficient}: noise {noise} exceeds the bound {bound}")]
    Noise {
        /// Coefficient index.
        coefficient: usize,
        /// Magnitude found.
        noise: u64,
        /// Bound of the layout.
        bound: u64,
    },
    /// A lane exceeds what the contributors can add up to.
    #[error("lane {lane}: sum {sum} exceeds {max}")]
    LaneRange {
        /// Lane index in the chunk.
        lane: usize,
        /// Sum found.
        sum: u64,
        /// Largest possible sum.
        max: u64,
    },
    /// A presence lane does not match the contributors.
    #[error("hospital {party} is counted {count} times, expected {expected}; a chunk is lost or doubled")]
    Presence {
        /// The hospital.
        party: u16,
        /// Times found.
        count: u64,
        /// Times expected.
        expected: u64,
    },
    /// A lane that is always zero is not.
    #[error("spare lane {lane} holds {sum}")]
    SpareLane {
        /// Lane index in the chunk.
        lane: usize,
        /// Sum found.
        sum: u64,
    },
    /// The linear checksum does not match.
    #[error("checksum {found} where the lanes give {expected}")]
    Checksum {
        /// Checksum from its lane.
        found: u64,
        /// Checksum of the other lanes.
        expected: u64,
    },
    /// The weights do not add up to what the contributors have agreed on.
    #[error("the weights add up to {found}, those agreed on to {expected}; a contributor weighed its update otherwise")]
    WeightSum {
        /// Sum of the weights found.
        found: u64,
        /// Sum that was agreed on.
        expected: u64,
    },
    /// The summed weight is zero although every weight is positive.
    #[error("the weights add up to zero")]
    NoWeight,
}

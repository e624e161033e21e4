//! Failures of the key ceremony and of releasing answers.

use crate::ckks::CkksError;
use crate::error::DecodeError;
use crate::params::Preset;

/// Why a step of a collective protocol was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CeremonyError {
    /// Hospitals are numbered from 1 to at most 64.
    #[error("party {party} is outside 1..={parties}")]
    Party {
        /// The number given.
        party: u16,
        /// Parties there are.
        parties: u16,
    },
    /// A party named twice, or absorbed twice.
    #[error("party {party} appears twice")]
    Duplicate {
        /// The party.
        party: u16,
    },
    /// Not every party has contributed.
    #[error("party {party} is missing: all {parties} must contribute")]
    Missing {
        /// The first missing party.
        party: u16,
        /// Parties there are.
        parties: u16,
    },
    /// A threshold that does not exceed half of the parties, or exceeds all.
    #[error("threshold {threshold} must be above half of {parties} parties and at most all")]
    Threshold {
        /// Threshold given.
        threshold: u16,
        /// Parties there are.
        parties: u16,
    },
    /// A release with fewer decryptors than the threshold.
    #[error("{found} decryptors named, the key needs {threshold}")]
    TooFewDecryptors {
        /// Decryptors named.
        found: u16,
        /// Decryptors needed.
        threshold: u16,
    },
    /// Levels of planes that are no range.
    #[error("levels from {least} to {most} are no range: the first must be below the second")]
    PlaneLevels {
        /// As given.
        least: f64,
        /// As given.
        most: f64,
    },
    /// Turns of planes, or levels, for other slots than there are.
    #[error("{found} slots where a ciphertext has {expected}")]
    Turns {
        /// As given.
        found: usize,
        /// Slots there are.
        expected: usize,
    },
    /// Objects of different parameter sets.
    #[error("objects of presets {left} and {right} do not mix")]
    PresetMismatch {
        /// Preset of ours.
        left: Preset,
        /// Preset of theirs.
        right: Preset,
    },
    /// Objects that belong to different keys.
    #[error("{field} differs: {ours} here, {theirs} in the share")]
    Mismatch {
        /// What differs.
        field: &'static str,
        /// Our value.
        ours: u64,
        /// The value of the share.
        theirs: u64,
    },
    /// An object of another epoch.
    #[error("the object belongs to another epoch: it starts with {found:02x?}, ours with {expected:02x?}")]
    Epoch {
        /// First bytes of the epoch found.
        found: [u8; 4],
        /// First bytes of our epoch.
        expected: [u8; 4],
    },
    /// A share made for another query, ciphertext, asker or set of decryptors.
    #[error("the share is bound to another release: it starts with {found:02x?}, ours with {expected:02x?}")]
    Context {
        /// First bytes of the context found.
        found: [u8; 4],
        /// First bytes of our context.
        expected: [u8; 4],
    },
    /// The key plan asks for what the parameters do not have.
    #[error("{limbs} limbs planned, the parameters allow 1 to {max}")]
    Limbs {
        /// Limbs planned.
        limbs: usize,
        /// The most there are.
        max: usize,
    },
    /// A rotation by a multiple of N/2 needs no key.
    #[error("a rotation by {steps} steps is the identity and takes no key")]
    IdentityRotation {
        /// Steps planned.
        steps: i32,
    },
    /// Only results at the base level are released.
    #[error("a release takes 2 polynomials at the {base} base limbs, found {parts} at {limbs}: drop it first")]
    NotReleasable {
        /// Polynomials found.
        parts: usize,
        /// Limbs found.
        limbs: usize,
        /// Base limbs of the preset.
        base: usize,
    },
    /// An answer that is none, or that the parameters do not hold.
    #[error(
        "an answer of {period} slots up to {value_max} at scale 2^{:.3} does not fit {preset}: the period must be a \
         power of two up to N/2 and the values below half the base primes over the scale",
        scale.log2()
    )]
    AnswerShape {
        /// Distinct slots.
        period: usize,
        /// The factor between coefficients and the message.
        scale: f64,
        /// The largest slot.
        value_max: f64,
        /// The preset.
        preset: Preset,
    },
    /// What came out of a release is larger than any honest answer.
    #[error("an answer holds {value}, and no honest one more than {value_max}: a share or the result was malformed")]
    AnswerRange {
        /// The coefficient found.
        value: f64,
        /// The bound.
        value_max: f64,
    },
    /// The pairwise mask key with another decryptor is absent.
    #[error("no pairwise mask key with decryptor {party}")]
    MissingPairKey {
        /// The other decryptor.
        party: u16,
    },
    /// Flooding that the preset cannot carry.
    #[error(
        "flooding of 2^{flooding_log2} for s = {security_bits} and {releases} releases drowns the \
         scale 2^{scale_log2} of {preset}: take a larger preset or fewer releases"
    )]
    FloodingTooLarge {
        /// log2 of the flooding deviation.
        flooding_log2: u32,
        /// Statistical security asked for.
        security_bits: u32,
        /// Releases asked for.
        releases: u64,
        /// log2 of the scale.
        scale_log2: u32,
        /// The preset.
        preset: Preset,
    },
    /// A preset whose ciphertexts are refreshed only.
    #[error("nothing of {preset} is released to anybody: it is refreshed, at last under a serving key")]
    NotForRelease {
        /// The preset.
        preset: Preset,
    },
    /// A preset whose answers are released.
    #[error("nothing of {preset} is refreshed: answers under it are released")]
    NotForRefresh {
        /// The preset.
        preset: Preset,
    },
    /// Only results at the base level are refreshed.
    #[error("a refresh takes 2 polynomials at the {base} base limbs, found {parts} at {limbs}: drop it first")]
    NotRefreshable {
        /// Polynomials found.
        parts: usize,
        /// Limbs found.
        limbs: usize,
        /// Base limbs of the preset.
        base: usize,
    },
    /// A refresh into a ring that the embedding does not lead to.
    #[error("the embedding leads from degree {from} to {expected}, the target has {found}")]
    RefreshRing {
        /// Degree of the ciphertext's ring.
        from: usize,
        /// Degree that the embedding leads to.
        expected: usize,
        /// Degree of the target's ring.
        found: usize,
    },
    /// Message and flooding that would come round in the modulus.
    #[error(
        "the message of 2^{message_log2} under {decryptors} floodings of 2^{flooding_log2}, for s = {security_bits} \
         and {refreshes} refreshes, does not fit half the modulus of 2^{modulus_log2:.1}: take fewer refreshes"
    )]
    RefreshTooLarge {
        /// log2 of the bound on the message.
        message_log2: u32,
        /// log2 of each flooding's deviation.
        flooding_log2: u32,
        /// Decryptors, each of whom floods.
        decryptors: u16,
        /// Statistical security asked for.
        security_bits: u32,
        /// Refreshes asked for.
        refreshes: u64,
        /// log2 of the modulus.
        modulus_log2: f64,
    },
    /// An alarm: what the opener of a refresh read is larger than an honest message under honest flooding.
    #[error(
        "what was opened exceeds 2^{bound_log2:.1}, and nothing honest does: the ciphertext, a share or the sum was \
         forged, or the group keys differ; nothing of it leaves"
    )]
    RefreshRange {
        /// log2 of the bound.
        bound_log2: f64,
    },
    /// Unflooded release among several decryptors.
    #[error("a trusted holder decrypts alone; {decryptors} decryptors must flood")]
    TrustedHolderShares {
        /// Decryptors named.
        decryptors: u16,
    },
    /// Malformed bytes.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A failure of the arithmetic.
    #[error(transparent)]
    Ckks(#[from] CkksError),
}

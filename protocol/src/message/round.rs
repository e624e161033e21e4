//! The coordinator's log entries of a training round.

use std::collections::BTreeMap;

use crate::blob::BodyRoot;
use crate::codec::{DecodeError, Reader, Wire, Writer, wire_struct};
use crate::hospital::ShareBinding;
use crate::ids::{Attempt, Digest, PartyId, RoundId};
use crate::message::hospital::{HospitalMessage, UpdateHead};
use crate::message::purpose::RoundPurpose;
use crate::message::signed::{SignedMessage, distinct_signers};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;

/// R1: opens a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundOpen {
    /// The round, above all earlier ones.
    pub round: RoundId,
    /// What it is for.
    pub purpose: RoundPurpose,
    /// The model to start from.
    pub base_model: Digest,
    /// [`crate::terms::Terms::digest`]: limits and deadlines follow from what was approved.
    pub terms: Digest,
}
wire_struct!(RoundOpen { round: RoundId, purpose: RoundPurpose, base_model: Digest, terms: Digest });

/// R3: the cohort S as sorted, signed heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// `UpdateHead`s, ascending by author.
    pub heads: Vec<SignedMessage>,
}
wire_struct!(Manifest { round: RoundId, attempt: Attempt, heads: Vec<SignedMessage> });

impl Manifest {
    /// What hospitals sign.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium manifest v1", self)
    }
    /// S.
    #[must_use]
    pub fn cohort(&self) -> PartySet {
        self.heads.iter().map(|head| head.author).collect()
    }
    /// The update heads with their authors; `None` if an entry is another message.
    #[must_use]
    pub fn update_heads(&self) -> Option<Vec<(PartyId, &UpdateHead)>> {
        self.heads
            .iter()
            .map(|signed| match &signed.body {
                HospitalMessage::UpdateHead(head) => Some((signed.author, head)),
                _ => None,
            })
            .collect()
    }
}

/// R4: at least t signatures; S is frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CohortFrozen {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// The manifest that was signed.
    pub manifest: Digest,
    /// `ManifestSignature`s.
    pub signatures: Vec<SignedMessage>,
}
wire_struct!(CohortFrozen { round: RoundId, attempt: Attempt, manifest: Digest, signatures: Vec<SignedMessage> });

/// R4: proposes T.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decryptors {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// T, exactly t members.
    pub decryptors: PartySet,
}
wire_struct!(Decryptors { round: RoundId, attempt: Attempt, decryptors: PartySet });

/// All of T accepted: shares may be released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRequest {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// `Acceptance`s of all of T.
    pub acceptances: Vec<SignedMessage>,
}
wire_struct!(ShareRequest { round: RoundId, attempt: Attempt, acceptances: Vec<SignedMessage> });

/// R6: the blinded sum can be fetched, and so can what it is made of: the updates of the manifest's heads and the
/// shares of these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumReady {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// Digest of each blinded chunk.
    pub chunks: Vec<Digest>,
    /// `ShareHead`s of T: what was added to the updates.
    pub shares: Vec<SignedMessage>,
}
wire_struct!(SumReady { round: RoundId, attempt: Attempt, chunks: Vec<Digest>, shares: Vec<SignedMessage> });

impl SumReady {
    /// Names this announcement: of an attempt there is one, ever.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium announced sum v1", self)
    }

    /// Of each decryptor the bodies that it signed for, ascending, if all of them did for this `binding`.
    ///
    /// # Errors
    /// [`Reject::TooFewSignatures`] where it is not T that signed, and that of a signature, a contradiction or a limit.
    pub fn shares_for(&self, binding: &ShareBinding, roster: &Roster) -> Result<Vec<(PartyId, BodyRoot)>, Reject> {
        let (of, digest) = ((binding.round, binding.attempt), binding.digest());
        let mut bodies = BTreeMap::new();
        let signers = distinct_signers(&self.shares, roster, |author, body| {
            let HospitalMessage::ShareHead(head) = body else { return false };
            bodies.insert(author, head.body);
            (head.round, head.attempt) == of && head.binding == digest && head.body.count == binding.chunks
        })?;
        if signers != binding.decryptors {
            return Err(Reject::TooFewSignatures);
        }
        Ok(bodies.into_iter().collect())
    }
}

/// R7: t equal votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundClosed {
    /// The round.
    pub round: RoundId,
    /// The attempt that succeeded.
    pub attempt: Attempt,
    /// The new model; in a round of figures, their digest.
    pub model: Digest,
    /// `ModelVote`s, t or more.
    pub votes: Vec<SignedMessage>,
}
wire_struct!(RoundClosed { round: RoundId, attempt: Attempt, model: Digest, votes: Vec<SignedMessage> });

/// Why a round ended without a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VoidReason {
    /// Too few complete updates.
    #[error("{have} complete updates, {need} needed")]
    CohortTooSmall {
        /// Complete updates.
        have: u16,
        /// The larger of threshold and min-cohort.
        need: u16,
    },
    /// Fewer than t hospitals are live.
    #[error("{have} hospitals live, threshold {need}: wait for hospitals to return, then resume")]
    QuorumLost {
        /// Live hospitals.
        have: u16,
        /// Threshold.
        need: u16,
    },
    /// Fewer than t signed the manifest.
    #[error("{have} hospitals signed the manifest, threshold {need}")]
    ManifestUnsigned {
        /// Signatures.
        have: u16,
        /// Threshold.
        need: u16,
    },
    /// A new attempt is needed, but members of S cannot encrypt again.
    #[error("a new attempt needs hospitals {missing}, which are gone; the cohort must not change")]
    CohortMemberLost {
        /// Who is missing.
        missing: PartySet,
    },
    /// All attempts are used.
    #[error("all {attempts} attempts lost a decryptor")]
    AttemptsExhausted {
        /// attempts-max.
        attempts: u32,
    },
    /// Too many hospitals rejected the sum, or their models differ.
    #[error("{rejected} hospitals rejected the sum or decoded another model")]
    SumRejected {
        /// Votes that are not for the leading model.
        rejected: u16,
    },
    /// Not enough votes in time.
    #[error("{have} equal model votes, threshold {need}")]
    VotesMissing {
        /// Most votes for one model.
        have: u16,
        /// Threshold.
        need: u16,
    },
    /// The coordinator could not combine the shares.
    #[error("the coordinator could not combine ciphertexts and shares")]
    CombineFailed,
}

impl Wire for VoidReason {
    const BYTES_MIN: usize = 1;
    fn encode(&self, writer: &mut Writer) {
        let mut pair = |tag, have: u16, need: u16| {
            writer.u8(tag);
            writer.u16(have);
            writer.u16(need);
        };
        match *self {
            Self::CohortTooSmall { have, need } => pair(1, have, need),
            Self::QuorumLost { have, need } => pair(2, have, need),
            Self::ManifestUnsigned { have, need } => pair(3, have, need),
            Self::CohortMemberLost { missing } => {
                writer.u8(4);
                missing.encode(writer);
            }
            Self::AttemptsExhausted { attempts } => {
                writer.u8(5);
                writer.u32(attempts);
            }
            Self::SumRejected { rejected } => {
                writer.u8(6);
                writer.u16(rejected);
            }
            Self::VotesMissing { have, need } => pair(7, have, need),
            Self::CombineFailed => writer.u8(8),
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(match reader.u8()? {
            1 => Self::CohortTooSmall { have: reader.u16()?, need: reader.u16()? },
            2 => Self::QuorumLost { have: reader.u16()?, need: reader.u16()? },
            3 => Self::ManifestUnsigned { have: reader.u16()?, need: reader.u16()? },
            4 => Self::CohortMemberLost { missing: PartySet::decode(reader)? },
            5 => Self::AttemptsExhausted { attempts: reader.u32()? },
            6 => Self::SumRejected { rejected: reader.u16()? },
            7 => Self::VotesMissing { have: reader.u16()?, need: reader.u16()? },
            8 => Self::CombineFailed,
            value => return Err(DecodeError::Value { what: "void reason", value: u64::from(value) }),
        })
    }
}

/// The round has no result; its number is never used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundVoid {
    /// The round.
    pub round: RoundId,
    /// Why.
    pub reason: VoidReason,
}
wire_struct!(RoundVoid { round: RoundId, reason: VoidReason });

/// A decryptor is lost: this attempt ends for ever, the next one encrypts the same values again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abandon {
    /// The round.
    pub round: RoundId,
    /// The attempt that ends.
    pub attempt: Attempt,
    /// Who is lost.
    pub lost: PartySet,
}
wire_struct!(Abandon { round: RoundId, attempt: Attempt, lost: PartySet });

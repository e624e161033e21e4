//! What the coordinator appends to its log: the only way it talks to hospitals, and at the same time the transcript.

use crate::blob::BodyRoot;
use crate::codec::{DecodeError, Reader, Wire, Writer, wire_enum, wire_struct};
use crate::ids::{Attempt, Digest, PartyId, QueryId, RoundId};
use crate::limits::REASON_BYTES_MAX;
use crate::message::hospital::{HospitalMessage, KeyStep, UpdateHead};
use crate::message::signed::SignedMessage;
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;

/// K0: the roster to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterProposed {
    /// The roster.
    pub roster: Roster,
}
wire_struct!(RosterProposed { roster: Roster });

/// K0: the roster with at least t signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterSigned {
    /// `RosterSignature`s.
    pub signatures: Vec<SignedMessage>,
}
wire_struct!(RosterSigned { signatures: Vec<SignedMessage> });

/// K1: all n commitments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitSet {
    /// `KeyCommit`s, ascending.
    pub commits: Vec<SignedMessage>,
}
wire_struct!(CommitSet { commits: Vec<SignedMessage> });

/// K2: all n nonces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevealSet {
    /// `KeyReveal`s, ascending.
    pub reveals: Vec<SignedMessage>,
}
wire_struct!(RevealSet { reveals: Vec<SignedMessage> });

/// K3: all n dealings are stored at the coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealingsReady {
    /// `DealingsSent`s, ascending.
    pub dealings: Vec<SignedMessage>,
}
wire_struct!(DealingsReady { dealings: Vec<SignedMessage> });

/// K4: all n digests agree; the key epoch is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEpochOpen {
    /// `DealingsDigest`s, ascending.
    pub digests: Vec<SignedMessage>,
}
wire_struct!(KeyEpochOpen { digests: Vec<SignedMessage> });

/// Asks every hospital for its share of one serving key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingStepOpen {
    /// Which key.
    pub step: KeyStep,
    /// Digest of the key plan.
    pub plan: Digest,
    /// The aggregate this step needs: round one's sum for `RelinRoundTwo`.
    pub input: Option<BodyRoot>,
}
wire_struct!(ServingStepOpen { step: KeyStep, plan: Digest, input: Option<BodyRoot> });

/// All n heads of a step: hospitals upload the bodies now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingStepHeads {
    /// Which key.
    pub step: KeyStep,
    /// `ServingShareHead`s, ascending.
    pub heads: Vec<SignedMessage>,
}
wire_struct!(ServingStepHeads { step: KeyStep, heads: Vec<SignedMessage> });

/// The shares of a step are added; the aggregate can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingStepDone {
    /// Which key.
    pub step: KeyStep,
    /// The aggregate.
    pub body: BodyRoot,
}
wire_struct!(ServingStepDone { step: KeyStep, body: BodyRoot });

/// All serving keys exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingKeysReady {
    /// Digest of the key plan.
    pub plan: Digest,
}
wire_struct!(ServingKeysReady { plan: Digest });

/// R1: opens a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundOpen {
    /// The round, above all earlier ones.
    pub round: RoundId,
    /// The model to start from.
    pub base_model: Digest,
    /// Digest of the resolved plan.
    pub plan: Digest,
    /// Fewest updates for the round to count.
    pub min_cohort: u16,
    /// Attempts before the round is void.
    pub attempts_max: u32,
    /// Spare attempts each hospital uploads at once, so that a lost hospital does not void the round.
    pub attempts_ahead: u32,
    /// Time from this entry to the manifest, for people and progress bars.
    pub deadline_ms: u64,
}
wire_struct!(RoundOpen {
    round: RoundId, base_model: Digest, plan: Digest, min_cohort: u16, attempts_max: u32, attempts_ahead: u32,
    deadline_ms: u64,
});

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

/// R6: the blinded sum can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SumReady {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// Digest of each blinded chunk.
    pub chunks: Vec<Digest>,
}
wire_struct!(SumReady { round: RoundId, attempt: Attempt, chunks: Vec<Digest> });

/// R7: t equal votes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoundClosed {
    /// The round.
    pub round: RoundId,
    /// The attempt that succeeded.
    pub attempt: Attempt,
    /// The new model.
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

/// Asks a fixed cohort to encrypt its parts of the final model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOpen {
    /// Publishing attempt, from 1.
    pub attempt: Attempt,
    /// The plaintext model's digest.
    pub model: Digest,
    /// Digest of the program.
    pub program: Digest,
    /// Who contributes; each encrypts 1/|cohort| of the weights.
    pub cohort: PartySet,
}
wire_struct!(PublishOpen { attempt: Attempt, model: Digest, program: Digest, cohort: PartySet });

/// All contributions are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishManifest {
    /// Publishing attempt.
    pub attempt: Attempt,
    /// `PublishHead`s, ascending.
    pub heads: Vec<SignedMessage>,
}
wire_struct!(PublishManifest { attempt: Attempt, heads: Vec<SignedMessage> });

/// The encrypted model is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelPublished {
    /// Publishing attempt.
    pub attempt: Attempt,
    /// Digest of the encrypted model; queries name it.
    pub model: Digest,
    /// Digest of the program.
    pub program: Digest,
}
wire_struct!(ModelPublished { attempt: Attempt, model: Digest, program: Digest });

/// A publishing attempt ended without a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishVoid {
    /// Publishing attempt.
    pub attempt: Attempt,
    /// Who is missing.
    pub missing: PartySet,
}
wire_struct!(PublishVoid { attempt: Attempt, missing: PartySet });

/// Asks T to switch a result to the asker's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchRequest {
    /// The asker's signed `QueryHead`.
    pub head: SignedMessage,
    /// The encrypted result.
    pub result: BodyRoot,
    /// T, exactly t members.
    pub decryptors: PartySet,
}
wire_struct!(SwitchRequest { head: SignedMessage, result: BodyRoot, decryptors: PartySet });

/// The answer can be fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryDone {
    /// The query.
    pub query: QueryId,
    /// The result under the asker's key.
    pub answer: BodyRoot,
}
wire_struct!(QueryDone { query: QueryId, answer: BodyRoot });

/// The query ends without an answer; the asker encrypts anew under a fresh number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryFailed {
    /// The query.
    pub query: QueryId,
    /// Why.
    pub reject: Reject,
}
wire_struct!(QueryFailed { query: QueryId, reject: Reject });

/// The run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// One sentence for people, at most 256 bytes.
    pub reason: String,
}

impl Wire for Stop {
    const BYTES_MIN: usize = 4;
    fn encode(&self, writer: &mut Writer) {
        writer.bytes(self.reason.as_bytes());
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self { reason: reader.text("stop reason", REASON_BYTES_MAX)? })
    }
}

/// Everything the coordinator says. Tags are wire format and never reused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant holds the documented type of the same name")]
pub enum LogMessage {
    RosterProposed(RosterProposed),
    RosterSigned(RosterSigned),
    CommitSet(CommitSet),
    RevealSet(RevealSet),
    DealingsReady(DealingsReady),
    KeyEpochOpen(KeyEpochOpen),
    ServingStepOpen(ServingStepOpen),
    ServingStepHeads(ServingStepHeads),
    ServingStepDone(ServingStepDone),
    ServingKeysReady(ServingKeysReady),
    RoundOpen(RoundOpen),
    Manifest(Manifest),
    CohortFrozen(CohortFrozen),
    Decryptors(Decryptors),
    ShareRequest(ShareRequest),
    SumReady(SumReady),
    RoundClosed(RoundClosed),
    RoundVoid(RoundVoid),
    Abandon(Abandon),
    PublishOpen(PublishOpen),
    PublishManifest(PublishManifest),
    ModelPublished(ModelPublished),
    PublishVoid(PublishVoid),
    SwitchRequest(Box<SwitchRequest>),
    QueryDone(QueryDone),
    QueryFailed(QueryFailed),
    Stop(Stop),
}

impl Wire for Box<SwitchRequest> {
    const BYTES_MIN: usize = SwitchRequest::BYTES_MIN;
    fn encode(&self, writer: &mut Writer) {
        (**self).encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        SwitchRequest::decode(reader).map(Box::new)
    }
}

wire_enum!(LogMessage {
    1 => RosterProposed(RosterProposed), 2 => RosterSigned(RosterSigned), 3 => CommitSet(CommitSet),
    4 => RevealSet(RevealSet), 5 => DealingsReady(DealingsReady), 6 => KeyEpochOpen(KeyEpochOpen),
    7 => ServingStepOpen(ServingStepOpen), 8 => ServingStepHeads(ServingStepHeads),
    9 => ServingStepDone(ServingStepDone), 10 => ServingKeysReady(ServingKeysReady),
    20 => RoundOpen(RoundOpen), 21 => Manifest(Manifest), 22 => CohortFrozen(CohortFrozen),
    23 => Decryptors(Decryptors), 24 => ShareRequest(ShareRequest), 25 => SumReady(SumReady),
    26 => RoundClosed(RoundClosed), 27 => RoundVoid(RoundVoid), 28 => Abandon(Abandon),
    40 => PublishOpen(PublishOpen), 41 => PublishManifest(PublishManifest), 42 => ModelPublished(ModelPublished),
    43 => PublishVoid(PublishVoid), 50 => SwitchRequest(Box<SwitchRequest>), 51 => QueryDone(QueryDone),
    52 => QueryFailed(QueryFailed), 60 => Stop(Stop),
});

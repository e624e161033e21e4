//! What hospitals sign and send to the coordinator.

use crate::blob::BodyRoot;
use crate::codec::{wire_enum, wire_struct, wire_tag};
use crate::dealings::DealingCheck;
use crate::ids::{Attempt, Digest, QueryId, RoundId, StepId};
use crate::limits::ANSWER_BYTES_MAX;
use crate::message::key_step::KeyStep;
use crate::message::purpose::RoundPurpose;
use crate::message::training::{FeaturesHead, OpeningHead, RefreshHead, ZeroHead};
use crate::party_set::PartySet;
use crate::reject::Reject;

/// First message on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Protocol version, see [`crate::VERSION`].
    pub version: u16,
    /// Index of the log entry the hospital expects next.
    pub next_entry: u64,
}
wire_struct!(Hello { version: u16, next_entry: u64 });

/// K0: agrees to a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterSignature {
    /// [`crate::roster::Roster::digest`].
    pub roster: Digest,
}
wire_struct!(RosterSignature { roster: Digest });

/// K1: commitment to a nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCommit {
    /// [`crate::ceremony::commitment`].
    pub commitment: Digest,
}
wire_struct!(KeyCommit { commitment: Digest });

/// K2: the nonce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyReveal {
    /// 32 random bytes that open the commitment.
    pub nonce: [u8; 32],
}
wire_struct!(KeyReveal { nonce: [u8; 32] });

/// K3: head of the sealed dealings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealingsSent {
    /// Digest of the sealed box for receiver 1, 2, ..., n.
    pub boxes: Vec<Digest>,
    /// Bytes of all boxes together.
    pub size_bytes: u64,
}
wire_struct!(DealingsSent { boxes: Vec<Digest>, size_bytes: u64 });

impl DealingsSent {
    /// The boxes as one body.
    #[must_use]
    pub fn body(&self) -> BodyRoot {
        BodyRoot::of(&self.boxes, self.size_bytes)
    }
}

/// K4: what this hospital received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealingsDigest {
    /// [`crate::ceremony::received_digest`] over the boxes addressed to the author.
    pub received: Digest,
    /// Digest of the group key G as reassembled; equal for all.
    pub group: Digest,
}
wire_struct!(DealingsDigest { received: Digest, group: Digest });

/// Head, and thereby commitment, of a serving-key share: bodies follow when all heads are published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingShareHead {
    /// Which step.
    pub step: KeyStep,
    /// The share's bodies.
    pub body: BodyRoot,
}
wire_struct!(ServingShareHead { step: KeyStep, body: BodyRoot });

/// This hospital added the shares of every serving key up itself, and these are their sums: with them, and with no
/// others, it encrypts, computes and checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyVerdict {
    /// Digest of the key plan.
    pub plan: Digest,
    /// The sums, or lists where there is no sum for all, in the order of [`KeyStep::steps`].
    pub sums: Vec<BodyRoot>,
}
wire_struct!(KeyVerdict { plan: Digest, sums: Vec<BodyRoot> });

/// R2: head of an encrypted update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateHead {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// What it is for: nobody's update is added to others' figures.
    pub purpose: RoundPurpose,
    /// Digest of the model the update starts from.
    pub base_model: Digest,
    /// [`crate::terms::Terms::digest`].
    pub terms: Digest,
    /// The chunks.
    pub body: BodyRoot,
}
wire_struct!(UpdateHead {
    round: RoundId,
    attempt: Attempt,
    purpose: RoundPurpose,
    base_model: Digest,
    terms: Digest,
    body: BodyRoot,
});

/// R4: at most one per (round, attempt), ever.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestSignature {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// [`crate::message::Manifest::digest`].
    pub manifest: Digest,
}
wire_struct!(ManifestSignature { round: RoundId, attempt: Attempt, manifest: Digest });

/// R4: this decryptor accepts T, at most once per (round, attempt).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// The frozen manifest.
    pub manifest: Digest,
    /// T.
    pub decryptors: PartySet,
}
wire_struct!(Acceptance { round: RoundId, attempt: Attempt, manifest: Digest, decryptors: PartySet });

/// R5: head of a hospital's decryption shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareHead {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// [`crate::hospital::ShareBinding::digest`].
    pub binding: Digest,
    /// One share per chunk.
    pub body: BodyRoot,
}
wire_struct!(ShareHead { round: RoundId, attempt: Attempt, binding: Digest, body: BodyRoot });

/// R7: digest of the decoded model, or a bare reject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVote {
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// The new model, or the digest of the figures; `None` when the sum fails a check.
    pub model: Option<Digest>,
}
wire_struct!(ModelVote { round: RoundId, attempt: Attempt, model: Option<Digest> });

/// Head of an encrypted contribution to the published model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishHead {
    /// Publishing attempt.
    pub attempt: Attempt,
    /// The plaintext model's digest, as all hospitals hold it.
    pub model: Digest,
    /// Digest of the program whose layout was encoded.
    pub program: Digest,
    /// The ciphertexts.
    pub body: BodyRoot,
}
wire_struct!(PublishHead { attempt: Attempt, model: Digest, program: Digest, body: BodyRoot });

/// This hospital added the contributions to the published model up itself: it helps to release answers of this model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVerdict {
    /// Publishing attempt.
    pub attempt: Attempt,
    /// Digest of the encrypted model.
    pub model: Digest,
    /// Digest of the program.
    pub program: Digest,
}
wire_struct!(ModelVerdict { attempt: Attempt, model: Digest, program: Digest });

/// Head of an encrypted query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryHead {
    /// Its number, never used before by this asker.
    pub query: QueryId,
    /// Digest of the program to run.
    pub program: Digest,
    /// Digest of the published, encrypted model.
    pub model: Digest,
    /// The input's bodies.
    pub body: BodyRoot,
}
wire_struct!(QueryHead { query: QueryId, program: Digest, model: Digest, body: BodyRoot });

/// Head of a share of an answer. The share is sealed to the asker, who compares the box with this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchShareHead {
    /// The query.
    pub query: QueryId,
    /// [`crate::hospital::SwitchBinding::digest`].
    pub binding: Digest,
    /// The sealed box.
    pub body: BodyRoot,
}
wire_struct!(SwitchShareHead { query: QueryId, binding: Digest, body: BodyRoot });

impl SwitchShareHead {
    /// Whether it announces one box of a size that an answer may have.
    #[must_use]
    pub fn is_one_box(&self) -> bool {
        self.body.count == 1 && self.body.size_bytes <= ANSWER_BYTES_MAX
    }
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// The key ceremony.
    Ceremony,
    /// A training round; `number` is its id.
    Round,
    /// The publishing round; `number` is 0.
    Publish,
    /// A query; `number` is its id.
    Query,
    /// A step of a training on ciphertexts; `number` is its id.
    Training,
}
wire_tag!(Scope { 1 => Ceremony, 2 => Round, 3 => Publish, 4 => Query, 5 => Training });

/// This hospital will not do what the log asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it is about.
    pub scope: Scope,
    /// Round or query number; in the ceremony the number of the hospital whose share is refused; else 0.
    pub number: u64,
    /// Attempt, else 0.
    pub attempt: u32,
    /// Why.
    pub reject: Reject,
}
wire_struct!(Refusal { scope: Scope, number: u64, attempt: u32, reject: Reject });

/// The hospital leaves in an orderly way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// Why.
    pub reject: Reject,
}
wire_struct!(Leaving { reject: Reject });

/// Everything a hospital signs. Tags are wire format and never reused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant holds the documented type of the same name")]
pub enum HospitalMessage {
    Hello(Hello),
    RosterSignature(RosterSignature),
    KeyCommit(KeyCommit),
    KeyReveal(KeyReveal),
    DealingsSent(DealingsSent),
    DealingsDigest(DealingsDigest),
    ServingShareHead(ServingShareHead),
    UpdateHead(UpdateHead),
    ManifestSignature(ManifestSignature),
    Acceptance(Acceptance),
    ShareHead(ShareHead),
    ModelVote(ModelVote),
    PublishHead(PublishHead),
    QueryHead(Box<QueryHead>),
    SwitchShareHead(SwitchShareHead),
    Refusal(Refusal),
    Leaving(Leaving),
    KeyVerdict(KeyVerdict),
    ModelVerdict(ModelVerdict),
    DealingCheck(DealingCheck),
    ZeroHead(ZeroHead),
    RefreshHead(Box<RefreshHead>),
    OpeningHead(OpeningHead),
    FeaturesHead(FeaturesHead),
}

wire_enum!(HospitalMessage {
    1 => Hello(Hello), 2 => RosterSignature(RosterSignature), 3 => KeyCommit(KeyCommit), 4 => KeyReveal(KeyReveal),
    5 => DealingsSent(DealingsSent), 6 => DealingsDigest(DealingsDigest), 7 => ServingShareHead(ServingShareHead),
    8 => UpdateHead(UpdateHead), 9 => ManifestSignature(ManifestSignature), 10 => Acceptance(Acceptance),
    11 => ShareHead(ShareHead), 12 => ModelVote(ModelVote), 13 => PublishHead(PublishHead),
    14 => QueryHead(Box<QueryHead>), 15 => SwitchShareHead(SwitchShareHead), 16 => Refusal(Refusal),
    17 => Leaving(Leaving), 18 => KeyVerdict(KeyVerdict), 19 => ModelVerdict(ModelVerdict),
    24 => DealingCheck(DealingCheck), 25 => ZeroHead(ZeroHead), 26 => RefreshHead(Box<RefreshHead>),
    27 => OpeningHead(OpeningHead), 28 => FeaturesHead(FeaturesHead),
});

/// The step a message signs at most once: (tag, number, attempt). `None` for messages that may repeat.
pub(crate) type StepKey = (u8, u64, u32);

impl HospitalMessage {
    /// The step this message belongs to, if a hospital may sign only one message for it, ever.
    #[must_use]
    pub(crate) fn step_key(&self) -> Option<StepKey> {
        let at = |tag, round: RoundId, attempt: Attempt| Some((tag, u64::from(round.0), attempt.0));
        let of = |tag, step: StepId, attempt: Attempt| Some((tag, u64::from(step.0), attempt.0));
        match self {
            Self::Hello(_) | Self::Refusal(_) | Self::Leaving(_) => None,
            Self::RosterSignature(_) => Some((2, 0, 0)),
            Self::KeyCommit(_) => Some((3, 0, 0)),
            Self::KeyReveal(_) => Some((4, 0, 0)),
            Self::DealingsSent(_) => Some((5, 0, 0)),
            Self::DealingsDigest(_) => Some((6, 0, 0)),
            Self::ServingShareHead(head) => Some((7, head.step as u64, 0)),
            Self::UpdateHead(head) => at(8, head.round, head.attempt),
            Self::ManifestSignature(signature) => at(9, signature.round, signature.attempt),
            Self::Acceptance(acceptance) => at(10, acceptance.round, acceptance.attempt),
            Self::ShareHead(head) => at(11, head.round, head.attempt),
            Self::ModelVote(vote) => at(12, vote.round, vote.attempt),
            Self::PublishHead(head) => Some((13, 0, head.attempt.0)),
            Self::QueryHead(head) => Some((14, head.query.0, 0)),
            Self::SwitchShareHead(head) => Some((15, head.query.0, 0)),
            Self::KeyVerdict(_) => Some((18, 0, 0)),
            Self::ModelVerdict(verdict) => Some((19, 0, verdict.attempt.0)),
            Self::DealingCheck(_) => Some((24, 0, 0)),
            Self::ZeroHead(head) => of(25, head.step, head.attempt),
            Self::RefreshHead(head) => of(26, head.step, head.attempt),
            Self::OpeningHead(head) => of(27, head.step, head.attempt),
            Self::FeaturesHead(_) => Some((28, 0, 0)),
        }
    }
    /// The step under which an entry of the log asks for this message. `None` for what a hospital says of its own
    /// accord.
    #[must_use]
    pub(crate) fn answers(&self) -> Option<StepKey> {
        match self {
            // Spare attempts are encrypted before anything asks for them.
            Self::UpdateHead(head) => Some((8, u64::from(head.round.0), 0)),
            // Of whatever query: what it answers is that there is a model.
            Self::QueryHead(_) => Some((14, 0, 0)),
            other => other.step_key(),
        }
    }
}

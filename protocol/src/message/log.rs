//! Everything the coordinator says: one enum over the families, the only way it talks to hospitals.

use crate::campaign::Order;
use crate::codec::{DecodeError, Reader, Wire, Writer, wire_enum};
use crate::ids::{Attempt, RoundId};
use crate::limits::REASON_BYTES_MAX;
use crate::message::ceremony::{
    CommitSet, DealingsChecked, DealingsReady, KeyEpochOpen, RevealSet, RosterProposed, RosterSigned, ServingKeysReady,
    ServingStepDone, ServingStepHeads, ServingStepOpen,
};
use crate::message::hospital::{HospitalMessage, StepKey};
use crate::message::key_step::Key;
use crate::message::round::{
    Abandon, CohortFrozen, Decryptors, Manifest, RoundClosed, RoundOpen, RoundVoid, ShareRequest, SumReady,
};
use crate::message::serving::{
    ModelPublished, ModelVerified, PublishManifest, PublishOpen, PublishVoid, QueryDone, QueryFailed, QueryOpen,
    SwitchRequest,
};
use crate::message::signed::SignedMessage;
use crate::message::training::{
    FeaturesOpen, FeaturesReady, RefreshBlinded, RefreshDone, RefreshOpen, RefreshVoid, ZerosOpen,
};

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
    DealingsChecked(DealingsChecked),
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
    ModelVerified(ModelVerified),
    QueryOpen(Box<QueryOpen>),
    SwitchRequest(Box<SwitchRequest>),
    QueryDone(QueryDone),
    QueryFailed(QueryFailed),
    FeaturesOpen(FeaturesOpen),
    FeaturesReady(FeaturesReady),
    ZerosOpen(ZerosOpen),
    RefreshOpen(Box<RefreshOpen>),
    RefreshBlinded(RefreshBlinded),
    RefreshDone(Box<RefreshDone>),
    RefreshVoid(RefreshVoid),
    Stop(Stop),
    Order(Order),
}

impl LogMessage {
    /// The hospitals' signed messages inside this entry.
    #[must_use]
    pub fn signed(&self) -> &[SignedMessage] {
        match self {
            Self::RosterSigned(it) => &it.signatures,
            Self::CommitSet(it) => &it.commits,
            Self::RevealSet(it) => &it.reveals,
            Self::DealingsReady(it) => &it.dealings,
            Self::KeyEpochOpen(it) => &it.digests,
            Self::DealingsChecked(it) => &it.checks,
            Self::ServingStepHeads(it) => &it.heads,
            Self::ServingKeysReady(it) => &it.verdicts,
            Self::Manifest(it) => &it.heads,
            Self::CohortFrozen(it) => &it.signatures,
            Self::ShareRequest(it) => &it.acceptances,
            Self::SumReady(it) => &it.shares,
            Self::RoundClosed(it) => &it.votes,
            Self::PublishManifest(it) => &it.heads,
            Self::ModelVerified(it) => &it.verdicts,
            Self::QueryOpen(it) => std::slice::from_ref(&it.head),
            Self::SwitchRequest(it) => std::slice::from_ref(&it.head),
            Self::QueryDone(it) => &it.shares,
            Self::FeaturesReady(it) => &it.heads,
            Self::RefreshOpen(it) => &it.zeros,
            Self::RefreshBlinded(it) => &it.heads,
            Self::RefreshDone(it) => std::slice::from_ref(&it.opening),
            Self::RefreshVoid(it) => &it.refusals,
            Self::RosterProposed(_)
            | Self::ServingStepOpen(_)
            | Self::ServingStepDone(_)
            | Self::RoundOpen(_)
            | Self::Decryptors(_)
            | Self::RoundVoid(_)
            | Self::Abandon(_)
            | Self::PublishOpen(_)
            | Self::ModelPublished(_)
            | Self::PublishVoid(_)
            | Self::QueryFailed(_)
            | Self::FeaturesOpen(_)
            | Self::ZerosOpen(_)
            | Self::Stop(_)
            | Self::Order(_) => &[],
        }
    }
}

impl LogMessage {
    /// Whether it is of a training on ciphertexts.
    #[must_use]
    pub fn is_of_training(&self) -> bool {
        matches!(
            self,
            Self::FeaturesOpen(_)
                | Self::FeaturesReady(_)
                | Self::ZerosOpen(_)
                | Self::RefreshOpen(_)
                | Self::RefreshBlinded(_)
                | Self::RefreshDone(_)
                | Self::RefreshVoid(_)
        )
    }

    /// The steps that this entry asks hospitals to take, by what their messages answer.
    #[must_use]
    pub(crate) fn asks(&self) -> Vec<StepKey> {
        let at = |tag, round: RoundId, attempt: Attempt| vec![(tag, u64::from(round.0), attempt.0)];
        match self {
            Self::RosterProposed(_) => vec![(2, 0, 0)],
            Self::RosterSigned(_) => vec![(3, 0, 0)],
            Self::CommitSet(_) => vec![(4, 0, 0)],
            Self::RevealSet(_) => vec![(5, 0, 0)],
            Self::DealingsReady(_) => vec![(6, 0, 0)],
            Self::KeyEpochOpen(_) => vec![(24, 0, 0)],
            Self::ServingStepOpen(it) => vec![(7, it.step as u64, 0)],
            // The last of a ceremony, whatever sets it makes.
            Self::ServingStepDone(it) if it.step.key() == Key::Galois => vec![(18, 0, 0)],
            Self::RoundOpen(it) => at(8, it.round, Attempt(0)),
            Self::Manifest(it) => at(9, it.round, it.attempt),
            Self::Decryptors(it) => at(10, it.round, it.attempt),
            Self::ShareRequest(it) => at(11, it.round, it.attempt),
            Self::SumReady(it) => at(12, it.round, it.attempt),
            Self::PublishOpen(it) => vec![(13, 0, it.attempt.0)],
            Self::ModelPublished(it) => vec![(14, 0, 0), (19, 0, it.attempt.0)],
            Self::FeaturesOpen(_) => vec![(28, 0, 0)],
            Self::ZerosOpen(it) => vec![(25, u64::from(it.step.0), it.attempt.0)],
            Self::RefreshOpen(it) => vec![(26, u64::from(it.step.0), it.attempt.0)],
            Self::RefreshBlinded(it) => vec![(27, u64::from(it.step.0), it.attempt.0)],
            Self::SwitchRequest(it) => match &it.head.body {
                HospitalMessage::QueryHead(head) => vec![(15, head.query.0, 0)],
                _ => Vec::new(),
            },
            Self::DealingsChecked(_)
            | Self::ServingStepHeads(_)
            | Self::ServingStepDone(_)
            | Self::ServingKeysReady(_)
            | Self::CohortFrozen(_)
            | Self::RoundClosed(_)
            | Self::RoundVoid(_)
            | Self::Abandon(_)
            | Self::PublishManifest(_)
            | Self::PublishVoid(_)
            | Self::ModelVerified(_)
            | Self::QueryOpen(_)
            | Self::QueryDone(_)
            | Self::QueryFailed(_)
            | Self::FeaturesReady(_)
            | Self::RefreshDone(_)
            | Self::RefreshVoid(_)
            | Self::Stop(_)
            | Self::Order(_) => Vec::new(),
        }
    }
}

wire_enum!(LogMessage {
    1 => RosterProposed(RosterProposed), 2 => RosterSigned(RosterSigned), 3 => CommitSet(CommitSet),
    4 => RevealSet(RevealSet), 5 => DealingsReady(DealingsReady), 6 => KeyEpochOpen(KeyEpochOpen),
    7 => ServingStepOpen(ServingStepOpen), 8 => ServingStepHeads(ServingStepHeads),
    9 => ServingStepDone(ServingStepDone), 10 => ServingKeysReady(ServingKeysReady),
    15 => DealingsChecked(DealingsChecked),
    20 => RoundOpen(RoundOpen), 21 => Manifest(Manifest), 22 => CohortFrozen(CohortFrozen),
    23 => Decryptors(Decryptors), 24 => ShareRequest(ShareRequest), 25 => SumReady(SumReady),
    26 => RoundClosed(RoundClosed), 27 => RoundVoid(RoundVoid), 28 => Abandon(Abandon),
    40 => PublishOpen(PublishOpen), 41 => PublishManifest(PublishManifest), 42 => ModelPublished(ModelPublished),
    43 => PublishVoid(PublishVoid), 44 => ModelVerified(ModelVerified),
    49 => QueryOpen(Box<QueryOpen>), 50 => SwitchRequest(Box<SwitchRequest>), 51 => QueryDone(QueryDone),
    52 => QueryFailed(QueryFailed), 53 => FeaturesOpen(FeaturesOpen), 54 => FeaturesReady(FeaturesReady),
    55 => ZerosOpen(ZerosOpen), 56 => RefreshOpen(Box<RefreshOpen>),
    57 => RefreshBlinded(RefreshBlinded), 58 => RefreshDone(Box<RefreshDone>), 59 => RefreshVoid(RefreshVoid),
    60 => Stop(Stop), 61 => Order(Order),
});

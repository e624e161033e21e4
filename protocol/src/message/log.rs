//! Everything the coordinator says: one enum over the families, the only way it talks to hospitals.

use crate::campaign::Order;
use crate::codec::{DecodeError, Reader, Wire, Writer, wire_enum};
use crate::limits::REASON_BYTES_MAX;
use crate::message::ceremony::{
    CommitSet, DealingsReady, KeyEpochOpen, RevealSet, RosterProposed, RosterSigned, ServingKeysReady, ServingStepDone,
    ServingStepHeads, ServingStepOpen,
};
use crate::message::round::{
    Abandon, CohortFrozen, Decryptors, Manifest, RoundClosed, RoundOpen, RoundVoid, ShareRequest, SumReady,
};
use crate::message::serving::{
    ModelPublished, ModelVerified, PublishManifest, PublishOpen, PublishVoid, QueryDone, QueryFailed, QueryOpen,
    SwitchRequest,
};
use crate::message::signed::SignedMessage;

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
    ModelVerified(ModelVerified),
    QueryOpen(Box<QueryOpen>),
    SwitchRequest(Box<SwitchRequest>),
    QueryDone(QueryDone),
    QueryFailed(QueryFailed),
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
            | Self::Stop(_)
            | Self::Order(_) => &[],
        }
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
    43 => PublishVoid(PublishVoid), 44 => ModelVerified(ModelVerified),
    49 => QueryOpen(Box<QueryOpen>), 50 => SwitchRequest(Box<SwitchRequest>), 51 => QueryDone(QueryDone),
    52 => QueryFailed(QueryFailed), 60 => Stop(Stop), 61 => Order(Order),
});

//! What a released share is bound to. The cryptography hashes the same fields into its masks and noise.

use crate::blob::BodyRoot;
use crate::codec::wire_struct;
use crate::ids::{Attempt, Digest, Epoch, PartyId, QueryId, RoundId};
use crate::message::{HospitalMessage, SwitchRequest};
use crate::party_set::PartySet;

/// The context of a decryption share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareBinding {
    /// Key epoch.
    pub epoch: Epoch,
    /// The round.
    pub round: RoundId,
    /// The attempt.
    pub attempt: Attempt,
    /// S.
    pub cohort: PartySet,
    /// T.
    pub decryptors: PartySet,
    /// Digest of the frozen manifest.
    pub manifest: Digest,
    /// Chunks per update.
    pub chunks: u32,
}
wire_struct!(ShareBinding {
    epoch: Epoch,
    round: RoundId,
    attempt: Attempt,
    cohort: PartySet,
    decryptors: PartySet,
    manifest: Digest,
    chunks: u32,
});

impl ShareBinding {
    /// The ledger's key for this context.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium share binding v1", self)
    }
}

/// The context of a share of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchBinding {
    /// Key epoch.
    pub epoch: Epoch,
    /// The query.
    pub query: QueryId,
    /// Who asks.
    pub asker: PartyId,
    /// Digest of the encrypted input (its root).
    pub input: Digest,
    /// Digest of the program.
    pub program: Digest,
    /// Digest of the encrypted model.
    pub model: Digest,
    /// The encrypted result.
    pub result: BodyRoot,
    /// T.
    pub decryptors: PartySet,
}
wire_struct!(SwitchBinding {
    epoch: Epoch,
    query: QueryId,
    asker: PartyId,
    input: Digest,
    program: Digest,
    model: Digest,
    result: BodyRoot,
    decryptors: PartySet,
});

impl SwitchBinding {
    /// What a request asks shares to be bound to; `None` where its head is no query's. Nothing is checked here.
    #[must_use]
    pub fn of(epoch: Epoch, request: &SwitchRequest) -> Option<Self> {
        let HospitalMessage::QueryHead(head) = &request.head.body else { return None };
        Some(Self {
            epoch,
            query: head.query,
            asker: request.head.author,
            input: head.body.root,
            program: head.program,
            model: head.model,
            result: request.result,
            decryptors: request.decryptors,
        })
    }

    /// The ledger's key for this context.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium switch binding v4", self)
    }
}

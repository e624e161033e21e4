//! The coordinator's log entries of publishing and of encrypted inference.

use crate::blob::BodyRoot;
use crate::codec::wire_struct;
use crate::hospital::SwitchBinding;
use crate::ids::{Attempt, Digest, PartyId, QueryId};
use crate::message::hospital::HospitalMessage;
use crate::message::signed::{SignedMessage, distinct_signers};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;

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

/// Hospitals that added the published model up themselves: from now on they may be asked to release its answers. Comes
/// again where one does so later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelVerified {
    /// `ModelVerdict`s: of t or more at first, then of whoever follows.
    pub verdicts: Vec<SignedMessage>,
}
wire_struct!(ModelVerified { verdicts: Vec<SignedMessage> });

/// A publishing attempt ended without a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishVoid {
    /// Publishing attempt.
    pub attempt: Attempt,
    /// Who is missing.
    pub missing: PartySet,
}
wire_struct!(PublishVoid { attempt: Attempt, missing: PartySet });

/// Asks T to evaluate a query, beside the coordinator: whoever releases an answer has computed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryOpen {
    /// The asker's signed `QueryHead`.
    pub head: SignedMessage,
    /// Who is going to release the answer, exactly t members; whoever is lost by then is replaced.
    pub decryptors: PartySet,
}
wire_struct!(QueryOpen { head: SignedMessage, decryptors: PartySet });

/// Asks T to release the answer in a result to its asker, each if it is what it computed itself.
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

/// The answer can be fetched: one sealed box of each of T.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryDone {
    /// The query.
    pub query: QueryId,
    /// `SwitchShareHead`s of T, ascending: what each of its members signed for its box.
    pub shares: Vec<SignedMessage>,
}
wire_struct!(QueryDone { query: QueryId, shares: Vec<SignedMessage> });

impl QueryDone {
    /// The boxes that an answer is made of, each with its maker, if all of T signed for one in this context.
    ///
    /// # Errors
    /// A signature that is wrong, another query or context, a box beyond its limit, or other signers than T.
    pub fn boxes(&self, binding: &SwitchBinding, roster: &Roster) -> Result<Vec<(PartyId, BodyRoot)>, Reject> {
        let (query, digest) = (binding.query, binding.digest());
        let mut boxes = Vec::new();
        let signers = distinct_signers(&self.shares, roster, |maker, body| match body {
            HospitalMessage::SwitchShareHead(head) if (head.query, head.binding) == (query, digest) => {
                boxes.push((maker, head.body));
                head.is_one_box()
            }
            _ => false,
        })?;
        if signers == binding.decryptors { Ok(boxes) } else { Err(Reject::DecryptorsWrong) }
    }
}

/// The query ends without an answer; the asker encrypts anew under a fresh number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryFailed {
    /// The query.
    pub query: QueryId,
    /// Why.
    pub reject: Reject,
}
wire_struct!(QueryFailed { query: QueryId, reject: Reject });

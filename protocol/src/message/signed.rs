//! The envelope of every hospital message: author, epoch, sequence number, the log's head that its author had read, and
//! an Ed25519 signature over all of it.

use crate::codec::{Wire, Writer, wire_struct};
use crate::heads::Seen;
use crate::ids::{Epoch, PartyId};
use crate::message::HospitalMessage;
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::signature::{Signature, SigningKey, VerifyingKey};

/// One hospital's message, signed. Equal values have equal bytes, so a repeat is the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedMessage {
    /// Who signed.
    pub author: PartyId,
    /// For which key epoch.
    pub epoch: Epoch,
    /// The author's own count within the epoch.
    pub sequence: u64,
    /// How far the author had read the log. A repeat is the same bytes, so it says what it said the first time.
    pub seen: Seen,
    /// What was signed.
    pub body: HospitalMessage,
    /// Over all of the above.
    pub signature: Signature,
}

wire_struct!(SignedMessage {
    author: PartyId,
    epoch: Epoch,
    sequence: u64,
    seen: Seen,
    body: HospitalMessage,
    signature: Signature,
});

impl SignedMessage {
    /// Signs `body`.
    #[must_use]
    pub fn sign(
        key: &SigningKey,
        author: PartyId,
        epoch: Epoch,
        sequence: u64,
        seen: Seen,
        body: HospitalMessage,
    ) -> Self {
        let signature = key.sign(&signed_bytes(author, epoch, sequence, seen, &body));
        Self { author, epoch, sequence, seen, body, signature }
    }

    /// Whether this key signed it.
    #[must_use]
    pub fn is_signed_by(&self, key: &VerifyingKey) -> bool {
        let bytes = signed_bytes(self.author, self.epoch, self.sequence, self.seen, &self.body);
        key.verify(&bytes, &self.signature).is_ok()
    }

    /// Checks author, epoch and signature against `roster`. Whether it was signed on the log where it stands says
    /// [`crate::heads::Heads::check`].
    ///
    /// # Errors
    /// [`Reject::UnknownParty`], [`Reject::WrongEpoch`] or [`Reject::BadSignature`].
    pub fn verify(&self, roster: &Roster) -> Result<(), Reject> {
        let member = roster.member(self.author).ok_or(Reject::UnknownParty)?;
        if self.epoch != roster.epoch() {
            return Err(Reject::WrongEpoch);
        }
        if self.is_signed_by(&member.verifying) { Ok(()) } else { Err(Reject::BadSignature) }
    }
}

fn signed_bytes(author: PartyId, epoch: Epoch, sequence: u64, seen: Seen, body: &HospitalMessage) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes(b"consilium hospital message v2");
    author.encode(&mut writer);
    epoch.encode(&mut writer);
    writer.u64(sequence);
    seen.encode(&mut writer);
    body.encode(&mut writer);
    writer.into_bytes()
}

/// The distinct authors of `messages`, after checking every signature and that `accept` holds for every body.
///
/// # Errors
/// The first refusal; [`Reject::Contradiction`] for a body that `accept` turns down or an author who comes twice.
pub fn distinct_signers(
    messages: &[SignedMessage],
    roster: &Roster,
    mut accept: impl FnMut(PartyId, &HospitalMessage) -> bool,
) -> Result<PartySet, Reject> {
    let mut signers = PartySet::EMPTY;
    for message in messages {
        message.verify(roster)?;
        if signers.contains(message.author) || !accept(message.author, &message.body) {
            return Err(Reject::Contradiction);
        }
        signers.insert(message.author);
    }
    Ok(signers)
}

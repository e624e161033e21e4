//! What members and coordinator say to each other about a proposal, over the member's certificate.

use crate::codec::{DecodeError, Reader, Wire, Writer, wire_enum, wire_struct, wire_tag};
use crate::ids::{Digest, Epoch, PartyId};
use crate::membership::Membership;
use crate::party_set::PartySet;
use crate::sealed::SealingKey;
use crate::signature::{Signature, SignatureError, SigningKey, VerifyingKey};

/// Frame kind of these calls.
pub const CONSENT: u16 = 0x0101;
/// UTF-8 bytes of a plan: an experiment file is a few thousand.
pub const PLAN_BYTES_MAX: usize = 64 << 10;

/// A trained model of an earlier key epoch, which training goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    /// The earlier key epoch.
    pub epoch: Epoch,
    /// Digest of the model that its last training round gave.
    pub model: Digest,
}
wire_struct!(Base { epoch: Epoch, model: Digest });

/// What is to be approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The key epoch that would begin, from 1.
    pub epoch: Epoch,
    /// Who would take part.
    pub membership: Membership,
    /// The experiment as text; every site derives the terms from it by itself.
    pub plan: String,
    /// What training goes on from; the plan's own first model if absent. The terms name its digest.
    pub base: Option<Base>,
}

impl Wire for Proposal {
    const BYTES_MIN: usize = Epoch::BYTES_MIN + Membership::BYTES_MIN + 4 + 1;
    fn encode(&self, writer: &mut Writer) {
        self.epoch.encode(writer);
        self.membership.encode(writer);
        writer.bytes(self.plan.as_bytes());
        self.base.encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            epoch: Epoch::decode(reader)?,
            membership: Membership::decode(reader)?,
            plan: reader.text("plan", PLAN_BYTES_MAX)?,
            base: Option::decode(reader)?,
        })
    }
}

/// A member's promise of its nonce, signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonceBinding {
    /// Digest of the membership.
    pub membership: Digest,
    /// Whose.
    pub party: PartyId,
    commitment: Digest,
    signature: Signature,
}
wire_struct!(NonceBinding { membership: Digest, party: PartyId, commitment: Digest, signature: Signature });

impl NonceBinding {
    /// Promises `nonce`. The same nonce gives the same bytes.
    #[must_use]
    pub fn new(key: &SigningKey, membership: Digest, party: PartyId, nonce: &[u8; 32]) -> Self {
        let commitment = commitment(membership, party, nonce);
        let signature = key.sign(&bound_bytes(membership, party, commitment));
        Self { membership, party, commitment, signature }
    }

    /// Checks that the owner of `key` made it.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), SignatureError> {
        key.verify(&bound_bytes(self.membership, self.party, self.commitment), &self.signature)
    }

    /// Whether this nonce was promised.
    #[must_use]
    pub fn is_opened_by(&self, nonce: &[u8; 32]) -> bool {
        commitment(self.membership, self.party, nonce) == self.commitment
    }
}

/// Names its owner, so that nobody can pass another's promise off as its own.
fn commitment(membership: Digest, party: PartyId, nonce: &[u8; 32]) -> Digest {
    let mut writer = Writer::default();
    writer.bytes(b"consilium membership nonce v1");
    membership.encode(&mut writer);
    party.encode(&mut writer);
    writer.array(nonce);
    Digest::of_bytes(&writer.into_bytes())
}

fn bound_bytes(membership: Digest, party: PartyId, commitment: Digest) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes(b"consilium nonce binding v1");
    membership.encode(&mut writer);
    party.encode(&mut writer);
    commitment.encode(&mut writer);
    writer.into_bytes()
}

/// A member's nonce, shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// Digest of the membership.
    pub membership: Digest,
    /// Whose.
    pub party: PartyId,
    /// The 32 bytes.
    pub bytes: [u8; 32],
}
wire_struct!(Nonce { membership: Digest, party: PartyId, bytes: [u8; 32] });

/// A member's word that its officer approved membership and terms, with its sealing key for the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// The key epoch.
    pub epoch: Epoch,
    /// Whose.
    pub party: PartyId,
    /// Digest of the membership.
    pub membership: Digest,
    /// Digest of the terms.
    pub terms: Digest,
    /// Seals boxes for it in this epoch.
    pub sealing: SealingKey,
    signature: Signature,
}
wire_struct!(Approval {
    epoch: Epoch,
    party: PartyId,
    membership: Digest,
    terms: Digest,
    sealing: SealingKey,
    signature: Signature,
});

impl Approval {
    /// Signs it.
    #[must_use]
    pub fn new(
        key: &SigningKey,
        (epoch, party): (Epoch, PartyId),
        membership: Digest,
        terms: Digest,
        sealing: SealingKey,
    ) -> Self {
        let unsigned = Self { epoch, party, membership, terms, sealing, signature: key.sign(&[]) };
        Self { signature: key.sign(&unsigned.signed_bytes()), ..unsigned }
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(b"consilium approval v1");
        self.epoch.encode(&mut writer);
        self.party.encode(&mut writer);
        self.membership.encode(&mut writer);
        self.terms.encode(&mut writer);
        self.sealing.encode(&mut writer);
        writer.into_bytes()
    }

    /// Checks that the owner of `key` made it.
    ///
    /// # Errors
    /// [`SignatureError::Invalid`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), SignatureError> {
        key.verify(&self.signed_bytes(), &self.signature)
    }
}

/// How far an epoch has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Approvals are awaited.
    Proposed,
    /// All have approved: its log may be read.
    Open,
    /// It is over, or was given up.
    Over,
}
wire_tag!(Stage { 0 => Proposed, 1 => Open, 2 => Over });

/// What the coordinator holds of a proposal. Nothing in it is to be believed without [`super::next`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What is to be approved.
    pub proposal: Proposal,
    /// Promises so far.
    pub bindings: Vec<NonceBinding>,
    /// Nonces so far.
    pub nonces: Vec<Nonce>,
    /// Who approved, for status lines.
    pub approved: PartySet,
    /// How far it has come.
    pub stage: Stage,
}
wire_struct!(Standing {
    proposal: Proposal,
    bindings: Vec<NonceBinding>,
    nonces: Vec<Nonce>,
    approved: PartySet,
    stage: Stage,
});

/// What a member says. All may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentCall {
    /// Which epochs there are.
    Epochs(()),
    /// How one stands.
    Ask(Epoch),
    /// A promise.
    Bind(NonceBinding),
    /// Its nonce.
    Reveal(Nonce),
    /// Its approval.
    Approve(Box<Approval>),
}
wire_enum!(ConsentCall {
    0 => Epochs(()), 1 => Ask(Epoch), 2 => Bind(NonceBinding), 3 => Reveal(Nonce), 4 => Approve(Box<Approval>),
});

/// What the coordinator answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsentAnswer {
    /// Epochs of which the asker is a member, ascending.
    Epochs(Vec<Epoch>),
    /// How one stands.
    Standing(Box<Standing>),
    /// Stored.
    Accepted(()),
}
wire_enum!(ConsentAnswer { 0 => Epochs(Vec<Epoch>), 1 => Standing(Box<Standing>), 2 => Accepted(()) });

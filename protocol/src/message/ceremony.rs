//! The coordinator's log entries of the key ceremony (K0-K4) and of the serving keys.

use crate::blob::BodyRoot;
use crate::codec::wire_struct;
use crate::ids::Digest;
use crate::message::hospital::KeyStep;
use crate::message::signed::SignedMessage;
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
}
wire_struct!(ServingStepOpen { step: KeyStep, plan: Digest });

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

/// All serving keys exist, and every hospital has added them up itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingKeysReady {
    /// Digest of the key plan.
    pub plan: Digest,
    /// `KeyVerdict`s of all n, alike, ascending.
    pub verdicts: Vec<SignedMessage>,
}
wire_struct!(ServingKeysReady { plan: Digest, verdicts: Vec<SignedMessage> });

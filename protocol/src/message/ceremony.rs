//! The coordinator's log entries of the key ceremony (K0-K5) and of the serving keys.

use std::collections::BTreeMap;

use crate::blob::BodyRoot;
use crate::codec::wire_struct;
use crate::dealings::{DealingCheck, OffDealings};
use crate::ids::{Digest, PartyId};
use crate::message::hospital::HospitalMessage;
use crate::message::key_step::KeyStep;
use crate::message::signed::{SignedMessage, distinct_signers};
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

/// K4: all n digests agree: nobody can deal anything else in this key epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEpochOpen {
    /// `DealingsDigest`s, ascending.
    pub digests: Vec<SignedMessage>,
}
wire_struct!(KeyEpochOpen { digests: Vec<SignedMessage> });

impl KeyEpochOpen {
    /// The seed of the factors with which dealings are combined (K5): nobody knows it before every hospital has signed
    /// for what it got.
    #[must_use]
    pub fn factors(&self) -> Digest {
        Digest::of("consilium dealing check v1", self)
    }
}

/// K5: what all n show of the points that they were dealt. Where they do not fit the ceremony ends here, and this is
/// the evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DealingsChecked {
    /// `DealingCheck`s, ascending.
    pub checks: Vec<SignedMessage>,
}
wire_struct!(DealingsChecked { checks: Vec<SignedMessage> });

impl DealingsChecked {
    /// Whose dealings do not fit.
    ///
    /// # Errors
    /// [`Reject::TooFewSignatures`] where it is not all who show something, [`Reject::DealingsDisagree`] where it is
    /// not of all, or modulo other primes, and that of a signature or a contradiction.
    pub fn judge(&self, roster: &Roster) -> Result<OffDealings, Reject> {
        let all = distinct_signers(&self.checks, roster, |_, body| matches!(body, HospitalMessage::DealingCheck(_)))?;
        if all != roster.parties() {
            return Err(Reject::TooFewSignatures);
        }
        let of = |signed: &'_ SignedMessage| match &signed.body {
            HospitalMessage::DealingCheck(check) => Some((signed.author, check.clone())),
            _ => None,
        };
        let checks: BTreeMap<PartyId, DealingCheck> = self.checks.iter().filter_map(of).collect();
        let moduli = checks.values().next().map(|check| check.moduli.clone()).unwrap_or_default();
        if !checks.values().all(|check| check.is_of(roster.size()) && check.moduli == moduli) {
            return Err(Reject::DealingsDisagree);
        }
        Ok(OffDealings::of(&checks, roster.threshold()))
    }
}

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

//! A hospital at the table: what it reads is checked, what it says is signed.

use client::head::HeadDecryptor;
use he_agg::aggregation::MemoryLedger;
use protocol::log::{LogEntry, LogReader};
use protocol::message::{HospitalMessage, SignedMessage};
use protocol::roster::{Member, Roster};
use protocol::sealed::OpeningKey;
use protocol::signature::SigningKey;
use protocol::training::{Follower, FollowerInput, FollowerOutput, TrainingTerms};
use protocol::{Digest, Epoch, PartyId, WeightClass};

use super::error::HeadRunError;

/// The key epoch of a run.
const EPOCH: Epoch = Epoch(1);

/// The hospitals, and their keys to sign with.
pub(super) struct Signers {
    pub(super) roster: Roster,
    /// Of hospital 1, 2, ...
    hospitals: Vec<SigningKey>,
}

impl Signers {
    /// New ones, which end with the run; the coordinator's, with which it signs the log, beside them.
    pub(super) fn new(hospitals: u16, threshold: u16) -> Result<(Self, SigningKey), HeadRunError> {
        let coordinator = SigningKey::generate()?;
        let (mut keys, mut members) = (Vec::new(), Vec::new());
        for party in (1..=hospitals).filter_map(PartyId::new) {
            let key = SigningKey::generate()?;
            members.push(Member {
                party,
                name: party.to_string(),
                organisation: party.to_string(),
                weight: WeightClass::ONE,
                verifying: key.verifying_key(),
                sealing: OpeningKey::generate()?.sealing_key().clone(),
                // No network: nobody connects.
                tls_key: Digest::of_bytes(party.to_string().as_bytes()),
            });
            keys.push(key);
        }
        let parameters = Digest::of_bytes(b"a head in one process");
        let roster = Roster::new(EPOCH, threshold, parameters, coordinator.verifying_key(), members)?;
        Ok((Self { roster, hospitals: keys }, coordinator))
    }

    fn key(&self, party: PartyId) -> Option<&SigningKey> {
        self.hospitals.get(usize::from(party.number()).checked_sub(1)?)
    }
}

/// The hospital.
pub(super) struct Seat {
    pub(super) party: PartyId,
    pub(super) decryptor: HeadDecryptor<MemoryLedger>,
    follower: Follower,
    log: LogReader,
    signed: u64,
}

impl Seat {
    pub(super) fn new(decryptor: HeadDecryptor<MemoryLedger>, signers: &Signers, terms: TrainingTerms) -> Option<Self> {
        let party = PartyId::new(decryptor.party())?;
        let follower = Follower::new(party, signers.roster.clone(), terms);
        let log = LogReader::new(*signers.roster.coordinator());
        Some(Self { party, decryptor, follower, log, signed: 0 })
    }

    pub(super) fn hears(&mut self, input: FollowerInput<'_>) -> Vec<FollowerOutput> {
        self.follower.on(input)
    }

    /// What it is to do after an entry that continues its log.
    pub(super) fn reads(&mut self, entry: &LogEntry) -> Result<Vec<FollowerOutput>, HeadRunError> {
        self.log.accept(entry).map_err(|reject| HeadRunError::Log { hospital: self.party.number(), reject })?;
        Ok(self.follower.on(FollowerInput::Entry(&entry.message)))
    }

    pub(super) fn sign(&mut self, signers: &Signers, body: HospitalMessage) -> Option<SignedMessage> {
        self.signed += 1;
        let key = signers.key(self.party)?;
        Some(SignedMessage::sign(key, self.party, EPOCH, self.signed, self.log.seen(), body))
    }
}

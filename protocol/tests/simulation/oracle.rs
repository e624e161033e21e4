//! What must hold whatever happens, checked from outside with bookkeeping of its own.

use std::collections::{BTreeMap, BTreeSet};

use protocol::codec::Wire;
use protocol::facts::Fact;
use protocol::hospital::{HospitalOutput, ShareBinding, SwitchBinding};
use protocol::log::LogEntry;
use protocol::message::{HospitalMessage, LogMessage};
use protocol::roster::Roster;
use protocol::verifier::Verifier;
use protocol::{Attempt, BodyRoot, Digest, PartyId, PartySet, RoundId};

/// Everything ever seen, across restarts.
pub(crate) struct Oracle {
    seed: u64,
    threshold: usize,
    verifier: Verifier,
    signed: BTreeMap<(PartyId, &'static str, u64, u32), Vec<u8>>,
    durable: BTreeSet<(PartyId, Vec<u8>)>,
    encrypted: BTreeMap<(PartyId, u32, u32), BodyRoot>,
    shared: BTreeMap<(PartyId, u32, u32), ShareBinding>,
    switched: BTreeMap<(PartyId, u64), SwitchBinding>,
    cohorts: BTreeMap<u32, PartySet>,
    /// Lanes of every decrypted sum, by base model.
    sums: Vec<(Digest, PartySet)>,
}

impl Oracle {
    pub(crate) fn new(seed: u64, roster: &Roster) -> Self {
        Self {
            seed,
            threshold: roster.threshold(),
            verifier: Verifier::new(*roster.coordinator()),
            signed: BTreeMap::new(),
            durable: BTreeSet::new(),
            encrypted: BTreeMap::new(),
            shared: BTreeMap::new(),
            switched: BTreeMap::new(),
            cohorts: BTreeMap::new(),
            sums: Vec::new(),
        }
    }

    pub(crate) fn entry(&mut self, entry: &LogEntry) {
        let seed = self.seed;
        assert_eq!(LogEntry::from_bytes(&entry.to_bytes()).as_ref(), Ok(entry), "seed {seed}: codec");
        assert_eq!(self.verifier.check(entry), Ok(()), "seed {seed}");
        match &entry.message {
            LogMessage::Decryptors(it) => assert_eq!(it.decryptors.len(), self.threshold, "seed {seed}"),
            LogMessage::Manifest(it) => {
                let known = *self.cohorts.entry(it.round.0).or_insert(it.cohort());
                assert_eq!(known, it.cohort(), "seed {seed}: cohort changed in round {}", it.round);
            }
            _ => {}
        }
    }

    pub(crate) fn output(&mut self, party: PartyId, output: &HospitalOutput) {
        let seed = self.seed;
        match output {
            HospitalOutput::Persist(fact) => {
                assert_eq!(Fact::from_bytes(&fact.to_bytes()).as_ref(), Ok(fact), "seed {seed}: codec");
                self.durable.insert((party, fact.to_bytes()));
            }
            HospitalOutput::Send(message) => {
                let fact = Fact::Sent(message.clone());
                assert!(self.durable.contains(&(party, fact.to_bytes())), "seed {seed}: sent before stored");
                if let Some((step, number, attempt)) = step_of(&message.body) {
                    let bytes = message.to_bytes();
                    let known = self.signed.entry((party, step, number, attempt)).or_insert_with(|| bytes.clone());
                    assert_eq!(*known, bytes, "seed {seed}: {party} signed two {step} for {number}.{attempt}");
                }
            }
            HospitalOutput::ReleaseShares(binding) => {
                let key = (party, binding.round.0, binding.attempt.0);
                let known = self.shared.entry(key).or_insert_with(|| binding.clone());
                assert_eq!(known, binding, "seed {seed}: {party} shares in two contexts");
                assert!(binding.decryptors.len() == self.threshold && binding.decryptors.contains(party));
            }
            HospitalOutput::ReleaseSwitch(binding) => {
                let known = self.switched.entry((party, binding.query.0)).or_insert_with(|| binding.clone());
                assert_eq!(known, binding, "seed {seed}: {party} switches in two contexts");
            }
            _ => {}
        }
    }

    /// A hospital encrypted; after a crash perhaps not for the first time, but never other bytes.
    pub(crate) fn encrypted(&mut self, party: PartyId, round: RoundId, attempt: Attempt, body: BodyRoot) {
        let known = *self.encrypted.entry((party, round.0, attempt.0)).or_insert(body);
        assert_eq!(known, body, "seed {}: {party} encrypts two updates in {round}.{attempt}", self.seed);
    }

    /// What a hospital encrypted in an attempt.
    pub(crate) fn made(&self, party: PartyId, round: RoundId, attempt: Attempt) -> Option<BodyRoot> {
        self.encrypted.get(&(party, round.0, attempt.0)).copied()
    }

    /// A sum became known. No two sums on one base model may differ by fewer than two members.
    pub(crate) fn sum(&mut self, base_model: Digest, lanes: &BTreeMap<PartyId, u32>, cohort: PartySet) {
        let seed = self.seed;
        assert!(lanes.values().all(|count| *count == 1), "seed {seed}: lanes {lanes:?}");
        let contributors: PartySet = lanes.keys().copied().collect();
        assert_eq!(contributors, cohort, "seed {seed}: the sum holds other contributors than the manifest");
        for (base, other) in &self.sums {
            if *base == base_model {
                let differences = [cohort.minus(*other).len(), other.minus(cohort).len()];
                assert!(!differences.contains(&1), "seed {seed}: {cohort} after {other} exposes one update");
            }
        }
        self.sums.push((base_model, cohort));
    }
}

fn step_of(body: &HospitalMessage) -> Option<(&'static str, u64, u32)> {
    Some(match body {
        HospitalMessage::UpdateHead(it) => ("head", u64::from(it.round.0), it.attempt.0),
        HospitalMessage::ManifestSignature(it) => ("manifest", u64::from(it.round.0), it.attempt.0),
        HospitalMessage::Acceptance(it) => ("acceptance", u64::from(it.round.0), it.attempt.0),
        HospitalMessage::ShareHead(it) => ("share", u64::from(it.round.0), it.attempt.0),
        HospitalMessage::ModelVote(it) => ("vote", u64::from(it.round.0), it.attempt.0),
        HospitalMessage::KeyReveal(_) => ("reveal", 0, 0),
        HospitalMessage::DealingsSent(_) => ("dealings", 0, 0),
        HospitalMessage::SwitchShareHead(it) => ("switch", it.query.0, 0),
        HospitalMessage::QueryHead(it) => ("query", it.query.0, 0),
        _ => return None,
    })
}

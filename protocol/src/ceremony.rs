//! The coordinator's side of the key ceremony (K0-K5) and of the serving keys.
//!
//! ```text
//! Roster --n signatures--> Commit --n--> Reveal --n, all open--> Deal --n heads + bodies--> Digest --n, agree--> Check
//!        --n, dealings fit--> open
//!
//! and if serving is wanted:
//! Gate -> GateKey -> RelinRoundOne -> RelinRoundTwo -> RelinMasks -> RelinAnswers -> Galois -> Verdicts --n--> Done
//!               \--- with planes: Planes -> PlaneOpenings --/
//!            and where a head is trained, the same of its own key, without planes, before the verdicts
//!            each: Heads (n commitments) --> Bodies (n uploads) --> Aggregating --> next step
//!            Gate, GateKey, Planes, PlaneOpenings, RelinMasks, RelinAnswers: everybody's own, so nothing is added up
//!            for all
//!            Verdicts: every hospital has added up and checked all of it itself
//! ```
//!
//! Every step needs all n hospitals, and waits for them: there is no deadline, since whoever was away comes back to the
//! step it left. A refusal or a disagreement ends the ceremony with a typed failure that names the parties.

mod effect;

pub use effect::{CeremonyConfig, CeremonyFailure, CeremonyInput, CeremonyOutput, CeremonyStep};

use std::collections::BTreeMap;

use crate::blob::{BlobKind, BodyRoot, ListId};
use crate::dealings::OffDealings;
use crate::ids::{Digest, Epoch, PartyId};
use crate::message::{
    CommitSet, DealingsChecked, DealingsReady, DealingsSent, HospitalMessage, KeyEpochOpen, KeyStep, KeyVerdict,
    LogMessage, RevealSet, RosterProposed, RosterSigned, ServingKeysReady, ServingStepDone, ServingStepHeads,
    ServingStepOpen, SignedMessage,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;

/// K1: the commitment to a nonce.
#[must_use]
pub fn commitment(epoch: Epoch, party: PartyId, nonce: &[u8; 32]) -> Digest {
    let mut writer = crate::codec::Writer::default();
    writer.bytes(b"consilium nonce commitment v1");
    writer.u32(epoch.0);
    writer.u16(party.number());
    writer.array(nonce);
    Digest::of_bytes(&writer.into_bytes())
}

/// K2: the epoch seed, from the roster (which names the presets) and all nonces in order of party.
#[must_use]
pub fn epoch_seed(roster: &Roster, nonces: &[[u8; 32]]) -> Digest {
    let mut writer = crate::codec::Writer::default();
    writer.bytes(b"consilium epoch seed v1");
    writer.array(&roster.digest().0);
    nonces.iter().for_each(|nonce| writer.array(nonce));
    Digest::of_bytes(&writer.into_bytes())
}

/// The same, from the log entry that shows all nonces.
#[must_use]
pub fn seed_of(roster: &Roster, reveals: &RevealSet) -> Digest {
    let nonces = bodies(&reveals.reveals, |body| match body {
        HospitalMessage::KeyReveal(reveal) => Some(reveal.nonce),
        _ => None,
    });
    epoch_seed(roster, &nonces)
}

/// K4: digest of the boxes addressed to `receiver`, in order of dealer.
#[must_use]
pub fn received_digest(receiver: PartyId, dealings: &[DealingsSent]) -> Digest {
    let place = usize::from(receiver.number()) - 1;
    let boxes: Vec<Digest> = dealings.iter().filter_map(|dealing| dealing.boxes.get(place).copied()).collect();
    Digest::of("consilium received dealings v1", &boxes)
}

/// The machine. One per key epoch.
pub struct CeremonyMachine {
    roster: Roster,
    config: CeremonyConfig,
    step: CeremonyStep,
    /// Messages of the current step, by author.
    received: BTreeMap<PartyId, SignedMessage>,
    complete: PartySet,
    commitments: BTreeMap<PartyId, Digest>,
    dealings: Vec<DealingsSent>,
    epoch_seed: Digest,
    /// Of the serving keys' shares, step by step.
    sums: Vec<BodyRoot>,
    /// What the shares of the step under way are bound to.
    bound: BTreeMap<PartyId, BodyRoot>,
}

impl CeremonyMachine {
    /// Public randomness of the epoch, once all nonces are revealed; zero before.
    #[must_use]
    pub fn epoch_seed(&self) -> Digest {
        self.epoch_seed
    }

    /// A ceremony for `roster`.
    #[must_use]
    pub fn new(roster: Roster, config: CeremonyConfig) -> Self {
        Self {
            roster,
            config,
            step: CeremonyStep::Idle,
            received: BTreeMap::new(),
            complete: PartySet::EMPTY,
            commitments: BTreeMap::new(),
            dealings: Vec::new(),
            epoch_seed: Digest::default(),
            sums: Vec::new(),
            bound: BTreeMap::new(),
        }
    }

    /// Where the ceremony stands.
    #[must_use]
    pub fn step(&self) -> CeremonyStep {
        self.step
    }

    /// Who is awaited now.
    #[must_use]
    pub fn waiting_for(&self) -> PartySet {
        let received: PartySet = self.received.keys().copied().collect();
        let there = match self.step {
            CeremonyStep::Deal | CeremonyStep::ServingBodies(_) => self.complete,
            CeremonyStep::Idle | CeremonyStep::Aggregating(_) | CeremonyStep::Done => self.roster.parties(),
            _ => received,
        };
        self.roster.parties().minus(there)
    }

    /// Takes one input and says what to do.
    pub fn on(&mut self, input: CeremonyInput) -> Vec<CeremonyOutput> {
        let mut out = Vec::new();
        if self.step == CeremonyStep::Done {
            return out;
        }
        match input {
            CeremonyInput::Start if self.step == CeremonyStep::Idle => {
                let roster = self.roster.clone();
                out.push(CeremonyOutput::Append(LogMessage::RosterProposed(RosterProposed { roster })));
                self.enter(CeremonyStep::Roster);
            }
            CeremonyInput::Start => {}
            CeremonyInput::Message(message) => {
                let party = message.author;
                if let Err(reject) = self.message(message, &mut out) {
                    out.push(CeremonyOutput::Reject { party, reject });
                }
            }
            CeremonyInput::BodiesComplete { list } => {
                if let Some(party) = list.party
                    && self.awaited(party) == Some(list)
                    && self.received.contains_key(&party)
                {
                    self.complete.insert(party);
                }
            }
            CeremonyInput::Aggregated { step, body } => self.aggregated(step, body, &mut out),
            CeremonyInput::AggregateFailed { step } => {
                if self.step == CeremonyStep::Aggregating(step) {
                    self.fail(CeremonyFailure::Aggregate { step }, &mut out);
                }
            }
        }
        self.advance(&mut out);
        out
    }

    fn enter(&mut self, step: CeremonyStep) {
        let keep_heads = matches!(step, CeremonyStep::ServingBodies(_));
        if !keep_heads {
            self.received.clear();
            self.complete = PartySet::EMPTY;
        }
        self.step = step;
    }

    /// The bodies of a hospital that are awaited now.
    fn awaited(&self, party: PartyId) -> Option<ListId> {
        match self.step {
            CeremonyStep::Deal => Some(dealt(party)),
            CeremonyStep::ServingBodies(step) => Some(step.list(Some(party))),
            _ => None,
        }
    }

    fn message(&mut self, message: SignedMessage, out: &mut Vec<CeremonyOutput>) -> Result<(), Reject> {
        message.verify(&self.roster)?;
        let party = message.author;
        if let HospitalMessage::Refusal(refusal) = &message.body {
            let of = u16::try_from(refusal.number).ok().and_then(PartyId::new);
            self.fail(CeremonyFailure::Refused { step: self.step, party, of, reject: refusal.reject }, out);
            return Ok(());
        }
        if let HospitalMessage::Leaving(_) = &message.body {
            return Ok(());
        }
        let fits = match (&self.step, &message.body) {
            (CeremonyStep::Roster, HospitalMessage::RosterSignature(it)) => it.roster == self.roster.digest(),
            (CeremonyStep::Commit, HospitalMessage::KeyCommit(_))
            | (CeremonyStep::Reveal, HospitalMessage::KeyReveal(_))
            | (CeremonyStep::Digest, HospitalMessage::DealingsDigest(_)) => true,
            (CeremonyStep::Check, HospitalMessage::DealingCheck(it)) => it.is_of(self.roster.size()),
            (CeremonyStep::Deal, HospitalMessage::DealingsSent(it)) => {
                it.boxes.len() == self.roster.size() && it.body().within_limits()
            }
            (CeremonyStep::Verdicts, HospitalMessage::KeyVerdict(it)) => Some(it) == self.verdict().as_ref(),
            (CeremonyStep::ServingHeads(step), HospitalMessage::ServingShareHead(it)) => {
                let is_share = it.step.is_share_of(it.body, self.roster.size());
                it.step == *step && is_share && it.body.within_limits()
            }
            _ => return Err(Reject::OutOfTurn),
        };
        if !fits {
            let differs = self.step == CeremonyStep::Verdicts;
            return Err(if differs { Reject::SumDiffers } else { Reject::LimitExceeded });
        }
        if let Some(known) = self.received.get(&party) {
            return if *known == message { Ok(()) } else { Err(Reject::Contradiction) };
        }
        if let HospitalMessage::DealingsSent(it) = &message.body {
            out.push(CeremonyOutput::AwaitBodies { list: dealt(party), body: it.body() });
        }
        self.received.insert(party, message);
        Ok(())
    }

    fn fail(&mut self, failure: CeremonyFailure, out: &mut Vec<CeremonyOutput>) {
        self.step = CeremonyStep::Done;
        out.push(CeremonyOutput::Failed(failure));
    }

    /// Goes on where nobody is awaited any more. One step at a time: of the next one nothing has been said yet.
    fn advance(&mut self, out: &mut Vec<CeremonyOutput>) {
        if !self.waiting_for().is_empty() {
            return;
        }
        let messages: Vec<SignedMessage> = self.received.values().cloned().collect();
        match self.step {
            CeremonyStep::Roster => {
                let signatures = messages;
                out.push(CeremonyOutput::Append(LogMessage::RosterSigned(RosterSigned { signatures })));
                self.enter(CeremonyStep::Commit);
            }
            CeremonyStep::Commit => {
                for message in &messages {
                    if let HospitalMessage::KeyCommit(commit) = &message.body {
                        self.commitments.insert(message.author, commit.commitment);
                    }
                }
                out.push(CeremonyOutput::Append(LogMessage::CommitSet(CommitSet { commits: messages })));
                self.enter(CeremonyStep::Reveal);
            }
            CeremonyStep::Reveal => self.revealed(messages, out),
            CeremonyStep::Deal => {
                self.dealings = bodies(&messages, |body| match body {
                    HospitalMessage::DealingsSent(dealing) => Some(dealing.clone()),
                    _ => None,
                });
                out.push(CeremonyOutput::Append(LogMessage::DealingsReady(DealingsReady { dealings: messages })));
                self.enter(CeremonyStep::Digest);
            }
            CeremonyStep::Digest => self.digests_received(messages, out),
            CeremonyStep::Check => self.dealings_checked(messages, out),
            CeremonyStep::ServingHeads(step) => {
                self.bound.clear();
                for message in &messages {
                    if let HospitalMessage::ServingShareHead(head) = &message.body {
                        let (party, body) = (message.author, head.body);
                        self.bound.insert(party, body);
                        out.push(CeremonyOutput::AwaitBodies { list: step.list(Some(party)), body });
                    }
                }
                let heads = ServingStepHeads { step, heads: messages };
                out.push(CeremonyOutput::Append(LogMessage::ServingStepHeads(heads)));
                self.enter(CeremonyStep::ServingBodies(step));
            }
            CeremonyStep::ServingBodies(step) => {
                self.step = CeremonyStep::Aggregating(step);
                match step.list_of(&self.bound) {
                    Some(list) => self.aggregated(step, list, out),
                    None => out.push(CeremonyOutput::Aggregate { step }),
                }
            }
            CeremonyStep::Verdicts => {
                let plan = self.config.serving_plan.unwrap_or_default();
                let ready = ServingKeysReady { plan, verdicts: messages };
                out.push(CeremonyOutput::Append(LogMessage::ServingKeysReady(ready)));
                self.finish(out);
            }
            CeremonyStep::Idle | CeremonyStep::Aggregating(_) | CeremonyStep::Done => {}
        }
    }

    fn revealed(&mut self, reveals: Vec<SignedMessage>, out: &mut Vec<CeremonyOutput>) {
        let nonces = bodies(&reveals, |body| match body {
            HospitalMessage::KeyReveal(reveal) => Some(reveal.nonce),
            _ => None,
        });
        let epoch = self.roster.epoch();
        let opens = |party: PartyId, nonce| self.commitments.get(&party) == Some(&commitment(epoch, party, nonce));
        let wrong: PartySet = self
            .roster
            .parties()
            .iter()
            .zip(&nonces)
            .filter_map(|(party, nonce)| (!opens(party, nonce)).then_some(party))
            .collect();
        if !wrong.is_empty() {
            return self.fail(CeremonyFailure::Disagree { step: self.step, parties: wrong }, out);
        }
        self.epoch_seed = epoch_seed(&self.roster, &nonces);
        out.push(CeremonyOutput::Append(LogMessage::RevealSet(RevealSet { reveals })));
        self.enter(CeremonyStep::Deal);
    }

    fn digests_received(&mut self, digests: Vec<SignedMessage>, out: &mut Vec<CeremonyOutput>) {
        let mut group = None;
        let mut wrong = PartySet::EMPTY;
        for message in &digests {
            if let HospitalMessage::DealingsDigest(digest) = &message.body {
                let expected_group = *group.get_or_insert(digest.group);
                let expected = received_digest(message.author, &self.dealings);
                if digest.group != expected_group || digest.received != expected {
                    wrong.insert(message.author);
                }
            }
        }
        if !wrong.is_empty() {
            return self.fail(CeremonyFailure::Disagree { step: self.step, parties: wrong }, out);
        }
        out.push(CeremonyOutput::Append(LogMessage::KeyEpochOpen(KeyEpochOpen { digests })));
        self.enter(CeremonyStep::Check);
    }

    /// What was shown is evidence, and stands in the log whatever it says.
    fn dealings_checked(&mut self, checks: Vec<SignedMessage>, out: &mut Vec<CeremonyOutput>) {
        let checked = DealingsChecked { checks };
        let judged = checked.judge(&self.roster);
        out.push(CeremonyOutput::Append(LogMessage::DealingsChecked(checked)));
        match judged {
            Ok(off) if off.is_none() => {}
            Ok(OffDealings { dealers, receivers }) => {
                return self.fail(CeremonyFailure::DealingsOff { dealers, receivers }, out);
            }
            Err(_) => {
                return self.fail(CeremonyFailure::Disagree { step: self.step, parties: self.roster.parties() }, out);
            }
        }
        match self.config.serving_plan {
            Some(_) => self.open_serving_step(KeyStep::Gate, out),
            None => self.finish(out),
        }
    }

    fn open_serving_step(&mut self, step: KeyStep, out: &mut Vec<CeremonyOutput>) {
        // A ceremony has steps of the sets that it has plans of.
        let Some(plan) = self.config.plan(step.set()) else { return };
        out.push(CeremonyOutput::Append(LogMessage::ServingStepOpen(ServingStepOpen { step, plan })));
        self.enter(CeremonyStep::ServingHeads(step));
    }

    fn aggregated(&mut self, step: KeyStep, body: BodyRoot, out: &mut Vec<CeremonyOutput>) {
        if self.step != CeremonyStep::Aggregating(step) {
            return;
        }
        self.sums.push(body);
        out.push(CeremonyOutput::Append(LogMessage::ServingStepDone(ServingStepDone { step, body })));
        match step.next(self.config.asked()) {
            Some(next) => self.open_serving_step(next, out),
            None => self.enter(CeremonyStep::Verdicts),
        }
    }

    /// What every hospital has to have added up.
    fn verdict(&self) -> Option<KeyVerdict> {
        self.config.serving_plan.map(|plan| KeyVerdict { plan, sums: self.sums.clone() })
    }

    fn finish(&mut self, out: &mut Vec<CeremonyOutput>) {
        self.step = CeremonyStep::Done;
        out.push(CeremonyOutput::Done { epoch_seed: self.epoch_seed });
    }
}

/// A hospital's sealed boxes.
fn dealt(party: PartyId) -> ListId {
    ListId { kind: BlobKind::Dealing, round: 0, attempt: 0, party: Some(party) }
}

/// The bodies of one kind, in the messages' order.
pub(crate) fn bodies<T>(messages: &[SignedMessage], pick: impl Fn(&HospitalMessage) -> Option<T>) -> Vec<T> {
    messages.iter().filter_map(|message| pick(&message.body)).collect()
}

#[cfg(test)]
mod tests;

//! Offline check of a transcript: everything that hospitals check of a log and that needs no secret. Chain, signatures,
//! nonces and dealings, once-only rules, quorums, the cohort rule, and, where the terms are at hand, their limits.
//!
//! What hospitals know of themselves alone it cannot check: whether a head is the one that they signed, whether a sum
//! of bodies is right, whether they decoded the model that was closed.

mod ceremony;
mod fault;
mod rounds;
mod serving;
mod training;

pub use fault::Author;

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::BodyRoot;
use crate::ids::{Digest, PartyId};
use crate::log::{LogEntry, LogReader};
use crate::message::{
    HospitalMessage, KeySet, KeyStep, KeyVerdict, KeysAsked, LogMessage, PublishOpen, RosterProposed, RoundPurpose,
    ServingStepHeads, ServingStepOpen, SignedMessage, StepKey, distinct_signers,
};
use crate::reject::Reject;
use crate::roster::Roster;
use crate::signature::VerifyingKey;
use crate::terms::Terms;

use self::ceremony::Ceremony;
use self::fault::{Fault, of_all, require, require_of};
use self::rounds::Rounds;
use self::serving::Serving;
use self::training::Training;

/// The first bad entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("transcript entry {index}, by the word of {author}: {reject}")]
pub struct VerifyError {
    /// Its index.
    pub index: u64,
    /// Whose word in it is wrong.
    pub author: Author,
    /// What is wrong.
    pub reject: Reject,
}

/// What members approved outside of the log.
#[derive(Clone, Debug)]
pub struct Approved {
    /// The terms.
    pub terms: Terms,
    /// Digest of the membership, where the auditor has it.
    pub membership: Option<Digest>,
}

/// Reads a transcript from its first entry on.
pub struct Verifier {
    log: LogReader,
    approved: Option<Approved>,
    proposed: Option<Roster>,
    roster: Option<Roster>,
    signed: BTreeMap<(PartyId, StepKey), Digest>,
    ceremony: Ceremony,
    /// The one program of keys, model and queries.
    program: Option<Digest>,
    training_plan: Option<Digest>,
    keys_ready: bool,
    opened: BTreeSet<KeyStep>,
    /// Steps of the serving keys, with the shares that all are bound to, and the sums that were announced.
    bound: BTreeMap<KeyStep, BTreeMap<PartyId, BodyRoot>>,
    key_sums: BTreeMap<KeyStep, BodyRoot>,
    rounds: Rounds,
    serving: Serving,
    training: Training,
}

impl Verifier {
    /// Expects entries signed by `coordinator`.
    #[must_use]
    pub fn new(coordinator: VerifyingKey) -> Self {
        Self {
            log: LogReader::new(coordinator),
            approved: None,
            proposed: None,
            roster: None,
            signed: BTreeMap::new(),
            ceremony: Ceremony::default(),
            program: None,
            training_plan: None,
            keys_ready: false,
            opened: BTreeSet::new(),
            bound: BTreeMap::new(),
            key_sums: BTreeMap::new(),
            rounds: Rounds::default(),
            serving: Serving::default(),
            training: Training::default(),
        }
    }

    /// Compares with what was approved as well, as every hospital does. Before the first entry.
    #[must_use]
    pub fn approving(mut self, approved: Approved) -> Self {
        self.program = Some(approved.terms.program);
        self.rounds.approve(&approved.terms);
        self.approved = Some(approved);
        self
    }

    /// Checks the next entry.
    ///
    /// # Errors
    /// [`VerifyError`] with the index. After an error the verifier must not be used further.
    pub fn check(&mut self, entry: &LogEntry) -> Result<(), VerifyError> {
        self.entry(entry).map_err(|Fault { reject, author }| VerifyError { index: entry.index, author, reject })
    }

    fn entry(&mut self, entry: &LogEntry) -> Result<(), Fault> {
        require(self.log.accept(entry)?, Reject::LogForked)?;
        if let LogMessage::RosterProposed(it) = &entry.message {
            return self.roster_proposed(it);
        }
        let roster = self.proposed.clone().ok_or(Reject::OutOfTurn)?;
        for message in entry.message.signed() {
            message.verify(&roster)?;
            self.once(message)?;
        }
        if let LogMessage::RosterSigned(it) = &entry.message {
            let digest = roster.digest();
            let signers = distinct_signers(
                &it.signatures,
                &roster,
                |_, body| matches!(body, HospitalMessage::RosterSignature(signature) if signature.roster == digest),
            )?;
            require(signers == roster.parties(), Reject::TooFewSignatures)?;
            self.roster = Some(roster);
            return Ok(());
        }
        require(self.roster.is_some() || matches!(entry.message, LogMessage::Stop(_)), Reject::OutOfTurn)?;
        self.message(&entry.message, &roster)
    }

    fn roster_proposed(&mut self, it: &RosterProposed) -> Result<(), Fault> {
        require(self.proposed.is_none(), Reject::Contradiction)?;
        require(it.roster.coordinator() == self.log.coordinator(), Reject::RosterWrong)?;
        if let Some(Approved { terms, membership }) = &self.approved {
            let is_known = membership.is_none_or(|approved| it.roster.membership().digest() == approved);
            require(is_known && it.roster.parameters() == terms.parameters, Reject::RosterWrong)?;
            require(terms.are_fitting(), Reject::LimitExceeded)?;
        }
        self.proposed = Some(it.roster.clone());
        Ok(())
    }

    /// Whatever an author signs for a step is the same wherever it appears.
    fn once(&mut self, message: &SignedMessage) -> Result<(), Fault> {
        let Some(key) = message.body.step_key() else { return Ok(()) };
        let digest = Digest::of("consilium verifier body", &message.body);
        let known = *self.signed.entry((message.author, key)).or_insert(digest);
        require_of(message.author, known == digest, Reject::Contradiction)
    }

    fn message(&mut self, message: &LogMessage, roster: &Roster) -> Result<(), Fault> {
        match message {
            LogMessage::ServingStepOpen(ServingStepOpen { step, plan }) => {
                require(self.ceremony.is_open && self.is_key_plan(step.set(), *plan), Reject::PlanNotApproved)?;
            }
            LogMessage::RoundOpen(_) => require(self.ceremony.dealings_fit, Reject::OutOfTurn)?,
            LogMessage::PublishOpen(PublishOpen { model, program, .. }) => {
                require(!self.is_of_head(), Reject::PlanNotApproved)?;
                require(self.rounds.is_held(*model), Reject::BaseModelDiffers)?;
                require(self.is_of_plan(*program), Reject::PlanNotApproved)?;
            }
            _ => {}
        }
        self.ceremony.step(message, roster)?;
        self.key_step(message, roster)?;
        let is_head = self.is_of_head();
        let terms = self.approved.as_ref().map(|approved| &approved.terms);
        if message.is_of_training() {
            require(self.keys_ready, Reject::OutOfTurn)?;
            let moments = terms.map_or(0, |terms| terms.rounds_of(RoundPurpose::Moments));
            require(self.rounds.measured() >= moments, Reject::OutOfTurn)?;
            self.training.step(message, roster, terms)?;
        }
        if let LogMessage::ModelPublished(it) = message
            && is_head
        {
            let is_of_plan = self.program.is_some_and(|program| program == it.program);
            require(is_of_plan, Reject::PlanNotApproved)?;
            self.training.published(it)?;
        }
        self.rounds.step(message, roster, terms)?;
        self.serving.step(message, roster, terms, is_head)
    }

    /// Whether a head is served: as was approved, or else as the log says.
    fn is_of_head(&self) -> bool {
        self.approved.as_ref().map_or(self.training.is_under_way(), |approved| approved.terms.head.is_some())
    }

    /// Whether this is the program of the plan, which every later word of it has to name as well.
    fn is_of_plan(&mut self, program: Digest) -> bool {
        *self.program.get_or_insert(program) == program
    }

    /// Whether this is the key plan of a set, which every later word of it has to name as well.
    fn is_key_plan(&mut self, set: KeySet, plan: Digest) -> bool {
        match set {
            KeySet::Serving => self.is_of_plan(plan),
            KeySet::Training => {
                let approved = self.approved.as_ref().map(|approved| approved.terms.key_plan(set));
                let known = *self.training_plan.get_or_insert(plan);
                known == plan && approved.is_none_or(|approved| approved == Some(plan))
            }
        }
    }

    /// Which keys there are: as was approved, or else as the log says.
    fn keys_asked(&self) -> KeysAsked {
        let opened = KeysAsked {
            planes: self.opened.contains(&KeyStep::Planes),
            training: self.opened.contains(&KeyStep::TrainingGate),
        };
        self.approved.as_ref().map_or(opened, |approved| approved.terms.keys_asked())
    }

    /// Remembers what all are bound to in a step of the serving keys.
    fn bind(&mut self, it: &ServingStepHeads, roster: &Roster) -> Result<(), Fault> {
        require(self.opened.contains(&it.step), Reject::OutOfTurn)?;
        let shares = of_all(&it.heads, roster, Reject::CommitmentBroken, |body| match body {
            HospitalMessage::ServingShareHead(head) if head.step == it.step => Some(head.body),
            _ => None,
        })?;
        for (party, body) in &shares {
            require_of(*party, it.step.is_share_of(*body, roster.size()), Reject::BadKeyShare)?;
        }
        self.bound.insert(it.step, shares);
        Ok(())
    }

    /// Sums of serving keys: of shares that all are bound to, one for each step, and none of a step before those that
    /// it is computed on.
    fn key_step(&mut self, message: &LogMessage, roster: &Roster) -> Result<(), Fault> {
        match message {
            LogMessage::ServingStepOpen(it) => {
                let takes_part = self.approved.is_none() || it.step.takes_part(self.keys_asked());
                require(self.ceremony.dealings_fit && takes_part, Reject::OutOfTurn)?;
                let is_there = it.step.input().is_none_or(|input| self.key_sums.contains_key(&input));
                self.opened.insert(it.step);
                require(is_there, Reject::SumDiffers)
            }
            LogMessage::ServingStepHeads(it) => self.bind(it, roster),
            LogMessage::ServingStepDone(it) => {
                let shares = self.bound.get(&it.step).ok_or(Reject::OutOfTurn)?;
                require(it.step.list_of(shares).is_none_or(|list| list == it.body), Reject::SumDiffers)?;
                let known = *self.key_sums.entry(it.step).or_insert(it.body);
                require(known == it.body, Reject::Contradiction)
            }
            LogMessage::ServingKeysReady(it) => {
                let sums = KeyStep::steps(self.keys_asked()).map(|step| self.key_sums.get(&step).copied());
                let sums = sums.collect::<Option<Vec<_>>>().ok_or(Reject::OutOfTurn)?;
                require(self.is_of_plan(it.plan), Reject::PlanNotApproved)?;
                let verdict = HospitalMessage::KeyVerdict(KeyVerdict { plan: it.plan, sums });
                let agree = distinct_signers(&it.verdicts, roster, |_, body| *body == verdict)?;
                require(agree == roster.parties(), Reject::TooFewSignatures)?;
                self.keys_ready = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

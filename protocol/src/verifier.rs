//! Offline check of a transcript: chain, signatures, once-only rules, quorums and the cohort rule. Needs no key.

use std::collections::BTreeMap;

use crate::blob::BodyRoot;
use crate::hospital::{ShareBinding, SwitchBinding};
use crate::ids::{Attempt, Digest, PartyId, QueryId, RoundId};
use crate::log::{LogEntry, LogReader};
use crate::message::{
    HospitalMessage, KeyStep, KeyVerdict, LogMessage, ModelPublished, ModelVerdict, PublishOpen, QueryHead,
    RoundPurpose, ServingStepHeads, SignedMessage, StepKey, SumReady, distinct_signers,
};
use crate::party_set::PartySet;
use crate::reject::Reject;
use crate::roster::Roster;
use crate::signature::VerifyingKey;

/// The first bad entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("transcript entry {index}: {reject}")]
pub struct VerifyError {
    /// Its index.
    pub index: u64,
    /// What is wrong.
    pub reject: Reject,
}

#[derive(Default)]
struct Attempted {
    manifest: Digest,
    chunks: u32,
    frozen: bool,
    decryptors: Option<PartySet>,
    requested: bool,
    summed: bool,
}

/// Reads a transcript from its first entry on.
pub struct Verifier {
    log: LogReader,
    proposed: Option<Roster>,
    roster: Option<Roster>,
    signed: BTreeMap<(PartyId, StepKey), Digest>,
    /// Steps of the serving keys, with the shares that all are bound to, and the sums that were announced.
    bound: BTreeMap<KeyStep, BTreeMap<PartyId, BodyRoot>>,
    key_sums: BTreeMap<KeyStep, BodyRoot>,
    last_round: RoundId,
    purpose: RoundPurpose,
    base_model: Digest,
    cohorts: BTreeMap<RoundId, PartySet>,
    revealed: Vec<(RoundId, Digest, PartySet)>,
    attempts: BTreeMap<(RoundId, Attempt), Attempted>,
    /// What the answers that were asked for are bound to; none once it is answered or failed.
    switched: BTreeMap<QueryId, Option<SwitchBinding>>,
    publishing: Publishing,
}

/// What was seen of publishing.
#[derive(Default)]
struct Publishing {
    open: Option<PublishOpen>,
    /// Whether all of the cohort stand in the manifest.
    is_complete: bool,
    published: Option<ModelPublished>,
    verified: PartySet,
}

impl Verifier {
    /// Expects entries signed by `coordinator`.
    #[must_use]
    pub fn new(coordinator: VerifyingKey) -> Self {
        Self {
            log: LogReader::new(coordinator),
            proposed: None,
            roster: None,
            signed: BTreeMap::new(),
            bound: BTreeMap::new(),
            key_sums: BTreeMap::new(),
            last_round: RoundId(0),
            purpose: RoundPurpose::Train,
            base_model: Digest::default(),
            cohorts: BTreeMap::new(),
            revealed: Vec::new(),
            attempts: BTreeMap::new(),
            switched: BTreeMap::new(),
            publishing: Publishing::default(),
        }
    }

    /// Checks the next entry.
    ///
    /// # Errors
    /// [`VerifyError`] with the index. After an error the verifier must not be used further.
    pub fn check(&mut self, entry: &LogEntry) -> Result<(), VerifyError> {
        self.entry(entry).map_err(|reject| VerifyError { index: entry.index, reject })
    }

    /// Digest of the newest entry.
    #[must_use]
    pub fn head(&self) -> Digest {
        self.log.head()
    }

    fn entry(&mut self, entry: &LogEntry) -> Result<(), Reject> {
        if !self.log.accept(entry)? {
            return Err(Reject::LogForked);
        }
        if let LogMessage::RosterProposed(it) = &entry.message {
            require(self.proposed.is_none(), Reject::Contradiction)?;
            require(it.roster.coordinator() == self.log.coordinator(), Reject::RosterWrong)?;
            self.proposed = Some(it.roster.clone());
            return Ok(());
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

    /// Whatever an author signs for a step is the same wherever it appears.
    fn once(&mut self, message: &SignedMessage) -> Result<(), Reject> {
        let Some(key) = message.body.step_key() else { return Ok(()) };
        let digest = Digest::of("consilium verifier body", &message.body);
        let known = *self.signed.entry((message.author, key)).or_insert(digest);
        require(known == digest, Reject::Contradiction)
    }

    /// Remembers what all are bound to in a step of the serving keys.
    fn bind(&mut self, it: &ServingStepHeads, hospitals: usize) -> Result<(), Reject> {
        let shares = it.heads.iter().filter_map(|message| match &message.body {
            HospitalMessage::ServingShareHead(head) if head.step == it.step => Some((message.author, head.body)),
            _ => None,
        });
        let shares: BTreeMap<_, _> = shares.collect();
        require(shares.values().all(|body| it.step.is_share_of(body.count, hospitals)), Reject::BadKeyShare)?;
        self.bound.insert(it.step, shares);
        Ok(())
    }

    /// Sums of serving keys: of shares that all are bound to, one for each step, and none of a step before those that
    /// it is computed on.
    fn key_step(&mut self, message: &LogMessage, roster: &Roster) -> Result<(), Reject> {
        match message {
            LogMessage::ServingStepOpen(it) => {
                let is_there = it.step.input().is_none_or(|input| self.key_sums.contains_key(&input));
                require(is_there, Reject::SumDiffers)
            }
            LogMessage::ServingStepDone(it) => {
                let shares = self.bound.get(&it.step).ok_or(Reject::OutOfTurn)?;
                require(it.step.list_of(shares).is_none_or(|list| list == it.body), Reject::SumDiffers)?;
                let known = *self.key_sums.entry(it.step).or_insert(it.body);
                require(known == it.body, Reject::Contradiction)
            }
            LogMessage::ServingKeysReady(it) => {
                let sums = KeyStep::ALL.iter().map(|step| self.key_sums.get(step).copied());
                let sums = sums.collect::<Option<Vec<_>>>().ok_or(Reject::OutOfTurn)?;
                let verdict = HospitalMessage::KeyVerdict(KeyVerdict { plan: it.plan, sums });
                let agree = distinct_signers(&it.verdicts, roster, |_, body| *body == verdict)?;
                require(agree == roster.parties(), Reject::TooFewSignatures)
            }
            _ => Ok(()),
        }
    }

    /// A model is added up from a complete manifest, and by those who are asked to release its answers.
    fn publish_step(&mut self, message: &LogMessage, roster: &Roster) -> Result<(), Reject> {
        let publishing = &mut self.publishing;
        match message {
            LogMessage::PublishOpen(it) => {
                let known = it.cohort.is_subset(roster.parties());
                require(known && it.cohort.len() >= roster.threshold(), Reject::CohortTooSmall)?;
                (publishing.open, publishing.is_complete) = (Some(it.clone()), false);
                Ok(())
            }
            LogMessage::PublishManifest(it) => {
                let open = publishing.open.as_ref().ok_or(Reject::OutOfTurn)?;
                let heads = distinct_signers(&it.heads, roster, |_, body| {
                    matches!(body, HospitalMessage::PublishHead(head)
                        if (head.attempt, head.model, head.program) == (open.attempt, open.model, open.program))
                })?;
                require(heads == open.cohort && it.attempt == open.attempt, Reject::ManifestMalformed)?;
                publishing.is_complete = true;
                Ok(())
            }
            LogMessage::ModelPublished(it) => {
                let of = |open: &PublishOpen| (open.attempt, open.program) == (it.attempt, it.program);
                let fits = publishing.is_complete && publishing.open.as_ref().is_some_and(of);
                require(fits, Reject::OutOfTurn)?;
                require(publishing.published.is_none(), Reject::Contradiction)?;
                publishing.published = Some(it.clone());
                Ok(())
            }
            LogMessage::ModelVerified(it) => {
                let ModelPublished { attempt, model, program } =
                    publishing.published.clone().ok_or(Reject::OutOfTurn)?;
                let verdict = HospitalMessage::ModelVerdict(ModelVerdict { attempt, model, program });
                let agree = distinct_signers(&it.verdicts, roster, |_, body| *body == verdict)?;
                publishing.verified = publishing.verified.union(agree);
                require(publishing.verified.len() >= roster.threshold(), Reject::TooFewSignatures)
            }
            _ => Ok(()),
        }
    }

    fn message(&mut self, message: &LogMessage, roster: &Roster) -> Result<(), Reject> {
        let threshold = roster.threshold();
        let is_set_of_t = |set: PartySet| set.len() == threshold && set.is_subset(roster.parties());
        let all = |messages: &[SignedMessage]| -> Result<(), Reject> {
            let authors = distinct_signers(messages, roster, |_, _| true)?;
            require(authors == roster.parties(), Reject::TooFewSignatures)
        };
        match message {
            LogMessage::CommitSet(it) => all(&it.commits),
            LogMessage::RevealSet(it) => all(&it.reveals),
            LogMessage::DealingsReady(it) => all(&it.dealings),
            LogMessage::KeyEpochOpen(it) => all(&it.digests),
            LogMessage::ServingStepHeads(it) => {
                all(&it.heads)?;
                self.bind(it, roster.size())
            }
            LogMessage::ServingStepOpen(_) | LogMessage::ServingStepDone(_) | LogMessage::ServingKeysReady(_) => {
                self.key_step(message, roster)
            }
            LogMessage::RoundOpen(it) => {
                require(it.round > self.last_round, Reject::RoundNumber)?;
                self.last_round = it.round;
                self.purpose = it.purpose;
                self.base_model = it.base_model;
                Ok(())
            }
            LogMessage::Manifest(it) => {
                let heads = it.update_heads().ok_or(Reject::ManifestMalformed)?;
                let of_round = heads
                    .iter()
                    .all(|(_, head)| (head.round, head.attempt, head.purpose) == (it.round, it.attempt, self.purpose));
                let ascending = heads.windows(2).all(|pair| pair[0].0 < pair[1].0);
                require(of_round && ascending && it.round == self.last_round, Reject::ManifestMalformed)?;
                let cohort = it.cohort();
                require(cohort.len() >= threshold, Reject::CohortTooSmall)?;
                let known = *self.cohorts.entry(it.round).or_insert(cohort);
                require(known == cohort, Reject::CohortChanged)?;
                require(!self.attempts.contains_key(&(it.round, it.attempt)), Reject::Contradiction)?;
                let chunks = heads.first().map_or(0, |(_, head)| head.body.count);
                require(heads.iter().all(|(_, head)| head.body.count == chunks), Reject::ManifestMalformed)?;
                let attempt = Attempted { manifest: it.digest(), chunks, ..Attempted::default() };
                self.attempts.insert((it.round, it.attempt), attempt);
                Ok(())
            }
            LogMessage::CohortFrozen(it) => {
                let signers = distinct_signers(&it.signatures, roster, |_, body| {
                    matches!(body, HospitalMessage::ManifestSignature(signature)
                        if (signature.round, signature.attempt, signature.manifest)
                            == (it.round, it.attempt, it.manifest))
                })?;
                require(signers.len() >= threshold, Reject::TooFewSignatures)?;
                let attempt = self.attempt(it.round, it.attempt)?;
                require(attempt.manifest == it.manifest, Reject::Contradiction)?;
                attempt.frozen = true;
                Ok(())
            }
            LogMessage::Decryptors(it) => {
                require(is_set_of_t(it.decryptors), Reject::DecryptorsWrong)?;
                let attempt = self.attempt(it.round, it.attempt)?;
                require(attempt.frozen && attempt.decryptors.is_none(), Reject::AlreadyAccepted)?;
                attempt.decryptors = Some(it.decryptors);
                Ok(())
            }
            LogMessage::ShareRequest(it) => {
                let attempt = self.attempt(it.round, it.attempt)?;
                let (manifest, decryptors) = (attempt.manifest, attempt.decryptors.ok_or(Reject::OutOfTurn)?);
                attempt.requested = true;
                let accepted = distinct_signers(&it.acceptances, roster, |_, body| {
                    matches!(body, HospitalMessage::Acceptance(acceptance)
                        if (acceptance.round, acceptance.attempt) == (it.round, it.attempt)
                            && (acceptance.manifest, acceptance.decryptors) == (manifest, decryptors))
                })?;
                require(accepted == decryptors, Reject::TooFewSignatures)?;
                self.check_cohort_rule(it.round, roster)
            }
            LogMessage::SumReady(it) => self.sum_step(it, roster),
            LogMessage::RoundClosed(it) => {
                require(self.attempt(it.round, it.attempt)?.summed, Reject::OutOfTurn)?;
                let voters = distinct_signers(&it.votes, roster, |_, body| {
                    matches!(body, HospitalMessage::ModelVote(vote)
                        if (vote.round, vote.attempt, vote.model) == (it.round, it.attempt, Some(it.model)))
                })?;
                require(voters.len() >= threshold, Reject::TooFewSignatures)
            }
            LogMessage::PublishOpen(_)
            | LogMessage::PublishManifest(_)
            | LogMessage::ModelPublished(_)
            | LogMessage::ModelVerified(_) => self.publish_step(message, roster),
            LogMessage::QueryOpen(_)
            | LogMessage::SwitchRequest(_)
            | LogMessage::QueryDone(_)
            | LogMessage::QueryFailed(_) => self.query_step(message, roster),
            _ => Ok(()),
        }
    }

    /// A sum is made of what the manifest's heads and these of T name.
    fn sum_step(&mut self, it: &SumReady, roster: &Roster) -> Result<(), Reject> {
        let cohort = *self.cohorts.get(&it.round).ok_or(Reject::OutOfTurn)?;
        let attempt = self.attempt(it.round, it.attempt)?;
        require(attempt.requested && !attempt.summed, Reject::OutOfTurn)?;
        attempt.summed = true;
        let &mut Attempted { manifest, chunks, decryptors, .. } = attempt;
        let decryptors = decryptors.ok_or(Reject::OutOfTurn)?;
        let (epoch, round) = (roster.epoch(), it.round);
        let binding = ShareBinding { epoch, round, attempt: it.attempt, cohort, decryptors, manifest, chunks };
        require(it.chunks.len() == chunks as usize, Reject::SumRejected)?;
        it.shares_for(&binding, roster).map(drop)
    }

    /// Whoever is asked to release has added the model up, and a query is released and answered once.
    fn query_step(&mut self, message: &LogMessage, roster: &Roster) -> Result<(), Reject> {
        let is_set_of_t = |set: PartySet| set.len() == roster.threshold() && set.is_subset(roster.parties());
        match message {
            LogMessage::QueryOpen(it) => {
                self.check_query(&it.head)?;
                require(is_set_of_t(it.decryptors), Reject::DecryptorsWrong)
            }
            LogMessage::SwitchRequest(it) => {
                let query = self.check_query(&it.head)?.query;
                let is_able = it.decryptors.is_subset(self.publishing.verified);
                require(is_able && is_set_of_t(it.decryptors), Reject::DecryptorsWrong)?;
                let binding = SwitchBinding::of(roster.epoch(), it);
                require(self.switched.insert(query, binding).is_none(), Reject::QueryRepeated)
            }
            // An answer is what T signed for, of what it was asked for, once.
            LogMessage::QueryDone(it) => {
                let binding = self.switched.get_mut(&it.query).and_then(Option::take).ok_or(Reject::OutOfTurn)?;
                it.boxes(&binding, roster).map(drop)
            }
            LogMessage::QueryFailed(it) => {
                if let Some(binding) = self.switched.get_mut(&it.query) {
                    *binding = None;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A query of the published model, by the hospital in its number.
    fn check_query<'a>(&self, signed: &'a SignedMessage) -> Result<&'a QueryHead, Reject> {
        let HospitalMessage::QueryHead(head) = &signed.body else { return Err(Reject::Contradiction) };
        require(head.query.asker() == Some(signed.author), Reject::QueryRepeated)?;
        let of = |published: &ModelPublished| (published.model, published.program) == (head.model, head.program);
        require(self.publishing.published.as_ref().is_some_and(of), Reject::UnknownModel)?;
        Ok(head)
    }

    fn attempt(&mut self, round: RoundId, attempt: Attempt) -> Result<&mut Attempted, Reject> {
        self.attempts.get_mut(&(round, attempt)).ok_or(Reject::OutOfTurn)
    }

    fn check_cohort_rule(&mut self, round: RoundId, roster: &Roster) -> Result<(), Reject> {
        let cohort = *self.cohorts.get(&round).ok_or(Reject::OutOfTurn)?;
        for (_, base_model, revealed) in &self.revealed {
            let same_base = *base_model == self.base_model;
            require(!same_base || roster.cohorts_may_follow(*revealed, cohort), Reject::CohortRule)?;
        }
        self.revealed.push((round, self.base_model, cohort));
        Ok(())
    }
}

fn require(holds: bool, reject: Reject) -> Result<(), Reject> {
    if holds { Ok(()) } else { Err(reject) }
}

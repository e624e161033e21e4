//! The hospital's part of the key ceremony. A failed check ends its participation: nothing is built on doubtful keys.

use std::collections::{BTreeMap, BTreeSet};

use crate::blob::{BlobKind, BodyRoot};
use crate::ceremony::{bodies, commitment, epoch_seed, received_digest};
use crate::facts::{CeremonyNonce, Fact, KeySum};
use crate::hospital::{HospitalMachine, HospitalOutput};
use crate::ids::{Attempt, Digest, PartyId};
use crate::message::{
    CommitSet, DealingsDigest, DealingsReady, DealingsSent, HospitalMessage, Key, KeyCommit, KeyEpochOpen, KeyReveal,
    KeyStep, KeyVerdict, RevealSet, RosterProposed, RosterSignature, RosterSigned, Scope, ServingKeysReady,
    ServingShareHead, ServingStepDone, ServingStepHeads, ServingStepOpen, distinct_signers,
};
use crate::reject::Reject;
use crate::roster::Roster;

/// What was seen of the ceremony so far.
#[derive(Default)]
pub(super) struct CeremonyState {
    pub(super) proposed: Option<Roster>,
    commitments: Vec<Digest>,
    pub(super) epoch_seed: Digest,
    dealings: Vec<DealingsSent>,
    serving_step: Option<KeyStep>,
    serving_plan_fits: bool,
    /// Serving-key shares that this process was asked to make: one input each, ever.
    asked: BTreeSet<KeyStep>,
    /// Steps whose heads are all there, each with what every hospital is bound to.
    pub(super) bound: BTreeMap<KeyStep, BTreeMap<PartyId, BodyRoot>>,
    /// Sums that were announced: one of each step, ever.
    announced: BTreeMap<KeyStep, BodyRoot>,
    /// Of those that were asked for, the ones that lie ready to be uploaded.
    ready: BTreeSet<KeyStep>,
    /// Steps whose heads are all there while the own bodies are still being made again after a restart.
    owed: BTreeSet<KeyStep>,
}

impl HospitalMachine {
    pub(super) fn refuse_ceremony(&mut self, result: Result<(), Reject>, out: &mut Vec<HospitalOutput>) {
        if let Err(reject) = result {
            self.refuse(Scope::Ceremony, 0, Attempt(0), reject, out);
            self.stop(&reject.to_string(), out);
        }
    }

    /// The signed roster, or why nothing may happen yet.
    pub(super) fn signed_roster(&self) -> Result<&Roster, Reject> {
        self.roster.as_ref().ok_or(Reject::OutOfTurn)
    }

    pub(super) fn on_roster_proposed(&mut self, it: &RosterProposed, out: &mut Vec<HospitalOutput>) {
        let result = self.check_roster(&it.roster).and_then(|()| {
            self.ceremony.proposed = Some(it.roster.clone());
            let roster = it.roster.digest();
            self.sign_once(HospitalMessage::RosterSignature(RosterSignature { roster }), out)
        });
        self.refuse_ceremony(result, out);
    }

    fn check_roster(&self, roster: &Roster) -> Result<(), Reject> {
        if self.ceremony.proposed.as_ref().is_some_and(|known| known != roster) {
            return Err(Reject::Contradiction);
        }
        if !self.config.terms.are_fitting() {
            return Err(Reject::LimitExceeded);
        }
        let own = roster.member(self.config.party).ok_or(Reject::RosterWrong)?;
        let fits = own.verifying == self.key.verifying_key()
            && own.sealing == self.config.sealing
            && own.tls_key == self.config.tls_key
            && roster.membership().digest() == self.config.membership
            && roster.epoch() == self.config.epoch
            && roster.parameters() == self.config.terms.parameters
            && *roster.coordinator() == self.config.coordinator;
        if fits { Ok(()) } else { Err(Reject::RosterWrong) }
    }

    pub(super) fn on_roster_signed(&mut self, it: &RosterSigned, out: &mut Vec<HospitalOutput>) {
        let result = self.roster_signed(it, out);
        self.refuse_ceremony(result, out);
    }

    fn roster_signed(&mut self, it: &RosterSigned, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let roster = self.ceremony.proposed.clone().ok_or(Reject::OutOfTurn)?;
        let digest = roster.digest();
        let signers = distinct_signers(
            &it.signatures,
            &roster,
            |_, body| matches!(body, HospitalMessage::RosterSignature(signature) if signature.roster == digest),
        )?;
        // Of all: whoever did not sign may have a sealing key in it that is not its own.
        if signers != roster.parties() {
            return Err(Reject::TooFewSignatures);
        }
        self.roster = Some(roster);
        let nonce = match self.facts.nonce() {
            Some(nonce) => nonce,
            None => {
                // Shown to all later on; what else follows from the same bytes is not.
                let nonce = Digest::of("consilium ceremony nonce v1", &Digest(self.fresh)).0;
                self.persist(Fact::Nonce(CeremonyNonce { bytes: nonce }), out);
                nonce
            }
        };
        let commitment = commitment(self.config.epoch, self.config.party, &nonce);
        self.sign_once(HospitalMessage::KeyCommit(KeyCommit { commitment }), out)
    }

    pub(super) fn on_commit_set(&mut self, it: &CommitSet, out: &mut Vec<HospitalOutput>) {
        let result = self.commit_set(it, out);
        self.refuse_ceremony(result, out);
    }

    fn commit_set(&mut self, it: &CommitSet, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        if !self.ceremony.commitments.is_empty() {
            return Err(Reject::Contradiction);
        }
        let all = distinct_signers(&it.commits, roster, |_, body| matches!(body, HospitalMessage::KeyCommit(_)))?;
        let sorted = it.commits.is_sorted_by_key(|commit| commit.author);
        let commitments = bodies(&it.commits, |body| match body {
            HospitalMessage::KeyCommit(commit) => Some(commit.commitment),
            _ => None,
        });
        let nonce = self.facts.nonce().ok_or(Reject::OutOfTurn)?;
        let own = commitment(self.config.epoch, self.config.party, &nonce);
        let place = usize::from(self.config.party.number()) - 1;
        if all != roster.parties() || !sorted || commitments.get(place) != Some(&own) {
            return Err(Reject::CommitmentBroken);
        }
        self.ceremony.commitments = commitments;
        // Only now: revealing before everyone is bound would let the last one choose the seed.
        self.sign_once(HospitalMessage::KeyReveal(KeyReveal { nonce }), out)
    }

    pub(super) fn on_reveal_set(&mut self, it: &RevealSet, out: &mut Vec<HospitalOutput>) {
        let result = self.reveal_set(it, out);
        self.refuse_ceremony(result, out);
    }

    fn reveal_set(&mut self, it: &RevealSet, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        let epoch = self.config.epoch;
        let commitments = &self.ceremony.commitments;
        let all = distinct_signers(&it.reveals, roster, |party, body| match body {
            HospitalMessage::KeyReveal(reveal) => {
                let place = usize::from(party.number()) - 1;
                commitments.get(place) == Some(&commitment(epoch, party, &reveal.nonce))
            }
            _ => false,
        })
        .map_err(|reject| if reject == Reject::Contradiction { Reject::CommitmentBroken } else { reject })?;
        if all != roster.parties() || !it.reveals.is_sorted_by_key(|reveal| reveal.author) {
            return Err(Reject::CommitmentBroken);
        }
        let nonces = bodies(&it.reveals, |body| match body {
            HospitalMessage::KeyReveal(reveal) => Some(reveal.nonce),
            _ => None,
        });
        let epoch_seed = epoch_seed(roster, &nonces);
        self.ceremony.epoch_seed = epoch_seed;
        match self.facts.sent((5, 0, 0)).cloned() {
            // Dealt before a restart: the same boxes go out again, new ones never.
            Some(sent) => {
                if let HospitalMessage::DealingsSent(dealing) = &sent.body {
                    let body = dealing.body();
                    out.push(HospitalOutput::Send(sent.clone()));
                    out.push(HospitalOutput::Upload { kind: BlobKind::Dealing, number: 0, attempt: 0, body });
                }
            }
            None => out.push(HospitalOutput::DealKeys { epoch_seed }),
        }
        Ok(())
    }

    pub(super) fn dealt(&mut self, boxes: Vec<Digest>, size_bytes: u64, out: &mut Vec<HospitalOutput>) {
        let dealing = DealingsSent { boxes, size_bytes };
        let body = dealing.body();
        let result = self.sign_once(HospitalMessage::DealingsSent(dealing), out);
        if result.is_ok() {
            out.push(HospitalOutput::Upload { kind: BlobKind::Dealing, number: 0, attempt: 0, body });
        }
        self.refuse_ceremony(result, out);
    }

    pub(super) fn on_dealings_ready(&mut self, it: &DealingsReady, out: &mut Vec<HospitalOutput>) {
        let result = self.dealings_ready(it, out);
        self.refuse_ceremony(result, out);
    }

    fn dealings_ready(&mut self, it: &DealingsReady, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        let size = roster.size();
        let all = distinct_signers(
            &it.dealings,
            roster,
            |_, body| matches!(body, HospitalMessage::DealingsSent(dealing) if dealing.boxes.len() == size),
        )?;
        let own = it.dealings.iter().find(|dealing| dealing.author == self.config.party);
        let own_unchanged = own.is_some() && own == self.facts.sent((5, 0, 0));
        if all != roster.parties() || !it.dealings.is_sorted_by_key(|dealing| dealing.author) || !own_unchanged {
            return Err(Reject::BadDealing);
        }
        let dealings = bodies(&it.dealings, |body| match body {
            HospitalMessage::DealingsSent(dealing) => Some(dealing.clone()),
            _ => None,
        });
        let place = usize::from(self.config.party.number()) - 1;
        let boxes: Vec<(PartyId, Digest)> = roster
            .parties()
            .iter()
            .zip(&dealings)
            .filter_map(|(dealer, dealing)| dealing.boxes.get(place).map(|digest| (dealer, *digest)))
            .collect();
        self.ceremony.dealings = dealings;
        match self.facts.sent((6, 0, 0)).cloned() {
            Some(sent) => out.push(HospitalOutput::Send(sent)),
            None => out.push(HospitalOutput::OpenDealings { boxes }),
        }
        Ok(())
    }

    pub(super) fn dealings_opened(&mut self, group: Digest, out: &mut Vec<HospitalOutput>) {
        let received = received_digest(self.config.party, &self.ceremony.dealings);
        let result = self.sign_once(HospitalMessage::DealingsDigest(DealingsDigest { received, group }), out);
        self.refuse_ceremony(result, out);
    }

    pub(super) fn on_key_epoch_open(&mut self, it: &KeyEpochOpen, out: &mut Vec<HospitalOutput>) {
        let result = self.key_epoch_open(it, out);
        self.refuse_ceremony(result, out);
    }

    fn key_epoch_open(&mut self, it: &KeyEpochOpen, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        let Some(HospitalMessage::DealingsDigest(own)) = self.facts.sent((6, 0, 0)).map(|sent| &sent.body) else {
            return Err(Reject::OutOfTurn);
        };
        let dealings = &self.ceremony.dealings;
        let all = distinct_signers(&it.digests, roster, |party, body| match body {
            HospitalMessage::DealingsDigest(digest) => {
                digest.group == own.group && digest.received == received_digest(party, dealings)
            }
            _ => false,
        })
        .map_err(|reject| if reject == Reject::Contradiction { Reject::DealingsDisagree } else { reject })?;
        if all != roster.parties() {
            return Err(Reject::DealingsDisagree);
        }
        out.push(HospitalOutput::EpochOpened { epoch_seed: self.ceremony.epoch_seed });
        self.check_dealings(it, out);
        Ok(())
    }

    pub(super) fn on_serving_step_open(&mut self, it: &ServingStepOpen, out: &mut Vec<HospitalOutput>) {
        if !self.epoch_is_open || Some(it.plan) != self.config.terms.key_plan(it.step.set()) {
            self.ceremony.serving_plan_fits = false;
            return self.refuse(Scope::Ceremony, 0, Attempt(0), Reject::PlanNotApproved, out);
        }
        if !it.step.takes_part(self.config.terms.keys_asked()) {
            return self.refuse_ceremony(Err(Reject::OutOfTurn), out);
        }
        if it.step.input().is_some_and(|input| !self.ceremony.announced.contains_key(&input)) {
            // It is computed on a sum, which has to be one that all are bound to: round two of the relinearisation key
            // multiplies this site's secret with it.
            return self.refuse_ceremony(Err(Reject::SumDiffers), out);
        }
        self.ceremony.serving_plan_fits = true;
        self.ceremony.serving_step = Some(it.step);
        if let Some(sent) = self.facts.sent((7, it.step as u64, 0)).cloned() {
            out.push(HospitalOutput::Send(sent));
        }
        // After a restart as well, since the bodies were only in memory: the same input gives the same bytes.
        if self.ceremony.asked.insert(it.step) {
            out.push(HospitalOutput::MakeServingShare { step: it.step });
        }
    }

    pub(super) fn serving_share_made(&mut self, step: KeyStep, body: BodyRoot, out: &mut Vec<HospitalOutput>) {
        if self.ceremony.serving_step != Some(step) || !self.ceremony.serving_plan_fits {
            return;
        }
        let result = self.sign_once(HospitalMessage::ServingShareHead(ServingShareHead { step, body }), out);
        if result.is_ok() {
            self.ceremony.ready.insert(step);
            if self.ceremony.owed.remove(&step) {
                out.push(HospitalOutput::Upload { kind: step.blob_kind(), number: step.round(), attempt: 0, body });
            }
        }
        self.refuse_ceremony(result, out);
    }

    pub(super) fn on_serving_step_heads(&mut self, it: &ServingStepHeads, out: &mut Vec<HospitalOutput>) {
        let own = self.facts.sent((7, it.step as u64, 0)).cloned();
        let result = self.signed_roster().and_then(|roster| {
            let all = distinct_signers(
                &it.heads,
                roster,
                |_, body| matches!(body, HospitalMessage::ServingShareHead(head) if head.step == it.step),
            )?;
            let unchanged = own.as_ref().is_some_and(|own| it.heads.contains(own));
            if all != roster.parties() || !unchanged {
                return Err(Reject::CommitmentBroken);
            }
            let hospitals = roster.size();
            let bound: BTreeMap<PartyId, BodyRoot> = it
                .heads
                .iter()
                .filter_map(|message| match &message.body {
                    HospitalMessage::ServingShareHead(head) => Some((message.author, head.body)),
                    _ => None,
                })
                .collect();
            if !bound.values().all(|body| it.step.is_share_of(*body, hospitals)) {
                return Err(Reject::BadKeyShare);
            }
            // Somebody who signed two heads could choose the second when it has seen the others' shares.
            if self.ceremony.bound.get(&it.step).is_some_and(|known| *known != bound) {
                return Err(Reject::Contradiction);
            }
            Ok(bound)
        });
        if let (Ok(bound), Some(HospitalMessage::ServingShareHead(head))) = (&result, own.map(|own| own.body)) {
            self.ceremony.bound.insert(it.step, bound.clone());
            // The bodies follow only when every hospital is bound to its own.
            if self.ceremony.ready.contains(&it.step) {
                let (kind, number, body) = (it.step.blob_kind(), it.step.round(), head.body);
                out.push(HospitalOutput::Upload { kind, number, attempt: 0, body });
            } else {
                self.ceremony.owed.insert(it.step);
            }
        }
        self.refuse_ceremony(result.map(|_| ()), out);
    }

    /// The coordinator says what the shares of a step add up to. Nothing of that is believed: what this site computes
    /// with it adds up itself (Mouchet et al., ePrint 2020/304, assume an honest aggregator here).
    pub(super) fn on_serving_step_done(&mut self, it: &ServingStepDone, out: &mut Vec<HospitalOutput>) {
        let result = match (self.ceremony.announced.get(&it.step), self.ceremony.bound.get(&it.step)) {
            (Some(known), _) if *known == it.body => Ok(None),
            (Some(_), _) => Err(Reject::Contradiction),
            (None, None) => Err(Reject::OutOfTurn),
            (None, Some(_)) if self.facts.key_sum(it.step).is_some_and(|known| known != it.body) => {
                Err(Reject::Contradiction)
            }
            (None, Some(shares)) if it.step.list_of(shares).is_some_and(|list| list != it.body) => {
                Err(Reject::SumDiffers)
            }
            (None, Some(shares)) => Ok(Some(shares.iter().map(|(party, body)| (*party, *body)).collect::<Vec<_>>())),
        };
        if let Ok(Some(shares)) = &result {
            let (step, sum) = (it.step, it.body);
            self.ceremony.announced.insert(step, sum);
            match (step.key(), self.facts.key_sum(step)) {
                // Only the sums of round one are needed again and not on this site's disk.
                (Key::RelinRoundOne, Some(sum)) => out.push(HospitalOutput::FetchSum { step, sum }),
                // Stored here, to compute with, or checked for good.
                (_, Some(_)) => {}
                (Key::RelinAnswers, None) => {
                    let proofs = self.proofs_of(it, shares);
                    out.push(HospitalOutput::CheckProofs { step, proofs, sum });
                }
                (Key::PlaneOpenings, None) => {
                    let planes = self.planes_of(it, shares);
                    out.push(HospitalOutput::CheckPlanes { planes, sum });
                }
                (_, None) => {
                    let drawn = self.parts_drawn(it, shares.first().map_or(0, |(_, share)| share.count));
                    out.push(HospitalOutput::AddShares { step, shares: shares.clone(), sum, drawn });
                }
            }
        }
        let result = result.and_then(|new| new.map_or(Ok(()), |_| self.judge_keys(out)));
        self.refuse_ceremony(result, out);
    }

    pub(super) fn sum_added(&mut self, step: KeyStep, sum: BodyRoot, out: &mut Vec<HospitalOutput>) {
        self.persist(Fact::KeySum(KeySum { step, sum }), out);
        let result = self.judge_keys(out);
        self.refuse_ceremony(result, out);
    }

    /// Signs what this site added up, once it has added up everything that the coordinator announced.
    fn judge_keys(&mut self, out: &mut Vec<HospitalOutput>) -> Result<(), Reject> {
        let is_announced = self.key_steps().all(|step| self.ceremony.announced.contains_key(&step));
        match self.own_verdict().filter(|_| is_announced) {
            Some(verdict) => self.sign_once(HospitalMessage::KeyVerdict(verdict), out),
            None => Ok(()),
        }
    }

    /// The steps of the serving keys under the terms that this site approved.
    fn key_steps(&self) -> impl Iterator<Item = KeyStep> {
        KeyStep::steps(self.config.terms.keys_asked())
    }

    /// The sums of all serving keys, as this site added them; `None` while one is missing.
    pub(super) fn own_verdict(&self) -> Option<KeyVerdict> {
        let sums = self.key_steps().map(|step| self.facts.key_sum(step)).collect::<Option<Vec<_>>>()?;
        Some(KeyVerdict { plan: self.config.terms.program, sums })
    }

    pub(super) fn sum_wrong(&mut self, of: Option<PartyId>, reject: Reject, out: &mut Vec<HospitalOutput>) {
        let number = of.map_or(0, |party| u64::from(party.number()));
        self.refuse(Scope::Ceremony, number, Attempt(0), reject, out);
        self.stop(&reject.to_string(), out);
    }

    pub(super) fn on_serving_keys_ready(&mut self, it: &ServingKeysReady, out: &mut Vec<HospitalOutput>) {
        if let Err(reject) = self.check_verdicts(it) {
            return self.refuse_ceremony(Err(reject), out);
        }
        // The coordinator has every share: from here on the ceremony is history, and its secrets may go.
        self.read_so_far(out);
        out.push(HospitalOutput::ServingKeysComplete);
    }

    /// All hospitals added up the same keys as this one.
    fn check_verdicts(&self, it: &ServingKeysReady) -> Result<(), Reject> {
        let roster = self.signed_roster()?;
        let own = self.own_verdict().ok_or(Reject::SumDiffers)?;
        let agree = |_: PartyId, body: &HospitalMessage| *body == HospitalMessage::KeyVerdict(own.clone());
        let all = distinct_signers(&it.verdicts, roster, agree)?;
        if all == roster.parties() { Ok(()) } else { Err(Reject::TooFewSignatures) }
    }
}

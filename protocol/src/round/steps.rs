//! How a round moves from one step to the next: what completes a step, and what its deadline does.

use std::collections::BTreeMap;

use crate::ids::{Attempt, Digest};
use crate::message::{
    Abandon, CohortFrozen, Decryptors, HospitalMessage, LogMessage, Manifest, RoundClosed, ShareRequest, SignedMessage,
    VoidReason,
};
use crate::party_set::PartySet;
use crate::round::{Phase, RoundEnd, RoundMachine, RoundOutput, rotation, small};

/// How long to wait for the remaining live signers once t have signed a manifest.
const SETTLE_MS: u64 = 500;

impl RoundMachine {
    pub(super) fn collect(&mut self, now_ms: u64, overdue: bool, out: &mut Vec<RoundOutput>) {
        let (good, here) = (self.good_updates(self.attempt), self.updates_here(self.attempt));
        let cohort = match self.cohort {
            // A later attempt: exactly the same S, or nothing.
            Some(cohort) => {
                let missing = cohort.minus(good);
                if missing.is_empty() {
                    cohort
                } else {
                    let unwilling = self.refused.union(self.without_update);
                    let lost = if overdue { missing.minus(here) } else { missing.intersection(unwilling) };
                    if !lost.is_empty() {
                        self.void(VoidReason::CohortMemberLost { missing: lost }, out);
                    }
                    return;
                }
            }
            None => {
                let need = usize::from(self.config.terms.min_cohort).max(self.roster.threshold());
                let coming = self.willing().minus(self.without_update);
                let hopeful = here.union(coming);
                let spares = (0..=self.config.terms.attempts_ahead).map(|ahead| Attempt(self.attempt.0 + ahead));
                let everyone = spares.map(|attempt| self.good_updates(attempt)).all(|set| coming.is_subset(set));
                if hopeful.len() < need || (overdue && here.len() < need) {
                    let have = if overdue { here.len() } else { hopeful.len() };
                    return self.void(VoidReason::CohortTooSmall { have: small(have), need: small(need) }, out);
                }
                // Whose update is still being inspected at the deadline was in time.
                if !(everyone || (overdue && here == good)) || good.len() < need {
                    return;
                }
                good
            }
        };
        self.publish_manifest(now_ms, cohort, out);
    }

    fn publish_manifest(&mut self, now_ms: u64, cohort: PartySet, out: &mut Vec<RoundOutput>) {
        let heads: Vec<_> = cohort
            .iter()
            .filter_map(|party| self.updates.get(&(self.attempt, party)))
            .map(|head| head.signed.clone())
            .collect();
        let manifest = Manifest { round: self.config.round, attempt: self.attempt, heads };
        self.cohort = Some(cohort);
        self.manifest = manifest.digest();
        out.push(RoundOutput::Append(LogMessage::Manifest(manifest)));
        self.enter(Phase::Signing { t_reached: false }, now_ms, self.config.terms.round_deadline_ms, out);
    }

    pub(super) fn collect_signatures(
        &mut self,
        now_ms: u64,
        overdue: bool,
        t_reached: bool,
        out: &mut Vec<RoundOutput>,
    ) {
        let need = self.roster.threshold();
        let signers: PartySet = self.signatures.keys().copied().collect();
        let able = self.willing().minus(self.not_decrypting);
        let candidates = signers.intersection(able);
        if candidates.len() >= need && (overdue || able.is_subset(signers)) {
            return self.freeze(now_ms, candidates, out);
        }
        if overdue || able.len() < need {
            let have = small(candidates.len());
            return self.void(VoidReason::ManifestUnsigned { have, need: small(need) }, out);
        }
        if candidates.len() >= need && !t_reached {
            let window = SETTLE_MS.min(self.deadline_ms.saturating_sub(now_ms));
            self.enter(Phase::Signing { t_reached: true }, now_ms, window, out);
        }
    }

    fn freeze(&mut self, now_ms: u64, candidates: PartySet, out: &mut Vec<RoundOutput>) {
        let (round, attempt, manifest) = (self.config.round, self.attempt, self.manifest);
        let signatures = self.signatures.values().cloned().collect();
        out.push(RoundOutput::Append(LogMessage::CohortFrozen(CohortFrozen { round, attempt, manifest, signatures })));
        self.decryptors = rotation(candidates, round, self.roster.size()).take(self.roster.threshold()).collect();
        let decryptors = self.decryptors;
        out.push(RoundOutput::Append(LogMessage::Decryptors(Decryptors { round, attempt, decryptors })));
        self.enter(Phase::Accepting, now_ms, self.config.terms.round_deadline_ms, out);
    }

    pub(super) fn collect_acceptances(&mut self, now_ms: u64, overdue: bool, out: &mut Vec<RoundOutput>) {
        let missing = self.decryptors.minus(self.acceptances.keys().copied().collect());
        if missing.is_empty() {
            let (round, attempt) = (self.config.round, self.attempt);
            let acceptances = self.acceptances.values().cloned().collect();
            self.possibly_revealed = true;
            out.push(RoundOutput::Append(LogMessage::ShareRequest(ShareRequest { round, attempt, acceptances })));
            return self.enter(Phase::Sharing, now_ms, self.config.terms.round_deadline_ms, out);
        }
        self.abandon_if_lost(now_ms, overdue, missing, out);
    }

    pub(super) fn collect_shares(&mut self, now_ms: u64, overdue: bool, out: &mut Vec<RoundOutput>) {
        if self.decryptors.is_subset(self.good_shares()) {
            let cohort = self.cohort.unwrap_or_default();
            let (attempt, decryptors, chunks) = (self.attempt, self.decryptors, self.config.terms.chunks);
            self.phase = Phase::Combining;
            out.push(RoundOutput::Combine { attempt, cohort, decryptors, chunks });
            return;
        }
        let missing = self.decryptors.minus(self.shares_here());
        // Shares may be out, and one that stands still may come back with its own: it is given up only for an attempt
        // that can follow.
        let lapsed = missing.minus(self.live);
        let unwilling = missing.intersection(self.refused.union(self.not_decrypting));
        if !overdue && unwilling.is_empty() && !self.can_follow(lapsed) {
            return;
        }
        self.abandon_if_lost(now_ms, overdue, missing, out);
    }

    /// Whether another attempt is left, with t decryptors without `lost` and the next ciphertext of all of S here or to
    /// come.
    fn can_follow(&self, lost: PartySet) -> bool {
        let decrypting = self.willing().minus(self.not_decrypting).minus(lost);
        self.attempt.0 < self.config.terms.attempts_max
            && decrypting.len() >= self.roster.threshold()
            && self.without_next().is_empty()
    }

    /// Members of S whose next ciphertext is not here and not to come.
    fn without_next(&self) -> PartySet {
        let coming = self.willing().minus(self.without_update);
        self.cohort.unwrap_or_default().minus(self.updates_here(self.attempt.next())).minus(coming)
    }

    fn abandon_if_lost(&mut self, now_ms: u64, overdue: bool, missing: PartySet, out: &mut Vec<RoundOutput>) {
        let lost = if overdue { missing } else { missing.minus(self.willing().minus(self.not_decrypting)) };
        if lost.is_empty() {
            return;
        }
        // A decryptor that let its deadline pass is not chosen again in this round.
        self.not_decrypting = self.not_decrypting.union(lost);
        let (round, attempt) = (self.config.round, self.attempt);
        out.push(RoundOutput::Append(LogMessage::Abandon(Abandon { round, attempt, lost })));
        if attempt.0 >= self.config.terms.attempts_max {
            return self.void(VoidReason::AttemptsExhausted { attempts: self.config.terms.attempts_max }, out);
        }
        let (have, need) = (self.willing().minus(self.not_decrypting).len(), self.roster.threshold());
        if have < need {
            return self.void(VoidReason::QuorumLost { have: small(have), need: small(need) }, out);
        }
        let missing = self.without_next();
        if !missing.is_empty() {
            return self.void(VoidReason::CohortMemberLost { missing }, out);
        }
        self.attempt = attempt.next();
        self.updates.retain(|key, _| key.0 > attempt);
        self.signatures.clear();
        self.acceptances.clear();
        self.shares.clear();
        self.decryptors = PartySet::EMPTY;
        self.enter(Phase::Collecting, now_ms, self.config.terms.round_deadline_ms, out);
    }

    pub(super) fn collect_votes(&mut self, overdue: bool, out: &mut Vec<RoundOutput>) {
        let need = self.roster.threshold();
        let mut tally: BTreeMap<Digest, usize> = BTreeMap::new();
        for vote in self.votes.values() {
            if let HospitalMessage::ModelVote(vote) = &vote.body
                && let Some(model) = vote.model
            {
                *tally.entry(model).or_default() += 1;
            }
        }
        let leading = tally.into_iter().max_by_key(|(_, count)| *count);
        let count = leading.map_or(0, |(_, count)| count);
        if let Some((model, count)) = leading
            && count >= need
        {
            return self.close(model, out);
        }
        let against = self.votes.len() - count;
        if against > self.roster.size() - need {
            return self.void(VoidReason::SumRejected { rejected: small(against) }, out);
        }
        let silent = self.live.minus(self.votes.keys().copied().collect()).len();
        if overdue || count + silent < need {
            self.void(VoidReason::VotesMissing { have: small(count), need: small(need) }, out);
        }
    }

    fn close(&mut self, model: Digest, out: &mut Vec<RoundOutput>) {
        let agrees =
            |vote: &&SignedMessage| matches!(&vote.body, HospitalMessage::ModelVote(vote) if vote.model == Some(model));
        let votes = self.votes.values().filter(agrees).cloned().collect();
        let (round, attempt) = (self.config.round, self.attempt);
        self.phase = Phase::Over;
        out.push(RoundOutput::Append(LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes })));
        let (cohort, decryptors) = (self.cohort.unwrap_or_default(), self.decryptors);
        out.push(RoundOutput::Done(RoundEnd::Closed { model, attempt, cohort, decryptors }));
    }
}

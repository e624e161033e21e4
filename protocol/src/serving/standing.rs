//! What was asked and released so far, counted from the log: budgets and quotas outlive every restart.

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::{PartyId, QueryId};
use crate::message::{HospitalMessage, LogMessage};
use crate::party_set::PartySet;

/// The spent part of quotas and of the flooding budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServingStanding {
    queries: BTreeSet<QueryId>,
    asked: BTreeMap<PartyId, u64>,
    releases: u64,
    /// Opened, and neither answered nor failed.
    open: BTreeSet<QueryId>,
    /// Who has added the model up.
    verified: PartySet,
}

impl ServingStanding {
    /// Takes the next entry of the log into account; entries of other phases change nothing.
    pub fn learn(&mut self, message: &LogMessage) {
        match message {
            LogMessage::SwitchRequest(request) => {
                if let HospitalMessage::QueryHead(head) = &request.head.body {
                    self.ask(head.query);
                    self.release();
                    self.open.insert(head.query);
                }
            }
            LogMessage::ModelVerified(it) => it.verdicts.iter().for_each(|verdict| {
                self.verify(verdict.author);
            }),
            LogMessage::QueryOpen(opened) => {
                if let HospitalMessage::QueryHead(head) = &opened.head.body {
                    self.ask(head.query);
                    self.open.insert(head.query);
                }
            }
            LogMessage::QueryDone(done) => {
                self.open.remove(&done.query);
            }
            LogMessage::QueryFailed(failed) => {
                self.ask(failed.query);
                self.open.remove(&failed.query);
            }
            _ => {}
        }
    }

    /// Answers released so far.
    #[must_use]
    pub fn releases(&self) -> u64 {
        self.releases
    }

    /// Queries that one hospital asked so far.
    #[must_use]
    pub fn asked_by(&self, asker: PartyId) -> u64 {
        self.asked.get(&asker).copied().unwrap_or(0)
    }

    /// Queries that a restart interrupted: they are failed, because an answer is released only once.
    pub fn interrupted(&self) -> impl Iterator<Item = QueryId> {
        self.open.iter().copied()
    }

    /// Hospitals that have added the model up themselves.
    #[must_use]
    pub fn verified(&self) -> PartySet {
        self.verified
    }

    /// One more has; whether that is new.
    pub(super) fn verify(&mut self, party: PartyId) -> bool {
        let is_new = !self.verified.contains(party);
        self.verified.insert(party);
        is_new
    }

    pub(super) fn was_asked(&self, query: QueryId) -> bool {
        self.queries.contains(&query)
    }

    pub(super) fn ask(&mut self, query: QueryId) {
        if self.queries.insert(query)
            && let Some(asker) = query.asker()
        {
            *self.asked.entry(asker).or_default() += 1;
        }
    }

    pub(super) fn release(&mut self) {
        self.releases += 1;
    }
}

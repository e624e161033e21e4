//! What the log of a run folder says about a coordinator that starts again: keys, model and spent budgets.

use std::collections::BTreeMap;

use protocol::ceremony::seed_of;
use protocol::ids::{Digest, QueryId};
use protocol::message::{HospitalMessage, LogMessage};
use protocol::roster::Roster;
use protocol::serving::ServingStanding;

use crate::drive::PublishedModel;

/// Where an earlier process left off. Empty for a new folder.
#[derive(Default)]
pub(crate) struct Standing {
    roster: Option<Roster>,
    /// Seed of the key epoch's common randomness.
    pub(crate) epoch_seed: Digest,
    /// Whether all serving keys were added up.
    pub(crate) keys_ready: bool,
    opened: Option<PublishedModel>,
    /// The newest published model.
    pub(crate) published: Option<PublishedModel>,
    /// Quotas and budget.
    pub(crate) spent: ServingStanding,
    /// The session under whose key each released query came.
    pub(crate) sessions: BTreeMap<QueryId, QueryId>,
    /// Answered queries, oldest first.
    pub(crate) answered: Vec<QueryId>,
}

impl Standing {
    /// Reads a whole log.
    pub(crate) fn of<'a>(log: impl IntoIterator<Item = &'a LogMessage>) -> Self {
        let mut standing = Self::default();
        log.into_iter().for_each(|message| standing.learn(message));
        standing
    }

    /// The roster that the log begins with.
    pub(crate) fn roster(&self) -> Option<&Roster> {
        self.roster.as_ref()
    }

    fn learn(&mut self, message: &LogMessage) {
        self.spent.learn(message);
        match message {
            LogMessage::RosterProposed(it) => self.roster = Some(it.roster.clone()),
            LogMessage::RevealSet(it) => {
                if let Some(roster) = &self.roster {
                    self.epoch_seed = seed_of(roster, it);
                }
            }
            LogMessage::SwitchRequest(request) => {
                if let HospitalMessage::QueryHead(head) = &request.head.body
                    && let Some(key) = head.query_key
                {
                    self.sessions.insert(head.query, key.session);
                }
            }
            LogMessage::QueryDone(it) => self.answered.push(it.query),
            LogMessage::ServingKeysReady(_) => self.keys_ready = true,
            LogMessage::PublishOpen(it) => {
                self.opened =
                    Some(PublishedModel { digest: Digest::default(), attempt: it.attempt, cohort: it.cohort });
            }
            LogMessage::ModelPublished(it) => {
                let opened = self.opened.filter(|opened| opened.attempt == it.attempt);
                self.published = opened.map(|opened| PublishedModel { digest: it.model, ..opened });
            }
            _ => {}
        }
    }
}

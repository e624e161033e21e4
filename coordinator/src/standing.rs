//! What the log of a run folder says about keys and the published model, for whoever checks it afterwards.

use protocol::campaign::PublishedModel;
use protocol::ceremony::seed_of;
use protocol::ids::Digest;
use protocol::message::LogMessage;
use protocol::roster::Roster;

/// Where a log leaves off. Empty for an empty one.
#[derive(Default)]
pub(crate) struct Standing {
    roster: Option<Roster>,
    /// Seed of the key epoch's common randomness.
    pub(crate) epoch_seed: Digest,
    opened: Option<PublishedModel>,
    /// The newest published model.
    pub(crate) published: Option<PublishedModel>,
}

impl Standing {
    /// Reads a whole log.
    pub(crate) fn of<'a>(log: impl IntoIterator<Item = &'a LogMessage>) -> Self {
        let mut standing = Self::default();
        log.into_iter().for_each(|message| standing.learn(message));
        standing
    }

    fn learn(&mut self, message: &LogMessage) {
        match message {
            LogMessage::RosterProposed(it) => self.roster = Some(it.roster.clone()),
            LogMessage::RevealSet(it) => {
                if let Some(roster) = &self.roster {
                    self.epoch_seed = seed_of(roster, it);
                }
            }
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

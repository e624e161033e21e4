//! What a hospital does, in the log of its process: steps and times. Losses and numbers of images stay out, because a
//! log is what people send to others when something does not work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::PooledFigures;
use protocol::ids::{Digest, PartyId, QueryId, RoundId};
use protocol::log::LogEntry;

use super::observer::{Activity, Observer, Timed};
use crate::sent_log::utc;

/// Writes what may be told to the log and passes everything on.
pub(super) struct Logged(pub(super) Arc<dyn Observer>);

impl Observer for Logged {
    fn activity(&self, party: PartyId, activity: Activity) {
        match activity {
            Activity::Training { epoch, of, .. } => tracing::trace!(%party, epoch, of, "training"),
            other => tracing::trace!(%party, activity = ?other),
        }
        self.0.activity(party, activity);
    }

    fn timed(&self, party: PartyId, round: RoundId, step: Timed, took: Duration) {
        tracing::info!(%party, %round, ?step, ?took);
        self.0.timed(party, round, step, took);
    }

    fn switched(&self, party: PartyId, query: QueryId, took: Duration) {
        tracing::info!(%party, %query, ?took, "a share of the answer is made");
        self.0.switched(party, query, took);
    }

    fn trained(&self, party: PartyId, round: RoundId, loss: f64, samples: usize) {
        tracing::debug!(%party, %round, "trained");
        self.0.trained(party, round, loss, samples);
    }

    fn published(&self, party: PartyId, model: Digest) {
        tracing::info!(%party, %model, "published");
        self.0.published(party, model);
    }

    fn figures(&self, party: PartyId, figures: &PooledFigures) {
        tracing::info!(%party, hospitals = figures.hospitals, "figures");
        self.0.figures(party, figures);
    }

    fn held_back(&self, party: PartyId, until_s: Option<u64>) {
        match until_s {
            Some(until_s) => {
                tracing::info!(%party, at = %utc(until_s), "training waits for this site's hours, and goes on at");
            }
            None => tracing::info!(%party, "no training waits for this site's hours any more"),
        }
        self.0.held_back(party, until_s);
    }

    fn charged(&self, party: PartyId, by_asker: &BTreeMap<PartyId, u64>) {
        tracing::info!(%party, answers = by_asker.values().sum::<u64>(), "answers are charged");
        self.0.charged(party, by_asker);
    }

    fn evaluated(&self, party: PartyId, query: QueryId, fetched_bytes: u64) {
        tracing::info!(%party, %query, fetched_bytes, "evaluated");
        self.0.evaluated(party, query, fetched_bytes);
    }

    fn shown(&self, party: PartyId, entry: &LogEntry) {
        tracing::trace!(%party, index = entry.index, "an entry of the log");
        self.0.shown(party, entry);
    }

    fn refused(&self, party: PartyId, reason: &str) {
        tracing::warn!(%party, reason, "refused");
        self.0.refused(party, reason);
    }
}

//! Hears every party of a simulated run: feeds the live view, keeps figures, and checks what only a simulation can.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use client::hospital::{self, Timed};
use coordinator::Step;
use coordinator::compute::Moved;
use protocol::blob::BlobKind;
use protocol::exchange::Call;
use protocol::ids::{Attempt, PartyId, QueryId, RoundId};
use protocol::message::HospitalMessage;
use protocol::net::Frame;
use protocol::party_set::PartySet;
use report::{bytes_text, milliseconds_text};

use crate::event::{Activity, EventSender};
use crate::oracle::{Finding, Needles};

/// What was seen of one round.
#[derive(Debug, Clone, Default)]
pub(super) struct RoundSeen {
    pub(super) quantised: BTreeMap<u16, (Vec<i32>, u32)>,
    pub(super) losses: BTreeMap<u16, (f64, usize)>,
    pub(super) times: BTreeMap<(u16, Timed), f64>,
    /// Hospitals whose decrypted sum equals the plaintext integer sum, and those whose does not.
    pub(super) exact: BTreeSet<u16>,
    pub(super) inexact: BTreeSet<u16>,
    pub(super) adopted: Option<Vec<f32>>,
    pub(super) adopters_differ: bool,
    pub(super) cohort: PartySet,
    pub(super) decryptors: PartySet,
    pub(super) aggregate_ms: f64,
    pub(super) moved: Moved,
    pub(super) abandoned: Vec<(u32, PartySet)>,
}

/// Milliseconds that others computed for one query.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ServedTimes {
    /// The coordinator's encrypted evaluation.
    pub(super) evaluate: f64,
    /// The slowest decryptor's share: they work side by side.
    pub(super) share: f64,
    /// The coordinator's adding up of the shares.
    pub(super) combine: f64,
}

#[derive(Default)]
struct Seen {
    rounds: BTreeMap<u32, RoundSeen>,
    contributions: BTreeMap<(u32, u16), Vec<f32>>,
    served: BTreeMap<QueryId, ServedTimes>,
    serving_moved: Moved,
    traffic: BTreeMap<(u16, &'static str), (u64, u64)>,
    requests: BTreeMap<u16, u64>,
    scanned: (u64, u64),
    findings: Vec<Finding>,
}

/// The ear of one run.
pub(super) struct Watch {
    events: EventSender,
    seen: Mutex<Seen>,
    needles: RwLock<Needles>,
}

/// Findings kept; one is already too many.
const FINDINGS_MAX: usize = 16;

impl Watch {
    pub(super) fn new(events: EventSender) -> Self {
        Self { events, seen: Mutex::default(), needles: RwLock::default() }
    }

    pub(super) fn events(&self) -> &EventSender {
        &self.events
    }

    pub(super) fn round(&self, round: RoundId) -> RoundSeen {
        self.seen().rounds.get(&round.0).cloned().unwrap_or_default()
    }

    /// Sum of the plaintext contributions of `cohort`: the published model, which only a simulation can know.
    pub(super) fn published(&self, attempt: Attempt, cohort: PartySet) -> Option<Vec<f32>> {
        let seen = self.seen();
        let mut sum: Option<Vec<f64>> = None;
        for party in cohort.iter() {
            let part = seen.contributions.get(&(attempt.0, party.number()))?;
            match &mut sum {
                None => sum = Some(part.iter().map(|value| f64::from(*value)).collect()),
                Some(sum) => sum.iter_mut().zip(part).for_each(|(sum, value)| *sum += f64::from(*value)),
            }
        }
        sum.map(|sum| sum.into_iter().map(|value| value as f32).collect())
    }

    /// What others computed for a query.
    pub(super) fn served(&self, query: QueryId) -> ServedTimes {
        self.seen().served.get(&query).copied().unwrap_or_default()
    }

    /// What a device moved for keys, model and queries.
    pub(super) fn serving_moved(&self) -> Moved {
        self.seen().serving_moved
    }

    /// Messages and bytes that hospitals sent, by hospital and kind.
    pub(super) fn traffic(&self) -> BTreeMap<(u16, &'static str), (u64, u64)> {
        self.seen().traffic.clone()
    }

    /// Calls of each hospital, each of which was answered once.
    pub(super) fn requests(&self) -> BTreeMap<u16, u64> {
        self.seen().requests.clone()
    }

    /// Messages and bytes searched, and what was found in them.
    pub(super) fn scanned(&self) -> (u64, u64, Vec<Finding>) {
        let seen = self.seen();
        (seen.scanned.0, seen.scanned.1, seen.findings.clone())
    }

    /// Adds a needle that no hospital reports itself.
    pub(super) fn add_needle(&self, what: &str, values: &[f32]) {
        self.needles.write().unwrap_or_else(PoisonError::into_inner).add_floats(what, values);
    }

    /// Works with the needles.
    pub(super) fn with_needles<T>(&self, work: impl FnOnce(&Needles) -> T) -> T {
        work(&self.needles.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A panic elsewhere leaves plain figures behind, which are still right.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl hospital::Observer for Watch {
    fn activity(&self, party: PartyId, activity: hospital::Activity) {
        self.events.hospital(party.number(), activity);
    }

    fn timed(&self, party: PartyId, round: RoundId, step: Timed, took: Duration) {
        let mut seen = self.seen();
        let times = &mut seen.rounds.entry(round.0).or_default().times;
        *times.entry((party.number(), step)).or_default() += took.as_secs_f64() * 1e3;
    }

    fn switched(&self, _party: PartyId, query: QueryId, took: Duration) {
        let mut seen = self.seen();
        let share = &mut seen.served.entry(query).or_default().share;
        *share = share.max(took.as_secs_f64() * 1e3);
    }

    fn trained(&self, party: PartyId, round: RoundId, loss: f64, samples: usize) {
        self.seen().rounds.entry(round.0).or_default().losses.insert(party.number(), (loss, samples));
    }

    fn refused(&self, party: PartyId, reason: &str) {
        self.events.warn(format!("{party} refused: {reason}"));
    }
}

impl hospital::Witness for Watch {
    fn secret(&self, party: PartyId, what: &str, bytes: &[u8]) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        needles.add(&format!("{what} of {party}"), bytes);
    }

    fn quantised(&self, party: PartyId, round: RoundId, values: &[i32], weight: u32) {
        let mut needles = self.needles.write().unwrap_or_else(PoisonError::into_inner);
        needles.add_integers(&format!("quantised update of {party}"), values);
        drop(needles);
        let mut seen = self.seen();
        let entry = seen.rounds.entry(round.0).or_default();
        entry.quantised.insert(party.number(), (values.to_vec(), weight));
    }

    fn opened(&self, party: PartyId, round: RoundId, cohort: PartySet, sums: &[i64], weight_sum: u64) {
        let mut seen = self.seen();
        let entry = seen.rounds.entry(round.0).or_default();
        let parts: Option<Vec<_>> = cohort.numbers().iter().map(|number| entry.quantised.get(number)).collect();
        let exact = parts.is_some_and(|parts| {
            let weights: u64 = parts.iter().map(|(_, weight)| u64::from(*weight)).sum();
            let equal = |(index, sum): (usize, &i64)| {
                let expected: i64 = parts.iter().map(|(values, _)| i64::from(values[index])).sum();
                expected == *sum
            };
            weights == weight_sum
                && parts.iter().all(|(values, _)| values.len() == sums.len())
                && sums.iter().enumerate().all(equal)
        });
        let side = if exact { &mut entry.exact } else { &mut entry.inexact };
        side.insert(party.number());
    }

    fn adopted(&self, _party: PartyId, round: RoundId, parameters: &[f32]) {
        let mut seen = self.seen();
        let entry = seen.rounds.entry(round.0).or_default();
        match &entry.adopted {
            None => entry.adopted = Some(parameters.to_vec()),
            Some(first) => entry.adopters_differ |= first.as_slice() != parameters,
        }
    }

    fn contributed(&self, party: PartyId, attempt: Attempt, parameters: &[f32]) {
        self.seen().contributions.insert((attempt.0, party.number()), parameters.to_vec());
    }
}

impl coordinator::Observer for Watch {
    fn step(&self, step: Step) {
        match step {
            Step::KeyStep { name } => self.events.note(format!("the coordinator adds up: {name}")),
            Step::Lost(party) => {
                self.events.hospital(party.number(), Activity::Lost);
                self.events.warn(format!("{party} is silent and counts as lost"));
            }
            Step::Returned(party) => self.events.note(format!("{party} is back")),
            Step::Abandoned { round, attempt, lost } => {
                self.seen().rounds.entry(round.0).or_default().abandoned.push((attempt.0, lost));
                self.events.warn(format!(
                    "attempt {attempt} of round {round} lost decryptor {lost} and ends; the next attempt has fresh randomness"
                ));
            }
            Step::Combined { round, cohort, decryptors, ms, moved } => {
                let mut seen = self.seen();
                let entry = seen.rounds.entry(round.0).or_default();
                (entry.cohort, entry.decryptors, entry.aggregate_ms) = (cohort, decryptors, ms);
                entry.moved = moved;
            }
            Step::Void { round, reason } => self.events.warn(format!("round {round} has no result: {reason}")),
            Step::Failed { what } => self.events.warn(format!("the coordinator: {what}")),
            Step::Loaded { ms, moved } => {
                self.seen().serving_moved += moved;
                let (bytes, time) = (bytes_text(moved.to), milliseconds_text(ms));
                self.events.note(format!("keys and model are on the device: {bytes} in {time}"));
            }
            Step::Evaluated { query, ms, moved } => {
                let mut seen = self.seen();
                seen.serving_moved += moved;
                seen.served.entry(query).or_default().evaluate = ms;
            }
            Step::DeviceGivenUp { device, why } => self
                .events
                .warn(format!("{device} is given up: {why}; the processor has done its work again and does the rest")),
            Step::Switched { query, ms } => self.seen().served.entry(query).or_default().combine = ms,
            _ => {}
        }
    }
}

impl coordinator::Tap for Watch {
    fn received(&self, from: PartyId, frame: &Frame) {
        let found = self.with_needles(|needles| {
            let place = format!("message from {from}");
            needles.search(&place, 0, &frame.header).or_else(|| needles.search(&place, 0, &frame.body))
        });
        let bytes = frame.wire_bytes() as u64;
        let mut seen = self.seen();
        seen.scanned.0 += 1;
        seen.scanned.1 += bytes;
        if seen.findings.len() < FINDINGS_MAX {
            seen.findings.extend(found);
        }
        *seen.requests.entry(from.number()).or_default() += 1;
        if let Some(kind) = kind(frame) {
            let entry = seen.traffic.entry((from.number(), kind)).or_default();
            entry.0 += 1;
            entry.1 += bytes;
        }
    }
}

/// What a hospital's call carries, in words; `None` for questions that carry nothing.
fn kind(frame: &Frame) -> Option<&'static str> {
    match Call::from_frame(frame).ok()? {
        Call::Poll { .. } | Call::Get { .. } => None,
        Call::Post(message) => Some(match message.body {
            HospitalMessage::UpdateHead(_) | HospitalMessage::ShareHead(_) => "signed digests",
            HospitalMessage::Refusal(_) | HospitalMessage::Leaving(_) => "refusals",
            _ => "signed messages",
        }),
        Call::Put { id, .. } => Some(match id.kind {
            BlobKind::Dealing => "sealed key points",
            BlobKind::PublicKey | BlobKind::RelinRoundOne | BlobKind::RelinRoundTwo | BlobKind::Galois => {
                "serving-key shares"
            }
            BlobKind::UpdateChunk => "encrypted updates",
            BlobKind::Share => "decryption shares",
            BlobKind::PublishChunk => "encrypted model contributions",
            BlobKind::Query | BlobKind::AskerKey | BlobKind::QueryKey => "encrypted queries",
            BlobKind::SwitchShare => "key-switch shares",
            BlobKind::SumChunk | BlobKind::QueryResult | BlobKind::Answer => "other",
        }),
    }
}

//! Hears every party of a simulated run: feeds the live view, keeps figures, and checks what only a simulation can.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use client::hospital::{self, Timed};
use coordinator::Step;
use coordinator::compute::Moved;
use metrics::PooledFigures;
use protocol::blob::BlobKind;
use protocol::exchange::Call;
use protocol::ids::{PartyId, QueryId, RoundId};
use protocol::message::HospitalMessage;
use protocol::net::Frame;
use protocol::party_set::PartySet;
use report::{bytes_text, milliseconds_text};

use crate::event::{Activity, EventSender};
use crate::oracle::{Finding, Needles, PRINTED_WINDOW};
use crate::tap::Tap;

/// What was seen of one round.
#[derive(Debug, Clone, Default)]
pub(super) struct RoundSeen {
    pub(super) losses: BTreeMap<u16, (f64, usize)>,
    pub(super) times: BTreeMap<(u16, Timed), f64>,
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
}

#[derive(Default)]
struct Seen {
    rounds: BTreeMap<u32, RoundSeen>,
    served: BTreeMap<QueryId, ServedTimes>,
    serving_moved: Moved,
    traffic: BTreeMap<(u16, &'static str), (u64, u64)>,
    requests: BTreeMap<u16, u64>,
    scanned: (u64, u64),
    findings: Vec<Finding>,
    figures: BTreeMap<u16, PooledFigures>,
}

/// Secrets in the forms that a log prints.
type Printed = Needles<PRINTED_WINDOW>;

/// What the search of a log found.
#[derive(Debug, Default)]
pub(super) struct LogScan {
    /// Bytes searched.
    pub(super) bytes: u64,
    /// The first secret in it.
    pub(super) found: Option<Finding>,
    /// Windows searched for.
    pub(super) windows: usize,
    /// Whether planted ones are found.
    pub(super) control: bool,
}

/// The ear of one run.
pub(super) struct Watch {
    events: EventSender,
    seen: Mutex<Seen>,
    needles: RwLock<Needles>,
    /// The same secrets in the forms that a log prints; `None` where there is no log to search.
    printed: Option<RwLock<Printed>>,
}

/// Findings kept; one is already too many.
const FINDINGS_MAX: usize = 16;

impl Watch {
    /// An ear; `logs` if there is a log that [`Watch::search_log`] will search.
    pub(super) fn new(events: EventSender, logs: bool) -> Self {
        Self { events, seen: Mutex::default(), needles: RwLock::default(), printed: logs.then(RwLock::default) }
    }

    pub(super) fn events(&self) -> &EventSender {
        &self.events
    }

    pub(super) fn round(&self, round: RoundId) -> RoundSeen {
        self.seen().rounds.get(&round.0).cloned().unwrap_or_default()
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

    /// Adds floats that must never be seen outside.
    pub(super) fn add_needle(&self, what: &str, values: &[f32]) {
        self.needles.write().unwrap_or_else(PoisonError::into_inner).add_floats(what, values);
        self.print(|printed| printed.add_printed_list(what, values));
    }

    /// Adds integers that must never be seen outside.
    pub(super) fn add_integers(&self, what: &str, values: &[i32]) {
        self.needles.write().unwrap_or_else(PoisonError::into_inner).add_integers(what, values);
        self.print(|printed| printed.add_printed_list(what, values));
    }

    /// Adds bytes that must never be seen outside.
    pub(super) fn add_bytes(&self, what: &str, bytes: &[u8]) {
        self.needles.write().unwrap_or_else(PoisonError::into_inner).add(what, bytes);
        self.print(|printed| printed.add_printed_bytes(what, bytes));
    }

    /// Adds what may cross no border in the clear, but stands in messages and folders under other guises than a log's:
    /// passphrases and pixels are looked for in the log alone.
    pub(super) fn add_unprintable(&self, add: impl FnOnce(&mut Printed)) {
        self.print(add);
    }

    /// Searches a log for every secret that is known by now.
    ///
    /// # Errors
    /// The system's own error where the file cannot be read.
    pub(super) fn search_log(&self, path: &Path) -> std::io::Result<LogScan> {
        let Some(printed) = &self.printed else { return Ok(LogScan::default()) };
        let printed = printed.read().unwrap_or_else(PoisonError::into_inner);
        let (bytes, found) = printed.search_file(path)?;
        // What is printed as it is in memory is found, too.
        let found = match found {
            None => self.with_needles(|needles| needles.search_file(path))?.1,
            found => found,
        };
        Ok(LogScan { bytes, found, windows: printed.len(), control: printed.control() })
    }

    fn print(&self, add: impl FnOnce(&mut Printed)) {
        if let Some(printed) = &self.printed {
            add(&mut printed.write().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// How the model does on all hospitals' test images, as the hospitals opened it; `None` where nobody did, or where
    /// they differ.
    pub(super) fn figures(&self) -> Option<PooledFigures> {
        let seen = self.seen();
        let first = seen.figures.values().next()?;
        seen.figures.values().all(|other| other == first).then(|| first.clone())
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

    fn figures(&self, party: PartyId, figures: &PooledFigures) {
        self.seen().figures.insert(party.number(), figures.clone());
    }

    fn refused(&self, party: PartyId, reason: &str) {
        self.events.warn(format!("{party} refused: {reason}"));
    }
}

impl coordinator::Observer for Watch {
    fn step(&self, step: Step) {
        match step {
            Step::KeyStep { step } => self.events.note(format!("the coordinator adds up: {step}")),
            Step::Lost(party) => {
                self.events.hospital(party.number(), Activity::Lost);
                self.events.warn(format!("{party} has stood still for longer than the patience; the others go on"));
            }
            Step::Returned(party) => self.events.note(format!("{party} is back")),
            Step::Abandoned { round, attempt, lost } => {
                self.seen().rounds.entry(round.0).or_default().abandoned.push((attempt.0, lost));
                self.events.warn(format!(
                    "attempt {attempt} of round {round} lost decryptor {lost} and ends; the next attempt has fresh \
                     randomness"
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
            _ => {}
        }
    }
}

impl Tap for Watch {
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
    match Call::from_frame(frame).ok()?.1 {
        Call::Poll { .. } | Call::Get { .. } | Call::List { .. } => None,
        Call::Post(message) => Some(match message.body {
            HospitalMessage::UpdateHead(_) | HospitalMessage::ShareHead(_) => "signed digests",
            HospitalMessage::Refusal(_) | HospitalMessage::Leaving(_) => "refusals",
            _ => "signed messages",
        }),
        Call::Put { id, .. } => Some(match id.kind {
            BlobKind::Dealing => "sealed key points",
            BlobKind::Gate
            | BlobKind::GateKey
            | BlobKind::RelinRoundOne
            | BlobKind::RelinRoundTwo
            | BlobKind::RelinMasks
            | BlobKind::RelinAnswer
            | BlobKind::Galois => "serving-key shares",
            BlobKind::Planes | BlobKind::PlaneOpening => "planes of questions, digests and seeds",
            BlobKind::UpdateChunk => "encrypted updates",
            BlobKind::Share => "decryption shares",
            BlobKind::PublishChunk => "encrypted model contributions",
            BlobKind::Query => "encrypted queries",
            BlobKind::SwitchShare => "shares of answers",
            BlobKind::Feature => "encrypted features",
            BlobKind::RefreshZero
            | BlobKind::RefreshShare
            | BlobKind::RefreshMask
            | BlobKind::RefreshSum
            | BlobKind::RefreshOpening => "parts of refreshes",
            BlobKind::SumChunk | BlobKind::QueryResult => "other",
        }),
    }
}

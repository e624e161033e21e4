//! What a run tells while it runs. The live view and `--format jsonl` show it; nothing waits for them.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
};

pub use client::hospital::Activity;
use coordinator::compute::Compute;
use report::ComputeReport;
use serde::Serialize;

use crate::computing::compute_report;

/// Events that may wait for the view; more are dropped and counted, since a run never waits for a terminal.
pub const QUEUE_EVENTS: usize = 8192;

/// Something that happened. Hospitals are numbered from 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "snake_case")]
pub enum Event {
    /// First of all.
    RunStarted {
        /// The experiment's name.
        name: String,
        /// Where the run writes.
        folder: PathBuf,
        /// Number of hospitals.
        hospitals: u16,
        /// Decryptors needed.
        threshold: u16,
        /// Fewest uploads for a round.
        min_cohort: u16,
        /// Rounds planned.
        rounds: u32,
    },
    /// Where the coordinator computes; once at the start.
    Computing(ComputeReport),
    /// The run goes on to something else.
    PhaseStarted {
        /// To what.
        phase: Phase,
    },
    /// One hospital does something else, or got further with it.
    Hospital {
        /// Which, from 1.
        party: u16,
        /// What it does.
        activity: Activity,
    },
    /// A round is closed.
    RoundDone(RoundSummary),
    /// A step of a head is taken, and what it left is refreshed.
    StepDone(StepSummary),
    /// One sentence in plain words, for people.
    Note {
        /// The sentence.
        text: String,
    },
    /// Something went wrong and the run goes on.
    Warning {
        /// The sentence.
        text: String,
    },
    /// An encrypted query was answered.
    Serving {
        /// Answered so far.
        done: usize,
        /// Asked in all.
        of: usize,
        /// This query from encrypting to reading, in milliseconds.
        latency_ms: f64,
    },
    /// One self-check was made.
    Checked {
        /// What was checked, as in the report.
        oracle: String,
        /// Whether it held.
        passed: bool,
    },
}

/// The parts of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "phase", rename_all = "kebab-case")]
pub enum Phase {
    /// Reads or generates images and deals them out.
    Data,
    /// Certificates, keys, connections.
    Connecting,
    /// Hospitals make their keys together.
    Ceremony,
    /// Hospitals add up, encrypted, what features of a head are whitened by.
    Whitening,
    /// Hospitals encrypt features for a head.
    Uploading,
    /// One step of a head, on ciphertexts.
    Step {
        /// From 1.
        step: u32,
    },
    /// One training round.
    Round {
        /// From 1.
        round: u32,
        /// From 1; above 1 after a loss.
        attempt: u32,
    },
    /// The hospitals add up how the model does on their test images.
    Figures,
    /// The encrypted model is put together.
    Publishing,
    /// Encrypted queries.
    Serving,
    /// Baselines and self-checks.
    Checking,
    /// Writing the report.
    Reporting,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Data => f.write_str("data"),
            Self::Connecting => f.write_str("connecting"),
            Self::Ceremony => f.write_str("key ceremony"),
            Self::Whitening => f.write_str("whitening"),
            Self::Uploading => f.write_str("encrypting features"),
            Self::Step { step } => write!(f, "step {step}"),
            Self::Round { round, attempt: 1 } => write!(f, "round {round}"),
            Self::Round { round, attempt } => write!(f, "round {round}, attempt {attempt}"),
            Self::Figures => f.write_str("figures"),
            Self::Publishing => f.write_str("publishing"),
            Self::Serving => f.write_str("encrypted inference"),
            Self::Checking => f.write_str("checking"),
            Self::Reporting => f.write_str("report"),
        }
    }
}

/// A closed round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RoundSummary {
    /// From 1.
    pub round: u32,
    /// Attempts it took.
    pub attempts: u32,
    /// Mean training loss over the hospitals, weighted by samples.
    pub loss: f64,
    /// Macro AUC of the new model on validation images; not a number where undefined.
    pub auc: f64,
    /// Hospitals in the sum.
    pub uploaded: Vec<u16>,
    /// Hospitals that decrypted.
    pub decryptors: Vec<u16>,
    /// The decrypted sum equals the plaintext integer sum.
    pub sum_exact: bool,
    /// Bytes from all hospitals to the coordinator.
    pub bytes_up: u64,
    /// Bytes from the coordinator to all hospitals.
    pub bytes_down: u64,
    /// Seconds of the round.
    pub seconds: f64,
}

/// A step of a head that is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct StepSummary {
    /// From 1.
    pub step: u32,
    /// Of the same step on plain numbers, which only a simulation has.
    pub loss: f64,
    /// Hospitals that took it themselves before they shared in the refresh.
    pub taken_again_by: u16,
    /// Seconds, where every party has a machine of its own.
    pub seconds: f64,
}

/// Sends events. Cloning is cheap, sending never blocks, and a missing listener is fine.
#[derive(Debug, Clone)]
pub struct EventSender {
    queue: Option<SyncSender<Event>>,
    dropped: Arc<AtomicU64>,
}

impl EventSender {
    /// A sender and the receiver that a view drains.
    pub fn channel() -> (Self, Receiver<Event>) {
        let (queue, receiver) = sync_channel(QUEUE_EVENTS);
        (Self { queue: Some(queue), dropped: Arc::default() }, receiver)
    }

    /// A sender nobody listens to.
    pub fn silent() -> Self {
        Self { queue: None, dropped: Arc::default() }
    }

    /// Sends, or drops the event if the queue is full or nobody listens.
    pub fn send(&self, event: Event) {
        if let Some(queue) = &self.queue
            && queue.try_send(event).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Says one sentence.
    pub fn note(&self, text: impl Into<String>) {
        self.send(Event::Note { text: text.into() });
    }

    /// Says one sentence about something that went wrong.
    pub fn warn(&self, text: impl Into<String>) {
        self.send(Event::Warning { text: text.into() });
    }

    /// Where the coordinator computes, with what is to be said about it.
    pub fn computing(&self, compute: &Compute) {
        self.send(Event::Computing(compute_report(compute)));
        if let Some(warning) = compute.warning() {
            self.warn(warning);
        }
    }

    /// The run goes on to another phase.
    pub fn phase(&self, phase: Phase) {
        self.send(Event::PhaseStarted { phase });
    }

    /// One hospital does something.
    pub fn hospital(&self, party: u16, activity: Activity) {
        self.send(Event::Hospital { party, activity });
    }

    /// Events that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_and_counts_and_never_blocks() {
        let (sender, receiver) = EventSender::channel();
        for _ in 0..QUEUE_EVENTS + 3 {
            sender.note("x");
        }
        assert_eq!(sender.dropped(), 3);
        drop(receiver);
        sender.note("nobody listens");
        EventSender::silent().note("nobody ever listened");
    }

    #[test]
    fn events_are_tagged_json() {
        let event = Event::Hospital { party: 2, activity: Activity::Uploading { bytes: 1, of: 2 } };
        let json = serde_json::to_value(&event).expect("serialises");
        assert_eq!(
            json,
            serde_json::json!({
                "event": "hospital", "party": 2, "activity": {"activity": "uploading", "bytes": 1, "of": 2},
            })
        );
        let event = Event::PhaseStarted { phase: Phase::Round { round: 3, attempt: 1 } };
        assert_eq!(
            serde_json::to_value(&event).expect("serialises"),
            serde_json::json!({"event": "phase-started", "phase": {"phase": "round", "round": 3, "attempt": 1}})
        );
    }
}

//! How a coordinator stands, as its status says it: the pages show nothing that `coordinator status --format json` does
//! not say as well.

use serde::Deserialize;

/// The whole status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Snapshot {
    /// Where sites dial.
    pub(crate) coordinator: String,
    /// When this was said, in seconds since 1970.
    pub(crate) at_s: i64,
    /// When the process began.
    pub(crate) since_s: i64,
    pub(crate) bytes: Bytes,
    pub(crate) epochs: Vec<Epoch>,
    /// Key epochs that are not among them.
    pub(crate) older: u64,
}

/// Bytes each way, as the coordinator counts them.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Bytes {
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

/// A key epoch.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Epoch {
    pub(crate) epoch: u32,
    pub(crate) stage: String,
    pub(crate) members: u64,
    pub(crate) threshold: u64,
    pub(crate) names: Vec<String>,
    pub(crate) approved: Vec<String>,
    pub(crate) rounds: Option<u64>,
    /// Of a head, where one is trained.
    pub(crate) steps: Option<u64>,
    pub(crate) failed: Option<String>,
    pub(crate) limits: Option<Limits>,
    pub(crate) now: Option<Now>,
    pub(crate) history: Option<History>,
}

/// What the members approved of questions.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Limits {
    pub(crate) answers_max: u64,
    pub(crate) asked_per_site_max: u64,
    pub(crate) leak_bits_per_answer: u64,
    /// None where the plan sets no bound.
    pub(crate) leak_bits_max: Option<u64>,
}

/// What is under way.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Now {
    pub(crate) step: String,
    pub(crate) awaited: Vec<Awaited>,
    pub(crate) closed: u64,
    pub(crate) steps_done: u64,
    pub(crate) paused: Option<String>,
    pub(crate) serving: bool,
    pub(crate) published: Option<String>,
    pub(crate) answers: u64,
    pub(crate) pending: u64,
    pub(crate) disk: Option<String>,
    pub(crate) sites: Vec<Site>,
}

/// A member that the step waits for.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Awaited {
    pub(crate) name: String,
    pub(crate) doing: Doing,
    pub(crate) lease_s: u64,
    pub(crate) since_s: u64,
}

/// What it says that it does.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Doing {
    Working { done: u64, of: u64 },
    Queued { ahead: u64 },
    Waits { waits_s: u64 },
    Word(String),
}

impl Default for Doing {
    fn default() -> Self {
        Self::Word(String::new())
    }
}

/// A member, as the coordinator sees it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) live: bool,
    /// When it last called.
    pub(crate) heard_at_s: Option<i64>,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) asked: u64,
}

/// What has been so far.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct History {
    pub(crate) rounds: Vec<Round>,
    pub(crate) orders: Vec<Order>,
    pub(crate) models: Vec<Model>,
    pub(crate) log: Log,
    pub(crate) inference: Inference,
}

/// A round.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Round {
    pub(crate) round: u32,
    pub(crate) purpose: String,
    pub(crate) began_at_s: Option<i64>,
    pub(crate) seconds: Option<f64>,
    pub(crate) took: Vec<Took>,
    /// The part under way.
    pub(crate) part: Option<String>,
    pub(crate) attempts: u32,
    pub(crate) cohort: u32,
    pub(crate) ended: Option<String>,
    pub(crate) why: Option<String>,
    pub(crate) received_bytes: Option<u64>,
    pub(crate) sent_bytes: Option<u64>,
}

/// How long a part of a round took so far.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Took {
    pub(crate) part: String,
    pub(crate) seconds: f64,
}

/// An order.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Order {
    pub(crate) order: String,
    pub(crate) at_s: Option<i64>,
    pub(crate) reason: Option<String>,
}

/// A model that was published.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) model: String,
    pub(crate) sites: Vec<String>,
    pub(crate) at_s: Option<i64>,
}

/// The head of the log.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Log {
    pub(crate) entries: u64,
    pub(crate) head: Option<String>,
    pub(crate) signed_entry: Option<u64>,
    pub(crate) signed_by: Vec<String>,
}

/// Questions so far.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Inference {
    pub(crate) answered: u64,
    pub(crate) failed: u64,
    pub(crate) timed: u64,
    pub(crate) p50_ms: Option<u64>,
    pub(crate) p95_ms: Option<u64>,
}

impl Snapshot {
    /// The key epoch of this number; the newest under way, or the newest of all, where none is meant.
    pub(crate) fn chosen(&self, epoch: Option<u32>) -> Option<&Epoch> {
        match epoch {
            Some(number) => self.epochs.iter().find(|epoch| epoch.epoch == number),
            None => self.epochs.iter().rev().find(|epoch| epoch.now.is_some()).or(self.epochs.last()),
        }
    }
}

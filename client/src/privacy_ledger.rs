//! What a site's patients have shown so far: a list on disk that only grows, over all trainings the site ever took part
//! in.
//!
//! A row is written, and synced, before anything that it pays for is encrypted, and nothing is encrypted without one.
//! Rows are chained by their digests. All of a site's data sets count together, since a patient may be in any of them.

use std::borrow::Cow;
use std::path::Path;

use experiment::NOISE_DELTA;
use privacy::{COSTS, NoisyStep, RenyiCosts};
use protocol::ids::{Digest, Epoch};
use protocol::store::{Journal, JournalError, Once};
use remedy::{Exit, Explained};
use serde::{Deserialize, Serialize};

/// The file in a site's folder.
pub const LEDGER_FILE: &str = "privacy.sqlite";
/// The list in it.
const ROWS: &str = "privacy";
/// Rows that other key epochs of a site may write while one charges.
const TRIES: u32 = 64;
/// What every digest begins with.
const DOMAIN: &[u8] = b"consilium privacy ledger 1\n";

/// An amount of privacy: (epsilon, delta).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// What may be spent.
    pub epsilon: f64,
    /// Probability that it was more.
    pub delta: f64,
}

/// What may be spent, and of what.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// On this training.
    pub plan: Budget,
    /// On all that the site takes part in; no bound if absent.
    pub site: Option<Budget>,
}

/// What noisy steps were taken for.
#[derive(Debug, Clone, PartialEq)]
pub struct Spending {
    /// Digest of the terms: of the training.
    pub run: Digest,
    /// The key epoch.
    pub epoch: Epoch,
    /// The round; after the last one, what goes into the published model.
    pub round: u32,
    /// Digest of what is encrypted.
    pub values: Digest,
    /// Each step; `None` of figures, which are counted on patients that nothing is trained on, and without noise.
    pub step: Option<NoisyStep>,
    /// How many.
    pub steps: u32,
}

impl Spending {
    fn costs(&self) -> RenyiCosts {
        self.step.map_or(RenyiCosts::NOTHING, |step| step.costs(self.steps))
    }

    /// What the noise is off by.
    fn delta(&self) -> f64 {
        self.step.map_or(0.0, |_| NOISE_DELTA)
    }
}

/// A row as it is stored and exported, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PrivacyRow {
    /// Digest of the terms.
    pub run: String,
    /// The key epoch.
    pub epoch: u32,
    /// The round.
    pub round: u32,
    /// Digest of what is encrypted.
    pub values: String,
    /// Probability of a patient to be drawn; null of figures, which are counted on patients that nothing is trained on.
    pub sampling_rate: Option<f64>,
    /// Deviation of the noise in what one patient may add; null where there is none.
    pub noise: Option<f64>,
    /// Steps.
    pub steps: u32,
    /// Rényi divergences of orders 2 to 256 in parts of 2^-40.
    pub costs: Vec<u64>,
    /// What the noise is off by.
    pub delta: f64,
    /// Digest of the row before; zeros of the first.
    pub before: String,
}

impl PrivacyRow {
    fn digest(line: &[u8]) -> Digest {
        Digest::of_bytes(&[DOMAIN, line].concat())
    }

    fn costs(&self) -> Option<RenyiCosts> {
        <[u64; COSTS]>::try_from(&self.costs[..]).ok().map(RenyiCosts::of_parts)
    }
}

/// Why nothing is charged, or a ledger not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PrivacyLedgerError {
    /// The disk.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A row that is none, or does not follow the one before it.
    #[error(
        "row {row} of the privacy ledger is damaged or does not follow the one before it: nothing is trained with \
         noise here until the file is back from a backup"
    )]
    Damaged {
        /// Counted from 1.
        row: usize,
    },
    /// Others wrote without end.
    #[error("other key epochs of this site write to the privacy ledger all the time: nothing was charged")]
    Busy,
    /// More than the plan or the site allows.
    #[error(
        "{whose} allows epsilon {} at delta {}, and {found:.3} would be spent with this round: the others go on \
         without this site",
        allowed.epsilon, allowed.delta
    )]
    Spent {
        /// Who allows no more.
        whose: &'static str,
        /// As much.
        allowed: Budget,
        /// With what was to be charged.
        found: f64,
    },
}

impl Explained for PrivacyLedgerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Journal(_) => "privacy_ledger",
            Self::Damaged { .. } => "privacy_ledger_damaged",
            Self::Busy => "privacy_ledger_busy",
            Self::Spent { .. } => "privacy_spent",
        }
    }

    fn place(&self) -> Option<String> {
        Some(LEDGER_FILE.to_owned())
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Journal(_) => "make space or correct the permissions of the site's folder",
            Self::Busy => "start the service again",
            Self::Damaged { .. } => "put the file back from the newest backup; ask who changed it",
            Self::Spent { .. } => "the others go on; max-epsilon under [policy] in site.toml is this site's own bound",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Journal(error) if error.no_space_left() => Exit::StorageFull,
            Self::Journal(_) | Self::Busy => Exit::Failed,
            Self::Damaged { .. } => Exit::Verification,
            Self::Spent { .. } => Exit::Refused,
        }
    }
}

/// A site's list.
pub struct PrivacyLedger {
    journal: Journal,
    rows: Vec<PrivacyRow>,
    /// Digest of the last one.
    head: Digest,
}

impl PrivacyLedger {
    /// Opens a list, or begins one, and reads it through.
    ///
    /// # Errors
    /// [`PrivacyLedgerError::Journal`]; [`PrivacyLedgerError::Damaged`].
    pub fn open(path: &Path) -> Result<Self, PrivacyLedgerError> {
        let mut ledger = Self { journal: Journal::open(path)?, rows: Vec::new(), head: Digest([0; 32]) };
        ledger.catch_up()?;
        Ok(ledger)
    }

    /// Reads what others wrote since: a site may train in two key epochs at a time.
    fn catch_up(&mut self) -> Result<(), PrivacyLedgerError> {
        for stored in self.journal.all(ROWS)?.into_iter().skip(self.rows.len()) {
            let damaged = PrivacyLedgerError::Damaged { row: self.rows.len() + 1 };
            let row = serde_json::from_slice::<PrivacyRow>(&stored.value).ok();
            let is_next = |row: &PrivacyRow| {
                let follows = row.before == self.head.to_string() && row.costs().is_some();
                follows && stored.key == place(self.rows.len()).as_bytes()
            };
            self.rows.push(row.filter(is_next).ok_or(damaged)?);
            self.head = PrivacyRow::digest(&stored.value);
        }
        Ok(())
    }

    /// All rows, from the first.
    #[must_use]
    pub fn rows(&self) -> &[PrivacyRow] {
        &self.rows
    }

    /// What all rows spent together with this delta.
    #[must_use]
    pub fn spent(&self, delta: f64) -> f64 {
        total(self.rows.iter().map(|row| (row.costs(), row.delta)), delta)
    }

    /// What the rows of one training spent, by the digest of its terms.
    #[must_use]
    pub fn spent_on(&self, run: &str, delta: f64) -> f64 {
        total(self.rows.iter().filter(|row| row.run == run).map(|row| (row.costs(), row.delta)), delta)
    }

    /// What all rows spent together with this delta, after each that cost something.
    #[must_use]
    pub fn epsilon_after(&self, delta: f64) -> Vec<f64> {
        let (mut sum, mut left) = (RenyiCosts::NOTHING, delta);
        let mut after = Vec::new();
        for row in self.rows.iter().filter(|row| row.noise.is_some()) {
            sum = &sum + &row.costs().unwrap_or(RenyiCosts::NOTHING);
            left -= row.delta;
            after.push(if left > 0.0 { sum.epsilon(left) } else { f64::INFINITY });
        }
        after
    }

    /// Whether so much more may be spent: of its training, and of all that the site takes part in.
    ///
    /// # Errors
    /// [`PrivacyLedgerError::Spent`].
    pub fn check(&mut self, spending: &Spending, allowed: Allowance) -> Result<(), PrivacyLedgerError> {
        self.catch_up()?;
        let Allowance { plan, site } = allowed;
        let (run, costs) = (spending.run.to_string(), spending.costs());
        let of_run: Vec<_> = self.rows.iter().filter(|row| row.run == run).collect();
        let with = |rows: Vec<&PrivacyRow>, delta: f64| {
            total(
                rows.iter().map(|row| (row.costs(), row.delta)).chain([(Some(costs.clone()), spending.delta())]),
                delta,
            )
        };
        let found = with(of_run, plan.delta);
        if found > plan.epsilon {
            return Err(PrivacyLedgerError::Spent { whose: "the plan", allowed: plan, found });
        }
        let Some(site) = site else { return Ok(()) };
        let found = with(self.rows.iter().collect(), site.delta);
        if found > site.epsilon {
            let whose = "this site's policy (max-epsilon)";
            return Err(PrivacyLedgerError::Spent { whose, allowed: site, found });
        }
        Ok(())
    }

    /// Charges for what is to be encrypted: on disk when this returns. The same values are charged once.
    ///
    /// # Errors
    /// As [`PrivacyLedger::check`], and nothing is charged then; [`PrivacyLedgerError::Journal`],
    /// [`PrivacyLedgerError::Damaged`], [`PrivacyLedgerError::Busy`].
    pub fn charge(&mut self, spending: &Spending, allowed: Allowance) -> Result<(), PrivacyLedgerError> {
        for _ in 0..TRIES {
            // Which reads what others wrote first.
            let checked = self.check(spending, allowed);
            if self.is_charged(spending.values) {
                return Ok(());
            }
            checked?;
            let row = self.row(spending);
            let line = serde_json::to_vec(&row).unwrap_or_default();
            if self.journal.insert_once(ROWS, place(self.rows.len()).as_bytes(), &line)? == Once::Inserted {
                self.head = PrivacyRow::digest(&line);
                self.rows.push(row);
                return Ok(());
            }
            // Another key epoch of this site wrote first: what is left may be less now.
        }
        Err(PrivacyLedgerError::Busy)
    }

    fn row(&self, spending: &Spending) -> PrivacyRow {
        PrivacyRow {
            run: spending.run.to_string(),
            epoch: spending.epoch.0,
            round: spending.round,
            values: spending.values.to_string(),
            sampling_rate: spending.step.map(|step| step.rate()),
            noise: spending.step.map(|step| step.noise()),
            steps: spending.steps,
            costs: spending.costs().parts().to_vec(),
            delta: spending.delta(),
            before: self.head.to_string(),
        }
    }

    /// Whether these values were charged.
    #[must_use]
    pub fn is_charged(&self, values: Digest) -> bool {
        let name = values.to_string();
        self.rows.iter().any(|row| row.values == name)
    }
}

/// Where a row stands: in the order of texts as in that of numbers.
fn place(index: usize) -> String {
    format!("{index:010}")
}

/// Epsilon of all of them together at a delta, of which each takes its part.
fn total(rows: impl Iterator<Item = (Option<RenyiCosts>, f64)>, delta: f64) -> f64 {
    let (mut sum, mut left) = (RenyiCosts::NOTHING, delta);
    for (costs, part) in rows {
        let Some(costs) = costs else { return f64::INFINITY };
        sum = &sum + &costs;
        left -= part;
    }
    if sum == RenyiCosts::NOTHING {
        return 0.0;
    }
    if left > 0.0 { sum.epsilon(left) } else { f64::INFINITY }
}

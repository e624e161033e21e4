//! Training that waits for the hours in which this site trains. Everything else is done meanwhile.

use std::collections::VecDeque;

use crate::drive::hospital::work::Work;
use crate::drive::hospital::{HospitalDriver, HospitalJob, HospitalNote};
use crate::drive::{Clock, Crypto, HospitalNet, Store};
use crate::lease::Doing;

/// Jobs that are held back, and for how long.
#[derive(Default)]
pub(super) struct Held {
    wait_s: Option<u64>,
    /// At most one of each kind: a later one replaces it.
    jobs: Vec<HospitalJob>,
}

/// Whether a job trains. Counting how a model does takes no training, and is done at any hour.
fn trains(job: &HospitalJob) -> bool {
    matches!(job, HospitalJob::Train { .. } | HospitalJob::EncryptPublish { .. })
}

impl Held {
    /// Whether this job is to wait now.
    pub(super) fn waits_for(&self, job: &HospitalJob) -> bool {
        self.wait_s.is_some() && trains(job)
    }

    /// What the coordinator is told while nothing else is done.
    pub(super) fn doing(&self) -> Option<Doing> {
        let seconds = self.wait_s.filter(|_| !self.jobs.is_empty())?;
        Some(Doing::Waits { seconds })
    }
}

impl<S: Store, N: HospitalNet, C: Crypto<Job = HospitalJob>, K: Clock> HospitalDriver<S, N, C, K> {
    /// In how many seconds this site may train, by its own rules; `None`, as at first, where it may now. Takes effect
    /// with the next event; what trains already goes on to its end.
    pub fn train_in(&mut self, wait_s: Option<u64>) {
        self.held.wait_s = wait_s;
        if wait_s.is_none() && !self.held.jobs.is_empty() {
            let jobs: VecDeque<Work> = std::mem::take(&mut self.held.jobs).into_iter().map(Work::Ready).collect();
            let rest = std::mem::replace(&mut self.work, jobs);
            self.work.extend(rest);
            self.notes.push(HospitalNote::HeldBack { seconds: None });
        }
    }

    /// Lays a job aside.
    pub(super) fn hold(&mut self, job: HospitalJob) {
        self.held.jobs.retain(|other| std::mem::discriminant(other) != std::mem::discriminant(&job));
        self.held.jobs.push(job);
        self.notes.push(HospitalNote::HeldBack { seconds: self.held.wait_s });
    }

    /// Forgets what was held back and is of no use any more.
    pub(super) fn let_go(&mut self, is_done: impl Fn(&HospitalJob) -> bool) {
        let before = self.held.jobs.len();
        self.held.jobs.retain(|job| !is_done(job));
        if before > 0 && self.held.jobs.is_empty() {
            self.notes.push(HospitalNote::HeldBack { seconds: None });
        }
    }
}

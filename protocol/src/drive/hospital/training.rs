//! What training a head needs of others: everybody's features, group after group so that one is in memory at a time,
//! and the bodies of a refresh.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::blob::{BodyRoot, ListId};
use crate::drive::hospital::wanted::{Wanted, digests};
use crate::drive::hospital::work::{Then, Work};
use crate::drive::hospital::{HeadJob, HospitalJob};
use crate::hospital::Uploads;
use crate::ids::{Digest, PartyId};
use crate::training::TrainingTask;

/// Everybody's features that are not taken up yet.
pub(super) struct FeaturesLeft {
    /// Whom they are of, of how many groups.
    groups: Vec<(PartyId, u32)>,
    rows: u64,
    uploads: VecDeque<(PartyId, u32, BodyRoot)>,
    /// Of the hospital whose features are being taken up: the group that follows, its bodies, and of those after it.
    of: Option<(PartyId, u32, VecDeque<Vec<Digest>>)>,
}

impl FeaturesLeft {
    pub(super) fn all(uploads: Uploads, rows: u64) -> Work {
        let groups = uploads.iter().map(|(party, groups, _)| (*party, *groups)).collect();
        Work::Features(Self { groups, rows, uploads: uploads.into(), of: None })
    }

    /// What is fetched next, and what follows; the last is the program of the steps.
    pub(super) fn next(mut self) -> (Work, Option<Work>) {
        if let Some((of, group, left)) = &mut self.of {
            if let Some(bodies) = left.pop_front() {
                let (of, index) = (*of, *group);
                *group += 1;
                let first = index.saturating_mul(small(bodies.len()));
                let wanted = (first..)
                    .zip(bodies)
                    .map(|(place, digest)| Wanted::digest(ListId::features(of).body(place), digest));
                let work = Work::Fetch { wanted: wanted.collect(), then: Then::Features { of, group: index } };
                return (work, Some(Work::Features(self)));
            }
            self.of = None;
        }
        match self.uploads.pop_front() {
            Some((of, groups, root)) => {
                let wanted = vec![Wanted::list(ListId::features(of), root)];
                (Work::Fetch { wanted, then: Then::FeaturesList { of, groups, left: self } }, None)
            }
            None => (Work::Ready(HospitalJob::Head(HeadJob::Prepare { groups: self.groups, rows: self.rows })), None),
        }
    }

    /// Its bodies are known: as many for each group as for the others, which the machine compared.
    pub(super) fn of(mut self, of: PartyId, groups: u32, bodies: &Bytes) -> Work {
        let all = digests(bodies).unwrap_or_default();
        let each = (all.len() / groups.max(1) as usize).max(1);
        self.of = Some((of, 0, all.chunks(each).map(<[Digest]>::to_vec).collect()));
        Work::Features(self)
    }
}

impl Work {
    /// A task of a training, with what others bring to it.
    pub(super) fn train_head(task: TrainingTask) -> Self {
        let lists = task.lists();
        if lists.is_empty() {
            return Self::Ready(HospitalJob::Head(HeadJob::Do { task, bodies: Vec::new() }));
        }
        let wanted = lists.iter().map(|(list, root)| Wanted::list(*list, *root)).collect();
        let lists = lists.into_iter().map(|(list, _)| list).collect();
        Self::Fetch { wanted, then: Then::TaskLists { task, lists } }
    }

    /// The bodies of the lists that a task needs.
    pub(super) fn task_bodies(task: TrainingTask, lists: Vec<ListId>, bodies: &[Bytes]) -> Self {
        let all = lists.into_iter().zip(bodies.iter().map(|body| digests(body).unwrap_or_default()));
        let all: Vec<(ListId, Vec<Digest>)> = all.collect();
        let of = |(list, digests): &(ListId, Vec<Digest>)| {
            let list = *list;
            (0u32..).zip(digests.clone()).map(move |(index, digest)| Wanted::digest(list.body(index), digest))
        };
        let wanted = all.iter().flat_map(of).collect();
        let counts = all.into_iter().map(|(list, digests)| (list, digests.len())).collect();
        Self::Fetch { wanted, then: Then::Task { task, counts } }
    }
}

/// The job of a task whose bodies are all there, list by list.
pub(super) fn task_job(task: TrainingTask, counts: Vec<(ListId, usize)>, bodies: Vec<Bytes>) -> HospitalJob {
    let mut bodies = bodies.into_iter();
    let bodies = counts.into_iter().map(|(list, count)| (list, bodies.by_ref().take(count).collect())).collect();
    HospitalJob::Head(HeadJob::Do { task, bodies })
}

fn small(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

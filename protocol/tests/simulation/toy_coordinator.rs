//! The coordinator's work with toy cryptography: it adds the bytes that hospitals sent, and knows no secret.

use bytes::Bytes;
use protocol::blob::{BlobId, BlobKind};
use protocol::drive::coordinator::{CoordinatorJob, Inspection, JobResult, KeysAdded, ModelAdded, SumMade};
use protocol::drive::{ListId, Store, StoreFault};
use protocol::message::{Key, KeyStep};
use protocol::{Attempt, BodyRoot, Digest, PartyId, PartySet, QueryId, RoundId};

use crate::schedule::Planted;
use crate::sim_store::SimStore;
use crate::toy::Lanes;
use crate::toy_head::HeadDesk;
use crate::toy_hospital::ROTATIONS;

pub(crate) struct ToyCoordinator {
    pub(crate) store: SimStore,
    pub(crate) parties: PartySet,
    pub(crate) planted: Option<Planted>,
    /// The published model, while serving.
    pub(crate) model: Option<Lanes>,
}

impl ToyCoordinator {
    /// Does a job; one result, or one per query of a batch.
    pub(crate) fn run(&mut self, job: CoordinatorJob) -> Vec<JobResult> {
        match job {
            CoordinatorJob::AddKeys { step, .. } => {
                let body = self.add_keys(step);
                if let Err(StoreFault::Failed { .. }) = body {
                    return vec![JobResult::Again];
                }
                vec![JobResult::Keys(KeysAdded { step, body: body.ok() })]
            }
            CoordinatorJob::PrepareTraining(_)
            | CoordinatorJob::InspectPart { .. }
            | CoordinatorJob::TrainHead { .. } => {
                let lies = self.planted == Some(Planted::Strays);
                vec![HeadDesk { store: &mut self.store, lies }.job(job)]
            }
            CoordinatorJob::Inspect(Inspection { list, .. }) => {
                let ListId { kind, round, attempt, party } = list;
                let round = RoundId(u32::try_from(round).unwrap());
                let read = self.lanes(&BlobId::round(kind, round, Attempt(attempt), party, 0));
                vec![match read {
                    Err(StoreFault::Failed { .. }) => JobResult::Again,
                    read => JobResult::Inspected(list, read.is_ok()),
                }]
            }
            CoordinatorJob::Combine { round, attempt, cohort, decryptors, .. } => {
                let place = |kind, party| BlobId::round(kind, round, attempt, party, 0);
                let mut updates: Vec<BlobId> =
                    cohort.iter().map(|party| place(BlobKind::UpdateChunk, Some(party))).collect();
                match self.planted {
                    Some(Planted::Drops) => drop(updates.pop()),
                    Some(Planted::Doubles) => updates[0] = updates[1],
                    Some(Planted::Swaps) => {
                        let other = updates[0].attempt + 1;
                        updates[0] = BlobId { attempt: other, ..updates[0] };
                    }
                    Some(
                        Planted::Names(_)
                        | Planted::Singles
                        | Planted::Results
                        | Planted::Steers
                        | Planted::Alters
                        | Planted::Strays,
                    )
                    | None => {}
                }
                let added = match self.planted {
                    Some(Planted::Steers) => Lanes::one_hot(PartyId::new(1).unwrap()),
                    _ => Lanes::default(),
                };
                let chunks = self.blinded(&updates, decryptors, |party| place(BlobKind::Share, Some(party)));
                let chunks = chunks.and_then(|sum| {
                    let body = sum.plus(&added).to_bytes();
                    self.store.put(&place(BlobKind::SumChunk, None), &body)
                });
                if let Err(StoreFault::Failed { .. }) = chunks {
                    return vec![JobResult::Again];
                }
                if self.planted == Some(Planted::Alters) {
                    self.store.0.borrow_mut().bodies.insert(updates[0], Lanes::default().to_bytes());
                }
                vec![JobResult::Sum(SumMade { attempt, chunks: chunks.ok().map(|digest| vec![digest]) })]
            }
            CoordinatorJob::AddModel { attempt, cohort, count, .. } => {
                assert_eq!(count, 1);
                let place = |party| BlobId::round(BlobKind::PublishChunk, RoundId(0), attempt, party, 0);
                let cohort = match self.planted {
                    Some(Planted::Singles) => cohort.first().into_iter().collect(),
                    _ => cohort,
                };
                let sum = self.sum(cohort, |party| place(Some(party)));
                let model = sum.and_then(|sum| self.put(place(None), sum.to_bytes()));
                if let Err(StoreFault::Failed { .. }) = model {
                    return vec![JobResult::Again];
                }
                vec![JobResult::Model(ModelAdded { attempt, model: model.ok().map(|body| body.root) })]
            }
            CoordinatorJob::Load { published, .. } => {
                let place = BlobId::round(BlobKind::PublishChunk, RoundId(0), published.attempt, None, 0);
                self.model = self.store.get(&place).ok().and_then(|body| Lanes::from_bytes(&body));
                vec![JobResult::Loaded(self.model.is_some())]
            }
            CoordinatorJob::Evaluate(batch) => batch
                .iter()
                .map(|one| JobResult::Evaluated(one.query, self.evaluate(one.query, one.asker).ok()))
                .collect(),
        }
    }

    /// Adds up every body of a step; a lie is told of one in the middle.
    fn add_keys(&mut self, step: KeyStep) -> Result<BodyRoot, StoreFault> {
        let bodies = if step.key() == Key::Galois { ROTATIONS } else { 1 };
        let (mut digests, mut size_bytes) = (Vec::new(), 0);
        for index in 0..bodies {
            let place = |party| step.body(party, index);
            let lie = match self.planted {
                Some(Planted::Names(of)) if of == step && index == bodies / 2 => {
                    Lanes::one_hot(PartyId::new(1).unwrap())
                }
                _ => Lanes::default(),
            };
            let body = self.sum(self.parties, |party| place(Some(party)))?.plus(&lie).to_bytes();
            size_bytes += body.len() as u64;
            digests.push(self.store.put(&place(None), &body)?);
        }
        Ok(BodyRoot::of(&digests, size_bytes))
    }

    fn evaluate(&mut self, query: QueryId, asker: PartyId) -> Result<BodyRoot, StoreFault> {
        let image = self.lanes(&BlobId::query(BlobKind::Query, query, Some(asker), 0))?;
        let model = self.model.unwrap_or_default();
        let result = match self.planted {
            Some(Planted::Results) => Lanes::one_hot(asker),
            _ => image.plus(&model),
        };
        self.put(BlobId::query(BlobKind::QueryResult, query, None, 0), result.to_bytes())
    }

    fn blinded(
        &self,
        terms: &[BlobId],
        decryptors: PartySet,
        share: impl Fn(PartyId) -> BlobId,
    ) -> Result<Lanes, StoreFault> {
        let shares: Vec<BlobId> = decryptors.iter().map(share).collect();
        let mut sum = Lanes::default();
        for id in terms.iter().chain(&shares) {
            sum = sum.plus(&self.lanes(id)?);
        }
        Ok(sum)
    }

    fn sum(&self, parties: PartySet, place: impl Fn(PartyId) -> BlobId) -> Result<Lanes, StoreFault> {
        let mut sum = Lanes::default();
        for party in parties.iter() {
            sum = sum.plus(&self.lanes(&place(party))?);
        }
        Ok(sum)
    }

    fn lanes(&self, id: &BlobId) -> Result<Lanes, StoreFault> {
        let body = self.store.get(id)?;
        Lanes::from_bytes(&body).ok_or(StoreFault::Missing { id: *id })
    }

    fn put(&mut self, id: BlobId, body: Bytes) -> Result<BodyRoot, StoreFault> {
        let size = body.len() as u64;
        let digest: Digest = self.store.put(&id, &body)?;
        Ok(BodyRoot::of(&[digest], size))
    }
}

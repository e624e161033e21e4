//! All parties of a training at one table: the machines of [`protocol::training`] decide, the parties compute.
//!
//! One does after the other what they do at the same time. What is said is signed and logged as it would be; there is
//! no network between them, and time does not pass: who is lost is known to be lost.

use std::collections::VecDeque;
use std::time::Instant;

use client::head::HeadRefusal;
use coordinator::head::HeadCoordinator;
use he_agg::ckks::Ciphertext;
use he_train::encrypted::RefreshOrder;
use protocol::log::{LogEntry, LogWriter};
use protocol::message::{HospitalMessage, LogMessage, Refusal};
use protocol::signature::SigningKey;
use protocol::training::{
    FollowerInput, FollowerOutput, HeadTask, Joining, RefreshBinding, SharesBlinded, StepJoined, StepTaken, TaskDone,
    TrainingInput, TrainingMachine, TrainingOutput, TrainingTask, TrainingTerms,
};
use protocol::{Attempt, BlobKind, BodyRoot, Digest, PartyId, PartySet, Reject, StepId};

use super::error::HeadRunError;
use super::seat::{Seat, Signers};
use super::shelf::{Shelf, first};
use super::sight::Sight;
use super::steps::StepTimes;

/// What happens next.
enum Event {
    Coordinator(Box<TrainingInput>),
    Entry(Box<LogEntry>),
    Hospital(usize, Box<FollowerOutput>),
}

/// A hospital that is lost on purpose before its share in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) party: u16,
    pub(super) step: u32,
}

/// Everybody, and what lies between them.
pub(super) struct Table {
    signers: Signers,
    machine: TrainingMachine,
    writer: LogWriter,
    coordinator: HeadCoordinator,
    seats: Vec<Seat>,
    shelf: Shelf,
    waiting: VecDeque<Event>,
    lost: Vec<Lost>,
    /// Who is lost already, and does nothing any more.
    gone: PartySet,
    /// The step that the coordinator takes next.
    next: Option<StepId>,
    /// What hospitals were asked for last.
    order: Option<RefreshOrder>,
    times: Vec<StepTimes>,
    /// What the last step left, as hospitals are asked to refresh it.
    packages: Vec<Vec<u8>>,
    /// After the last step: under the serving key.
    finished: Vec<Ciphertext>,
    verified: PartySet,
}

impl Table {
    /// Before the first step. The hospitals at the table follow, the others have only uploaded.
    pub(super) fn new(
        (signers, key): (Signers, SigningKey),
        terms: &TrainingTerms,
        coordinator: HeadCoordinator,
        mut seats: Vec<Seat>,
        lost: Vec<Lost>,
    ) -> Self {
        let live = seats.iter().map(|seat| seat.party).collect();
        let mut machine = TrainingMachine::new(signers.roster.clone(), live, terms.clone());
        let mut waiting = VecDeque::new();
        for (place, seat) in seats.iter_mut().enumerate() {
            let outputs = seat.hears(FollowerInput::Start);
            waiting.extend(outputs.into_iter().map(|output| Event::Hospital(place, Box::new(output))));
        }
        // All that there is to do at first.
        let begins =
            machine.on(0, TrainingInput::Start).contains(&TrainingOutput::Do(HeadTask::Take { step: StepId::FIRST }));
        Self {
            writer: LogWriter::new(key),
            signers,
            machine,
            coordinator,
            seats,
            shelf: Shelf::default(),
            waiting,
            lost,
            gone: PartySet::EMPTY,
            next: begins.then_some(StepId::FIRST),
            order: None,
            times: vec![StepTimes::default(); terms.steps as usize],
            packages: Vec::new(),
            finished: Vec::new(),
            verified: PartySet::EMPTY,
        }
    }

    /// Takes the next step, everywhere, and refreshes what it leaves; after the last one hospitals agree on the head.
    pub(super) fn step(&mut self, sight: &mut Sight) -> Result<StepTimes, HeadRunError> {
        let Some(step) = self.next.take() else { return Err(HeadRunError::StandsStill) };
        self.shelf.forget_before(step);
        let started = Instant::now();
        self.packages = self.coordinator.packages(&first(step, Attempt::FIRST))?;
        self.took(step, started, |times, seconds| times.evaluate += seconds);
        sight.look_at_all("what a step leaves", &self.packages);
        let packages = BodyRoot::of_bodies(&self.packages);
        self.tell(TrainingInput::Taken(StepTaken { step, attempt: Attempt::FIRST, packages }));
        while let Some(event) = self.waiting.pop_front() {
            match event {
                Event::Coordinator(input) => {
                    for output in self.machine.on(0, *input) {
                        self.coordinate(output, sight)?;
                    }
                }
                Event::Entry(entry) => {
                    for place in (0..self.seats.len()).filter(|&place| !self.is_gone(place)).collect::<Vec<_>>() {
                        let outputs = self.seats[place].reads(&entry)?;
                        self.expect(place, outputs);
                    }
                }
                Event::Hospital(place, _) if self.is_gone(place) => {}
                Event::Hospital(place, output) => self.act(place, *output, sight)?,
            }
        }
        let missing = self.machine.needs_all();
        if !missing.is_empty() {
            let need = self.signers.roster.threshold();
            return Err(HeadRunError::TooFew { step: step.0, missing: missing.numbers(), need });
        }
        Ok(self.times[step.0 as usize - 1])
    }

    /// What the last step left, and the finished head of it under the serving key, if hospitals agreed on that.
    pub(super) fn finished(self) -> Result<(Vec<Vec<u8>>, Vec<Ciphertext>), HeadRunError> {
        if self.verified.is_empty() {
            return Err(HeadRunError::StandsStill);
        }
        Ok((self.packages, self.finished))
    }

    fn tell(&mut self, input: TrainingInput) {
        self.waiting.push_back(Event::Coordinator(Box::new(input)));
    }

    fn expect(&mut self, place: usize, outputs: Vec<FollowerOutput>) {
        self.waiting.extend(outputs.into_iter().map(|output| Event::Hospital(place, Box::new(output))));
    }

    fn took(&mut self, step: StepId, started: Instant, add: impl FnOnce(&mut StepTimes, f64)) {
        let seconds = started.elapsed().as_secs_f64();
        if let Some(times) = self.times.get_mut(step.0 as usize - 1) {
            times.here += seconds;
            add(times, seconds);
        }
    }

    /// Does what the coordinator's machine decides.
    fn coordinate(&mut self, output: TrainingOutput, sight: &mut Sight) -> Result<(), HeadRunError> {
        match output {
            TrainingOutput::Append(message) => {
                match &message {
                    LogMessage::RefreshOpen(open) => {
                        let (epoch, program) = (self.signers.roster.epoch(), Digest::default());
                        self.order = Some(self.shelf.order(&RefreshBinding::of(epoch, program, open)));
                    }
                    LogMessage::RefreshVoid(void) => self.times[void.step.0 as usize - 1].voided += 1,
                    _ => {}
                }
                let entry = self.writer.append(message);
                self.waiting.push_back(Event::Entry(Box::new(entry)));
            }
            TrainingOutput::AwaitBodies { kind, step, attempt, party, body } => {
                // Everything is made before it is announced.
                let place = (kind, step, attempt, Some(party));
                let order = self.order.clone().unwrap_or_else(|| first(step, attempt));
                let is_fit = self.shelf.is(place, body)
                    && self.coordinator.is_fit(&order, (kind, party.number()), self.shelf.list(place))?;
                self.tell(if is_fit {
                    TrainingInput::BodiesComplete { kind, step, attempt, party }
                } else {
                    TrainingInput::Unfit { step, attempt, party }
                });
            }
            TrainingOutput::Do(task) => self.compute(task, sight)?,
            // Said of an attempt that somebody else has ended meanwhile.
            TrainingOutput::Reject { reject: Reject::TooLate, .. } => {}
            TrainingOutput::Reject { party, reject } => {
                return Err(HeadRunError::Told { hospital: party.number(), reject });
            }
            TrainingOutput::WakeAt(_) => {}
            TrainingOutput::Finished { verified, .. } => self.verified = verified,
            TrainingOutput::Failed(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    /// Does what takes the coordinator long.
    fn compute(&mut self, task: HeadTask, sight: &mut Sight) -> Result<(), HeadRunError> {
        match task {
            HeadTask::Take { step } => self.next = Some(step),
            HeadTask::AddZeros { step, attempt, decryptors } => {
                let zeros = self.shelf.of_all(BlobKind::RefreshZero, (step, attempt), decryptors.iter());
                let order = RefreshOrder { zeros, decryptors: decryptors.numbers(), ..first(step, attempt) };
                let started = Instant::now();
                self.packages = self.coordinator.packages(&order)?;
                self.took(step, started, |times, seconds| times.evaluate += seconds);
                sight.look_at_all("what a step leaves, with zeros", &self.packages);
                self.tell(TrainingInput::Taken(StepTaken {
                    step,
                    attempt,
                    packages: BodyRoot::of_bodies(&self.packages),
                }));
            }
            HeadTask::Blind(RefreshBinding { step, attempt, decryptors, .. }) => {
                let shares = self.shelf.of_all(BlobKind::RefreshShare, (step, attempt), decryptors.iter());
                let shares: Vec<_> = shares.into_iter().map(|(_, shares)| shares).collect();
                let order = self.order()?;
                let started = Instant::now();
                let sums = self.coordinator.blinded(&order, &shares)?;
                self.took(step, started, |times, seconds| times.add += seconds);
                sight.look_at_all("blinded sums", &sums);
                let sums = self.shelf.put((BlobKind::RefreshSum, step, attempt, None), sums);
                self.tell(TrainingInput::Blinded(SharesBlinded { step, attempt, sums }));
            }
            HeadTask::Join(RefreshBinding { step, attempt, decryptors, opener, .. }) => {
                let masks = self.shelf.of_all(BlobKind::RefreshMask, (step, attempt), decryptors.iter());
                let order = self.order()?;
                let opening = self.shelf.list((BlobKind::RefreshOpening, step, attempt, Some(opener)));
                let started = Instant::now();
                let finished = self.coordinator.refreshed(&order, &masks, opening)?;
                self.took(step, started, |times, seconds| times.join = times.join.max(seconds));
                let model = finished.as_deref().map(digest);
                self.finished = finished.unwrap_or_default();
                self.tell(TrainingInput::Joined(StepJoined { step, model }));
            }
        }
        Ok(())
    }

    /// What hospitals were asked for last.
    fn order(&self) -> Result<RefreshOrder, HeadRunError> {
        self.order.clone().ok_or(HeadRunError::StandsStill)
    }

    /// Does what a hospital's machine decides.
    fn act(&mut self, place: usize, output: FollowerOutput, sight: &mut Sight) -> Result<(), HeadRunError> {
        match output {
            FollowerOutput::Do(task) => self.work(place, task, sight)?,
            FollowerOutput::Say(body) => {
                let message = self.seats[place].sign(&self.signers, body);
                message.into_iter().for_each(|message| self.tell(TrainingInput::Message(message)));
            }
            FollowerOutput::Refuse { scope, number, attempt, reject } => {
                let refusal = Refusal { scope, number, attempt: attempt.0, reject };
                let message = self.seats[place].sign(&self.signers, HospitalMessage::Refusal(refusal));
                message.into_iter().for_each(|message| self.tell(TrainingInput::Message(message)));
            }
            // It lies where it was made.
            FollowerOutput::Upload { .. } => {}
        }
        Ok(())
    }

    /// Does what takes a hospital long.
    fn work(&mut self, place: usize, task: TrainingTask, sight: &mut Sight) -> Result<(), HeadRunError> {
        let party = self.seats[place].party;
        match task {
            TrainingTask::Take { step } => {
                self.packages_of(place, &first(step, Attempt::FIRST))?;
            }
            TrainingTask::AddZeros { step, attempt, zeros } => {
                let zeros = self.shelf.of_all(BlobKind::RefreshZero, (step, attempt), zeros.into_iter().map(|it| it.0));
                let decryptors = zeros.iter().map(|(party, _)| *party).collect();
                self.packages_of(place, &RefreshOrder { zeros, decryptors, ..first(step, attempt) })?;
            }
            TrainingTask::MakeZeros { step, attempt } => {
                let RefreshOrder { step: number, attempt: count, .. } = first(step, attempt);
                let started = Instant::now();
                let zeros = self.seats[place].decryptor.zeros(number, count)?;
                self.took(step, started, |times, seconds| times.share = times.share.max(seconds));
                sight.look_at_all("a decryptor's zeros", &zeros);
                let body = self.shelf.put((BlobKind::RefreshZero, step, attempt, Some(party)), zeros);
                let outputs = self.seats[place].hears(FollowerInput::Done(TaskDone::ZerosMade { step, attempt, body }));
                self.expect(place, outputs);
            }
            TrainingTask::Share(binding, _) if self.is_lost(party, binding.step) => {
                self.gone.insert(party);
                self.tell(TrainingInput::PartyGone(party));
            }
            TrainingTask::Share(binding, _) => self.share(place, &binding, sight)?,
            TrainingTask::Open { binding, .. } => self.open(place, &binding, sight)?,
            TrainingTask::Join(joining) => self.join(place, &joining)?,
        }
        Ok(())
    }

    fn is_gone(&self, place: usize) -> bool {
        self.gone.contains(self.seats[place].party)
    }

    fn is_lost(&self, party: PartyId, step: StepId) -> bool {
        self.lost.iter().any(|lost| lost.party == party.number() && lost.step <= step.0)
    }

    fn packages_of(&mut self, place: usize, order: &RefreshOrder) -> Result<(), HeadRunError> {
        let (step, attempt) = (StepId(order.step + 1), Attempt(order.attempt + 1));
        let started = Instant::now();
        let packages = self.seats[place].decryptor.packages(order)?;
        self.took(step, started, |times, seconds| times.verify = times.verify.max(seconds));
        let packages = BodyRoot::of_bodies(&packages);
        let outputs = self.seats[place].hears(FollowerInput::Done(TaskDone::Taken { step, attempt, packages }));
        self.expect(place, outputs);
        Ok(())
    }

    fn share(&mut self, place: usize, binding: &RefreshBinding, sight: &mut Sight) -> Result<(), HeadRunError> {
        let RefreshBinding { step, attempt, packages, .. } = *binding;
        let (order, party) = (self.shelf.order(binding), self.seats[place].party);
        let started = Instant::now();
        let parts = match self.seats[place].decryptor.share(&order, packages) {
            Ok(parts) => parts,
            Err(refusal) => return self.unable(place, (step, attempt), refusal),
        };
        self.took(step, started, |times, seconds| times.share = times.share.max(seconds));
        let (shares, masks): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.share, part.mask)).unzip();
        sight.look_at_all("a decryptor's shares", &shares);
        sight.look_at_all("a decryptor's masks", &masks);
        self.times[step.0 as usize - 1].bytes = shares.iter().chain(&masks).map(Vec::len).sum();
        let shares = self.shelf.put((BlobKind::RefreshShare, step, attempt, Some(party)), shares);
        let masks = self.shelf.put((BlobKind::RefreshMask, step, attempt, Some(party)), masks);
        let outputs = self.seats[place].hears(FollowerInput::Done(TaskDone::Shared { step, attempt, shares, masks }));
        self.expect(place, outputs);
        Ok(())
    }

    fn open(&mut self, place: usize, binding: &RefreshBinding, sight: &mut Sight) -> Result<(), HeadRunError> {
        let RefreshBinding { step, attempt, packages, .. } = *binding;
        let (order, party) = (self.shelf.order(binding), self.seats[place].party);
        let sums = self.shelf.list((BlobKind::RefreshSum, step, attempt, None));
        let started = Instant::now();
        let opened = match self.seats[place].decryptor.open(&order, packages, sums) {
            Ok(opened) => opened,
            Err(refusal) => return self.unable(place, (step, attempt), refusal),
        };
        self.took(step, started, |times, seconds| times.open = times.open.max(seconds));
        sight.look_at_all("what was opened", &opened);
        let body = self.shelf.put((BlobKind::RefreshOpening, step, attempt, Some(party)), opened);
        let outputs = self.seats[place].hears(FollowerInput::Done(TaskDone::Opened { step, attempt, body }));
        self.expect(place, outputs);
        Ok(())
    }

    fn join(&mut self, place: usize, joining: &Joining) -> Result<(), HeadRunError> {
        let binding = joining.binding();
        let RefreshBinding { step, attempt, packages, opener, .. } = binding;
        let makers = joining.masks.iter().map(|(party, _)| *party);
        let masks = self.shelf.of_all(BlobKind::RefreshMask, (step, attempt), makers);
        let (order, place_of) = (self.shelf.order(&binding), (BlobKind::RefreshOpening, step, attempt, Some(opener)));
        let opening = self.shelf.list(place_of);
        let started = Instant::now();
        let own = self.seats[place].decryptor.refreshed(&order, packages, &masks, opening)?;
        self.took(step, started, |times, seconds| times.join = times.join.max(seconds));
        let model = own.as_deref().map(digest);
        let outputs = self.seats[place].hears(FollowerInput::Done(TaskDone::Joined { step, model }));
        self.expect(place, outputs);
        Ok(())
    }

    /// A hospital says aloud what others may know of why it does not; the rest ends the run.
    fn unable(
        &mut self,
        place: usize,
        (step, attempt): (StepId, Attempt),
        refusal: HeadRefusal<std::convert::Infallible>,
    ) -> Result<(), HeadRunError> {
        let Some(reject) = refusal.reject() else { return Err(refusal.into()) };
        let outputs = self.seats[place].hears(FollowerInput::Done(TaskDone::Unable { step, attempt, reject }));
        self.expect(place, outputs);
        Ok(())
    }
}

/// Of the finished head.
fn digest(head: &[Ciphertext]) -> Digest {
    BodyRoot::of_bodies(&head.iter().map(Ciphertext::to_bytes).collect::<Vec<_>>()).root
}

#[cfg(test)]
mod tests;

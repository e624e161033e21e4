//! A coordinator and hospitals that follow it, in one place.

use std::collections::{BTreeSet, VecDeque};

use crate::blob::{BlobKind, BodyRoot};
use crate::cast::{digest, party, roster, signed};
use crate::ids::{Attempt, Digest, StepId};
use crate::message::{HospitalMessage, LogMessage, RefreshOpen, Refusal};
use crate::roster::Roster;
use crate::training::{
    Follower, FollowerInput, FollowerOutput, HeadTask, RefreshBinding, SharesBlinded, StepJoined, StepTaken, TaskDone,
    TrainingFailure, TrainingInput, TrainingMachine, TrainingOutput, TrainingTask, TrainingTerms,
};

pub(super) const DEADLINE_MS: u64 = 10_000;
const STEPS: u32 = 3;

pub(in crate::training) fn terms() -> TrainingTerms {
    TrainingTerms {
        program: digest("program"),
        served: digest("served"),
        steps: STEPS,
        packages: 2,
        attempts_max: 3,
        refresh_deadline_ms: DEADLINE_MS,
    }
}

/// Two bodies of this name.
pub(in crate::training) fn list(name: &str) -> BodyRoot {
    BodyRoot::of(&[digest(&format!("{name} 0")), digest(&format!("{name} 1"))], 200)
}

/// What a step leaves, with the zeros of the attempt.
pub(in crate::training) fn packages(step: StepId, attempt: Attempt) -> BodyRoot {
    if attempt == Attempt::FIRST { list(&format!("left {step}")) } else { list(&format!("left {step} + {attempt}")) }
}

pub(in crate::training) fn head() -> Digest {
    digest("encrypted head")
}

pub(super) struct World {
    roster: Roster,
    pub(super) machine: TrainingMachine,
    pub(super) followers: Vec<Follower>,
    pub(super) now_ms: u64,
    pub(super) log: Vec<LogMessage>,
    said: Vec<TrainingOutput>,
    jobs: Vec<(u16, &'static str)>,
    /// They do nothing.
    pub(super) away: BTreeSet<u16>,
    /// Their own steps are others.
    pub(super) wrong: BTreeSet<u16>,
    /// Their bodies of these kinds do not arrive.
    pub(super) silent: BTreeSet<(u16, BlobKind)>,
    /// Or are no part of a refresh.
    pub(super) unfit: BTreeSet<(u16, BlobKind)>,
    pub(super) mute_verdicts: BTreeSet<u16>,
    pub(super) other_heads: BTreeSet<u16>,
    /// The coordinator takes no step after this one.
    until: u32,
    waiting: VecDeque<Event>,
}

enum Event {
    Coordinator(TrainingInput),
    Entry(LogMessage),
    Hospital(u16, FollowerOutput),
}

impl World {
    pub(super) fn new(hospitals: u16, threshold: u16) -> Self {
        let roster = roster(hospitals, threshold);
        let machine = TrainingMachine::new(roster.clone(), roster.parties(), terms());
        let followers = (1..=hospitals).map(|number| Follower::new(party(number), roster.clone(), terms())).collect();
        Self {
            roster,
            machine,
            followers,
            now_ms: 0,
            log: Vec::new(),
            said: Vec::new(),
            jobs: Vec::new(),
            away: BTreeSet::new(),
            wrong: BTreeSet::new(),
            silent: BTreeSet::new(),
            unfit: BTreeSet::new(),
            mute_verdicts: BTreeSet::new(),
            other_heads: BTreeSet::new(),
            until: u32::MAX,
            waiting: VecDeque::new(),
        }
    }

    fn numbers(&self) -> Vec<u16> {
        self.roster.parties().numbers()
    }

    /// Everybody begins; on until nothing more happens.
    pub(super) fn starts(&mut self) {
        self.numbers().into_iter().for_each(|number| self.hospital(number, FollowerInput::Start));
        self.says(TrainingInput::Start);
    }

    pub(super) fn starts_and_stops_after(&mut self, step: u32) {
        self.until = step;
        self.starts();
    }

    /// After that.
    pub(super) fn goes_on(&mut self) {
        self.until = u32::MAX;
        let (step, attempt) = (self.machine.step(), Attempt::FIRST);
        self.says(TrainingInput::Taken(StepTaken { step, attempt, packages: packages(step, attempt) }));
    }

    /// A hospital's new process reads the log from its first entry.
    pub(super) fn joins_again(&mut self, number: u16) {
        self.followers[usize::from(number) - 1] = Follower::new(party(number), self.roster.clone(), terms());
        self.hospital(number, FollowerInput::Start);
        for entry in self.log.clone() {
            self.hospital(number, FollowerInput::Entry(&entry));
        }
        self.run();
    }

    pub(super) fn says(&mut self, input: TrainingInput) {
        self.waiting.push_back(Event::Coordinator(input));
        self.run();
    }

    pub(super) fn passes(&mut self, ms: u64) {
        self.now_ms += ms;
        self.says(TrainingInput::Tick);
    }

    fn run(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            match event {
                Event::Coordinator(input) => {
                    for output in self.machine.on(self.now_ms, input) {
                        self.said.push(output.clone());
                        self.carry_out(output);
                    }
                }
                Event::Entry(entry) => {
                    let numbers = self.numbers();
                    numbers.into_iter().for_each(|number| self.hospital(number, FollowerInput::Entry(&entry)));
                }
                Event::Hospital(number, output) => self.carry_out_at(number, output),
            }
        }
    }

    fn carry_out(&mut self, output: TrainingOutput) {
        let answer = match output {
            TrainingOutput::Append(entry) => {
                self.log.push(entry.clone());
                return self.waiting.push_back(Event::Entry(entry));
            }
            TrainingOutput::AwaitBodies { kind, step, attempt, party, .. } => {
                let key = (party.number(), kind);
                if self.silent.contains(&key) {
                    return;
                }
                if self.unfit.contains(&key) {
                    TrainingInput::Unfit { step, attempt, party }
                } else {
                    TrainingInput::BodiesComplete { kind, step, attempt, party }
                }
            }
            TrainingOutput::Do(HeadTask::Take { step }) if step.0 > self.until => return,
            TrainingOutput::Do(HeadTask::Take { step }) => {
                let attempt = Attempt::FIRST;
                TrainingInput::Taken(StepTaken { step, attempt, packages: packages(step, attempt) })
            }
            TrainingOutput::Do(HeadTask::AddZeros { step, attempt, .. }) => {
                TrainingInput::Taken(StepTaken { step, attempt, packages: packages(step, attempt) })
            }
            TrainingOutput::Do(HeadTask::Blind(RefreshBinding { step, attempt, .. })) => {
                TrainingInput::Blinded(SharesBlinded { step, attempt, sums: list(&format!("sums {step} {attempt}")) })
            }
            TrainingOutput::Do(HeadTask::Join(RefreshBinding { step, .. })) => {
                TrainingInput::Joined(StepJoined { step, model: (step.0 == STEPS).then(head) })
            }
            _ => return,
        };
        self.waiting.push_back(Event::Coordinator(answer));
    }

    fn hospital(&mut self, number: u16, input: FollowerInput<'_>) {
        if self.away.contains(&number) {
            return;
        }
        let outputs = self.followers[usize::from(number) - 1].on(input);
        self.waiting.extend(outputs.into_iter().map(|output| Event::Hospital(number, output)));
    }

    fn carry_out_at(&mut self, number: u16, output: FollowerOutput) {
        match output {
            FollowerOutput::Do(task) => self.work(number, task),
            FollowerOutput::Say(body) => {
                let is_mute = matches!(body, HospitalMessage::ModelVerdict(_)) && self.mute_verdicts.contains(&number);
                if !is_mute {
                    self.waiting.push_back(Event::Coordinator(TrainingInput::Message(signed(number, body))));
                }
            }
            FollowerOutput::Refuse { scope, number: of, attempt, reject } => {
                let refusal = Refusal { scope, number: of, attempt: attempt.0, reject };
                let message = signed(number, HospitalMessage::Refusal(refusal));
                self.waiting.push_back(Event::Coordinator(TrainingInput::Message(message)));
            }
            FollowerOutput::Upload { .. } => {}
        }
    }

    fn work(&mut self, number: u16, task: TrainingTask) {
        let is_wrong = self.wrong.contains(&number);
        let own = |step, attempt| if is_wrong { list("something else") } else { packages(step, attempt) };
        let (job, answer) = match task {
            TrainingTask::Take { step } => {
                let attempt = Attempt::FIRST;
                ("take", TaskDone::Taken { step, attempt, packages: own(step, attempt) })
            }
            TrainingTask::AddZeros { step, attempt, .. } => {
                ("add", TaskDone::Taken { step, attempt, packages: own(step, attempt) })
            }
            TrainingTask::MakeZeros { step, attempt } => {
                ("zeros", TaskDone::ZerosMade { step, attempt, body: list(&format!("zeros {number} {attempt}")) })
            }
            TrainingTask::Share(binding, _) => {
                let (step, attempt) = (binding.step, binding.attempt);
                let [shares, masks] = ["shares", "masks"].map(|what| list(&format!("{what} {number} {attempt}")));
                ("share", TaskDone::Shared { step, attempt, shares, masks })
            }
            TrainingTask::Open { binding, .. } => {
                let (step, attempt) = (binding.step, binding.attempt);
                ("open", TaskDone::Opened { step, attempt, body: list(&format!("opened {attempt}")) })
            }
            TrainingTask::Join(joining) => {
                let step = joining.binding().step;
                let made = if self.other_heads.contains(&number) { digest("another head") } else { head() };
                ("join", TaskDone::Joined { step, model: (step.0 == STEPS).then_some(made) })
            }
        };
        self.jobs.push((number, job));
        self.hospital(number, FollowerInput::Done(answer));
    }

    /// How often hospitals did this.
    pub(super) fn made(&self, what: &str) -> usize {
        self.jobs.iter().filter(|(_, job)| *job == what).count()
    }

    /// How often this hospital did that.
    pub(super) fn did(&self, number: u16, what: &str) -> usize {
        self.jobs.iter().filter(|(of, job)| (*of, *job) == (number, what)).count()
    }

    pub(super) fn opened(&self) -> Vec<RefreshOpen> {
        let of = |entry: &LogMessage| match entry {
            LogMessage::RefreshOpen(open) => Some((**open).clone()),
            _ => None,
        };
        self.log.iter().filter_map(of).collect()
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let of = |entry: &LogMessage| match entry {
            LogMessage::ZerosOpen(_) => "zeros open",
            LogMessage::RefreshOpen(_) => "refresh open",
            LogMessage::RefreshBlinded(_) => "blinded",
            LogMessage::RefreshDone(_) => "done",
            LogMessage::RefreshVoid(_) => "void",
            LogMessage::ModelPublished(_) => "published",
            LogMessage::ModelVerified(_) => "verified",
            _ => "other",
        };
        self.log.iter().map(of).collect()
    }

    /// Who agrees on the head that is served.
    pub(super) fn finished(&self) -> Option<Vec<u16>> {
        self.said.iter().find_map(|output| match output {
            TrainingOutput::Finished { model, verified } if *model == head() => Some(verified.numbers()),
            _ => None,
        })
    }

    pub(super) fn failure(&self) -> Option<TrainingFailure> {
        self.said.iter().find_map(|output| match output {
            TrainingOutput::Failed(failure) => Some(*failure),
            _ => None,
        })
    }
}

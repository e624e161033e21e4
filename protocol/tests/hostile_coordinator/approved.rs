//! What was approved is what is done: so many rounds, no cohort below the agreed one, one published model.

use protocol::PartySet;
use protocol::facts::{Adopted, Fact, Published};
use protocol::hospital::{HospitalInput, HospitalMachine, HospitalOutput};
use protocol::limits::PUBLISH_ATTEMPTS_MAX;
use protocol::log::LogWriter;
use protocol::message::{LogMessage, PublishOpen, RoundOpen, RoundPurpose};
use protocol::terms::Terms;
use protocol::{Attempt, Digest, Reject, RoundId};

use crate::federation::{Federation, digest, hospital_under, refusals, set, terms};

/// Hospital 1 after its ceremony, started again with more facts, under other terms; and its coordinator's pen.
struct Alone {
    writer: LogWriter,
    machine: HospitalMachine,
    terms: Digest,
}

impl Alone {
    fn new(facts: Vec<Fact>, terms: Terms) -> Self {
        let federation = Federation::new();
        let facts = federation.facts[0].iter().cloned().chain(facts).collect();
        let digest = terms.digest();
        let mut machine = hospital_under(1, facts, terms);
        for entry in &federation.log {
            machine.on(0, HospitalInput::Entry(entry.clone()));
        }
        Self { writer: federation.writer, machine, terms: digest }
    }

    fn hears(&mut self, message: LogMessage) -> Vec<HospitalOutput> {
        let entry = self.writer.append(message);
        self.machine.on(0, HospitalInput::Entry(entry))
    }

    fn opens(&mut self, purpose: RoundPurpose) -> Vec<HospitalOutput> {
        let (base_model, terms) = (self.machine.model(), self.terms);
        self.hears(LogMessage::RoundOpen(RoundOpen { round: RoundId(20), purpose, base_model, terms }))
    }

    fn publishes(&mut self, attempt: u32, cohort: PartySet) -> Vec<HospitalOutput> {
        let (attempt, model, program) = (Attempt(attempt), self.machine.model(), digest("program"));
        self.hears(LogMessage::PublishOpen(PublishOpen { attempt, model, program, cohort }))
    }
}

fn adopted(rounds: u32) -> Vec<Fact> {
    let adopt = |round| Fact::Adopted(Adopted { round: RoundId(round), model: digest(&format!("model {round}")) });
    (1..=rounds).map(adopt).collect()
}

#[test]
fn no_round_is_trained_beyond_those_that_were_approved() {
    let trains = |outputs: &[HospitalOutput]| outputs.iter().any(|it| matches!(it, HospitalOutput::Train { .. }));
    let last = Alone::new(adopted(terms().rounds - 1), terms()).opens(RoundPurpose::Train);
    assert!(trains(&last), "{last:?}");
    let another = Alone::new(adopted(terms().rounds), terms()).opens(RoundPurpose::Train);
    assert!(!trains(&another));
    assert_eq!(refusals(&[another]), [Reject::PlanNotApproved]);
    let figures = Alone::new(adopted(terms().rounds), terms()).opens(RoundPurpose::Figures);
    assert!(trains(&figures), "their number is their own: {figures:?}");
}

#[test]
fn no_model_is_published_by_fewer_than_agreed_or_for_ever_anew() {
    let strict = Terms { min_cohort: 5, ..terms() };
    let contributes = |outputs: &[HospitalOutput]| matches!(outputs, [HospitalOutput::EncryptPublish { .. }]);
    let mut alone = Alone::new(Vec::new(), strict);
    let four = alone.publishes(1, set(&[1, 2, 3, 4]));
    assert!(!contributes(&four));
    assert_eq!(refusals(&[four]), [Reject::CohortTooSmall]);
    let all = set(&[1, 2, 3, 4, 5]);
    assert!(contributes(&alone.publishes(PUBLISH_ATTEMPTS_MAX, all)));
    let beyond = alone.publishes(PUBLISH_ATTEMPTS_MAX + 1, all);
    assert!(!contributes(&beyond));
    assert_eq!(refusals(&[beyond]), [Reject::LimitExceeded]);
    // The threshold holds where it is more than was agreed.
    let three = Alone::new(Vec::new(), Terms { min_cohort: 3, ..terms() }).publishes(1, set(&[1, 2, 3]));
    assert_eq!(refusals(&[three]), [Reject::CohortTooSmall]);
}

#[test]
fn after_one_model_nothing_is_contributed_to_another() {
    let published = Fact::Published(Published { model: digest("encrypted"), program: digest("program") });
    let outputs = Alone::new(vec![published], terms()).publishes(2, set(&[1, 2, 3, 4]));
    assert!(outputs.is_empty(), "{outputs:?}");
}

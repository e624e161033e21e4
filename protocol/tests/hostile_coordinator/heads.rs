//! A coordinator that cheats in the training of a head: on what all are bound to, hospitals train; on nothing else.

use protocol::facts::{Fact, HospitalFacts, Measured};
use protocol::hospital::{HospitalInput, HospitalOutput};
use protocol::message::{
    FeaturesHead, FeaturesOpen, FeaturesReady, HospitalMessage, LogMessage, ModelPublished, ModelVerdict,
    ModelVerified, OpeningHead, RefreshBlinded, RefreshDone, RefreshHead, RefreshOpen, RoundOpen, RoundPurpose, Scope,
    SignedMessage,
};
use protocol::terms::Terms;
use protocol::training::{HeadTerms, RefreshBinding, TaskDone, TrainingTask};
use protocol::{Attempt, BodyRoot, Epoch, Reject, RoundId, StepId};

use crate::federation::{Federation, N, body, digest, hospital_under, instead, key, party, refusals, sent, set, terms};
use crate::serving::on_log;

pub(crate) const T: &[u16] = &[1, 2, 3, 4];
const FIRST: (StepId, Attempt) = (StepId::FIRST, Attempt::FIRST);

/// A head of one step, whatever else was approved.
pub(crate) fn head_terms() -> HeadTerms {
    HeadTerms {
        recipe: digest("recipe"),
        keys: digest("key plan of the training"),
        moment_rounds: 0,
        steps: 1,
        packages: 1,
        groups_max: 3,
        group_bodies: 2,
        attempts_max: 3,
        tau_refreshing: 10,
        refresh_deadline_ms: 1_000,
    }
}

pub(crate) fn under_head() -> Terms {
    Terms { rounds: 0, figure_rounds: 0, head: Some(head_terms()), ..terms() }
}

/// What a hospital uploads.
pub(crate) fn features(number: u16) -> FeaturesHead {
    let body = BodyRoot { count: 2, ..body(&format!("features of {number}")) };
    FeaturesHead { groups: 1, rows: 500, body }
}

/// What everybody's step leaves, and what becomes of it.
pub(crate) fn packages() -> BodyRoot {
    body("packages")
}

pub(crate) fn done(task: &TrainingTask, number: u16) -> TaskDone {
    match task {
        TrainingTask::Take { step } => TaskDone::Taken { step: *step, attempt: Attempt::FIRST, packages: packages() },
        TrainingTask::Share(binding, _) => {
            let (step, attempt) = (binding.step, binding.attempt);
            let [shares, masks] = ["shares", "masks"].map(|what| body(&format!("{what} of {number}")));
            TaskDone::Shared { step, attempt, shares, masks }
        }
        TrainingTask::Open { binding, .. } => {
            TaskDone::Opened { step: binding.step, attempt: binding.attempt, body: body("opening") }
        }
        TrainingTask::Join(joining) => TaskDone::Joined { step: joining.binding().step, model: Some(digest("head")) },
        other => unreachable!("{other:?}"),
    }
}

pub(crate) fn features_open() -> LogMessage {
    LogMessage::FeaturesOpen(FeaturesOpen { recipe: digest("recipe") })
}

/// What these hospitals sent, as it stands in the log.
fn ready(heads: Vec<SignedMessage>) -> FeaturesReady {
    FeaturesReady { heads, rows: 500, program: digest("steps") }
}

pub(crate) fn refresh_open() -> RefreshOpen {
    let (step, attempt) = FIRST;
    RefreshOpen { step, attempt, packages: packages(), zeros: Vec::new(), decryptors: set(T), opener: party(1) }
}

pub(crate) fn refresh_binding() -> RefreshBinding {
    RefreshBinding::of(Epoch(1), digest("steps"), &refresh_open())
}

fn published(model: &str) -> LogMessage {
    let (attempt, model, program) = (Attempt::FIRST, digest(model), digest("program"));
    LogMessage::ModelPublished(ModelPublished { attempt, model, program })
}

/// All that was sent after an entry.
fn all_sent(outputs: Vec<Vec<HospitalOutput>>) -> Vec<SignedMessage> {
    outputs.into_iter().flat_map(sent).collect()
}

/// Five hospitals that were asked for their features, and what they signed of them.
fn asked() -> (Federation, Vec<SignedMessage>) {
    let mut federation = Federation::under(&under_head());
    let heads = all_sent(federation.say(features_open()));
    assert_eq!(heads.len(), usize::from(N));
    (federation, heads)
}

/// The same, and everybody has taken the first step.
fn taken() -> Federation {
    let (mut federation, heads) = asked();
    let said = federation.say(LogMessage::FeaturesReady(ready(heads)));
    assert_eq!(refusals(&said), []);
    federation
}

/// What each hospital is asked to do of the training itself.
fn tasks(outputs: &[HospitalOutput]) -> Vec<&TrainingTask> {
    let mut all = Vec::new();
    for output in outputs {
        if let HospitalOutput::TrainHead(task) = output {
            all.push(task);
        }
    }
    all
}

/// Shares, the opening and the join of the only step, all honest; then it is finished.
fn finished() -> Federation {
    let mut federation = taken();
    let heads = all_sent(federation.say(LogMessage::RefreshOpen(Box::new(refresh_open()))));
    assert_eq!(heads.iter().map(|head| head.author.number()).collect::<Vec<_>>(), T);
    let (step, attempt) = FIRST;
    let blinded = RefreshBlinded { step, attempt, heads, sums: body("sums") };
    let mut opening = all_sent(federation.say(LogMessage::RefreshBlinded(blinded)));
    let done = RefreshDone { step, attempt, opening: opening.pop().unwrap() };
    assert_eq!((opening.len(), done.opening.author), (0, party(1)), "the opener alone");
    let said = federation.say(LogMessage::RefreshDone(Box::new(done)));
    assert!(said.iter().all(|outputs| matches!(tasks(outputs)[..], [TrainingTask::Join(_)])));
    federation
}

#[test]
fn an_honest_training_ends_with_everybodys_word_and_its_questions() {
    let mut federation = finished();
    let verdicts = all_sent(federation.say(published("head")));
    let own = ModelVerdict { attempt: Attempt::FIRST, model: digest("head"), program: digest("program") };
    assert!(verdicts.iter().all(|signed| signed.body == HospitalMessage::ModelVerdict(own.clone())));
    assert_eq!(verdicts.len(), usize::from(N));
    let said = federation.say(LogMessage::ModelVerified(ModelVerified { verdicts: verdicts[..4].to_vec() }));
    let is_ready = |outputs: &Vec<HospitalOutput>| {
        outputs
            .iter()
            .any(|output| matches!(output, HospitalOutput::ModelReady { model, .. } if *model == digest("head")))
    };
    assert!(said.iter().all(is_ready));
    for facts in &federation.facts {
        let is_checked = |fact: &Fact| matches!(fact, Fact::ModelChecked(it) if it.model == digest("head"));
        let is_published = |fact: &Fact| matches!(fact, Fact::Published(it) if it.model == digest("head"));
        assert!(facts.iter().any(is_checked) && facts.iter().any(is_published));
    }
}

#[test]
fn a_head_that_was_not_approved_is_not_trained() {
    let mut none = Federation::under(&terms());
    assert_eq!(refusals(&none.say(features_open())), [Reject::PlanNotApproved; 5]);
    let (_, heads) = asked();
    let ready = on_log(LogMessage::FeaturesReady(ready(heads)), none.writer.heads());
    assert_eq!(refusals(&none.say(ready)), [Reject::PlanNotApproved; 5]);
    let open = LogMessage::RefreshOpen(Box::new(refresh_open()));
    assert_eq!(refusals(&none.say(open.clone())), [Reject::PlanNotApproved; 5]);
    let mut other = Federation::under(&under_head());
    let recipe = LogMessage::FeaturesOpen(FeaturesOpen { recipe: digest("another") });
    assert_eq!(refusals(&other.say(recipe)), [Reject::PlanNotApproved; 5]);
    assert_eq!(refusals(&other.say(open)), [Reject::OutOfTurn; 5], "on nothing");
    assert_eq!(refusals(&other.say(published("head"))), [Reject::OutOfTurn; 5]);
    let parts = LogMessage::PublishOpen(protocol::message::PublishOpen {
        attempt: Attempt::FIRST,
        model: digest("model 0"),
        program: digest("program"),
        cohort: set(T),
    });
    assert_eq!(refusals(&other.say(parts)), [Reject::PlanNotApproved; 5], "nobody has parts of a head");
}

/// With a round of moments before the features.
pub(crate) fn with_moments() -> Terms {
    Terms { head: Some(HeadTerms { moment_rounds: 1, ..head_terms() }), ..under_head() }
}

#[test]
fn features_follow_the_moments_and_of_these_there_is_one_round() {
    let mut federation = Federation::under(&with_moments());
    assert_eq!(refusals(&federation.say(features_open())), [Reject::OutOfTurn; 5], "not whitened yet");
    let open = |number, purpose| {
        let (base_model, terms) = (digest("model 0"), with_moments().digest());
        LogMessage::RoundOpen(RoundOpen { round: RoundId(number), purpose, base_model, terms })
    };
    assert_eq!(refusals(&federation.say(open(1, RoundPurpose::Train))), [Reject::PlanNotApproved; 5]);
    assert_eq!(refusals(&federation.say(open(2, RoundPurpose::Figures))), [Reject::FiguresAgain; 5]);
    let said = federation.say(open(3, RoundPurpose::Moments));
    assert_eq!(refusals(&said), []);
    let is_moments =
        |output: &HospitalOutput| matches!(output, HospitalOutput::Train { purpose: RoundPurpose::Moments, .. });
    assert!(said.iter().all(|outputs| outputs.iter().any(is_moments)));
    // As another process finds it, which has them.
    let measured = Fact::Measured(Measured { round: RoundId(3), figures: digest("moments") });
    let facts: HospitalFacts = federation.facts[0].iter().cloned().chain([measured]).collect();
    let mut again = hospital_under(1, facts, with_moments());
    let mut said = Vec::new();
    for entry in federation.log.clone() {
        said = again.on(0, HospitalInput::Entry(entry));
    }
    assert!(said.is_empty(), "{said:?}");
    let more = federation.writer.append(open(4, RoundPurpose::Moments));
    assert_eq!(refusals(&[again.on(0, HospitalInput::Entry(more))]), [Reject::FiguresAgain]);
    let features = federation.writer.append(features_open());
    let said = again.on(0, HospitalInput::Entry(features));
    assert!(said.contains(&HospitalOutput::EncryptFeatures), "{said:?}");
}

#[test]
fn features_are_encrypted_once_the_epoch_is_open_and_signed_once() {
    let said = crate::serving_keys::hears(&[features_open()]);
    assert_eq!(refusals(&said), [Reject::PlanNotApproved]);
    let mut before = hospital_under(1, HospitalFacts::default(), under_head());
    let entry = protocol::log::LogWriter::new(key(99)).append(features_open());
    assert_eq!(refusals(&[before.on(0, HospitalInput::Entry(entry))]), [Reject::OutOfTurn]);
    let (mut federation, heads) = asked();
    assert!(heads.iter().all(|head| matches!(&head.body, HospitalMessage::FeaturesHead(it) if it.groups == 1)));
    assert_eq!(all_sent(federation.say(features_open())), heads, "asked again it sends the same");
    let other = HospitalInput::FeaturesMade(features(2));
    assert_eq!(refusals(&[federation.input(1, other)]), [Reject::Contradiction]);
    let said = federation.say(LogMessage::FeaturesReady(ready(heads)));
    assert!(said.iter().all(|outputs| matches!(tasks(outputs)[..], [TrainingTask::Take { .. }])));
    assert_eq!(refusals(&federation.say(features_open())), [Reject::OutOfTurn; 5], "too late");
}

#[test]
fn what_is_trained_on_is_what_enough_hospitals_are_bound_to() {
    type Change = fn(&mut FeaturesReady);
    let cases: [(Change, Reject); 6] = [
        (|it| it.heads.truncate(3), Reject::CohortTooSmall),
        (|it| it.rows = 501, Reject::Contradiction),
        (
            |it| {
                it.heads[1] =
                    instead(&it.heads[1], HospitalMessage::FeaturesHead(FeaturesHead { rows: 501, ..features(2) }))
            },
            Reject::Contradiction,
        ),
        (
            |it| {
                it.heads[1] =
                    instead(&it.heads[1], HospitalMessage::FeaturesHead(FeaturesHead { groups: 2, ..features(2) }))
            },
            Reject::Contradiction,
        ),
        (|it| it.heads[0] = instead(&it.heads[0], HospitalMessage::FeaturesHead(features(2))), Reject::OwnHeadChanged),
        (|it| it.heads.swap(1, 2), Reject::ManifestMalformed),
    ];
    for (place, (change, reject)) in cases.into_iter().enumerate() {
        let (mut federation, heads) = asked();
        let mut changed = ready(heads);
        change(&mut changed);
        let said = federation.say(LogMessage::FeaturesReady(changed));
        assert_eq!(refusals(&said[..1]), [reject], "case {place}");
        assert!(said[0].iter().all(|output| !matches!(output, HospitalOutput::PrepareTraining { .. })), "case {place}");
    }
    let (mut federation, heads) = asked();
    let four = ready(heads[1..].to_vec());
    assert_eq!(refusals(&federation.say(LogMessage::FeaturesReady(four))), [], "who is left out follows");
    let (mut federation, heads) = asked();
    federation.say(LogMessage::FeaturesReady(ready(heads.clone())));
    assert_eq!(refusals(&federation.say(LogMessage::FeaturesReady(ready(heads)))), [Reject::OutOfTurn; 5], "once");
}

#[test]
fn steps_are_taken_by_the_program_that_follows_from_the_rows_and_no_other() {
    let (mut federation, heads) = asked();
    let other = FeaturesReady { program: digest("other steps"), ..ready(heads) };
    let said = federation.say(LogMessage::FeaturesReady(other));
    assert_eq!(refusals(&said), [Reject::ProgramDiffers; 5]);
    assert!(said.iter().all(|outputs| tasks(outputs).is_empty()));
    let said = federation.say(LogMessage::RefreshOpen(Box::new(refresh_open())));
    assert!(said.iter().all(|outputs| tasks(outputs).is_empty() && sent(outputs.clone()).is_empty()));
}

#[test]
fn a_site_without_features_says_so_and_is_not_heard_of_again() {
    let mut federation = Federation::under(&under_head());
    let said = federation.input(1, HospitalInput::Untrainable { reject: Reject::FeaturesUnfit });
    assert_eq!(refusals(std::slice::from_ref(&said)), [Reject::FeaturesUnfit]);
    let is_of_training = |signed: &SignedMessage| match &signed.body {
        HospitalMessage::Refusal(it) => (it.scope, it.reject) == (Scope::Training, Reject::FeaturesUnfit),
        _ => false,
    };
    assert!(sent(said).iter().any(is_of_training));
}

#[test]
fn nobody_shares_in_what_its_own_step_did_not_leave() {
    let mut federation = taken();
    let open = RefreshOpen { packages: body("other packages"), ..refresh_open() };
    let said = federation.say(LogMessage::RefreshOpen(Box::new(open)));
    assert_eq!(refusals(&said), [Reject::StepDiffers; 4]);
    assert!(said.iter().all(|outputs| tasks(outputs).is_empty()));
}

#[test]
fn a_part_of_a_refresh_is_signed_once() {
    let mut federation = taken();
    let heads = all_sent(federation.say(LogMessage::RefreshOpen(Box::new(refresh_open()))));
    assert_eq!(heads.len(), 4);
    // Another process of the same site, whose step came to something else.
    let facts: HospitalFacts = federation.facts[0].iter().cloned().collect();
    let mut again = hospital_under(1, facts, under_head());
    let mut said = Vec::new();
    for entry in federation.log.clone() {
        for output in again.on(0, HospitalInput::Entry(entry)) {
            match output {
                HospitalOutput::EncryptFeatures => said.extend(again.on(0, HospitalInput::FeaturesMade(features(1)))),
                HospitalOutput::PrepareTraining { .. } => {
                    for output in again.on(0, HospitalInput::TrainingPrepared { program: digest("steps") }) {
                        assert_eq!(output, HospitalOutput::TrainHead(TrainingTask::Take { step: StepId::FIRST }));
                        again.on(0, HospitalInput::TaskDone(done(&TrainingTask::Take { step: StepId::FIRST }, 1)));
                    }
                }
                HospitalOutput::TrainHead(TrainingTask::Share(binding, _)) => {
                    let (step, attempt) = (binding.step, binding.attempt);
                    let [shares, masks] = ["other shares", "other masks"].map(body);
                    said.extend(
                        again.on(0, HospitalInput::TaskDone(TaskDone::Shared { step, attempt, shares, masks })),
                    );
                }
                other => said.push(other),
            }
        }
    }
    assert_eq!(refusals(std::slice::from_ref(&said)), [Reject::Contradiction]);
    let refresh = |signed: &SignedMessage| matches!(signed.body, HospitalMessage::RefreshHead(_));
    assert!(!sent(said).iter().any(refresh));
}

#[test]
fn another_head_than_the_own_is_neither_vouched_for_nor_asked() {
    let mut federation = finished();
    let said = federation.say(published("another head"));
    assert_eq!(refusals(&said), [Reject::HeadDiffers; 5]);
    let verdict = |signed: &SignedMessage| matches!(signed.body, HospitalMessage::ModelVerdict(_));
    assert!(!all_sent(said).iter().any(verdict));
}

#[test]
fn a_site_that_has_the_head_takes_no_steps_again_after_a_restart() {
    let mut federation = finished();
    let verdicts = all_sent(federation.say(published("head")));
    let facts: HospitalFacts = federation.facts[0].iter().cloned().collect();
    let mut again = hospital_under(1, facts, under_head());
    let mut said = Vec::new();
    for entry in federation.log.clone() {
        said.extend(again.on(0, HospitalInput::Entry(entry)));
    }
    assert!(said.iter().all(|output| !matches!(output, HospitalOutput::PrepareTraining { .. })), "{said:?}");
    assert!(tasks(&said).is_empty() && refusals(std::slice::from_ref(&said)).is_empty());
    assert!(sent(said).contains(&verdicts[0]), "its word goes out again");
}

/// Of T and its opener, as they would sign them.
pub(crate) fn refresh_heads() -> (Vec<HospitalMessage>, OpeningHead) {
    let ((step, attempt), binding) = (FIRST, refresh_binding().digest());
    let head = |number: &u16| {
        let [shares, masks] = ["shares", "masks"].map(|what| body(&format!("{what} of {number}")));
        HospitalMessage::RefreshHead(Box::new(RefreshHead { step, attempt, binding, shares, masks }))
    };
    let opening = OpeningHead { step, attempt, binding, sums: body("sums").root, body: body("opening") };
    (T.iter().map(head).collect(), opening)
}

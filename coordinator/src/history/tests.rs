//! A log as a coordinator writes it, and what is remembered of it.

use protocol::blob::BodyRoot;
use protocol::campaign::Order;
use protocol::ids::{Attempt, Epoch};
use protocol::log::LogWriter;
use protocol::message::{
    Abandon, CohortFrozen, Decryptors, Leaving, Manifest, ModelPublished, PublishOpen, QueryDone, QueryFailed,
    QueryHead, QueryOpen, RoundClosed, RoundOpen, RoundVoid, ShareRequest, SignedMessage, Stop, SumReady, VoidReason,
};
use protocol::reject::Reject;
use protocol::signature::SigningKey;

use super::*;

/// A coordinator's pen, and whoever reads what it writes.
struct Scene {
    writer: LogWriter,
    history: History,
}

fn party(number: u16) -> PartyId {
    PartyId::new(number).unwrap()
}

fn signed(author: u16, body: HospitalMessage) -> SignedMessage {
    let key = SigningKey::from_seed(&[7; 32]).unwrap();
    SignedMessage::sign(&key, party(author), Epoch(1), 1, Seen::nothing(), body)
}

fn by(authors: &[u16]) -> Vec<SignedMessage> {
    let leaving = || HospitalMessage::Leaving(Leaving { reject: Reject::TooLate });
    authors.iter().map(|author| signed(*author, leaving())).collect()
}

impl Scene {
    fn new() -> Self {
        Self { writer: LogWriter::new(SigningKey::from_seed(&[9; 32]).unwrap()), history: History::default() }
    }

    fn says(&mut self, at_ms: u64, bytes: (u64, u64), message: LogMessage) {
        self.history.learn(&self.writer.append(message), Some(at_ms), Some(bytes));
    }

    fn opens(&mut self, round: u32, at_ms: u64, bytes: (u64, u64)) {
        let (base_model, terms) = (Digest::default(), Digest::default());
        let open = RoundOpen { round: RoundId(round), purpose: RoundPurpose::Train, base_model, terms };
        self.says(at_ms, bytes, LogMessage::RoundOpen(open));
    }

    fn voids(&mut self, round: u32, at_ms: u64) {
        let reason = VoidReason::CohortTooSmall { have: 1, need: 3 };
        self.says(at_ms, (0, 0), LogMessage::RoundVoid(RoundVoid { round: RoundId(round), reason }));
    }

    fn query(&mut self, number: u64, at_ms: u64) {
        let body = BodyRoot { root: Digest::default(), count: 1, size_bytes: 9 };
        let (program, model) = (Digest::default(), Digest::default());
        let head = QueryHead { query: QueryId::new(party(2), number), program, model, body };
        let head = signed(2, HospitalMessage::QueryHead(Box::new(head)));
        let open = QueryOpen { head, decryptors: PartySet::EMPTY };
        self.says(at_ms, (0, 0), LogMessage::QueryOpen(Box::new(open)));
    }

    fn answers(&mut self, number: u64, at_ms: u64) {
        let done = QueryDone { query: QueryId::new(party(2), number), shares: by(&[1, 3]) };
        self.says(at_ms, (0, 0), LogMessage::QueryDone(done));
    }
}

#[test]
fn a_round_is_told_part_by_part_with_its_attempts_its_cohort_and_its_bytes() {
    let (mut scene, round) = (Scene::new(), RoundId(4));
    let attempt = Attempt(1);
    let manifest = |attempt, of: &[u16]| LogMessage::Manifest(Manifest { round, attempt, heads: by(of) });
    scene.opens(4, 1_000, (100, 10));
    scene.says(6_000, (100, 10), manifest(attempt, &[1, 2, 3]));
    scene.says(
        6_100,
        (100, 10),
        LogMessage::CohortFrozen(CohortFrozen {
            round,
            attempt,
            manifest: Digest::default(),
            signatures: by(&[1, 2, 3]),
        }),
    );
    let decryptors = LogMessage::Decryptors(Decryptors { round, attempt, decryptors: PartySet::EMPTY });
    scene.says(6_200, (100, 10), decryptors.clone());
    let lost = PartySet::EMPTY;
    scene.says(6_500, (100, 10), LogMessage::Abandon(Abandon { round, attempt, lost }));
    scene.says(7_500, (100, 10), manifest(Attempt(2), &[1, 3]));
    scene.says(7_600, (100, 10), decryptors);
    scene.says(7_700, (0, 0), LogMessage::ShareRequest(ShareRequest { round, attempt, acceptances: by(&[1]) }));
    let running = scene.history.rounds.back().unwrap().clone();
    assert_eq!((running.part, running.ended), ((Part::Shares, Some(7_700)), None));
    scene.says(9_700, (0, 0), LogMessage::SumReady(SumReady { round, attempt, chunks: vec![], shares: by(&[1]) }));
    let model = Digest::default();
    scene.says(9_900, (350, 70), LogMessage::RoundClosed(RoundClosed { round, attempt, model, votes: by(&[1, 3]) }));
    let [found] = &scene.history.rounds.make_contiguous()[..] else { panic!("one round") };
    assert_eq!(found.took_ms, [6_000, 300, 400, 2_000, 200], "updates, cohort, acceptance, shares, check");
    assert_eq!((found.began_ms, found.ended_ms), (Some(1_000), Some(9_900)));
    assert_eq!((found.attempts, found.cohort.numbers()), (2, vec![1, 3]));
    assert_eq!((&found.ended, found.bytes), (&Some(Ended::Closed), Some((250, 60))));
    let cosigned = scene.history.cosigned.unwrap();
    assert_eq!((cosigned.entry, cosigned.by.numbers()), (9, vec![1, 3]));
    assert_eq!(scene.history.log, Some(scene.writer.heads().seen()));
    scene.says(9_950, (0, 0), LogMessage::Order(Order { kind: OrderKind::Pause }));
    assert_eq!(scene.history.cosigned, Some(cosigned), "an entry that nobody else signed changes nothing");
}

#[test]
fn what_an_earlier_process_saw_has_no_bytes_and_what_nobody_noted_no_time() {
    let mut scene = Scene::new();
    let (base_model, terms) = (Digest::default(), Digest::default());
    let open = RoundOpen { round: RoundId(1), purpose: RoundPurpose::Figures, base_model, terms };
    let entry = scene.writer.append(LogMessage::RoundOpen(open));
    scene.history.learn(&entry, None, None);
    scene.voids(1, 5_000);
    let round = scene.history.rounds.back().unwrap();
    assert_eq!((round.began_ms, round.took_ms, round.bytes), (None, [0; 5], None));
    assert!(matches!(&round.ended, Some(Ended::Void(why)) if why == "1 complete updates, 3 needed"));
    // A second end of the same round changes nothing.
    let before = round.clone();
    scene.voids(1, 6_000);
    assert_eq!(scene.history.rounds.back(), Some(&before));
}

#[test]
fn orders_and_models_are_remembered_with_their_times() {
    let mut scene = Scene::new();
    for (at, kind) in [(10, OrderKind::Pause), (20, OrderKind::Resume), (30, OrderKind::Publish)] {
        scene.says(at, (0, 0), LogMessage::Order(Order { kind }));
    }
    let (attempt, model, program) = (Attempt(1), Digest([5; 32]), Digest::default());
    let cohort = [1, 2].map(party).into_iter().collect();
    scene.says(35, (0, 0), LogMessage::PublishOpen(PublishOpen { attempt, model, program, cohort }));
    scene.says(40, (0, 0), LogMessage::ModelPublished(ModelPublished { attempt, model, program }));
    scene.says(50, (0, 0), LogMessage::Stop(Stop { reason: "replaced".into() }));
    let orders: Vec<_> = scene.history.orders.iter().map(|order| (order.given.clone(), order.at_ms)).collect();
    let expected = [
        (Given::Stop, Some(10)),
        (Given::Resume, Some(20)),
        (Given::Publish, Some(30)),
        (Given::End("replaced".into()), Some(50)),
    ];
    assert_eq!(orders, expected);
    assert_eq!(scene.history.models, [PastModel { digest: model, cohort, at_ms: Some(40) }]);
}

#[test]
fn questions_are_counted_by_asker_and_answers_timed() {
    let mut scene = Scene::new();
    for number in 0..20 {
        scene.query(number, 1_000 * number);
        scene.answers(number, 1_000 * number + 10 * (number + 1));
    }
    scene.query(20, 30_000);
    let query = QueryId::new(party(2), 20);
    scene.says(31_000, (0, 0), LogMessage::QueryFailed(QueryFailed { query, reject: Reject::TooLate }));
    let history = &scene.history;
    assert!(history.open.is_empty(), "neither answered nor failed ones are under way");
    assert_eq!((history.asked[&party(2)], history.answered, history.failed), (21, 20, 1));
    assert_eq!((history.answer_quantile_ms(0.5), history.answer_quantile_ms(0.95)), (Some(100), Some(190)));
    assert_eq!(History::default().answer_quantile_ms(0.5), None);
}

#[test]
fn nothing_grows_without_end() {
    let mut scene = Scene::new();
    for number in 0..(ANSWERS_TIMED_MAX as u32 + 50) {
        scene.opens(number, u64::from(number), (0, 0));
        scene.says(0, (0, 0), LogMessage::Order(Order { kind: OrderKind::Resume }));
        let (attempt, model, program) = (Attempt(1), Digest::default(), Digest::default());
        scene.says(0, (0, 0), LogMessage::ModelPublished(ModelPublished { attempt, model, program }));
        scene.query(u64::from(number), 0);
        scene.answers(u64::from(number), 5);
    }
    for number in 1_000..(1_000 + QUESTIONS_OPEN_MAX as u64 + 50) {
        scene.query(number, 0);
    }
    let history = &scene.history;
    assert_eq!(history.rounds.len(), ROUNDS_MAX);
    assert_eq!(history.rounds.front().map(|round| round.round), Some(RoundId(106)), "the newest stay");
    assert_eq!(history.orders.len(), ORDERS_MAX);
    assert_eq!(history.models.len(), MODELS_MAX);
    assert_eq!(history.answer_ms.len(), ANSWERS_TIMED_MAX);
    assert_eq!(history.open.len(), QUESTIONS_OPEN_MAX);
}

#[test]
fn the_folder_of_an_epoch_tells_the_same_with_the_times_that_were_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = LogWriter::new(SigningKey::from_seed(&[9; 32]).unwrap());
    {
        let journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
        let mut times = Times::default();
        for (at_ms, kind) in [(Some(700), OrderKind::Pause), (None, OrderKind::Resume)] {
            let entry = writer.append(LogMessage::Order(Order { kind }));
            journal.append("log", &entry.to_bytes()).unwrap();
            if let Some(at_ms) = at_ms {
                times.note(&journal, entry.index, at_ms).unwrap();
            }
        }
    }
    let history = History::of_folder(folder.path()).unwrap();
    let given = |given, at_ms| PastOrder { given, at_ms };
    assert_eq!(history.orders, [given(Given::Stop, Some(700)), given(Given::Resume, None)]);
    let journal = Journal::open(&folder.path().join("journal.sqlite")).unwrap();
    journal.append("log", b"no entry").unwrap();
    drop(journal);
    assert!(matches!(History::of_folder(folder.path()), Err(CoordinatorError::LogDamaged { index: 2 })));
}

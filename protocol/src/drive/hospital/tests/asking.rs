//! Questions of this site's own people.

use super::*;
use crate::limits::QUERIES_QUEUED_PER_ASKER_MAX;

impl Site {
    /// A hospital whose people may ask.
    fn serving() -> Self {
        let mut site = Self::open();
        site.decide([model_ready()]);
        assert!(matches!(site.jobs()[..], [HospitalJob::LoadModel]));
        site
    }

    /// The question that is encrypted is, and its answer awaited.
    fn asks(&mut self) -> (u64, QueryId) {
        // Nothing that is of any round: the machine knows of no model that it could ask.
        let asked = HospitalDone::Asked(HospitalInput::Trained { round: RoundId(9) });
        match self.end_job(asked) {
            HospitalJob::PrepareQuery { ticket, query, .. } => (ticket, query),
            other => panic!("{other:?}"),
        }
    }

    fn numbers_taken(&self) -> usize {
        self.around.borrow().records.iter().filter(|(stream, _)| *stream == Stream::Queries).count()
    }
}

#[test]
fn questions_are_numbered_from_one_in_the_order_in_which_they_were_asked_also_by_later_processes() {
    let mut site = Site::serving();
    for ticket in [7, 5] {
        site.on(HospitalEvent::Ask { ticket });
    }
    let query = |counter| QueryId::new(party(1), counter);
    assert_eq!([site.asks(), site.asks()], [(7, query(1)), (5, query(2))]);
    let mut later = Site::serving();
    later.around.borrow_mut().records.clone_from(&site.around.borrow().records);
    later.on(HospitalEvent::Ask { ticket: 1 });
    assert_eq!(later.asks(), (1, query(3)));
}

#[test]
fn a_question_gets_its_number_when_the_one_before_it_is_encrypted() {
    let mut site = Site::serving();
    for ticket in [1, 2] {
        site.on(HospitalEvent::Ask { ticket });
    }
    assert_eq!(site.numbers_taken(), 1);
    site.asks();
    assert_eq!(site.numbers_taken(), 2);
}

#[test]
fn no_more_questions_await_answers_than_the_coordinator_takes_of_one_asker() {
    let mut site = Site::serving();
    let most = QUERIES_QUEUED_PER_ASKER_MAX as u64;
    for ticket in 0..=most {
        site.on(HospitalEvent::Ask { ticket });
    }
    let asked: Vec<(u64, QueryId)> = (0..most).map(|_| site.asks()).collect();
    assert!(site.around.borrow().jobs.is_empty(), "one waits");
    site.decide([HospitalOutput::AnswerFailed { query: asked[2].1, reject: Reject::OutOfTurn }]);
    let expected = HospitalNote::NoAnswer { ticket: 2, query: Some(asked[2].1), reject: Some(Reject::OutOfTurn) };
    assert!(site.was_told(&expected));
    assert_eq!(site.asks().0, most, "in its place");
}

#[test]
fn whoever_asked_is_told_when_the_question_is_evaluated_and_nobody_after_it_has_ended() {
    let mut site = Site::serving();
    site.on(HospitalEvent::Ask { ticket: 3 });
    let (ticket, query) = site.asks();
    let evaluated = HospitalNote::Question { ticket, stage: QuestionStage::Evaluated };
    site.decide([HospitalOutput::AnswerEvaluated { query: QueryId::new(party(2), 1) }]);
    assert!(!site.was_told(&evaluated), "another's");
    site.decide([HospitalOutput::AnswerEvaluated { query }]);
    assert!(site.was_told(&evaluated));
    site.decide([HospitalOutput::AnswerFailed { query, reject: Reject::OutOfTurn }]);
    site.decide([HospitalOutput::AnswerEvaluated { query }]);
    assert!(!site.was_told(&evaluated), "there is nobody to tell");
}

#[test]
fn an_answer_is_awaited_as_long_as_was_said_and_no_longer() {
    let mut site = Site::serving();
    site.on(HospitalEvent::Ask { ticket: 3 });
    let (ticket, query) = site.asks();
    let overdue = HospitalNote::NoAnswer { ticket, query: Some(query), reject: None };
    site.wait(ANSWER_WITHIN_MS - 1);
    assert!(!site.was_told(&overdue));
    site.wait(1);
    assert!(site.was_told(&overdue));
    site.wait(1);
    assert!(!site.was_told(&overdue), "once");
}

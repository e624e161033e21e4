//! Cases: images that somebody asked about, and what came of it.

use client::counter::{Progress, Reply};
use client::hospital::QuestionStep;
use metrics::Likeness;
use rusqlite::types::Value;
use rusqlite::{OptionalExtension, Row, TransactionBehavior, params, params_from_iter};
use serde::{Deserialize, Serialize};

use super::{Book, BookError};
use crate::clock::now_s;
use crate::offer::Offer;

/// What is known of a case before it is asked.
pub(crate) struct NewCase<'a> {
    /// Who asked.
    pub(crate) owner: &'a str,
    /// By which the clinician finds it again.
    pub(crate) reference: &'a str,
    /// The file's name.
    pub(crate) file: &'a str,
    /// Seconds since 1970.
    pub(crate) made_s: i64,
    /// The offer that was asked, its model's name and digest.
    pub(crate) offer: &'a str,
    pub(crate) model: &'a str,
    pub(crate) digest: &'a str,
    /// Names of the classes.
    pub(crate) classes: &'a [String],
    /// Divides logits before they become probabilities.
    pub(crate) temperature: f64,
}

impl<'a> NewCase<'a> {
    /// A file that somebody asks an offered model about, now.
    pub(crate) fn of(offer: &'a Offer, owner: &'a str, reference: &'a str, file: &'a str) -> Self {
        Self {
            owner,
            reference,
            file,
            made_s: now_s(),
            offer: &offer.id,
            model: offer.name(),
            digest: &offer.digest,
            classes: &offer.asked.classes,
            temperature: offer.temperature(),
        }
    }
}

/// How far a case is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CaseState {
    /// Asked, not answered.
    Waiting,
    /// Answered: one logit per class.
    Answered {
        /// Logits, in the order of the classes.
        logits: Vec<f64>,
        /// From encrypting to reading, milliseconds.
        total_ms: f64,
        /// Bytes of the encrypted answer.
        reply_bytes: u64,
    },
    /// Not answered, and will not be.
    Refused {
        /// In words.
        reason: String,
    },
}

/// A step that a question made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StepMade {
    /// The step.
    pub(crate) step: String,
    /// Since the counter took the question, milliseconds.
    pub(crate) at_ms: f64,
}

/// What somebody who knows said the image shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    /// The class.
    pub(crate) class: usize,
    /// Who said so.
    pub(crate) by: String,
    /// Seconds since 1970.
    pub(crate) at_s: i64,
}

/// A case.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Case {
    pub(crate) id: i64,
    pub(crate) batch: Option<i64>,
    pub(crate) owner: String,
    pub(crate) reference: String,
    pub(crate) file: String,
    pub(crate) made_s: i64,
    pub(crate) offer: String,
    pub(crate) model: String,
    pub(crate) digest: String,
    pub(crate) classes: Vec<String>,
    pub(crate) temperature: f64,
    pub(crate) state: CaseState,
    pub(crate) steps: Vec<StepMade>,
    /// The question's number in the transcript; empty before it has one.
    pub(crate) query: String,
    /// Bytes of the encrypted image.
    pub(crate) query_bytes: u64,
    /// Digest of it.
    pub(crate) sent_digest: String,
    /// How the image compares with those that the model was measured on; `None` where nobody could say.
    pub(crate) likeness: Option<Likeness>,
    pub(crate) label: Option<Labelled>,
}

/// Which cases are listed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Only those with these words in reference, file, model or owner.
    pub(crate) words: String,
    /// Only those handed in together.
    pub(crate) batch: Option<i64>,
    /// Only those of this offer that were answered and labelled.
    pub(crate) labelled: Option<String>,
}

/// Characters of what people type, stored.
const TEXT_CHARACTERS_MAX: usize = 200;

const COLUMNS: &str = "id, batch, owner, reference, file, made_s, offer, model, digest, classes, temperature, state, \
                       reason, steps, query, logits, query_bytes, reply_bytes, total_ms, sent_digest, likeness, \
                       label, labelled_by, labelled_s";

impl Book {
    /// Notes cases that are about to be asked together; their numbers, in order. Several are a batch, under a number of
    /// its own. All of them or none.
    pub(crate) fn add_cases(&self, cases: &[NewCase<'_>]) -> Result<(Option<i64>, Vec<i64>), BookError> {
        let mut connection = self.connection();
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let batch: Option<i64> = match cases {
            [_] => None,
            _ => change.query_row("SELECT coalesce(max(batch), 0) + 1 FROM cases", [], |row| row.get(0))?,
        };
        let mut ids = Vec::with_capacity(cases.len());
        for case in cases {
            let classes = serde_json::to_string(case.classes).unwrap_or_default();
            change.execute(
                "INSERT INTO cases(batch, owner, reference, file, made_s, offer, model, digest, classes, temperature,
                                   state)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'waiting')",
                params![
                    batch,
                    case.owner,
                    cut(case.reference),
                    cut(case.file),
                    case.made_s,
                    case.offer,
                    case.model,
                    case.digest,
                    classes,
                    case.temperature
                ],
            )?;
            ids.push(change.last_insert_rowid());
        }
        change.commit()?;
        Ok((batch, ids))
    }

    /// Notes a step of a waiting case.
    pub(crate) fn note_progress(&self, id: i64, progress: &Progress) -> Result<(), BookError> {
        let Some(mut case) = self.case(id)? else { return Ok(()) };
        case.steps.push(StepMade { step: word(&progress.step).to_owned(), at_ms: progress.at_ms });
        let steps = serde_json::to_string(&case.steps).unwrap_or_default();
        let connection = self.connection();
        if let QuestionStep::Encrypted(envelope) = &progress.step {
            connection.execute(
                "UPDATE cases SET query = ?2, query_bytes = ?3, sent_digest = ?4, sample = ?5 WHERE id = ?1",
                params![
                    id,
                    envelope.query,
                    i64::try_from(envelope.bytes).unwrap_or(i64::MAX),
                    envelope.digest,
                    hex::decode(&envelope.sample).ok()
                ],
            )?;
        }
        connection.execute("UPDATE cases SET steps = ?2 WHERE id = ?1", params![id, steps])?;
        Ok(())
    }

    /// Notes the answer: the logits of one image of a reply. What is none for the case's classes is a refusal.
    pub(crate) fn note_answer(&self, id: i64, reply: &Reply, logits: &[f64]) -> Result<(), BookError> {
        let classes = self.case(id)?.map_or(0, |case| case.classes.len());
        if logits.len() != classes || !logits.iter().all(|logit| logit.is_finite()) {
            return self
                .note_refusal(id, &format!("{} logits for {classes} classes, or one is no number", logits.len()));
        }
        let logits = serde_json::to_string(logits).unwrap_or_default();
        self.connection().execute(
            "UPDATE cases SET state = 'answered', query = ?2, logits = ?3, query_bytes = ?4, reply_bytes = ?5,
                              total_ms = ?6 WHERE id = ?1 AND state = 'waiting'",
            params![
                id,
                reply.query,
                logits,
                i64::try_from(reply.query_bytes).unwrap_or(i64::MAX),
                i64::try_from(reply.reply_bytes).unwrap_or(i64::MAX),
                reply.total_ms
            ],
        )?;
        Ok(())
    }

    /// Notes that a case will not be answered.
    pub(crate) fn note_refusal(&self, id: i64, reason: &str) -> Result<(), BookError> {
        let sql = "UPDATE cases SET state = 'refused', reason = ?2 WHERE id = ?1 AND state = 'waiting'";
        self.connection().execute(sql, params![id, reason])?;
        Ok(())
    }

    /// Ends what a process before this one left waiting; how many.
    pub(crate) fn end_waiting(&self, reason: &str) -> Result<usize, BookError> {
        let sql = "UPDATE cases SET state = 'refused', reason = ?1 WHERE state = 'waiting'";
        Ok(self.connection().execute(sql, [reason])?)
    }

    /// Notes what the image of an answered case shows; `None` takes it back. Whether there is such a case.
    pub(crate) fn note_label(&self, id: i64, label: Option<&Labelled>) -> Result<bool, BookError> {
        let class = label.and_then(|label| i64::try_from(label.class).ok());
        let changed = self.connection().execute(
            "UPDATE cases SET label = ?2, labelled_by = ?3, labelled_s = ?4 WHERE id = ?1 AND state = 'answered'",
            params![id, class, label.map(|label| &label.by), label.map(|label| label.at_s)],
        )?;
        Ok(changed > 0)
    }

    /// A case.
    pub(crate) fn case(&self, id: i64) -> Result<Option<Case>, BookError> {
        let sql = format!("SELECT {COLUMNS} FROM cases WHERE id = ?1");
        self.connection().query_row(&sql, [id], read).optional()?.transpose()
    }

    /// The newest cases of a kind, and how many there are of it.
    pub(crate) fn cases(&self, filter: &Filter, from: usize, most: usize) -> Result<(Vec<Case>, usize), BookError> {
        let (mut conditions, mut values) = (vec!["1"], Vec::new());
        if !filter.words.trim().is_empty() {
            conditions.push("instr(lower(reference || ' ' || file || ' ' || model || ' ' || owner), lower(?)) > 0");
            values.push(Value::from(filter.words.trim().to_owned()));
        }
        if let Some(batch) = filter.batch {
            conditions.push("batch = ?");
            values.push(Value::from(batch));
        }
        if let Some(offer) = &filter.labelled {
            conditions.push("state = 'answered' AND label IS NOT NULL AND offer = ?");
            values.push(Value::from(offer.clone()));
        }
        let conditions = conditions.join(" AND ");
        let connection = self.connection();
        let count = format!("SELECT count(*) FROM cases WHERE {conditions}");
        let count: i64 = connection.query_row(&count, params_from_iter(&values), |row| row.get(0))?;
        let sql = format!("SELECT {COLUMNS} FROM cases WHERE {conditions} ORDER BY id DESC LIMIT {most} OFFSET {from}");
        let mut rows = connection.prepare(&sql)?;
        let found: Vec<_> = rows.query_map(params_from_iter(&values), read)?.collect::<Result<_, _>>()?;
        let cases = found.into_iter().collect::<Result<_, _>>()?;
        Ok((cases, usize::try_from(count).unwrap_or(0)))
    }

    /// How many of a batch's cases wait, and how many it has.
    pub(crate) fn waiting(&self, batch: i64) -> Result<(i64, i64), BookError> {
        let sql = "SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FROM cases WHERE batch = ?1";
        Ok(self.connection().query_row(sql, [batch], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    /// The picture of a case, where it was kept.
    pub(crate) fn picture(&self, id: i64) -> Result<Option<Vec<u8>>, BookError> {
        self.bytes("SELECT picture FROM cases WHERE id = ?1", id)
    }

    /// What a stranger would have seen of a case: a piece of its ciphertext.
    pub(crate) fn sample(&self, id: i64) -> Result<Option<Vec<u8>>, BookError> {
        self.bytes("SELECT sample FROM cases WHERE id = ?1", id)
    }

    fn bytes(&self, sql: &str, id: i64) -> Result<Option<Vec<u8>>, BookError> {
        let bytes: Option<Option<Vec<u8>>> = self.connection().query_row(sql, [id], |row| row.get(0)).optional()?;
        Ok(bytes.flatten())
    }
}

/// The word under which a step is kept.
fn word(step: &QuestionStep) -> &'static str {
    match step {
        QuestionStep::Encrypting => "encrypting",
        QuestionStep::Encrypted(_) => "encrypted",
        QuestionStep::Sent => "sent",
        QuestionStep::Evaluated => "evaluated",
        QuestionStep::Released => "released",
    }
}

fn cut(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(TEXT_CHARACTERS_MAX).collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<Result<Case, BookError>> {
    let id: i64 = row.get("id")?;
    let (state, reason): (String, String) = (row.get("state")?, row.get("reason")?);
    let count = |name| row.get::<_, i64>(name).map(|count| u64::try_from(count).unwrap_or(0));
    let (query_bytes, reply_bytes, total_ms) = (count("query_bytes")?, count("reply_bytes")?, row.get("total_ms")?);
    let (classes, steps, logits): (String, String, String) =
        (row.get("classes")?, row.get("steps")?, row.get("logits")?);
    let likeness: Option<String> = row.get("likeness")?;
    let parsed = (|| {
        let classes: Vec<String> = serde_json::from_str(&classes)?;
        let logits: Vec<f64> = serde_json::from_str(&logits)?;
        let likeness = likeness.as_deref().map(serde_json::from_str).transpose()?;
        Ok::<_, serde_json::Error>((classes, logits, serde_json::from_str(&steps)?, likeness))
    })();
    let label: Option<i64> = row.get("label")?;
    let labelled: (Option<String>, Option<i64>) = (row.get("labelled_by")?, row.get("labelled_s")?);
    let (classes, logits, steps, likeness) = match parsed {
        Ok(parsed) => parsed,
        Err(error) => return Ok(Err(BookError::Damaged { id, found: error.to_string() })),
    };
    let state = match state.as_str() {
        "waiting" => CaseState::Waiting,
        "answered" if logits.len() == classes.len() && !classes.is_empty() => {
            CaseState::Answered { logits, total_ms, reply_bytes }
        }
        "refused" => CaseState::Refused { reason },
        other => return Ok(Err(BookError::Damaged { id, found: format!("state {other}, {} logits", logits.len()) })),
    };
    let label = label.and_then(|class| usize::try_from(class).ok()).filter(|class| *class < classes.len());
    let label =
        label.map(|class| Labelled { class, by: labelled.0.unwrap_or_default(), at_s: labelled.1.unwrap_or_default() });
    Ok(Ok(Case {
        id,
        batch: row.get("batch")?,
        owner: row.get("owner")?,
        reference: row.get("reference")?,
        file: row.get("file")?,
        made_s: row.get("made_s")?,
        offer: row.get("offer")?,
        model: row.get("model")?,
        digest: row.get("digest")?,
        classes,
        temperature: row.get("temperature")?,
        state,
        steps,
        query: row.get("query")?,
        query_bytes,
        sent_digest: row.get("sent_digest")?,
        likeness,
        label,
    }))
}

#[cfg(test)]
mod tests {
    use client::hospital::Envelope;

    use super::*;

    fn new<'a>(classes: &'a [String], reference: &'a str) -> NewCase<'a> {
        NewCase {
            owner: "ada",
            reference,
            file: "scan.png",
            made_s: 1_000,
            offer: "3",
            model: "kidney",
            digest: "ab",
            classes,
            temperature: 1.5,
        }
    }

    fn add(book: &Book, case: NewCase<'_>) -> i64 {
        let (batch, ids) = book.add_cases(&[case]).unwrap();
        assert_eq!(batch, None, "one alone is no batch");
        ids[0]
    }

    #[test]
    fn what_is_no_answer_to_the_cases_classes_is_a_refusal() {
        let hospital = tempfile::tempdir().unwrap();
        let book = Book::open(hospital.path()).unwrap();
        let classes = ["cyst".to_owned(), "normal".to_owned()];
        for logits in [&[0.5][..], &[0.5, f64::NAN], &[0.1, 0.2, 0.3]] {
            let id = add(&book, new(&classes, "x"));
            book.note_answer(id, &reply(logits), logits).unwrap();
            assert!(matches!(book.case(id).unwrap().unwrap().state, CaseState::Refused { .. }), "{logits:?}");
        }
        assert_eq!(book.cases(&Filter::default(), 0, 10).unwrap().1, 3, "and the list can be read");
    }

    fn reply(logits: &[f64]) -> Reply {
        Reply {
            query: "1-7".into(),
            logits: vec![logits.to_vec()],
            total_ms: 840.0,
            encrypt_ms: 20.0,
            decrypt_ms: 2.0,
            query_bytes: 2_334_792,
            reply_bytes: 5_120,
        }
    }

    #[test]
    fn a_case_is_followed_from_asking_to_its_label() {
        let hospital = tempfile::tempdir().unwrap();
        let book = Book::open(hospital.path()).unwrap();
        let classes = ["cyst".to_owned(), "normal".to_owned()];
        let id = add(&book, new(&classes, "bed 7\u{7}"));
        let envelope = Envelope { query: "1-7".into(), bytes: 9, digest: "cd".into(), sample: "00ff".into() };
        for (step, at_ms) in [(QuestionStep::Encrypting, 1.0), (QuestionStep::Encrypted(envelope), 30.0)] {
            book.note_progress(id, &Progress { step, at_ms }).unwrap();
        }
        let case = book.case(id).unwrap().unwrap();
        assert_eq!((case.reference.as_str(), &case.state), ("bed 7", &CaseState::Waiting));
        let long = add(&book, new(&classes, &"ä".repeat(300)));
        assert_eq!(book.case(long).unwrap().unwrap().reference.chars().count(), TEXT_CHARACTERS_MAX);
        assert_eq!((case.query.as_str(), case.query_bytes, case.sent_digest.as_str()), ("1-7", 9, "cd"));
        assert_eq!(book.sample(id).unwrap(), Some(vec![0, 255]));
        let steps: Vec<&str> = case.steps.iter().map(|made| made.step.as_str()).collect();
        assert_eq!(steps, ["encrypting", "encrypted"]);
        let label = Labelled { class: 1, by: "eve".into(), at_s: 2_000 };
        assert!(!book.note_label(id, Some(&label)).unwrap(), "there is no answer that could be right or wrong");
        book.note_answer(id, &reply(&[0.5, -1.0]), &[0.5, -1.0]).unwrap();
        assert!(book.note_label(id, Some(&label)).unwrap());
        let case = book.case(id).unwrap().unwrap();
        let answered = CaseState::Answered { logits: vec![0.5, -1.0], total_ms: 840.0, reply_bytes: 5_120 };
        assert_eq!((case.state, case.label), (answered, Some(label)));
        book.note_refusal(id, "too late").unwrap();
        assert!(matches!(book.case(id).unwrap().unwrap().state, CaseState::Answered { .. }), "an answer stays");
        assert!(book.note_label(id, None).unwrap());
        assert_eq!(book.case(id).unwrap().unwrap().label, None);
        assert_eq!(book.case(long + 1).unwrap(), None);
    }

    #[test]
    fn cases_are_found_by_words_batch_and_label_newest_first() {
        let hospital = tempfile::tempdir().unwrap();
        let book = Book::open(hospital.path()).unwrap();
        let classes = ["cyst".to_owned(), "normal".to_owned()];
        let together = ["bed 7", "Bed 8", "100 %"].map(|reference| new(&classes, reference));
        let (batch, ids) = book.add_cases(&together).unwrap();
        let (batch, last) = (batch.unwrap(), add(&book, new(&classes, "alone")));
        assert_eq!((ids.len(), book.case(last).unwrap().unwrap().batch), (3, None));
        let (next, _) = book.add_cases(&together[..2]).unwrap();
        assert_eq!(next, Some(batch + 1));
        book.connection().execute("DELETE FROM cases WHERE batch = ?1", [batch + 1]).unwrap();
        let found = |filter: Filter| {
            let (cases, count) = book.cases(&filter, 0, 10).unwrap();
            assert_eq!(cases.len(), count);
            cases.into_iter().map(|case| case.reference).collect::<Vec<_>>()
        };
        let words = |words: &str| Filter { words: words.into(), ..Filter::default() };
        assert_eq!(found(words(" bed ")), ["Bed 8", "bed 7"]);
        assert_eq!(found(words("%")), ["100 %"], "no pattern but a word");
        assert_eq!(found(Filter { batch: Some(batch), ..Filter::default() }), ["100 %", "Bed 8", "bed 7"]);
        let (page, count) = book.cases(&Filter::default(), 1, 2).unwrap();
        assert_eq!((page.len(), count, page[0].reference.as_str()), (2, 4, "100 %"));
        let labelled = |offer: &str| Filter { labelled: Some(offer.into()), ..Filter::default() };
        assert!(found(labelled("3")).is_empty());
        book.note_answer(last, &reply(&[0.0, 1.0]), &[0.0, 1.0]).unwrap();
        book.note_label(last, Some(&Labelled { class: 0, by: "ada".into(), at_s: 1 })).unwrap();
        assert_eq!((found(labelled("3")), found(labelled("4"))), (vec!["alone".to_owned()], vec![]));
        assert_eq!(book.end_waiting("restarted").unwrap(), 3);
    }

    #[test]
    fn a_damaged_case_is_named() {
        let hospital = tempfile::tempdir().unwrap();
        let book = Book::open(hospital.path()).unwrap();
        let id = add(&book, new(&["a".to_owned()], "x"));
        let none = "UPDATE cases SET state = 'answered', classes = '[]'";
        let likeness = "UPDATE cases SET likeness = '{}'";
        for damage in [likeness, "UPDATE cases SET state = 'answered'", none, "UPDATE cases SET classes = '['"] {
            book.connection().execute(damage, []).unwrap();
            assert!(matches!(book.case(id), Err(BookError::Damaged { id: of, .. }) if of == id), "{damage}");
        }
    }
}

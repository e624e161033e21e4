//! Cases whose truth was recorded, as training wants them: with their pictures, and with what says who belongs
//! together.

use rusqlite::params;
use sha2::{Digest, Sha256};

use super::{Book, BookError};

/// Of version 3: a word that pictures of one patient share, or of one study where nobody says whose it is.
pub(super) const COLUMN: &str = "ALTER TABLE cases ADD COLUMN source TEXT;";

/// Labelled cases of one model that figures, or training data, are made of.
pub(crate) const JUDGED_MAX: usize = 100_000;

/// Characters of a source's word: 128 bits.
const SOURCE_LENGTH: usize = 32;

/// Answered, and somebody said what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) id: i64,
    /// Of the model's classes.
    pub(crate) class: usize,
    pub(crate) batch: Option<i64>,
    pub(crate) reference: String,
    pub(crate) file: String,
    /// The word of [`source`], where its file said one.
    pub(crate) source: Option<String>,
    /// The study in the archive, as long as it is known; empty otherwise.
    pub(crate) study: String,
    pub(crate) has_picture: bool,
}

/// A word for whoever a file shows, or for its study where it does not say who; `None` where it says neither. It is a
/// digest and no name, but whoever can guess a number can compare.
pub(crate) fn source(patient: &str, study: &str) -> Option<String> {
    let of = |kind: &str, name: &str| {
        // A kind has no zero byte, so no two pairs are the same text.
        let digest = Sha256::digest(format!("{kind}\0{name}"));
        hex::encode(digest)[..SOURCE_LENGTH].to_owned()
    };
    match (patient.trim(), study.trim()) {
        ("", "") => None,
        ("", study) => Some(of("study", study)),
        (patient, _) => Some(of("patient", patient)),
    }
}

impl Book {
    /// Keeps the picture that a case is about, as PNG, and the word of whoever it shows.
    pub(crate) fn keep_picture(&self, id: i64, picture: &[u8], source: Option<&str>) -> Result<(), BookError> {
        let sql = "UPDATE cases SET picture = ?2, source = ?3 WHERE id = ?1";
        self.connection().execute(sql, params![id, picture, source])?;
        Ok(())
    }

    /// The oldest judged cases of a model with so many classes, one more than [`JUDGED_MAX`] at most. Only an answered
    /// case has a label.
    pub(crate) fn judged(&self, offer: &str, digest: &str, classes: usize) -> Result<Vec<Judged>, BookError> {
        let sql = "SELECT id, label, batch, reference, file, source, coalesce(study, ''), picture IS NOT NULL
                   FROM cases LEFT JOIN archived ON case_id = id
                   WHERE offer = ?1 AND digest = ?2 AND label >= 0 AND label < ?3
                   ORDER BY id LIMIT ?4";
        let judged = |row: &rusqlite::Row<'_>| {
            Ok(Judged {
                id: row.get(0)?,
                class: usize::try_from(row.get::<_, i64>(1)?).unwrap_or_default(),
                batch: row.get(2)?,
                reference: row.get(3)?,
                file: row.get(4)?,
                source: row.get(5)?,
                study: row.get(6)?,
                has_picture: row.get(7)?,
            })
        };
        let connection = self.connection();
        let mut rows = connection.prepare(sql)?;
        let found = rows.query_map(params![offer, digest, classes as i64, JUDGED_MAX as i64 + 1], judged)?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use client::counter::Reply;

    use super::*;
    use crate::book::{Labelled, NewCase};

    #[test]
    fn a_source_is_the_patient_or_else_the_study_and_neither_can_be_read_in_it() {
        let [patient, again] = ["1.2", "1.3"].map(|study| source(" PID4711", study));
        assert!(patient.is_some() && patient == again, "all studies of a patient");
        let study = source("", "PID4711");
        assert!(study.is_some() && study != patient && source(" ", "").is_none());
        assert!(!patient.unwrap().contains("PID4711"));
    }

    #[test]
    fn a_case_counts_once_it_is_answered_and_labelled_for_its_own_model_and_class() {
        let hospital = tempfile::tempdir().unwrap();
        let book = Book::open(hospital.path()).unwrap();
        let classes = ["cyst".to_owned(), "normal".to_owned()];
        let new = |offer, digest| NewCase {
            owner: "ada",
            reference: "bed 7",
            file: "scan.png",
            made_s: 1_000,
            offer,
            model: "kidney",
            digest,
            classes: &classes,
            temperature: 1.0,
        };
        let add = |offer, digest| book.add_cases(&[new(offer, digest)]).unwrap().1[0];
        let ids = [add("3", "ab"), add("3", "ab"), add("4", "ab"), add("3", "cd"), add("3", "ab")];
        let logits = vec![0.0, 1.0];
        let reply = Reply {
            query: "1-7".into(),
            logits: vec![logits.clone()],
            total_ms: 1.0,
            encrypt_ms: 1.0,
            decrypt_ms: 1.0,
            query_bytes: 1,
            reply_bytes: 1,
        };
        ids[..4].iter().for_each(|id| book.note_answer(*id, &reply, &logits).unwrap());
        let label = |class| Labelled { class, by: "ada".into(), at_s: 1 };
        assert!(book.judged("3", "ab", 2).unwrap().is_empty(), "nobody said what they are");
        for id in ids {
            book.note_label(id, Some(&label(1))).unwrap();
        }
        book.keep_picture(ids[1], b"png", Some("word")).unwrap();
        let found = book.judged("3", "ab", 2).unwrap();
        let seen: Vec<_> = found.iter().map(|case| (case.id, case.has_picture, case.source.as_deref())).collect();
        assert_eq!(seen, [(ids[0], false, None), (ids[1], true, Some("word"))]);
        assert_eq!((found[0].class, found[0].study.as_str(), found[0].reference.as_str()), (1, "", "bed 7"));
        assert_eq!(book.judged("4", "ab", 2).unwrap().len(), 1);
        for none in [2, -1] {
            book.connection().execute("UPDATE cases SET label = ?2 WHERE id = ?1", [ids[0], none]).unwrap();
            assert_eq!(book.judged("3", "ab", 2).unwrap().len(), 1, "there is no such class");
        }
    }
}

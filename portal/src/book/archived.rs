//! Cases whose image came from the archive: which object it was, until their answer is stored beside it. Whom it shows
//! is not kept.

use pacs::Uid;
use rusqlite::{OptionalExtension, params};

use super::{Book, BookError};

/// Since version 2.
pub(super) const TABLE: &str = "
CREATE TABLE archived(
    case_id INTEGER PRIMARY KEY, study TEXT NOT NULL, series TEXT NOT NULL, instance TEXT NOT NULL,
    report_series TEXT NOT NULL DEFAULT '', report_instance TEXT NOT NULL DEFAULT '', stored_by TEXT, stored_s INTEGER
) STRICT;
";

/// An object of the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) study: Uid,
    pub(crate) series: Uid,
    pub(crate) instance: Uid,
}

/// Under which names an answer is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) series: Uid,
    pub(crate) instance: Uid,
}

/// What a case has to do with the archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Archived {
    /// Its answer can be stored there.
    Storable(Origin),
    /// It is there.
    Stored {
        /// Who stored it.
        by: String,
        /// Seconds since 1970.
        at_s: i64,
    },
}

impl Book {
    /// Notes where a case's image came from.
    pub(crate) fn note_origin(&self, case: i64, origin: &Origin) -> Result<(), BookError> {
        let Origin { study, series, instance } = origin;
        self.connection().execute(
            "INSERT OR REPLACE INTO archived(case_id, study, series, instance) VALUES (?1, ?2, ?3, ?4)",
            params![case, study.as_str(), series.as_str(), instance.as_str()],
        )?;
        Ok(())
    }

    /// What a case has to do with the archive; `None` where its image came from elsewhere.
    pub(crate) fn archived(&self, case: i64) -> Result<Option<Archived>, BookError> {
        let sql = "SELECT study, series, instance, stored_by, stored_s FROM archived WHERE case_id = ?1";
        let row = self.connection().query_row(sql, [case], |row| {
            let text = |place| row.get::<_, String>(place);
            let stored: (Option<String>, Option<i64>) = (row.get(3)?, row.get(4)?);
            Ok(([text(0)?, text(1)?, text(2)?], stored))
        });
        match row.optional()? {
            None => Ok(None),
            Some((_, (Some(by), Some(at_s)))) => Ok(Some(Archived::Stored { by, at_s })),
            Some((texts, _)) => {
                let [study, series, instance] = texts.map(|text| uid(case, &text));
                Ok(Some(Archived::Storable(Origin { study: study?, series: series?, instance: instance? })))
            }
        }
    }

    /// The names of a case's report: these, or those of an earlier attempt.
    pub(crate) fn report_of(&self, case: i64, new: &Report) -> Result<Report, BookError> {
        let connection = self.connection();
        connection.execute(
            "UPDATE archived SET report_series = ?2, report_instance = ?3 WHERE case_id = ?1 AND report_instance = ''",
            params![case, new.series.as_str(), new.instance.as_str()],
        )?;
        let sql = "SELECT report_series, report_instance FROM archived WHERE case_id = ?1";
        let (series, instance): (String, String) =
            connection.query_row(sql, [case], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Report { series: uid(case, &series)?, instance: uid(case, &instance)? })
    }

    /// Notes that a case's answer is in the archive, and forgets which object it was about.
    pub(crate) fn note_stored(&self, case: i64, by: &str, at_s: i64) -> Result<(), BookError> {
        self.connection().execute(
            "UPDATE archived SET stored_by = ?2, stored_s = ?3, study = '', series = '', instance = '',
                                 report_series = '', report_instance = '' WHERE case_id = ?1",
            params![case, by, at_s],
        )?;
        Ok(())
    }
}

fn uid(id: i64, text: &str) -> Result<Uid, BookError> {
    text.parse().map_err(|_| BookError::Damaged { id, found: "a name of the archive that is no UID".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Uid {
        text.parse().unwrap()
    }

    #[test]
    fn an_origin_is_kept_until_the_answer_is_stored_and_a_report_keeps_its_names() {
        let hospital = tempfile::tempdir().unwrap();
        let book = Book::open(hospital.path()).unwrap();
        let origin = Origin { study: of("1.2"), series: of("1.3"), instance: of("1.4") };
        assert_eq!(book.archived(7).unwrap(), None);
        book.note_origin(7, &origin).unwrap();
        assert_eq!(book.archived(7).unwrap(), Some(Archived::Storable(origin)));
        let [first, second] = ["2.1", "3.1"].map(|name| Report { series: of(name), instance: of(name) });
        assert_eq!(book.report_of(7, &first).unwrap(), first);
        assert_eq!(book.report_of(7, &second).unwrap(), first, "another attempt is the same report");
        book.note_stored(7, "ada", 1_000).unwrap();
        drop(book);
        let book = Book::open(hospital.path()).unwrap();
        assert_eq!(book.archived(7).unwrap(), Some(Archived::Stored { by: "ada".into(), at_s: 1_000 }));
        let kept = "SELECT study || series || instance || report_series || report_instance FROM archived";
        let kept: String = book.connection().query_row(kept, [], |row| row.get(0)).unwrap();
        assert_eq!(kept, "");
    }

    #[test]
    fn a_damaged_name_is_said() {
        let hospital = tempfile::tempdir().unwrap();
        let book = Book::open(hospital.path()).unwrap();
        book.note_origin(7, &Origin { study: of("1.2"), series: of("1.3"), instance: of("1.4") }).unwrap();
        book.connection().execute("UPDATE archived SET series = 'x'", []).unwrap();
        assert!(matches!(book.archived(7), Err(BookError::Damaged { id: 7, .. })));
    }
}

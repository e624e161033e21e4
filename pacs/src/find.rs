//! Searching (QIDO-RS, PS3.18, 10.6).

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use time::Date;

use crate::archive::Archive;
use crate::error::{ArchiveError, Place};
use crate::json;
use crate::line::Request;
use crate::rows::{InstanceRow, RawRow, SeriesRow, StudyRow};
use crate::uid::Uid;

/// Characters of a value at most: those of the attributes that are searched for.
const VALUE_MAX: usize = 64;

/// Which studies; all of them where every field is absent. There is no `Debug`: it names a patient.
#[derive(Clone, Default)]
pub struct Find {
    /// The study itself.
    pub study: Option<Uid>,
    /// The patient's number, the whole of it.
    pub patient_id: Option<String>,
    /// The number of the request, the whole of it.
    pub accession: Option<String>,
    /// Not before this day.
    pub study_date_from: Option<Date>,
    /// Not after this day.
    pub study_date_to: Option<Date>,
    /// Those with a series that was made with it, such as `CT`.
    pub modality: Option<String>,
    /// As many rows at most; the bound of the archive's settings if absent or smaller.
    pub limit: Option<usize>,
    /// As many rows are left out at the beginning.
    pub offset: usize,
}

impl Archive {
    /// Studies.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn studies(&self, find: &Find) -> Result<Vec<StudyRow>, ArchiveError> {
        let rows_max = find.limit.unwrap_or(usize::MAX).min(self.line.bounds.rows_max);
        let (place, rows) = self.rows("/studies", &find.query(rows_max)?, rows_max)?;
        let rows = all(&place, &rows, RawRow::study)?;
        let is_other = |asked: &Option<String>, found: &Option<String>| {
            asked.as_deref().is_some_and(|asked| found.as_deref() != Some(asked.trim()))
        };
        // An archive that does not know a key answers as if it had not been asked for: with everybody's studies.
        if rows.iter().any(|row| {
            is_other(&find.patient_id, &row.patient_id)
                || is_other(&find.accession, &row.accession)
                || find.study.as_ref().is_some_and(|study| *study != row.study)
        }) {
            return Err(ArchiveError::NotAsked { place });
        }
        Ok(rows)
    }

    /// The series of a study.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn series(&self, study: &Uid) -> Result<Vec<SeriesRow>, ArchiveError> {
        let path = format!("/studies/{study}/series");
        let (place, rows) = self.rows(&path, "?includefield=0008103E", self.line.bounds.rows_max)?;
        check_parent(&place, &rows, |row| row.study.uid(), study)?;
        all(&place, &rows, RawRow::series)
    }

    /// The instances of a series.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn instances(&self, study: &Uid, series: &Uid) -> Result<Vec<InstanceRow>, ArchiveError> {
        let path = format!("/studies/{study}/series/{series}/instances");
        let (place, rows) = self.rows(&path, "", self.line.bounds.rows_max)?;
        check_parent(&place, &rows, |row| row.study.uid(), study)?;
        check_parent(&place, &rows, |row| row.series.uid(), series)?;
        all(&place, &rows, RawRow::instance)
    }

    fn rows(&self, path: &str, query: &str, rows_max: usize) -> Result<(Place, Vec<RawRow>), ArchiveError> {
        let request = Request { path, query, accept: json::ACCEPT, within: self.line.bounds.answer };
        json::rows(self.line.get(&request)?, rows_max)
    }
}

impl Find {
    fn query(&self, rows_max: usize) -> Result<String, ArchiveError> {
        let mut query = format!("?limit={rows_max}&offset={}&includefield=00081030", self.offset);
        let values = [
            ("patient_id", "PatientID", &self.patient_id),
            ("accession", "AccessionNumber", &self.accession),
            ("modality", "ModalitiesInStudy", &self.modality),
        ];
        for (field, key, value) in values {
            let Some(value) = value else { continue };
            let value = value.trim();
            let is_more = |character: char| character.is_control() || ['*', '?', '\\'].contains(&character);
            if value.is_empty() || value.chars().count() > VALUE_MAX || value.contains(is_more) {
                return Err(ArchiveError::Find { field });
            }
            query += &format!("&{key}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
        if let Some(study) = &self.study {
            query += &format!("&StudyInstanceUID={study}");
        }
        let day = |date: Option<Date>| date.map(digits).transpose();
        let (from, to) = (day(self.study_date_from)?, day(self.study_date_to)?);
        if from.is_some() || to.is_some() {
            query += &format!("&StudyDate={}-{}", from.unwrap_or_default(), to.unwrap_or_default());
        }
        Ok(query)
    }
}

/// `YYYYMMDD`.
fn digits(date: Date) -> Result<String, ArchiveError> {
    let (year, month, day) = date.to_calendar_date();
    if !(0..=9999).contains(&year) {
        return Err(ArchiveError::Find { field: "study_date" });
    }
    Ok(format!("{year:04}{:02}{day:02}", u8::from(month)))
}

fn all<T>(place: &Place, rows: &[RawRow], read: impl Fn(&RawRow) -> Option<T>) -> Result<Vec<T>, ArchiveError> {
    let other = || ArchiveError::OtherJson { place: place.clone(), line: 0, column: 0 };
    rows.iter().map(|row| read(row).ok_or_else(other)).collect()
}

/// Rows may leave out what they belong to, since the address says it, but not say something else.
fn check_parent(
    place: &Place,
    rows: &[RawRow],
    parent: impl Fn(&RawRow) -> Option<Uid>,
    asked: &Uid,
) -> Result<(), ArchiveError> {
    if rows.iter().filter_map(parent).any(|found| found != *asked) {
        return Err(ArchiveError::NotAsked { place: place.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::Month;

    use super::*;

    fn query(find: Find) -> Result<String, &'static str> {
        match find.query(7) {
            Ok(query) => Ok(query),
            Err(ArchiveError::Find { field }) => Err(field),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_searched_for_is_encoded() {
        let always = "?limit=7&offset=0&includefield=00081030";
        assert_eq!(query(Find::default()).unwrap(), always);
        let find = Find {
            patient_id: Some("a&b=\u{e4} c/#".to_owned()),
            accession: Some(" 17".to_owned()),
            modality: Some("CT".to_owned()),
            study_date_from: Date::from_calendar_date(2024, Month::March, 7).ok(),
            ..Find::default()
        };
        let expected =
            "&PatientID=a%26b%3D%C3%A4%20c%2F%23&AccessionNumber=17&ModalitiesInStudy=CT&StudyDate=20240307-";
        assert_eq!(query(find).unwrap(), format!("{always}{expected}"));
        let find = Find { study: "1.2.3".parse().ok(), ..Find::default() };
        assert_eq!(query(find).unwrap(), format!("{always}&StudyInstanceUID=1.2.3"));
        let find = Find { study_date_to: Date::from_calendar_date(24, Month::May, 31).ok(), ..Find::default() };
        assert_eq!(query(find).unwrap(), format!("{always}&StudyDate=-00240531"));
    }

    #[test]
    fn what_would_find_others_too_is_not_searched_for() {
        for more in ["4711*", "47?1", "4711\\4712", "", " ", "a\nb", &"1".repeat(65)] {
            let find = Find { patient_id: Some(more.to_owned()), ..Find::default() };
            assert_eq!(query(find), Err("patient_id"), "{more:?}");
        }
        assert_eq!(query(Find { accession: Some("*".to_owned()), ..Find::default() }), Err("accession"));
        assert_eq!(query(Find { modality: Some("*".to_owned()), ..Find::default() }), Err("modality"));
        let find = Find { study_date_to: Date::from_calendar_date(-1, Month::May, 31).ok(), ..Find::default() };
        assert_eq!(query(find), Err("study_date"));
    }
}

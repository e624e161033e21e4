//! What a search finds. Rows name patients, so none of them prints itself.

use std::fmt;

use serde::Deserialize;

use crate::json::Element;
use crate::uid::Uid;

/// A study. Texts are as the archive has them, without control characters.
#[derive(Clone, PartialEq, Eq)]
pub struct StudyRow {
    /// The study.
    pub study: Uid,
    /// The patient's number.
    pub patient_id: Option<String>,
    /// The patient's name, with `^` between its parts.
    pub patient_name: Option<String>,
    /// The number of the request for it.
    pub accession: Option<String>,
    /// `YYYYMMDD`.
    pub date: Option<String>,
    /// What was examined.
    pub description: Option<String>,
    /// What its series were made with.
    pub modalities: Vec<String>,
    /// How many series it has.
    pub series_count: Option<u32>,
    /// How many instances it has.
    pub instances_count: Option<u32>,
}

/// A series of a study.
#[derive(Clone, PartialEq, Eq)]
pub struct SeriesRow {
    /// The series.
    pub series: Uid,
    /// What it was made with.
    pub modality: Option<String>,
    /// What it shows.
    pub description: Option<String>,
    /// Its place among the study's.
    pub number: Option<u32>,
    /// How many instances it has.
    pub instances_count: Option<u32>,
}

/// An instance of a series.
#[derive(Clone, PartialEq, Eq)]
pub struct InstanceRow {
    /// The instance.
    pub instance: Uid,
    /// What kind of object it is.
    pub class: Option<Uid>,
    /// Its place among the series'.
    pub number: Option<u32>,
    /// Height of its picture.
    pub rows: Option<u32>,
    /// Width of its picture.
    pub columns: Option<u32>,
    /// How many pictures it has.
    pub frames: Option<u32>,
}

impl fmt::Debug for StudyRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("StudyRow(..)")
    }
}

impl fmt::Debug for SeriesRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SeriesRow(..)")
    }
}

impl fmt::Debug for InstanceRow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("InstanceRow(..)")
    }
}

/// A row as it is sent, of any level.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct RawRow {
    #[serde(rename = "00080016")]
    class: Element,
    #[serde(rename = "00080018")]
    instance: Element,
    #[serde(rename = "00080020")]
    date: Element,
    #[serde(rename = "00080050")]
    accession: Element,
    #[serde(rename = "00080060")]
    modality: Element,
    #[serde(rename = "00080061")]
    modalities: Element,
    #[serde(rename = "00081030")]
    study_description: Element,
    #[serde(rename = "0008103E")]
    series_description: Element,
    #[serde(rename = "00100010")]
    patient_name: Element,
    #[serde(rename = "00100020")]
    patient_id: Element,
    #[serde(rename = "0020000D")]
    pub(crate) study: Element,
    #[serde(rename = "0020000E")]
    pub(crate) series: Element,
    #[serde(rename = "00200011")]
    series_number: Element,
    #[serde(rename = "00200013")]
    instance_number: Element,
    #[serde(rename = "00201206")]
    series_of_study: Element,
    #[serde(rename = "00201208")]
    instances_of_study: Element,
    #[serde(rename = "00201209")]
    instances_of_series: Element,
    #[serde(rename = "00280008")]
    frames: Element,
    #[serde(rename = "00280010")]
    rows: Element,
    #[serde(rename = "00280011")]
    columns: Element,
}

impl RawRow {
    /// None where the row names no study.
    pub(crate) fn study(&self) -> Option<StudyRow> {
        Some(StudyRow {
            study: self.study.uid()?,
            patient_id: self.patient_id.text(),
            patient_name: self.patient_name.text(),
            accession: self.accession.text(),
            date: self.date.text(),
            description: self.study_description.text(),
            modalities: self.modalities.texts(),
            series_count: self.series_of_study.number(),
            instances_count: self.instances_of_study.number(),
        })
    }

    /// None where the row names no series.
    pub(crate) fn series(&self) -> Option<SeriesRow> {
        Some(SeriesRow {
            series: self.series.uid()?,
            modality: self.modality.text(),
            description: self.series_description.text(),
            number: self.series_number.number(),
            instances_count: self.instances_of_series.number(),
        })
    }

    /// None where the row names no instance.
    pub(crate) fn instance(&self) -> Option<InstanceRow> {
        Some(InstanceRow {
            instance: self.instance.uid()?,
            class: self.class.uid(),
            number: self.instance_number.number(),
            rows: self.rows.number(),
            columns: self.columns.number(),
            frames: self.frames.number(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_do_not_print_whom_they_are_about() {
        let json = r#"{"0020000D":{"vr":"UI","Value":["1.2"]},"0020000E":{"vr":"UI","Value":["1.3"]},
                       "00080018":{"vr":"UI","Value":["1.4"]},"00100020":{"vr":"LO","Value":["4711"]},
                       "00100010":{"vr":"PN","Value":[{"Alphabetic":"Doe^Jane"}]},
                       "0008103E":{"vr":"LO","Value":["Doe"]},"00099999":{"vr":"SQ","Value":[{"a":{}}]}}"#;
        let raw: RawRow = serde_json::from_str(json).unwrap();
        let study = raw.study().unwrap();
        assert_eq!((study.patient_id.as_deref(), study.patient_name.as_deref()), (Some("4711"), Some("Doe^Jane")));
        let printed = format!("{study:?} {:?} {:?}", raw.series().unwrap(), raw.instance().unwrap());
        assert_eq!(printed, "StudyRow(..) SeriesRow(..) InstanceRow(..)");
    }
}

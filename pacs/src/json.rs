//! DICOM's JSON (PS3.18, annex F), as far as searches and storage answer with it. Errors name a place and no value:
//! values are names of patients.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::error::{ArchiveError, Place};
use crate::line::Answer;
use crate::uid::Uid;

/// Values of an element that are looked at: a study has a handful of modalities.
const VALUES_MAX: usize = 64;
/// Characters of a text that are kept: the longest that a row has is a description of 64.
const TEXT_MAX: usize = 256;
/// What answers may call this JSON.
const TYPES: [&str; 2] = ["application/dicom+json", "application/json"];
/// What is asked for.
pub(crate) const ACCEPT: &str = "application/dicom+json";

/// An attribute's values.
#[derive(Default, Deserialize)]
pub(crate) struct Element {
    #[serde(rename = "Value", default, deserialize_with = "few::<_, _, VALUES_MAX>")]
    values: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Value {
    Text(String),
    Number(u64),
    Name {
        #[serde(rename = "Alphabetic")]
        alphabetic: String,
    },
    Other(IgnoredAny),
}

impl Element {
    /// The first value as text, without what pads it and without characters that do something to a terminal.
    pub(crate) fn text(&self) -> Option<String> {
        self.texts().into_iter().next()
    }

    pub(crate) fn texts(&self) -> Vec<String> {
        let clean =
            |text: &str| text.trim().chars().filter(|character| !character.is_control()).take(TEXT_MAX).collect();
        let text = |value: &Value| match value {
            Value::Text(text) | Value::Name { alphabetic: text } => Some(clean(text)),
            Value::Number(number) => Some(number.to_string()),
            Value::Other(_) => None,
        };
        self.values.iter().filter_map(text).filter(|text: &String| !text.is_empty()).collect()
    }

    /// The first value as a number: some archives write numbers as text.
    pub(crate) fn number<N: TryFrom<u64>>(&self) -> Option<N> {
        let number = match self.values.first()? {
            Value::Number(number) => *number,
            Value::Text(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        N::try_from(number).ok()
    }

    pub(crate) fn uid(&self) -> Option<Uid> {
        self.text()?.parse().ok()
    }
}

/// The first elements of an array; the others are read over.
struct Few<T> {
    max: usize,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<T>, A::Error> {
        let mut found = Vec::new();
        while found.len() < self.max {
            match array.next_element()? {
                Some(element) => found.push(element),
                None => return Ok(found),
            }
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    fn visit_unit<E>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Few<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The first `MAX` elements of an array.
pub(crate) fn few<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Few { max: MAX, of: PhantomData }.deserialize(deserializer)
}

/// An answer's rows, of `rows_max` at most; none where it says that there is no content.
pub(crate) fn rows<T: for<'de> Deserialize<'de>>(
    answer: Answer,
    rows_max: usize,
) -> Result<(Place, Vec<T>), ArchiveError> {
    if answer.status.as_u16() == 204 {
        return Ok((answer.place, Vec::new()));
    }
    let (place, bytes) = json_bytes(answer)?;
    let mut reader = serde_json::Deserializer::from_slice(&bytes);
    let few = Few { max: rows_max.saturating_add(1), of: PhantomData };
    let read = few.deserialize(&mut reader).and_then(|rows: Vec<T>| reader.end().map(|()| rows));
    match read {
        Err(error) => Err(of_json(place, &error)),
        Ok(rows) if rows.len() > rows_max => Err(ArchiveError::TooManyRows { place, rows_max }),
        Ok(rows) => Ok((place, rows)),
    }
}

/// An answer that is one object.
pub(crate) fn object<T: for<'de> Deserialize<'de>>(answer: Answer) -> Result<(Place, T), ArchiveError> {
    let (place, bytes) = json_bytes(answer)?;
    match serde_json::from_slice(&bytes) {
        Ok(object) => Ok((place, object)),
        Err(error) => Err(of_json(place, &error)),
    }
}

fn json_bytes(answer: Answer) -> Result<(Place, Vec<u8>), ArchiveError> {
    if !TYPES.iter().any(|known| answer.media.is(known)) {
        let (found, place) = (answer.media.shown(), answer.place);
        return Err(ArchiveError::Media { place, expected: ACCEPT, found });
    }
    answer.bytes()
}

/// Where JSON goes wrong. The library's own words repeat values.
fn of_json(place: Place, error: &serde_json::Error) -> ArchiveError {
    use serde_json::error::Category;
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Eof => ArchiveError::Cut { place },
        Category::Data => ArchiveError::OtherJson { place, line, column },
        Category::Syntax | Category::Io => ArchiveError::NotJson { place, line, column },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(json: &str) -> Element {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn values_are_text_numbers_and_names_however_they_are_written() {
        assert_eq!(element(r#"{"vr":"LO","Value":[" a\u001b[2J "]}"#).text().as_deref(), Some("a[2J"));
        assert_eq!(
            element(r#"{"vr":"PN","Value":[{"Alphabetic":"Doe^J","Ideographic":"x"}]}"#).text().unwrap(),
            "Doe^J"
        );
        assert_eq!(element(r#"{"vr":"CS","Value":["CT",null,"","SR"]}"#).texts(), ["CT", "SR"]);
        assert_eq!(element(r#"{"vr":"IS","Value":[7]}"#).number(), Some(7_u32));
        assert_eq!(element(r#"{"vr":"IS","Value":["7 "]}"#).number(), Some(7_u32));
        assert_eq!(element(r#"{"vr":"IS","Value":[70000]}"#).number::<u16>(), None);
        assert_eq!(element(r#"{"vr":"UI","Value":["1.2/3"]}"#).uid(), None);
        for empty in [r#"{"vr":"LO"}"#, r#"{"vr":"LO","Value":[]}"#, r#"{"vr":"LO","Value":null}"#] {
            assert_eq!(element(empty).text(), None);
        }
    }

    #[test]
    fn of_a_long_list_and_a_long_text_little_is_kept() {
        let list = format!(r#"{{"Value":[{}"b"]}}"#, r#""a","#.repeat(1000));
        assert_eq!(element(&list).texts().len(), VALUES_MAX);
        let text = format!(r#"{{"Value":["{}"]}}"#, "a".repeat(1000));
        assert_eq!(element(&text).text().unwrap().len(), TEXT_MAX);
    }
}

//! Values of elements as numbers and words.

use super::elements::{DataSet, Value};
use crate::error::ImagingError;
use crate::tag::{self, Tag};

/// A backslash separates values. It is no part of a character in any set that elements of numbers and labels may use.
const SEPARATOR: u8 = b'\\';

impl<'a> DataSet<'a> {
    fn value(&self, tag: Tag) -> Option<&Value<'a>> {
        self.elements.iter().find(|element| element.tag == tag).map(|element| &element.value)
    }

    /// The bytes of an element that is there and not empty.
    pub(super) fn bytes(&self, tag: Tag) -> Option<&'a [u8]> {
        match self.value(tag)? {
            Value::Bytes(bytes) if !bytes.is_empty() => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn representation(&self, tag: Tag) -> Option<[u8; 2]> {
        self.elements.iter().find(|element| element.tag == tag).map(|element| element.representation)
    }

    /// The pixels, whatever they are wrapped in.
    pub(super) fn pixels(&self) -> Option<&Value<'a>> {
        self.value(tag::PIXELS)
    }

    /// Items of a sequence; none where it is absent.
    pub(super) fn items(&self, tag: Tag) -> &[DataSet<'a>] {
        match self.value(tag) {
            Some(Value::Items(items)) => items,
            _ => &[],
        }
    }

    /// All values of two bytes.
    pub(super) fn words(&self, tag: Tag) -> Option<Vec<u16>> {
        Some(self.bytes(tag)?.as_chunks().0.iter().map(|word| self.syntax.u16(*word)).collect())
    }

    /// The first value of two bytes.
    pub(super) fn word(&self, tag: Tag) -> Result<Option<u16>, ImagingError> {
        match self.bytes(tag) {
            None => Ok(None),
            Some([first, second, ..]) => Ok(Some(self.syntax.u16([*first, *second]))),
            Some(_) => Err(ImagingError::Malformed { tag }),
        }
    }

    /// The same where there has to be one.
    pub(super) fn needed(&self, tag: Tag) -> Result<u16, ImagingError> {
        self.word(tag)?.ok_or(ImagingError::Absent { tag })
    }

    /// Words that are separated and padded, as bytes of no known character set.
    pub(super) fn parts(&self, tag: Tag) -> impl Iterator<Item = &'a [u8]> {
        self.bytes(tag).into_iter().flat_map(|bytes| bytes.split(|byte| *byte == SEPARATOR)).map(trimmed)
    }

    /// A label: capital letters, digits, spaces and low lines, 16 at most (PS3.5 table 6.2-1, `CS`). It ends with
    /// anything else, so that a damaged one carries nothing into a message.
    pub(super) fn label(&self, tag: Tag) -> Option<String> {
        self.parts(tag).next().map(label).filter(|label| !label.is_empty())
    }

    /// All decimal numbers. Empty ones are `None`; what is no finite number is refused.
    pub(super) fn decimals(&self, tag: Tag) -> Result<Vec<Option<f64>>, ImagingError> {
        let number = |part: &[u8]| match part {
            [] => Ok(None),
            part => {
                let number = std::str::from_utf8(part).ok().and_then(|text| text.parse::<f64>().ok());
                number.filter(|number| number.is_finite()).map(Some).ok_or(ImagingError::Malformed { tag })
            }
        };
        self.parts(tag).map(number).collect()
    }

    /// The first decimal number.
    pub(super) fn decimal(&self, tag: Tag) -> Result<Option<f64>, ImagingError> {
        Ok(self.decimals(tag)?.first().copied().flatten())
    }

    /// The first whole number that is written in digits.
    pub(super) fn whole(&self, tag: Tag) -> Result<Option<i64>, ImagingError> {
        match self.parts(tag).next() {
            None | Some([]) => Ok(None),
            Some(part) => {
                let number = std::str::from_utf8(part).ok().and_then(|text| text.parse().ok());
                number.map(Some).ok_or(ImagingError::Malformed { tag })
            }
        }
    }
}

/// Without spaces and zeros around it.
pub(super) fn trimmed(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | 0, rest @ ..] | [rest @ .., b' ' | 0] = bytes {
        bytes = rest;
    }
    bytes
}

pub(super) fn label(bytes: &[u8]) -> String {
    let allowed = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b' ' | b'_');
    bytes.iter().copied().take_while(allowed).take(16).map(char::from).collect()
}

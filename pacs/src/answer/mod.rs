//! A model's answer as DICOM objects that an archive files under the study that was asked about: a picture with words
//! ([`SecondaryCapture`]) and a report of numbers ([`StructuredReport`]).
//!
//! Both keep the identity of patient and study of a [`Source`] and say that nobody verified them. Every value that
//! goes into an object is checked where it comes in, so that what is written is valid.

mod object;
mod picture;
mod secondary_capture;
mod source;
mod structured_report;

use std::borrow::Cow;

use remedy::{Exit, Explained};
use time::OffsetDateTime;

pub use picture::Picture;
pub use secondary_capture::SecondaryCapture;
pub use source::Source;
pub use structured_report::{ClassProbability, StructuredReport};

use crate::uid::Uid;

/// What every object says of itself.
pub const NOT_A_DEVICE: &str = "Research use only. Not a medical device: not for diagnosis or treatment. Not verified.";

/// When an object is made, and under which new names.
#[derive(Clone, Debug)]
pub struct Occasion {
    /// Now, in the hospital's own time, as all times of a study are: an object says no time zone.
    pub at: OffsetDateTime,
    /// The series that the object begins. Objects of different kinds cannot share one.
    pub series: Uid,
    /// The object.
    pub instance: Uid,
}

impl Occasion {
    /// With names out of the system's random bytes.
    ///
    /// # Errors
    /// [`AnswerError::Random`].
    pub fn at(at: OffsetDateTime) -> Result<Self, AnswerError> {
        let mut random = [[0; 16]; 2];
        for bytes in &mut random {
            getrandom::fill(bytes).map_err(|_| AnswerError::Random)?;
        }
        let [series, instance] = random.map(Uid::of_random);
        Ok(Self { at, series, instance })
    }
}

/// Why an answer cannot be made into an object.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// No DICOM file.
    #[error("the source is no DICOM file that can be read")]
    NotDicom,
    /// A compressed header.
    #[error("the source's header is compressed (deflated)")]
    Deflated,
    /// Texts that would be written as something else.
    #[error("the source names patient and study in characters that are not read here, or too many of them")]
    Unreadable,
    /// An object that belongs nowhere.
    #[error("the source names no {attribute}")]
    Nameless {
        /// What it does not name.
        attribute: &'static str,
    },
    /// A picture of other sides than it has pixels.
    #[error("a picture of {width} x {height} with {samples} values each has no {bytes} bytes, or more than is written")]
    Picture {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
        /// 1 or 3.
        samples: usize,
        /// As many were given.
        bytes: usize,
    },
    /// A text that has no place in an object.
    #[error("{field} has {length} characters where 1 to {length_max} are, or one of \\ and control characters")]
    Text {
        /// Which text.
        field: &'static str,
        /// Its characters.
        length: usize,
        /// As many may be.
        length_max: usize,
    },
    /// A number that is no probability.
    #[error("class {class} has no probability from 0 to 1")]
    Probability {
        /// Its place, from 0.
        class: usize,
    },
    /// No classes, or more than anybody reads.
    #[error("an answer of {classes} classes is not reported; there may be 1 to {classes_max}")]
    Classes {
        /// As many were given.
        classes: usize,
        /// As many may be.
        classes_max: usize,
    },
    /// The machine gives no random bytes.
    #[error("the system gives no random bytes")]
    Random,
}

impl Explained for AnswerError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotDicom | Self::Deflated | Self::Unreadable | Self::Nameless { .. } => "answer_source",
            Self::Picture { .. } => "answer_picture",
            Self::Text { .. } | Self::Probability { .. } | Self::Classes { .. } => "answer_content",
            Self::Random => "random",
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NotDicom | Self::Nameless { .. } => "give the object as the archive sent it, with its header",
            Self::Deflated => "have the archive send the object in another transfer syntax",
            Self::Unreadable => "have the archive send the object with its texts in UTF-8 (ISO_IR 192)",
            Self::Picture { .. } => "give rows of 8-bit values, one or three per pixel",
            Self::Text { .. } => "shorten it, or take those characters out",
            Self::Probability { .. } | Self::Classes { .. } => {
                "give the model's answer as it came, one number per class"
            }
            Self::Random => "try again once the machine has started up",
        })
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Random => Exit::Failed,
            _ => Exit::BadInput,
        }
    }
}

/// A text of one line that can stand in an object.
fn checked(field: &'static str, text: &str, length_max: usize) -> Result<String, AnswerError> {
    let length = text.chars().count();
    let is_none = |character: char| character.is_control() || character == '\\';
    if text.trim().is_empty() || length > length_max || text.contains(is_none) {
        return Err(AnswerError::Text { field, length, length_max });
    }
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests;

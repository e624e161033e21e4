//! An error of decoding as bytes.

use super::wire::{Reading, Words};
use crate::dicom::name_of;
use crate::error::{Codec, Ending, ImagingError, Measure, Problem, Quantity, cut};

/// An error of decoding.
pub(super) fn write(error: &ImagingError) -> Vec<u8> {
    let mut words = Words::default();
    words.u8(number(error));
    match error {
        ImagingError::TooLarge { quantity, has, most } => {
            words.u8(*quantity as u8);
            for word in [*has, *most] {
                words.u64(word);
            }
        }
        ImagingError::Structure { offset, problem } => {
            words.u64(*offset);
            words.u8(*problem as u8);
        }
        ImagingError::Absent { tag } | ImagingError::Malformed { tag } | ImagingError::Unsupported { tag } => {
            words.tag(*tag);
        }
        ImagingError::Value { tag, value } => {
            words.tag(*tag);
            words.u64(*value as u64);
        }
        ImagingError::Colours { photometric, samples } => {
            words.text(photometric);
            words.u32((*samples).into());
        }
        ImagingError::Truncated { has, expected } => {
            for word in [*has, *expected] {
                words.u64(word);
            }
        }
        ImagingError::UnsupportedTransferSyntax { uid, .. } => words.text(uid),
        ImagingError::Codec { frame, codec, detail } => {
            words.u32(*frame);
            words.u8(*codec as u8);
            words.text(detail);
        }
        ImagingError::Disagreement { frame, measure, has, expected } => {
            words.u32(*frame);
            words.u8(*measure as u8);
            for word in [*has, *expected] {
                words.u64(word);
            }
        }
        ImagingError::TooMuchMemory { limit } => words.u64(*limit),
        _ => {}
    }
    words.0
}

/// As [`Reading::error`] reads it.
fn number(error: &ImagingError) -> u8 {
    match error {
        ImagingError::UnknownFormat => 1,
        ImagingError::TooLarge { .. } => 2,
        ImagingError::Structure { .. } => 3,
        ImagingError::Absent { .. } => 4,
        ImagingError::Value { .. } => 5,
        ImagingError::Malformed { .. } => 6,
        ImagingError::Unsupported { .. } => 7,
        ImagingError::Colours { .. } => 8,
        ImagingError::Truncated { .. } => 9,
        ImagingError::UnsupportedTransferSyntax { .. } => 10,
        ImagingError::Codec { .. } => 11,
        ImagingError::Disagreement { .. } => 12,
        ImagingError::TooMuchMemory { .. } => 13,
        // The others are what only a parent says.
        ImagingError::Crashed { .. }
        | ImagingError::TooLong { .. }
        | ImagingError::Start { .. }
        | ImagingError::Answer { .. } => 14,
    }
}

/// The error of such bytes, or where they stop making sense.
pub(super) fn read(head: &[u8]) -> Result<ImagingError, u64> {
    Reading::whole(head, Reading::error)
}

impl Reading<'_> {
    fn error(&mut self) -> Option<ImagingError> {
        Some(match self.u8()? {
            1 => ImagingError::UnknownFormat,
            2 => ImagingError::TooLarge {
                quantity: Quantity::numbered(self.u8()?)?,
                has: self.u64()?,
                most: self.u64()?,
            },
            3 => ImagingError::Structure { offset: self.u64()?, problem: Problem::numbered(self.u8()?)? },
            4 => ImagingError::Absent { tag: self.tag()? },
            5 => ImagingError::Value { tag: self.tag()?, value: self.u64()? as i64 },
            6 => ImagingError::Malformed { tag: self.tag()? },
            7 => ImagingError::Unsupported { tag: self.tag()? },
            8 => ImagingError::Colours { photometric: cut(&self.text()?), samples: self.u32()?.try_into().ok()? },
            9 => ImagingError::Truncated { has: self.u64()?, expected: self.u64()? },
            10 => {
                let uid = cut(&self.text()?);
                ImagingError::UnsupportedTransferSyntax { name: name_of(&uid), uid }
            }
            11 => ImagingError::Codec {
                frame: self.u32()?,
                codec: Codec::numbered(self.u8()?)?,
                detail: cut(&self.text()?),
            },
            12 => ImagingError::Disagreement {
                frame: self.u32()?,
                measure: Measure::numbered(self.u8()?)?,
                has: self.u64()?,
                expected: self.u64()?,
            },
            13 => ImagingError::TooMuchMemory { limit: self.u64()? },
            14 => ImagingError::Crashed { ending: Ending::Panic },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tag;

    #[test]
    fn errors_come_back_as_they_were_and_no_part_of_one_does() {
        let tag = Tag::new(0x0028, 0x0010);
        let errors = [
            ImagingError::UnknownFormat,
            ImagingError::TooLarge { quantity: Quantity::Frames, has: 1 << 40, most: 3 },
            ImagingError::Structure { offset: 77, problem: Problem::Depth },
            ImagingError::Absent { tag },
            ImagingError::Value { tag, value: -3 },
            ImagingError::Malformed { tag },
            ImagingError::Unsupported { tag },
            ImagingError::Colours { photometric: "CMYK".to_owned(), samples: 4 },
            ImagingError::Truncated { has: 3, expected: 4 },
            ImagingError::UnsupportedTransferSyntax {
                uid: "1.2.840.10008.1.2.4.80".to_owned(),
                name: "JPEG-LS Lossless",
            },
            ImagingError::Codec { frame: 9, codec: Codec::Rle, detail: "it ends".to_owned() },
            ImagingError::Disagreement { frame: 1, measure: Measure::Rows, has: 5, expected: 6 },
            ImagingError::TooMuchMemory { limit: 10 },
            ImagingError::Crashed { ending: Ending::Panic },
        ];
        for error in &errors {
            let bytes = write(error);
            assert_eq!(read(&bytes).map(|read| format!("{read:?}")), Ok(format!("{error:?}")));
            for length in 0..bytes.len() {
                assert!(read(&bytes[..length]).is_err(), "{error} of {length} bytes");
            }
        }
        assert!(read(&[200]).is_err());
    }
}

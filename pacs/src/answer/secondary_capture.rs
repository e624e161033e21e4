//! A picture that a model's answer is shown with, such as the image that was asked about under a map of what counted.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::object::Object;
use super::{AnswerError, NOT_A_DEVICE, Occasion, Picture, Source, checked};

/// Lines at most, and characters of each: together less than an image's comment holds, which is 10240.
const LINES_MAX: usize = 60;
const LINE_MAX: usize = 120;

/// A secondary capture (PS3.3, A.8.1).
pub struct SecondaryCapture {
    picture: Picture,
    lines: Vec<String>,
}

impl SecondaryCapture {
    /// Of a picture and lines of text, which stand in the image's comment; nothing is drawn into the picture.
    ///
    /// # Errors
    /// [`AnswerError::Text`].
    pub fn new(picture: Picture, lines: &[String]) -> Result<Self, AnswerError> {
        if lines.len() > LINES_MAX {
            return Err(AnswerError::Text { field: "the list of lines", length: lines.len(), length_max: LINES_MAX });
        }
        let lines = lines.iter().map(|line| checked("a line", line, LINE_MAX)).collect::<Result<_, _>>()?;
        Ok(Self { picture, lines })
    }

    /// The bytes of a DICOM file in the study of `source`.
    #[must_use]
    pub fn file(&self, source: &Source, occasion: &Occasion) -> Vec<u8> {
        let class = uids::SECONDARY_CAPTURE_IMAGE_STORAGE;
        let mut object = Object::new(class, "OT", "Model answer, picture", source, occasion);
        object.text(tags::CONVERSION_TYPE, VR::CS, "WSD");
        object.text(tags::IMAGE_TYPE, VR::CS, "DERIVED\\SECONDARY");
        object.text(tags::PATIENT_ORIENTATION, VR::CS, "");
        object.text(tags::LATERALITY, VR::CS, "");
        object.text(tags::DERIVATION_DESCRIPTION, VR::ST, NOT_A_DEVICE);
        let words = self.lines.iter().map(String::as_str).chain([NOT_A_DEVICE]).collect::<Vec<_>>().join("\r\n");
        object.text(tags::IMAGE_COMMENTS, VR::LT, &words);
        object.sequence(
            tags::SOURCE_IMAGE_SEQUENCE,
            [Object::reference(source.class().as_str(), source.instance().as_str())],
        );
        let (width, height) = self.picture.size();
        let is_grey = self.picture.samples() == 1;
        object.number(tags::SAMPLES_PER_PIXEL, self.picture.samples());
        object.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, if is_grey { "MONOCHROME2" } else { "RGB" });
        if !is_grey {
            object.number(tags::PLANAR_CONFIGURATION, 0);
        }
        object.number(tags::ROWS, height);
        object.number(tags::COLUMNS, width);
        object.number(tags::BITS_ALLOCATED, 8);
        object.number(tags::BITS_STORED, 8);
        object.number(tags::HIGH_BIT, 7);
        object.number(tags::PIXEL_REPRESENTATION, 0);
        object.bytes(tags::PIXEL_DATA, self.picture.pixels());
        object.file()
    }
}

//! What both kinds of objects have: whose they are, who made them and when, and how they become a file.

use dicom_core::value::{DataSetSequence, PrimitiveValue, Value};
use dicom_core::{DataElement, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

use super::{Occasion, Source};

/// This program as a writer of files: a UID that was drawn once.
const IMPLEMENTATION: &str = "2.25.78486332020154008626977230251420177893";
/// Its name there, of 16 characters at most.
const IMPLEMENTATION_NAME: &str = "CONSILIUM";
/// The series' number: a large one, so that people's own come first.
const SERIES_NUMBER: &str = "9901";

/// An object that is being put together.
pub(super) struct Object(InMemDicomObject);

impl Object {
    /// With patient, study, series and equipment.
    pub(super) fn new(
        class: &str,
        modality: &str,
        series_description: &str,
        source: &Source,
        occasion: &Occasion,
    ) -> Self {
        let mut object = Self::empty();
        object.text(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
        for (tag, vr, text) in source.kept() {
            object.text(tag, vr, text);
        }
        object.text(tags::SOP_CLASS_UID, VR::UI, class);
        object.text(tags::SOP_INSTANCE_UID, VR::UI, occasion.instance.as_str());
        object.text(tags::SERIES_INSTANCE_UID, VR::UI, occasion.series.as_str());
        object.text(tags::MODALITY, VR::CS, modality);
        object.text(tags::SERIES_NUMBER, VR::IS, SERIES_NUMBER);
        object.text(tags::INSTANCE_NUMBER, VR::IS, "1");
        object.text(tags::SERIES_DESCRIPTION, VR::LO, series_description);
        object.text(tags::MANUFACTURER, VR::LO, "Consilium");
        object.text(tags::MANUFACTURER_MODEL_NAME, VR::LO, "Consilium");
        object.text(tags::SOFTWARE_VERSIONS, VR::LO, env!("CARGO_PKG_VERSION"));
        let (day, hour) = moment(occasion);
        for (date, time) in [
            (tags::SERIES_DATE, tags::SERIES_TIME),
            (tags::CONTENT_DATE, tags::CONTENT_TIME),
            (tags::INSTANCE_CREATION_DATE, tags::INSTANCE_CREATION_TIME),
        ] {
            object.text(date, VR::DA, &day);
            object.text(time, VR::TM, &hour);
        }
        object
    }

    /// Without anything: an item of a sequence.
    pub(super) fn empty() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    /// A text; an empty one is an attribute without a value.
    pub(super) fn text(&mut self, tag: Tag, vr: VR, text: &str) {
        let value = if text.is_empty() { PrimitiveValue::Empty } else { PrimitiveValue::from(text) };
        self.0.put(DataElement::new(tag, vr, value));
    }

    pub(super) fn number(&mut self, tag: Tag, number: u16) {
        self.0.put(DataElement::new(tag, VR::US, PrimitiveValue::from(number)));
    }

    pub(super) fn bytes(&mut self, tag: Tag, bytes: &[u8]) {
        self.0.put(DataElement::new(tag, VR::OB, PrimitiveValue::from(bytes)));
    }

    pub(super) fn sequence(&mut self, tag: Tag, items: impl IntoIterator<Item = Object>) {
        let items: Vec<InMemDicomObject> = items.into_iter().map(|item| item.0).collect();
        self.0.put(DataElement::new(tag, VR::SQ, Value::Sequence(DataSetSequence::from(items))));
    }

    /// The item that names an object.
    pub(super) fn reference(class: &str, instance: &str) -> Self {
        let mut item = Self::empty();
        item.text(tags::REFERENCED_SOP_CLASS_UID, VR::UI, class);
        item.text(tags::REFERENCED_SOP_INSTANCE_UID, VR::UI, instance);
        item
    }

    /// As a file.
    pub(super) fn file(self) -> Vec<u8> {
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
            .implementation_class_uid(IMPLEMENTATION)
            .implementation_version_name(IMPLEMENTATION_NAME);
        let file = self.0.with_meta(meta).expect("an object has a class and an instance");
        let mut bytes = Vec::new();
        file.write_all(&mut bytes).expect("memory takes what is written, and UTF-8 has all characters");
        bytes
    }
}

/// Day and time as DICOM writes them.
fn moment(occasion: &Occasion) -> (String, String) {
    let at = occasion.at;
    let day = format!("{:04}{:02}{:02}", at.year().clamp(0, 9999), u8::from(at.month()), at.day());
    (day, format!("{:02}{:02}{:02}", at.hour(), at.minute(), at.second()))
}

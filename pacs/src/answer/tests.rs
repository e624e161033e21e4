//! Objects are read with the library's own reader, sources are written byte by byte.

use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{DefaultDicomObject, FileMetaTableBuilder, InMemDicomObject, OpenFileOptions};
use proptest::prelude::*;
use time::{Date, Month, UtcOffset};

use super::*;

const NAME: &str = "M\u{fc}ller^J\u{fc}rgen";

/// The header of an image in this transfer syntax, with its texts in Latin-1.
fn file(syntax: &str, without: &[Tag], also: &[(Tag, VR, &str)]) -> Vec<u8> {
    let texts = [
        (tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 100"),
        (tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE),
        (tags::SOP_INSTANCE_UID, VR::UI, "1.4"),
        (tags::STUDY_DATE, VR::DA, "20240307"),
        (tags::STUDY_DESCRIPTION, VR::LO, "Thorax"),
        (tags::PATIENT_NAME, VR::PN, NAME),
        (tags::PATIENT_ID, VR::LO, "4711"),
        (tags::PATIENT_WEIGHT, VR::DS, "70"),
        (tags::STUDY_INSTANCE_UID, VR::UI, "1.2"),
        (tags::SERIES_INSTANCE_UID, VR::UI, "1.3"),
    ];
    let mut object = InMemDicomObject::new_empty();
    for (tag, vr, text) in texts.iter().chain(also).filter(|(tag, ..)| !without.contains(tag)) {
        object.put(DataElement::new(*tag, *vr, PrimitiveValue::from(*text)));
    }
    let item = InMemDicomObject::from_element_iter([DataElement::new(tags::PATIENT_ID, VR::LO, "another's")]);
    let sequence = dicom_core::value::DataSetSequence::from(vec![item]);
    object.put(DataElement::new(tags::REFERENCED_STUDY_SEQUENCE, VR::SQ, dicom_core::value::Value::Sequence(sequence)));
    object.put(DataElement::new(tags::ROWS, VR::US, PrimitiveValue::from(7_u16)));
    let mut bytes = Vec::new();
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(syntax)
        .media_storage_sop_class_uid(uids::CT_IMAGE_STORAGE)
        .media_storage_sop_instance_uid("1.4");
    object.with_exact_meta(meta.build().unwrap()).write_all(&mut bytes).unwrap();
    bytes
}

fn explicit() -> Vec<u8> {
    file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &[], &[])
}

fn source() -> Source {
    Source::of(&explicit()).unwrap()
}

fn occasion() -> Occasion {
    let day = Date::from_calendar_date(2025, Month::January, 2).unwrap();
    let at = day.with_hms(1, 30, 4).unwrap().assume_offset(UtcOffset::from_hms(2, 0, 0).unwrap());
    Occasion { at, series: Uid::of_random([1; 16]), instance: Uid::of_random([2; 16]) }
}

fn parsed(file: &[u8]) -> DefaultDicomObject {
    OpenFileOptions::new().from_reader(file).unwrap()
}

fn text(object: &InMemDicomObject, tag: Tag) -> String {
    object.element(tag).unwrap().to_str().unwrap().into_owned()
}

fn class(class: &str, probability: f64) -> ClassProbability {
    ClassProbability { class: class.to_owned(), probability }
}

fn report() -> StructuredReport {
    let classes = [class("healthy", 0.25), class("\u{f6}dema", 0.75)];
    StructuredReport::new("chest", &"ab".repeat(32), &classes).unwrap()
}

/// What every object has to have.
fn belongs_to_the_study(object: &DefaultDicomObject, class: &str, modality: &str) {
    let kept = [
        (tags::PATIENT_NAME, NAME),
        (tags::PATIENT_ID, "4711"),
        (tags::STUDY_INSTANCE_UID, "1.2"),
        (tags::STUDY_DATE, "20240307"),
        (tags::STUDY_DESCRIPTION, "Thorax"),
        (tags::PATIENT_BIRTH_DATE, ""),
        (tags::ACCESSION_NUMBER, ""),
        (tags::SPECIFIC_CHARACTER_SET, "ISO_IR 192"),
        (tags::SOP_CLASS_UID, class),
        (tags::MODALITY, modality),
        (tags::CONTENT_DATE, "20250102"),
        (tags::CONTENT_TIME, "013004"),
    ];
    kept.iter().for_each(|(tag, expected)| assert_eq!(text(object, *tag), *expected, "{tag}"));
    assert_eq!(text(object, tags::SOP_INSTANCE_UID), occasion().instance.as_str());
    assert_eq!(text(object, tags::SERIES_INSTANCE_UID), occasion().series.as_str());
    assert_eq!(object.meta().media_storage_sop_instance_uid(), occasion().instance.as_str());
    for absent in [tags::ISSUER_OF_PATIENT_ID, tags::PATIENT_WEIGHT, tags::REFERENCED_STUDY_SEQUENCE] {
        assert!(object.get(absent).is_none());
    }
}

#[test]
fn a_source_is_read_in_every_way_of_writing_a_header() {
    let expected = ["1.2", "1.3", "1.4", uids::CT_IMAGE_STORAGE];
    let unknown = "1.2.840.10008.1.2.4.9999";
    // The last one is big-endian.
    let syntaxes = [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.2"];
    for syntax in syntaxes {
        let source = Source::of(&file(syntax, &[], &[])).unwrap();
        assert_eq!([source.study(), source.series(), source.instance(), source.class()].map(Uid::as_str), expected);
        assert!(source.kept().any(|(tag, _, text)| tag == tags::PATIENT_NAME && text == NAME), "{syntax}");
        assert!(source.kept().any(|(tag, _, text)| tag == tags::PATIENT_ID && text == "4711"), "{syntax}");
    }
    let explicit = explicit();
    let place = explicit.windows(19).position(|window| window == uids::EXPLICIT_VR_LITTLE_ENDIAN.as_bytes()).unwrap();
    let mut other = explicit.clone();
    other[place..place + 19].copy_from_slice(&unknown.as_bytes()[..19]);
    assert!(Source::of(&other).unwrap() == source());
}

#[test]
fn of_a_source_nothing_behind_its_names_is_read_and_no_control_character_kept() {
    let mut broken = explicit();
    broken.extend([0x28, 0, 0x12, 0, b'S', b'Q', 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(Source::of(&broken).unwrap() == source());
    let also = [(tags::STUDY_ID, VR::SH, "a\u{7}b")];
    let source = Source::of(&file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &[], &also)).unwrap();
    assert!(source.kept().any(|(tag, _, text)| tag == tags::STUDY_ID && text == "ab"));
}

#[test]
fn a_source_without_a_name_or_a_header_is_refused() {
    let of = |bytes: &[u8]| Source::of(bytes).err().unwrap();
    let names = [tags::STUDY_INSTANCE_UID, tags::SERIES_INSTANCE_UID, tags::SOP_INSTANCE_UID, tags::SOP_CLASS_UID];
    for name in names {
        let refused = of(&file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &[name], &[]));
        assert!(matches!(refused, AnswerError::Nameless { .. }), "{name}");
    }
    let wrong = file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &[], &[(tags::STUDY_INSTANCE_UID, VR::UI, "1.2/../3")]);
    assert!(matches!(of(&wrong), AnswerError::Nameless { attribute: "study" }));
    for broken in [&b""[..], &[0; 200], &explicit()[128..], &explicit()[..150], &explicit()[..200]] {
        assert!(matches!(of(broken), AnswerError::NotDicom), "{}", broken.len());
    }
    let mut magic = explicit();
    magic[131] = b'X';
    assert!(matches!(of(&magic), AnswerError::NotDicom));
    let mut deflated = explicit();
    let uid = uids::EXPLICIT_VR_LITTLE_ENDIAN.as_bytes();
    let place = deflated.windows(uid.len()).position(|window| window == uid).unwrap();
    // Two bytes more for the name, and for the group that it stands in.
    deflated.splice(place..place + 20, b"1.2.840.10008.1.2.1.99".iter().copied());
    deflated[place - 2] += 2;
    deflated[140] += 2;
    assert!(matches!(of(&deflated), AnswerError::Deflated));
}

#[test]
fn a_name_in_characters_that_are_not_read_is_not_written_as_another() {
    let in_set = |set: &str, name: &str| {
        let whole = file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &[tags::PATIENT_NAME], &[(tags::STUDY_ID, VR::SH, name)]);
        let place = whole.windows(10).position(|window| window == b"ISO_IR 100").unwrap();
        let mut other = whole.clone();
        other[place..place + 10].copy_from_slice(set.as_bytes());
        Source::of(&other).err()
    };
    assert!(in_set("ISO_IR 100", "M\u{fc}ller").is_none() && in_set("ISO_IR 199", "Miller").is_none());
    for (set, name) in [("ISO_IR 199", "M\u{fc}ller"), ("          ", "M\u{fc}ller"), ("ISO_IR 100", "a\u{1b}$B;3")] {
        assert!(matches!(in_set(set, name), Some(AnswerError::Unreadable)), "{set}");
    }
}

/// A header that begins sequences within sequences.
fn nested(depth: usize) -> Vec<u8> {
    let whole = explicit();
    let begin = 144 + u32::from_le_bytes(whole[140..144].try_into().unwrap()) as usize;
    let level = [&[0x08, 0, 0x40, 0x11, b'S', b'Q', 0, 0][..], &[0xff; 4], &[0xfe, 0xff, 0, 0xe0], &[0xff; 4]].concat();
    [&whole[..begin], &level.repeat(depth)].concat()
}

#[test]
fn a_source_chooses_neither_depth_nor_memory() {
    // The library's own tree of it would overflow the stack.
    assert!(matches!(Source::of(&nested(100_000)).err(), Some(AnswerError::Nameless { .. } | AnswerError::NotDicom)));
    let long = "x".repeat(2000);
    let refused = Source::of(&file(uids::EXPLICIT_VR_LITTLE_ENDIAN, &[], &[(tags::STUDY_ID, VR::SH, &long)]));
    assert!(matches!(refused.err(), Some(AnswerError::Unreadable)));
    // Four gigabytes are said to follow.
    let mut endless = explicit();
    let place = endless.windows(4).position(|window| window == [0x10, 0, 0x10, 0]).unwrap();
    endless.splice(place + 4..place + 8, [b'U', b'N', 0, 0, 0xfe, 0xff, 0xff, 0xff]);
    assert!(Source::of(&endless).is_err());
}

#[test]
fn a_capture_has_the_picture_and_the_words() {
    let picture = Picture::rgb(3, 1, (0..9).collect()).unwrap();
    let capture = SecondaryCapture::new(picture, &["\u{f6}dema: 75 %".to_owned(), "healthy: 25 %".to_owned()]).unwrap();
    let object = parsed(&capture.file(&source(), &occasion()));
    belongs_to_the_study(&object, uids::SECONDARY_CAPTURE_IMAGE_STORAGE, "OT");
    let comment = format!("\u{f6}dema: 75 %\r\nhealthy: 25 %\r\n{NOT_A_DEVICE}");
    assert_eq!(text(&object, tags::IMAGE_COMMENTS), comment);
    let number = |tag: Tag| object.element(tag).unwrap().to_int::<u16>().unwrap();
    let numbers = [tags::ROWS, tags::COLUMNS, tags::SAMPLES_PER_PIXEL, tags::BITS_STORED, tags::PLANAR_CONFIGURATION];
    assert_eq!(numbers.map(number), [1, 3, 3, 8, 0]);
    assert_eq!(text(&object, tags::PHOTOMETRIC_INTERPRETATION), "RGB");
    // Nine values, and one that makes their number even.
    assert_eq!(object.element(tags::PIXEL_DATA).unwrap().to_bytes().unwrap()[..9], (0..9).collect::<Vec<u8>>()[..]);
    let asked = object.element(tags::SOURCE_IMAGE_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(text(&asked[0], tags::REFERENCED_SOP_INSTANCE_UID), "1.4");
    let grey = SecondaryCapture::new(Picture::grey(2, 2, vec![0; 4]).unwrap(), &[]).unwrap();
    let object = parsed(&grey.file(&source(), &occasion()));
    assert_eq!(text(&object, tags::PHOTOMETRIC_INTERPRETATION), "MONOCHROME2");
    assert_eq!(text(&object, tags::IMAGE_COMMENTS), NOT_A_DEVICE);
    assert!(object.get(tags::PLANAR_CONFIGURATION).is_none());
}

#[test]
fn a_report_has_a_number_for_each_class_and_says_what_it_is_not() {
    let object = parsed(&report().file(&source(), &occasion()));
    belongs_to_the_study(&object, uids::ENHANCED_SR_STORAGE, "SR");
    assert_eq!(text(&object, tags::VERIFICATION_FLAG), "UNVERIFIED");
    let content = object.element(tags::CONTENT_SEQUENCE).unwrap().items().unwrap();
    let item = |item: &InMemDicomObject| {
        let concept = &item.element(tags::CONCEPT_NAME_CODE_SEQUENCE).unwrap().items().unwrap()[0];
        let value = match text(item, tags::VALUE_TYPE).as_str() {
            "TEXT" => text(item, tags::TEXT_VALUE),
            "NUM" => {
                text(&item.element(tags::MEASURED_VALUE_SEQUENCE).unwrap().items().unwrap()[0], tags::NUMERIC_VALUE)
            }
            _ => text(
                &item.element(tags::REFERENCED_SOP_SEQUENCE).unwrap().items().unwrap()[0],
                tags::REFERENCED_SOP_INSTANCE_UID,
            ),
        };
        (text(concept, tags::CODE_MEANING), value)
    };
    let said: Vec<(String, String)> = content.iter().map(item).collect();
    let digest = "ab".repeat(32);
    let expected = [
        ("Comment", NOT_A_DEVICE),
        ("Algorithm Name", "chest"),
        ("Algorithm Version", &digest),
        ("Source of Measurement", "1.4"),
        ("Finding", "\u{f6}dema"),
        ("Probability of healthy", "0.250000"),
        ("Probability of \u{f6}dema", "0.750000"),
    ];
    let expected_items = expected.len();
    assert_eq!(said, expected.map(|(concept, value)| (concept.to_owned(), value.to_owned())));
    let remarked = parsed(&report().remarked("unlike \u{f6}thers").unwrap().file(&source(), &occasion()));
    let content = remarked.element(tags::CONTENT_SEQUENCE).unwrap().items().unwrap();
    assert_eq!(item(&content[1]), ("Comment".to_owned(), "unlike \u{f6}thers".to_owned()));
    assert_eq!(content.len(), expected_items + 1);
    let study = &object.element(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE).unwrap().items().unwrap()[0];
    assert_eq!(text(study, tags::STUDY_INSTANCE_UID), "1.2");
    let series = &study.element(tags::REFERENCED_SERIES_SEQUENCE).unwrap().items().unwrap()[0];
    assert_eq!(text(series, tags::SERIES_INSTANCE_UID), "1.3");
}

#[test]
fn what_has_no_place_in_an_object_is_refused() {
    let of =
        |model: &str, digest: &str, classes: &[ClassProbability]| StructuredReport::new(model, digest, classes).err();
    let one = [class("a", 0.5)];
    assert!(of("m", "d", &one).is_none());
    for text in ["", " ", "a\\b", "a\nb", &"x".repeat(201)] {
        assert!(matches!(of(text, "d", &one), Some(AnswerError::Text { field: "the model's name", .. })), "{text:?}");
        assert!(matches!(of("m", text, &one), Some(AnswerError::Text { field: "the model's digest", .. })), "{text:?}");
    }
    assert!(matches!(of("m", "d", &[class(&"x".repeat(41), 0.5)]), Some(AnswerError::Text { .. })));
    for probability in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
        let refused = of("m", "d", &[class("a", 0.5), class("b", probability)]);
        assert!(matches!(refused, Some(AnswerError::Probability { class: 1 })), "{probability}");
    }
    assert!(matches!(of("m", "d", &[]), Some(AnswerError::Classes { classes: 0, .. })));
    assert!(matches!(of("m", "d", &vec![class("a", 0.5); 100]), Some(AnswerError::Classes { classes: 100, .. })));
    assert!(report().remarked(&"x".repeat(400)).is_ok());
    for text in ["", "a\nb", &"x".repeat(401)] {
        assert!(
            matches!(report().remarked(text).err(), Some(AnswerError::Text { field: "the remark", .. })),
            "{text:?}"
        );
    }
    let grey = || Picture::grey(1, 1, vec![0]).unwrap();
    assert!(SecondaryCapture::new(grey(), &vec!["a".to_owned(); 61]).is_err());
    assert!(SecondaryCapture::new(grey(), &["a\u{1b}b".to_owned()]).is_err());
    assert!(SecondaryCapture::new(grey(), &["a".repeat(121)]).is_err());
}

#[test]
fn a_picture_has_as_many_values_as_its_sides_say() {
    assert!(Picture::grey(2, 3, vec![0; 6]).is_ok() && Picture::rgb(2, 3, vec![0; 18]).is_ok());
    assert!(Picture::grey(2, 3, vec![0; 7]).is_err() && Picture::rgb(2, 3, vec![0; 6]).is_err());
    assert!(Picture::grey(0, 3, Vec::new()).is_err() && Picture::grey(65_536, 1, vec![0; 65_536]).is_err());
    assert!(Picture::rgb(usize::MAX, 2, vec![0; 6]).is_err());
    assert!(Picture::grey(32_768, 8_193, vec![0; 32_768 * 8_193]).is_err());
}

#[test]
fn every_error_says_what_to_do() {
    let errors = [AnswerError::NotDicom, AnswerError::Deflated, AnswerError::Random];
    assert!(errors.iter().all(|error| error.remedy().len() > 20 && !error.code().is_empty()));
    assert!(Occasion::at(occasion().at).unwrap().series != Occasion::at(occasion().at).unwrap().series);
}

proptest! {
    /// Whatever a header has been made into, it is read or refused.
    #[test]
    fn a_header_with_other_bytes_is_read_or_refused(
        changes in proptest::collection::vec((132_usize..500, any::<u8>()), 1..5),
        length in 132_usize..600,
    ) {
        let mut bytes = explicit();
        for (place, byte) in changes {
            if let Some(old) = bytes.get_mut(place) {
                *old = byte;
            }
        }
        bytes.truncate(length);
        if let Ok(source) = Source::of(&bytes) {
            let files = [report().file(&source, &occasion())];
            prop_assert!(Source::of(&files[0]).unwrap().study() == source.study());
        }
    }
}

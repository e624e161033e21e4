//! A model's answer in numbers, as an Enhanced SR (PS3.3, A.35.2): a Basic Text SR has no numbers.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::object::Object;
use super::{AnswerError, NOT_A_DEVICE, Occasion, Source, checked};

/// Classes at most: a report is read by people.
const CLASSES_MAX: usize = 99;
/// Characters of a class's name: with the words before it, what a code means has 64.
const CLASS_MAX: usize = 40;
/// Characters of a remark.
const REMARK_MAX: usize = 400;
/// Characters of the model's name and of its digest.
const MODEL_MAX: usize = 200;
/// The scheme of codes that no standard has: ours, as `99` says.
const OWN: &str = "99CONSILIUM";

/// A class and how probable it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassProbability {
    /// Its name, of 40 characters at most.
    pub class: String,
    /// From 0 to 1.
    pub probability: f64,
}

/// A report of one answer. The most probable class is its finding.
pub struct StructuredReport {
    model: String,
    digest: String,
    classes: Vec<ClassProbability>,
    remark: Option<String>,
}

impl StructuredReport {
    /// Of a model's name, the digest of its version, and its answer.
    ///
    /// # Errors
    /// [`AnswerError::Text`], [`AnswerError::Probability`], [`AnswerError::Classes`].
    pub fn new(model: &str, digest: &str, classes: &[ClassProbability]) -> Result<Self, AnswerError> {
        if classes.is_empty() || classes.len() > CLASSES_MAX {
            return Err(AnswerError::Classes { classes: classes.len(), classes_max: CLASSES_MAX });
        }
        let of = |(place, given): (usize, &ClassProbability)| {
            if !(0.0..=1.0).contains(&given.probability) {
                return Err(AnswerError::Probability { class: place });
            }
            let class = checked("a class's name", &given.class, CLASS_MAX)?;
            Ok(ClassProbability { class, probability: given.probability })
        };
        Ok(Self {
            model: checked("the model's name", model, MODEL_MAX)?,
            digest: checked("the model's digest", digest, MODEL_MAX)?,
            classes: classes.iter().enumerate().map(of).collect::<Result<_, _>>()?,
            remark: None,
        })
    }

    /// With one more comment, of 400 characters at most, before the answer.
    ///
    /// # Errors
    /// [`AnswerError::Text`].
    pub fn remarked(self, remark: &str) -> Result<Self, AnswerError> {
        Ok(Self { remark: Some(checked("the remark", remark, REMARK_MAX)?), ..self })
    }

    /// The bytes of a DICOM file in the study of `source`.
    #[must_use]
    pub fn file(&self, source: &Source, occasion: &Occasion) -> Vec<u8> {
        let mut object = Object::new(uids::ENHANCED_SR_STORAGE, "SR", "Model answer, report", source, occasion);
        object.text(tags::COMPLETION_FLAG, VR::CS, "COMPLETE");
        object.text(tags::VERIFICATION_FLAG, VR::CS, "UNVERIFIED");
        object.sequence(tags::REFERENCED_PERFORMED_PROCEDURE_STEP_SEQUENCE, []);
        object.sequence(tags::PERFORMED_PROCEDURE_CODE_SEQUENCE, []);
        object.sequence(tags::CURRENT_REQUESTED_PROCEDURE_EVIDENCE_SEQUENCE, [evidence(source)]);
        object.text(tags::VALUE_TYPE, VR::CS, "CONTAINER");
        object.text(tags::CONTINUITY_OF_CONTENT, VR::CS, "SEPARATE");
        object.sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, [code("18748-4", "LN", "Diagnostic Imaging Report")]);
        let comment = |words: &str| text(code("121106", "DCM", "Comment"), words);
        let mut content = vec![comment(NOT_A_DEVICE)];
        content.extend(self.remark.as_deref().map(comment));
        content.extend([
            text(code("111001", "DCM", "Algorithm Name"), &self.model),
            text(code("111003", "DCM", "Algorithm Version"), &self.digest),
            image(source),
            text(code("121071", "DCM", "Finding"), &self.finding().class),
        ]);
        content.extend(self.classes.iter().enumerate().map(|(place, class)| probability(place, class)));
        object.sequence(tags::CONTENT_SEQUENCE, content);
        object.file()
    }

    fn finding(&self) -> &ClassProbability {
        let largest = self.classes.iter().max_by(|a, b| a.probability.total_cmp(&b.probability));
        largest.expect("a report has a class")
    }
}

/// A code (PS3.3, 8).
fn code(value: &str, scheme: &str, meaning: &str) -> Object {
    let mut item = Object::empty();
    item.text(tags::CODE_VALUE, VR::SH, value);
    item.text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, scheme);
    item.text(tags::CODE_MEANING, VR::LO, meaning);
    item
}

/// An item of the report's content.
fn item(value_type: &str, concept: Object) -> Object {
    let mut item = Object::empty();
    item.text(tags::RELATIONSHIP_TYPE, VR::CS, "CONTAINS");
    item.text(tags::VALUE_TYPE, VR::CS, value_type);
    item.sequence(tags::CONCEPT_NAME_CODE_SEQUENCE, [concept]);
    item
}

fn text(concept: Object, words: &str) -> Object {
    let mut item = item("TEXT", concept);
    item.text(tags::TEXT_VALUE, VR::UT, words);
    item
}

fn image(source: &Source) -> Object {
    let mut item = item("IMAGE", code("121112", "DCM", "Source of Measurement"));
    let reference = Object::reference(source.class().as_str(), source.instance().as_str());
    item.sequence(tags::REFERENCED_SOP_SEQUENCE, [reference]);
    item
}

fn probability(place: usize, class: &ClassProbability) -> Object {
    let meaning = format!("Probability of {}", class.class);
    let mut item = item("NUM", code(&format!("PROBABILITY-{place}"), OWN, &meaning));
    let mut measured = Object::empty();
    measured.text(tags::NUMERIC_VALUE, VR::DS, &format!("{:.6}", class.probability));
    measured.sequence(tags::MEASUREMENT_UNITS_CODE_SEQUENCE, [code("1", "UCUM", "no units")]);
    item.sequence(tags::MEASURED_VALUE_SEQUENCE, [measured]);
    item
}

/// The object that was asked about, where it is in the archive (PS3.3, C.17.2).
fn evidence(source: &Source) -> Object {
    let mut series = Object::empty();
    series.text(tags::SERIES_INSTANCE_UID, VR::UI, source.series().as_str());
    let reference = Object::reference(source.class().as_str(), source.instance().as_str());
    series.sequence(tags::REFERENCED_SOP_SEQUENCE, [reference]);
    let mut study = Object::empty();
    study.text(tags::STUDY_INSTANCE_UID, VR::UI, source.study().as_str());
    study.sequence(tags::REFERENCED_SERIES_SEQUENCE, [series]);
    study
}

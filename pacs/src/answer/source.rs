//! Whose an object is and which study it belongs to, read from its header and nothing else of it.
//!
//! The header is walked as a flat list of tokens: reading it into a tree, as the library does, recurses as deep as
//! sequences are nested, and whoever wrote the file chose how deep.

use std::io::Cursor;

use dicom_core::Tag;
use dicom_core::dictionary::{DataDictionary, DataDictionaryEntry};
use dicom_core::header::{Header, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};
use dicom_encoding::text::SpecificCharacterSet;
use dicom_parser::dataset::LazyDataToken;
use dicom_parser::dataset::lazy_read::LazyDataSetReader;
use dicom_transfer_syntax_registry::{TransferSyntax, TransferSyntaxIndex, TransferSyntaxRegistry};

use super::AnswerError;
use crate::uid::Uid;

/// Where a file's own group begins, after its preamble and `DICM`.
const META: usize = 132;
/// Bytes of the attribute that says how long that group is, which counts from behind it.
const LENGTH_BYTES: usize = 12;
/// What a text begins with that goes on in other characters.
const ESCAPE: char = '\u{1b}';
/// Bytes of an attribute that is kept: the longest has 64 characters of 4 bytes.
const VALUE_BYTES_MAX: u32 = 1024;

/// What an object made from another one keeps of it: whose it is and its study. These are the attributes that both
/// kinds of objects must have, whether the source has them or not (PS3.3, C.7.1.1 and C.7.2.1).
const KEPT: [Tag; 12] = [
    tags::STUDY_DATE,
    tags::STUDY_TIME,
    tags::ACCESSION_NUMBER,
    tags::REFERRING_PHYSICIAN_NAME,
    tags::STUDY_DESCRIPTION,
    tags::PATIENT_NAME,
    tags::PATIENT_ID,
    tags::ISSUER_OF_PATIENT_ID,
    tags::PATIENT_BIRTH_DATE,
    tags::PATIENT_SEX,
    tags::STUDY_INSTANCE_UID,
    tags::STUDY_ID,
];
/// Those among them that are left out where the source has none.
const OPTIONAL: [Tag; 2] = [tags::STUDY_DESCRIPTION, tags::ISSUER_OF_PATIENT_ID];

/// The object that was asked about. There is no `Debug`: it names a patient.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    study: Uid,
    series: Uid,
    instance: Uid,
    class: Uid,
    kept: Vec<(Tag, VR, String)>,
}

impl Source {
    /// Reads the header of a DICOM file; its pixels need not be there.
    ///
    /// # Errors
    /// [`AnswerError::NotDicom`], [`AnswerError::Deflated`], [`AnswerError::Unreadable`], [`AnswerError::Nameless`].
    pub fn of(file: &[u8]) -> Result<Self, AnswerError> {
        if file.get(META - 4..META) != Some(b"DICM") {
            return Err(AnswerError::NotDicom);
        }
        let of_meta = [tags::FILE_META_INFORMATION_GROUP_LENGTH, tags::TRANSFER_SYNTAX_UID];
        let meta = walk(&file[META..], syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN), &of_meta, 2)?;
        let [(_, _, length), (_, _, named)] = meta.as_slice() else { return Err(AnswerError::NotDicom) };
        let begin = length.parse::<usize>().ok().and_then(|length| length.checked_add(META + LENGTH_BYTES));
        let data = begin.and_then(|begin| file.get(begin..)).ok_or(AnswerError::NotDicom)?;
        if named == uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN {
            return Err(AnswerError::Deflated);
        }
        let mut wanted = KEPT.to_vec();
        wanted.extend([tags::SPECIFIC_CHARACTER_SET, tags::SOP_CLASS_UID, tags::SOP_INSTANCE_UID]);
        wanted.push(tags::SERIES_INSTANCE_UID);
        let found = walk(data, syntax(named), &wanted, tags::STUDY_ID.group())?;
        let has_ascii_only = found.iter().all(|(.., text)| text.is_ascii());
        if !has_ascii_only && !is_known_charset(&found) {
            return Err(AnswerError::Unreadable);
        }
        let uid = |tag: Tag, attribute: &'static str| {
            let text = found.iter().find(|(known, ..)| *known == tag).map(|(.., text)| text.parse());
            text.and_then(Result::ok).ok_or(AnswerError::Nameless { attribute })
        };
        Ok(Self {
            study: uid(tags::STUDY_INSTANCE_UID, "study")?,
            series: uid(tags::SERIES_INSTANCE_UID, "series")?,
            instance: uid(tags::SOP_INSTANCE_UID, "instance")?,
            class: uid(tags::SOP_CLASS_UID, "class of its object")?,
            kept: KEPT.iter().filter_map(|&tag| kept(tag, &found)).collect(),
        })
    }

    /// The study.
    #[must_use]
    pub fn study(&self) -> &Uid {
        &self.study
    }

    /// The series.
    #[must_use]
    pub fn series(&self) -> &Uid {
        &self.series
    }

    /// The object itself.
    #[must_use]
    pub fn instance(&self) -> &Uid {
        &self.instance
    }

    /// What kind of object it is.
    #[must_use]
    pub fn class(&self) -> &Uid {
        &self.class
    }

    /// The attributes of patient and study.
    pub(super) fn kept(&self) -> impl Iterator<Item = (Tag, VR, &str)> {
        self.kept.iter().map(|(tag, vr, text)| (*tag, *vr, text.as_str()))
    }
}

/// Whether texts were read in the characters that the file says. The library takes others for ASCII.
fn is_known_charset(found: &[(Tag, VR, String)]) -> bool {
    let named = found.iter().find(|(tag, ..)| *tag == tags::SPECIFIC_CHARACTER_SET);
    let first = named.and_then(|(.., text)| text.split('\\').next()).unwrap_or_default().trim();
    SpecificCharacterSet::from_code(first).is_some()
}

/// An attribute as it is written: empty where it must be there and is not.
fn kept(tag: Tag, found: &[(Tag, VR, String)]) -> Option<(Tag, VR, String)> {
    match found.iter().find(|(known, ..)| *known == tag) {
        Some(known) => Some(known.clone()),
        None if OPTIONAL.contains(&tag) => None,
        None => Some((tag, vr_of(tag), String::new())),
    }
}

/// The dictionary's, whatever a file says.
fn vr_of(tag: Tag) -> VR {
    StandardDataDictionary.by_tag(tag).and_then(|entry| entry.vr().exact()).unwrap_or(VR::LO)
}

/// Every transfer syntax that the library does not know is written like this one (PS3.5, A.4).
fn syntax(uid: &str) -> &'static TransferSyntax {
    let known = TransferSyntaxRegistry.get(uid);
    known.or_else(|| TransferSyntaxRegistry.get(uids::EXPLICIT_VR_LITTLE_ENDIAN)).expect("the standard's own is known")
}

/// Finds attributes outside of sequences, in groups up to `group_last`.
fn walk(
    bytes: &[u8],
    syntax: &TransferSyntax,
    wanted: &[Tag],
    group_last: u16,
) -> Result<Vec<(Tag, VR, String)>, AnswerError> {
    let mut reader = LazyDataSetReader::new_with_ts(Cursor::new(bytes), syntax).map_err(|_| AnswerError::NotDicom)?;
    let mut found = Vec::new();
    let mut depth = 0_usize;
    while let Some(token) = reader.advance() {
        match token.map_err(|_| AnswerError::NotDicom)? {
            LazyDataToken::ElementHeader(header) if depth == 0 && header.tag().group() > group_last => {
                return Ok(found);
            }
            LazyDataToken::SequenceStart { .. } | LazyDataToken::PixelSequenceStart => depth += 1,
            LazyDataToken::SequenceEnd => depth = depth.saturating_sub(1),
            LazyDataToken::LazyValue { header, decoder } => {
                let is_wanted = depth == 0 && wanted.contains(&header.tag());
                let value = LazyDataToken::LazyValue { header, decoder };
                if is_wanted && header.len.0 > VALUE_BYTES_MAX {
                    return Err(AnswerError::Unreadable);
                }
                if is_wanted {
                    let text = value.into_value().map_err(|_| AnswerError::NotDicom)?;
                    let text = text.to_str();
                    // Texts that switch between sets of characters (PS3.5, 6.1.2.5.3) are not read as such.
                    if text.contains(ESCAPE) {
                        return Err(AnswerError::Unreadable);
                    }
                    let text: String = text.chars().filter(|character| !character.is_control()).collect();
                    found.push((header.tag(), vr_of(header.tag()), text.trim().to_owned()));
                } else {
                    value.skip().map_err(|_| AnswerError::NotDicom)?;
                }
            }
            other => other.skip().map_err(|_| AnswerError::NotDicom)?,
        }
    }
    Ok(found)
}

//! Whom a file is about, in the character sets of the world (PS3.3 section C.12.1.1.2).

use encoding_rs::{self as sets, Encoding};

use super::elements::DataSet;
use super::values::trimmed;
use crate::identity::Identity;
use crate::tag::{self, Tag};

/// Bytes of a value that are kept. A name has three parts of 64 characters; a character of ISO 2022 takes four bytes
/// with its escapes at the worst.
const VALUE_MAX: usize = 1024;

impl Identity {
    pub(super) fn read(header: &DataSet) -> Self {
        let set = character_set(header);
        let text = |tag: Tag| {
            let bytes = trimmed(header.bytes(tag).unwrap_or_default());
            decoded(&bytes[..bytes.len().min(VALUE_MAX)], set)
        };
        Self {
            patient_id: text(tag::PATIENT_ID),
            patient_name: text(tag::PATIENT_NAME),
            study_uid: text(tag::STUDY_UID),
            series_uid: text(tag::SERIES_UID),
            instance_uid: text(tag::INSTANCE_UID),
            accession: text(tag::ACCESSION),
        }
    }
}

/// One set holds the characters of all that a file names, but for Thai and Arabic in the same name.
fn character_set(header: &DataSet) -> &'static Encoding {
    let named = |part: &[u8]| {
        let part = std::str::from_utf8(part).ok()?;
        let number = part.strip_prefix("ISO_IR ").or_else(|| part.strip_prefix("ISO 2022 IR ")).unwrap_or(part);
        Some(match number {
            "100" => sets::WINDOWS_1252,
            "101" => sets::ISO_8859_2,
            "109" => sets::ISO_8859_3,
            "110" => sets::ISO_8859_4,
            "144" => sets::ISO_8859_5,
            "127" => sets::ISO_8859_6,
            "126" => sets::ISO_8859_7,
            "138" => sets::ISO_8859_8,
            "148" => sets::WINDOWS_1254,
            "203" => sets::ISO_8859_15,
            "166" => sets::WINDOWS_874,
            "13" => sets::SHIFT_JIS,
            "87" | "159" => sets::ISO_2022_JP,
            "149" => sets::EUC_KR,
            "58" | "GBK" | "GB18030" => sets::GB18030,
            "192" => sets::UTF_8,
            _ => return None,
        })
    };
    // The last named is the one of most characters.
    header.parts(tag::CHARACTER_SET).filter_map(named).last().unwrap_or(sets::UTF_8)
}

fn decoded(bytes: &[u8], set: &'static Encoding) -> String {
    if set == sets::ISO_2022_JP {
        return set.decode_without_bom_handling(bytes).0.into_owned();
    }
    // Escapes that choose a set for the upper half (table C.12-4) say what is known already.
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        rest = match (first, after) {
            (0x1b, [b'$', b')' | b'(', _, after @ ..]) | (0x1b, [b'(' | b')' | b'-' | b'.', _, after @ ..]) => after,
            _ => {
                plain.push(*first);
                after
            }
        };
    }
    set.decode_without_bom_handling(&plain).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::elements::{Element, Syntax, Value};
    use super::*;

    fn name(sets: &'static [u8], bytes: &'static [u8]) -> String {
        let element = |tag, bytes| Element { tag, representation: [0; 2], value: Value::Bytes(bytes) };
        let elements = vec![element(tag::CHARACTER_SET, sets), element(tag::PATIENT_NAME, bytes)];
        Identity::read(&DataSet { elements, syntax: Syntax::IMPLICIT }).patient_name
    }

    #[test]
    fn names_are_read_in_their_sets() {
        // The examples of PS3.5 annexes H, I and J.
        assert_eq!(name(b"ISO_IR 100", b"Buc^J\xe9r\xf4me "), "Buc^J\u{e9}r\u{f4}me");
        assert_eq!(name(b"ISO_IR 144", b"\xbb\xee\xda^A"), "\u{41b}\u{44e}\u{43a}^A");
        let japanese = name(b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B");
        assert_eq!(japanese, "Yamada^Tarou=\u{5c71}\u{7530}^\u{592a}\u{90ce}");
        let korean = name(b"\\ISO 2022 IR 149", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7");
        assert_eq!(korean, "Hong^Gildong=\u{6d2a}^\u{5409}\u{6d1e}");
        assert_eq!(name(b"GB18030", b"Wang=\xcd\xf5"), "Wang=\u{738b}");
        assert_eq!(name(b"ISO_IR 192", b"\xe7\x8e\x8b"), "\u{738b}");
        assert_eq!(name(b"", b"Doe^Jane"), "Doe^Jane");
    }
}

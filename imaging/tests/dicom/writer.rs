//! Small DICOM files, written by hand.

#![allow(dead_code, reason = "each test program writes some of the files")]

pub(crate) const EXPLICIT: &str = "1.2.840.10008.1.2.1";
pub(crate) const IMPLICIT: &str = "1.2.840.10008.1.2";
pub(crate) const BIG: &str = "1.2.840.10008.1.2.2";
pub(crate) const DEFLATED: &str = "1.2.840.10008.1.2.1.99";
pub(crate) const RLE: &str = "1.2.840.10008.1.2.5";
pub(crate) const JPEG: &str = "1.2.840.10008.1.2.4.50";
pub(crate) const JPEG_2000: &str = "1.2.840.10008.1.2.4.90";

/// An explicit little-endian element.
pub(crate) fn element(group: u16, number: u16, kind: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend(kind.as_bytes());
    let value = padded(value);
    if ["OB", "OW", "SQ", "UN"].contains(&kind) {
        bytes.extend([0, 0]);
        bytes.extend((value.len() as u32).to_le_bytes());
    } else {
        bytes.extend((value.len() as u16).to_le_bytes());
    }
    bytes.extend(value);
    bytes
}

fn padded(value: &[u8]) -> Vec<u8> {
    let mut value = value.to_vec();
    if !value.len().is_multiple_of(2) {
        value.push(b' ');
    }
    value
}

pub(crate) fn text(group: u16, number: u16, kind: &str, value: &str) -> Vec<u8> {
    element(group, number, kind, value.as_bytes())
}

pub(crate) fn word(group: u16, number: u16, value: u16) -> Vec<u8> {
    element(group, number, "US", &value.to_le_bytes())
}

pub(crate) fn words(group: u16, number: u16, kind: &str, values: &[u16]) -> Vec<u8> {
    element(group, number, kind, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>())
}

/// A sequence of one item.
pub(crate) fn sequence(group: u16, number: u16, item: &[u8]) -> Vec<u8> {
    items(group, number, &[item])
}

pub(crate) fn items(group: u16, number: u16, all: &[&[u8]]) -> Vec<u8> {
    let mut value = Vec::new();
    for item in all {
        value.extend([0xfe, 0xff, 0x00, 0xe0]);
        value.extend((item.len() as u32).to_le_bytes());
        value.extend(*item);
    }
    element(group, number, "SQ", &value)
}

/// The same with lengths that are not said.
pub(crate) fn open_items(group: u16, number: u16, all: &[&[u8]]) -> Vec<u8> {
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend(b"SQ\0\0\xff\xff\xff\xff");
    for item in all {
        bytes.extend(b"\xfe\xff\x00\xe0\xff\xff\xff\xff");
        bytes.extend(*item);
        bytes.extend(b"\xfe\xff\x0d\xe0\0\0\0\0");
    }
    bytes.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
    bytes
}

/// Compressed pixels: an empty offset table, then fragments.
pub(crate) fn fragments(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0".to_vec();
    for part in parts {
        bytes.extend(b"\xfe\xff\0\xe0");
        let part = padded(part);
        bytes.extend((part.len() as u32).to_le_bytes());
        bytes.extend(part);
    }
    bytes.extend(b"\xfe\xff\xdd\xe0\0\0\0\0");
    bytes
}

/// Preamble, file meta information, and a data set in that syntax.
pub(crate) fn file(transfer_syntax: &str, data_set: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM");
    bytes.extend(text(0x0002, 0x0010, "UI", transfer_syntax));
    bytes.extend(data_set);
    bytes
}

/// An image of two by two pixels unless said otherwise.
#[derive(Clone)]
pub(crate) struct Image {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
    pub(crate) frames: &'static str,
    pub(crate) samples: u16,
    pub(crate) photometric: &'static str,
    pub(crate) planar: u16,
    /// Allocated, stored, and the high bit.
    pub(crate) bits: [u16; 3],
    pub(crate) signed: u16,
    /// Elements before the pixels.
    pub(crate) more: Vec<u8>,
    pub(crate) pixels: Vec<u8>,
}

impl Image {
    /// Twelve bits in sixteen.
    pub(crate) fn grey12(pixels: Vec<u8>) -> Self {
        Self {
            rows: 2,
            columns: 2,
            frames: "1",
            samples: 1,
            photometric: "MONOCHROME2",
            planar: 0,
            bits: [16, 12, 11],
            signed: 0,
            more: Vec::new(),
            pixels,
        }
    }

    /// Of these words.
    pub(crate) fn words(words: &[u16]) -> Self {
        Self::grey12(words.iter().flat_map(|word| word.to_le_bytes()).collect())
    }

    /// Eight bits.
    pub(crate) fn bytes(bytes: &[u8]) -> Self {
        Self { bits: [8, 8, 7], ..Self::grey12(bytes.to_vec()) }
    }

    pub(crate) fn with(self, element: Vec<u8>) -> Self {
        Self { more: [self.more, element].concat(), ..self }
    }

    /// The data set up to the pixels.
    pub(crate) fn header(&self) -> Vec<u8> {
        [
            text(0x0008, 0x0060, "CS", "CT"),
            text(0x0010, 0x0010, "PN", "Doe^Jane"),
            text(0x0010, 0x0020, "LO", "4711"),
            word(0x0028, 0x0002, self.samples),
            text(0x0028, 0x0004, "CS", self.photometric),
            word(0x0028, 0x0006, self.planar),
            text(0x0028, 0x0008, "IS", self.frames),
            word(0x0028, 0x0010, self.rows),
            word(0x0028, 0x0011, self.columns),
            word(0x0028, 0x0100, self.bits[0]),
            word(0x0028, 0x0101, self.bits[1]),
            word(0x0028, 0x0102, self.bits[2]),
            word(0x0028, 0x0103, self.signed),
            self.more.clone(),
        ]
        .concat()
    }

    /// With uncompressed pixels.
    pub(crate) fn data_set(&self) -> Vec<u8> {
        let mut pixels = element(0x7fe0, 0x0010, "OW", &[]);
        // Without padding: a test says how many bytes there are.
        pixels.splice(8..12, (self.pixels.len() as u32).to_le_bytes());
        [self.header(), pixels, self.pixels.clone()].concat()
    }

    /// Uncompressed, explicit and little-endian.
    pub(crate) fn file(&self) -> Vec<u8> {
        file(EXPLICIT, &self.data_set())
    }

    /// In these fragments.
    pub(crate) fn compressed(&self, transfer_syntax: &str, parts: &[&[u8]]) -> Vec<u8> {
        file(transfer_syntax, &[self.header(), fragments(parts)].concat())
    }
}

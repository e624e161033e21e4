//! What parent and child say to each other: little-endian, magic and version first, lengths checked before anything is
//! allocated. The parent believes nothing: a child may have been taken over by its file.

use std::time::Duration;

use crate::limits::Limits;
use crate::tag::Tag;

const MAGIC: [u8; 4] = *b"CIMG";
/// Raised with every change: parent and child are of one build, and say so.
const VERSION: u8 = 1;
/// Of everything but pixels: tables of 16 MiB, windows of every frame, words.
const HEAD_MAX: u64 = 96 << 20;
/// Of one text, in bytes: a value of an identity is kept to 1024 bytes of at most three bytes of UTF-8 each.
const TEXT_MAX: usize = 3072;
/// Kinds of answers.
pub(super) const SCAN: u8 = 1;
pub(super) const ERROR: u8 = 2;

/// What a parent asks.
pub(super) struct Request {
    pub(super) limits: Limits,
    pub(super) file_bytes: u64,
}

impl Request {
    pub(super) const BYTES: usize = 5 + 6 * 8;

    pub(super) fn bytes(&self) -> Vec<u8> {
        let Limits { bytes_max, pixels_max, frames_max, memory_bytes, time } = self.limits;
        let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let mut words = Words::begin();
        for word in [bytes_max, pixels_max, frames_max.into(), memory_bytes, time_ms, self.file_bytes] {
            words.u64(word);
        }
        words.0
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut from = Reading::begin(bytes)?;
        let limits = Limits {
            bytes_max: from.u64()?,
            pixels_max: from.u64()?,
            frames_max: from.u64()?.try_into().ok()?,
            memory_bytes: from.u64()?,
            time: Duration::from_millis(from.u64()?),
        };
        let file_bytes = from.u64()?;
        (file_bytes <= limits.bytes_max).then_some(Self { limits, file_bytes })
    }
}

/// What an answer begins with.
pub(super) struct Prefix {
    pub(super) kind: u8,
    pub(super) head_bytes: u64,
    pub(super) pixel_bytes: u64,
}

pub(super) fn prefix(kind: u8, head_bytes: usize, pixel_bytes: usize) -> Vec<u8> {
    let mut words = Words::begin();
    words.u8(kind);
    words.u64(head_bytes as u64);
    words.u64(pixel_bytes as u64);
    words.0
}

impl Prefix {
    pub(super) const BYTES: usize = 5 + 1 + 2 * 8;

    pub(super) fn read(bytes: &[u8], limits: &Limits) -> Option<Self> {
        let mut from = Reading::begin(bytes)?;
        let read = Self { kind: from.u8()?, head_bytes: from.u64()?, pixel_bytes: from.u64()? };
        let is_known = matches!((read.kind, read.pixel_bytes), (SCAN, _) | (ERROR, 0));
        (is_known && read.head_bytes <= HEAD_MAX && read.pixel_bytes <= limits.memory_bytes).then_some(read)
    }
}

/// Writes words.
#[derive(Default)]
pub(super) struct Words(pub(super) Vec<u8>);

impl Words {
    fn begin() -> Self {
        let mut words = Self(MAGIC.to_vec());
        words.u8(VERSION);
        words
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    pub(super) fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    pub(super) fn tag(&mut self, tag: Tag) {
        self.u32(u32::from(tag.group()) << 16 | u32::from(tag.element()));
    }

    pub(super) fn text(&mut self, text: &str) {
        let end = text.floor_char_boundary(TEXT_MAX);
        self.u32(end as u32);
        self.0.extend(&text.as_bytes()[..end]);
    }
}

/// Reads words; `None` is where they stop making sense.
pub(super) struct Reading<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reading<'a> {
    fn begin(bytes: &'a [u8]) -> Option<Self> {
        let mut from = Self { bytes, at: 0 };
        (from.array()? == MAGIC && from.u8()? == VERSION).then_some(from)
    }

    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.first_chunk().copied()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        [Some(false), Some(true)].get(usize::from(self.u8()?)).copied().flatten()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn f64(&mut self) -> Option<f64> {
        self.u64().map(f64::from_bits)
    }

    pub(super) fn tag(&mut self) -> Option<Tag> {
        self.u32().map(|tag| Tag::new((tag >> 16) as u16, tag as u16))
    }

    pub(super) fn text(&mut self) -> Option<String> {
        let length = self.u32()? as usize;
        let text = self.take(length).filter(|_| length <= TEXT_MAX)?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// What all of the bytes say, or where they stop making sense.
    pub(super) fn whole<T>(bytes: &'a [u8], read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, u64> {
        let mut from = Self { bytes, at: 0 };
        let value = read(&mut from);
        value.filter(|_| from.at == bytes.len()).ok_or(from.at as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_back_and_are_no_longer_than_their_limits() {
        let limits = Limits { frames_max: 7, time: Duration::from_millis(1234), ..Limits::default() };
        let request = Request { limits, file_bytes: 5 };
        let bytes = request.bytes();
        assert_eq!(bytes.len(), Request::BYTES);
        assert!(Request::read(&bytes).is_some_and(|read| read.limits == limits && read.file_bytes == 5));
        assert!(Request::read(&bytes[1..]).is_none());
        let long = Request { limits, file_bytes: limits.bytes_max + 1 };
        assert!(Request::read(&long.bytes()).is_none());
    }

    #[test]
    fn texts_have_a_length_that_is_checked() {
        let mut words = Words::default();
        words.text(&"\u{e9}".repeat(TEXT_MAX));
        assert_eq!(Reading::whole(&words.0, Reading::text), Ok("\u{e9}".repeat(TEXT_MAX / 2)));
        let long = [((TEXT_MAX + 1) as u32).to_le_bytes().to_vec(), vec![b'a'; TEXT_MAX + 1]].concat();
        assert!(Reading::whole(&long, Reading::text).is_err());
        assert!(Reading::whole(&[1, 0, 0, 0, 0xff], Reading::text).is_err());
    }

    #[test]
    fn prefixes_promise_no_more_than_limits_allow() {
        let limits = Limits { memory_bytes: 100, ..Limits::default() };
        let is_read = |kind, head: u64, pixels| Prefix::read(&prefix(kind, head as usize, pixels), &limits).is_some();
        assert!(is_read(SCAN, HEAD_MAX, 100) && is_read(ERROR, 9, 0));
        assert!(!is_read(SCAN, HEAD_MAX + 1, 0) && !is_read(SCAN, 0, 101));
        assert!(!is_read(ERROR, 9, 1) && !is_read(3, 0, 0));
        let mut other = prefix(SCAN, 1, 1);
        other[4] = VERSION + 1;
        assert!(Prefix::read(&other, &limits).is_none());
    }
}

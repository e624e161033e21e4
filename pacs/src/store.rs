//! Storing (STOW-RS, PS3.18, 10.5).

use std::fmt;
use std::io::{self, Read};

use serde::Deserialize;
use ureq::http::StatusCode;

use crate::archive::Archive;
use crate::error::{ArchiveError, Place};
use crate::json::{self, Element, few};
use crate::line::Request;
use crate::retrieve::is_file;
use crate::uid::Uid;

/// Objects of an answer that are looked at; no caller stores more at once.
const ITEMS_MAX: usize = 65_536;

/// What an archive did with the objects that it was given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Those that it has now.
    pub stored: Vec<Uid>,
    /// Those that it did not take.
    pub failed: Vec<Failed>,
}

/// An object that an archive did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// The object, where the archive could read as much.
    pub instance: Option<Uid>,
    /// Why not.
    pub reason: Reason,
}

/// Why an object was not taken: a number (PS3.18, table I.2-2, and PS3.4, table B.2-1); 0 where none was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u16);

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = match self.0 {
            0 => "no reason given",
            0x0110 => "the archive could not process it",
            0x0111 => "the archive has it already",
            0x0117 => "its UID is none",
            0x0122 => "the archive does not take its kind",
            0x0124 => "this user may not store it",
            0xa700..=0xa7ff => "the archive is full",
            0xa900..=0xa9ff => "it is not what it says, or of another study",
            0xc000..=0xcfff => "the archive does not understand it",
            _ => "another reason",
        };
        write!(formatter, "{words} ({:04X})", self.0)
    }
}

#[derive(Deserialize)]
struct RawStored {
    #[serde(rename = "00081198")]
    failed: Option<Sequence>,
    #[serde(rename = "00081199")]
    stored: Option<Sequence>,
}

#[derive(Deserialize)]
struct Sequence {
    #[serde(rename = "Value", default, deserialize_with = "few::<_, _, ITEMS_MAX>")]
    items: Vec<Item>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Item {
    #[serde(rename = "00081155")]
    instance: Element,
    #[serde(rename = "00081197")]
    reason: Element,
}

impl Archive {
    /// Stores DICOM files, all in one request. That the archive took none of them is no error: `failed` says why. An
    /// archive may refuse the request as a whole for one broken file, and have taken those before it.
    ///
    /// # Errors
    /// [`ArchiveError`].
    pub fn store(&self, files: &[Vec<u8>]) -> Result<Stored, ArchiveError> {
        if files.is_empty() {
            return Ok(Stored::default());
        }
        // Some archives refuse all of a request where one part is no file, and do not say which.
        if let Some(place) = files.iter().position(|file| !is_file(file)) {
            return Err(ArchiveError::NoFile { file: place + 1 });
        }
        // Nobody can know it before, so that no file has it in it.
        let mut boundary = [0; 16];
        getrandom::fill(&mut boundary).map_err(|_| ArchiveError::Random)?;
        let boundary = hex::encode(boundary);
        let content_type = format!("multipart/related; type=\"application/dicom\"; boundary={boundary}");
        let between = format!("\r\n--{boundary}\r\nContent-Type: application/dicom\r\n\r\n");
        let end = format!("\r\n--{boundary}--\r\n");
        let mut pieces: Vec<&[u8]> = files.iter().flat_map(|file| [between.as_bytes(), file.as_slice()]).collect();
        // Some archives take no line before the first boundary.
        pieces[0] = &between.as_bytes()[2..];
        pieces.push(end.as_bytes());
        let length = pieces.iter().map(|piece| piece.len()).sum();
        let within = self.line.bounds.retrieval;
        let request = Request { path: "/studies", query: "", accept: json::ACCEPT, within };
        let mut body = Pieces { pieces: pieces.into_iter(), current: &[] };
        // 409: none of them was taken, and the answer says why.
        let answer = self.line.post(&request, &content_type, (&mut body, length), &[StatusCode::CONFLICT])?;
        let (place, raw): (Place, RawStored) = json::object(answer)?;
        let count = |sequence: &Option<Sequence>| sequence.as_ref().map_or(0, |sequence| sequence.items.len());
        if count(&raw.stored) + count(&raw.failed) == 0 {
            return Err(ArchiveError::OtherJson { place, line: 0, column: 0 });
        }
        if count(&raw.stored) + count(&raw.failed) > files.len() {
            return Err(ArchiveError::TooManyRows { place, rows_max: files.len() });
        }
        let items = |sequence: Option<Sequence>| sequence.map(|sequence| sequence.items).unwrap_or_default();
        let other = || ArchiveError::OtherJson { place: place.clone(), line: 0, column: 0 };
        let stored =
            items(raw.stored).iter().map(|item| item.instance.uid().ok_or_else(other)).collect::<Result<_, _>>()?;
        let failed = items(raw.failed).iter().map(Item::failed).collect();
        Ok(Stored { stored, failed })
    }
}

impl Item {
    fn failed(&self) -> Failed {
        Failed { instance: self.instance.uid(), reason: Reason(self.reason.number().unwrap_or(0)) }
    }
}

/// A body out of pieces that lie elsewhere.
struct Pieces<'a, I> {
    pieces: I,
    current: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a [u8]>> Read for Pieces<'a, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.next() {
                Some(piece) => self.current = piece,
                None => return Ok(0),
            }
        }
        self.current.read(buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_one_body_whatever_is_read_at_once() {
        let pieces: [&[u8]; 4] = [b"ab", b"", b"cde", b"f"];
        for at_once in 1..8 {
            let mut body = Pieces { pieces: pieces.into_iter(), current: &[] };
            let (mut whole, mut buffer) = (Vec::new(), vec![0; at_once]);
            loop {
                match body.read(&mut buffer).unwrap() {
                    0 => break,
                    read => whole.extend_from_slice(&buffer[..read]),
                }
            }
            assert_eq!(whole, b"abcdef");
        }
    }

    #[test]
    fn reasons_say_what_their_numbers_mean() {
        assert_eq!(Reason(0x0110).to_string(), "the archive could not process it (0110)");
        assert_eq!(Reason(0xa701).to_string(), "the archive is full (A701)");
        assert_eq!(Reason(0xc122).to_string(), "the archive does not understand it (C122)");
    }
}

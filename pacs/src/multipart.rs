//! The parts of a body, one after another: what `multipart/related` (RFC 2387, RFC 2046) says of them, from a reader
//! that blocks, with a bound on everything that the sender chooses.

use std::io::{self, Read};

use memchr::memmem;

use crate::media_type::MediaType;

/// Bytes that are read at once.
const READ: usize = 64 << 10;
/// Bytes before the first delimiter, and of each part's header, at most: a few lines of text.
const HEAD_MAX: usize = 16 << 10;
/// Characters of a boundary at most (RFC 2046, 5.1.1).
const BOUNDARY_MAX: usize = 70;

/// What is wrong with parts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MultipartFault {
    /// The header names no boundary that can be one.
    #[error("no boundary is named")]
    Boundary,
    /// No delimiter where the first part has to begin.
    #[error("the first {HEAD_MAX} bytes have no boundary")]
    Start,
    /// A delimiter that goes on as none does.
    #[error("a boundary goes on before part {part}")]
    Delimiter {
        /// From 1.
        part: usize,
    },
    /// A long header.
    #[error("the header of part {part} has more than {HEAD_MAX} bytes")]
    PartHead {
        /// From 1.
        part: usize,
    },
    /// A part of another type.
    #[error("part {part} is {found}, not application/dicom")]
    PartType {
        /// From 1.
        part: usize,
        /// What it says of itself.
        found: String,
    },
    /// A long part.
    #[error("part {part} has more than {bytes_max} bytes")]
    PartLong {
        /// From 1.
        part: usize,
        /// As many are taken.
        bytes_max: usize,
    },
    /// Many parts.
    #[error("there are more than {parts_max} parts")]
    TooMany {
        /// As many are taken.
        parts_max: usize,
    },
    /// The body ends before its last delimiter.
    #[error("the body ends within part {part}")]
    Cut {
        /// From 1.
        part: usize,
    },
}

/// Why there is no next part.
#[derive(Debug)]
pub(crate) enum PartError {
    Fault(MultipartFault),
    Read(io::Error),
}

impl From<MultipartFault> for PartError {
    fn from(fault: MultipartFault) -> Self {
        Self::Fault(fault)
    }
}

/// Parts of DICOM files, read as they are asked for.
pub(crate) struct Parts<R> {
    source: R,
    chunk: Vec<u8>,
    /// What is read and not handed out yet. It begins, between parts, right after a boundary's last character.
    held: Vec<u8>,
    /// `\r\n--` and the boundary.
    delimiter: Vec<u8>,
    part_bytes_max: usize,
    parts_max: usize,
    /// How many parts were begun.
    begun: usize,
}

impl<R: Read> Parts<R> {
    /// Of a body with this type.
    pub(crate) fn new(
        source: R,
        media: &MediaType,
        part_bytes_max: usize,
        parts_max: usize,
    ) -> Result<Self, MultipartFault> {
        let boundary = media.parameter("boundary").unwrap_or_default();
        if boundary.is_empty() || boundary.len() > BOUNDARY_MAX || boundary.bytes().any(|byte| byte.is_ascii_control())
        {
            return Err(MultipartFault::Boundary);
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first delimiter may do without a line before it.
        Ok(Self {
            source,
            chunk: vec![0; READ],
            held: b"\r\n".to_vec(),
            delimiter,
            part_bytes_max,
            parts_max,
            begun: 0,
        })
    }

    /// The next part's bytes; none after the last one.
    pub(crate) fn next_part(&mut self) -> Result<Option<Vec<u8>>, PartError> {
        let part = self.begun + 1;
        if self.begun == 0 {
            let delimiter = self.delimiter.clone();
            self.take_until(&delimiter, HEAD_MAX, || MultipartFault::Start, || MultipartFault::Start)?;
        }
        if self.is_last(part)? {
            return Ok(None);
        }
        if self.begun == self.parts_max {
            return Err(MultipartFault::TooMany { parts_max: self.parts_max }.into());
        }
        self.begun = part;
        let cut = || MultipartFault::Cut { part };
        // The line of the delimiter and the header, which may be empty, end with an empty line.
        let head = self.take_until(b"\r\n\r\n", HEAD_MAX, || MultipartFault::PartHead { part }, cut)?;
        check_head(&head, part)?;
        let (delimiter, bytes_max) = (self.delimiter.clone(), self.part_bytes_max);
        let body = self.take_until(&delimiter, bytes_max, || MultipartFault::PartLong { part, bytes_max }, cut)?;
        Ok(Some(body))
    }

    /// Whether the boundary that was just read is the last one; otherwise its line has to end.
    fn is_last(&mut self, part: usize) -> Result<bool, PartError> {
        while self.held.len() < 2 {
            if !self.read_more()? {
                return Err(MultipartFault::Cut { part }.into());
            }
        }
        match &self.held[..2] {
            b"--" => Ok(true),
            b"\r\n" => Ok(false),
            [b' ' | b'\t', _] => Ok(false),
            _ => Err(MultipartFault::Delimiter { part }.into()),
        }
    }

    /// What stands before `end`, which is taken too.
    fn take_until(
        &mut self,
        end: &[u8],
        bytes_max: usize,
        long: impl Fn() -> MultipartFault,
        cut: impl Fn() -> MultipartFault,
    ) -> Result<Vec<u8>, PartError> {
        let finder = memmem::Finder::new(end);
        let mut searched = 0;
        loop {
            if let Some(found) = finder.find(&self.held[searched..]) {
                let length = searched + found;
                if length > bytes_max {
                    return Err(long().into());
                }
                let rest = self.held.split_off(length + end.len());
                let mut taken = std::mem::replace(&mut self.held, rest);
                taken.truncate(length);
                return Ok(taken);
            }
            // The end may have begun with the last bytes.
            searched = self.held.len().saturating_sub(end.len() - 1);
            if searched > bytes_max {
                return Err(long().into());
            }
            if !self.read_more()? {
                return Err(cut().into());
            }
        }
    }

    /// Whether there was more.
    fn read_more(&mut self) -> Result<bool, PartError> {
        let read = loop {
            match self.source.read(&mut self.chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other.map_err(PartError::Read)?,
            }
        };
        self.held.extend_from_slice(&self.chunk[..read]);
        Ok(read > 0)
    }
}

/// A part says that it is DICOM, or nothing: then the whole has said it.
fn check_head(head: &[u8], part: usize) -> Result<(), MultipartFault> {
    let head = String::from_utf8_lossy(head);
    let type_of = |line: &str| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case("content-type").then(|| MediaType::of(value))
    };
    match head.lines().find_map(type_of) {
        Some(media) if !media.is("application/dicom") => Err(MultipartFault::PartType { part, found: media.shown() }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;

//! The walk through a data set (PS3.5 chapter 7), over bytes that stay where they are: values are slices, sequences
//! nest up to a bound, and elements that nobody asks for are stepped over. Nothing is allocated by what a length says.

use crate::error::{ImagingError, Problem};
use crate::tag::{self, Tag};

/// Sequences within sequences. Enhanced multi-frame objects nest four deep; more than this is an attack on the stack.
const DEPTH_MAX: usize = 16;
/// A length that is not said: an end mark follows the value instead.
const UNDEFINED: u32 = u32::MAX;
/// Representations with two reserved bytes and a length of four (PS3.5 table 7.1-1).
const LONG: [&[u8; 2]; 13] =
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) explicit: bool,
    pub(crate) big: bool,
}

impl Syntax {
    pub(crate) const IMPLICIT: Self = Self { explicit: false, big: false };
    pub(crate) const EXPLICIT: Self = Self { explicit: true, big: false };
    pub(crate) const BIG: Self = Self { explicit: true, big: true };

    pub(crate) fn u16(self, bytes: [u8; 2]) -> u16 {
        let value = u16::from_le_bytes(bytes);
        if self.big { value.swap_bytes() } else { value }
    }

    pub(crate) fn u32(self, bytes: [u8; 4]) -> u32 {
        let value = u32::from_le_bytes(bytes);
        if self.big { value.swap_bytes() } else { value }
    }
}

/// Elements that are read, in the order of the file.
#[derive(Debug)]
pub(crate) struct DataSet<'a> {
    pub(crate) elements: Vec<Element<'a>>,
    pub(crate) syntax: Syntax,
}

#[derive(Debug)]
pub(crate) struct Element<'a> {
    pub(crate) tag: Tag,
    /// Two capital letters, or two zeros where the file leaves it unsaid.
    pub(crate) representation: [u8; 2],
    pub(crate) value: Value<'a>,
}

#[derive(Debug)]
pub(crate) enum Value<'a> {
    /// Of pixel data this may be less than its length promises: whoever knows what to expect says so.
    Bytes(&'a [u8]),
    Items(Vec<DataSet<'a>>),
    Fragments(Fragments<'a>),
}

/// Compressed pixels.
#[derive(Debug, Default)]
pub(crate) struct Fragments<'a> {
    /// The basic offset table: where frames begin, or nothing.
    pub(crate) table: &'a [u8],
    /// Each with the place of its mark, counted from the first one's.
    pub(crate) parts: Vec<(u64, &'a [u8])>,
    /// Bytes that the file is short of, where it ends within a fragment.
    pub(crate) missing: u64,
}

/// A place in the bytes.
pub(crate) struct Walk<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    pub(crate) syntax: Syntax,
}

impl<'a> Walk<'a> {
    fn problem<T>(&self, problem: Problem) -> Result<T, ImagingError> {
        Err(ImagingError::Structure { offset: self.at as u64, problem })
    }

    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], ImagingError> {
        match self.bytes[self.at..].get(..count) {
            Some(bytes) => {
                self.at += count;
                Ok(bytes)
            }
            None => self.problem(Problem::Ends),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ImagingError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn u16(&mut self) -> Result<u16, ImagingError> {
        Ok(self.syntax.u16(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, ImagingError> {
        Ok(self.syntax.u32(self.array()?))
    }

    fn tag(&mut self) -> Result<Tag, ImagingError> {
        let group = self.u16()?;
        Ok(Tag::new(group, self.u16()?))
    }

    /// The tag that comes next, if there is one.
    pub(crate) fn peek(&self) -> Option<Tag> {
        Walk { bytes: self.bytes, at: self.at, syntax: self.syntax }.tag().ok()
    }

    /// Elements up to a place, or up to an end mark where their length is not said, or, at the outside, up to and with
    /// the pixels: what follows them is padding and signatures.
    pub(crate) fn data_set(&mut self, end: Option<usize>, depth: usize) -> Result<DataSet<'a>, ImagingError> {
        if depth > DEPTH_MAX {
            return self.problem(Problem::Depth);
        }
        let mut elements = Vec::new();
        while end.is_none_or(|end| self.at < end) {
            let tag = self.tag()?;
            if tag == tag::ITEM_END {
                self.u32()?;
                break;
            }
            let (representation, length) = self.length(tag)?;
            let value = self.value(tag, representation, length, depth)?;
            if end.is_some_and(|end| self.at > end) {
                return self.problem(Problem::Length);
            }
            if tag.name().is_some() {
                elements.push(Element { tag, representation, value });
            }
            if depth == 0 && tag == tag::PIXELS {
                break;
            }
        }
        Ok(DataSet { elements, syntax: self.syntax })
    }

    /// Elements of group 0002, which is always explicit and little-endian.
    pub(crate) fn file_meta(&mut self) -> Result<DataSet<'a>, ImagingError> {
        let mut elements = Vec::new();
        while self.peek().is_some_and(|tag| tag.group() == 2) {
            let tag = self.tag()?;
            let (representation, length) = self.length(tag)?;
            elements.push(Element { tag, representation, value: self.value(tag, representation, length, 1)? });
        }
        Ok(DataSet { elements, syntax: self.syntax })
    }

    fn length(&mut self, tag: Tag) -> Result<([u8; 2], u32), ImagingError> {
        if !self.syntax.explicit || tag.group() == 0xfffe {
            return Ok(([0; 2], self.u32()?));
        }
        let representation = self.array()?;
        if !representation.iter().all(u8::is_ascii_uppercase) {
            self.at -= representation.len();
            return self.problem(Problem::Representation);
        }
        if LONG.contains(&&representation) {
            self.take(2)?;
            Ok((representation, self.u32()?))
        } else {
            Ok((representation, u32::from(self.u16()?)))
        }
    }

    fn value(
        &mut self,
        tag: Tag,
        representation: [u8; 2],
        length: u32,
        depth: usize,
    ) -> Result<Value<'a>, ImagingError> {
        let is_known = tag.is_sequence() && matches!(&representation, b"UN" | [0, 0]);
        if length == UNDEFINED {
            return match &representation {
                _ if tag == tag::PIXELS => self.fragments(depth).map(Value::Fragments),
                b"OB" | b"OW" => self.fragments(depth).map(Value::Fragments),
                _ => self.sequence(representation, None, depth),
            };
        }
        let length = length as usize;
        if depth == 0 && tag == tag::PIXELS {
            return self.take(length.min(self.left())).map(Value::Bytes);
        }
        if &representation == b"SQ" || is_known {
            return match self.at.checked_add(length).filter(|end| *end <= self.bytes.len()) {
                Some(end) => self.sequence(representation, Some(end), depth),
                None => self.problem(Problem::Ends),
            };
        }
        self.take(length).map(Value::Bytes)
    }

    /// Items; those of an unknown representation are written as if all were implicit (PS3.5 section 6.2.2, note 2), as
    /// a gateway does that passes on what it has no name for.
    fn sequence(
        &mut self,
        representation: [u8; 2],
        end: Option<usize>,
        depth: usize,
    ) -> Result<Value<'a>, ImagingError> {
        let before = self.syntax;
        if &representation == b"UN" {
            self.syntax = Syntax::IMPLICIT;
        }
        let items = self.items(end, depth);
        self.syntax = before;
        items.map(Value::Items)
    }

    fn items(&mut self, end: Option<usize>, depth: usize) -> Result<Vec<DataSet<'a>>, ImagingError> {
        let mut items = Vec::new();
        while end.is_none_or(|end| self.at < end) {
            let tag = self.tag()?;
            let length = self.u32()?;
            match tag {
                tag::SEQUENCE_END if end.is_none() => break,
                tag::ITEM => {
                    let item_end = match length {
                        UNDEFINED => None,
                        _ => Some(self.at.saturating_add(length as usize)),
                    };
                    if item_end.is_some_and(|item_end| item_end > end.unwrap_or(self.bytes.len())) {
                        return self.problem(Problem::Length);
                    }
                    items.push(self.data_set(item_end, depth + 1)?);
                }
                _ => return self.problem(Problem::Item),
            }
        }
        Ok(items)
    }

    /// PS3.5 section A.4: the offset table, then fragments, then the end mark. At the outside a file may stop within a
    /// fragment or before the end mark.
    fn fragments(&mut self, depth: usize) -> Result<Fragments<'a>, ImagingError> {
        let mut found = Fragments::default();
        let mut start = None;
        loop {
            if depth == 0 && self.left() == 0 {
                return Ok(found);
            }
            let place = self.at as u64;
            let (tag, length) = (self.tag()?, self.u32()?);
            match tag {
                tag::SEQUENCE_END => return Ok(found),
                tag::ITEM if length != UNDEFINED => {
                    let length = length as usize;
                    if depth == 0 && length > self.left() {
                        found.missing = (length - self.left()) as u64;
                    }
                    let bytes = self.take(if depth == 0 { length.min(self.left()) } else { length })?;
                    match start {
                        None => {
                            found.table = bytes;
                            start = Some(self.at as u64);
                        }
                        Some(start) => found.parts.push((place - start, bytes)),
                    }
                }
                _ => return self.problem(Problem::Item),
            }
        }
    }
}

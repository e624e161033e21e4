//! The wire codec: little-endian, explicit widths, every length checked against the input before anything is allocated.
//!
//! A message has exactly one encoding, so a signature over the re-encoded value is a signature over the bytes.

use crate::limits::PARTIES_MAX;

/// Why bytes are not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The input ends inside a field.
    #[error("input ends early: {needed} more bytes needed, {left} left; the frame was cut")]
    Truncated {
        /// Bytes the field needs.
        needed: usize,
        /// Bytes that are left.
        left: usize,
    },
    /// A length or count above its bound.
    #[error("{what} has {have} entries, at most {max} are allowed")]
    TooLong {
        /// The field.
        what: &'static str,
        /// The length on the wire.
        have: usize,
        /// Its bound in `limits`.
        max: usize,
    },
    /// A number outside its range.
    #[error("{value} is no valid {what}")]
    Value {
        /// The field.
        what: &'static str,
        /// The value on the wire.
        value: u64,
    },
    /// Text that is not UTF-8.
    #[error("{what} is not UTF-8")]
    Text {
        /// The field.
        what: &'static str,
    },
    /// Bytes after the end of the message.
    #[error("{left} bytes follow the end of the message")]
    Trailing {
        /// How many.
        left: usize,
    },
}

/// A value with one canonical byte encoding.
pub trait Wire: Sized {
    /// Fewest bytes an encoding has. Bounds the allocation for a list by the size of the input.
    const BYTES_MIN: usize;
    /// Most entries in a list of this type.
    const LIST_MAX: usize = PARTIES_MAX;

    /// Appends the encoding.
    fn encode(&self, writer: &mut Writer);
    /// Reads one value.
    ///
    /// # Errors
    /// [`DecodeError`] on anything but a canonical encoding.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The encoding as bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.encode(&mut writer);
        writer.into_bytes()
    }

    /// Reads exactly one value from all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`], also for trailing bytes.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        match reader.left() {
            0 => Ok(value),
            left => Err(DecodeError::Trailing { left }),
        }
    }
}

/// Appends fields to a buffer.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }
    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    /// A fixed number of bytes, without length.
    pub fn array<const N: usize>(&mut self, value: &[u8; N]) {
        self.0.extend_from_slice(value);
    }
    /// A `u32` length and the bytes.
    ///
    /// Our own values obey `limits`, all far below `u32::MAX`.
    pub fn bytes(&mut self, value: &[u8]) {
        self.count(value.len());
        self.0.extend_from_slice(value);
    }
    /// A `u32` count.
    pub fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).unwrap_or(u32::MAX));
    }
    /// The buffer.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Takes fields off the front of a slice.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `bytes` from their start.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
    /// Bytes not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.len()
    }
    fn take(&mut self, needed: usize) -> Result<&'a [u8], DecodeError> {
        let (head, tail) =
            self.0.split_at_checked(needed).ok_or(DecodeError::Truncated { needed, left: self.0.len() })?;
        self.0 = tail;
        Ok(head)
    }
    /// A fixed number of bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }
    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }
    /// Two bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }
    /// Four bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }
    /// Eight bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array()?))
    }
    /// A count, at most `max`, of entries that take at least `entry_bytes` each of what is left.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] or [`DecodeError::Truncated`].
    pub fn count(&mut self, what: &'static str, max: usize, entry_bytes: usize) -> Result<usize, DecodeError> {
        let have = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if have > max {
            return Err(DecodeError::TooLong { what, have, max });
        }
        let needed = have.saturating_mul(entry_bytes.max(1));
        if needed > self.left() {
            return Err(DecodeError::Truncated { needed, left: self.left() });
        }
        Ok(have)
    }
    /// Bytes with their length, at most `max`.
    ///
    /// # Errors
    /// [`DecodeError::TooLong`] or [`DecodeError::Truncated`].
    pub fn bytes(&mut self, what: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let length = self.count(what, max, 1)?;
        self.take(length)
    }
    /// UTF-8 text with its length in bytes, at most `max`.
    ///
    /// # Errors
    /// As [`Reader::bytes`], and [`DecodeError::Text`].
    pub fn text(&mut self, what: &'static str, max: usize) -> Result<String, DecodeError> {
        let bytes = self.bytes(what, max)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| DecodeError::Text { what })
    }
}

impl<T: Wire> Wire for Vec<T> {
    const BYTES_MIN: usize = 4;
    fn encode(&self, writer: &mut Writer) {
        writer.count(self.len());
        self.iter().for_each(|entry| entry.encode(writer));
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let count = reader.count("list", T::LIST_MAX, T::BYTES_MIN)?;
        let mut entries = Self::with_capacity(count);
        for _ in 0..count {
            entries.push(T::decode(reader)?);
        }
        Ok(entries)
    }
}

/// As the value itself; a box only keeps an enum small in memory.
impl<T: Wire> Wire for Box<T> {
    const BYTES_MIN: usize = T::BYTES_MIN;
    fn encode(&self, writer: &mut Writer) {
        (**self).encode(writer);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        T::decode(reader).map(Box::new)
    }
}

impl<T: Wire> Wire for Option<T> {
    const BYTES_MIN: usize = 1;
    fn encode(&self, writer: &mut Writer) {
        writer.u8(u8::from(self.is_some()));
        if let Some(value) = self {
            value.encode(writer);
        }
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            0 => Ok(None),
            1 => T::decode(reader).map(Some),
            value => Err(DecodeError::Value { what: "option tag", value: u64::from(value) }),
        }
    }
}

macro_rules! wire_number {
    ($($type:ident $bytes:expr),*) => {$(
        impl Wire for $type {
            const BYTES_MIN: usize = $bytes;
            fn encode(&self, writer: &mut Writer) {
                writer.$type(*self);
            }
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                reader.$type()
            }
        }
    )*};
}
wire_number!(u8 1, u16 2, u32 4, u64 8);

/// Nothing, in an enum whose other variants hold something.
impl Wire for () {
    const BYTES_MIN: usize = 0;
    fn encode(&self, _: &mut Writer) {}
    fn decode(_: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(())
    }
}

impl<const N: usize> Wire for [u8; N] {
    const BYTES_MIN: usize = N;
    fn encode(&self, writer: &mut Writer) {
        writer.array(self);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()
    }
}

/// Implements [`Wire`] for a struct: its fields one after the other, in the order given.
macro_rules! wire_struct {
    ($name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        impl $crate::codec::Wire for $name {
            const BYTES_MIN: usize = 0 $(+ <$type as $crate::codec::Wire>::BYTES_MIN)*;
            fn encode(&self, writer: &mut $crate::codec::Writer) {
                let _ = &writer;
                $($crate::codec::Wire::encode(&self.$field, writer);)*
            }
            fn decode(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                let _ = &reader;
                Ok(Self { $($field: <$type as $crate::codec::Wire>::decode(reader)?),* })
            }
        }
    };
}

/// Implements [`Wire`] for an enum whose variants hold one value each: a tag byte, then the value.
macro_rules! wire_enum {
    ($name:ident { $($tag:literal => $variant:ident($type:ty)),* $(,)? }) => {
        impl $crate::codec::Wire for $name {
            const BYTES_MIN: usize = 1;
            fn encode(&self, writer: &mut $crate::codec::Writer) {
                match self {
                    $(Self::$variant(value) => {
                        writer.u8($tag);
                        $crate::codec::Wire::encode(value, writer);
                    })*
                }
            }
            fn decode(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                match reader.u8()? {
                    $($tag => <$type as $crate::codec::Wire>::decode(reader).map(Self::$variant),)*
                    value => Err($crate::codec::DecodeError::Value {
                        what: stringify!($name),
                        value: u64::from(value),
                    }),
                }
            }
        }
    };
}

/// Implements [`Wire`] for an enum without values: a tag byte.
macro_rules! wire_tag {
    ($name:ident { $($tag:literal => $variant:ident),* $(,)? }) => {
        impl $crate::codec::Wire for $name {
            const BYTES_MIN: usize = 1;
            fn encode(&self, writer: &mut $crate::codec::Writer) {
                writer.u8(match self { $(Self::$variant => $tag),* });
            }
            fn decode(reader: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                match reader.u8()? {
                    $($tag => Ok(Self::$variant),)*
                    value => Err($crate::codec::DecodeError::Value {
                        what: stringify!($name),
                        value: u64::from(value),
                    }),
                }
            }
        }
    };
}

pub(crate) use {wire_enum, wire_struct, wire_tag};

//! Values of pixels in as many bytes as they need.

/// Values of one width, little-endian and, where there are several per pixel, interleaved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Samples {
    width: Width,
    signed: bool,
    bytes: Vec<u8>,
}

/// Bytes per value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Width {
    One = 1,
    Two = 2,
    Four = 4,
}

impl Width {
    /// That holds so many bits.
    pub(crate) fn of_bits(bits: u32) -> Self {
        match bits {
            0..=8 => Self::One,
            9..=16 => Self::Two,
            _ => Self::Four,
        }
    }

    pub(crate) fn numbered(number: u8) -> Option<Self> {
        [Self::One, Self::Two, Self::Four].into_iter().find(|width| *width as u8 == number)
    }
}

impl Samples {
    /// Room for `count` values, or `None` where there is no memory for them.
    pub(crate) fn with_room(count: usize, width: Width, signed: bool) -> Option<Self> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(count.checked_mul(width as usize)?).ok()?;
        Some(Self { width, signed, bytes })
    }

    pub(crate) fn new(bytes: Vec<u8>, width: Width, signed: bool) -> Self {
        Self { width, signed, bytes }
    }

    pub(crate) fn width(&self) -> Width {
        self.width
    }

    pub(crate) fn is_signed(&self) -> bool {
        self.signed
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len() / self.width as usize
    }

    /// A value that fits the width, which is that of the bits it was stored in.
    pub(crate) fn push(&mut self, value: i64) {
        match self.width {
            Width::One => self.bytes.push(value as u8),
            Width::Two => self.bytes.extend((value as u16).to_le_bytes()),
            Width::Four => self.bytes.extend((value as u32).to_le_bytes()),
        }
    }

    /// Values from `start` on, `count` of them.
    pub(crate) fn range(&self, start: usize, count: usize) -> Vec<i64> {
        let width = self.width as usize;
        let bytes = self.bytes.get(start * width..(start + count) * width).unwrap_or_default();
        match (self.width, self.signed) {
            (Width::One, false) => bytes.iter().map(|value| i64::from(*value)).collect(),
            (Width::One, true) => bytes.iter().map(|value| i64::from(*value as i8)).collect(),
            (Width::Two, false) => bytes.as_chunks().0.iter().map(|value| u16::from_le_bytes(*value).into()).collect(),
            (Width::Two, true) => bytes.as_chunks().0.iter().map(|value| i16::from_le_bytes(*value).into()).collect(),
            (Width::Four, false) => bytes.as_chunks().0.iter().map(|value| u32::from_le_bytes(*value).into()).collect(),
            (Width::Four, true) => bytes.as_chunks().0.iter().map(|value| i32::from_le_bytes(*value).into()).collect(),
        }
    }
}

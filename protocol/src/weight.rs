//! What a hospital's update counts for: a power of two that its consortium agreed on, never a number of images.
//!
//! Whoever opens a sum reads the weights of its cohort in it. Were they numbers of images, two sums over cohorts that
//! differ by one hospital would tell how many patients that hospital has.

use std::fmt;
use std::str::FromStr;

use crate::codec::{DecodeError, Reader, Wire, Writer};

/// A weight class: 1, 1/2, 1/4, 1/8 or 1/16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct WeightClass {
    halvings: u8,
}

/// A text that names no weight class.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is no weight class; there are 1, 1/2, 1/4, 1/8 and 1/16")]
pub struct WeightClassError {
    given: String,
}

impl WeightClass {
    /// The whole weight: that of every hospital unless its consortium says otherwise.
    pub const ONE: Self = Self { halvings: 0 };
    /// Halvings of the smallest class.
    pub const HALVINGS_MAX: u8 = 4;
    /// Parts of [`WeightClass::ONE`]; every class has a whole number of them.
    pub const PARTS_MAX: u32 = 1 << Self::HALVINGS_MAX;

    /// The class of 1 halved so often; `None` above [`WeightClass::HALVINGS_MAX`].
    #[must_use]
    pub fn halved(halvings: u8) -> Option<Self> {
        (halvings <= Self::HALVINGS_MAX).then_some(Self { halvings })
    }

    /// All classes, the largest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=Self::HALVINGS_MAX).map(|halvings| Self { halvings })
    }

    /// How many sixteenths it is: classes are added up in these.
    #[must_use]
    pub fn parts(self) -> u32 {
        Self::PARTS_MAX >> self.halvings
    }
}

impl fmt::Display for WeightClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.halvings {
            0 => f.pad("1"),
            halvings => f.pad(&format!("1/{}", 1_u32 << halvings)),
        }
    }
}

impl FromStr for WeightClass {
    type Err = WeightClassError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || WeightClassError { given: text.chars().take(40).collect() };
        Self::all().find(|class| class.to_string() == text).ok_or_else(unknown)
    }
}

impl Wire for WeightClass {
    const BYTES_MIN: usize = 1;
    fn encode(&self, writer: &mut Writer) {
        writer.u8(self.halvings);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let halvings = reader.u8()?;
        Self::halved(halvings).ok_or(DecodeError::Value { what: "weight class", value: u64::from(halvings) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_classes_are_written_and_read_and_nothing_else_is() {
        let written: Vec<String> = WeightClass::all().map(|class| class.to_string()).collect();
        assert_eq!(written, ["1", "1/2", "1/4", "1/8", "1/16"]);
        assert_eq!(WeightClass::all().map(WeightClass::parts).collect::<Vec<_>>(), [16, 8, 4, 2, 1]);
        for class in WeightClass::all() {
            assert_eq!(class.to_string().parse(), Ok(class));
            assert_eq!(WeightClass::from_bytes(&class.to_bytes()), Ok(class));
        }
        assert_eq!(WeightClass::ONE.to_string().parse(), Ok(WeightClass::default()));
        for other in ["", "0", "2", "0.5", "1/3", "1/32", "1 / 2", "+1", "1/1"] {
            assert!(other.parse::<WeightClass>().is_err(), "{other}");
        }
        for halvings in [5, 16, 255] {
            let refused = Err(DecodeError::Value { what: "weight class", value: u64::from(halvings) });
            assert_eq!(WeightClass::from_bytes(&[halvings]), refused);
        }
    }
}

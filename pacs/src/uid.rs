//! The names of studies, series and objects.

use std::fmt;
use std::str::FromStr;

/// Characters of a UID at most (DICOM PS3.5, 9.1).
const LENGTH_MAX: usize = 64;

/// A UID: numbers with points between them, of 64 characters at most. It can stand in an address as it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uid(String);

/// What is no UID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a UID has numbers with points between them, 64 characters at most")]
pub struct UidError;

impl Uid {
    /// A new one from 16 random bytes, which become a UUID of version 4 (PS3.5, B.2).
    #[must_use]
    pub fn of_random(mut random: [u8; 16]) -> Self {
        random[6] = (random[6] & 0x0f) | 0x40;
        random[8] = (random[8] & 0x3f) | 0x80;
        let number = random.iter().fold(0_u128, |number, &byte| (number << 8) | u128::from(byte));
        Self(format!("2.25.{number}"))
    }

    /// Its characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Uid {
    type Err = UidError;

    /// Also takes what pads a UID to an even length in files. Leading zeros are against the standard, and in archives.
    fn from_str(text: &str) -> Result<Self, UidError> {
        let text = text.trim_end_matches(['\0', ' ']);
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if text.len() > LENGTH_MAX || !text.split('.').all(is_number) {
            return Err(UidError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mean_something_else_in_an_address_is_no_uid() {
        let long = "1".repeat(65);
        for text in ["", ".", "..", "1..2", "1.", ".1", "1/2", "1.a", "1.2?x", "1 .2", "\u{661}.2", long.as_str()] {
            assert_eq!(text.parse::<Uid>(), Err(UidError), "{text}");
        }
        assert_eq!("1.2.840.10008\0".parse::<Uid>().unwrap().as_str(), "1.2.840.10008");
        assert!("1".repeat(64).parse::<Uid>().is_ok());
    }

    #[test]
    fn a_new_uid_is_a_uuid_of_version_four_as_a_decimal_number() {
        assert_eq!(Uid::of_random([0; 16]).as_str(), "2.25.302240678275694148452352");
        let largest = Uid::of_random([0xff; 16]);
        assert_eq!(largest.as_str(), format!("2.25.{}", 0xffff_ffff_ffff_4fff_bfff_ffff_ffff_ffff_u128));
        assert_eq!(largest.as_str().parse(), Ok(largest.clone()));
    }
}

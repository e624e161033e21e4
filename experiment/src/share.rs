//! A part of a data set.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// What is written there, as it completes "must be".
pub(super) const FORM: &str = "a share such as \"2/5\": which, from 1, and of how many";

/// One of several equal shares of a public data set, to try a consortium with. Written `2/5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which, from 1 to `of`.
    number: u16,
    /// Of how many.
    of: u16,
}

impl Share {
    /// Which, from 0.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.number) - 1
    }

    /// Of how many, 1 or more.
    #[must_use]
    pub fn of(self) -> usize {
        usize::from(self.of)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err(format!("{text:?} is not {FORM}")),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_one_of_those_that_there_are() {
        let share: Share = "2/5".parse().unwrap();
        assert_eq!((share.index(), share.of(), share.to_string().as_str()), (1, 5, "2/5"));
        assert_eq!("5/5".parse::<Share>().map(Share::index), Ok(4));
        for bad in ["0/5", "6/5", "5", "a/b", "1/", "", "1/2/3", "1/65536"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }
}

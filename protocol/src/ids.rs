//! The protocol's identifiers. Newtypes, so that a round can never be passed where an attempt is meant.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};

use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::limits::{CHUNKS_MAX, EPOCHS_MAX, PARTIES_MAX};

/// A hospital's number, `1..=64`; also its Shamir point alpha_j = j.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartyId(u16);

impl PartyId {
    /// The party numbered `number`, or `None` outside `1..=64`.
    #[must_use]
    pub fn new(number: u16) -> Option<Self> {
        (1..=PARTIES_MAX).contains(&usize::from(number)).then_some(Self(number))
    }

    /// The number, `1..=64`.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for PartyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hospital-{}", self.0)
    }
}

impl Wire for PartyId {
    const BYTES_MIN: usize = 2;
    fn encode(&self, writer: &mut Writer) {
        writer.u16(self.0);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let number = reader.u16()?;
        Self::new(number).ok_or(DecodeError::Value { what: "party number", value: u64::from(number) })
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $inner:ty, $method:ident, $bytes:expr, $list:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }

        impl Wire for $name {
            const BYTES_MIN: usize = $bytes;
            const LIST_MAX: usize = $list;
            fn encode(&self, writer: &mut Writer) {
                writer.$method(self.0);
            }
            fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self(reader.$method()?))
            }
        }
    };
}

number!(
    /// One generation of keys. A new roster or a spent flooding budget starts the next one.
    Epoch, u32, u32, 4, EPOCHS_MAX
);
number!(
    /// One training (or publishing) round, counted from 1 within an epoch. A void round's number is never used again.
    RoundId, u32, u32, 4, PARTIES_MAX
);
number!(
    /// One encryption of a round's values, counted from 1; each has its own common `a`.
    Attempt, u32, u32, 4, PARTIES_MAX
);
number!(
    /// One step of a training on ciphertexts, counted from 1 within an epoch.
    StepId, u32, u32, 4, PARTIES_MAX
);
/// One encrypted query: asker and the asker's own counter, so that two hospitals never collide. Written `2-17` for
/// hospital 2's query number 17.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueryId(pub u64);

impl fmt::Display for QueryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.0 >> 48, self.counter())
    }
}

/// A text that names no query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no query; write hospital and number, for example 2-17")]
pub struct QueryIdError(String);

impl std::str::FromStr for QueryId {
    type Err = QueryIdError;

    fn from_str(text: &str) -> Result<Self, QueryIdError> {
        let parsed = text.split_once('-').and_then(|(asker, counter)| {
            let asker = PartyId::new(asker.parse().ok()?)?;
            let counter: u64 = counter.parse().ok()?;
            (counter >> 48 == 0).then(|| Self::new(asker, counter))
        });
        parsed.ok_or_else(|| QueryIdError(text.to_owned()))
    }
}

impl Wire for QueryId {
    const BYTES_MIN: usize = 8;
    fn encode(&self, writer: &mut Writer) {
        writer.u64(self.0);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.u64()?))
    }
}

impl Attempt {
    /// The first attempt of a round.
    pub const FIRST: Self = Self(1);

    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl StepId {
    /// The first step.
    pub const FIRST: Self = Self(1);

    /// The step after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl QueryId {
    /// The asker's `counter`-th query; the counter uses 48 bits.
    #[must_use]
    pub fn new(asker: PartyId, counter: u64) -> Self {
        Self((u64::from(asker.number()) << 48) | (counter & ((1 << 48) - 1)))
    }

    /// Who asked, if the number was made by [`QueryId::new`].
    #[must_use]
    pub fn asker(self) -> Option<PartyId> {
        u16::try_from(self.0 >> 48).ok().and_then(PartyId::new)
    }

    /// The same number in 32 bits, asker above and counter below; `None` from the asker's 2^24th query on.
    #[must_use]
    pub fn narrow(self) -> Option<u32> {
        let counter = u32::try_from(self.counter()).ok().filter(|counter| counter >> 24 == 0)?;
        Some(u32::from(self.asker()?.number()) << 24 | counter)
    }

    /// Its place among the asker's questions, from 0: the driver counts them from 1. Of what counts from 0, none that
    /// there is.
    #[must_use]
    pub fn place(self) -> u64 {
        self.counter().wrapping_sub(1)
    }

    /// The asker's own counter.
    #[must_use]
    pub fn counter(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }
}

/// A SHA-256 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 of raw bytes, as used for bodies.
    #[must_use]
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(out)
    }

    /// SHA-256 of a domain tag, its length, and a value's canonical encoding.
    #[must_use]
    pub fn of(domain: &str, value: &impl Wire) -> Self {
        let mut writer = Writer::default();
        writer.bytes(domain.as_bytes());
        value.encode(&mut writer);
        Self::of_bytes(&writer.into_bytes())
    }
}

impl Digest {
    /// Of 64 hexadecimal digits, as it is shown.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

impl Wire for Digest {
    const BYTES_MIN: usize = 32;
    const LIST_MAX: usize = CHUNKS_MAX;
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self(reader.array()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = Digest::of_bytes(b"x");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        for wrong in ["", &"0".repeat(63), &"0".repeat(65), &"g".repeat(64)] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_query_is_read_as_it_is_written() {
        let query = QueryId::new(PartyId::new(2).unwrap(), 17);
        assert_eq!(query.to_string(), "2-17");
        assert_eq!("2-17".parse(), Ok(query));
        for wrong in ["", "17", "0-1", "65-1", "2-", "2-x", "2-281474976710656", "-2-1"] {
            assert!(wrong.parse::<QueryId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_narrow_number_holds_the_asker_and_the_counter_up_to_24_bits() {
        let query = |counter| QueryId::new(PartyId::new(5).unwrap(), counter);
        assert_eq!([1, 9, 0].map(|counter| query(counter).place()), [0, 8, u64::MAX]);
        assert_eq!(query(9).narrow(), Some(0x0500_0009));
        assert_eq!(query((1 << 24) - 1).narrow(), Some(0x05FF_FFFF));
        assert_eq!(query(1 << 24).narrow(), None);
    }
}

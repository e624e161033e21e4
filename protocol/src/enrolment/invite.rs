//! The invitation: one line of text that a new site pastes.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};
use zeroize::ZeroizeOnDrop;

use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::ids::Digest;
use crate::net::{HostPort, HostPortError, KeyFingerprint, PeerName};

/// What stands before the separator: `con1...`.
const PREFIX: Hrp = Hrp::parse_unchecked("con");
const VERSION: u8 = 1;

/// Sixteen random bytes that admit one site. Neither printed nor compared in the clear: the coordinator keeps their
/// digest.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Token([u8; 16]);

impl Token {
    /// Of fresh randomness that the caller brings.
    #[must_use]
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// What the coordinator keeps of it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of("consilium invite token v1", &self.0)
    }
}

impl Wire for Token {
    const BYTES_MIN: usize = 16;
    fn encode(&self, writer: &mut Writer) {
        writer.array(&self.0);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array().map(Self)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// Everything that a site needs to find its coordinator, to know it again, and to be let in once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invite {
    /// Where to dial.
    pub address: HostPort,
    /// SHA-256 of the authority's public key: nobody else's certificates are accepted.
    pub authority: KeyFingerprint,
    /// The name that the site will have.
    pub name: PeerName,
    /// From when on it is void, in seconds since 1970.
    pub expires_s: u64,
    /// Admits one site.
    pub token: Token,
}

/// Why a line is no invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// Not `con1...`, or its check characters do not fit.
    #[error("the invitation is damaged or incomplete")]
    Damaged,
    /// Made by another version.
    #[error("the invitation has version {have}, this program reads version {VERSION}")]
    Version {
        /// Its version.
        have: u8,
    },
    /// Its fields are none of an invitation.
    #[error("the invitation is whole but malformed: {0}")]
    Malformed(#[from] DecodeError),
    /// An address is none.
    #[error(transparent)]
    Address(#[from] HostPortError),
}

impl Invite {
    /// Whether it is void at this time, in seconds since 1970.
    #[must_use]
    pub fn is_expired(&self, now_s: u64) -> bool {
        now_s >= self.expires_s
    }

    /// The line to paste. It admits whoever has it first, so it travels like a password.
    #[must_use]
    pub fn to_line(&self) -> String {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.bytes(self.address.as_str().as_bytes());
        writer.array(self.authority.bytes());
        writer.bytes(self.name.as_str().as_bytes());
        writer.u64(self.expires_s);
        self.token.encode(&mut writer);
        // The longest invitation has 378 bytes, far below what the code carries.
        bech32::encode::<Bech32m>(PREFIX, &writer.into_bytes()).unwrap_or_default()
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    /// Reads a pasted line; space around it and line breaks within are what mail programs do to it.
    fn from_str(line: &str) -> Result<Self, InviteError> {
        let line: String = line.chars().filter(|character| !character.is_whitespace()).take(2_048).collect();
        let checked = CheckedHrpstring::new::<Bech32m>(&line).map_err(|_| InviteError::Damaged)?;
        if checked.hrp() != PREFIX {
            return Err(InviteError::Damaged);
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let mut reader = Reader::new(&bytes);
        match reader.u8()? {
            VERSION => {}
            have => return Err(InviteError::Version { have }),
        }
        let address: HostPort = reader.text("address", HostPort::BYTES_MAX)?.parse()?;
        let authority = KeyFingerprint::from_bytes(reader.array()?);
        let name = reader.text("name", PeerName::LEN_MAX)?;
        let length = name.len() as u64;
        let name = PeerName::new(&name).map_err(|_| DecodeError::Value { what: "length of a name", value: length })?;
        let expires_s = reader.u64()?;
        let token = Token::decode(&mut reader)?;
        match reader.left() {
            0 => Ok(Self { address, authority, name, expires_s, token }),
            left => Err(DecodeError::Trailing { left }.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite {
            address: "consilium.example:443".parse().unwrap(),
            authority: KeyFingerprint::from_bytes([7; 32]),
            name: PeerName::new("st-anna").unwrap(),
            expires_s: 1_800_000_000,
            token: Token::new([9; 16]),
        }
    }

    #[test]
    fn the_line_is_frozen_and_reads_back() {
        let line = invite().to_line();
        assert_eq!(line, LINE);
        assert_eq!(line.parse::<Invite>().unwrap(), invite());
        let folded = format!("  {}\r\n {}\n", &line[..40], &line[40..]);
        assert_eq!(folded.parse::<Invite>().unwrap(), invite());
        assert_eq!(line.to_uppercase().parse::<Invite>().unwrap(), invite());
        assert!(!format!("{:?}", invite()).contains("9, 9"), "a token is not printed");
    }

    const LINE: &str = "con1qy2sqqqqvdhkuumfd35h2mfwv4uxzmtsd3jn5dp5xvrswpc8qurswpc8qurswpc8qurswpc8qurswpc8qurswpc8qur\
                        swpcqqqq8xapdv9hxucgq6fykkqqqqqqqjzgfpyysjzgfpyysjzgfpyysjs0pzv4";

    #[test]
    fn any_altered_character_is_noticed() {
        let line = invite().to_line();
        for place in 0..line.len() {
            let mut bytes = line.clone().into_bytes();
            bytes[place] = if bytes[place] == b'q' { b'p' } else { b'q' };
            let altered = String::from_utf8(bytes).unwrap();
            assert_eq!(altered.parse::<Invite>(), Err(InviteError::Damaged), "place {place}");
        }
        for end in 0..line.len() {
            assert_eq!(line[..end].parse::<Invite>(), Err(InviteError::Damaged), "cut at {end}");
        }
        let other = bech32::encode::<Bech32m>(Hrp::parse("bc").unwrap(), &[VERSION; 60]).unwrap();
        assert_eq!(other.parse::<Invite>(), Err(InviteError::Damaged));
    }

    /// Whoever makes an invitation can make a whole one of anything.
    #[test]
    fn whole_but_wrong_ones_are_named() {
        let read = |bytes: &[u8]| bech32::encode::<Bech32m>(PREFIX, bytes).unwrap().parse::<Invite>().unwrap_err();
        assert_eq!(read(&[2, 0, 0]), InviteError::Version { have: 2 });
        assert!(matches!(read(&[]), InviteError::Malformed(DecodeError::Truncated { .. })));
        let line = invite().to_line();
        let good: Vec<u8> = CheckedHrpstring::new::<Bech32m>(&line).unwrap().byte_iter().collect();
        for end in 1..good.len() {
            assert!(matches!(read(&good[..end]), InviteError::Malformed(_)), "cut at {end}");
        }
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good.clone();
            change(&mut bytes);
            read(&bytes)
        };
        assert!(matches!(with(&|bytes| bytes.push(0)), InviteError::Malformed(DecodeError::Trailing { left: 1 })));
        assert!(matches!(with(&|bytes| bytes[5] = b'/'), InviteError::Address { .. }));
        let name = 1 + 4 + "consilium.example:443".len() + 32 + 4;
        assert!(matches!(with(&|bytes| bytes[name] = b'A'), InviteError::Malformed(DecodeError::Value { .. })));
    }

    #[test]
    fn it_is_void_from_its_last_second_on() {
        assert!(!invite().is_expired(1_799_999_999));
        assert!(invite().is_expired(1_800_000_000));
    }
}

//! Six words that two people compare over the telephone.

use std::fmt;
use std::str::FromStr;

use bip39::Language;

use crate::ids::Digest;

/// How many words.
pub const WORDS: usize = 6;
/// Bits of one word: the list has 2,048.
const WORD_BITS: usize = 11;

/// 66 bits of a digest as six English words of the BIP 39 list, which differ from each other in their first four
/// letters.
///
/// Whoever wants two different digests to give the same words without choosing both has one try in 2^66 where both
/// sides' nonces were committed to before either was shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Words([u16; WORDS]);

/// Why a text is not six words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordsError {
    /// Fewer or more.
    #[error("{have} words, {WORDS} are read aloud")]
    Count {
        /// Words given.
        have: usize,
    },
    /// Not in the list.
    #[error("word {place}, {word:?}, is not in the list of words")]
    Unknown {
        /// Its place, from 1.
        place: usize,
        /// As given, cut after 20 characters.
        word: String,
    },
}

impl Words {
    /// The first 66 bits, most significant first.
    #[must_use]
    pub fn of(digest: Digest) -> Self {
        let bit = |at: usize| u16::from(digest.0.get(at / 8).is_some_and(|byte| byte >> (7 - at % 8) & 1 == 1));
        let word = |place: usize| (0..WORD_BITS).fold(0, |word, at| word << 1 | bit(place * WORD_BITS + at));
        Self(std::array::from_fn(word))
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = Language::English.word_list();
        for (place, word) in self.0.iter().enumerate() {
            let space = if place == 0 { "" } else { " " };
            write!(f, "{space}{}", list.get(usize::from(*word)).copied().unwrap_or_default())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Words({self})")
    }
}

impl FromStr for Words {
    type Err = WordsError;

    /// As typed: in any case, with any space.
    fn from_str(text: &str) -> Result<Self, WordsError> {
        let list = Language::English.word_list();
        let have = text.split_whitespace().count();
        if have != WORDS {
            return Err(WordsError::Count { have });
        }
        let mut words = [0; WORDS];
        for (place, (to, typed)) in words.iter_mut().zip(text.split_whitespace()).enumerate() {
            let typed = typed.to_lowercase();
            let found = list.iter().position(|word| **word == typed).and_then(|at| u16::try_from(at).ok());
            let unknown = || WordsError::Unknown { place: place + 1, word: typed.chars().take(20).collect() };
            *to = found.ok_or_else(unknown)?;
        }
        Ok(Self(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_first_66_bits() {
        assert_eq!(Words::of(Digest([0; 32])).to_string(), "abandon abandon abandon abandon abandon abandon");
        assert_eq!(Words::of(Digest([255; 32])).to_string(), "zoo zoo zoo zoo zoo zoo");
        // 11 bits each of 0x00 0x20 0x04 0x00 0xc0 ...: 1, 1, 3, 0, ...
        let mut digest = [0; 32];
        digest[..5].copy_from_slice(&[0x00, 0x20, 0x04, 0x01, 0x80]);
        assert_eq!(Words::of(Digest(digest)).0, [1, 1, 3, 0, 0, 0]);
        for bit in 0..80 {
            let mut digest = [0; 32];
            digest[bit / 8] = 0x80 >> (bit % 8);
            assert_eq!(Words::of(Digest(digest)) == Words::of(Digest([0; 32])), bit >= 66, "bit {bit}");
        }
    }

    #[test]
    fn typed_words_are_read_as_people_type_them() {
        let words = Words::of(Digest::of_bytes(b"anything"));
        assert_eq!(words.to_string().parse(), Ok(words));
        assert_eq!(format!("  {}\n", words.to_string().to_uppercase().replace(' ', "  ")).parse(), Ok(words));
    }

    #[test]
    fn what_is_not_six_words_of_the_list_is_named() {
        assert_eq!("zoo zoo".parse::<Words>(), Err(WordsError::Count { have: 2 }));
        assert_eq!("zoo zoo zoo zoo zoo zoo zoo".parse::<Words>(), Err(WordsError::Count { have: 7 }));
        let unknown = WordsError::Unknown { place: 3, word: "zooo".to_owned() };
        assert_eq!("zoo zoo zooo zoo zoo zoo".parse::<Words>(), Err(unknown));
    }
}

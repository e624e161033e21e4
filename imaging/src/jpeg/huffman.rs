//! Huffman codes and the bits they are read from (T.81 annexes C and F.2.2).

use super::markers::JpegProblem;

/// Codes of up to 16 bits.
#[derive(Clone, Debug)]
pub(super) struct Codes {
    /// For each length less one: the first code, the place of its symbol, and how many codes there are.
    lengths: [(u32, usize, u32); 16],
    symbols: Vec<u8>,
}

impl Codes {
    /// Of how many codes there are of each length, and their symbols in order.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Result<Self, JpegProblem> {
        let (mut code, mut place) = (0_u32, 0);
        let mut lengths = [(0, 0, 0); 16];
        for (length, count) in counts.iter().enumerate() {
            let count = u32::from(*count);
            lengths[length] = (code, place, count);
            code += count;
            place += count as usize;
            if code > 2 << length {
                return Err(JpegProblem::Codes);
            }
            code <<= 1;
        }
        match place == symbols.len() {
            true => Ok(Self { lengths, symbols: symbols.to_vec() }),
            false => Err(JpegProblem::Codes),
        }
    }
}

/// Bits of a scan, up to the next marker.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    held: u32,
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, held: 0, count: 0 }
    }

    /// Where the next marker may be looked for.
    pub(super) fn place(&self) -> usize {
        self.at
    }

    fn bit(&mut self) -> Result<u32, JpegProblem> {
        if self.count == 0 {
            let byte = *self.bytes.get(self.at).ok_or(JpegProblem::Ends)?;
            self.at += 1;
            if byte == 0xff {
                // A zero is stuffed behind it; anything else is a marker, and the scan ends.
                if self.bytes.get(self.at) != Some(&0) {
                    self.at -= 1;
                    return Err(JpegProblem::Ends);
                }
                self.at += 1;
            }
            (self.held, self.count) = (byte.into(), 8);
        }
        self.count -= 1;
        Ok(self.held >> self.count & 1)
    }

    pub(super) fn symbol(&mut self, codes: &Codes) -> Result<u8, JpegProblem> {
        let mut code = 0;
        for (first, place, count) in codes.lengths {
            code = code << 1 | self.bit()?;
            if code.wrapping_sub(first) < count {
                return Ok(codes.symbols[place + (code - first) as usize]);
            }
        }
        Err(JpegProblem::Codes)
    }

    /// A difference of so many bits, from 0 to 16 (T.81 tables F.1 and H.2, and figure F.12).
    pub(super) fn difference(&mut self, size: u8) -> Result<i32, JpegProblem> {
        match size {
            0 => Ok(0),
            1..=15 => {
                let mut value = 0;
                for _ in 0..size {
                    value = value << 1 | self.bit()? as i32;
                }
                Ok(if value < 1 << (size - 1) { value - (1 << size) + 1 } else { value })
            }
            16 => Ok(32768),
            _ => Err(JpegProblem::Codes),
        }
    }

    /// Steps over a restart marker, which counts from 0 to 7 again and again.
    pub(super) fn restart(&mut self, number: usize) -> Result<(), JpegProblem> {
        self.count = 0;
        while self.bytes.get(self.at..self.at + 2) == Some(&[0xff, 0xff]) {
            self.at += 1;
        }
        if self.bytes.get(self.at..self.at + 2) != Some(&[0xff, 0xd0 + (number % 8) as u8]) {
            return Err(JpegProblem::Restart);
        }
        self.at += 2;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_canonical_and_may_not_overflow() {
        let mut counts = [0; 16];
        (counts[1], counts[2]) = (3, 2);
        let codes = Codes::new(&counts, &[10, 11, 12, 13, 14]).unwrap();
        // 00 01 10 110 111, then 111 111 with a stuffed zero in between.
        let bytes = [0b0001_1011, 0b0111_0000, 0xff, 0, 0xff, 0xd9];
        let mut bits = Bits::new(&bytes, 0);
        let symbols: Vec<u8> = std::iter::from_fn(|| bits.symbol(&codes).ok()).take(5).collect();
        assert_eq!(symbols, [10, 11, 12, 13, 14]);
        counts[0] = 2;
        assert!(Codes::new(&counts, &[0; 7]).is_err());
        counts[0] = 0;
        assert!(Codes::new(&counts, &[0; 6]).is_err());
    }

    #[test]
    fn differences_have_their_sign_in_the_first_bit() {
        let mut bits = Bits::new(&[0b0110_0011, 0b1000_0000], 0);
        // 01 is -2, 10 is 2, 0 is -1, 011 is -4, 1 is 1.
        let sizes = [2, 2, 1, 3, 1];
        assert_eq!(sizes.map(|size| bits.difference(size).unwrap()), [-2, 2, -1, -4, 1]);
        assert_eq!(bits.difference(16).unwrap(), 32768);
        assert!(bits.difference(17).is_err());
    }
}

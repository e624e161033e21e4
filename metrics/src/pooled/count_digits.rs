//! Counts as numbers that fit the lanes of an encrypted sum: digit by digit, because a lane holds fewer bits than a
//! count may need.

use super::tally::Tally;

/// Bits of a count.
const COUNT_BITS: u32 = u32::BITS;

/// How counts lie in lanes.
#[derive(Clone, Copy, Debug)]
pub struct CountDigits {
    bits: u32,
}

impl CountDigits {
    /// For lanes of so many bits: one is the sign, so that no digit is beyond the largest value.
    #[must_use]
    pub fn new(lane_bits: u32) -> Self {
        Self { bits: lane_bits.saturating_sub(1).clamp(1, COUNT_BITS) }
    }

    fn per_count(self) -> usize {
        COUNT_BITS.div_ceil(self.bits) as usize
    }

    /// Lanes of a tally for a model of so many classes.
    #[must_use]
    pub fn lanes(self, classes: usize) -> usize {
        Tally::len_of(classes) * self.per_count()
    }

    /// Lowest digit first; `None` where a count has too many bits.
    #[must_use]
    pub fn split(self, counts: &[u64]) -> Option<Vec<i32>> {
        let mut lanes = Vec::with_capacity(counts.len() * self.per_count());
        for count in counts {
            let mut rest = u64::from(u32::try_from(*count).ok()?);
            for _ in 0..self.per_count() {
                lanes.push(i32::try_from(rest & ((1 << self.bits) - 1)).ok()?);
                rest >>= self.bits;
            }
        }
        Some(lanes)
    }

    /// Counts from sums over so many sites; `None` where a digit is more than they can have.
    #[must_use]
    pub fn join(self, sums: &[i64], sites: usize) -> Option<Vec<u64>> {
        let most = ((1i64 << self.bits) - 1) * i64::try_from(sites).ok()?;
        let count = |digits: &[i64]| {
            digits.iter().zip(0u32..).try_fold(0u64, |count, (digit, place)| {
                let digit = u64::try_from(*digit).ok().filter(|_| *digit <= most)?;
                count.checked_add(digit.checked_shl(place * self.bits)?)
            })
        };
        sums.chunks(self.per_count()).map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_from_the_sum_of_their_digits() {
        for lane_bits in 8..=16 {
            let digits = CountDigits::new(lane_bits);
            let counts = [0, 1, 255, 65_535, 1 << 20, u64::from(u32::MAX)];
            let one = digits.split(&counts).unwrap();
            assert_eq!(one.len(), counts.len() * digits.per_count());
            assert!(one.iter().all(|digit| (0..1 << (lane_bits - 1)).contains(digit)), "{lane_bits} bits: {one:?}");
            let sums: Vec<i64> = one.iter().map(|digit| i64::from(*digit) * 64).collect();
            assert_eq!(digits.join(&sums, 64).unwrap(), counts.map(|count| count * 64));
            assert_eq!(digits.join(&sums, 63), None, "no 63 sites have such digits");
        }
        let digits = CountDigits::new(16);
        assert_eq!(digits.split(&[1 << 32]), None);
        assert_eq!(digits.join(&[-1, 0, 0], 3), None);
    }
}

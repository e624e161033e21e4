//! Whole numbers in the lanes of an encrypted sum, digit by digit: a lane holds fewer bits than they need.

/// How whole numbers of either sign lie in lanes.
///
/// Digits in base `2^b` are signed, `-2^(b-1)` to `2^(b-1) - 1`: all that a lane of `b` bits holds. A number is the sum
/// of its digits times powers of the base, so digits of hospitals may be added before they are joined, and their
/// sums need no carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits {
    bits: u32,
    count: usize,
}

impl Digits {
    /// The fewest digits of 2 to 24 bits that hold all numbers of at most `most` absolute, at most `2^100`.
    pub(super) fn holding(most: i128, bits: u32) -> Self {
        // Below zero there is room for one more.
        let (mut largest, mut count) = (0, 0);
        while largest < most {
            largest = (largest << bits) + (1 << (bits - 1)) - 1;
            count += 1;
        }
        Self { bits, count }
    }

    /// Lanes of one number.
    pub(super) fn count(self) -> usize {
        self.count
    }

    /// Adds the digits of a number to the lanes, the lowest first.
    pub(super) fn split(self, number: i128, lanes: &mut Vec<i32>) {
        let unused = i128::BITS - self.bits;
        let mut rest = number;
        for _ in 0..self.count {
            // The lowest bits; the highest of them is the sign.
            let digit = (rest << unused) >> unused;
            lanes.push(digit as i32);
            rest = (rest - digit) >> self.bits;
        }
        debug_assert_eq!(rest, 0, "a number of more digits");
    }

    /// Whether the digits of so many hospitals can have this sum.
    pub(super) fn can_add_up_to(self, sum: i64, hospitals: u16) -> bool {
        let (hospitals, half) = (i64::from(hospitals), 1i64 << (self.bits - 1));
        (-hospitals * half..=hospitals * (half - 1)).contains(&sum)
    }

    /// The sum of the numbers whose digits have these sums.
    pub(super) fn join(self, sums: &[i64]) -> i128 {
        sums.iter().rev().fold(0, |number, &sum| (number << self.bits) + i128::from(sum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use he_agg::Stream;

    fn split(digits: Digits, number: i128) -> Vec<i32> {
        let mut lanes = Vec::new();
        digits.split(number, &mut lanes);
        lanes
    }

    #[test]
    fn sums_of_numbers_of_either_sign_come_back_from_the_sums_of_their_digits() {
        let mut stream = Stream::from_seed([7; 32]);
        for bits in 4..=24 {
            for most in [1, 7, 8, 255, 1 << 20, (1 << 79) - 1, 1 << 79, 1 << 88] {
                let digits = Digits::holding(most, bits);
                let half = 1i32 << (bits - 1);
                // The first hospitals are at the ends, the others anywhere.
                let number = |hospital: u32, stream: &mut Stream| match hospital {
                    0..20 => most,
                    20..30 => -most,
                    30..40 => [0, -1, 1, most - 1, 1 - most][hospital as usize % 5],
                    _ => (most as f64 * (2.0 * stream.next_f64() - 1.0)) as i128,
                };
                let (mut total, mut sums) = (0, vec![0i64; digits.count()]);
                for hospital in 0..64 {
                    let number = number(hospital, &mut stream);
                    let lanes = split(digits, number);
                    assert!(lanes.iter().all(|digit| (-half..half).contains(digit)), "{bits} bits: {lanes:?}");
                    sums.iter_mut().zip(lanes).for_each(|(sum, digit)| *sum += i64::from(digit));
                    total += number;
                }
                assert!(sums.iter().all(|&sum| digits.can_add_up_to(sum, 64)));
                assert_eq!(digits.join(&sums), total, "{bits} bits, numbers to {most}");
            }
        }
    }

    #[test]
    fn no_digit_is_spare_and_none_is_missing() {
        // Two digits of 4 bits: 7 * 16 + 7.
        assert_eq!(split(Digits::holding(119, 4), 119), [7, 7]);
        assert_eq!(split(Digits::holding(119, 4), -119), [-7, -7]);
        assert_eq!(split(Digits::holding(120, 4), 120), [-8, -8, 1]);
        assert_eq!(split(Digits::holding(7, 4), -7), [-7]);
        assert_eq!(Digits::holding(1 << 76, 16).count(), 5);
    }

    #[test]
    fn a_digit_that_so_many_hospitals_cannot_have_is_noticed() {
        let digits = Digits::holding(1000, 8);
        for (sum, hospitals, possible) in
            [(381, 3, true), (382, 3, false), (-384, 3, true), (-385, 3, false), (i64::MIN, 64, false)]
        {
            assert_eq!(digits.can_add_up_to(sum, hospitals), possible, "{sum} of {hospitals}");
        }
    }
}

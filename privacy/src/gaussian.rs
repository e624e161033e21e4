//! Noise in whole numbers, drawn in a time that says nothing of it.

mod table;

use he_agg::Stream;

use self::table::AT_LEAST;

/// Variance of what the table draws.
const VARIANCE: u64 = 256;
/// What the second of two draws counts; with the first they are as smooth as one of deviation 129.
const SECOND: i64 = 8;
/// Bytes of a draw: two words that are compared with the table, and a byte whose lowest bit is the sign.
const DRAW_BYTES: usize = 17;
/// Draws of a value.
const DRAWS: usize = 4;
/// Values whose bytes are drawn at once.
const TOGETHER: usize = 240;

/// Discrete Gaussian noise: a sum of four draws of deviation 16 that count 1, 8, m and 8 m, 1e-11 of a discrete
/// Gaussian's probability off at most up to nine deviations. Sums of it over hospitals are such noise again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiscreteGaussian {
    third: i64,
}

impl DiscreteGaussian {
    /// What one hospital adds alone: deviation 8,257.
    pub const ALONE: Self = Self { third: 64 };
    /// What several add together, in a lane of 16 bits: deviations 532, 1,040, 1,553 and 1,939.
    pub const SHARED: [Self; 4] = [Self { third: 4 }, Self { third: 8 }, Self { third: 12 }, Self { third: 15 }];

    /// Square of its deviation.
    #[must_use]
    pub fn variance(self) -> u64 {
        let [second, third] = [SECOND, self.third].map(|of| of.unsigned_abs());
        VARIANCE * (1 + second * second) * (1 + third * third)
    }

    /// No value is larger, absolute.
    #[must_use]
    pub fn largest(self) -> i64 {
        AT_LEAST.len() as i64 * (1 + SECOND) * (1 + self.third)
    }

    /// Adds noise to every value, from a stream that nobody else has.
    ///
    /// Which values were drawn decides neither a branch nor an address: the whole table is compared with every draw.
    pub fn add_to(self, values: &mut [i64], stream: &mut Stream) {
        let mut bytes = zeroize::Zeroizing::new([0; TOGETHER * DRAWS * DRAW_BYTES]);
        for values in values.chunks_mut(TOGETHER) {
            let bytes = &mut bytes[..values.len() * DRAWS * DRAW_BYTES];
            stream.fill(bytes);
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks::<{ DRAWS * DRAW_BYTES }>().0) {
                let [a, b, c, d] = drawn(bytes);
                *value += a + SECOND * b + self.third * (c + SECOND * d);
            }
        }
    }
}

/// Four draws.
fn drawn(bytes: &[u8; DRAWS * DRAW_BYTES]) -> [i64; DRAWS] {
    let (mut high, mut low, mut sign) = ([0; DRAWS], [0; DRAWS], [0; DRAWS]);
    for (draw, bytes) in bytes.as_chunks::<DRAW_BYTES>().0.iter().enumerate() {
        let (words, rest) = bytes.as_chunks::<8>();
        [high[draw], low[draw]] = [words[0], words[1]].map(u64::from_le_bytes);
        sign[draw] = i64::from(rest[0] & 1);
    }
    let mut size = [0i64; DRAWS];
    for at_least in &AT_LEAST {
        let (first, second) = ((at_least >> 64) as u64, *at_least as u64);
        for draw in 0..DRAWS {
            let below =
                u64::from(high[draw] < first) | (u64::from(high[draw] == first) & u64::from(low[draw] < second));
            size[draw] += below as i64;
        }
    }
    // Minus x is the complement of x - 1.
    std::array::from_fn(|draw| (size[draw] ^ -sign[draw]) + sign[draw])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variances_are_squares_of_the_deviations_that_are_told() {
        let deviations = DiscreteGaussian::SHARED.map(|noise| (noise.variance() as f64).sqrt().round());
        assert_eq!(deviations, [532.0, 1040.0, 1553.0, 1939.0]);
        assert_eq!((DiscreteGaussian::ALONE.variance() as f64).sqrt().round(), 8257.0);
        assert_eq!(DiscreteGaussian::ALONE.largest(), 160 * 9 * 65);
    }

    #[test]
    fn a_draw_is_the_place_of_its_words_in_the_table_with_its_sign() {
        // Of the largest words none is in the tail; of zeros all are; the word of a threshold is not below it.
        let of = |word: u128, sign: u8| {
            let mut bytes = [0; DRAWS * DRAW_BYTES];
            for draw in bytes.as_chunks_mut::<DRAW_BYTES>().0 {
                draw[..8].copy_from_slice(&((word >> 64) as u64).to_le_bytes());
                draw[8..16].copy_from_slice(&(word as u64).to_le_bytes());
                draw[16] = sign;
            }
            let drawn = drawn(&bytes);
            assert!(drawn.iter().all(|one| *one == drawn[0]));
            drawn[0]
        };
        assert_eq!([of(u128::MAX, 0), of(u128::MAX, 1), of(0, 0), of(0, 0xff)], [0, 0, 160, -160]);
        for (index, at_least) in AT_LEAST.iter().enumerate() {
            assert_eq!(
                [of(*at_least, 0), of(at_least - 1, 2), of(at_least - 1, 3)].map(|found| found - index as i64),
                [0, 1, -1 - 2 * index as i64]
            );
        }
    }

    #[test]
    fn every_value_of_a_list_gets_its_own_noise() {
        let mut values = vec![1_000_000; 2 * TOGETHER + 7];
        DiscreteGaussian::ALONE.add_to(&mut values, &mut Stream::from_seed([3; 32]));
        let mut distinct = values.clone();
        distinct.sort_unstable();
        distinct.dedup();
        // Of 487 values of deviation 8,257 some six pairs are alike; of values that share their bytes most would be.
        assert!(distinct.len() > 460, "{}", distinct.len());
        let mean = values.iter().sum::<i64>() as f64 / values.len() as f64;
        assert!((mean - 1e6).abs() < 5.0 * 8257.0 / (values.len() as f64).sqrt(), "{mean}");
    }
}

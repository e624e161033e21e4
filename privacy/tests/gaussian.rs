//! What the noise is, against probabilities that are computed without its table.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use he_agg::Stream;
use privacy::DiscreteGaussian;

/// Draws of the test that runs with the others.
const DRAWS: u64 = 1 << 18;
/// As many as `cargo test --release -p privacy --test gaussian -- --ignored` draws.
const MANY: u64 = 1 << 28;
/// Ranges of values that are counted.
const BINS: usize = 256;

/// Probabilities of a sum of draws of deviation 16 that count 1, 8, m and 8 m, from its least value on.
fn sum_of_draws(third: i64) -> Vec<f64> {
    let draw: Vec<f64> = (-160i32..=160).map(|value| (-f64::from(value * value) / 512.0).exp()).collect();
    let whole: f64 = draw.iter().sum();
    let mut sum = vec![1.0];
    for counts in [1, 8, third, 8 * third] {
        let mut next = vec![0.0; sum.len() + 320 * counts as usize];
        for (value, draw) in draw.iter().enumerate() {
            let from = value * counts as usize;
            next[from..from + sum.len()].iter_mut().zip(&sum).for_each(|(next, sum)| *next += sum * draw / whole);
        }
        sum = next;
    }
    sum
}

/// With what its third draw counts: the largest value is 1,440 times one more.
fn all() -> [(DiscreteGaussian, i64); 5] {
    [
        DiscreteGaussian::ALONE,
        DiscreteGaussian::SHARED[0],
        DiscreteGaussian::SHARED[1],
        DiscreteGaussian::SHARED[2],
        DiscreteGaussian::SHARED[3],
    ]
    .map(|noise| (noise, noise.largest() / 1_440 - 1))
}

#[test]
fn sums_of_draws_are_as_probable_as_a_discrete_gaussian_up_to_six_deviations() {
    for (noise, third) in all() {
        let (sum, variance) = (sum_of_draws(third), noise.variance() as f64);
        let middle = noise.largest();
        assert_eq!(sum.len() as i64, 2 * middle + 1);
        let gaussian = |value: i64| (-(value as f64).powi(2) / (2.0 * variance)).exp();
        let whole: f64 = (-middle..=middle).map(gaussian).sum();
        let far = (6.0 * variance.sqrt()) as i64;
        let off = (-far..=far).map(|value| (sum[(middle + value) as usize] * whole / gaussian(value)).ln().abs());
        let worst = off.fold(0.0, f64::max);
        assert!(worst < 1e-10, "{third}: {worst}");
    }
}

fn chi_square(draws: u64) {
    for (noise, third) in all() {
        let (sum, middle) = (sum_of_draws(third), noise.largest());
        // Ranges that are about as probable.
        let (mut ends, mut expected, mut mass) = (Vec::new(), vec![0.0], 0.0);
        for (place, probability) in sum.iter().enumerate() {
            mass += probability;
            *expected.last_mut().unwrap() += probability;
            if mass * BINS as f64 >= (ends.len() + 1) as f64 && ends.len() + 1 < BINS {
                ends.push(place as i64 - middle);
                expected.push(0.0);
            }
        }
        let (mut counts, mut stream) = (vec![0u64; expected.len()], Stream::from_seed([77; 32]));
        let mut values = vec![0i64; 1 << 16];
        for _ in 0..draws >> 16 {
            values.fill(0);
            noise.add_to(&mut values, &mut stream);
            for value in &values {
                counts[ends.partition_point(|end| end < value)] += 1;
            }
        }
        let of = |(count, expected): (&u64, &f64)| {
            let expected = expected * draws as f64;
            (*count as f64 - expected).powi(2) / expected
        };
        let square: f64 = counts.iter().zip(&expected).map(of).sum();
        // Of some 255 degrees of freedom: 0.1 % are above 330 and one in a million above 379.
        let freedom = expected.len() as f64 - 1.0;
        let most = freedom + 4.9 * (2.0 * freedom).sqrt() + 14.0;
        assert!(square < most && square > freedom - 4.9 * (2.0 * freedom).sqrt(), "{third}: {square} of {freedom}");
    }
}

#[test]
fn values_are_drawn_as_often_as_they_are_probable() {
    chi_square(DRAWS);
}

#[test]
#[ignore = "draws 2^28 values of each kind"]
fn very_many_values_are_drawn_as_often_as_they_are_probable() {
    chi_square(MANY);
}

//! Moments of hospitals beside those of all rows, and sums that no hospitals have.

use he_agg::Stream;
use ndarray::{Array1, Array2, Axis, array};

use super::{MomentLanes, PooledError};
use crate::moments::{Moments, Whitening};

/// A unit so small that features of it round in every total.
const FINE: f64 = 1.0 / (1u64 << 60) as f64;

/// Sums of what the hospitals encode.
fn sums(lanes: &MomentLanes, hospitals: &[Moments]) -> Vec<i64> {
    let mut sums = vec![0; lanes.values()];
    for moments in hospitals {
        let encoded = lanes.encode(moments).unwrap();
        assert_eq!(encoded.len(), lanes.values());
        sums.iter_mut().zip(encoded).for_each(|(sum, lane)| *sum += i64::from(lane));
    }
    sums
}

/// Rows of features spread around a mean by at most half of `spread`, rounded to a multiple of `unit`.
fn features(
    stream: &mut Stream,
    (rows, columns): (usize, usize),
    (mean, spread, unit): (f64, f64, f64),
) -> Array2<f64> {
    let one = || ((mean + spread * (stream.next_f64() - 0.5)) / unit).round() * unit;
    Array2::from_shape_simple_fn((rows, columns), one)
}

fn covariance(moments: &Moments) -> Array2<f64> {
    let mean = (moments.sum() / moments.rows()).insert_axis(Axis(1));
    moments.products() / moments.rows() - mean.dot(&mean.t())
}

#[test]
fn pooled_moments_of_short_binary_numbers_are_those_of_all_rows_bit_for_bit() {
    let mut stream = Stream::from_seed([5; 32]);
    for (bits, hospitals) in [(4, 3), (8, 64), (13, 7), (16, 5), (24, 64)] {
        let lanes = MomentLanes::new(6, bits, 1 << 12, hospitals).unwrap();
        // All sums are multiples of 2^-40 that an f64 holds, so that no addition rounds.
        let unit = f64::from(-20).exp2();
        let of = |hospital: u16| match hospital {
            0 => (0, 6),
            1 => (1, 6),
            _ => (2 + 3 * usize::from(hospital), 6),
        };
        let own: Vec<_> = (0..hospitals).map(|h| features(&mut stream, of(h), (0.1, 2.0, unit))).collect();
        let moments: Vec<_> = own.iter().map(|rows| lanes.moments(rows).unwrap()).collect();
        let views: Vec<_> = own.iter().map(Array2::view).collect();
        let all = Moments::of(&ndarray::concatenate(Axis(0), &views).unwrap());
        assert_eq!(lanes.decode(&sums(&lanes, &moments)).unwrap(), all, "{bits} bits, {hospitals} hospitals");
    }
}

#[test]
fn the_pooled_covariance_is_exact_to_a_small_part_of_the_largest_variance() {
    let mut stream = Stream::from_seed([6; 32]);
    // Far from zero and hardly varying, where rounding of totals counts most: 64 hospitals with one row each.
    for (mean, spread, rows) in [(15.9, 0.05, 1), (-15.0, 1.0, 1), (0.0, 32.0, 40), (3.0, 0.001, 40)] {
        let lanes = MomentLanes::new(5, 16, 40, 64).unwrap();
        let own: Vec<_> = (0..64).map(|_| features(&mut stream, (rows, 5), (mean, spread, FINE))).collect();
        let moments: Vec<_> = own.iter().map(|rows| lanes.moments(rows).unwrap()).collect();
        let pooled = covariance(&lanes.decode(&sums(&lanes, &moments)).unwrap());
        // Around the mean: what the rows' covariance is without the cancellation that moments suffer.
        let views: Vec<_> = own.iter().map(Array2::view).collect();
        let all = ndarray::concatenate(Axis(0), &views).unwrap();
        let centred = &all - &all.mean_axis(Axis(0)).unwrap();
        let expected = centred.t().dot(&centred) / all.nrows() as f64;
        let largest = expected.diag().fold(0.0f64, |most, &variance| most.max(variance));
        let off = (&pooled - &expected).fold(0.0f64, |most, off| most.max(off.abs()));
        assert!(off <= largest * f64::from(-24).exp2(), "mean {mean}, spread {spread}: {off} of {largest}");
    }
}

#[test]
fn the_same_moments_are_the_same_numbers_each_within_its_lane() {
    let mut stream = Stream::from_seed([8; 32]);
    for bits in [4, 11, 16, 24] {
        let lanes = MomentLanes::new(4, bits, 300, 5).unwrap();
        let rows = features(&mut stream, (300, 4), (-2.0, 28.0, FINE));
        let encoded = lanes.encode(&lanes.moments(&rows).unwrap()).unwrap();
        assert_eq!(encoded, lanes.encode(&Moments::of(&rows)).unwrap());
        assert!(encoded.iter().all(|lane| (-1 << (bits - 1)..1 << (bits - 1)).contains(lane)), "{bits} bits");
    }
}

#[test]
fn a_hospital_sends_as_many_numbers_whatever_its_rows() {
    let lanes = MomentLanes::new(24, 16, 1 << 20, 5).unwrap();
    // Two digits of rows, five of each total: 24 sums and 300 products.
    assert_eq!(lanes.values(), 2 + 5 * (24 + 300));
    for rows in [0, 1, 77] {
        assert_eq!(lanes.encode(&Moments::of(&Array2::ones((rows, 24)))).unwrap().len(), lanes.values());
    }
}

#[test]
fn the_largest_totals_of_the_most_hospitals_come_back() {
    for bits in [4, 16, 24] {
        let most = 1u64 << 32;
        let lanes = MomentLanes::new(2, bits, most, 64).unwrap();
        let rows = most as f64;
        // One feature always at its upper end, the other at its lower.
        let (sum, square) = (16.0 * rows, 256.0 * rows);
        let moments = Moments::from_parts(rows, array![sum, -sum], array![[square, -square], [-square, square]]);
        let pooled = lanes.decode(&sums(&lanes, &vec![moments; 64])).unwrap();
        let (sum, square) = (64.0 * sum, 64.0 * square);
        let expected =
            Moments::from_parts(64.0 * rows, array![sum, -sum], array![[square, -square], [-square, square]]);
        assert_eq!(pooled, expected);
    }
}

#[test]
fn what_hospitals_cannot_agree_on_is_named() {
    let new = |features, bits, rows, hospitals| MomentLanes::new(features, bits, rows, hospitals).map(drop);
    for (features, bits, rows, hospitals) in [(1, 4, 1, 3), (4_096, 24, 1 << 32, 64)] {
        assert_eq!(new(features, bits, rows, hospitals), Ok(()));
    }
    for found in [0, 4_097] {
        assert_eq!(new(found, 16, 9, 5), Err(PooledError::FeatureCount { found }));
    }
    for found in [0, 3, 25] {
        assert_eq!(new(8, found, 9, 5), Err(PooledError::LaneBits { found }));
    }
    for found in [0, (1 << 32) + 1] {
        assert_eq!(new(8, 16, found, 5), Err(PooledError::RowsMax { found }));
    }
    for found in [0, 2, 65] {
        assert_eq!(new(8, 16, 9, found), Err(PooledError::Hospitals { found }));
    }
}

#[test]
fn features_that_are_none_are_refused_without_their_row() {
    let lanes = MomentLanes::new(3, 16, 4, 5).unwrap();
    let mut rows = Array2::from_elem((4, 3), 16.0);
    rows[[2, 1]] = -16.0;
    assert!(lanes.encode(&lanes.moments(&rows).unwrap()).is_ok());
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 16.000_001, -16.000_001] {
        rows[[2, 1]] = wrong;
        let error = lanes.moments(&rows).unwrap_err();
        assert_eq!(error, PooledError::Feature { feature: 1 });
        let text = error.to_string();
        assert!(text.contains("feature 1 of a row") && text.contains("at most 16 absolute"), "{text}");
    }
    // Where every row is beyond, totals alone tell.
    for wrong in [f64::NAN, f64::INFINITY, 16.000_001] {
        rows.column_mut(1).fill(wrong);
        assert_eq!(lanes.encode(&Moments::of(&rows)), Err(PooledError::Feature { feature: 1 }));
    }
    // A sum may be small while squares are not, and no square is below zero.
    for square in [1_024.000_001, -0.000_001] {
        let mut products = Array2::zeros((3, 3));
        products[[2, 2]] = square;
        let moments = Moments::from_parts(4.0, Array1::zeros(3), products);
        assert_eq!(lanes.encode(&moments), Err(PooledError::Feature { feature: 2 }));
    }
}

#[test]
fn rows_of_another_shape_are_refused() {
    let lanes = MomentLanes::new(3, 16, 4, 5).unwrap();
    let both = |rows: Array2<f64>| {
        let (checked, encoded) = (lanes.moments(&rows).map(drop), lanes.encode(&Moments::of(&rows)).map(drop));
        assert_eq!(checked, encoded);
        checked
    };
    assert_eq!(both(Array2::zeros((4, 2))), Err(PooledError::Features { found: 2, expected: 3 }));
    assert_eq!(both(Array2::zeros((0, 4))), Err(PooledError::Features { found: 4, expected: 3 }));
    assert_eq!(both(Array2::zeros((5, 3))), Err(PooledError::Rows { found: 5, max: 4 }));
    assert_eq!(both(Array2::zeros((4, 3))), Ok(()));
}

/// Lanes of two features, and the sums of hospitals of which one has three rows and the others none.
fn small() -> (MomentLanes, Vec<i64>) {
    let lanes = MomentLanes::new(2, 16, 4, 3).unwrap();
    // One digit of rows, four of each total.
    assert_eq!(lanes.values(), 1 + 4 * (2 + 3));
    let sums = sums(&lanes, &[Moments::of(&array![[1.0, 2.0], [2.0, 0.0], [3.0, -1.0]])]);
    assert!(lanes.decode(&sums).is_ok());
    (lanes, sums)
}

#[test]
fn sums_of_something_else_are_refused() {
    let (lanes, good) = small();
    let expected = good.len();
    for found in [0, expected - 1, expected + 1] {
        assert_eq!(lanes.decode(&vec![0; found]), Err(PooledError::Sums { found, expected }));
    }
    for (lane, sum) in [(3, 3 * 32_767 + 1), (expected - 1, -3 * 32_768 - 1), (1, i64::MAX), (2, i64::MIN)] {
        let mut sums = good.clone();
        sums[lane] = sum;
        assert_eq!(lanes.decode(&sums), Err(PooledError::Digit { lane, hospitals: 3 }));
    }
    for (rows, expected) in [(0, false), (-1, false), (13, false), (12, true)] {
        let mut sums = good.clone();
        sums[0] = rows;
        let refusal = PooledError::TotalRows { found: i128::from(rows), max: 12 };
        assert_eq!(lanes.decode(&sums).err(), (!expected).then_some(refusal), "{rows} rows");
    }
    assert!(matches!(lanes.decode(&vec![0; expected]), Err(PooledError::TotalRows { found: 0, .. })));
}

#[test]
fn totals_that_no_rows_have_are_refused() {
    let (lanes, good) = small();
    // Adds to the total that ends before a lane, in units: the highest of its four digits is of 1.
    let with = |end: usize, units: i64| {
        let mut sums = good.clone();
        sums[end - 1] += units;
        lanes.decode(&sums).map(drop)
    };
    // Lanes 1..5 and 5..9 are sums (6 and 1), 9..13, 13..17 and 17..21 products (14, -1 and 5).
    assert_eq!(with(5, 43), Err(PooledError::Total { feature: 0 }));
    assert_eq!(with(9, -50), Err(PooledError::Total { feature: 1 }));
    assert_eq!(with(13, 755), Err(PooledError::Total { feature: 0 }));
    assert_eq!(with(21, -6), Err(PooledError::Total { feature: 1 }));
    assert_eq!(with(17, -768), Err(PooledError::Total { feature: 0 }));
    // Squares of 12 are enough for a sum of 6 over 3 rows, 11 are not.
    assert_eq!(with(13, -3), Err(PooledError::Variance { feature: 0 }));
    assert_eq!(with(21, -5), Err(PooledError::Variance { feature: 1 }));
    // Variances are 2/3 and 14/9, so a covariance of 1 is possible where 4/3 is not.
    assert_eq!(with(17, 0), Ok(()));
    assert_eq!(with(17, -1), Err(PooledError::Covariance { first: 0, second: 1 }));
    assert_eq!(with(13, -2), Err(PooledError::Covariance { first: 0, second: 1 }));
    assert_eq!(with(17, 6), Ok(()));
    assert_eq!(with(17, 7), Err(PooledError::Covariance { first: 0, second: 1 }));
}

#[test]
fn rows_that_never_vary_are_not_taken_for_wrong_ones() {
    let lanes = MomentLanes::new(3, 16, 100_000, 3).unwrap();
    for value in [0.0, 1e-9, 0.1, -1.0 / 3.0, 15.999_999] {
        // The third feature is a multiple of the first, so that their covariance is as large as may be.
        let rows = |count: usize| Array2::from_shape_fn((count, 3), |(_, column)| value / [1.0, 7.0, 3.0][column]);
        let moments: Vec<_> = [1, 0, 100_000].map(|count| Moments::of(&rows(count))).into();
        let pooled = lanes.decode(&sums(&lanes, &moments)).unwrap();
        let whitened = Whitening::new(&pooled, 4).apply(&rows(2));
        assert!(whitened.iter().all(|value| value.is_finite()));
    }
}

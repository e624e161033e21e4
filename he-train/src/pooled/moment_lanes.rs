//! Moments as the whole numbers that mode A adds exactly.

use he_agg::aggregation::{LANE_BITS_MAX, LANE_BITS_MIN, PARTIES_MAX, PARTIES_MIN};
use ndarray::{Array1, Array2};

use super::{digits::Digits, error::PooledError};
use crate::moments::Moments;

/// Most features: some millions of products.
pub(super) const FEATURES_MAX: usize = 4_096;
/// Most rows that hospitals may agree on for one of them.
pub(super) const ROWS_MAX: u64 = 1 << 32;
/// Binary places of a total: with a row for each hospital the rounding is no more than what an f64 keeps of a mean
/// square, which is up to 256.
const PLACES: i32 = 48;
/// What f64 additions over the rows of a hospital leave of a mean square, relative, with room to spare.
const ADDITION_ERROR: f64 = 1.0 / (1 << 24) as f64;

/// How moments of a hospital lie in lanes, and how their sums are read.
///
/// Rows, sums and the upper triangle of products, each a whole number of `2^-48` (rows of 1) in signed digits of the
/// lanes' width, the lowest first. Every hospital and every sum has as many, whatever its rows. Sums over hospitals
/// are exact, so the pooled covariance differs from that of all rows by no more than the totals' rounding: at most
/// `33 h 2^-49 / r` with `h` hospitals and `r` rows in all, besides what f64 additions lose in either.
///
/// Every hospital learns the sums, the coordinator does not: how many rows all hospitals have together, the total of
/// each feature and of each product of two, and so the common mean and covariance. It knows its own part of them: if
/// only two hospitals have rows, each learns the other's totals. Two sums whose hospitals differ by one give that
/// one's away, so moments are pooled once, over as many hospitals as there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MomentLanes {
    features: usize,
    rows_max: u64,
    hospitals: u16,
    /// Of the number of rows.
    rows: Digits,
    /// Of a feature's sum.
    sums: Digits,
    /// Of a sum of products.
    products: Digits,
}

impl MomentLanes {
    /// A feature is at most so large, absolute.
    pub const FEATURE_MAX: f64 = 16.0;

    /// For so many features, lanes of so many bits, and at most `rows_max` rows of each of at most so many hospitals.
    ///
    /// # Errors
    /// [`PooledError`] names the number that is out of range.
    pub fn new(features: usize, lane_bits: u32, rows_max: u64, hospitals: u16) -> Result<Self, PooledError> {
        if !(1..=FEATURES_MAX).contains(&features) {
            return Err(PooledError::FeatureCount { found: features });
        }
        if !(LANE_BITS_MIN..=LANE_BITS_MAX).contains(&lane_bits) {
            return Err(PooledError::LaneBits { found: lane_bits });
        }
        if !(1..=ROWS_MAX).contains(&rows_max) {
            return Err(PooledError::RowsMax { found: rows_max });
        }
        if !(PARTIES_MIN..=PARTIES_MAX).contains(&hospitals) {
            return Err(PooledError::Hospitals { found: hospitals });
        }
        let rows = i128::from(rows_max);
        let digits = |most| Digits::holding(most, lane_bits);
        let (sums, products) = (digits(sum_limit(rows)), digits(product_limit(rows)));
        Ok(Self { features, rows_max, hospitals, rows: digits(rows), sums, products })
    }

    /// Features of a row.
    pub fn features(&self) -> usize {
        self.features
    }

    /// Lanes of one hospital.
    pub fn values(&self) -> usize {
        let products = self.features * (self.features + 1) / 2;
        self.rows.count() + self.features * self.sums.count() + products * self.products.count()
    }

    /// Moments of features, one row each, of which every one has been looked at.
    ///
    /// # Errors
    /// [`PooledError::Features`], [`PooledError::Rows`], or [`PooledError::Feature`] for one that is not finite or
    /// beyond [`MomentLanes::FEATURE_MAX`].
    pub fn moments(&self, features: &Array2<f64>) -> Result<Moments, PooledError> {
        self.check_shape(features.ncols(), features.nrows() as u64)?;
        let limit = Self::FEATURE_MAX;
        match features.indexed_iter().find(|(_, feature)| !(-limit..=limit).contains(*feature)) {
            Some(((_, feature), _)) => Err(PooledError::Feature { feature }),
            None => Ok(Moments::of(features)),
        }
    }

    /// The numbers of a hospital, each of which fits a lane. The same moments give the same numbers; but moments that
    /// are computed again may differ in the last bit, so the numbers are kept for another attempt.
    ///
    /// # Errors
    /// [`PooledError::Features`], [`PooledError::Rows`], or [`PooledError::Feature`] if such totals need a feature
    /// that is not finite or beyond [`MomentLanes::FEATURE_MAX`].
    pub fn encode(&self, moments: &Moments) -> Result<Vec<i32>, PooledError> {
        let rows = moments.rows();
        self.check_shape(moments.sum().len(), rows as u64)?;
        // Rounding is monotone: f64 additions never take a total beyond a limit that is itself an f64.
        let (sum_limit, product_limit) = (Self::FEATURE_MAX * rows, Self::FEATURE_MAX.powi(2) * rows);
        let mut lanes = Vec::with_capacity(self.values());
        self.rows.split(rows as i128, &mut lanes);
        for (feature, &sum) in moments.sum().iter().enumerate() {
            if !(-sum_limit..=sum_limit).contains(&sum) {
                return Err(PooledError::Feature { feature });
            }
            self.sums.split(to_fixed(sum), &mut lanes);
        }
        for (row, column) in self.triangle() {
            let product = moments.products()[[row, column]];
            let least = if row == column { 0.0 } else { -product_limit };
            if !(least..=product_limit).contains(&product) {
                return Err(PooledError::Feature { feature: row });
            }
            self.products.split(to_fixed(product), &mut lanes);
        }
        Ok(lanes)
    }

    /// The moments of all rows, from sums over the hospitals of [`MomentLanes::encode`]'s numbers, in their order.
    ///
    /// # Errors
    /// [`PooledError::Sums`], [`PooledError::Digit`], [`PooledError::TotalRows`], [`PooledError::Total`],
    /// [`PooledError::Variance`] or [`PooledError::Covariance`]: sums that hospitals who keep to the agreement cannot
    /// have.
    pub fn decode(&self, sums: &[i64]) -> Result<Moments, PooledError> {
        if sums.len() != self.values() {
            return Err(PooledError::Sums { found: sums.len(), expected: self.values() });
        }
        // All digits are of the same width.
        if let Some(lane) = sums.iter().position(|&sum| !self.rows.can_add_up_to(sum, self.hospitals)) {
            return Err(PooledError::Digit { lane, hospitals: self.hospitals });
        }
        let (rows, totals) = sums.split_at(self.rows.count());
        let (totals, squares) = totals.split_at(self.features * self.sums.count());
        let (rows, max) = (self.rows.join(rows), self.rows_max * u64::from(self.hospitals));
        if !(1..=i128::from(max)).contains(&rows) {
            return Err(PooledError::TotalRows { found: rows, max });
        }
        let (mut sum, mut products) = (Array1::zeros(self.features), Array2::zeros((self.features, self.features)));
        let limit = sum_limit(rows);
        for (feature, digits) in totals.chunks_exact(self.sums.count()).enumerate() {
            let total = self.sums.join(digits);
            if !(-limit..=limit).contains(&total) {
                return Err(PooledError::Total { feature });
            }
            sum[feature] = from_fixed(total);
        }
        let limit = product_limit(rows);
        for ((row, column), digits) in self.triangle().zip(squares.chunks_exact(self.products.count())) {
            let total = self.products.join(digits);
            let least = if row == column { 0 } else { -limit };
            if !(least..=limit).contains(&total) {
                return Err(PooledError::Total { feature: row });
            }
            products[[row, column]] = from_fixed(total);
            products[[column, row]] = products[[row, column]];
        }
        let moments = Moments::from_parts(rows as f64, sum, products);
        self.check_covariance(&moments)?;
        Ok(moments)
    }

    fn check_shape(&self, features: usize, rows: u64) -> Result<(), PooledError> {
        if features != self.features {
            return Err(PooledError::Features { found: features, expected: self.features });
        }
        if rows > self.rows_max {
            return Err(PooledError::Rows { found: rows, max: self.rows_max });
        }
        Ok(())
    }

    /// Places of the products that travel, in their order.
    fn triangle(&self) -> impl Iterator<Item = (usize, usize)> {
        let features = self.features;
        (0..features).flat_map(move |row| (row..features).map(move |column| (row, column)))
    }

    /// Refuses a covariance that is none: of any two features by more than rounding.
    fn check_covariance(&self, moments: &Moments) -> Result<(), PooledError> {
        let (rows, products) = (moments.rows(), moments.products());
        let mean = moments.sum() / rows;
        let covariance = |row: usize, column: usize| products[[row, column]] / rows - mean[row] * mean[column];
        // Of a mean and of a mean product, as the totals were rounded.
        let total_error = 0.5 * f64::from(self.hospitals) * f64::from(-PLACES).exp2() / rows;
        let error = |feature: usize| {
            (2.0 * Self::FEATURE_MAX + 1.0) * total_error + ADDITION_ERROR * products[[feature, feature]] / rows
        };
        if let Some(feature) = (0..self.features).find(|&feature| covariance(feature, feature) < -error(feature)) {
            return Err(PooledError::Variance { feature });
        }
        let is_possible = |&(row, column): &(usize, usize)| {
            // Twice, since the variances are rounded as well: (a + e)(b + e) is at least (sqrt(ab) + e)^2.
            let error = 2.0 * error(row).max(error(column));
            let most = ((covariance(row, row) + error) * (covariance(column, column) + error)).sqrt();
            row == column || covariance(row, column).abs() <= most
        };
        match self.triangle().find(|pair| !is_possible(pair)) {
            Some((first, second)) => Err(PooledError::Covariance { first, second }),
            None => Ok(()),
        }
    }
}

/// Largest fixed-point sum of a feature over so many rows.
fn sum_limit(rows: i128) -> i128 {
    rows * to_fixed(MomentLanes::FEATURE_MAX)
}

/// Largest fixed-point sum of products over so many rows.
fn product_limit(rows: i128) -> i128 {
    rows * to_fixed(MomentLanes::FEATURE_MAX.powi(2))
}

/// To the nearest number of [`PLACES`]; both steps are the same everywhere.
fn to_fixed(total: f64) -> i128 {
    (total * f64::from(PLACES).exp2()).round() as i128
}

fn from_fixed(total: i128) -> f64 {
    total as f64 * f64::from(-PLACES).exp2()
}

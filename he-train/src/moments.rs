//! Sums from which features of several hospitals are made uncorrelated together.

use nalgebra::DMatrix;
use ndarray::{Array1, Array2, Axis};

/// Added to every variance, as a share of the largest: what hardly varies is noise that would be blown up.
const RIDGE: f64 = 1e-3;

/// Sums over rows. Those of hospitals add up to those of all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    rows: f64,
    sum: Array1<f64>,
    products: Array2<f64>,
}

impl Moments {
    /// Of features, one row each.
    pub fn of(features: &Array2<f64>) -> Moments {
        Moments { rows: features.nrows() as f64, sum: features.sum_axis(Axis(0)), products: features.t().dot(features) }
    }

    /// With the rows of another hospital; `None` where features are not as many.
    pub fn with(&self, other: &Moments) -> Option<Moments> {
        (self.sum.len() == other.sum.len()).then(|| Moments {
            rows: self.rows + other.rows,
            sum: &self.sum + &other.sum,
            products: &self.products + &other.products,
        })
    }

    /// Of totals that were added elsewhere; products have a row and a column for each sum.
    pub(crate) fn from_parts(rows: f64, sum: Array1<f64>, products: Array2<f64>) -> Moments {
        Moments { rows, sum, products }
    }

    /// How many rows.
    pub fn rows(&self) -> f64 {
        self.rows
    }

    /// Of each feature.
    pub(crate) fn sum(&self) -> &Array1<f64> {
        &self.sum
    }

    /// Of each feature with each.
    pub(crate) fn products(&self) -> &Array2<f64> {
        &self.products
    }
}

/// A map to uncorrelated features of mean 0 and variance about 1, and a constant.
#[derive(Debug, Clone, PartialEq)]
pub struct Whitening {
    mean: Array1<f64>,
    /// Columns: directions of the largest variance first.
    matrix: Array2<f64>,
}

impl Whitening {
    /// To `dimension` features, the last of which is 1; as many as there are where fewer.
    pub fn new(moments: &Moments, dimension: usize) -> Whitening {
        let (rows, size) = (moments.rows.max(1.0), moments.sum.len());
        let mean = &moments.sum / rows;
        let covariance = DMatrix::from_fn(size, size, |row, column| {
            moments.products[[row, column]] / rows - mean[row] * mean[column]
        });
        if size == 0 {
            // Nothing has no eigenvectors.
            return Whitening { mean, matrix: Array2::zeros((0, 0)) };
        }
        let eigen = covariance.symmetric_eigen();
        let mut order: Vec<usize> = (0..size).collect();
        order.sort_by(|&a, &b| eigen.eigenvalues[b].total_cmp(&eigen.eigenvalues[a]));
        order.truncate(dimension.saturating_sub(1));
        let least = order.first().map_or(0.0, |&first| RIDGE * eigen.eigenvalues[first]).max(f64::MIN_POSITIVE);
        let matrix = Array2::from_shape_fn((size, order.len()), |(row, column)| {
            let direction = eigen.eigenvectors.column(order[column]);
            // An eigenvector's sign is anybody's choice; the largest entry decides it.
            let largest =
                direction.iter().fold(0.0f64, |most, entry| if entry.abs() > most.abs() { *entry } else { most });
            direction[row] * largest.signum() / (eigen.eigenvalues[order[column]].max(0.0) + least).sqrt()
        });
        Whitening { mean, matrix }
    }

    /// Of features, one row each.
    pub fn apply(&self, features: &Array2<f64>) -> Array2<f64> {
        let (rows, kept) = (features.nrows(), self.matrix.ncols());
        let mut whitened = Array2::ones((rows, kept + 1));
        whitened.slice_mut(ndarray::s![.., ..kept]).assign(&(features - &self.mean).dot(&self.matrix));
        whitened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(rows: usize, shift: usize) -> Array2<f64> {
        let noise =
            |row: usize, stream: usize| ((row * 7919 + (stream + shift) * 104_729) % 1009) as f64 / 1009.0 - 0.5;
        Array2::from_shape_fn((rows, 4), |(row, column)| {
            let [a, b, c] = [0, 1, 2].map(|stream| noise(row, stream));
            [5.0 + 3.0 * a, a + b, 2.0 * b - c, 0.5 * c + 1.0][column]
        })
    }

    #[test]
    fn whitened_features_of_all_hospitals_are_uncorrelated() {
        let hospitals = [features(700, 0), features(900, 5)];
        let pooled = Moments::of(&hospitals[0]).with(&Moments::of(&hospitals[1])).unwrap();
        let whitening = Whitening::new(&pooled, 4);
        let all = ndarray::concatenate(Axis(0), &[hospitals[0].view(), hospitals[1].view()]).unwrap();
        let whitened = whitening.apply(&all);
        assert_eq!(whitened.dim(), (1600, 4));
        let moments = whitened.t().dot(&whitened) / 1600.0;
        for ((row, column), moment) in moments.indexed_iter() {
            match (row, column) {
                (3, 3) => assert_eq!(*moment, 1.0),
                _ if row == column => assert!((0.9..=1.0).contains(moment), "{row}: {moment}"),
                _ => assert!(moment.abs() < 1e-9, "{row} {column}: {moment}"),
            }
        }
        assert!(Moments::of(&Array2::zeros((3, 5))).with(&pooled).is_none());
    }

    #[test]
    fn rows_without_a_feature_or_no_rows_at_all_leave_the_constant() {
        let none = Array2::zeros((3, 0));
        assert_eq!(Whitening::new(&Moments::of(&none), 5).apply(&none), Array2::<f64>::ones((3, 1)));
        let nobody = Array2::zeros((0, 4));
        let whitened = Whitening::new(&Moments::of(&nobody), 3).apply(&Array2::ones((2, 4)));
        assert!(whitened.iter().all(|value| value.is_finite()));
    }

    #[test]
    fn what_never_varies_is_not_blown_up() {
        let mut flat = features(100, 0);
        flat.column_mut(2).fill(3.0);
        let whitened = Whitening::new(&Moments::of(&flat), 5).apply(&flat);
        assert!(whitened.iter().all(|value| value.abs() < 10.0));
    }
}

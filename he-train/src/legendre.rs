//! Features of tables: products of Legendre polynomials, which are uncorrelated where the inputs are spread evenly.

use ndarray::{Array2, ArrayView1, Axis};

/// All products of Legendre polynomials of a table's columns up to a total degree, the constant first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legendre {
    /// Of each product: the degree in every column.
    degrees: Vec<Vec<usize>>,
    most: usize,
}

impl Legendre {
    /// Products in `columns` variables of total degree up to `degree`.
    pub fn new(columns: usize, degree: usize) -> Legendre {
        let mut degrees = vec![Vec::new()];
        for _ in 0..columns {
            let longer = |shorter: Vec<usize>| {
                let left = degree - shorter.iter().sum::<usize>();
                (0..=left).map(move |own| shorter.iter().copied().chain([own]).collect::<Vec<usize>>())
            };
            degrees = degrees.into_iter().flat_map(longer).collect();
        }
        degrees.sort_by_key(|degrees: &Vec<usize>| degrees.iter().sum::<usize>());
        Legendre { degrees, most: degree }
    }

    /// Number of products.
    pub fn dimension(&self) -> usize {
        self.degrees.len()
    }

    /// Features of a table with entries in -1..=1, one row each; mean square 1 where entries are spread evenly.
    pub fn features(&self, table: &Array2<f64>) -> Array2<f64> {
        let mut found = Array2::zeros((table.nrows(), self.dimension()));
        for (row, mut features) in table.outer_iter().zip(found.axis_iter_mut(Axis(0))) {
            let polynomials: Vec<Vec<f64>> = self.polynomials(row);
            for (feature, degrees) in features.iter_mut().zip(&self.degrees) {
                *feature = degrees.iter().zip(&polynomials).map(|(&degree, own)| own[degree]).product();
            }
        }
        found
    }

    /// Of every entry: its polynomials, scaled to mean square 1 over -1..=1.
    fn polynomials(&self, row: ArrayView1<'_, f64>) -> Vec<Vec<f64>> {
        let of = |&x: &f64| {
            let mut values = vec![1.0, x];
            for degree in 2..=self.most {
                let k = degree as f64;
                values.push(((2.0 * k - 1.0) * x * values[degree - 1] - (k - 1.0) * values[degree - 2]) / k);
            }
            let scaled = values.into_iter().enumerate();
            scaled.map(|(degree, value)| value * (2.0 * degree as f64 + 1.0).sqrt()).collect()
        };
        row.iter().map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_orthonormal_over_the_square() {
        let legendre = Legendre::new(2, 3);
        assert_eq!(
            (legendre.dimension(), Legendre::new(9, 3).dimension(), Legendre::new(9, 2).dimension()),
            (10, 220, 55)
        );
        // Midpoints of a fine grid stand for the integral.
        let fine = 200;
        let at = |index: usize| (2 * index + 1) as f64 / fine as f64 - 1.0;
        let grid = Array2::from_shape_fn((fine * fine, 2), |(row, column)| at([row / fine, row % fine][column]));
        let features = legendre.features(&grid);
        let products = features.t().dot(&features) / (fine * fine) as f64;
        for ((row, column), product) in products.indexed_iter() {
            let expected = if row == column { 1.0 } else { 0.0 };
            assert!((product - expected).abs() < 2e-3, "{row} {column}: {product}");
        }
        assert!(features.column(0).iter().all(|&value| value == 1.0));
        // P3(x) = (5 x^3 - 3 x) / 2, times the square root of 7.
        let cubic = legendre.degrees.iter().position(|degrees| degrees == &[3, 0]).unwrap();
        let one = legendre.features(&Array2::from_elem((1, 2), 0.4));
        assert!((one[[0, cubic]] - 7f64.sqrt() * (5.0 * 0.064 - 1.2) / 2.0).abs() < 1e-12);
    }
}

//! Where rows, features and classes stand in a ciphertext.
//!
//! ```text
//! slot r C + f holds row r, f in 0..C;  C: the classes, rounded up to a power of two;  R = slots / C rows
//! features   X_j[r, f] = x[r, jC + f]                    j in 0..J, J = d / C rounded up
//! weights    W_jk[r, f] = w[jC + f, (f + k) mod C]       k in 0..C, the same in every row
//! logits     Z[r, f] = sum over k of turn(sum over j of X_j W_jk, -k)
//! gradient   G_jk[f] = sum over r of X_j turn(E, k)
//! turn(v, k)[r, f] = v[r, (f + k) mod C]
//! ```
//!
//! A turn is two rotations with a mask each: what passes the end of a row has to come back at its start.

use ndarray::{Array2, ArrayView2};

use crate::recipe::RecipeError;

/// The places of one head in ciphertexts of so many slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLayout {
    slots: usize,
    width: usize,
    dimension: usize,
}

impl HeadLayout {
    /// For heads of `dimension` features and `classes` classes; `slots` is a power of two.
    ///
    /// # Errors
    /// [`RecipeError::Classes`] or [`RecipeError::Dimension`].
    pub fn new(slots: usize, dimension: usize, classes: usize) -> Result<Self, RecipeError> {
        crate::recipe::check_shape(dimension, classes)?;
        Ok(Self { slots, width: classes.next_power_of_two(), dimension })
    }

    /// C: classes beside each other, those without a use included.
    pub fn width(self) -> usize {
        self.width
    }

    /// d: features, the constant included.
    pub fn dimension(self) -> usize {
        self.dimension
    }

    /// R: rows of a ciphertext.
    pub fn rows(self) -> usize {
        self.slots / self.width
    }

    /// J: ciphertexts of the features of a group of R rows.
    pub fn blocks(self) -> usize {
        self.dimension.div_ceil(self.width)
    }

    /// J C: vectors of weights.
    pub fn vectors(self) -> usize {
        self.blocks() * self.width
    }

    /// Groups of so many rows.
    pub fn groups(self, rows: usize) -> usize {
        rows.div_ceil(self.rows())
    }

    /// The slots of X_j of a group; rows and features that do not exist are 0.
    pub fn features(self, features: ArrayView2<'_, f64>, group: usize, block: usize) -> Vec<f64> {
        self.place(|row, lane| features.get([group * self.rows() + row, block * self.width + lane]).copied())
    }

    /// The slots of a group's labels, each plus `shift`; rows and classes that do not exist are 0.
    pub fn labels(self, labels: ArrayView2<'_, f64>, group: usize, shift: f64) -> Vec<f64> {
        self.place(|row, lane| labels.get([group * self.rows() + row, lane]).map(|label| label + shift))
    }

    /// The slots of all W_jk, j slow.
    pub fn weights(self, weights: ArrayView2<'_, f64>) -> Vec<Vec<f64>> {
        let vector = |index: usize| {
            let (block, turn) = (index / self.width, index % self.width);
            self.place(|_, lane| weights.get([block * self.width + lane, (lane + turn) % self.width]).copied())
        };
        (0..self.vectors()).map(vector).collect()
    }

    /// Weights from the first row of all W_jk.
    pub fn weights_of(self, vectors: &[Vec<f64>], classes: usize) -> Array2<f64> {
        Array2::from_shape_fn((self.dimension, classes), |(feature, class)| {
            let (vector, lane) = self.weight(feature, class);
            vectors.get(vector).and_then(|vector| vector.get(lane)).copied().unwrap_or(0.0)
        })
    }

    /// The vector that holds the weight of a feature for a class, and where in every row.
    pub(super) fn weight(self, feature: usize, class: usize) -> (usize, usize) {
        let (block, lane) = (feature / self.width, feature % self.width);
        let turn = (class + self.width - lane) % self.width;
        (block * self.width + turn, lane)
    }

    /// Where a rotation by `turn`, in 1..C, is the turn by it; elsewhere a rotation by `turn` - C is.
    pub fn stays(self, turn: usize) -> Vec<bool> {
        (0..self.slots).map(|slot| slot % self.width + turn < self.width).collect()
    }

    fn place(self, value: impl Fn(usize, usize) -> Option<f64>) -> Vec<f64> {
        (0..self.slots).map(|slot| value(slot / self.width, slot % self.width).unwrap_or(0.0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned(layout: HeadLayout, vector: &[f64], turn: usize) -> Vec<f64> {
        let slots = vector.len();
        let rotated = |steps: usize, slot: usize| vector[(slot + steps) % slots];
        if turn == 0 {
            return vector.to_vec();
        }
        let stays = layout.stays(turn);
        let one = |slot: usize| {
            if stays[slot] { rotated(turn, slot) } else { rotated(slots + turn - layout.width(), slot) }
        };
        (0..slots).map(one).collect()
    }

    #[test]
    fn sums_of_products_of_slots_are_the_products_of_matrices() {
        let number = |row: usize, column: usize, seed: usize| ((row * 31 + column * 17 + seed) % 23) as f64 - 11.0;
        for (classes, dimension, rows) in [(1, 5, 64), (2, 3, 30), (10, 40, 7), (16, 16, 4)] {
            let layout = HeadLayout::new(64, dimension, classes).unwrap();
            let features = Array2::from_shape_fn((rows, dimension), |(r, c)| number(r, c, 1));
            let weights = Array2::from_shape_fn((dimension, classes), |(r, c)| number(r, c, 5));
            let labels = Array2::from_shape_fn((rows, classes), |(r, c)| number(r, c, 9));
            let (logits, mut gradient) = (features.dot(&weights), vec![vec![0.0; layout.width()]; layout.vectors()]);
            let (vectors, width) = (layout.weights(weights.view()), layout.width());
            assert_eq!(layout.weights_of(&vectors, classes), weights);
            for group in 0..layout.groups(rows) {
                let blocks: Vec<_> = (0..layout.blocks()).map(|j| layout.features(features.view(), group, j)).collect();
                let mut sum = vec![0.0; 64];
                for turn in 0..width {
                    let mut product = vec![0.0; 64];
                    for (block, x) in blocks.iter().enumerate() {
                        let w = &vectors[block * width + turn];
                        product.iter_mut().zip(x).zip(w).for_each(|((sum, x), w)| *sum += x * w);
                    }
                    let back = turned(layout, &product, (width - turn) % width);
                    sum.iter_mut().zip(back).for_each(|(sum, value)| *sum += value);
                }
                let targets = layout.labels(labels.view(), group, 0.0);
                for (slot, value) in sum.iter().enumerate() {
                    let at = [group * layout.rows() + slot / width, slot % width];
                    assert_eq!(*value, logits.get(at).copied().unwrap_or(0.0), "{classes} classes, {at:?}");
                    assert_eq!(targets[slot], labels.get(at).copied().unwrap_or(0.0));
                }
                for turn in 0..width {
                    let errors = turned(layout, &sum, turn);
                    for (block, x) in blocks.iter().enumerate() {
                        let into = &mut gradient[block * width + turn];
                        (0..64).for_each(|slot| into[slot % width] += x[slot] * errors[slot]);
                    }
                }
            }
            assert_eq!(layout.weights_of(&gradient, classes), features.t().dot(&logits), "{classes} classes");
        }
    }

    #[test]
    fn a_shift_is_added_where_there_is_a_label() {
        let layout = HeadLayout::new(8, 2, 3).unwrap();
        let labels = ndarray::array![[1.0, 0.0, 0.0]];
        assert_eq!(layout.labels(labels.view(), 0, -0.5), [0.5, -0.5, -0.5, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }
}

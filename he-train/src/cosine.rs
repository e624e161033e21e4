//! Features of pictures by public filters: cosine waves, both signs, averaged over parts of the picture.

use std::f64::consts::PI;

use ndarray::{Array2, ArrayView4, Axis};
use rayon::prelude::*;

/// Added before the square root, whose slope at nothing has no bound.
const LEAST: f64 = 1e-6;

/// The lowest waves of a two-dimensional cosine transform as filters, without the constant one. Nobody's data went into
/// them, so that they tell nothing of anybody's.
#[derive(Debug, Clone, PartialEq)]
pub struct CosineFilters {
    size: usize,
    part: usize,
    /// Of each filter: waves down and across.
    waves: Vec<(usize, usize)>,
    /// Of each number of waves: its values along an axis, of length 1.
    axis: Vec<Vec<f64>>,
}

impl CosineFilters {
    /// `count` filters of `size` x `size`, averaged over parts of `part` x `part` places; all at least 1, `count` below
    /// `size` squared.
    pub fn new(size: usize, count: usize, part: usize) -> CosineFilters {
        let mut waves: Vec<(usize, usize)> = (0..size * size).skip(1).map(|pair| (pair / size, pair % size)).collect();
        waves.sort_by_key(|&(down, across)| (down * down + across * across, down, across));
        waves.truncate(count);
        let wave = |number: usize| {
            let values: Vec<f64> =
                (0..size).map(|place| (PI * (place as f64 + 0.5) * number as f64 / size as f64).cos()).collect();
            let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
            values.into_iter().map(|value| value / length).collect()
        };
        CosineFilters { size, part, waves, axis: (0..size).map(wave).collect() }
    }

    /// What fits pictures of that many rows and columns: 4 x 4 parts of a square one.
    pub fn fitting(height: usize, width: usize) -> CosineFilters {
        let (size, count) = if height.min(width) < 48 { (7, 12) } else { (9, 16) };
        let places = height.min(width).saturating_sub(size - 1).max(1);
        CosineFilters::new(size, count, (places / 4).max(1))
    }

    /// Features of one picture of that form.
    pub fn dimension(&self, channels: usize, height: usize, width: usize) -> usize {
        let parts = |length: usize| length.saturating_sub(self.size - 1) / self.part;
        2 * self.waves.len() * channels * parts(height) * parts(width)
    }

    /// Features of pictures (n, channels, height, width), one row each: the square root of every mean.
    pub fn features(&self, pictures: ArrayView4<'_, f32>) -> Array2<f64> {
        let (count, channels, height, width) = pictures.dim();
        let dimension = self.dimension(channels, height, width);
        let rows: Vec<f64> = (0..count)
            .into_par_iter()
            .flat_map_iter(|number| {
                let picture = pictures.index_axis(Axis(0), number);
                let channel = |channel: usize| {
                    let values: Vec<f64> = picture.index_axis(Axis(0), channel).iter().map(|&v| f64::from(v)).collect();
                    self.of_channel(&values, height, width)
                };
                (0..channels).flat_map(channel).collect::<Vec<f64>>()
            })
            .collect();
        Array2::from_shape_fn((count, dimension), |(row, column)| rows[row * dimension + column])
    }

    fn of_channel(&self, picture: &[f64], height: usize, width: usize) -> Vec<f64> {
        let places = |length: usize| length.saturating_sub(self.size - 1);
        let (down, across) = (places(height), places(width));
        let (parts_down, parts_across) = (down / self.part, across / self.part);
        // Every filter is a product of a wave across and a wave down: across first, then down.
        let passed: Vec<Vec<f64>> = (0..=self.waves.iter().map(|wave| wave.1).max().unwrap_or(0))
            .map(|number| {
                let at = |place: usize| {
                    let start = place / across * width + place % across;
                    self.axis[number].iter().zip(&picture[start..]).map(|(wave, value)| wave * value).sum()
                };
                (0..height * across).map(at).collect()
            })
            .collect();
        let filters = self.waves.len();
        let mut sums = vec![0.0; 2 * filters * parts_down * parts_across];
        for (filter, &(waves_down, waves_across)) in self.waves.iter().enumerate() {
            let passed = &passed[waves_across];
            for row in 0..parts_down * self.part {
                for column in 0..parts_across * self.part {
                    let value: f64 = self.axis[waves_down]
                        .iter()
                        .enumerate()
                        .map(|(offset, wave)| wave * passed[(row + offset) * across + column])
                        .sum();
                    let part = row / self.part * parts_across + column / self.part;
                    sums[part * 2 * filters + filter + if value < 0.0 { filters } else { 0 }] += value.abs();
                }
            }
        }
        let size = (self.part * self.part) as f64;
        sums.into_iter().map(|sum| (sum / size + LEAST).sqrt()).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    #[test]
    fn features_are_those_of_filters_laid_on_every_place() {
        let filters = CosineFilters::new(3, 4, 3);
        let picture = Array4::from_shape_fn((2, 1, 8, 12), |(n, _, row, column)| {
            ((n + 3 * row + 5 * column * column) % 7) as f32
        });
        let found = filters.features(picture.view());
        assert_eq!(found.dim(), (2, filters.dimension(1, 8, 12)));
        // Places 6 x 10, of which the last column of parts has no room.
        assert_eq!(found.ncols(), 2 * 4 * 2 * 3);
        // The lowest waves by frequency, written down; the filter laid on every place and summed.
        let waves = [(0, 1), (1, 0), (1, 1), (0, 2)];
        let along = |waves: usize, place: usize| match waves {
            0 => 1.0 / 3f64.sqrt(),
            1 => [0.5f64.sqrt(), 0.0, -(0.5f64.sqrt())][place],
            _ => [1.0 / 6f64.sqrt(), -2.0 / 6f64.sqrt(), 1.0 / 6f64.sqrt()][place],
        };
        for n in 0..2 {
            for (filter, (down, across)) in waves.into_iter().enumerate() {
                for (part, (top, left)) in [(0, 0), (0, 3), (0, 6), (3, 0), (3, 3), (3, 6)].into_iter().enumerate() {
                    let (mut above, mut below) = (0.0, 0.0);
                    for (row, column) in (0..9).map(|place| (place / 3, place % 3)) {
                        let mut value = 0.0;
                        for i in 0..3 {
                            for j in 0..3 {
                                value += along(down, i)
                                    * along(across, j)
                                    * f64::from(picture[[n, 0, top + row + i, left + column + j]]);
                            }
                        }
                        if value > 0.0 { above += value } else { below -= value }
                    }
                    let at = |sign: usize| found[[n, part * 8 + sign * 4 + filter]];
                    assert!((at(0) - (above / 9.0 + 1e-6).sqrt()).abs() < 1e-9, "{n} {filter} {part}");
                    assert!((at(1) - (below / 9.0 + 1e-6).sqrt()).abs() < 1e-9, "{n} {filter} {part}");
                }
            }
        }
    }

    #[test]
    fn pictures_of_the_usual_sizes_have_four_parts_a_side() {
        assert_eq!(CosineFilters::fitting(28, 28).dimension(1, 28, 28), 4 * 4 * 24);
        assert_eq!(CosineFilters::fitting(64, 64).dimension(1, 64, 64), 4 * 4 * 32);
        assert_eq!(CosineFilters::fitting(26, 26).dimension(1, 26, 26), 4 * 4 * 24);
        assert_eq!(CosineFilters::fitting(47, 90).dimension(1, 47, 47), 4 * 4 * 24);
        assert_eq!(CosineFilters::fitting(48, 48).dimension(1, 48, 48), 4 * 4 * 32);
        assert_eq!(CosineFilters::fitting(64, 64).dimension(3, 64, 64), 3 * 4 * 4 * 32);
    }
}

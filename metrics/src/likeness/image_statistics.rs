//! The statistics of one image.

use datasets::Normalisation;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, s};

use super::statistic::Statistic;

/// Values are whole numbers from 0 to this, so that their sums are exact whoever adds them up.
pub(super) const STEPS: u8 = 127;

/// All of [`Statistic::ALL`] of one image, each in 1/127.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageStatistics([u8; Statistic::ALL.len()]);

impl ImageStatistics {
    /// Of an image as a model takes it, (channels, height, width). Red, green and blue are told apart where there are
    /// three channels.
    #[must_use]
    pub fn of(image: ArrayView3<'_, f32>, normalisation: Normalisation) -> Self {
        let (mean, std) = (f64::from(normalisation.mean), f64::from(normalisation.std));
        let levels = image.mapv(|value| (f64::from(value) * std + mean).clamp(0.0, 1.0));
        let (channels, height, width) = levels.dim();
        let grey = levels.sum_axis(Axis(0)) / channels.max(1) as f64;
        let brightness = average(grey.view());
        let [red, blue, colour] = match channels {
            3 => colours(levels.view()),
            _ => [0.5, 0.5, 0.0],
        };
        let share = |is_meant: &dyn Fn(f64) -> bool| average(grey.mapv(|grey| f64::from(is_meant(grey))).view());
        let values = [
            brightness,
            2.0 * average(grey.mapv(|grey| (grey - brightness).powi(2)).view()).sqrt(),
            1.2 * steps(grey.view()).sqrt(),
            1.2 * steps(grey.t()).sqrt(),
            border(grey.view()),
            average(grey.slice(s![height / 3..height - height / 3, width / 3..width - width / 3])),
            share(&|grey| grey < 0.1),
            share(&|grey| grey < 0.25),
            share(&|grey| grey < 0.5),
            share(&|grey| grey < 0.75),
            share(&|grey| grey > 0.9),
            1.5 * average((&grey - &grey.slice(s![.., ..;-1])).mapv(f64::abs).view()),
            1.5 * average((&grey - &grey.slice(s![..;-1, ..])).mapv(f64::abs).view()),
            0.5 + (average(grey.slice(s![.., ..width / 2])) - average(grey.slice(s![.., width - width / 2..]))) / 2.0,
            0.5 + (average(grey.slice(s![..height / 2, ..])) - average(grey.slice(s![height - height / 2.., ..])))
                / 2.0,
            (roughness(grey.view()) / 2.0).sqrt(),
            red,
            blue,
            colour,
        ];
        Self(values.map(|value| (value * f64::from(STEPS)).round().clamp(0.0, f64::from(STEPS)) as u8))
    }

    /// Whole numbers of 1/127.
    pub(super) fn steps(&self) -> &[u8] {
        &self.0
    }

    /// From 0 to 1.
    pub(super) fn value(&self, place: usize) -> f64 {
        f64::from(self.0[place]) / f64::from(STEPS)
    }
}

/// 0 for nothing at all.
fn average(values: ArrayView2<'_, f64>) -> f64 {
    values.mean().unwrap_or(0.0)
}

/// Mean difference of neighbours in a row.
fn steps(grey: ArrayView2<'_, f64>) -> f64 {
    let width = grey.dim().1;
    if width < 2 {
        return 0.0;
    }
    average((&grey.slice(s![.., 1..]) - &grey.slice(s![.., ..width - 1])).mapv(f64::abs).view())
}

fn border(grey: ArrayView2<'_, f64>) -> f64 {
    let (height, width) = grey.dim();
    let (rows, columns) = (height.div_ceil(9), width.div_ceil(9));
    let (mut sum, mut count) = (0.0, 0usize);
    for ((y, x), value) in grey.indexed_iter() {
        if y < rows || y >= height - rows || x < columns || x >= width - columns {
            (sum, count) = (sum + value, count + 1);
        }
    }
    sum / count.max(1) as f64
}

fn roughness(grey: ArrayView2<'_, f64>) -> f64 {
    let (height, width) = grey.dim();
    if height < 3 || width < 3 {
        return 0.0;
    }
    let differences = Array2::from_shape_fn((height - 2, width - 2), |(y, x)| {
        let around = grey[[y, x + 1]] + grey[[y + 2, x + 1]] + grey[[y + 1, x]] + grey[[y + 1, x + 2]];
        (4.0 * grey[[y + 1, x + 1]] - around).abs()
    });
    average(differences.view())
}

fn colours(levels: ArrayView3<'_, f64>) -> [f64; 3] {
    let channel = |place| average(levels.index_axis(Axis(0), place));
    let (red, green, blue) = (channel(0), channel(1), channel(2));
    let strongest = levels.fold_axis(Axis(0), 0.0, |most: &f64, level| most.max(*level));
    let weakest = levels.fold_axis(Axis(0), 1.0, |least: &f64, level| least.min(*level));
    [0.5 + (red - green) / 2.0, 0.5 + (blue - green) / 2.0, average((strongest - weakest).view())]
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, Axis};

    use super::*;

    fn value(found: &ImageStatistics, statistic: Statistic) -> f64 {
        found.value(Statistic::ALL.iter().position(|one| *one == statistic).unwrap())
    }

    fn of(levels: &Array3<f32>) -> ImageStatistics {
        ImageStatistics::of(levels.mapv(|level| (level - 0.5) / 0.25).view(), Normalisation { mean: 0.5, std: 0.25 })
    }

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 0.5 / f64::from(STEPS) + 1e-9, "{found} {expected}");
    }

    #[test]
    fn a_lighter_half_says_where_it_is() {
        // 6 rows of 8 columns, white on the left.
        let left = Array3::from_shape_fn((1, 6, 8), |(_, _, x)| f32::from(u8::from(x < 4)));
        let found = of(&left);
        let at = |statistic| value(&found, statistic);
        close(at(Statistic::Brightness), 0.5);
        close(at(Statistic::Contrast), 1.0);
        close(at(Statistic::EdgesAcross), 1.2 * (1.0f64 / 7.0).sqrt());
        close(at(Statistic::EdgesDown), 0.0);
        // One column and one row on each side: 8 + 8 + 4 + 4 pixels, half of them white.
        close(at(Statistic::Border), 0.5);
        // Columns 2 to 5.
        close(at(Statistic::Centre), 0.5);
        close(at(Statistic::Dark), 0.5);
        close(at(Statistic::Light), 0.5);
        close(at(Statistic::MirroredAcross), 1.0);
        close(at(Statistic::MirroredDown), 0.0);
        close(at(Statistic::LeftHalf), 1.0);
        close(at(Statistic::UpperHalf), 0.5);
        // Of 6 inner columns, two differ from one neighbour by 1.
        close(at(Statistic::Roughness), (2.0f64 / 6.0 / 2.0).sqrt());
        let turned = of(&left.permuted_axes([0, 2, 1]).as_standard_layout().to_owned());
        close(value(&turned, Statistic::UpperHalf), 1.0);
        close(value(&turned, Statistic::LeftHalf), 0.5);
        close(value(&turned, Statistic::MirroredDown), 1.0);
        close(value(&turned, Statistic::EdgesDown), 1.2 * (1.0f64 / 7.0).sqrt());
    }

    #[test]
    fn a_frame_and_what_it_surrounds_are_told_apart() {
        let framed =
            Array3::from_shape_fn(
                (1, 9, 9),
                |(_, y, x)| {
                    if (1..8).contains(&y) && (1..8).contains(&x) { 0.25 } else { 1.0 }
                },
            );
        let found = of(&framed);
        close(value(&found, Statistic::Border), 1.0);
        close(value(&found, Statistic::Centre), 0.25);
        close(value(&found, Statistic::Light), 32.0 / 81.0);
        close(value(&found, Statistic::Dark), 0.0);
    }

    #[test]
    fn colours_are_told_apart_and_grey_has_none() {
        let mut image = Array3::from_elem((3, 4, 4), 0.4f32);
        image.index_axis_mut(Axis(0), 0).fill(0.9);
        image.index_axis_mut(Axis(0), 2).fill(0.1);
        let found = of(&image);
        close(value(&found, Statistic::Brightness), 1.4 / 3.0);
        close(value(&found, Statistic::Red), 0.75);
        close(value(&found, Statistic::Blue), 0.35);
        close(value(&found, Statistic::Colour), 0.8);
        for channels in [1, 3] {
            let found = of(&Array3::from_elem((channels, 4, 4), 0.4));
            close(value(&found, Statistic::Red), 0.5);
            close(value(&found, Statistic::Blue), 0.5);
            close(value(&found, Statistic::Colour), 0.0);
        }
    }

    #[test]
    fn levels_beyond_the_range_and_images_of_one_pixel_have_statistics_too() {
        let found =
            ImageStatistics::of(Array3::from_elem((1, 1, 1), 1e9).view(), Normalisation { mean: 0.5, std: 0.25 });
        close(value(&found, Statistic::Brightness), 1.0);
        close(value(&found, Statistic::Roughness), 0.0);
        let half = of(&Array3::from_shape_fn((1, 2, 2), |(_, y, _)| [-3.0, 5.0][y]));
        close(value(&half, Statistic::Brightness), 0.5);
        assert_eq!(of(&Array3::zeros((1, 0, 0))).steps().len(), 19);
    }
}

//! The windows of a convolution as columns of a matrix, on plain arrays.
//!
//! The first convolution of a network reads pixels, which need no gradient. As one product of its kernels with the
//! unfolded images it costs a fraction of a convolution operator, which would prepare for gradients of both.

/// The unfolded images of a batch.
pub(super) struct Unfolded {
    /// Row-major `(channels x kernel x kernel, images x rows x columns)`.
    pub(super) values: Vec<f32>,
    /// Rows and columns of the output.
    pub(super) sides: [usize; 2],
}

/// Unfolds images `(n, channels, height, width)`, row-major, for a square kernel; outside the frame is zero.
pub(super) fn unfold(
    images: &[f32],
    [count, channels, height, width]: [usize; 4],
    (kernel, stride, padding): (usize, usize, usize),
) -> Unfolded {
    let outputs = |side: usize| (side + 2 * padding).saturating_sub(kernel) / stride + 1;
    let sides = [outputs(height), outputs(width)];
    let mut values = vec![0.0f32; channels * kernel * kernel * count * sides[0] * sides[1]];
    let inside = |tap: usize, side: usize, outputs: usize| {
        // Outputs whose window meets the frame at this tap: 0 <= output x stride + tap - padding < side.
        let first = padding.saturating_sub(tap).div_ceil(stride);
        let end = (side + padding).saturating_sub(tap).div_ceil(stride);
        first.min(outputs)..end.min(outputs)
    };
    let mut rows = values.chunks_exact_mut(count * sides[0] * sides[1]);
    for (channel, tap_y, tap_x) in triples(channels, kernel) {
        let Some(row) = rows.next() else { break };
        let (ys, xs) = (inside(tap_y, height, sides[0]), inside(tap_x, width, sides[1]));
        for (image, out) in row.chunks_exact_mut(sides[0] * sides[1]).enumerate() {
            let plane = &images[(image * channels + channel) * height * width..][..height * width];
            for y in ys.clone() {
                let line = &plane[(y * stride + tap_y - padding) * width..][..width];
                let from = line.iter().skip(xs.start * stride + tap_x - padding).step_by(stride);
                out[y * sides[1]..][xs.clone()].iter_mut().zip(from).for_each(|(out, pixel)| *out = *pixel);
            }
        }
    }
    Unfolded { values, sides }
}

/// Adds columns of windows back to where one image's values came from: the transpose of [`unfold`] for one image
/// `(channels, height, width)`.
pub(super) fn fold(
    columns: &[f32],
    image: &mut [f32],
    [channels, height, width]: [usize; 3],
    (kernel, stride, padding): (usize, usize, usize),
) {
    let outputs = |side: usize| (side + 2 * padding).saturating_sub(kernel) / stride + 1;
    let sides = [outputs(height), outputs(width)];
    for ((channel, tap_y, tap_x), row) in triples(channels, kernel).zip(columns.chunks_exact(sides[0] * sides[1])) {
        let plane = &mut image[channel * height * width..][..height * width];
        for (y, line) in row.chunks_exact(sides[1]).enumerate() {
            let at = (y * stride + tap_y).wrapping_sub(padding);
            if at >= height {
                continue;
            }
            for (x, value) in line.iter().enumerate() {
                let column = (x * stride + tap_x).wrapping_sub(padding);
                if column < width {
                    plane[at * width + column] += value;
                }
            }
        }
    }
}

fn triples(channels: usize, kernel: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..channels).flat_map(move |c| (0..kernel * kernel).map(move |tap| (c, tap / kernel, tap % kernel)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_holds_the_window_of_its_output() {
        for (kernel, stride, padding) in [(3, 1, 1), (5, 2, 2), (4, 3, 0), (2, 2, 1), (6, 6, 5), (7, 1, 6)] {
            let shape @ [count, channels, height, width] = [2, 3, 7, 9];
            let images: Vec<f32> = (1..=count * channels * height * width).map(|v| v as f32).collect();
            let Unfolded { values, sides: [rows, columns] } = unfold(&images, shape, (kernel, stride, padding));
            assert_eq!(rows, (height + 2 * padding - kernel) / stride + 1);
            let mut found = values.iter();
            for (c, ky, kx) in triples(channels, kernel) {
                for (n, y, x) in
                    (0..count).flat_map(|n| (0..rows * columns).map(move |p| (n, p / columns, p % columns)))
                {
                    let (row, column) =
                        ((y * stride + ky).wrapping_sub(padding), (x * stride + kx).wrapping_sub(padding));
                    let inside = row < height && column < width;
                    let pixel = if inside { images[((n * channels + c) * height + row) * width + column] } else { 0.0 };
                    assert_eq!(found.next(), Some(&pixel), "{kernel} {stride} {padding}: {c} {ky} {kx} {n} {y} {x}");
                }
            }
            assert_eq!(found.next(), None);
        }
    }
    #[test]
    fn folding_is_the_transpose_of_unfolding() {
        for (kernel, stride, padding) in [(3, 1, 1), (5, 2, 2), (4, 3, 0), (2, 2, 1), (6, 6, 5), (7, 1, 6)] {
            let shape @ [channels, height, width] = [3, 7, 9];
            let image: Vec<f32> = (0..channels * height * width).map(|v| ((v * 7) % 11) as f32).collect();
            let Unfolded { values, .. } = unfold(&image, [1, channels, height, width], (kernel, stride, padding));
            let columns: Vec<f32> = (0..values.len()).map(|v| ((v * 5) % 13) as f32).collect();
            let mut folded = vec![0.0; image.len()];
            fold(&columns, &mut folded, shape, (kernel, stride, padding));
            // Whole numbers this small are exact: <unfold x, y> = <x, fold y>.
            let dot = |one: &[f32], other: &[f32]| one.iter().zip(other).map(|(a, b)| a * b).sum::<f32>();
            assert_eq!(dot(&values, &columns), dot(&image, &folded), "{kernel} {stride} {padding}");
        }
    }
}

//! Random distortions of training images, so that a small cohort teaches shape and not position.
//!
//! Distortions run on plain arrays before anything becomes a tensor: one inverse affine map with
//! bilinear sampling per image, edge pixels repeated outside the frame.

use experiment::train::Augmentation;

use super::draws::Draws;

/// Draws one distortion.
pub(super) fn pose(settings: &Augmentation, draws: &mut Draws) -> Pose {
    Pose {
        angle: draws.within(settings.rotation).to_radians(),
        zoom: 1.0 + draws.within(settings.scale),
        shift: [draws.within(settings.shift), draws.within(settings.shift)],
        gain: 1.0 + draws.within(settings.contrast),
        offset: draws.within(settings.brightness),
        mirror: draws.unit() < 0.5 && settings.mirror,
    }
}

/// One drawn distortion.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    /// Radians.
    angle: f32,
    /// Size after over size before.
    zoom: f32,
    /// Down and right, as fractions of the side.
    shift: [f32; 2],
    gain: f32,
    offset: f32,
    mirror: bool,
}

impl Pose {
    /// Appends the distorted copy of `image` (`channels` planes of `height x width`, row-major)
    /// to `out`.
    pub(super) fn apply(&self, image: &[f32], [channels, height, width]: [usize; 3], out: &mut Vec<f32>) {
        let (sin, cos) = (self.angle.sin() / self.zoom, self.angle.cos() / self.zoom);
        let flip = if self.mirror { -1.0 } else { 1.0 };
        let middle = [(height - 1) as f32 / 2.0, (width - 1) as f32 / 2.0];
        let from_y = middle[0] + self.shift[0] * height as f32;
        let from_x = middle[1] + self.shift[1] * width as f32;
        let plane = height * width;
        let start = out.len();
        out.resize(start + channels * plane, 0.0);
        let out = &mut out[start..];
        for y in 0..height {
            let v = y as f32 - from_y;
            for x in 0..width {
                let u = (x as f32 - from_x) * flip;
                let (y0, y1, fy) = neighbours(sin * u + cos * v + middle[0], height);
                let (x0, x1, fx) = neighbours(cos * u - sin * v + middle[1], width);
                for c in 0..channels {
                    let pixels = &image[c * plane..(c + 1) * plane];
                    let top = mix(pixels[y0 * width + x0], pixels[y0 * width + x1], fx);
                    let bottom = mix(pixels[y1 * width + x0], pixels[y1 * width + x1], fx);
                    out[c * plane + y * width + x] = self.gain * mix(top, bottom, fy) + self.offset;
                }
            }
        }
    }
}

/// The two grid points around `at` and the share of the second, clamped to `0..side`.
fn neighbours(at: f32, side: usize) -> (usize, usize, f32) {
    let at = at.clamp(0.0, (side - 1) as f32);
    let low = at as usize;
    (low, (low + 1).min(side - 1), at - low as f32)
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    const STILL: Pose = Pose { angle: 0.0, zoom: 1.0, shift: [0.0, 0.0], gain: 1.0, offset: 0.0, mirror: false };

    fn applied(pose: Pose, image: &[f32], shape: [usize; 3]) -> Vec<f32> {
        let mut out = Vec::new();
        pose.apply(image, shape, &mut out);
        out
    }

    #[test]
    fn no_distortion_is_the_identity() {
        let image: Vec<f32> = (0..2 * 5 * 7).map(|v| v as f32).collect();
        let pose = pose(&Augmentation::NONE, &mut Draws::new(1, 1));
        assert_eq!(applied(pose, &image, [2, 5, 7]), image);
    }

    #[test]
    fn hand_made_poses_move_pixels_where_they_should_go() {
        let image = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        // One row down: the first row repeats at the border.
        let shift = [1.0 / 3.0, 0.0];
        let down = applied(Pose { shift, ..STILL }, &image, [1, 3, 3]);
        assert_eq!(down, [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        let mirrored = applied(Pose { mirror: true, ..STILL }, &image, [1, 3, 3]);
        assert_eq!(mirrored, [2.0, 1.0, 0.0, 5.0, 4.0, 3.0, 8.0, 7.0, 6.0]);
        let angle = std::f32::consts::PI;
        let turned = applied(Pose { angle, ..STILL }, &image, [1, 3, 3]);
        for (pixel, expected) in turned.iter().zip(image.iter().rev()) {
            assert!((pixel - expected).abs() < 1e-5);
        }
        let brighter = applied(Pose { gain: 2.0, offset: 1.0, ..STILL }, &image, [1, 3, 3]);
        assert_eq!(brighter[4], 9.0);
    }

    #[test]
    fn poses_repeat_with_the_seed_and_sampling_stays_within_the_pixels() {
        let image: Vec<f32> = (0..64).map(|v| (v % 9) as f32).collect();
        let settings = Augmentation { brightness: 0.0, contrast: 0.0, mirror: true, ..Augmentation::default() };
        let run = |seed| {
            let pose = super::pose(&settings, &mut Draws::new(seed, 1));
            applied(pose, &image, [1, 8, 8])
        };
        assert_eq!(run(5), run(5));
        assert_ne!(run(5), run(6));
        // Bilinear sampling is a convex combination.
        assert!(run(5).iter().all(|v| (-1e-5..=8.0 + 1e-5).contains(v)));
    }
}

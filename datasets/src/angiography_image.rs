//! From vessels and a chest to grey levels: one hospital's X-ray tube and detector.

use crate::angiography_chest::Chest;
use crate::angiography_vessels::{Heart, Tree, Vessel};
use crate::angiography_view::{Projection, Spot, TUBE_TO_CENTRE, Vector, View};
use crate::sampling::Sampler;

/// Standard deviations of the angles about those of a view, in degrees: an operator turns the arm
/// until vessels come apart.
const ANGLE_SCATTER: (f64, f64) = (8.0, 6.0);

/// Standard deviation of the middle of the field about the ventricle's, in mm along each axis.
const CENTRE_SCATTER: f64 = 7.0;

/// Attenuation per mm of contrast medium, a natural logarithm: as the medium mixes with blood.
const IODINE: (f64, f64) = (0.14, 0.22);

/// Least share of a vessel without further branches that an injection fills.
const FILLED_MIN: f64 = 0.75;

/// A vessel seen along its course is darker, up to this many times.
const FORESHORTENING_MAX: f64 = 3.0;

/// Intensity added before the logarithm, so that a pixel without a photon has one.
const DARK: f64 = 0.02;

/// Grey level of the mean of a picture's log intensities, and of one standard deviation.
const LEVELS: (f64, f64) = (0.5, 0.15);

/// One hospital's C-arm.
#[derive(Debug, Clone)]
pub(crate) struct Arm {
    /// Photons per pixel without a patient.
    photons: f64,
    /// Standard deviation of the detector's blur, in pixels.
    blur: f64,
    /// Half of the shorter side of the field, in mm at the centre of rotation.
    reach: f64,
}

impl Arm {
    /// Draws a hospital's.
    pub(crate) fn draw(s: &mut Sampler) -> Self {
        // A detector of 19 to 23 cm, 1.00 to 1.10 m from the tube.
        let (detector, tube_to_detector) = (s.uniform(190.0, 230.0), s.uniform(1000.0, 1100.0));
        Arm {
            photons: s.uniform(400.0, 1500.0),
            blur: s.uniform(0.3, 0.7),
            reach: 0.5 * detector * TUBE_TO_CENTRE / tube_to_detector,
        }
    }

    /// An empty film whose shorter side is the arm's field.
    fn film(&self, height: usize, width: usize) -> Film {
        Film::new(height, width, 2.0 * self.reach / height.min(width) as f64)
    }

    /// One picture as grey levels in 0..=1, row by row. Without `contrast` the same chest, photons
    /// and angles, but neither vessels nor catheter.
    pub(crate) fn expose(
        &self,
        heart: &Heart,
        view: &View,
        (height, width): (usize, usize),
        contrast: bool,
        s: &mut Sampler,
    ) -> Vec<f32> {
        let oblique = view.oblique + ANGLE_SCATTER.0 * s.normal();
        let cranial = view.cranial + ANGLE_SCATTER.1 * s.normal();
        let off = Vector::new(s.normal(), s.normal(), s.normal()) * CENTRE_SCATTER;
        let projection = Projection::new(heart.ventricle.middle() + off, oblique, cranial);
        let mut film = self.film(height, width);
        let chest = Chest::draw(oblique, film.corner(), s);
        let (strength, filled) = (s.uniform(IODINE.0, IODINE.1), s.uniform(FILLED_MIN, 1.0));
        // A slim person's chest is weaker than a stout one's.
        let (photons, build) = (self.photons * s.uniform(0.8, 1.2), s.uniform(0.6, 1.2));
        // Drawn from even when it is not shown, so that the noise is the same without it.
        film.add_tree(heart.tree(view.side), &projection, filled, s);
        let mut levels = Vec::with_capacity(height * width);
        for row in 0..height {
            for column in 0..width {
                let shadow = if contrast { strength * film.contrast[row * width + column] } else { 0.0 };
                let body = build * chest.attenuation(film.spot(row, column));
                let expected = photons * (-body - shadow).exp();
                // Normal instead of Poisson: but for the darkest vessels tens of photons reach a pixel.
                levels.push(((expected + expected.sqrt() * s.normal()) / photons).max(0.0));
            }
        }
        let levels: Vec<f64> =
            blurred(&levels, height, width, self.blur).into_iter().map(|level| (level + DARK).ln()).collect();
        standardised(&levels)
    }
}

/// Contrast medium in the beam to every pixel.
#[derive(Debug, Clone)]
struct Film {
    height: usize,
    width: usize,
    /// Side of a pixel, in mm at the centre of rotation.
    pixel: f64,
    /// In mm, row by row.
    contrast: Vec<f64>,
}

impl Film {
    fn new(height: usize, width: usize, pixel: f64) -> Self {
        Film { height, width, pixel, contrast: vec![0.0; height * width] }
    }

    /// The middle of a pixel.
    fn spot(&self, row: usize, column: usize) -> Spot {
        let along = |index: usize, count: usize| self.pixel * (index as f64 + 0.5 - 0.5 * count as f64);
        Spot { x: along(column, self.width), y: along(row, self.height) }
    }

    /// The lower right end of the field.
    fn corner(&self) -> Spot {
        Spot { x: 0.5 * self.pixel * self.width as f64, y: 0.5 * self.pixel * self.height as f64 }
    }

    fn add_tree(&mut self, tree: &Tree, projection: &Projection, filled: f64, s: &mut Sampler) {
        for vessel in &tree.vessels {
            // What has filled branches is filled up to them.
            let share = s.uniform(filled, 1.0).max(vessel.supplies);
            let points = (share * vessel.places.len() as f64).ceil() as usize;
            self.add_vessel(vessel, points, projection);
        }
        self.add_vessel(&tree.catheter, tree.catheter.places.len(), projection);
    }

    /// Adds the first `points` of a vessel. Where it covers itself the thicker part counts.
    fn add_vessel(&mut self, vessel: &Vessel, points: usize, projection: &Projection) {
        let mut thickness = vec![0.0f64; self.contrast.len()];
        let spots: Vec<Spot> = vessel.places.iter().take(points).map(|&place| projection.spot(place)).collect();
        for (index, ends) in spots.windows(2).enumerate() {
            let [from, to] = [ends[0], ends[1]];
            let length = (vessel.places[index + 1] - vessel.places[index]).length();
            let seen = (to.x - from.x).hypot(to.y - from.y);
            let deeper = if seen > 0.0 { (length / seen).clamp(1.0, FORESHORTENING_MAX) } else { FORESHORTENING_MAX };
            self.add_piece(&mut thickness, from, to, vessel.radii[index], deeper);
        }
        self.contrast.iter_mut().zip(thickness).for_each(|(sum, own)| *sum += own);
    }

    fn add_piece(&self, thickness: &mut [f64], from: Spot, to: Spot, radius: f64, deeper: f64) {
        // A vessel thinner than a pixel spreads over one, with the same contrast in all.
        let reach = radius.hypot(0.6 * self.pixel);
        let deepest = 2.0 * radius * (radius / reach) * deeper;
        let first = |low: f64, count: usize| ((low - reach) / self.pixel + 0.5 * count as f64 - 0.5).ceil().max(0.0);
        let last = |high: f64, count: usize| ((high + reach) / self.pixel + 0.5 * count as f64 + 0.5).floor();
        let rows = first(from.y.min(to.y), self.height) as usize
            ..(last(from.y.max(to.y), self.height).max(0.0) as usize).min(self.height);
        let columns = first(from.x.min(to.x), self.width) as usize
            ..(last(from.x.max(to.x), self.width).max(0.0) as usize).min(self.width);
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let squared = dx * dx + dy * dy;
        for row in rows {
            for column in columns.clone() {
                let at = self.spot(row, column);
                let (x, y) = (at.x - from.x, at.y - from.y);
                let share = if squared > 0.0 { ((x * dx + y * dy) / squared).clamp(0.0, 1.0) } else { 0.0 };
                let off = (x - share * dx).hypot(y - share * dy) / reach;
                if off < 1.0 {
                    let own = &mut thickness[row * self.width + column];
                    *own = own.max(deepest * (1.0 - off * off).sqrt());
                }
            }
        }
    }
}

/// Levels after a Gaussian blur of `deviation` pixels, cut at two pixels; edges are repeated.
fn blurred(levels: &[f64], height: usize, width: usize, deviation: f64) -> Vec<f64> {
    let weight = |off: f64| (-0.5 * (off / deviation).powi(2)).exp();
    let sum = 1.0 + 2.0 * (weight(1.0) + weight(2.0));
    let kernel = [-2isize, -1, 0, 1, 2].map(|off| (off, weight(off as f64) / sum));
    let pass = |levels: &[f64], down: bool| -> Vec<f64> {
        let near = |index: usize, off: isize, count: usize| index.saturating_add_signed(off).min(count - 1);
        (0..height * width)
            .map(|pixel| {
                let (row, column) = (pixel / width, pixel % width);
                let value = |(off, weight): (isize, f64)| {
                    let (row, column) =
                        if down { (near(row, off, height), column) } else { (row, near(column, off, width)) };
                    weight * levels[row * width + column]
                };
                kernel.into_iter().map(value).sum()
            })
            .collect()
    };
    pass(&pass(levels, false), true)
}

/// Log intensities as grey levels: every picture has the same mean and contrast, as after the
/// automatic exposure of a C-arm.
fn standardised(levels: &[f64]) -> Vec<f32> {
    let count = levels.len() as f64;
    let mean = levels.iter().sum::<f64>() / count;
    let deviation = (levels.iter().map(|level| (level - mean).powi(2)).sum::<f64>() / count).sqrt().max(1e-6);
    levels.iter().map(|level| (LEVELS.0 + LEVELS.1 * (level - mean) / deviation).clamp(0.0, 1.0) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::angiography_view::VIEWS;

    fn arm(photons: f64, blur: f64, reach: f64) -> Arm {
        Arm { photons, blur, reach }
    }

    fn expose(arm: &Arm, contrast: bool) -> Vec<f32> {
        let mut sampler = Sampler::new(11, 0);
        let heart = Heart::draw(&mut sampler);
        arm.expose(&heart, &VIEWS[4], (64, 64), contrast, &mut sampler)
    }

    /// Mean square of the second difference along rows: noise, for a chest is smooth.
    fn roughness(levels: &[f32]) -> f32 {
        let bend = |row: &[f32]| row.windows(3).map(|near| (near[0] - 2.0 * near[1] + near[2]).powi(2)).sum::<f32>();
        levels.chunks(64).map(bend).sum::<f32>() / levels.len() as f32
    }

    #[test]
    fn a_vessel_holds_as_much_contrast_medium_as_its_cross_section_whatever_the_pixel() {
        for (pixels, radius) in [(64, 2.0), (64, 0.5), (200, 1.0)] {
            let mut film = Film::new(pixels, pixels, 150.0 / pixels as f64);
            let mut thickness = vec![0.0; pixels * pixels];
            let (from, to) = (Spot { x: -100.0, y: -37.0 }, Spot { x: 100.0, y: 41.0 });
            film.add_piece(&mut thickness, from, to, radius, 1.0);
            film.contrast = thickness;
            let volume = film.contrast.iter().sum::<f64>() * film.pixel * film.pixel;
            // A cylinder as long as the line is in the field.
            let length = 150.0 * f64::hypot(200.0, 78.0) / 200.0;
            let expected = std::f64::consts::PI * radius * radius * length;
            assert!((volume / expected - 1.0).abs() < 0.05, "{pixels} {radius}: {volume} {expected}");
        }
    }

    #[test]
    fn a_piece_shades_every_pixel_near_it_and_no_other() {
        let (height, width, pixel, radius) = (24, 40, 2.0, 3.0f64);
        let film = Film::new(height, width, pixel);
        // Across, into every corner, beside the field, and along the beam.
        let pieces = [
            [-11.0, 7.0, 15.0, -4.0],
            [-50.0, -30.0, -31.0, -15.0],
            [34.0, -19.0, 47.0, -21.0],
            [-36.0, 20.0, -41.0, 26.0],
            [45.0, 31.0, 30.0, 18.0],
            [-60.0, -40.0, 60.0, -33.0],
            [5.3, 2.2, 5.3, 2.2],
        ];
        for [left, upper, right, lower] in pieces {
            let mut thickness = vec![0.0; height * width];
            film.add_piece(&mut thickness, Spot { x: left, y: upper }, Spot { x: right, y: lower }, radius, 1.5);
            let reach = (radius.powi(2) + (0.6 * pixel).powi(2)).sqrt();
            for (index, found) in thickness.into_iter().enumerate() {
                let x = pixel * (index % width) as f64 - 39.0;
                let y = pixel * (index / width) as f64 - 23.0;
                // The nearest of many points of the piece.
                let points = (0..=2000).map(|point| f64::from(point) / 2000.0);
                let squares = points.map(|share| {
                    (left * (1.0 - share) + right * share - x).powi(2)
                        + (upper * (1.0 - share) + lower * share - y).powi(2)
                });
                let near = 1.0 - squares.fold(f64::MAX, f64::min) / reach.powi(2);
                let expected = 1.5 * 2.0 * radius.powi(2) / reach * near.max(0.0).sqrt();
                assert!((found - expected).abs() < 0.1, "{left} {upper}: {found} for {expected} at {x} {y}");
            }
        }
    }

    #[test]
    fn a_vessel_that_covers_itself_is_not_counted_twice_but_two_vessels_are() {
        let to_and_fro = [-40.0, 40.0, -40.0].map(|left| Vector::new(left, 0.0, 1.0));
        let vessel = Vessel { places: to_and_fro.to_vec(), radii: vec![3.0; 3], supplies: 0.0 };
        let projection = Projection::new(Vector::new(0.0, 0.0, 0.0), 0.0, 0.0);
        let mut film = Film::new(64, 64, 2.0);
        film.add_vessel(&vessel, 3, &projection);
        let once = film.contrast.iter().copied().fold(0.0, f64::max);
        assert!((4.5..6.0).contains(&once), "{once}");
        film.add_vessel(&vessel, 3, &projection);
        assert!((film.contrast.iter().copied().fold(0.0, f64::max) - 2.0 * once).abs() < 1e-9);
        let filled = |points: usize| {
            let mut film = Film::new(64, 64, 2.0);
            film.add_vessel(&vessel, points, &projection);
            film.contrast.iter().any(|&thickness| thickness > 0.0)
        };
        assert!(filled(2) && !filled(1));
    }

    #[test]
    fn photons_sharpness_and_field_of_an_arm_are_seen() {
        let plain = |photons: f64, blur: f64| roughness(&expose(&arm(photons, blur, 75.0), false));
        assert!(plain(400.0, 0.5) > 1.5 * plain(1500.0, 0.5));
        assert!(plain(400.0, 0.3) > 1.5 * plain(400.0, 0.7));
        // The shorter side of the picture has the arm's field, the longer one more of the body.
        let corner = arm(400.0, 0.5, 75.0).film(64, 128).corner();
        assert!((corner.x - 150.0).abs() < 1e-9 && (corner.y - 75.0).abs() < 1e-9);
    }

    #[test]
    fn blur_keeps_a_plain_picture_and_spreads_a_point_evenly() {
        assert!(blurred(&[0.7; 35], 5, 7, 0.6).iter().all(|level| (level - 0.7).abs() < 1e-12));
        let mut point = vec![0.0; 49];
        point[24] = 1.0;
        let spread = blurred(&point, 7, 7, 0.6);
        assert!((spread.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((spread[23] - spread[25]).abs() < 1e-12 && (spread[17] - spread[23]).abs() < 1e-12);
        assert!((spread[25] / spread[24] - (-0.5f64 / 0.36).exp()).abs() < 1e-9);
    }

    #[test]
    fn every_picture_has_the_same_mean_and_contrast() {
        let levels = standardised(&[1.0, 3.0, 2.0, 2.0]);
        let mean = levels.iter().sum::<f32>() / 4.0;
        let deviation = (levels.iter().map(|level| (level - mean).powi(2)).sum::<f32>() / 4.0).sqrt();
        assert!((mean - 0.5).abs() < 1e-6 && (deviation - 0.15).abs() < 1e-6);
        assert!(standardised(&[1.0; 9]).iter().all(|&level| level == 0.5));
    }
}

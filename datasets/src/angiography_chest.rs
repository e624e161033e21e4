//! What lies before and behind the heart in an angiogram: spine, ribs, diaphragm, heart, lung.
//!
//! **None of it may tell the view or the side**, or a classifier learns the chest instead of the
//! arteries. In a real laboratory it does tell: the spine lies to the right in LAO and to the left
//! in RAO. Here the table is panned so far and so evenly that a spine in the field is as likely in
//! one place as in another, and everything else is drawn without a look at the angles.

use std::f64::consts::TAU;

use crate::angiography_view::Spot;
use crate::sampling::Sampler;

/// From the middle of the ventricle to the spine's, in mm: people differ.
const SPINE_BEHIND: (f64, f64) = (70.0, 105.0);

/// From the middle of the ventricle to the spine, to the patient's right, in mm.
const SPINE_ASIDE: f64 = 17.0;

/// Half of a vertebra's width and the distance from one to the next, in mm.
const VERTEBRA: (f64, f64) = (18.0, 27.0);

const RIBS: usize = 7;
const CLOUDS: usize = 10;

/// A rib as a curved band.
#[derive(Debug, Clone, Copy)]
struct Rib {
    /// In the middle of the field, in mm down.
    down: f64,
    slope: f64,
    /// Per mm; above 0 the ends hang.
    bend: f64,
    attenuation: f64,
}

/// Uneven lung and fat, as a plane wave.
#[derive(Debug, Clone, Copy)]
struct Cloud {
    /// Per mm, to the right and down.
    waves: (f64, f64),
    phase: f64,
    attenuation: f64,
}

/// One picture's chest. Attenuations are natural logarithms.
#[derive(Debug, Clone)]
pub(crate) struct Chest {
    spine: (f64, f64),
    spine_lean: f64,
    vertebra_phase: f64,
    ribs: [Rib; RIBS],
    /// Top of the dome and the attenuation below it.
    diaphragm: (Spot, f64),
    heart: (Spot, f64),
    clouds: [Cloud; CLOUDS],
}

impl Chest {
    /// Draws a chest for an arm turned by `oblique` degrees; `corner` is the lower right one of the
    /// field.
    pub(crate) fn draw(oblique: f64, corner: Spot, s: &mut Sampler) -> Self {
        let (sin, cos) = oblique.to_radians().sin_cos();
        let turned = s.uniform(SPINE_BEHIND.0, SPINE_BEHIND.1) * sin - SPINE_ASIDE * cos;
        // Panned beyond what any angle can undo: in the field the spine's place is uniform.
        let pan = corner.x + 1.3 * VERTEBRA.0 + SPINE_BEHIND.1 + SPINE_ASIDE;
        let spread = s.uniform(0.02, 0.07) * (2.0 / CLOUDS as f64).sqrt();
        Chest {
            spine: (turned + s.uniform(-pan, pan), s.uniform(0.15, 0.4)),
            spine_lean: 0.08 * s.normal(),
            vertebra_phase: s.uniform(0.0, TAU),
            // Ribs at the front fall to the middle, those behind to the side, and an oblique view
            // crosses them: either slope, whatever the angle.
            ribs: std::array::from_fn(|_| Rib {
                down: s.uniform(-1.3, 1.3) * corner.y,
                slope: s.uniform(-0.6, 0.6),
                bend: s.uniform(0.0, 0.004),
                attenuation: s.uniform(0.03, 0.1),
            }),
            diaphragm: (
                Spot { x: s.uniform(-0.6, 0.6) * corner.x, y: s.uniform(0.44, 1.2) * corner.y },
                s.uniform(0.2, 0.5),
            ),
            heart: (Spot { x: 8.0 * s.normal(), y: 8.0 * s.normal() }, s.uniform(0.15, 0.4)),
            clouds: std::array::from_fn(|_| {
                let (turn, length) = (s.uniform(0.0, TAU), s.uniform(30.0, 120.0));
                Cloud {
                    waves: (TAU * turn.cos() / length, TAU * turn.sin() / length),
                    phase: s.uniform(0.0, TAU),
                    attenuation: spread,
                }
            }),
        }
    }

    /// How much weaker the beam is at a spot, as a natural logarithm.
    pub(crate) fn attenuation(&self, at: Spot) -> f64 {
        let beside = (at.x - self.spine.0 - self.spine_lean * at.y) / VERTEBRA.0;
        let discs = 1.0 + 0.15 * (TAU * at.y / VERTEBRA.1 + self.vertebra_phase).sin();
        let spine = self.spine.1 * discs / (1.0 + beside.powi(6));
        let ribs: f64 = self.ribs.iter().map(|rib| rib.attenuation(at)).sum();
        let (dome, liver) = self.diaphragm;
        let below = at.y - dome.y - 0.0025 * (at.x - dome.x).powi(2);
        let liver = liver / (1.0 + (-below / 5.0).exp());
        let (middle, muscle) = self.heart;
        let off = ((at.x - middle.x).powi(2) + (at.y - middle.y).powi(2)) / (55.0 * 55.0);
        let clouds: f64 = self
            .clouds
            .iter()
            .map(|cloud| cloud.attenuation * (cloud.waves.0 * at.x + cloud.waves.1 * at.y + cloud.phase).sin())
            .sum();
        spine + ribs + liver + muscle * (-off).exp() + clouds
    }
}

impl Rib {
    fn attenuation(&self, at: Spot) -> f64 {
        let off = (at.y - self.down - self.slope * at.x - self.bend * at.x * at.x) / 5.0;
        self.attenuation * (-off * off).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORNER: Spot = Spot { x: 80.0, y: 80.0 };

    /// How many of `count` spines stand in each quarter of the field.
    fn quarters(oblique: f64, count: u64) -> [usize; 4] {
        let mut quarters = [0; 4];
        for stream in 0..count {
            let chest = Chest::draw(oblique, CORNER, &mut Sampler::new(3, stream));
            let quarter = (chest.spine.0 / CORNER.x + 1.0) * 2.0;
            if (0.0..4.0).contains(&quarter) {
                quarters[quarter as usize] += 1;
            }
        }
        quarters
    }

    #[test]
    fn a_spine_is_as_likely_in_one_quarter_as_in_another_whatever_the_angle() {
        let count = 20_000;
        for oblique in [-45.0, -20.0, 0.0, 35.0, 60.0] {
            let quarters = quarters(oblique, count);
            let mean = quarters.iter().sum::<usize>() as f64 / 4.0;
            // A spine is often there, and four standard deviations are 4 * sqrt(mean).
            assert!(mean > 0.08 * count as f64, "{oblique}: {quarters:?}");
            let even = quarters.iter().all(|&quarter| (quarter as f64 - mean).abs() < 4.0 * mean.sqrt());
            assert!(even, "{oblique}: {quarters:?}");
        }
    }

    #[test]
    fn the_spine_moves_with_the_angle() {
        let at = |oblique: f64| Chest::draw(oblique, CORNER, &mut Sampler::new(3, 0)).spine.0;
        assert!(at(40.0) - at(-30.0) > 60.0);
    }

    #[test]
    fn all_else_is_drawn_without_a_look_at_the_angle() {
        let draw = |oblique: f64| Chest { spine: (0.0, 0.0), ..Chest::draw(oblique, CORNER, &mut Sampler::new(3, 0)) };
        assert_eq!(format!("{:?}", draw(-30.0)), format!("{:?}", draw(45.0)));
        let slopes: Vec<f64> = (0..200)
            .flat_map(|stream| Chest::draw(30.0, CORNER, &mut Sampler::new(3, stream)).ribs)
            .map(|rib| rib.slope)
            .collect();
        let rising = slopes.iter().filter(|slope| **slope < 0.0).count() as f64 / slopes.len() as f64;
        assert!((rising - 0.5).abs() < 0.06, "{rising}");
    }

    #[test]
    fn attenuation_is_highest_in_the_spine_and_below_the_diaphragm() {
        let mut chest = Chest::draw(0.0, CORNER, &mut Sampler::new(3, 0));
        chest.ribs.iter_mut().for_each(|rib| rib.attenuation = 0.0);
        chest.clouds.iter_mut().for_each(|cloud| cloud.attenuation = 0.0);
        (chest.spine, chest.spine_lean) = ((0.0, 0.4), 0.0);
        chest.diaphragm = (Spot { x: 0.0, y: 60.0 }, 0.5);
        chest.heart = (Spot { x: 0.0, y: 0.0 }, 0.2);
        let lung = chest.attenuation(Spot { x: 75.0, y: -70.0 });
        assert!(lung < 0.05, "{lung}");
        assert!(chest.attenuation(Spot { x: 0.0, y: -70.0 }) > 0.3);
        assert!(chest.attenuation(Spot { x: 60.0, y: 95.0 }) > 0.45);
    }
}

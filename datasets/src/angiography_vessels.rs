//! The coronary arteries of one simulated patient, as lines with a radius on a simple heart.
//!
//! The heart is the left ventricle, an ellipsoid, bulged where the right ventricle lies against it.
//! Angles about its axis are counted from the anterior groove, where the anterior descending artery
//! runs, positive to the circumflex artery; the posterior groove is at -120 or, the same, 240 degrees.

use std::f64::consts::{FRAC_PI_2, PI};

use crate::angiography_view::{Side, Vector};
use crate::sampling::Sampler;

/// Points of a vessel: one about every 2 mm of the longest.
const POINTS: usize = 64;

/// The posterior groove, in degrees from the anterior one through the right ventricle.
const POSTERIOR_GROOVE: f64 = -120.0;

/// The end of the main stem, in degrees and as a level.
const FORK: (f64, f64) = (12.0, 0.02);

/// Where the right artery has come from the aorta to its groove, as a share of its length.
const RIGHT_ROOT: f64 = 0.12;

/// Share of people whose posterior descending artery comes from the left.
const LEFT_DOMINANT: f64 = 0.12;

/// Half waves of a vessel's windings along its length.
const WINDINGS: [f64; 4] = [2.0, 3.0, 5.0, 8.0];

/// From this distance between its ends, in mm, a vessel winds as much as the longest.
const WINDING_CHORD: f64 = 60.0;

/// A place on the heart.
#[derive(Debug, Clone, Copy)]
struct Locus {
    /// About the axis, in degrees.
    angle: f64,
    /// 0 at the base, 1 at the apex.
    level: f64,
    /// Above the surface, in mm; below 0 inside.
    height: f64,
}

fn surface(angle: f64, level: f64) -> Locus {
    Locus { angle, level, height: 0.0 }
}

/// The left ventricle with the right one as a bulge. The origin is the middle of its base.
#[derive(Debug, Clone)]
pub(crate) struct Ventricle {
    /// From the base to the apex, length 1.
    axis: Vector,
    /// From the axis to the anterior groove, length 1.
    anterior: Vector,
    /// From the axis to the free wall that the circumflex artery supplies, length 1.
    lateral: Vector,
    /// Of the base, in mm.
    radius: f64,
    /// From base to apex, in mm.
    length: f64,
    /// How many times further from the axis the right ventricle reaches.
    bulge: f64,
}

impl Ventricle {
    fn draw(s: &mut Sampler) -> Self {
        // The apex points to the left, front and feet; people differ by some degrees.
        let scatter = |s: &mut Sampler| Vector::new(s.normal(), s.normal(), s.normal()) * 0.07;
        let axis = (Vector::new(0.62, -0.58, -0.53) + scatter(s)).unit();
        let groove = Vector::new(-0.25, -0.75, 0.55) + scatter(s);
        let anterior = (groove - axis * groove.dot(axis)).unit();
        Ventricle {
            axis,
            anterior,
            lateral: anterior.cross(axis),
            radius: 34.0 * s.uniform(0.88, 1.12),
            length: s.uniform(68.0, 88.0),
            bulge: s.uniform(1.3, 1.6),
        }
    }

    /// What an operator centres: a third of the way from base to apex, whichever artery is filled.
    pub(crate) fn middle(&self) -> Vector {
        self.axis * (0.35 * self.length)
    }

    fn place(&self, locus: Locus) -> Vector {
        let level = locus.level.clamp(-0.12, 0.995);
        let (sin, cos) = (level * FRAC_PI_2).sin_cos();
        let across_right = (locus.angle / POSTERIOR_GROOVE).clamp(0.0, 1.0);
        let bulge = 1.0 + (self.bulge - 1.0) * (PI * across_right).sin() * (1.0 - level).powf(0.7);
        // The power makes the ventricle blunter than an ellipsoid.
        let from_axis = (self.radius * bulge + locus.height) * cos.powf(0.8);
        let (angle_sin, angle_cos) = locus.angle.to_radians().sin_cos();
        self.axis * (self.length * sin)
            + self.anterior * (from_axis * angle_cos)
            + self.lateral * (from_axis * angle_sin)
    }
}

/// A vessel or a catheter: a line of places and the radius at each, in mm.
#[derive(Debug, Clone)]
pub(crate) struct Vessel {
    /// From its origin to its end.
    pub(crate) places: Vec<Vector>,
    /// As many as places.
    pub(crate) radii: Vec<f64>,
    /// Share of the length after which no branch begins.
    pub(crate) supplies: f64,
}

impl Vessel {
    /// The place at a share of the length, from 0 to 1.
    fn along(&self, share: f64) -> Vector {
        let position = share.clamp(0.0, 1.0) * (self.places.len() - 1) as f64;
        let before = position.floor() as usize;
        let after = (before + 1).min(self.places.len() - 1);
        self.places[before].towards(self.places[after], position - before as f64)
    }

    /// A catheter through the aorta to the origin of a tree, full of contrast medium.
    fn catheter(origin: Vector, s: &mut Sampler) -> Self {
        // 6 French: 2 mm outside, a lumen of 1.8 mm.
        const RADIUS: f64 = 0.9;
        // Out of the field, in the descending aorta.
        let above = origin + Vector::new(-5.0 + 10.0 * s.normal(), 25.0 + 8.0 * s.normal(), 90.0);
        let bend = Vector::new(6.0 * s.normal(), 6.0 * s.normal(), 0.0);
        let places = (0..POINTS).map(|point| {
            let share = point as f64 / (POINTS - 1) as f64;
            above.towards(origin, share) + bend * (PI * share).sin()
        });
        Vessel { places: places.collect(), radii: vec![RADIUS; POINTS], supplies: 1.0 }
    }
}

/// One artery with its branches and the catheter in it.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// The first is the main stem or the right artery.
    pub(crate) vessels: Vec<Vessel>,
    /// Ends where the first vessel begins.
    pub(crate) catheter: Vessel,
}

/// A patient's heart and both arteries: the same in every picture of the patient.
#[derive(Debug, Clone)]
pub(crate) struct Heart {
    /// The ventricle that they lie on.
    pub(crate) ventricle: Ventricle,
    left: Tree,
    right: Tree,
}

impl Heart {
    /// Draws a patient.
    pub(crate) fn draw(s: &mut Sampler) -> Self {
        let ventricle = Ventricle::draw(s);
        let left_dominant = s.unit() < LEFT_DOMINANT;
        let left = Grower { ventricle: &ventricle, left_dominant, vessels: Vec::new(), s }.left();
        let right = Grower { ventricle: &ventricle, left_dominant, vessels: Vec::new(), s }.right();
        Heart { ventricle, left, right }
    }

    /// The artery of a side.
    pub(crate) fn tree(&self, side: Side) -> &Tree {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }
}

/// A tree that is being grown.
struct Grower<'a> {
    ventricle: &'a Ventricle,
    left_dominant: bool,
    vessels: Vec<Vessel>,
    s: &'a mut Sampler,
}

impl Grower<'_> {
    /// Grows a vessel along a course from 0 to 1, out of a share of the vessel with the number
    /// `from`, or freely; gives its number. `radii` in mm at both ends.
    fn grow(&mut self, from: Option<(usize, f64)>, radii: (f64, f64), course: impl Fn(f64) -> Locus) -> usize {
        let start = self.ventricle.place(course(0.0));
        let mut gap = Vector::new(0.0, 0.0, 0.0);
        if let Some((parent, share)) = from {
            let parent = &mut self.vessels[parent];
            parent.supplies = parent.supplies.max(share);
            gap = parent.along(share) - start;
        }
        let chord = (self.ventricle.place(course(1.0)) - start).length();
        // A short vessel has no room for windings.
        let amplitude = self.s.uniform(0.5, 2.0) * (chord / WINDING_CHORD).min(1.0);
        let windings = WINDINGS.map(|halves| {
            let direction = Vector::new(self.s.normal(), self.s.normal(), self.s.normal());
            // The shorter a winding, the flatter.
            (halves, direction * (2.0 * amplitude / halves))
        });
        let (mut places, mut widths) = (Vec::with_capacity(POINTS), Vec::with_capacity(POINTS));
        for point in 0..POINTS {
            let share = point as f64 / (POINTS - 1) as f64;
            // It begins on its parent, windings included, and eases onto its own course.
            let mut place = self.ventricle.place(course(share)) + gap * (1.0 - share);
            for (halves, direction) in windings {
                place = place + direction * (halves * PI * share).sin();
            }
            places.push(place);
            widths.push(radii.0 + (radii.1 - radii.0) * share);
        }
        self.vessels.push(Vessel { places, radii: widths, supplies: 0.0 });
        self.vessels.len() - 1
    }

    fn finish(self) -> Tree {
        let origin = self.vessels.first().map_or(self.ventricle.middle(), |vessel| vessel.along(0.0));
        let catheter = Vessel::catheter(origin, self.s);
        Tree { vessels: self.vessels, catheter }
    }

    fn left(mut self) -> Tree {
        let radius = self.s.uniform(1.5, 2.1);
        // From the aorta, in the middle of the base, to the fork in the groove.
        let main = self.grow(None, (1.2 * radius, 1.1 * radius), |share| Locus {
            angle: FORK.0 * share,
            level: -0.12 + (FORK.1 + 0.12) * share,
            height: -16.0 * (1.0 - share),
        });
        self.anterior_descending(main, radius);
        self.circumflex(main, radius);
        self.finish()
    }

    fn anterior_descending(&mut self, main: usize, radius: f64) {
        let (end, sway) = (self.s.uniform(0.85, 0.99), 5.0 * self.s.normal());
        let angle = move |share: f64| 4.0 + (FORK.0 - 4.0) * (1.0 - share).powi(4) + sway * (3.0 * share).sin();
        let level = move |share: f64| FORK.1 + (end - FORK.1) * share;
        let artery = self.grow(Some((main, 1.0)), (radius, 0.55), |share| surface(angle(share), level(share)));
        for _ in 0..1 + self.s.below(3) {
            // A diagonal.
            let from = self.s.uniform(0.12, 0.6);
            let (turn, down) = (self.s.uniform(26.0, 56.0), self.s.uniform(0.2, 0.4));
            let last = (level(from) + down).min(0.9);
            self.grow(Some((artery, from)), (0.6 * radius, 0.4), |share| {
                surface(angle(from) + turn * share, level(from) + (last - level(from)) * share)
            });
        }
        for _ in 0..2 + self.s.below(4) {
            // A septal: straight into the wall between the ventricles.
            let (from, turn) = (self.s.uniform(0.1, 0.7), self.s.uniform(9.0, 29.0));
            self.grow(Some((artery, from)), (0.4 * radius, 0.3), |share| Locus {
                angle: angle(from) - turn * share,
                level: level(from) + 0.08 * share,
                height: -18.0 * share,
            });
        }
    }

    fn circumflex(&mut self, main: usize, radius: f64) {
        let dominant = self.left_dominant;
        let end = if dominant { self.s.uniform(225.0, 238.0) } else { self.s.uniform(110.0, 185.0) };
        let angle = move |share: f64| FORK.0 + (end - FORK.0) * share;
        let level = |share: f64| FORK.1 * (1.0 - share) - 0.02 * share + 0.04 * (2.0 * share).sin();
        let tip = if dominant { 0.6 * radius } else { 0.4 };
        let artery = self.grow(Some((main, 1.0)), (0.95 * radius, tip), |share| surface(angle(share), level(share)));
        for _ in 0..1 + self.s.below(3) {
            // An obtuse marginal, from the side of the heart.
            let from = (self.s.uniform(50.0, end.min(165.0)) - FORK.0) / (end - FORK.0);
            let (turn, last) = (self.s.uniform(5.0, 30.0), self.s.uniform(0.4, 0.8));
            self.grow(Some((artery, from)), (0.65 * radius, 0.4), |share| {
                surface(angle(from) + turn * share, level(from) + (last - level(from)) * share)
            });
        }
        if dominant {
            // The posterior descending artery.
            self.grow(Some((artery, 1.0)), (0.6 * radius, 0.4), |share| {
                surface(end + (POSTERIOR_GROOVE + 360.0 - end) * share, 0.7 * share)
            });
        }
    }

    fn right(mut self) -> Tree {
        let radius = self.s.uniform(1.4, 2.1);
        let dominant = !self.left_dominant;
        let end = if dominant { POSTERIOR_GROOVE } else { -self.s.uniform(70.0, 100.0) };
        let angle = move |share: f64| -15.0 + (end + 15.0) * share;
        let level = |share: f64| -0.04 + 0.05 * (3.0 * share).sin();
        let tip = if dominant { 0.8 * radius } else { 0.5 };
        // It too comes from the aorta, in the middle of the base.
        let artery = self.grow(None, (radius, tip), |share| Locus {
            angle: angle(share),
            level: level(share),
            height: -16.0 * (1.0 - share / RIGHT_ROOT).max(0.0),
        });
        let turn = self.s.uniform(10.0, 22.0);
        // The conus branch, forward over the outflow of the right ventricle.
        self.grow(Some((artery, RIGHT_ROOT)), (0.5 * radius, 0.3), |share| {
            surface(angle(RIGHT_ROOT) + turn * share, level(RIGHT_ROOT) + 0.22 * share)
        });
        for _ in 0..1 + self.s.below(2) {
            // A marginal, over the free wall of the right ventricle.
            let from = (self.s.uniform(-95.0, -45.0).max(end) + 15.0) / (end + 15.0);
            let (turn, last) = (self.s.uniform(0.0, 20.0), self.s.uniform(0.35, 0.75));
            self.grow(Some((artery, from)), (0.55 * radius, 0.35), |share| {
                surface(angle(from) + turn * share, level(from) + (last - level(from)) * share)
            });
        }
        if dominant {
            self.posterior(artery, radius);
        }
        self.finish()
    }

    /// What the right artery supplies behind the crux unless the left is dominant.
    fn posterior(&mut self, artery: usize, radius: f64) {
        let (sway, last) = (4.0 * self.s.normal(), self.s.uniform(0.5, 0.85));
        self.grow(Some((artery, 1.0)), (0.7 * radius, 0.35), |share| {
            surface(POSTERIOR_GROOVE + (2.0 + sway) * share, last * share)
        });
        let (end, last) = (-self.s.uniform(150.0, 185.0), self.s.uniform(0.05, 0.35));
        let angle = move |share: f64| POSTERIOR_GROOVE + (end - POSTERIOR_GROOVE) * share;
        let posterolateral = self.grow(Some((artery, 1.0)), (0.65 * radius, 0.35), |share| {
            surface(angle(share), (last + 0.02) * share - 0.02)
        });
        if self.s.unit() < 0.6 {
            // A second posterolateral, from the first.
            let (from, last) = (0.4, self.s.uniform(0.3, 0.55));
            let turn = self.s.uniform(0.0, 20.0);
            self.grow(Some((posterolateral, from)), (0.5 * radius, 0.3), |share| {
                surface(angle(from) - turn * share, last * share)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hearts(count: u64) -> Vec<Heart> {
        (0..count).map(|stream| Heart::draw(&mut Sampler::new(7, stream))).collect()
    }

    /// Distance of a point from the nearest place of a vessel, in mm.
    fn distance(vessel: &Vessel, point: Vector) -> f64 {
        let between =
            vessel.places.windows(2).flat_map(|ends| (0..16).map(|k| ends[0].towards(ends[1], f64::from(k) / 16.0)));
        between.map(|place| (place - point).length()).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn every_branch_begins_on_a_vessel_that_is_filled_so_far() {
        for heart in hearts(40) {
            for tree in [&heart.left, &heart.right] {
                for (number, branch) in tree.vessels.iter().enumerate().skip(1) {
                    let begins_on =
                        |parent: &&Vessel| distance(parent, branch.places[0]) < 0.5 && parent.supplies > 0.0;
                    assert!(tree.vessels[..number].iter().any(|parent| begins_on(&parent)), "branch {number}");
                }
                assert!((tree.catheter.along(1.0) - tree.vessels[0].places[0]).length() < 1e-9);
            }
        }
    }

    #[test]
    fn hearts_have_the_sizes_of_hearts_and_vessels_taper() {
        for heart in hearts(100) {
            let ventricle = &heart.ventricle;
            assert!((29.9..38.1).contains(&ventricle.radius) && (68.0..88.0).contains(&ventricle.length));
            assert!((ventricle.axis.dot(ventricle.anterior)).abs() < 1e-9 && ventricle.lateral.left > 0.0);
            // The bulge is where the right ventricle is, and gone at both grooves.
            let out = |angle: f64| ventricle.place(surface(angle, 0.0)).length() / ventricle.radius;
            assert!(out(-60.0) > 1.29 && (out(0.0) - 1.0).abs() < 1e-9 && (out(240.0) - 1.0).abs() < 1e-9);
            for vessel in heart.left.vessels.iter().chain(&heart.right.vessels) {
                assert!(vessel.radii.windows(2).all(|pair| pair[0] > pair[1]) && vessel.radii[0] < 2.6);
                assert!(vessel.radii[POINTS - 1] >= 0.29);
            }
        }
    }

    #[test]
    fn the_posterior_groove_is_supplied_from_one_side_mostly_the_right() {
        let count = 2000;
        let mut from_left = 0;
        for heart in hearts(count) {
            // Half way down the groove, where no other vessel runs.
            let groove = heart.ventricle.place(surface(POSTERIOR_GROOVE, 0.3));
            let supplied = |tree: &Tree| tree.vessels.iter().any(|vessel| distance(vessel, groove) < 11.0);
            let dominant = heart.left.vessels.last().is_some_and(|last| distance(last, groove) < 11.0);
            assert!(dominant || supplied(&heart.right), "nothing in the groove");
            from_left += usize::from(dominant);
        }
        let share = from_left as f64 / count as f64;
        assert!((share - 0.12).abs() < 0.03, "{share}");
    }

    /// Degrees about the axis, -180 to 180, and level of a place.
    fn whereabouts(ventricle: &Ventricle, place: Vector) -> (f64, f64) {
        let angle = place.dot(ventricle.lateral).atan2(place.dot(ventricle.anterior)).to_degrees();
        (angle, (place.dot(ventricle.axis) / ventricle.length).asin() / FRAC_PI_2)
    }

    #[test]
    fn vessels_behind_the_crux_run_down_from_the_end_of_the_dominant_artery() {
        let (mut dominant, mut seconds) = (0, 0);
        for heart in hearts(400) {
            let ends = |vessel: &Vessel| whereabouts(&heart.ventricle, vessel.along(1.0));
            let apart = |a: Vector, b: Vector| (a - b).length();
            let downwards = |vessel: &Vessel| {
                let (half, end) = (whereabouts(&heart.ventricle, vessel.along(0.5)).1, ends(vessel).1);
                assert!((half - 0.5 * end).abs() < 0.2, "{half} half way to {end}");
                // Not through the ventricle: windings and the way from a parent take some mm.
                for place in &vessel.places {
                    let (angle, level) = whereabouts(&heart.ventricle, *place);
                    let off = apart(*place, heart.ventricle.place(surface(angle, level)));
                    assert!(off < 12.0, "{off} mm off the surface");
                }
                vessel.radii[0]
            };
            let right = &heart.right.vessels;
            if ends(&right[0]).0 > -101.0 {
                let left = &heart.left.vessels;
                let descending = &left[left.len() - 1];
                let (angle, level) = ends(descending);
                assert!((angle + 120.0).abs() < 1e-6 && (level - 0.7).abs() < 1e-6, "{angle} {level}");
                let circumflex = left.iter().find(|vessel| apart(vessel.along(1.0), descending.places[0]) < 1e-9);
                // It goes on where that ends, as wide.
                let tip = circumflex.map_or(0.0, |vessel| vessel.radii[POINTS - 1]);
                assert!((tip - downwards(descending)).abs() < 1e-9 && tip > 0.8, "{tip}");
                continue;
            }
            dominant += 1;
            let first = right.iter().position(|vessel| apart(vessel.places[0], right[0].along(1.0)) < 1e-9);
            let behind = &right[first.unwrap_or(right.len())..];
            assert!(matches!(behind.len(), 2 | 3), "{} behind", behind.len());
            let (descending, posterolateral) = (&behind[0], &behind[1]);
            let ((angle, level), tip) = (ends(descending), right[0].radii[POINTS - 1]);
            assert!((angle + 118.0).abs() < 20.0 && (0.5..0.85).contains(&level), "{angle} {level}");
            assert!(apart(posterolateral.places[0], right[0].along(1.0)) < 1e-9);
            let (end, level) = ends(posterolateral);
            let end = if end > 0.0 { end - 360.0 } else { end };
            assert!((-185.0..-150.0).contains(&end) && (0.05..0.35).contains(&level), "{end} {level}");
            assert!(tip > downwards(descending) && downwards(descending) > downwards(posterolateral));
            if let Some(second) = behind.get(2) {
                seconds += 1;
                assert!(apart(second.places[0], posterolateral.along(0.4)) < 1e-9);
                let (angle, level) = ends(second);
                let turn = -120.0 + 0.4 * (end + 120.0) - angle;
                assert!((0.0..20.0).contains(&turn) && (0.3..0.55).contains(&level), "{turn} {level}");
                assert!(downwards(posterolateral) > downwards(second));
            }
        }
        let share = f64::from(seconds) / f64::from(dominant);
        assert!((share - 0.6).abs() < 0.08, "{share}");
    }
}

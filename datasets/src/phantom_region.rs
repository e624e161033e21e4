//! One patch of tissue in an axial slice: where it lies and how dense it is.

/// A point or offset in the body's plane. The body is about 2 wide; x grows to the image's right
/// (the patient's left), y to the back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    /// To the right of the image.
    pub(crate) x: f64,
    /// To the bottom of the image.
    pub(crate) y: f64,
}

impl Point {
    /// `length` in the direction of `angle` (radians, clockwise from the right).
    pub(crate) fn polar(length: f64, angle: f64) -> Self {
        Point { x: length * angle.cos(), y: length * angle.sin() }
    }

    /// This point moved by `offset`.
    pub(crate) fn plus(self, offset: Point) -> Self {
        Point { x: self.x + offset.x, y: self.y + offset.y }
    }
}

/// Numbers of bumps per turn of an irregular outline.
const LOBE_ORDERS: [f64; 3] = [2.0, 3.0, 5.0];

/// An ellipse, perhaps with an irregular outline and a grain, painted over what lies below it.
#[derive(Debug, Clone)]
pub(crate) struct Region {
    centre: Point,
    half_axes: (f64, f64),
    /// Nothing of the region is further from the centre, along either axis of the plane.
    reach: f64,
    tilt_cos_sin: (f64, f64),
    hounsfield: f64,
    /// Amplitude relative to the radius and phase of each lobe.
    lobes: [(f64, f64); 3],
    /// Amplitude in Hounsfield units, waves per unit length, phase.
    grain: (f64, f64, f64),
    /// Whether only the part inside the abdominal cavity is painted.
    clipped: bool,
}

impl Region {
    /// A smooth, homogeneous ellipse; `tilt` turns its first half axis clockwise, in radians.
    pub(crate) fn ellipse(centre: Point, half_axes: (f64, f64), tilt: f64, hounsfield: f64) -> Self {
        let tilt_cos_sin = (tilt.cos(), tilt.sin());
        let (lobes, grain) = ([(0.0, 0.0); 3], (0.0, 0.0, 0.0));
        let reach = half_axes.0.max(half_axes.1);
        Region { centre, half_axes, reach, tilt_cos_sin, hounsfield, lobes, grain, clipped: false }
    }

    /// With an irregular outline: amplitude (of the radius) and phase for 2, 3 and 5 bumps.
    pub(crate) fn lobed(mut self, lobes: [(f64, f64); 3]) -> Self {
        self.lobes = lobes;
        self.reach *= 1.0 + lobes.iter().map(|(amplitude, _)| amplitude.abs()).sum::<f64>();
        self
    }

    /// With an uneven density: `amplitude` in Hounsfield units, `waves` per unit length.
    pub(crate) fn grained(mut self, amplitude: f64, waves: f64, phase: f64) -> Self {
        self.grain = (amplitude, waves, phase);
        self
    }

    /// Painted only inside the abdominal cavity.
    pub(crate) fn clipped(mut self) -> Self {
        self.clipped = true;
        self
    }

    fn contains(&self, at: Point) -> bool {
        let (dx, dy) = (at.x - self.centre.x, at.y - self.centre.y);
        if dx.abs() > self.reach || dy.abs() > self.reach {
            return false;
        }
        let (cos, sin) = self.tilt_cos_sin;
        let u = (dx * cos + dy * sin) / self.half_axes.0;
        let v = (dy * cos - dx * sin) / self.half_axes.1;
        let radius_squared = u * u + v * v;
        let bumps: f64 = self.lobes.iter().map(|(amplitude, _)| amplitude.abs()).sum();
        if radius_squared <= (1.0 - bumps) * (1.0 - bumps) || bumps == 0.0 {
            return radius_squared <= 1.0;
        }
        let angle = v.atan2(u);
        let bump = |(order, (amplitude, phase)): (f64, (f64, f64))| amplitude * (order * angle + phase).cos();
        let outline = 1.0 + LOBE_ORDERS.into_iter().zip(self.lobes).map(bump).sum::<f64>();
        radius_squared <= outline * outline
    }

    fn density(&self, at: Point) -> f64 {
        let (amplitude, waves, phase) = self.grain;
        if amplitude == 0.0 {
            return self.hounsfield;
        }
        // Three crossing waves: uneven at every place, yet without a random draw per point.
        let (x, y) = (at.x * waves * std::f64::consts::TAU, at.y * waves * std::f64::consts::TAU);
        let grain = (x + 0.4 * y + phase).sin()
            + (0.9 * y - 0.5 * x + 2.3 * phase).sin()
            + (1.7 * x + 1.3 * y + 3.1 * phase).sin();
        self.hounsfield + amplitude * grain / 1.5
    }
}

/// Regions in painting order and the cavity that clips some of them.
#[derive(Debug, Clone)]
pub(crate) struct Slice {
    /// The last region that contains a point decides its density.
    pub(crate) regions: Vec<Region>,
    /// What clipped regions stay inside of.
    pub(crate) cavity: Region,
}

/// Density of air, around the body and in the bowel.
pub(crate) const AIR: f64 = -1000.0;

impl Slice {
    /// Density at a point, in Hounsfield units.
    pub(crate) fn density(&self, at: Point) -> f64 {
        let visible = |region: &&Region| region.contains(at) && (!region.clipped || self.cavity.contains(at));
        self.regions.iter().rev().find(visible).map_or(AIR, |region| region.density(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_painted_region_decides() {
        let body = Region::ellipse(Point { x: 0.0, y: 0.0 }, (1.0, 0.7), 0.0, -100.0);
        let organ = Region::ellipse(Point { x: 0.8, y: 0.0 }, (0.5, 0.2), 0.0, 60.0);
        let open = Slice { regions: vec![body.clone(), organ.clone()], cavity: body.clone() };
        assert_eq!(open.density(Point { x: 0.7, y: 0.0 }), 60.0);
        assert_eq!(open.density(Point { x: 0.0, y: 0.0 }), -100.0);
        assert_eq!(open.density(Point { x: 1.1, y: 0.0 }), 60.0);
        let closed = Slice { regions: vec![body.clone(), organ.clipped()], cavity: body };
        assert_eq!(closed.density(Point { x: 1.1, y: 0.0 }), AIR);
    }

    #[test]
    fn tilt_turns_the_long_axis() {
        let tilted = Region::ellipse(Point { x: 0.0, y: 0.0 }, (1.0, 0.1), std::f64::consts::FRAC_PI_4, 0.0);
        assert!(tilted.contains(Point { x: 0.6, y: 0.6 }));
        assert!(!tilted.contains(Point { x: 0.6, y: -0.6 }));
    }
}

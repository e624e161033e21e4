//! Where a point of the heart falls on the detector of a C-arm, for the six views that are drawn.
//!
//! A view is named by where the detector stands: left (LAO) or right (RAO) anterior oblique, tilted
//! to the head (cranial) or to the feet (caudal). The X-ray tube is opposite, below the table. The
//! views are usual ones: Di Mario and Sutaria, "Coronary angiography in the angioplasty era:
//! projections with a meaning", Heart 91 (2005).

use std::ops::{Add, Mul, Sub};

/// A place or direction in the patient, in mm: to the patient's left, back and head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Vector {
    /// To the patient's left.
    pub(crate) left: f64,
    /// To the patient's back.
    pub(crate) back: f64,
    /// To the patient's head.
    pub(crate) head: f64,
}

impl Vector {
    /// From its three parts.
    pub(crate) const fn new(left: f64, back: f64, head: f64) -> Self {
        Vector { left, back, head }
    }

    /// Scalar product.
    pub(crate) fn dot(self, other: Vector) -> f64 {
        self.left * other.left + self.back * other.back + self.head * other.head
    }

    /// Perpendicular to both.
    pub(crate) fn cross(self, other: Vector) -> Vector {
        Vector {
            left: self.back * other.head - self.head * other.back,
            back: self.head * other.left - self.left * other.head,
            head: self.left * other.back - self.back * other.left,
        }
    }

    /// Distance from the origin.
    pub(crate) fn length(self) -> f64 {
        self.dot(self).sqrt()
    }

    /// The same direction with length 1; a vector of length 0 stays as it is.
    pub(crate) fn unit(self) -> Vector {
        let length = self.length();
        if length > 0.0 { self * length.recip() } else { self }
    }

    /// The point at `share` of the way to `other`.
    pub(crate) fn towards(self, other: Vector, share: f64) -> Vector {
        self + (other - self) * share
    }
}

impl Add for Vector {
    type Output = Vector;
    fn add(self, other: Vector) -> Vector {
        Vector::new(self.left + other.left, self.back + other.back, self.head + other.head)
    }
}

impl Sub for Vector {
    type Output = Vector;
    fn sub(self, other: Vector) -> Vector {
        Vector::new(self.left - other.left, self.back - other.back, self.head - other.head)
    }
}

impl Mul<f64> for Vector {
    type Output = Vector;
    fn mul(self, factor: f64) -> Vector {
        Vector::new(self.left * factor, self.back * factor, self.head * factor)
    }
}

/// Which coronary artery the catheter is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// Main stem, anterior descending and circumflex artery.
    Left,
    /// The artery in the right groove.
    Right,
}

/// One of the views that a laboratory takes of every patient.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View {
    /// Name of the class.
    pub(crate) name: &'static str,
    /// Which tree is filled.
    pub(crate) side: Side,
    /// Degrees to the patient's left; below 0 to the right.
    pub(crate) oblique: f64,
    /// Degrees to the head; below 0 to the feet.
    pub(crate) cranial: f64,
}

/// The classes, in their order.
pub(crate) const VIEWS: [View; 6] = [
    View { name: "lca-rao-caudal", side: Side::Left, oblique: -25.0, cranial: -25.0 },
    View { name: "lca-rao-cranial", side: Side::Left, oblique: -20.0, cranial: 30.0 },
    View { name: "lca-lao-cranial", side: Side::Left, oblique: 40.0, cranial: 25.0 },
    View { name: "lca-lao-caudal", side: Side::Left, oblique: 45.0, cranial: -28.0 },
    View { name: "rca-lao", side: Side::Right, oblique: 35.0, cranial: 0.0 },
    View { name: "rca-rao", side: Side::Right, oblique: -30.0, cranial: 0.0 },
];

/// From the tube to the centre about which the arm turns, in mm.
pub(crate) const TUBE_TO_CENTRE: f64 = 760.0;

/// A point on the picture, in mm at the centre of rotation (on the detector it is about 1.4 times
/// as far): to the right and down from the middle of the field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spot {
    /// To the right.
    pub(crate) x: f64,
    /// Down.
    pub(crate) y: f64,
}

/// A C-arm turned to two angles about a centre.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Projection {
    centre: Vector,
    right: Vector,
    up: Vector,
    /// From the detector to the tube.
    away: Vector,
}

impl Projection {
    /// The arm turned by `oblique` to the patient's left and `cranial` to the head, in degrees.
    pub(crate) fn new(centre: Vector, oblique: f64, cranial: f64) -> Self {
        let (oblique_sin, oblique_cos) = oblique.to_radians().sin_cos();
        let (cranial_sin, cranial_cos) = cranial.to_radians().sin_cos();
        let level = Vector::new(-oblique_sin, oblique_cos, 0.0);
        let head = Vector::new(0.0, 0.0, 1.0);
        Projection {
            centre,
            right: Vector::new(oblique_cos, oblique_sin, 0.0),
            up: head * cranial_cos + level * cranial_sin,
            away: level * cranial_cos - head * cranial_sin,
        }
    }

    /// Where a point's shadow falls. What is closer to the tube is larger.
    pub(crate) fn spot(&self, point: Vector) -> Spot {
        let from_centre = point - self.centre;
        let scale = TUBE_TO_CENTRE / (TUBE_TO_CENTRE - from_centre.dot(self.away));
        Spot { x: from_centre.dot(self.right) * scale, y: -from_centre.dot(self.up) * scale }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed apart from this code, by crossing the ray from the tube through the point with the
    /// plane through the centre that stands square to the beam.
    #[test]
    fn a_point_falls_where_its_ray_meets_the_plane_of_the_centre() {
        let (centre, point) = (Vector::new(5.0, -4.0, -10.0), Vector::new(20.0, -30.0, 15.0));
        let expected = [
            ("lca-rao-caudal", 24.4206, -29.7397),
            ("lca-rao-cranial", 22.1369, -11.5556),
            ("lca-lao-cranial", -4.9772, -9.6893),
            ("lca-lao-caudal", -7.6389, -35.0452),
            ("rca-lao", -2.5263, -24.0536),
            ("rca-rao", 25.4868, -24.5156),
        ];
        for (view, (name, x, y)) in VIEWS.iter().zip(expected) {
            let spot = Projection::new(centre, view.oblique, view.cranial).spot(point);
            assert_eq!(view.name, name);
            assert!((spot.x - x).abs() < 1e-3 && (spot.y - y).abs() < 1e-3, "{name}: {spot:?}");
        }
    }

    /// What every laboratory sees: the spine to the right in LAO and to the left in RAO, what lies
    /// in front lower in cranial views and higher in caudal ones.
    #[test]
    fn back_and_front_move_as_they_do_on_a_real_arm() {
        let at = |oblique: f64, cranial: f64, point: Vector| {
            Projection::new(Vector::new(0.0, 0.0, 0.0), oblique, cranial).spot(point)
        };
        let (spine, front) = (Vector::new(0.0, 85.0, 0.0), Vector::new(0.0, -50.0, 0.0));
        assert!(at(40.0, 0.0, spine).x > 40.0 && at(-30.0, 0.0, spine).x < -30.0);
        assert!(at(0.0, 25.0, front).y > 15.0 && at(0.0, -25.0, front).y < -15.0);
        // The spine is closer to the tube, which is below the table, and so larger.
        let (near, far) = (Vector::new(10.0, 85.0, 0.0), Vector::new(10.0, -85.0, 0.0));
        assert!(at(0.0, 0.0, near).x > 11.0 && at(0.0, 0.0, far).x < 9.1);
    }
}

//! A MORE ciphertext, and why it hides nothing.

use std::ops::{Add, AddAssign, Mul, Sub, SubAssign};

use crate::number::{Function, Number};

/// Eigenvalues nearer to each other than this count as one.
const GAP_LEAST: f64 = 1e-9;

/// A 2x2 matrix S diag(m, r) S⁻¹, row by row. Sums, differences and products of matrices are those of the numbers m.
///
/// After Kipnis and Hibshoosh (ePrint 2012/637), with real numbers in place of residues modulo a product of primes, on
/// whose hardness the security of that scheme was to rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct More(pub [f64; 4]);

impl More {
    /// Both eigenvalues, the smaller first, read off without a key. One of them is the number inside.
    pub fn eigenvalues(self) -> [f64; 2] {
        let [a, b, c, d] = self.0;
        let (middle, half) = (0.5 * (a + d), 0.5 * (a - d));
        // Rounding may take what should be the square of half the gap below zero.
        let gap = (half * half + b * c).max(0.0).sqrt();
        [middle - gap, middle + gap]
    }
}

impl Add for More {
    type Output = More;

    fn add(self, other: More) -> More {
        More(std::array::from_fn(|entry| self.0[entry] + other.0[entry]))
    }
}

impl Sub for More {
    type Output = More;

    fn sub(self, other: More) -> More {
        More(std::array::from_fn(|entry| self.0[entry] - other.0[entry]))
    }
}

impl Mul for More {
    type Output = More;

    fn mul(self, other: More) -> More {
        let ([a, b, c, d], [e, f, g, h]) = (self.0, other.0);
        More([a * e + b * g, a * f + b * h, c * e + d * g, c * f + d * h])
    }
}

impl AddAssign for More {
    fn add_assign(&mut self, other: More) {
        *self = *self + other;
    }
}

impl SubAssign for More {
    fn sub_assign(&mut self, other: More) {
        *self = *self - other;
    }
}

impl Number for More {
    const ZERO: More = More([0.0; 4]);
    /// The identity is one under every key.
    const ONE: More = More([1.0, 0.0, 0.0, 1.0]);

    fn scaled(self, factor: f64) -> More {
        More(self.0.map(|entry| entry * factor))
    }

    /// f(C) = f(a) I + (f(b) - f(a)) / (b - a) (C - a I) with the eigenvalues a and b. **Whoever applies a function has
    /// computed both, and the number inside is one of them.**
    fn applied(self, function: Function) -> More {
        let [low, high] = self.eigenvalues();
        let slope = if high - low < GAP_LEAST {
            function.slope(low)
        } else {
            (function.at(high) - function.at(low)) / (high - low)
        };
        let rest = function.at(low) - slope * low;
        let [a, b, c, d] = self.0.map(|entry| slope * entry);
        More([a + rest, b, c, d + rest])
    }
}

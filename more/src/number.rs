//! What a network computes with: plain numbers, or matrices that stand for them.

use std::ops::{Add, AddAssign, Mul, Sub, SubAssign};

/// Functions of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + exp(-x)).
    Sigmoid,
}

impl Function {
    /// The value at `x`.
    pub fn at(self, x: f64) -> f64 {
        match self {
            Function::Tanh => x.tanh(),
            Function::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }

    /// The slope at `x`.
    pub fn slope(self, x: f64) -> f64 {
        let y = self.at(x);
        self.slope_of(y)
    }

    /// The slope where the value is `y`: both functions tell it without x.
    pub fn slope_of<N: Number>(self, y: N) -> N {
        match self {
            Function::Tanh => N::ONE - y * y,
            Function::Sigmoid => y * (N::ONE - y),
        }
    }
}

/// A number that layers can be computed on.
pub trait Number:
    Copy + Send + Sync + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + AddAssign + SubAssign
{
    /// Nothing.
    const ZERO: Self;
    /// One.
    const ONE: Self;

    /// Times a number that everybody knows.
    fn scaled(self, factor: f64) -> Self;

    /// The function's value.
    fn applied(self, function: Function) -> Self;
}

impl Number for f64 {
    const ZERO: f64 = 0.0;
    const ONE: f64 = 1.0;

    fn scaled(self, factor: f64) -> f64 {
        self * factor
    }

    fn applied(self, function: Function) -> f64 {
        function.at(self)
    }
}

//! The canonical embedding between N/2 complex slots and N real coefficients, as a
//! special fast Fourier transform of size N/2.
//!
//! Slot j holds m(zeta^(5^j)) with zeta = exp(i pi / N), so the automorphism X -> X^(5^r) moves
//! slot j + r to slot j: rot(X, r)[j] = X[j + r].
//! Source: Cheon, Han, Kim, Kim, Song, "Bootstrapping for approximate homomorphic encryption",
//! ePrint 2018/153, section 4 (the transform used by HEAAN).

use crate::simd;
use std::f64::consts::PI;

/// Roots of one stage, real and imaginary parts apart so that the stage vectorises.
struct Stage {
    /// cos and sin of the angle of exp(2 pi i 5^k / (4 length)), k below half the block length.
    cosines: Vec<f64>,
    sines: Vec<f64>,
}

/// Tables of the transform for one ring degree N: 16 (N/2) bytes.
///
/// Complex vectors are N floats, real parts first: what is m_i + i m_(i + N/2) as N/2 complex
/// numbers is m itself as N reals.
pub(crate) struct Embedding {
    degree: usize,
    /// Block lengths 2, 4, .. N/2.
    stages: Vec<Stage>,
}

impl Embedding {
    /// Tables for ring degree `degree`, a power of two of at least 4.
    pub(crate) fn new(degree: usize) -> Self {
        let order = 2 * degree;
        let stage = |log: u32| {
            let (half, quarter) = (1usize << (log - 1), 4usize << log);
            let powers = std::iter::successors(Some(1), |power| Some(power * 5 % quarter)).take(half);
            let (cosines, sines) = powers.map(|power| root(power * (order / quarter), order)).unzip();
            Stage { cosines, sines }
        };
        Self { degree, stages: (1..degree.trailing_zeros()).map(stage).collect() }
    }

    /// Slots to coefficients, in place: N/2 complex numbers to N reals.
    pub(crate) fn to_coefficients(&self, values: &mut [f64]) {
        let (real, imaginary) = self.split(values);
        for stage in self.stages.iter().rev() {
            simd::fold_slots(real, imaginary, stage.cosines.len(), &stage.cosines, &stage.sines);
        }
        reverse_bits(real);
        reverse_bits(imaginary);
        let scale = 2.0 / self.degree as f64;
        values.iter_mut().for_each(|value| *value *= scale);
    }

    /// Inverse of [`Embedding::to_coefficients`], in place.
    pub(crate) fn to_slots(&self, values: &mut [f64]) {
        let (real, imaginary) = self.split(values);
        reverse_bits(real);
        reverse_bits(imaginary);
        for stage in &self.stages {
            simd::unfold_slots(real, imaginary, stage.cosines.len(), &stage.cosines, &stage.sines);
        }
    }

    fn split<'v>(&self, values: &'v mut [f64]) -> (&'v mut [f64], &'v mut [f64]) {
        assert!(values.len() == self.degree, "length differs from the degree");
        values.split_at_mut(self.degree / 2)
    }
}

/// exp(2 pi i k / order), folded into the first octant so that the table is symmetric to the
/// last bit.
fn root(k: usize, order: usize) -> (f64, f64) {
    let quarter = order / 4;
    let within = k % quarter;
    // Not the machine's: hospitals make each other's planes again, bit for bit.
    let sin_cos = |step: usize| libm::sincos(2.0 * PI * step as f64 / order as f64);
    let (sine, cosine) = if 2 * within <= quarter {
        sin_cos(within)
    } else {
        let (s, c) = sin_cos(quarter - within);
        (c, s)
    };
    match k / quarter % 4 {
        0 => (cosine, sine),
        1 => (-sine, cosine),
        2 => (-cosine, -sine),
        _ => (sine, -cosine),
    }
}

fn reverse_bits(values: &mut [f64]) {
    let bits = values.len().trailing_zeros();
    if bits == 0 {
        return;
    }
    for i in 0..values.len() {
        let j = i.reverse_bits() >> (usize::BITS - bits);
        if i < j {
            values.swap(i, j);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// m(zeta^(5^j)) by direct evaluation.
    fn evaluate(coefficients: &[f64], j: usize) -> (f64, f64) {
        let n = coefficients.len();
        let mut power = 1usize;
        for _ in 0..j {
            power = power * 5 % (2 * n);
        }
        let mut sum = (0.0, 0.0);
        for (k, &m) in coefficients.iter().enumerate() {
            let angle = PI * ((power * k) % (2 * n)) as f64 / n as f64;
            sum.0 += m * angle.cos();
            sum.1 += m * angle.sin();
        }
        sum
    }

    #[test]
    fn coefficients_evaluate_to_the_slots_at_every_toy_size() {
        for degree in [4usize, 8, 16, 64, 256] {
            let embedding = Embedding::new(degree);
            let size = degree / 2;
            let real = (0..size).map(|j| (j * j % 17) as f64 - 5.0);
            let slots: Vec<f64> = real.chain((0..size).map(|j| (j * 3 % 7) as f64 - 2.0)).collect();
            let mut values = slots.clone();
            embedding.to_coefficients(&mut values);
            for j in 0..size {
                let direct = evaluate(&values, j);
                assert!((direct.0 - slots[j]).abs() < 1e-9, "degree {degree} slot {j}");
                assert!((direct.1 - slots[size + j]).abs() < 1e-9, "degree {degree} slot {j}");
            }
            embedding.to_slots(&mut values);
            for (value, slot) in values.iter().zip(&slots) {
                assert!((value - slot).abs() < 1e-10);
            }
        }
    }
}

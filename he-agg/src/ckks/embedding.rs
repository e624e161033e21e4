//! The canonical embedding between N/2 complex slots and N real coefficients, as a
//! special fast Fourier transform of size N/2.
//!
//! Slot j holds m(zeta^(5^j)) with zeta = exp(i pi / N), so the automorphism X -> X^(5^r) moves
//! slot j + r to slot j: rot(X, r)[j] = X[j + r].
//! Source: Cheon, Han, Kim, Kim, Song, "Bootstrapping for approximate homomorphic encryption",
//! ePrint 2018/153, section 4 (the transform used by HEAAN).

use std::f64::consts::PI;

/// A complex number; only what the transform needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Complex {
    pub(crate) re: f64,
    pub(crate) im: f64,
}

impl Complex {
    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    fn minus(self, other: Self) -> Self {
        Self { re: self.re - other.re, im: self.im - other.im }
    }

    fn times(self, other: Self) -> Self {
        Self { re: self.re * other.re - self.im * other.im, im: self.re * other.im + self.im * other.re }
    }
}

/// Tables of the transform for one ring degree.
pub(crate) struct Embedding {
    degree: usize,
    /// zeta^k for k in 0..2N.
    roots: Vec<Complex>,
    /// 5^j mod 2N for j in 0..N/2.
    orbit: Vec<usize>,
}

impl Embedding {
    /// Tables for ring degree `degree`, a power of two of at least 4.
    pub(crate) fn new(degree: usize) -> Self {
        let order = 2 * degree;
        let roots = (0..order).map(|k| root(k, order)).collect();
        let mut orbit = Vec::with_capacity(degree / 2);
        let mut power = 1;
        for _ in 0..degree / 2 {
            orbit.push(power);
            power = power * 5 % order;
        }
        Self { degree, roots, orbit }
    }

    /// Slots (length N/2) to coefficients, in place: on return `values[i]` is
    /// m_i + i m_(i + N/2), for real coefficients m.
    pub(crate) fn to_coefficients(&self, values: &mut [Complex]) {
        let size = self.degree / 2;
        debug_assert_eq!(values.len(), size);
        let order = 2 * self.degree;
        let mut length = size;
        while length >= 2 {
            let (half, quarter) = (length / 2, length * 4);
            for block in values.chunks_exact_mut(length) {
                let (low, high) = block.split_at_mut(half);
                for ((x, y), power) in low.iter_mut().zip(high).zip(&self.orbit) {
                    let w = self.roots[(quarter - power % quarter) * (order / quarter)];
                    let (sum, difference) = (x.plus(*y), x.minus(*y));
                    *x = sum;
                    *y = difference.times(w);
                }
            }
            length /= 2;
        }
        reverse_bits(values);
        let scale = 1.0 / size as f64;
        for value in values {
            value.re *= scale;
            value.im *= scale;
        }
    }

    /// Inverse of [`Embedding::to_coefficients`], in place.
    pub(crate) fn to_slots(&self, values: &mut [Complex]) {
        let size = self.degree / 2;
        debug_assert_eq!(values.len(), size);
        let order = 2 * self.degree;
        reverse_bits(values);
        let mut length = 2;
        while length <= size {
            let (half, quarter) = (length / 2, length * 4);
            for block in values.chunks_exact_mut(length) {
                let (low, high) = block.split_at_mut(half);
                for ((x, y), power) in low.iter_mut().zip(high).zip(&self.orbit) {
                    let w = self.roots[(power % quarter) * (order / quarter)];
                    let turned = y.times(w);
                    *y = x.minus(turned);
                    *x = x.plus(turned);
                }
            }
            length *= 2;
        }
    }
}

/// exp(2 pi i k / order), folded into the first octant so that the table is symmetric to the
/// last bit.
fn root(k: usize, order: usize) -> Complex {
    let quarter = order / 4;
    let within = k % quarter;
    let angle = |step: usize| 2.0 * PI * step as f64 / order as f64;
    let (sine, cosine) = if 2 * within <= quarter {
        angle(within).sin_cos()
    } else {
        let (s, c) = angle(quarter - within).sin_cos();
        (c, s)
    };
    match k / quarter % 4 {
        0 => Complex { re: cosine, im: sine },
        1 => Complex { re: -sine, im: cosine },
        2 => Complex { re: -cosine, im: -sine },
        _ => Complex { re: sine, im: -cosine },
    }
}

fn reverse_bits(values: &mut [Complex]) {
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
    fn evaluate(coefficients: &[f64], j: usize) -> Complex {
        let n = coefficients.len();
        let mut power = 1usize;
        for _ in 0..j {
            power = power * 5 % (2 * n);
        }
        let mut sum = Complex::default();
        for (k, &m) in coefficients.iter().enumerate() {
            let angle = PI * ((power * k) % (2 * n)) as f64 / n as f64;
            sum.re += m * angle.cos();
            sum.im += m * angle.sin();
        }
        sum
    }

    #[test]
    fn coefficients_evaluate_to_the_slots_at_every_toy_size() {
        for degree in [4usize, 8, 16, 64, 256] {
            let embedding = Embedding::new(degree);
            let size = degree / 2;
            let slots: Vec<Complex> =
                (0..size).map(|j| Complex { re: (j * j % 17) as f64 - 5.0, im: (j * 3 % 7) as f64 - 2.0 }).collect();
            let mut values = slots.clone();
            embedding.to_coefficients(&mut values);
            let coefficients: Vec<f64> = values.iter().map(|v| v.re).chain(values.iter().map(|v| v.im)).collect();
            for (j, slot) in slots.iter().enumerate() {
                let direct = evaluate(&coefficients, j);
                assert!((direct.re - slot.re).abs() < 1e-9, "degree {degree} slot {j}");
                assert!((direct.im - slot.im).abs() < 1e-9, "degree {degree} slot {j}");
            }
            embedding.to_slots(&mut values);
            for (value, slot) in values.iter().zip(&slots) {
                assert!((value.re - slot.re).abs() < 1e-10);
                assert!((value.im - slot.im).abs() < 1e-10);
            }
        }
    }
}

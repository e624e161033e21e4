//! What the server does: reads everything, from ciphertexts alone.
//!
//! All ciphertexts under one key are diagonal in one basis, the columns of S. The eigenvectors of any single one are
//! that basis, up to lengths, which cancel, and order. In it every ciphertext is diag(m, r) or diag(r, m): two
//! channels, of which one is the data. One bit is left for the whole set. Pictures answer it by being smoother than
//! anything else; tables by labels that follow from the inputs. **No key, no plaintext and no guess at a value is
//! used:** the functions here see [`More`] only.
//!
//! For the scheme over residues see Tsaban and Lifshitz, "Cryptanalysis of the MORE symmetric key fully homomorphic
//! encryption scheme", J. Math. Cryptol. 9 (2015).

use crate::ciphertext::More;

/// What a server holds.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Samples one after another.
    pub inputs: &'a [More],
    /// Their labels, one after another.
    pub targets: &'a [More],
    /// Of the trained network.
    pub weights: &'a [More],
    /// What it answered to new samples, one after another.
    pub answers: &'a [More],
    /// Number of samples, at least 1.
    pub rows: usize,
}

/// What the server knows of the data beside the ciphertexts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// Inputs are square pictures with that many rows.
    Pictures {
        /// Rows and columns.
        side: usize,
    },
    /// Labels follow from inputs.
    Table,
}

/// Which of the two eigenvalues is the data, in the order that the eigenvectors were found in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Channel {
    /// The smaller eigenvalue of the ciphertext whose eigenvectors are used.
    #[default]
    Low,
    /// The larger.
    High,
}

/// What the server read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recovered {
    /// Which channel was taken for the data.
    pub channel: Channel,
    /// Samples one after another.
    pub inputs: Vec<f64>,
    /// Their labels, one after another.
    pub targets: Vec<f64>,
    /// Of the trained network.
    pub weights: Vec<f64>,
    /// What it answered to new samples, one after another.
    pub answers: Vec<f64>,
}

/// Both directions of the plane that all ciphertexts share.
#[derive(Debug, Clone, Copy)]
struct Basis {
    vectors: More,
    inverse: More,
}

impl Basis {
    /// From the eigenvectors of the ciphertext whose eigenvalues lie farthest apart.
    fn of(ciphertexts: &[More]) -> Option<Basis> {
        let gap = |ciphertext: &More| {
            let [low, high] = ciphertext.eigenvalues();
            high - low
        };
        let widest = ciphertexts.iter().max_by(|a, b| gap(a).total_cmp(&gap(b)))?;
        let [low, high] = widest.eigenvalues();
        let [(a, c), (b, d)] = [widest.eigenvector(low)?, widest.eigenvector(high)?];
        let determinant = a * d - b * c;
        let inverse = More([d, -b, -c, a].map(|entry| entry / determinant));
        inverse.0.iter().all(|entry| entry.is_finite()).then_some(Basis { vectors: More([a, b, c, d]), inverse })
    }

    fn read(&self, ciphertexts: &[More], channel: Channel) -> Vec<f64> {
        let entry = match channel {
            Channel::Low => 0,
            Channel::High => 3,
        };
        ciphertexts.iter().map(|&ciphertext| (self.inverse * ciphertext * self.vectors).0[entry]).collect()
    }
}

impl More {
    /// A vector of length 1 that the matrix only stretches, by `value`; `None` where every vector is one.
    fn eigenvector(self, value: f64) -> Option<(f64, f64)> {
        let [a, b, c, d] = self.0;
        // Both rows of C - value I are orthogonal to it; the longer one is farther from rounding.
        let [first, second] = [(b, value - a), (value - d, c)];
        let length = |(x, y): (f64, f64)| x.hypot(y);
        let (x, y) = if length(first) > length(second) { first } else { second };
        let length = length((x, y));
        (length > 0.0).then_some((x / length, y / length))
    }
}

/// Reads inputs, labels and weights; `None` where all ciphertexts are multiples of the identity, which hide nothing
/// either.
pub fn attack(seen: Seen<'_>, hint: Hint) -> Option<Recovered> {
    let basis = Basis::of(seen.inputs)?;
    let channels = [Channel::Low, Channel::High].map(|channel| {
        let (inputs, targets) = (basis.read(seen.inputs, channel), basis.read(seen.targets, channel));
        let likely = match hint {
            Hint::Pictures { side } => -roughness(&inputs, side),
            Hint::Table => explained(&inputs, &targets, seen.rows),
        };
        (likely, channel, inputs, targets)
    });
    let (_, channel, inputs, targets) = channels.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
    let (weights, answers) = (basis.read(seen.weights, channel), basis.read(seen.answers, channel));
    Some(Recovered { channel, inputs, targets, weights, answers })
}

/// Mean difference of neighbours in square pictures, in standard deviations of all pixels.
fn roughness(pixels: &[f64], side: usize) -> f64 {
    let count = pixels.len() as f64;
    let mean = pixels.iter().sum::<f64>() / count;
    let deviation = (pixels.iter().map(|pixel| (pixel - mean).powi(2)).sum::<f64>() / count).sqrt();
    let differences = |row: &[f64]| row.windows(2).map(|pair| (pair[1] - pair[0]).abs()).sum::<f64>();
    let sum: f64 = pixels.chunks_exact(side.max(1)).map(differences).sum();
    sum / (count * deviation)
}

/// Share of the labels' variance in the second half of the samples that a linear fit to the first half explains.
fn explained(inputs: &[f64], targets: &[f64], rows: usize) -> f64 {
    let (wide, tall) = (inputs.len() / rows, targets.len() / rows);
    let sample = |row: usize| {
        let values = &inputs[row * wide..(row + 1) * wide];
        values.iter().copied().chain([1.0]).collect::<Vec<f64>>()
    };
    let label = |row: usize| &targets[row * tall..(row + 1) * tall];
    let half = rows / 2;
    let size = wide + 1;
    // Normal equations beside their right-hand sides; a little on the diagonal keeps them solvable.
    let mut equations = vec![vec![0.0; size + tall]; size];
    for row in 0..half {
        let values = sample(row);
        for (equation, &factor) in equations.iter_mut().zip(&values) {
            for (entry, &value) in equation.iter_mut().zip(values.iter().chain(label(row))) {
                *entry += factor * value;
            }
        }
    }
    (0..size).for_each(|index| equations[index][index] += 1e-6 * half as f64);
    solve(&mut equations);
    let (mut left, mut total) = (0.0, 0.0);
    for output in 0..tall {
        let mean = (half..rows).map(|row| label(row)[output]).sum::<f64>() / (rows - half) as f64;
        for row in half..rows {
            let fit: f64 =
                sample(row).iter().zip(&equations).map(|(value, equation)| value * equation[size + output]).sum();
            left += (fit - label(row)[output]).powi(2);
            total += (mean - label(row)[output]).powi(2);
        }
    }
    1.0 - left / total
}

/// Turns the left part of positive definite equations into the identity (Gauss and Jordan).
fn solve(equations: &mut [Vec<f64>]) {
    for pivot in 0..equations.len() {
        let scale = equations[pivot][pivot];
        equations[pivot].iter_mut().for_each(|entry| *entry /= scale);
        let row = equations[pivot].clone();
        for (_, equation) in equations.iter_mut().enumerate().filter(|(index, _)| *index != pivot) {
            let factor = equation[pivot];
            equation.iter_mut().zip(&row).for_each(|(entry, value)| *entry -= factor * value);
        }
    }
}

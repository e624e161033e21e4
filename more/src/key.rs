//! The secret of MORE: two directions of the plane.

use datasets::Sampler;

use crate::ciphertext::More;

/// Largest condition of the matrix: what is decrypted loses at most that factor of its precision.
const CONDITION_MAX: f64 = 10.0;

/// S and its inverse, row by row.
#[derive(Clone)]
pub struct Key {
    matrix: [f64; 4],
    inverse: [f64; 4],
}

impl Key {
    /// A key with entries in -1..1.
    pub fn draw(sampler: &mut Sampler) -> Key {
        loop {
            let matrix: [f64; 4] = std::array::from_fn(|_| sampler.uniform(-1.0, 1.0));
            let [a, b, c, d] = matrix;
            let determinant = a * d - b * c;
            // Largest over smallest singular value, q + sqrt(q² - 1) with q = |S|² / (2 |det S|).
            let ratio = matrix.iter().map(|entry| entry * entry).sum::<f64>() / (2.0 * determinant.abs());
            if ratio + (ratio * ratio - 1.0).max(0.0).sqrt() <= CONDITION_MAX {
                let inverse = [d, -b, -c, a].map(|entry| entry / determinant);
                return Key { matrix, inverse };
            }
        }
    }

    /// S diag(message, blind) S⁻¹.
    pub fn encrypt(&self, message: f64, blind: f64) -> More {
        More(self.matrix) * More([message, 0.0, 0.0, blind]) * More(self.inverse)
    }

    /// Encrypts each of `messages`, blinded by the same numbers in another order, so that the second eigenvalues are
    /// distributed as the first.
    pub fn encrypt_all(&self, messages: &[f64], sampler: &mut Sampler) -> Vec<More> {
        let mut blinds = messages.to_vec();
        sampler.shuffle(&mut blinds);
        messages.iter().zip(blinds).map(|(&message, blind)| self.encrypt(message, blind)).collect()
    }

    /// The number inside.
    pub fn decrypt(&self, ciphertext: More) -> f64 {
        (More(self.inverse) * ciphertext * More(self.matrix)).0[0]
    }
}

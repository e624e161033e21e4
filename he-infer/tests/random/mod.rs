//! Deterministic parameters and images for tests.

use he_infer::{ImageShape, Network};
use ndarray::Array3;

/// SplitMix64 (Steele, Lea, Flood 2014): enough for test data.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d)
    }

    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in [-1, 1).
    pub(crate) fn unit(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// Weights scaled by their fan-in, so that activations stay near 1.
    pub(crate) fn parameters(&mut self, network: &Network) -> Vec<f32> {
        let mut parameters = Vec::with_capacity(network.parameter_count());
        for tensor in network.tensors() {
            let fan_in: usize = tensor.shape.iter().skip(1).product();
            let scale = if tensor.shape.len() > 1 { (3.0 / fan_in as f32).sqrt() } else { 0.5 };
            parameters.extend((0..tensor.len).map(|_| scale * self.unit()));
        }
        parameters
    }

    pub(crate) fn image(&mut self, shape: ImageShape) -> Array3<f32> {
        Array3::from_shape_simple_fn((shape.channels, shape.height, shape.width), || 2.0 * self.unit())
    }
}

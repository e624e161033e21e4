//! Shifts size from the last activation into the last layer's weights, which changes no logit but lowers their noise.
//!
//! A product of ciphertexts carries the noise of either side times the size of the other. In a trained quadratic
//! network the last activations are squares of squares, ten times and more the size of the weights they meet, so the
//! noise of the encrypted weights decides. y = x (x + beta) allows to move size for free: with x and beta times c, y is
//! times c^2, and the last layer's weights divided by c^2 undo it. The same idea prepares networks for quantisation:
//! Nagel et al., "Data-free quantization through weight equalization and bias correction", arXiv 1906.04721.

use he_infer::{Network, Operation, Program, ShadowExecutor, Step};
use ndarray::{Array4, Axis};

use super::error::BenchError;

/// Images that the size of activations is taken from.
const IMAGES: usize = 16;

/// Least c: two to this power.
const EXPONENT_MIN: i32 = -4;

/// Where the parameters of the last three layers lie.
struct Tail {
    /// Weights and biases of the layer before the activation.
    before: [std::ops::Range<usize>; 2],
    /// The activation's betas.
    beta: std::ops::Range<usize>,
    /// Weights of the last layer.
    last: std::ops::Range<usize>,
}

/// Parameters of the same network with a smaller last activation, and what it is divided by: a power of four, 1 where
/// the network does not end in weights, a quadratic layer and weights. `images` are training images.
///
/// # Errors
/// Parameters or images of another network.
pub fn balanced(program: &Program, parameters: &[f32], images: &Array4<f32>) -> Result<(Vec<f32>, f32), BenchError> {
    let mut parameters = parameters.to_vec();
    let (Some(tail), 1) = (tail(program.network()), program.inputs()) else {
        return Ok((parameters, 1.0));
    };
    let [activation, weights] = sizes(program, &parameters, images)?;
    // Equal noise on both sides: c^2 times the activation is as large as 1 / c^2 times the weights.
    let exponent = ((weights / activation).log2() / 4.0).round();
    if !exponent.is_finite() {
        return Ok((parameters, 1.0));
    }
    // Clamped, so that the cast is exact.
    let c = 2f32.powi(exponent.clamp(f64::from(EXPONENT_MIN), 0.0) as i32);
    for range in tail.before.into_iter().chain([tail.beta]) {
        parameters[range].iter_mut().for_each(|value| *value *= c);
    }
    parameters[tail.last].iter_mut().for_each(|value| *value /= c * c);
    Ok((parameters, 1.0 / (c * c)))
}

fn tail(network: &Network) -> Option<Tail> {
    let range = |offset: usize| {
        let tensor = network.tensors().iter().find(|tensor| tensor.offset == offset)?;
        Some(tensor.offset..tensor.offset + tensor.len)
    };
    let [.., before, activation, last] = network.layers() else { return None };
    let (Operation::Quadratic { beta }, Operation::Dense { weight: last, .. }) = (activation.operation, last.operation)
    else {
        return None;
    };
    let (Operation::Conv { weight, bias, .. }
    | Operation::DepthwiseConv { weight, bias, .. }
    | Operation::Dense { weight, bias }) = before.operation
    else {
        return None;
    };
    Some(Tail { before: [range(weight)?, range(bias)?], beta: range(beta)?, last: range(last)? })
}

/// Root mean squares over all slots: of the last activation, and of the weights it meets. Slots that no element uses
/// count, since they add noise like the others.
fn sizes(program: &Program, parameters: &[f32], images: &Array4<f32>) -> Result<[f64; 2], BenchError> {
    let rms = |(sum, count): (f64, usize)| (sum / count.max(1) as f64).sqrt();
    let add = |(sum, count): (f64, usize), slots: &[f64]| {
        (sum + slots.iter().map(|value| value * value).sum::<f64>(), count + slots.len())
    };
    let shadow = ShadowExecutor::new(program, parameters).map_err(BenchError::Input)?;
    let mut activation = (0.0, 0);
    for image in images.axis_iter(Axis(0)).take(IMAGES) {
        let steps =
            shadow.trace_all(&program.pack_all(image).map_err(BenchError::Input)?).map_err(BenchError::Input)?;
        if let [.., slots, _] = steps.as_slice() {
            activation = add(activation, slots);
        }
    }
    let mut weights = (0.0, 0);
    if let Some(Step::Linear(step)) = program.steps().last() {
        for term in step.terms() {
            let slots = program.encode_weight(term.weight, parameters).map_err(BenchError::Input)?;
            weights = add(weights, &slots);
        }
    }
    Ok([rms(activation), rms(weights)])
}

#[cfg(test)]
mod tests {
    use he_agg::Preset;
    use he_infer::{ImageShape, LayerSpec};

    use super::*;

    fn network(layers: Vec<LayerSpec>) -> (Network, Vec<f32>, Array4<f32>) {
        let network = Network::new(ImageShape::new(1, 8, 8), layers).expect("a network");
        // Weights of about 2, so that activations grow far beyond them.
        let parameters = (0..network.parameter_count()).map(|k| ((k * 7919) % 101) as f32 / 25.0 - 2.0).collect();
        let images = Array4::from_shape_fn((3, 1, 8, 8), |(n, _, y, x)| ((n + 3 * y + 5 * x) % 11) as f32 / 5.0 - 1.0);
        (network, parameters, images)
    }

    #[test]
    fn a_balanced_network_has_the_same_logits_and_smaller_activations() {
        let (conv, q, dense) = (LayerSpec::conv(2, 3, 2), LayerSpec::quadratic(), LayerSpec::dense);
        for layers in [vec![conv, q, dense(3)], vec![conv, q, dense(5), q, dense(3)]] {
            let (network, parameters, images) = network(layers);
            let program = Program::compile(&network, Preset::Inf14x30.params()).expect("a program");
            let (balanced, divisor) = balanced(&program, &parameters, &images).expect("fits");
            assert!(divisor >= 4.0 && divisor.log2() % 2.0 == 0.0, "{divisor}");
            for image in images.axis_iter(Axis(0)) {
                let logits = |parameters: &[f32]| network.forward(parameters, image).expect("fits");
                // Powers of two: not a digit differs.
                assert_eq!(logits(&balanced), logits(&parameters));
            }
            let [before, _] = sizes(&program, &parameters, &images).expect("fits");
            let [after, _] = sizes(&program, &balanced, &images).expect("fits");
            assert!((before / after / f64::from(divisor) - 1.0).abs() < 1e-9, "{before} {after}");
        }
    }

    #[test]
    fn a_network_of_another_shape_is_left_alone() {
        let (network, parameters, images) =
            network(vec![LayerSpec::conv(2, 3, 2), LayerSpec::quartic(), LayerSpec::dense(3)]);
        let program = Program::compile(&network, Preset::Inf14x30.params()).expect("a program");
        assert_eq!(balanced(&program, &parameters, &images).expect("fits"), (parameters, 1.0));
    }
}

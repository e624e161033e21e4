//! The step from a gradient to new parameters, on flat vectors.
//!
//! burn's optimisers clip the gradient of every tensor alone; what keeps quadratic networks from
//! diverging is the norm of the whole gradient, so the few lines of the two rules stand here. Flat
//! vectors also make every step repeatable and every non-finite value easy to name.

use experiment::train::{OptimizerKind, TrainSettings};

const ADAM_BETA_1: f64 = 0.9;
const ADAM_BETA_2: f64 = 0.999;
const ADAM_EPSILON: f64 = 1e-8;

/// An update rule and its state, fresh for every fit.
pub(super) struct Optimiser {
    kind: OptimizerKind,
    momentum: f32,
    weight_decay: f64,
    steps: i32,
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Optimiser {
    pub(super) fn new(settings: &TrainSettings, parameters: usize) -> Optimiser {
        let second = match settings.optimizer {
            OptimizerKind::Sgd => Vec::new(),
            OptimizerKind::AdamW => vec![0.0; parameters],
        };
        Optimiser {
            kind: settings.optimizer,
            momentum: settings.momentum as f32,
            weight_decay: settings.weight_decay,
            steps: 0,
            first: vec![0.0; parameters],
            second,
        }
    }

    /// Moves `parameters` against `gradient`.
    pub(super) fn step(&mut self, parameters: &mut [f32], gradient: &[f32], learning_rate: f64) {
        self.steps = self.steps.saturating_add(1);
        let keep = (1.0 - learning_rate * self.weight_decay) as f32;
        match self.kind {
            OptimizerKind::Sgd => {
                let rate = learning_rate as f32;
                for ((p, v), g) in parameters.iter_mut().zip(&mut self.first).zip(gradient) {
                    *v = self.momentum * *v + g;
                    *p = keep * *p - rate * *v;
                }
            }
            OptimizerKind::AdamW => {
                let (b1, b2) = (ADAM_BETA_1 as f32, ADAM_BETA_2 as f32);
                let (c1, c2) = ((1.0 - ADAM_BETA_1) as f32, (1.0 - ADAM_BETA_2) as f32);
                let rate = (learning_rate / (1.0 - ADAM_BETA_1.powi(self.steps))) as f32;
                let unbias = (1.0 / (1.0 - ADAM_BETA_2.powi(self.steps)).sqrt()) as f32;
                let epsilon = ADAM_EPSILON as f32;
                let moments = self.first.iter_mut().zip(&mut self.second);
                for ((p, (m, v)), g) in parameters.iter_mut().zip(moments).zip(gradient) {
                    *m = b1 * *m + c1 * g;
                    *v = b2 * *v + c2 * g * g;
                    *p = keep * *p - rate * *m / (v.sqrt() * unbias + epsilon);
                }
            }
        }
    }
}

/// Adds the gradient of `strength / 2 |parameters - start|^2` to `gradient`.
///
/// Source: Li et al., "Federated optimization in heterogeneous networks", MLSys 2020, Algorithm 2.
pub(super) fn pull(gradient: &mut [f32], parameters: &[f32], start: &[f32], strength: f64) {
    if strength > 0.0 {
        let strength = strength as f32;
        for ((g, p), s) in gradient.iter_mut().zip(parameters).zip(start) {
            *g += strength * (p - s);
        }
    }
}

/// Scales the whole gradient down to Euclidean norm `limit` if it is longer; returns the norm
/// before.
pub(super) fn clip_norm(gradient: &mut [f32], limit: f64) -> f64 {
    let norm = gradient.iter().map(|g| f64::from(*g) * f64::from(*g)).sum::<f64>().sqrt();
    if norm > limit {
        let factor = (limit / norm) as f32;
        gradient.iter_mut().for_each(|g| *g *= factor);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(optimizer: OptimizerKind) -> TrainSettings {
        TrainSettings { optimizer, momentum: 0.5, weight_decay: 0.1, ..TrainSettings::default() }
    }

    #[test]
    fn sgd_follows_the_momentum_rule() {
        let mut optimiser = Optimiser::new(&settings(OptimizerKind::Sgd), 1);
        let mut p = [1.0];
        // Step 1: v = 2; p = 0.99 * 1 - 0.1 * 2 = 0.79. Step 2: v = 0.5 * 2 + 2 = 3;
        // p = 0.99 * 0.79 - 0.3 = 0.4821.
        optimiser.step(&mut p, &[2.0], 0.1);
        assert!((p[0] - 0.79).abs() < 1e-6);
        optimiser.step(&mut p, &[2.0], 0.1);
        assert!((p[0] - 0.4821).abs() < 1e-6);
    }

    #[test]
    fn first_adam_step_has_the_length_of_the_rate() {
        // With bias correction m/(1-b1) = g and sqrt(v/(1-b2)) = |g|: the step is the rate.
        let mut optimiser = Optimiser::new(&settings(OptimizerKind::AdamW), 2);
        let mut p = [1.0, 1.0];
        optimiser.step(&mut p, &[1e-3, -40.0], 0.01);
        assert!((p[0] - (0.999 - 0.01)).abs() < 1e-5);
        assert!((p[1] - (0.999 + 0.01)).abs() < 1e-5);
    }

    #[test]
    fn pull_points_back_to_the_start() {
        let mut gradient = [1.0, 1.0];
        pull(&mut gradient, &[3.0, 5.0], &[2.0, 7.0], 0.5);
        assert_eq!(gradient, [1.5, 0.0]);
        pull(&mut gradient, &[3.0, 5.0], &[2.0, 7.0], 0.0);
        assert_eq!(gradient, [1.5, 0.0]);
    }

    #[test]
    fn clipping_keeps_the_direction_and_caps_the_length() {
        let mut gradient = [3.0, 4.0];
        assert!((clip_norm(&mut gradient, 1.0) - 5.0).abs() < 1e-12);
        assert!((gradient[0] - 0.6).abs() < 1e-6 && (gradient[1] - 0.8).abs() < 1e-6);
        assert!((clip_norm(&mut gradient, 10.0) - 1.0).abs() < 1e-6);
        assert!((gradient[0] - 0.6).abs() < 1e-6);
    }
}

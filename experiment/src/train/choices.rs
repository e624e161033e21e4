//! What a training run chooses between.

use serde::{Deserialize, Serialize};

/// Which update rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Adam with decoupled weight decay. Source: Loshchilov and Hutter, arXiv 1711.05101,
    /// Algorithm 2.
    AdamW,
}

/// Weights of the classes in the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeighting {
    /// All classes count alike per sample.
    None,
    /// A sample counts inversely to the frequency of its class at this hospital.
    Balanced,
    /// All samples count alike, and the logarithm of each class's frequency at this hospital is added to its logit
    /// while training, never when predicting. The logits then rank classes as if all were equally frequent, with
    /// unlike hospitals agreeing on them, and a hospital that has never seen a class hardly moves its logit.
    ///
    /// Source: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, equation 10; for hospitals with
    /// unlike classes Zhang et al., "Federated learning with label distribution skew via logits calibration", ICML
    /// 2022.
    LogitAdjusted,
}

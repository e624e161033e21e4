//! report.json of a head that was trained on encrypted features, version 1. Later versions add fields and never rename
//! one.
//!
//! A number that does not exist, such as a loss that ran away, is NaN or infinite here and `null` in the file.

use serde::Serialize;

/// What the training of one head measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadReport {
    /// Version of this format: 1.
    pub schema: u32,
    /// Name of the experiment.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// Draws data, splits and keys.
    pub seed: u64,
    /// Digest of the experiment in hexadecimal.
    pub experiment: String,
    /// Digest of the steps on ciphertexts; `null` where the head was trained in the clear.
    pub program: Option<String>,
    /// Version of the program.
    pub version: String,
    /// When it started, UTC.
    pub started: String,
    /// What was learned from.
    pub data: HeadDataReport,
    /// How it was learned.
    pub recipe: HeadRecipeReport,
    /// Of the encryption; `null` where the head was trained in the clear.
    pub parameters: Option<HeadParameters>,
    /// How good the head is, beside others on the same features.
    pub quality: HeadQuality,
    /// Step by step.
    pub steps: Vec<HeadStep>,
    /// Bytes and times; `null` where the head was trained in the clear.
    pub costs: Option<HeadCosts>,
    /// The encrypted sums that features were whitened by; `null` where none were made.
    pub moments: Option<HeadMoments>,
    /// The finished head at work; `null` where it answered nothing.
    pub serving: Option<HeadServing>,
    /// What nobody may have seen.
    pub protection: HeadProtection,
    /// Wall time in seconds.
    pub wall_s: f64,
}

/// What a head was trained on and measured on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeadDataReport {
    /// A sentence for people.
    pub description: String,
    /// Rows to train on.
    pub train_rows: usize,
    /// Rows to measure on.
    pub test_rows: usize,
    /// Training rows of each hospital, in order.
    pub rows_of_hospitals: Vec<usize>,
    /// Numbers of a row before features are made of them.
    pub raw_features: usize,
    /// Features of a row, the constant included.
    pub dimension: usize,
    /// Classes, or readings.
    pub classes: usize,
    /// Their names.
    pub names: Vec<String>,
}

/// How a head was trained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadRecipeReport {
    /// What was made small, in words.
    pub loss: String,
    /// Degree of the polynomial that stands for the sigmoid; `null` where there is none.
    pub degree: Option<usize>,
    /// The polynomial is good for logits from minus this to this; `null` where there is none.
    pub logit_range: Option<f64>,
    /// Steps, each of which ends in a refresh.
    pub steps: usize,
    /// Rows that lie in one ciphertext.
    pub rows_per_group: usize,
    /// Groups of rows.
    pub groups: usize,
    /// Groups of a step.
    pub groups_per_batch: usize,
    /// Step length.
    pub learning_rate: f64,
    /// That of the last steps.
    pub late_rate: f64,
    /// Momentum, 0 to below 1.
    pub momentum: f64,
    /// Pull of the weights towards nothing.
    pub weight_decay: f64,
    /// How features are made, in words.
    pub features: String,
    /// Features were made uncorrelated first.
    pub whitened: bool,
}

/// Parameters of the training key and who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeadParameters {
    /// Their name.
    pub preset: String,
    /// Ring degree.
    pub n: usize,
    /// log2 of the whole modulus.
    pub log_qp: u32,
    /// In words: `128-bit classical`.
    pub security: String,
    /// Rotation keys that a step takes.
    pub rotation_keys: usize,
    /// Bytes of the key shares that one hospital uploads.
    pub key_bytes: usize,
    /// Statistical security of a refresh, in bits.
    pub refresh_bits: u32,
    /// Refreshes that this security holds for.
    pub tau: u64,
    /// Hospitals.
    pub hospitals: u16,
    /// Hospitals that a refresh takes.
    pub threshold: u16,
    /// Hospitals that compute a step again before any share of its refresh leaves.
    pub verifiers: u16,
}

/// Quality of the head and of what it is compared with, on the same features and test rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadQuality {
    /// Trained on ciphertexts; `null` where it was not.
    pub encrypted: Option<HeadFigures>,
    /// The same steps on plain numbers.
    pub shadow: HeadFigures,
    /// The exact solution, without a limit on its steps.
    pub exact: HeadFigures,
    /// Federated averaging, in the clear; `null` where it was not made.
    pub averaged: Option<HeadFigures>,
    /// Share of the test answers that equal the shadow's, 0 to 1.
    pub same_answers: Option<f64>,
    /// Largest difference of an answer from the shadow's.
    pub weight_error: Option<f64>,
    /// Reading by reading; empty for classes.
    pub outputs: Vec<HeadOutput>,
    /// Largest logit of all steps.
    pub largest_logit: f64,
}

/// Quality of one head. Classes have accuracy and AUC, readings have the other two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct HeadFigures {
    /// Share of right answers, 0 to 1.
    pub accuracy: Option<f64>,
    /// Area under the ROC curve; the mean over classes where there are more than two.
    pub auc: Option<f64>,
    /// Mean relative error of all readings; 0.01 is one per cent.
    pub relative_error: Option<f64>,
    /// Share of the readings' variance that is explained, mean of all readings.
    pub r2: Option<f64>,
}

/// Quality of one reading.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadOutput {
    /// What is read.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Mean relative error; 0.01 is one per cent.
    pub relative_error: f64,
    /// Share of its variance that is explained.
    pub r2: f64,
    /// Mean difference of answer and truth, in the unit.
    pub bias: f64,
    /// Limits of agreement: that mean less and plus 1.96 standard deviations.
    pub limits: (f64, f64),
    /// Mean of answer and truth, and their difference; for the picture only.
    #[serde(skip)]
    pub points: Vec<(f64, f64)>,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeadStep {
    /// From 1.
    pub step: usize,
    /// Of the shadow, which takes the same steps on plain numbers.
    pub loss: f64,
    /// Largest logit of the step, of the shadow.
    pub largest_logit: f64,
    /// The coordinator takes the step on ciphertexts.
    pub evaluate_ms: Option<f64>,
    /// A hospital computes it again.
    pub verify_ms: Option<f64>,
    /// Hospitals refresh what it left.
    pub refresh_ms: Option<f64>,
}

/// What encryption cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HeadCosts {
    /// Features and labels of all hospitals, encrypted.
    pub upload_bytes: u64,
    /// In so many ciphertexts.
    pub ciphertexts: usize,
    /// Encrypting them.
    pub encrypt_s: f64,
    /// Lifting them from gates to the training key.
    pub lift_s: f64,
    /// Refreshes.
    pub refreshes: usize,
    /// Share of one decryptor in one step.
    pub share_bytes: u64,
    /// A step, as counted operations predict it; `null` where this machine was not measured for it.
    pub predicted_step_ms: Option<f64>,
    /// All steps with each party on a machine of its own.
    pub critical_s: f64,
    /// All steps in this process.
    pub here_s: f64,
    /// Making keys.
    pub keys_s: f64,
}

/// Encrypted sums that features are whitened by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HeadMoments {
    /// Ciphertexts of one hospital.
    pub ciphertext_bytes: u64,
    /// In so many chunks.
    pub chunks: usize,
    /// The decrypted sum equals the sum of the hospitals' integers.
    pub exact: bool,
}

/// The finished head at work, still encrypted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeadServing {
    /// Name of its parameters.
    pub preset: String,
    /// Ring degree.
    pub n: usize,
    /// log2 of the whole modulus.
    pub log_qp: u32,
    /// The last refresh, under the serving key.
    pub handover_s: f64,
    /// Making a model of what it left.
    pub transfer_s: f64,
    /// Of the model.
    pub ciphertexts: usize,
    /// Questions asked.
    pub queries: usize,
    /// Time of each to evaluate.
    pub query_s: Vec<f64>,
    /// Largest error of an answer's logit.
    pub off: f64,
    /// Questions answered right; `null` for readings.
    pub right: Option<usize>,
}

/// What nobody may have seen, and what a simulation looked at to say so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HeadProtection {
    /// Decryptions of the head by the protocol: 0.
    pub decryptions_of_head: usize,
    /// A simulation opened the head with all hospitals' secrets at the end, to measure it.
    pub opened_to_measure: bool,
    /// Steps that every verifier computed again and found the same.
    pub verified_steps: usize,
    /// Steps that a verifier refused.
    pub refused_steps: usize,
    /// Bytes of the coordinator that were searched.
    pub scanned_bytes: u64,
    /// Features or labels that were found there: none.
    pub found: Vec<String>,
    /// How many were looked for.
    pub needles: usize,
}

impl HeadReport {
    /// Whether everything held that such a report promises.
    #[must_use]
    pub fn verified(&self) -> bool {
        self.checks().iter().all(|check| check.passed)
    }
}

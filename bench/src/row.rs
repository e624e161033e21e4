//! One measurement: the line that programs read.

use std::path::PathBuf;

use he_agg::Params;
use serde::Serialize;

use super::{engine::Engine, timing::Timing};

/// What computes where no device was chosen.
const BACKEND: &str = "cpu";

/// One operation under one set of parameters. Fields that an operation does not have are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The operation.
    pub op: String,
    /// Parameter set; `-` for a ring of no preset.
    pub preset: String,
    /// Ring degree N.
    pub n: usize,
    /// Limbs of the operand.
    pub limbs: usize,
    /// log2 of the modulus, special primes included where they take part.
    pub log_qp: f64,
    /// Threads.
    pub threads: usize,
    /// Instruction set.
    pub isa: &'static str,
    /// What computed: cpu or gpu.
    pub backend: &'static str,
    /// The graphics adapter, its interface and driver.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// Median time; null where there is nothing to time, as for the size of a key.
    pub median_ns: Option<f64>,
    /// Shortest time.
    pub min_ns: Option<f64>,
    /// Bytes of operands, keys and results, or of the object on the wire for `pack`, `unpack` and sizes.
    pub bytes: u64,
    /// Times taken.
    pub repetitions: usize,
    /// Operations that went together; times and bytes are those of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<usize>,
    /// Kernels that the batch starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launches: Option<u64>,
    /// Bytes that went to the device while the clock ran, tables of operands included, of the batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<u64>,
    /// Bytes that came back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub downloaded: Option<u64>,
    /// `bytes` in the shortest time, as a share of the measured rate of adding in the device's memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_bandwidth: Option<f64>,
    /// Values of the update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<usize>,
    /// Hospitals of the sum.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hospitals: Option<u16>,
    /// Bytes on the wire for each value of the update.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_parameter: Option<f64>,
    /// Whether the decoded sums equal the plaintext integer sums bit for bit, or a device's results those of the
    /// processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exact: Option<bool>,
    /// Network of an inference, or experiment of a training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Share of images whose encrypted answer is the plaintext one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// Largest difference of a logit from the plain forward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delta_logit: Option<f64>,
    /// Mean difference of a logit from the plain forward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_delta_logit: Option<f64>,
    /// Largest logit, absolute: of an inference on the images asked about, of a training on the training images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit_max: Option<f64>,
    /// What the last activations were divided by, and the last weights multiplied by, before encrypting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_divisor: Option<f64>,
    /// Images of a part of the data, or answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<usize>,
    /// Answers that were refused, not finite, or noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failures: Option<usize>,
    /// Share of test images whose largest logit is their label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// The same of the plain forward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy_plain: Option<f64>,
    /// Mean one-vs-rest AUC on the test images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc: Option<f64>,
    /// The same of the plain forward pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auc_plain: Option<f64>,
    /// Absolute difference of the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delta_auc: Option<f64>,
    /// Images that only the plain, and only the encrypted answer decides rightly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discordant: Option<[usize; 2]>,
    /// Two-sided exact McNemar test of these two counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mcnemar_p: Option<f64>,
    /// Bytes of the encrypted image for each byte of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expansion: Option<f64>,
    /// Time that 95 % of the calls stay within.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ns: Option<f64>,
    /// Who decrypts, and with what noise added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epochs: Option<usize>,
    /// Most images of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<usize>,
    /// Training images, or images answered, per second by the median time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// The file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// 32-bit multiplications that the operation cannot do without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplications: Option<u64>,
    /// Time that the bytes take at the machine's bandwidth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_ns: Option<f64>,
    /// Time that the multiplications take at the machine's multipliers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multiplier_ns: Option<f64>,
    /// Time that the keystream takes at this program's rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keystream_ns: Option<f64>,
    /// The larger of `memory_ns` and `multiplier_ns`, divided by the shortest time: 1 is the machine's limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reached: Option<f64>,
    /// Bytes or multiplications per second, for the machine's own figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
}

impl Row {
    /// A row without a time.
    pub fn new(op: &str, engine: &Engine) -> Self {
        Self {
            op: op.to_owned(),
            preset: "-".to_owned(),
            n: 0,
            limbs: 0,
            log_qp: 0.0,
            threads: engine.threads(),
            isa: engine.isa().name(),
            backend: BACKEND,
            device: None,
            median_ns: None,
            min_ns: None,
            bytes: 0,
            repetitions: 0,
            batch: None,
            launches: None,
            uploaded: None,
            downloaded: None,
            of_bandwidth: None,
            parameters: None,
            hospitals: None,
            bytes_per_parameter: None,
            exact: None,
            network: None,
            agreement: None,
            max_delta_logit: None,
            mean_delta_logit: None,
            logit_max: None,
            activation_divisor: None,
            images: None,
            failures: None,
            accuracy: None,
            accuracy_plain: None,
            auc: None,
            auc_plain: None,
            delta_auc: None,
            discordant: None,
            mcnemar_p: None,
            expansion: None,
            p95_ns: None,
            release: None,
            epochs: None,
            batch_size: None,
            images_per_second: None,
            file: None,
            multiplications: None,
            memory_ns: None,
            multiplier_ns: None,
            keystream_ns: None,
            reached: None,
            per_second: None,
        }
    }

    /// With the shape of an operand: `limbs` primes of Q, and those of P if they take part.
    #[must_use]
    pub fn shape(mut self, params: &Params, limbs: usize, specials: bool) -> Self {
        let special = if specials { params.log_qp() - params.log_q(params.q.len()) } else { 0.0 };
        self.preset = params.preset.name().to_owned();
        (self.n, self.limbs) = (params.n, limbs);
        self.log_qp = ((params.log_q(limbs) + special) * 100.0).round() / 100.0;
        self
    }

    /// With its time, to a tenth of a nanosecond.
    #[must_use]
    pub fn timed(mut self, timing: Timing) -> Self {
        let tenth = |ns: f64| Some((ns * 10.0).round() / 10.0);
        (self.median_ns, self.min_ns) = (tenth(timing.median_ns), tenth(timing.min_ns));
        self.repetitions = timing.repetitions;
        self
    }

    /// With its bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes as u64;
        self
    }

    /// For programs: one line, the fields in the order above.
    pub fn json(&self) -> String {
        // Numbers and texts only: nothing here can fail to be written.
        serde_json::to_string(self).unwrap_or_default()
    }
}

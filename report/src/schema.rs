//! report.json, version 1: what a run measured. Later versions add fields and never rename one.
//!
//! A number that does not exist, such as the AUC of a class without images, is NaN here and `null` in the file.

use experiment::Experiment;
use metrics::PooledFigures;
use serde::{Deserialize, Deserializer, Serialize};

use super::privacy::PrivacyBlock;
use super::{date::utc, paired::Paired, quality::ClinicalQuality};

/// The whole report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Version of this format: 1.
    pub schema: u32,
    /// What was run.
    pub experiment: ExperimentBlock,
    /// Under which parameters.
    pub crypto: Crypto,
    /// Training, round by round.
    pub rounds: Vec<Round>,
    /// The final model on the test part.
    #[serde(rename = "final")]
    pub final_: Final,
    /// The encrypted model at work.
    pub serving: Serving,
    /// How patients were hidden; null where nothing did.
    pub privacy: Option<PrivacyBlock>,
    /// Self-checks, made in every run.
    pub oracles: Vec<Oracle>,
    /// Hospitals that were lost, and what happened.
    pub dropouts: Vec<DropOutReport>,
    /// Who sent what to whom.
    pub traffic: Vec<Traffic>,
    /// Where the time went, in order.
    pub phases: Vec<PhaseTime>,
    /// Versions and machine.
    pub provenance: Provenance,
    /// Wall time of the run in seconds.
    pub wall_s: f64,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExperimentBlock {
    /// Name.
    pub name: String,
    /// A sentence for people.
    pub description: String,
    /// Seed of split, initial weights and sampling.
    pub seed: u64,
    /// Hospitals.
    pub hospitals: u16,
    /// Decryptors needed.
    pub threshold: u16,
    /// Fewest uploads for a round.
    pub min_cohort: u16,
    /// Numbers in the model.
    pub parameters: usize,
    /// Class names, by label.
    pub classes: Vec<String>,
    /// SHA-256 of the plan in hexadecimal.
    pub plan_digest: String,
    /// Whether hospitals trained once more for the published model, so that none of them knows it.
    pub final_step: bool,
}

/// Parameter sets, with their size against the 128-bit limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Crypto {
    /// Of training rounds.
    pub aggregation: AggregationParameters,
    /// Of the published model.
    pub serving: ServingParameters,
}

/// Parameters of training rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AggregationParameters {
    /// Name of the preset.
    pub preset: String,
    /// Ring degree.
    pub n: usize,
    /// log2 of the largest modulus.
    pub log_qp: f64,
    /// The largest allowed.
    pub limit: u32,
}

/// Parameters of the published model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServingParameters {
    /// Name of the preset.
    pub preset: String,
    /// Ring degree.
    pub n: usize,
    /// log2 of the largest modulus.
    pub log_qp: f64,
    /// The largest allowed.
    pub limit: u32,
    /// Multiplicative levels of the preset.
    pub depth: usize,
}

/// One training round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// From 1.
    pub round: u32,
    /// Attempts it took; 1 unless a decryptor was lost.
    pub attempts: u32,
    /// Hospitals whose update is in the sum.
    pub uploaded: Vec<u16>,
    /// Hospitals that decrypted.
    pub decryptors: Vec<u16>,
    /// The decrypted sum equals the plaintext integer sum, bit for bit.
    pub sum_exact: bool,
    /// Training loss over the hospitals in the sum, weighted by samples.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Macro AUC on the validation part.
    #[serde(deserialize_with = "number_or_null")]
    pub auc: f64,
    /// Bytes from all hospitals to the coordinator.
    pub bytes_up: u64,
    /// Bytes from the coordinator to all hospitals.
    pub bytes_down: u64,
    /// Milliseconds per step.
    pub ms: RoundTimes,
    /// Bytes that the coordinator's device moved for the sum; zeros on the processor.
    #[serde(default)]
    pub device: DeviceBytes,
}

/// Milliseconds of one round, each the longest over the parties that do it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RoundTimes {
    /// Local training.
    pub train: f64,
    /// Quantising and encrypting.
    pub encrypt: f64,
    /// Adding ciphertexts.
    pub aggregate: f64,
    /// Shares, opening and decoding.
    pub decrypt: f64,
}

/// Bytes between the coordinator's memory and its device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceBytes {
    /// To the device.
    pub to: u64,
    /// From the device.
    pub from: u64,
}

/// The final model on the test part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Final {
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean of the one-versus-rest AUCs.
    pub auc_macro: f64,
    /// One-versus-rest, by label.
    pub auc_per_class: Vec<f64>,
    /// `confusion[truth][answer]`, counts.
    pub confusion: Vec<Vec<u64>>,
    /// ROC points (false positive rate, true positive rate) by label, ascending.
    pub roc: Vec<Vec<[f64; 2]>>,
    /// One model on all data in one place.
    pub centralised: Quality,
    /// Each hospital alone with its data.
    pub local_only: Vec<LocalQuality>,
    /// With intervals, thresholds, calibration and hospitals.
    pub clinical: ClinicalQuality,
    /// What the hospitals added up of the last trained model, if the experiment wants it.
    pub pooled: Option<PooledFigures>,
}

/// Quality of a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quality {
    /// Share of right answers.
    pub accuracy: f64,
    /// Mean of the one-versus-rest AUCs.
    pub auc_macro: f64,
}

/// Quality of one hospital alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LocalQuality {
    /// From 1.
    pub hospital: u16,
    /// Its training samples; known here because the federation is simulated.
    pub samples: usize,
    /// Share of right answers on the common test part.
    pub accuracy: f64,
    /// Mean of the one-versus-rest AUCs.
    pub auc_macro: f64,
}

/// The encrypted model at work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Serving {
    /// Images classified under encryption.
    pub images: usize,
    /// Share of them where the encrypted answer equals the plaintext one.
    pub argmax_agreement: f64,
    /// Largest difference of a logit.
    pub max_abs_delta_logit: f64,
    /// Quality of both on these images; `null` where no image was asked.
    pub paired: Option<Paired>,
    /// Images that one query may carry; all times and sizes below are a query's.
    pub images_per_query: usize,
    /// From encrypting to reading the answer.
    pub latency_ms: Latency,
    /// Of which the coordinator's encrypted evaluation.
    pub evaluate_ms: Latency,
    /// Bytes that the coordinator's device moved for keys, model and all queries; zeros on the processor.
    pub device: DeviceBytes,
    /// All parts of the latency; those of one query add up to it, their percentiles need not.
    pub parts_ms: ServingParts,
    /// One query.
    pub query_bytes: u64,
    /// Everything the asker receives for one query.
    pub reply_bytes: u64,
    /// Bits that one answer carries, at most, to an asker that cheats.
    pub leak_bits_per_answer: u64,
    /// Bits that the answers of this run may have carried.
    pub leak_bits: u64,
    /// The encrypted model.
    pub model_bytes: u64,
    /// The published model exists only as ciphertexts.
    pub model_encrypted: bool,
}

/// Where the time of an encrypted query goes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ServingParts {
    /// The asking hospital encrypts the image.
    pub encrypt: Latency,
    /// Everything that no party computes: transfer, storing, polling and waiting.
    pub network: Latency,
    /// The coordinator evaluates the encrypted model.
    pub evaluate: Latency,
    /// The slowest decryptor makes its share, and the coordinator adds the shares up.
    pub switch: Latency,
    /// The asking hospital decrypts and reads the answer.
    pub decrypt: Latency,
}

/// Percentiles in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
}

/// One self-check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Oracle {
    /// A short name, for example `sum_exact`.
    pub name: String,
    /// Whether it held.
    pub passed: bool,
    /// One sentence with the numbers.
    pub detail: String,
}

/// A hospital that was lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DropOutReport {
    /// From 1.
    pub hospital: u16,
    /// From 1.
    pub round: u32,
    /// before-upload, after-upload or before-share.
    pub moment: String,
    /// The round has a result all the same.
    pub recovered: bool,
    /// One sentence: what the others did.
    pub outcome: String,
}

/// Messages of one kind from one party to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// `hospital-1` or `coordinator`.
    pub from: String,
    /// The receiver.
    pub to: String,
    /// What it was, in words: `update ciphertext`, `decryption share`.
    pub kind: String,
    /// How many.
    pub messages: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Time of one phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseTime {
    /// Its name, as the live view shows it.
    pub phase: String,
    /// Wall time.
    pub seconds: f64,
}

/// Where the numbers come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Provenance {
    /// Version of the program.
    pub version: String,
    /// The command line.
    pub command: String,
    /// When it started, UTC.
    pub started: String,
    /// Operating system and architecture.
    pub machine: String,
    /// Cores available.
    pub cores: usize,
    /// Threads that computed.
    pub threads: usize,
    /// Where the coordinator computed.
    pub compute: ComputeReport,
}

/// Where the coordinator computes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ComputeReport {
    /// As asked for: auto, cpu or gpu.
    pub choice: String,
    /// The device; `null` on the processor.
    pub device: Option<DeviceReport>,
    /// The processor's instruction set, used for everything that a device does not do.
    pub isa: String,
    /// Why it computes there.
    pub reason: String,
    /// Why the device was given up and the processor did the rest; `null` if it was not.
    pub given_up: Option<String>,
    /// All of it in one line.
    pub summary: String,
}

/// A device, as its driver names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceReport {
    /// Its name.
    pub name: String,
    /// Its driver with the driver's version.
    pub driver: String,
    /// The interface it is reached through.
    pub api: String,
}

/// One test image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// Name of the image in its data set.
    pub name: String,
    /// Index of the true class.
    pub label: u8,
    /// Logits of the final model on plaintext.
    pub logits: Vec<f64>,
    /// Logits of the encrypted model, where this image was asked.
    pub encrypted_logits: Option<Vec<f64>>,
    /// Hospital that asked.
    pub asker: Option<u16>,
}

/// What a run hands back.
#[derive(Debug, Clone, PartialEq)]
pub struct RunOutcome {
    /// Goes to report.json and report.html.
    pub report: Report,
    /// Goes to predictions.parquet.
    pub predictions: Vec<Prediction>,
}

impl Report {
    /// True if every self-check held.
    pub fn verified(&self) -> bool {
        self.oracles.iter().all(|oracle| oracle.passed) && self.rounds.iter().all(|round| round.sum_exact)
    }
}

impl ExperimentBlock {
    /// The block of an experiment.
    pub fn of(experiment: &Experiment) -> Self {
        let federation = experiment.federation();
        Self {
            name: experiment.name().to_owned(),
            description: experiment.description().to_owned(),
            seed: experiment.seed(),
            hospitals: federation.hospitals,
            threshold: federation.threshold,
            min_cohort: federation.min_cohort,
            parameters: experiment.network().parameter_count(),
            classes: experiment.data().classes.clone(),
            plan_digest: hex::encode(experiment.digest()),
            final_step: experiment.publish().final_step,
        }
    }
}

impl Crypto {
    /// The block of an experiment.
    pub fn of(experiment: &Experiment) -> Self {
        let aggregation = experiment.encryption().preset;
        let serving = experiment.publish().preset;
        let (a, s) = (aggregation.params(), serving.params());
        Self {
            aggregation: AggregationParameters {
                preset: aggregation.to_string(),
                n: a.n,
                log_qp: a.log_qp(),
                limit: a.limit(),
            },
            serving: ServingParameters {
                preset: serving.to_string(),
                n: s.n,
                log_qp: s.log_qp(),
                limit: s.limit(),
                depth: s.depth(),
            },
        }
    }
}

impl Provenance {
    /// This process, now, which computes with so many threads.
    pub fn here(threads: usize, compute: ComputeReport) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            started: utc(std::time::SystemTime::now()),
            machine: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            threads,
            compute,
        }
    }
}

/// Reads what [`Report`] writes: `null` is not a number.
fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

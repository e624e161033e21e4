//! What an experiment would cost, computed before anything runs.

use std::fmt::Write;

use client::plan::{chunks_added, parts_added, proofs_checked};
use experiment::Experiment;
use he_agg::multiparty::{RELIN_REPETITIONS, RelinAnswer, RelinCommitment};
use he_infer::Summary;
use report::{Crypto, ExperimentBlock, bytes_text};
use serde::Serialize;
use serde_json::{Value, json};

use crate::plane_cost::{PlaneCost, planes_text};
use crate::prediction::Prediction;
use crate::privacy_cost::PrivacyCost;

/// Bytes of one 32-bit float, the unit that traffic is compared with.
const F32_BYTES: usize = 4;

/// The cost of one experiment.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// What would run.
    pub experiment: ExperimentBlock,
    /// Security of both presets.
    pub crypto: Crypto,
    /// One training round.
    pub training: TrainingCost,
    /// One query, the keys and the model.
    pub serving: ServingCost,
    /// What hides patients; null where nothing does.
    pub privacy: Option<PrivacyCost>,
    /// Time and precision of an answer; null until it was predicted.
    pub prediction: Option<Prediction>,
    #[serde(skip)]
    resolved: String,
    #[serde(skip)]
    rounds: u32,
}

/// What one round costs one hospital.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainingCost {
    /// Ciphertext chunks of one update.
    pub chunks: usize,
    /// Values of a full chunk.
    pub values_per_chunk: usize,
    /// Values per coefficient.
    pub lanes: usize,
    /// Bits of one value.
    pub lane_bits: u32,
    /// Bits below the lanes that hold all noise.
    pub guard_bits: u32,
    /// One full chunk without its header.
    pub chunk_bytes: usize,
    /// The update of one hospital, spare ciphertexts included.
    pub upload_bytes: usize,
    /// The update against the same parameters as plain 32-bit floats.
    pub upload_vs_f32: f64,
    /// The same for a large model, beside which headers and control lanes are nothing.
    pub full_chunk_vs_f32: f64,
    /// The decryption share of one of the decryptors.
    pub share_bytes: usize,
    /// The blinded sum that every hospital receives.
    pub download_bytes: usize,
    /// Updates and shares of everybody, which every hospital fetches to add the sum up itself; a long one's in part.
    pub checked_bytes: usize,
    /// Statistical security s of the flooding.
    pub flooding_bits: u32,
    /// Chunks that the keys may decrypt.
    pub epoch_releases: u64,
    /// Chunks that all rounds decrypt if no attempt is lost.
    pub planned_releases: u64,
}

/// What serving costs.
#[derive(Debug, Clone, Serialize)]
pub struct ServingCost {
    /// Levels that the model takes.
    pub depth: usize,
    /// Levels of the preset.
    pub depth_available: usize,
    /// What a hospital sends while the serving keys are made: shares of all gates, of the relinearisation key and of
    /// the rotation keys, and its own gate key.
    pub ceremony_sent_bytes: usize,
    /// What it fetches to add them up, and all gate keys; of rotation keys that it did not draw, the sum.
    pub ceremony_fetched_bytes: usize,
    /// Of what it sends, the proof that its relinearisation shares are made of short secrets: on the average, since
    /// coins say how much of it is opened.
    pub proof_bytes: usize,
    /// Of the others' proofs, how many it checks, each with the shares that it is about.
    pub proofs_checked: usize,
    /// Of the rotation keys, how many it adds up itself.
    pub rotations_added: usize,
    /// What a hospital sends when the model is published.
    pub publishing_sent_bytes: usize,
    /// What it fetches to add the model up; of weight vectors that it did not draw, the sum.
    pub publishing_fetched_bytes: usize,
    /// Of the model's weight vectors, how many it adds up itself.
    pub weights_added: usize,
    /// Questions made of planes; null where they are encrypted as they are.
    pub planes: Option<PlaneCost>,
    /// Operations, keys and bytes.
    #[serde(flatten)]
    pub summary: Summary,
    /// Statistical security s of an answer's flooding.
    pub flooding_bits: u32,
    /// Answers that the flooding is sized for.
    pub releases: u64,
    /// log2 of the bound on an answer's error that the flooding is sized for, in units of the scale.
    pub error_log2: u32,
    /// Standard deviation that the flooding of all decryptors gives a logit.
    pub flooding_logit_error: f64,
    /// Largest logit that images and weights of the plan's ranges give.
    pub logit_max: f64,
    /// Bytes of one answer: a sealed share of each decryptor.
    pub answer_bytes: usize,
    /// Bits that one answer carries, at most, to an asker that cheats.
    pub leak_bits_per_answer: u64,
    /// Bits that all answers under one set of keys may carry; null where the plan sets no bound.
    pub leak_bits: Option<u64>,
}

impl Plan {
    /// Computes the plan.
    pub fn of(experiment: &Experiment) -> Self {
        let layout = experiment.layout();
        let parameters = experiment.network().parameter_count();
        let chunks = layout.chunks(parameters);
        let sum_bytes = (0..).take(chunks).map(|chunk| layout.object_bytes(chunk)).sum();
        // Whichever are drawn: only the last is shorter.
        let added: usize = (0..).take(chunks_added(chunks)).map(|chunk| layout.object_bytes(chunk)).sum();
        let checked_bytes = added * usize::from(experiment.federation().hospitals + experiment.federation().threshold);
        // The spare ciphertexts travel with the first ones.
        let attempts = 1 + experiment.federation().attempts_ahead;
        let upload_bytes = sum_bytes * attempts as usize;
        let rounds = experiment.federation().rounds;
        let release = &experiment.publish().release;
        let summary = experiment.program().summary();
        let hospitals = usize::from(experiment.federation().hospitals);
        // Both halves of the relinearisation key in its first round, one in the second.
        let relinearisation = summary.relin_key_bytes / 2 * 3;
        let proof_bytes = proof_bytes(experiment);
        let threshold = usize::from(experiment.federation().threshold);
        let added = |of| parts_added(of, hospitals, threshold);
        let proofs_checked = proofs_checked(hospitals, threshold);
        let planes = PlaneCost::of(experiment, hospitals, proofs_checked);
        let planes_sent = planes.map_or(0, |planes| planes.sent_bytes);
        let ceremony_sent_bytes = (hospitals + 1) * summary.gate_bytes
            + relinearisation
            + proof_bytes
            + summary.galois_key_bytes
            + planes_sent;
        let (rotations_added, weights_added) = (added(summary.galois_keys), added(summary.weight_vectors));
        // Parts differ in size: as if those that are drawn were of the average one.
        let fetched = |added: usize, of: usize, brought: usize, sum: usize| {
            (hospitals * brought * added + sum * (of - added)) / of.max(1)
        };
        let rotations =
            fetched(rotations_added, summary.galois_keys, summary.galois_key_bytes, summary.galois_key_bytes);
        let proofs = hospitals * RelinCommitment::BYTES + proofs_checked * (relinearisation + proof_bytes);
        let planes_fetched = planes.map_or(0, |planes| planes.fetched_bytes);
        let ceremony_fetched_bytes =
            hospitals * (2 * summary.gate_bytes + relinearisation) + proofs + rotations + planes_fetched;
        let publishing_sent_bytes = summary.model_bytes / 2;
        let publishing_fetched_bytes =
            fetched(weights_added, summary.weight_vectors, publishing_sent_bytes, summary.model_bytes);
        Self {
            experiment: ExperimentBlock::of(experiment),
            crypto: Crypto::of(experiment),
            training: TrainingCost {
                chunks,
                values_per_chunk: layout.values_per_chunk(),
                lanes: layout.lanes(),
                lane_bits: layout.lane_bits(),
                guard_bits: layout.guard_bits(),
                chunk_bytes: layout.chunk_bytes(),
                upload_bytes,
                upload_vs_f32: upload_bytes as f64 / (F32_BYTES * parameters.max(1)) as f64,
                full_chunk_vs_f32: layout.expansion() * f64::from(attempts),
                share_bytes: sum_bytes,
                download_bytes: sum_bytes,
                checked_bytes,
                flooding_bits: layout.flooding().security(),
                epoch_releases: layout.flooding().releases(),
                planned_releases: chunks as u64 * u64::from(rounds) * u64::from(attempts),
            },
            serving: ServingCost {
                depth: summary.depth,
                depth_available: experiment.publish().preset.params().depth(),
                ceremony_sent_bytes,
                ceremony_fetched_bytes,
                proof_bytes,
                proofs_checked,
                rotations_added,
                publishing_sent_bytes,
                publishing_fetched_bytes,
                weights_added,
                planes,
                summary,
                flooding_bits: release.flooding.security(),
                releases: release.flooding.releases(),
                error_log2: release.bound.norm_log2(),
                flooding_logit_error: release.logit_error,
                logit_max: release.logit_max,
                answer_bytes: client::plan::NetworkPlan::answer_bytes(experiment),
                leak_bits_per_answer: experiment.leak_bits_per_answer(),
                leak_bits: experiment.publish().leak_bits,
            },
            privacy: PrivacyCost::of(experiment),
            prediction: None,
            resolved: experiment.resolved_toml(),
            rounds,
        }
    }

    /// For people: the resolved file, then what it costs.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let predicted = self.prediction.iter().flat_map(Prediction::lines);
        let names = std::iter::once("prediction").chain(std::iter::repeat(""));
        for (name, value) in self.lines().into_iter().chain(names.zip(predicted)) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:<12} {value}");
        }
        format!(
            "# Resolved experiment\n\n{}\n# Cost, computed; no hospital has run\n\n{}",
            self.resolved,
            text.trim_end()
        )
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let (experiment, training, serving) = (&self.experiment, &self.training, &self.serving);
        let (aggregation, served) = (&self.crypto.aggregation, &self.crypto.serving);
        let security = |preset: &str, n: usize, log_qp: f64, limit: u32| {
            format!("{preset:<9} ring degree {n:>5}   log2 of modulus {log_qp:.2} of at most {limit} for 128 bits")
        };
        let size = |bytes: usize| bytes_text(bytes as u64);
        vec![
            ("plan", experiment.plan_digest.clone()),
            (
                "federation",
                format!(
                    "{} hospitals, any {} decrypt, at least {} updates in a sum, {} rounds",
                    experiment.hospitals, experiment.threshold, experiment.min_cohort, self.rounds
                ),
            ),
            ("model", format!("{} parameters for {} classes", experiment.parameters, experiment.classes.len())),
            ("security", security(&aggregation.preset, aggregation.n, aggregation.log_qp, aggregation.limit)),
            ("", security(&served.preset, served.n, served.log_qp, served.limit)),
            (
                "upload",
                format!(
                    "{} per hospital and round{}, {:.2}x of 32-bit floats ({:.2}x for a large model)",
                    size(training.upload_bytes),
                    if training.upload_bytes > training.share_bytes { " with spare ciphertexts" } else { "" },
                    training.upload_vs_f32,
                    training.full_chunk_vs_f32
                ),
            ),
            (
                "",
                format!(
                    "{} more from each of the {} decryptors; {} down to everybody, {} more to add it up first",
                    size(training.share_bytes),
                    experiment.threshold,
                    size(training.download_bytes),
                    size(training.checked_bytes)
                ),
            ),
            (
                "chunks",
                format!(
                    "{} of up to {} values: {} lanes of {} bits above a guard of {} bits",
                    training.chunks, training.values_per_chunk, training.lanes, training.lane_bits, training.guard_bits
                ),
            ),
            (
                "flooding",
                format!(
                    "training s = {}, {} of {} releases; answers s = {}, up to {}",
                    training.flooding_bits,
                    training.planned_releases,
                    training.epoch_releases,
                    serving.flooding_bits,
                    serving.releases
                ),
            ),
            (
                "",
                format!(
                    "an answer's error stays below 2^{} whatever image and model the plan admits; flooding adds {:.1e} \
                     to a logit",
                    serving.error_log2, serving.flooding_logit_error
                ),
            ),
        ]
        .into_iter()
        .chain(self.privacy.iter().flat_map(PrivacyCost::lines))
        .chain(self.serving_lines())
        .collect()
    }

    fn serving_lines(&self) -> Vec<(&'static str, String)> {
        let (serving, size) = (&self.serving, |bytes: usize| bytes_text(bytes as u64));
        let keys = &serving.summary;
        vec![
            ("depth", format!("{} of {} levels", serving.depth, serving.depth_available)),
            (
                "keys",
                format!(
                    "{} rotation keys {}, relinearisation key {}",
                    keys.galois_keys,
                    size(keys.galois_key_bytes),
                    size(keys.relin_key_bytes)
                ),
            ),
            (
                "",
                format!(
                    "{} of each gate key; making all keys, a hospital sends {} and fetches {} to add them up",
                    size(keys.gate_bytes),
                    size(serving.ceremony_sent_bytes),
                    size(serving.ceremony_fetched_bytes)
                ),
            ),
            (
                "",
                format!(
                    "of it {} prove that its relinearisation shares are short; it checks {} of the others' proofs",
                    size(serving.proof_bytes),
                    serving.proofs_checked
                ),
            ),
            (
                "",
                format!(
                    "publishing, it sends {} and fetches {}; it adds {} of {} rotation keys, {} of {} weight vectors",
                    size(serving.publishing_sent_bytes),
                    size(serving.publishing_fetched_bytes),
                    serving.rotations_added,
                    keys.galois_keys,
                    serving.weights_added,
                    keys.weight_vectors
                ),
            ),
            ("planes", planes_text(serving.planes)),
            (
                "capacity",
                match (serving.leak_bits_per_answer, serving.leak_bits) {
                    (each, Some(all)) => format!("{each} bits per answer at most, {all} in all under its keys"),
                    (each, None) => format!("{each} bits per answer at most, without a bound in all"),
                },
            ),
            (
                "serving",
                format!(
                    "encrypted model {}, query {}, answer {}",
                    size(keys.model_bytes),
                    size(keys.gated_query_bytes),
                    size(serving.answer_bytes)
                ),
            ),
            (
                "",
                format!(
                    "{} products, {} rotations of which {} hoisted, {} relinearisations per image",
                    keys.products,
                    keys.hoisted_rotations + keys.full_rotations,
                    keys.hoisted_rotations,
                    keys.relinearisations
                ),
            ),
        ]
    }

    /// For programs: the costs, and the resolved experiment as a table.
    pub fn json(&self) -> Value {
        let resolved: toml::Table = toml::from_str(&self.resolved).unwrap_or_default();
        let mut value = serde_json::to_value(self).unwrap_or(Value::Null);
        if let Value::Object(object) = &mut value {
            object.insert("resolved".to_owned(), json!(resolved));
        }
        value
    }
}

/// What proves a hospital's relinearisation shares, on the average: of every other mask the masked secrets, of the
/// others a seed.
fn proof_bytes(experiment: &Experiment) -> usize {
    let (program, params) = (experiment.program(), experiment.publish().preset.params());
    let digits = program.key_plan().relin_limbs.div_ceil(params.alpha.max(1));
    let both = RelinAnswer::masked_bytes(params.n, digits) + RelinAnswer::SEED_BYTES;
    RelinCommitment::BYTES + RELIN_REPETITIONS * both / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment::DEMO;

    #[test]
    fn a_plan_says_what_the_flooding_of_answers_is_sized_for() {
        let experiment = Experiment::parse("demo.toml", DEMO, &[]).expect("the demo is valid");
        let (plan, release) = (Plan::of(&experiment), experiment.publish().release);
        let json = plan.json();
        let serving = &json["serving"];
        assert_eq!(serving["flooding_bits"], release.flooding.security());
        assert_eq!(serving["releases"], release.flooding.releases());
        assert_eq!(serving["error_log2"], release.bound.norm_log2());
        assert_eq!(serving["flooding_logit_error"], release.logit_error);
        assert_eq!(serving["logit_max"], release.logit_max);
        let (security, bound) = (release.flooding.security(), release.bound.norm_log2());
        let text = plan.text();
        assert!(text.contains(&format!("answers s = {security}, up to 65536")), "{text}");
        assert!(text.contains(&format!("an answer's error stays below 2^{bound} whatever image and model")), "{text}");
        assert!(text.contains(&format!("flooding adds {:.1e} to a logit", release.logit_error)), "{text}");
    }

    /// Of many hospitals none fetches what all bring to every part.
    #[test]
    fn large_consortia_fetch_what_they_draw_and_the_sum_of_the_rest() {
        let large = ["federation.hospitals=64", "federation.threshold=43"].map(str::to_owned);
        let experiment = Experiment::parse("demo.toml", DEMO, &large).expect("64 hospitals are a consortium");
        let Plan { serving, .. } = Plan::of(&experiment);
        let (sent, summary) = (serving.publishing_sent_bytes, &serving.summary);
        let share = |added: usize, of: usize| added as f64 / of as f64;
        for (added, of) in
            [(serving.rotations_added, summary.galois_keys), (serving.weights_added, summary.weight_vectors)]
        {
            assert!((0.197..0.30).contains(&share(added, of)), "{added} of {of}");
        }
        let drawn = share(serving.weights_added, summary.weight_vectors);
        let expected = sent as f64 * (64.0 * drawn + 2.0 * (1.0 - drawn));
        assert!((serving.publishing_fetched_bytes as f64 / expected - 1.0).abs() < 1e-6);
        let drawn = share(serving.rotations_added, summary.galois_keys);
        let rotations = summary.galois_key_bytes as f64 * (64.0 * drawn + 1.0 - drawn);
        // Of 63 other hospitals it checks 46, with both shares of each.
        assert_eq!(serving.proofs_checked, 46);
        let (shares, proof) = (1.5 * summary.relin_key_bytes as f64, serving.proof_bytes as f64);
        let proofs = 64.0 * RelinCommitment::BYTES as f64 + 46.0 * (shares + proof);
        let expected = 64.0 * (2.0 * 12_288_072.0 + shares) + proofs + rotations;
        assert!((serving.ceremony_fetched_bytes as f64 / expected - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_demo_plan_has_the_published_parameters() {
        let experiment = Experiment::parse("demo.toml", DEMO, &[]).expect("the demo is valid");
        let plan = Plan::of(&experiment);
        let text = plan.text();
        assert!(text.contains("log2 of modulus 209.97 of at most 214"), "{text}");
        assert!(text.contains("log2 of modulus 749.68 of at most 868"), "{text}");
        assert_eq!(plan.training.chunk_bytes, 215_040);
        // An update with its spare ciphertexts: two of them, each below the floats they stand for.
        let attempts = 1.0 + f64::from(experiment.federation().attempts_ahead);
        assert_eq!(plan.training.share_bytes, experiment.layout().update_bytes(plan.experiment.parameters));
        // One chunk of five updates and four shares.
        assert_eq!((plan.training.chunks, plan.training.checked_bytes), (1, 9 * plan.training.share_bytes));
        assert!(plan.training.upload_vs_f32 <= 0.85 * attempts, "{text}");
        assert_eq!((plan.experiment.hospitals, plan.experiment.threshold), (5, 4));
        assert!(plan.serving.depth <= plan.serving.depth_available);
        let serving = &plan.serving;
        assert_eq!(serving.summary.gate_bytes, 12_288_072, "4 digits of 25 primes");
        // Each fetches what all five send, but of the shares of gates those of its own alone, and all gate keys.
        let of_gates = 6 * 12_288_072;
        // 14 polynomials of 32,768 coefficients of 36 bits, for every other of 41 masks.
        assert_eq!(serving.proof_bytes / 1_000, 42_323);
        let proofs = 5 * RelinCommitment::BYTES + 4 * (serving.proof_bytes + serving.summary.relin_key_bytes / 2 * 3);
        assert_eq!(
            serving.ceremony_fetched_bytes - 10 * 12_288_072 - proofs,
            5 * (serving.ceremony_sent_bytes - of_gates - serving.proof_bytes)
        );
        assert_eq!(serving.proofs_checked, 4);
        assert!(text.contains("12.3 MB of each gate key; making all keys, a hospital sends "), "{text}");
        assert_eq!(serving.rotations_added, serving.summary.galois_keys);
        assert_eq!(serving.publishing_fetched_bytes, 5 * serving.publishing_sent_bytes);
        let json = plan.json();
        assert_eq!(json["resolved"]["federation"]["threshold"], 4);
        assert_eq!(json["crypto"]["serving"]["preset"], "INF15-90");
        assert_eq!(json["serving"]["depth"], 5);
        assert!(json["prediction"].is_null() && !text.contains("prediction"));
        let machine = he_infer::MachineFigures { transform_us: 20.0, product_us: 10.0 };
        let prediction = Prediction::of(&experiment, &machine, None).expect("the demo is predicted");
        let plan = Plan { prediction: Some(prediction.clone()), ..plan };
        let evaluation = plan.json()["prediction"]["evaluation_ms"].as_f64();
        assert!(evaluation.is_some_and(|ms| (ms / prediction.evaluation_ms - 1.0).abs() < 1e-9));
        let text = plan.text();
        assert!(text.contains("\nprediction   evaluation ") && text.contains("logit error "), "{text}");
    }
}

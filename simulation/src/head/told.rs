//! The report of a head that was measured.

use std::time::SystemTime;

use datasets::circulation::OUTPUTS;
use experiment::HeadExperiment;
use he_agg::Preset;
use he_train::{HeadLoss, Recipe};
use ndarray::Array2;
use report::{
    HeadCosts, HeadDataReport, HeadFigures, HeadMoments, HeadOutput, HeadParameters, HeadProtection, HeadQuality,
    HeadRecipeReport, HeadReport, HeadServing, HeadStep,
};

use super::Shadowed;
use super::encrypted::Encrypted;
use super::hospitals::REFRESHES;
use super::quality::{alike, figures, right};
use super::steps::StepTimes;

/// Everything that there is to tell.
pub(super) struct Told<'a> {
    pub(super) experiment: &'a HeadExperiment,
    pub(super) shadowed: &'a Shadowed,
    pub(super) exact: &'a Array2<f64>,
    pub(super) averaged: Option<&'a Array2<f64>>,
    pub(super) trained: Option<&'a Encrypted>,
    pub(super) started: SystemTime,
}

impl Told<'_> {
    /// The report, without what a machine's figures predict.
    pub(super) fn report(&self) -> HeadReport {
        HeadReport {
            schema: 1,
            name: self.experiment.name().to_owned(),
            description: self.experiment.description().to_owned(),
            seed: self.experiment.seed(),
            experiment: self.experiment.digest(),
            program: self.trained.map(|trained| hex::encode(trained.program)),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: report::utc(self.started),
            data: self.data(),
            recipe: self.recipe(),
            parameters: self.trained.map(|trained| self.parameters(trained)),
            quality: self.quality(),
            steps: self.steps(),
            costs: self.trained.map(costs),
            moments: self.shadowed.pooled.as_ref().map(|pooled| HeadMoments {
                ciphertext_bytes: pooled.bytes as u64,
                chunks: pooled.chunks,
                exact: pooled.exact,
            }),
            serving: self.trained.and_then(|trained| self.serving(trained)),
            protection: protection(self.trained),
            wall_s: self.started.elapsed().map_or(0.0, |time| time.as_secs_f64()),
        }
    }

    fn data(&self) -> HeadDataReport {
        let data = &self.shadowed.data;
        HeadDataReport {
            description: data.description.clone(),
            train_rows: data.train.labels.nrows(),
            test_rows: data.test.labels.nrows(),
            rows_of_hospitals: data.hospitals.iter().map(Vec::len).collect(),
            raw_features: self.shadowed.raw,
            dimension: data.train.features.ncols(),
            classes: data.names.len(),
            names: data.names.clone(),
        }
    }

    fn recipe(&self) -> HeadRecipeReport {
        let Recipe { loss, steps, rows_per_group, groups_per_batch, learning_rate, late_rate, .. } =
            self.shadowed.recipe;
        let (name, degree, logit_range) = match loss {
            HeadLoss::OneVersusRest { degree, range } => ("one sigmoid a class", Some(degree), Some(range)),
            HeadLoss::Squared => ("squares of differences", None, None),
        };
        HeadRecipeReport {
            loss: name.to_owned(),
            degree,
            logit_range,
            steps,
            rows_per_group,
            groups: self.shadowed.owners.len(),
            groups_per_batch,
            learning_rate,
            late_rate,
            momentum: self.shadowed.recipe.momentum,
            weight_decay: self.shadowed.recipe.weight_decay,
            features: self.shadowed.data.made.clone(),
            whitened: self.experiment.head().whitened,
        }
    }

    fn parameters(&self, trained: &Encrypted) -> HeadParameters {
        let params = Preset::Trn14.params();
        HeadParameters {
            preset: Preset::Trn14.name().to_owned(),
            n: params.n,
            // Whole bits, as one more than are there at most.
            log_qp: params.log_qp().ceil() as u32,
            security: "128-bit classical".to_owned(),
            rotation_keys: trained.rotations,
            key_bytes: trained.key_bytes,
            refresh_bits: self.experiment.head().refresh_bits,
            tau: REFRESHES,
            hospitals: self.experiment.hospitals(),
            threshold: trained.threshold,
            verifiers: trained.threshold,
        }
    }

    fn quality(&self) -> HeadQuality {
        let figured = |weights: &Array2<f64>| {
            let r2 = self.shadowed.data.scale.is_some().then(|| {
                let found = self.outputs(weights).iter().map(|output| output.r2).collect::<Vec<_>>();
                found.iter().sum::<f64>() / found.len().max(1) as f64
            });
            HeadFigures { r2, ..figures(&self.shadowed.data, weights) }
        };
        let compared =
            self.trained.map(|trained| alike(&self.shadowed.data, &self.shadowed.plain.weights, &trained.weights));
        HeadQuality {
            encrypted: self.trained.map(|trained| figured(&trained.weights)),
            shadow: figured(&self.shadowed.plain.weights),
            exact: figured(self.exact),
            averaged: self.averaged.map(figured),
            same_answers: compared.as_ref().filter(|_| self.shadowed.data.scale.is_none()).map(|(same, _)| *same),
            weight_error: compared.map(|(_, off)| off.iter().copied().fold(0.0, f64::max)),
            outputs: self.outputs(self.trained.map_or(&self.shadowed.plain.weights, |trained| &trained.weights)),
            largest_logit: self.shadowed.plain.logit_max,
        }
    }

    /// Of readings: every one of them, in its unit.
    fn outputs(&self, weights: &Array2<f64>) -> Vec<HeadOutput> {
        let Some(scale) = &self.shadowed.data.scale else { return Vec::new() };
        let given = scale.readings(&self.shadowed.data.test.features.dot(weights));
        let truth = scale.readings(&self.shadowed.data.test.labels);
        let columns = OUTPUTS.iter().zip(given.columns()).zip(truth.columns());
        let output = |((quantity, given), truth): ((&datasets::circulation::Quantity, _), _)| {
            let pairs: (Vec<f64>, Vec<f64>) =
                (ndarray::ArrayView1::to_vec(&given), ndarray::ArrayView1::to_vec(&truth));
            agreement((quantity.name, quantity.unit), &pairs.0, &pairs.1)
        };
        columns.map(output).collect()
    }

    fn steps(&self) -> Vec<HeadStep> {
        let times = |step: usize| self.trained.and_then(|trained| trained.steps.get(step));
        let of = |step: usize, part: fn(&StepTimes) -> f64| times(step).map(|times| 1e3 * part(times));
        let step = |(step, seen): (usize, &he_train::ShadowStep)| HeadStep {
            step: step + 1,
            loss: seen.error,
            largest_logit: seen.logit_max,
            evaluate_ms: of(step, |times| times.evaluate),
            verify_ms: of(step, |times| times.verify),
            refresh_ms: of(step, StepTimes::refresh),
        };
        self.shadowed.plain.trace.iter().enumerate().map(step).collect()
    }

    fn serving(&self, trained: &Encrypted) -> Option<HeadServing> {
        let served = trained.served.as_ref()?;
        let params = Preset::Inf15x90.params();
        Some(HeadServing {
            preset: Preset::Inf15x90.name().to_owned(),
            n: params.n,
            log_qp: params.log_qp().ceil() as u32,
            handover_s: trained.steps.last().map_or(0.0, StepTimes::refresh),
            transfer_s: served.transfer,
            ciphertexts: served.ciphertexts,
            queries: served.queries.len(),
            query_s: served.queries.clone(),
            off: served.off,
            right: right(&self.shadowed.data, &served.answers),
        })
    }
}

fn costs(trained: &Encrypted) -> HeadCosts {
    HeadCosts {
        upload_bytes: trained.upload.bytes as u64,
        ciphertexts: trained.ciphertexts,
        encrypt_s: trained.upload.encrypt,
        lift_s: trained.upload.lift,
        refreshes: trained.steps.iter().map(|step| 1 + step.voided as usize).sum(),
        share_bytes: trained.steps.first().map_or(0, |times| times.bytes as u64),
        predicted_step_ms: None,
        critical_s: trained.critical(),
        here_s: trained.here(),
        keys_s: trained.keys,
    }
}

fn protection(trained: Option<&Encrypted>) -> HeadProtection {
    HeadProtection {
        decryptions_of_head: 0,
        opened_to_measure: trained.is_some(),
        // A refusal ends the training with an error.
        verified_steps: trained.map_or(0, |trained| trained.steps.len()),
        refused_steps: 0,
        scanned_bytes: trained.map_or(0, |trained| trained.sight.bytes()),
        found: trained.map_or_else(Vec::new, |trained| trained.sight.found().to_vec()),
        needles: trained.map_or(0, |trained| trained.sight.needles()),
    }
}

/// How one reading agrees with the truth (Bland and Altman, Lancet 1986: bias, and 1.96 deviations to both sides).
fn agreement((name, unit): (&str, &str), given: &[f64], truth: &[f64]) -> HeadOutput {
    let count = truth.len().max(1) as f64;
    let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / count;
    let differences: Vec<f64> = given.iter().zip(truth).map(|(given, truth)| given - truth).collect();
    let bias = mean(&mut differences.iter().copied());
    let deviation = mean(&mut differences.iter().map(|difference| (difference - bias).powi(2))).sqrt();
    let middle = mean(&mut truth.iter().copied());
    let whole = mean(&mut truth.iter().map(|truth| (truth - middle).powi(2)));
    let left = mean(&mut differences.iter().map(|difference| difference.powi(2)));
    HeadOutput {
        name: name.to_owned(),
        unit: unit.to_owned(),
        relative_error: mean(&mut differences.iter().zip(truth).map(|(difference, truth)| (difference / truth).abs())),
        r2: 1.0 - left / whole,
        bias,
        limits: (bias - 1.96 * deviation, bias + 1.96 * deviation),
        points: given.iter().zip(truth).map(|(given, truth)| ((given + truth) / 2.0, given - truth)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agreement_is_what_it_is_by_hand() {
        let output = agreement(("pressure", "mmHg"), &[101.0, 81.0, 120.0, 98.0], &[100.0, 80.0, 120.0, 100.0]);
        // Differences 1, 1, 0, -2: mean 0, mean square 1.5; truth of mean 100 and mean square 200.
        assert_eq!((output.bias, output.r2), (0.0, 1.0 - 1.5 / 200.0));
        assert!((output.limits.1 - 1.96 * 1.5f64.sqrt()).abs() < 1e-12 && output.limits.0 == -output.limits.1);
        assert!((output.relative_error - (0.01 + 0.0125 + 0.02) / 4.0).abs() < 1e-12);
        assert_eq!(output.points, [(100.5, 1.0), (80.5, 1.0), (120.0, 0.0), (99.0, -2.0)]);
        let shifted = agreement(("x", "y"), &[3.0, 4.0], &[1.0, 2.0]);
        assert_eq!((shifted.bias, shifted.limits), (2.0, (2.0, 2.0)));
    }
}

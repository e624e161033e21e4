//! What an experiment with a table `[head]` would cost, and whether its logits stay in range, before anything is
//! encrypted.

use std::path::Path;

use experiment::{HeadExperiment, HeadTraining};
use he_agg::Preset;
use he_train::encrypted::{HeadError, HeadProgram};
use he_train::{HeadLoss, Recipe};
use report::{HeadFigures, bytes_text, milliseconds_text, seconds_text};
use serde::Serialize;
use serde_json::{Value, json};
use simulation::head::{HeadSurvey, REFRESHES, survey};

use crate::{error::BenchError, head_step};

/// The cost of one head.
#[derive(Debug, Clone, Serialize)]
pub struct HeadPlan {
    /// Digest of the experiment in hexadecimal.
    pub plan_digest: String,
    /// Its name.
    pub name: String,
    /// Hospitals.
    pub hospitals: u16,
    /// Hospitals that refresh after every step, each of which takes the step itself first.
    pub threshold: u16,
    /// Features of a row, the constant included.
    pub dimension: usize,
    /// Classes, or readings; 1 for two classes.
    pub classes: usize,
    /// Steps, each of which ends in a refresh.
    pub steps: usize,
    /// The polynomial is good for logits from minus this to this; null where there is none.
    pub logit_range: Option<f64>,
    /// On ciphertexts; null where the head is trained in the clear.
    pub encrypted: Option<EncryptedCost>,
    /// What the data say; null where nobody named them.
    pub data: Option<SurveyedData>,
    #[serde(skip)]
    resolved: String,
}

/// What training on ciphertexts costs.
#[derive(Debug, Clone, Serialize)]
pub struct EncryptedCost {
    /// Parameter set.
    pub preset: String,
    /// Ring degree.
    pub n: usize,
    /// log2 of the whole modulus.
    pub log_qp: f64,
    /// What it may be for 128 bits.
    pub log_qp_limit: u32,
    /// Rotation keys of a step.
    pub rotation_keys: usize,
    /// Of one hospital: shares of rotation keys, and of the relinearisation key's last round.
    pub key_bytes: usize,
    /// Rows of a group.
    pub rows_per_group: usize,
    /// Features and labels of one group, encrypted.
    pub group_bytes: usize,
    /// Ciphertexts that a refresh renews.
    pub packages: usize,
    /// What one decryptor sends in one refresh.
    pub refresh_bytes: usize,
    /// Statistical security of a refresh, bits.
    pub refresh_bits: u32,
    /// Refreshes that it holds for.
    pub tau: u64,
    /// One step of the coordinator, milliseconds, and of each hospital that takes it again at the same time; null until
    /// this machine took one, and where its rows are too many for it to.
    pub step_ms: Option<f64>,
    /// Groups of rows that it is taken of: the file's, or more where the data leave most places of a group empty.
    pub step_groups: usize,
    /// Threads of the measurement.
    pub threads: usize,
}

/// What steps on plain numbers say of the data.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SurveyedData {
    /// Rows to train on.
    pub rows: usize,
    /// Groups of rows.
    pub groups: usize,
    /// Features and labels of all hospitals, encrypted; 0 where the head is trained in the clear.
    pub upload_bytes: usize,
    /// Largest logit of all steps.
    pub logit_max: f64,
    /// Largest weight of all steps.
    pub weight_max: f64,
    /// What the same steps reach on plain numbers.
    pub reached: HeadFigures,
}

impl HeadPlan {
    /// Computes the plan, without data and without this machine's time.
    ///
    /// # Errors
    /// None is expected for an experiment that was read.
    pub fn of(experiment: &HeadExperiment) -> Result<Self, BenchError> {
        let head = experiment.head();
        let logit_range = match head.recipe.loss {
            HeadLoss::OneVersusRest { range, .. } => Some(range),
            HeadLoss::Squared => None,
        };
        let encrypted = match head.train {
            HeadTraining::Encrypted => {
                let batch = head.recipe.groups_per_batch;
                Some(EncryptedCost::of(experiment, &program(experiment, StepGroups { groups: batch, batch })?)?)
            }
            HeadTraining::Clear => None,
        };
        Ok(Self {
            plan_digest: experiment.digest(),
            name: experiment.name().to_owned(),
            hospitals: experiment.hospitals(),
            threshold: experiment.threshold(),
            dimension: head.dimension,
            classes: experiment.classes(),
            steps: head.recipe.steps,
            logit_range,
            encrypted,
            data: None,
            resolved: experiment.resolved(),
        })
    }

    /// The same with this machine's time for a step, and where data are there with what they say.
    ///
    /// # Errors
    /// Data that do not fit, or logits that leave their range.
    pub fn now(experiment: &HeadExperiment, data: Option<&Path>) -> Result<Self, BenchError> {
        let mut plan = Self::of(experiment)?;
        let source = data.or_else(|| experiment.source());
        let batch = experiment.head().recipe.groups_per_batch;
        let mut stepped = StepGroups { groups: 2 * batch, batch };
        if source.is_some() || experiment.is_generated() {
            let HeadSurvey { groups, batch, rows, logit_max, weight_max, reached } = survey(experiment, source)?;
            stepped = StepGroups { groups, batch };
            let upload_bytes = plan.encrypted.as_ref().map_or(0, |cost| groups * cost.group_bytes);
            plan.data = Some(SurveyedData { rows, groups, upload_bytes, logit_max, weight_max, reached });
        }
        if let Some(cost) = &mut plan.encrypted {
            cost.step_ms = step_ms(experiment, stepped)?;
            cost.step_groups = stepped.batch;
        }
        Ok(plan)
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut lines = vec![
            ("plan", self.plan_digest.clone()),
            (
                "head",
                format!(
                    "{} features to {}, {} steps; {} hospitals, any {} refresh",
                    self.dimension, self.classes, self.steps, self.hospitals, self.threshold
                ),
            ),
        ];
        match &self.encrypted {
            Some(cost) => lines.extend(cost.lines(self.steps, self.threshold)),
            None => lines.push(("training", "in the clear, to compare: nothing is encrypted".to_owned())),
        }
        lines.extend(self.data_lines());
        let line = |(name, text): (&str, String)| format!("{name:<10} {text}\n");
        lines.into_iter().map(line).collect::<String>().trim_end().to_owned()
    }

    fn data_lines(&self) -> Vec<(&'static str, String)> {
        let Some(data) = &self.data else {
            let text = "not looked at: name them with --data, and steps in the clear tell the range of the logits, and \
                        how many groups a step takes where few rows fill them";
            return vec![("data", text.to_owned())];
        };
        let range = match self.logit_range {
            Some(range) => format!("largest logit {:.1} of {range}", data.logit_max),
            None => "no polynomial, hence no range".to_owned(),
        };
        let HeadFigures { accuracy, auc, relative_error, .. } = data.reached;
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let reached = [
            accuracy.map(|share| format!("{} right", percent(share))),
            auc.map(|area| format!("AUC {area:.4}")),
            relative_error.map(|error| format!("mean relative error {:.3} %", 100.0 * error)),
        ];
        let reached = reached.into_iter().flatten().collect::<Vec<_>>().join(", ");
        let mut lines = vec![("data", format!("{} rows in {} groups", data.rows, data.groups))];
        if data.upload_bytes > 0 {
            let each = data.upload_bytes as u64 / u64::from(self.hospitals.max(1));
            let (all, each) = (bytes_text(data.upload_bytes as u64), bytes_text(each));
            lines.push(("upload", format!("{all} of features and labels, {each} of a hospital on the average")));
        }
        lines.push((
            "range",
            format!("{range}, largest weight {:.1}, in the same steps on plain numbers", data.weight_max),
        ));
        lines.push(("", format!("which reach {reached} on test rows")));
        lines
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

impl EncryptedCost {
    fn of(experiment: &HeadExperiment, program: &HeadProgram) -> Result<Self, BenchError> {
        let (preset, plan) = (program.preset(), program.key_plan());
        let params = preset.params();
        Ok(Self {
            preset: preset.name().to_owned(),
            n: params.n,
            log_qp: params.log_qp(),
            log_qp_limit: params.limit(),
            rotation_keys: plan.normalised(preset)?.len(),
            key_bytes: plan.rotation_bytes(preset)? + plan.relinearization_bytes(preset),
            rows_per_group: program.layout().rows(),
            group_bytes: program.group_bytes(),
            packages: program.tree().packages(),
            refresh_bytes: program.refresh_bytes(),
            refresh_bits: experiment.head().refresh_bits,
            tau: REFRESHES,
            step_ms: None,
            step_groups: program.batch(0).count(),
            threads: rayon::current_num_threads(),
        })
    }

    fn lines(&self, steps: usize, threshold: u16) -> Vec<(&'static str, String)> {
        let size = |bytes: usize| bytes_text(bytes as u64);
        let (n, log_qp, limit) = (self.n, self.log_qp, self.log_qp_limit);
        let security = format!("ring degree {n}   log2 of modulus {log_qp:.2} of at most {limit} for 128 bits");
        let refreshed = size(steps * self.refresh_bytes);
        let mut lines = vec![
            ("security", format!("{}   {security}", self.preset)),
            ("keys", format!("{} of each hospital, {} rotations among them", size(self.key_bytes), self.rotation_keys)),
            ("group", format!("{} for {} rows, encrypted", size(self.group_bytes), self.rows_per_group)),
            (
                "refreshes",
                format!(
                    "{steps} of {} ciphertexts; each of {threshold} decryptors sends {} a step, {refreshed} in all",
                    self.packages,
                    size(self.refresh_bytes)
                ),
            ),
            ("flooding", format!("s = {} for up to {} refreshes", self.refresh_bits, self.tau)),
        ];
        lines.extend(self.step_ms.map(|step| {
            let all = seconds_text(1e-3 * step * steps as f64);
            let text = format!(
                "{} a step of {} groups with {} threads, {all} for all, as one takes here now; refreshes and network \
                 come on top",
                milliseconds_text(step),
                self.step_groups,
                self.threads
            );
            ("time", text)
        }));
        lines
    }
}

/// What a step is taken of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StepGroups {
    /// Groups of rows of all hospitals.
    pub groups: usize,
    /// Of which a step takes so many: more than the file says where few rows leave most places of a group empty.
    pub batch: usize,
}

/// Milliseconds of one step of the coordinator: some are taken now. `None` where their rows are too many for a plan.
///
/// # Errors
/// What an operation says; none is expected to.
pub fn step_ms(experiment: &HeadExperiment, stepped: StepGroups) -> Result<Option<f64>, BenchError> {
    // Enough that no step finds its rows in a cache.
    let groups = stepped.groups.min(2 * stepped.batch);
    head_step::step_ms(&program(experiment, StepGroups { groups, ..stepped })?)
}

/// The steps, of rows that fill the groups.
fn program(experiment: &HeadExperiment, StepGroups { groups, batch }: StepGroups) -> Result<HeadProgram, HeadError> {
    let recipe = Recipe { groups_per_batch: batch, ..experiment.head().recipe };
    let rows = recipe.rows_per_group * groups;
    HeadProgram::new(Preset::Trn14, recipe, (rows, experiment.head().dimension), experiment.classes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use simulation::head::HeadRunError;

    const READINGS: &str = include_str!("../../configs/head-circulation.toml");

    fn planned(changes: &[&str]) -> (HeadExperiment, HeadPlan) {
        let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
        let experiment = HeadExperiment::parse("x.toml", READINGS, &changes).unwrap();
        let plan = HeadPlan::of(&experiment).unwrap();
        (experiment, plan)
    }

    #[test]
    fn bytes_are_those_of_the_objects() {
        let (_, plan) = planned(&[]);
        let cost = plan.encrypted.as_ref().unwrap();
        // 220 features in blocks of 16, of 7 primes of 30 bits, and labels of 5.
        let limb = 16_384 * 30 / 8;
        assert_eq!((cost.group_bytes, cost.packages), (14 * (72 + 7 * limb) + 72 + 5 * limb, 1));
        assert_eq!(cost.refresh_bytes, 72 + 3 * limb + 72 + 7 * limb);
        assert_eq!((cost.rows_per_group, cost.tau, cost.refresh_bits), (512, 4_096, 48));
        assert!(plan.text().contains("12 of 1 ciphertexts; each of 4 decryptors"), "{}", plan.text());
        assert_eq!(plan.json()["resolved"]["head"]["steps"], 12);
    }

    #[test]
    fn the_range_is_that_of_steps_on_plain_numbers() {
        let (experiment, _) = planned(&["head.train=clear"]);
        let plan = HeadPlan::now(&experiment, None).unwrap();
        let data = plan.data.as_ref().unwrap();
        assert!(plan.encrypted.is_none() && data.upload_bytes == 0 && data.rows > 6_000, "{data:?}");
        assert!(data.reached.relative_error.is_some_and(|error| error < 0.003), "{data:?}");
        // A momentum that no small numbers make is a matter of ciphertexts.
        let (clear, _) = planned(&["head.train=clear", "head.momentum=0.451"]);
        assert!(HeadPlan::now(&clear, None).is_ok());
        assert!(plan.text().contains("nothing is encrypted") && plan.text().contains("no range"), "{}", plan.text());
    }

    #[test]
    fn weights_that_a_refresh_would_not_carry_are_refused() {
        let fast = ["head.learning-rate=6.0", "head.late-rate=6.0", "head.momentum=0.0", "head.steps=3"];
        let (experiment, _) = planned(&[&fast[..], &["data.simulate.circulation.patients=4096"]].concat());
        let error = survey(&experiment, None).unwrap_err();
        assert!(matches!(&error, HeadRunError::Head(HeadError::Weights { limit, .. }) if *limit == 64.0), "{error}");
    }

    #[test]
    fn data_that_nobody_names_are_not_looked_at() {
        let text = include_str!("../../configs/head-mnist.toml");
        let experiment = HeadExperiment::parse("x.toml", text, &["head.train=clear".to_owned()]).unwrap();
        let plan = HeadPlan::now(&experiment, None).unwrap();
        assert!(plan.data.is_none() && plan.text().contains("--data"), "{}", plan.text());
        let error = HeadPlan::now(&experiment, Some(Path::new("/nowhere"))).unwrap_err();
        assert!(error.to_string().contains("/nowhere"), "{error}");
    }
}

//! The experiment file as it is written: optional keys, nothing checked but names and types.

use he_infer::LayerSpec;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ExperimentLiteral {
    /// Checked by the schema; there is one version so far.
    #[serde(rename = "schema")]
    pub(super) _schema: Option<u32>,
    pub(super) experiment: Heading,
    #[serde(default)]
    pub(super) federation: FederationLiteral,
    pub(super) data: DataLiteral,
    pub(super) model: ModelLiteral,
    /// Kept as a table: one key is ours, the rest is the trainer's own type.
    #[serde(default)]
    pub(super) train: toml::Table,
    pub(super) privacy: Option<PrivacyLiteral>,
    #[serde(default)]
    pub(super) encryption: EncryptionLiteral,
    #[serde(default)]
    pub(super) publish: PublishLiteral,
    #[serde(default)]
    pub(super) compute: ComputeLiteral,
    #[serde(default)]
    pub(super) report: ReportLiteral,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Heading {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) seed: Option<u64>,
}

/// A number, or the word `"auto"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auto {
    Auto,
    Number(u32),
}

impl<'de> Deserialize<'de> for Auto {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u32),
            Word(serde::de::IgnoredAny),
        }
        // The schema lets no other word through.
        Ok(match Either::deserialize(deserializer)? {
            Either::Number(number) => Self::Number(number),
            Either::Word(_) => Self::Auto,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct FederationLiteral {
    pub(super) hospitals: Option<u16>,
    pub(super) threshold: Option<Auto>,
    pub(super) min_cohort: Option<Auto>,
    pub(super) rounds: Option<u32>,
    pub(super) round_deadline: Option<String>,
    pub(super) patience: Option<String>,
    pub(super) attempts_max: Option<u32>,
    pub(super) attempts_ahead: Option<u32>,
    pub(super) weights: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct PrivacyLiteral {
    pub(super) mode: String,
    pub(super) epsilon: Option<f64>,
    pub(super) delta: Option<f64>,
    pub(super) sampling_rate: Option<f64>,
    pub(super) clip_norm: Option<f64>,
    pub(super) local_steps: Option<u32>,
    pub(super) images_per_patient: Option<usize>,
    pub(super) class_prior: Option<Vec<f64>>,
}

impl PrivacyLiteral {
    /// Whether patients are hidden.
    pub(super) fn is_on(&self) -> bool {
        self.mode == "local"
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct DataLiteral {
    pub(super) format: String,
    pub(super) classes: Vec<String>,
    pub(super) image: ImageLiteral,
    #[serde(default)]
    pub(super) normalise: NormaliseLiteral,
    #[serde(default)]
    pub(super) split: SplitLiteral,
    #[serde(default)]
    pub(super) simulate: SimulateLiteral,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ImageLiteral {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) channels: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct NormaliseLiteral {
    pub(super) mean: Option<f32>,
    pub(super) std: Option<f32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SplitLiteral {
    pub(super) train: Option<f64>,
    pub(super) validation: Option<f64>,
    pub(super) test: Option<f64>,
    pub(super) by: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct SimulateLiteral {
    pub(super) source: Option<String>,
    pub(super) partition: Option<String>,
    pub(super) alpha: Option<f64>,
    pub(super) max_samples: Option<usize>,
    pub(super) phantom: Option<PhantomLiteral>,
    pub(super) angiography: Option<AngiographyLiteral>,
    /// The schema lets it through in files of heads only.
    pub(super) circulation: Option<CirculationLiteral>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct CirculationLiteral {
    pub(super) patients: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct AngiographyLiteral {
    pub(super) patients_per_hospital: Option<usize>,
    pub(super) views_per_patient: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct PhantomLiteral {
    pub(super) patients_per_hospital: Option<usize>,
    pub(super) slices_per_patient: Option<usize>,
    pub(super) difficulty: Option<f64>,
    pub(super) proportions: Option<[f64; 3]>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ModelLiteral {
    pub(super) layers: Vec<LayerSpec>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct EncryptionLiteral {
    pub(super) preset: Option<String>,
    pub(super) lane_bits: Option<u32>,
    pub(super) clip: Option<f64>,
    pub(super) flooding_bits: Option<u32>,
    pub(super) epoch_releases: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct PublishLiteral {
    pub(super) name: Option<String>,
    pub(super) preset: Option<String>,
    /// There is one kind of release so far, and the schema allows no other.
    #[serde(rename = "release")]
    pub(super) _release: Option<String>,
    pub(super) queries: Option<usize>,
    pub(super) images: Option<usize>,
    pub(super) questions: Option<String>,
    pub(super) quota: Option<u64>,
    pub(super) leak_bits: Option<u64>,
    pub(super) releases: Option<u64>,
    pub(super) gain: Option<f64>,
    pub(super) clip: Option<f64>,
    pub(super) figures: Option<String>,
    pub(super) final_step: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ComputeLiteral {
    pub(super) backend: Option<String>,
    pub(super) threads: Option<Auto>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct ReportLiteral {
    pub(super) formats: Option<Vec<String>>,
}

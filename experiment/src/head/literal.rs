//! The file of a head as it is written: optional keys, nothing checked but names and types.

use serde::Deserialize;

use crate::literal::{
    ComputeLiteral, FederationLiteral, Heading, ImageLiteral, PublishLiteral, ReportLiteral, SimulateLiteral,
    SplitLiteral,
};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct HeadFileLiteral {
    /// Checked by the schema; there is one version so far.
    #[serde(rename = "schema")]
    pub(super) _schema: Option<u32>,
    pub(super) experiment: Heading,
    #[serde(default)]
    pub(super) federation: FederationLiteral,
    pub(super) data: HeadDataLiteral,
    pub(super) head: HeadLiteral,
    #[serde(default)]
    pub(super) publish: PublishLiteral,
    #[serde(default)]
    pub(super) compute: ComputeLiteral,
    #[serde(default)]
    pub(super) report: ReportLiteral,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct HeadDataLiteral {
    pub(super) format: String,
    pub(super) classes: Option<Vec<String>>,
    pub(super) labels: Option<Vec<u8>>,
    pub(super) image: Option<ImageLiteral>,
    #[serde(default)]
    pub(super) split: SplitLiteral,
    #[serde(default)]
    pub(super) simulate: SimulateLiteral,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct HeadLiteral {
    pub(super) train: Option<String>,
    pub(super) features: Option<String>,
    pub(super) backbone: Option<String>,
    pub(super) dimension: Option<usize>,
    pub(super) whiten: Option<String>,
    pub(super) loss: Option<String>,
    pub(super) degree: Option<usize>,
    pub(super) logit_range: Option<f64>,
    pub(super) steps: Option<usize>,
    pub(super) groups_per_batch: Option<usize>,
    pub(super) learning_rate: Option<f64>,
    pub(super) late_rate: Option<f64>,
    pub(super) momentum: Option<f64>,
    pub(super) weight_decay: Option<f64>,
    /// There is one so far, and the schema allows no other.
    #[serde(rename = "preset")]
    pub(super) _preset: Option<String>,
    pub(super) refresh_bits: Option<u32>,
}

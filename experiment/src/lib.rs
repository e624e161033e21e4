//! The experiment: one TOML file, checked as a whole before anything runs.
//!
//! `document` parses it with lines, `schema` says which keys there are, `literal` is the file as written and
//! [`Experiment`] the result of `resolve`, which nobody has to check again. Files with a table `[head]` are a
//! [`HeadExperiment`] in the same way; [`Described`] takes both.

mod asked;
mod check;
mod document;
mod error;
mod head;
mod hours;
mod images;
mod kind;
mod literal;
mod nearest;
mod privacy;
mod release;
mod resolve;
mod schema;
mod settings;
mod share;
mod site;
#[cfg(test)]
mod tests;
pub mod train;
mod write;

use std::path::Path;

use datasets::{Generator, LoadOptions};
use he_agg::aggregation::LaneLayout;
use he_infer::{Network, Program};

use self::document::Document;
pub use he_agg::DeviceChoice;
pub use hours::Hours;
pub use kind::parse_duration;
pub use resolve::{PLANES_MAX, QUESTION_BYTES_MAX};
pub use share::Share;

pub use self::{
    asked::AskedModel,
    document::{Origin, Place},
    error::{Conflict, ExperimentError, Fault, Faults, OverrideFault},
    head::{
        Described, FEATURES_MAX, Head, HeadCirculation, HeadConflict, HeadData, HeadExperiment, HeadFeatures,
        HeadImages, HeadTraining, LEGENDRE_DEGREE,
    },
    privacy::{NOISE_DELTA, Privacy, PrivacyConflict},
    release::Release,
    settings::{
        Angiography, Compute, DataFormat, DataPlan, Encryption, Federation, Generated, Phantom, Publish, ReportFormats,
        Weighting,
    },
    site::{AuditSite, DataSite, NetworkSite, PacsSite, Policy, PortalSite, Site, TrainSite, VaultSite},
};
use self::{images::Drawn, train::TrainSettings};

/// The built-in experiment of `consilium demo`.
pub const DEMO: &str = include_str!("../../configs/demo.toml");

/// A checked experiment.
#[derive(Debug, Clone)]
pub struct Experiment {
    name: String,
    description: String,
    seed: u64,
    federation: Federation,
    data: DataPlan,
    program: Program,
    layout: LaneLayout,
    local_epochs: usize,
    train: TrainSettings,
    privacy: Option<Privacy>,
    encryption: Encryption,
    publish: Publish,
    compute: Compute,
    report: ReportFormats,
    /// The file as it was read.
    text: String,
}

impl Experiment {
    /// Reads and checks a file, after applying `--set` assignments in order.
    ///
    /// # Errors
    /// Every fault of the file with its line; see [`ExperimentError`].
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, ExperimentError> {
        let (document, text) = Document::read(path)?;
        Self::check(document, text, overrides)
    }

    /// Checks text that comes from no file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`Experiment::load`].
    pub fn parse(name: &str, text: &str, overrides: &[String]) -> Result<Self, ExperimentError> {
        Self::check(Document::parse(name, text)?, text.to_owned(), overrides)
    }

    fn check(mut document: Document, text: String, overrides: &[String]) -> Result<Self, ExperimentError> {
        if document.trains_head() {
            return Err(ExperimentError::TrainsHead { file: document.file });
        }
        for assignment in overrides {
            document.set(assignment)?;
        }
        resolve::resolve(&document, text)
    }

    /// Name, a-z, 0-9 and hyphen.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A sentence for people; may be empty.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Seed of split, initial weights and sampling; never of keys or noise.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// `[federation]`.
    pub fn federation(&self) -> &Federation {
        &self.federation
    }

    /// `[data]`.
    pub fn data(&self) -> &DataPlan {
        &self.data
    }

    /// What the reader needs; only for formats that are read.
    pub fn load_options(&self) -> LoadOptions {
        let data = &self.data;
        LoadOptions {
            height: data.height,
            width: data.width,
            channels: data.channels,
            mean: data.mean,
            std: data.std,
            classes: data.classes.clone(),
            split: data.split,
            split_by: data.split_by,
            seed: self.seed,
            max_samples: data.max_samples,
        }
    }

    /// What draws the images; `None` where they are read.
    pub fn generator(&self) -> Option<Generator> {
        let data = &self.data;
        let drawn = Drawn {
            hospitals: self.federation.hospitals,
            height: data.height,
            width: data.width,
            split: data.split,
            mean: data.mean,
            std: data.std,
            seed: self.seed,
        };
        Some(drawn.generator(data.generated?))
    }

    /// `[model]`, checked against the image.
    pub fn network(&self) -> &Network {
        self.program.network()
    }

    /// The model as operations on ciphertexts of the serving preset.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The shape of a chunk in training rounds.
    pub fn layout(&self) -> &LaneLayout {
        &self.layout
    }

    /// Epochs at each hospital in each round.
    pub fn local_epochs(&self) -> usize {
        self.local_epochs
    }

    /// `[train]`.
    pub fn train(&self) -> &TrainSettings {
        &self.train
    }

    /// `[privacy]`; `None` where patients are not hidden.
    pub fn privacy(&self) -> Option<&Privacy> {
        self.privacy.as_ref()
    }

    /// `[encryption]`.
    pub fn encryption(&self) -> &Encryption {
        &self.encryption
    }

    /// `[publish]`.
    pub fn publish(&self) -> &Publish {
        &self.publish
    }

    /// Bits that one answer carries, at most, to whoever chose its result at will: what one honest decryptor's flooding
    /// leaves of the modulus. Everything where nothing floods.
    pub fn leak_bits_per_answer(&self) -> u64 {
        self.publish.release.leak_bits_per_answer(self.program())
    }

    /// `[compute]`.
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// `[report]`.
    pub fn report(&self) -> ReportFormats {
        self.report
    }

    /// The file as it was read, before `--set`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every key with its value, defaults and `--set` included; itself a valid experiment file.
    pub fn resolved_toml(&self) -> String {
        write::to_text(&write::everything(self), schema::ROOT)
    }

    /// SHA-256 of the resolved plan without the tables that only matter on this machine.
    pub fn digest(&self) -> [u8; 32] {
        write::digest("consilium plan 1\n", &write::plan(self))
    }
}

//! Files with a table `[head]`: one layer of weights on features that hospitals compute themselves, trained on
//! ciphertexts of them.
//!
//! As for networks, `schema` says which keys there are, `literal` is the file as written and [`HeadExperiment`] the
//! result of `resolve`, which nobody has to check again. [`Described`] tells the two kinds of files apart.

mod conflict;
mod described;
mod literal;
mod resolve;
mod schema;
mod settings;
#[cfg(test)]
mod tests;
mod write;

use std::{fmt::Write as _, path::Path, time::Duration};

use datasets::{Generator, LoadOptions, circulation::OUTPUTS};

pub use self::{
    conflict::HeadConflict,
    described::Described,
    resolve::{FEATURES_MAX, LEGENDRE_DEGREE},
    settings::{Head, HeadCirculation, HeadData, HeadFeatures, HeadImages, HeadTraining},
};
use crate::{
    document::Document,
    error::ExperimentError,
    images::Drawn,
    settings::{Compute, ReportFormats},
};

/// A checked file with a table `[head]`.
#[derive(Debug, Clone)]
pub struct HeadExperiment {
    name: String,
    description: String,
    seed: u64,
    hospitals: u16,
    threshold: u16,
    round_deadline: Duration,
    patience: Duration,
    data: HeadData,
    head: Head,
    model: String,
    queries: usize,
    compute: Compute,
    report: ReportFormats,
    /// The file as it was read.
    text: String,
}

impl HeadExperiment {
    /// Reads and checks a file, after applying `--set` assignments in order.
    ///
    /// # Errors
    /// Every fault of the file with its line, and [`ExperimentError::TrainsNetwork`].
    pub fn load(path: &Path, overrides: &[String]) -> Result<Self, ExperimentError> {
        let (document, text) = Document::read(path)?;
        Self::check(document, text, overrides)
    }

    /// Checks text that comes from no file; `name` stands for it in errors.
    ///
    /// # Errors
    /// As [`HeadExperiment::load`].
    pub fn parse(name: &str, text: &str, overrides: &[String]) -> Result<Self, ExperimentError> {
        Self::check(Document::parse(name, text)?, text.to_owned(), overrides)
    }

    fn check(mut document: Document, text: String, overrides: &[String]) -> Result<Self, ExperimentError> {
        if !document.trains_head() {
            return Err(ExperimentError::TrainsNetwork { file: document.file });
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

    /// Seed of data, split and shares; never of keys or noise.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Hospitals, 3 to 64, numbered from 1.
    pub fn hospitals(&self) -> u16 {
        self.hospitals
    }

    /// Decryptors needed; above half of the hospitals.
    pub fn threshold(&self) -> u16 {
        self.threshold
    }

    /// Longest wait for the sum of all rows, and for all features.
    pub fn round_deadline(&self) -> Duration {
        self.round_deadline
    }

    /// Longest wait for a member that does nothing, and for what is sent in a refresh.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// `[data]`.
    pub fn data(&self) -> &HeadData {
        &self.data
    }

    /// Columns of the labels: 1 for two classes, of which one number says which, otherwise as many as classes; of a
    /// circulation its readings.
    pub fn classes(&self) -> usize {
        match &self.data {
            HeadData::Images(images) => columns(images.classes.len()),
            HeadData::Circulation(_) => OUTPUTS.len(),
        }
    }

    /// What the reader needs; `None` where there are no images. Where labels are chosen, the reader keeps the files'
    /// own labels and their names, all of them.
    pub fn load_options(&self) -> Option<LoadOptions> {
        let HeadData::Images(images) = &self.data else { return None };
        let classes = if images.labels.is_some() { Vec::new() } else { images.classes.clone() };
        Some(LoadOptions {
            height: images.height,
            width: images.width,
            channels: images.channels,
            mean: 0.0,
            std: 1.0,
            classes,
            split: images.split,
            split_by: images.split_by,
            seed: self.seed,
            max_samples: images.max_samples,
        })
    }

    /// What draws the images; `None` where they are read, and where there are none.
    pub fn generator(&self) -> Option<Generator> {
        let HeadData::Images(images) = &self.data else { return None };
        let drawn = Drawn {
            hospitals: self.hospitals,
            height: images.height,
            width: images.width,
            split: images.split,
            mean: 0.0,
            std: 1.0,
            seed: self.seed,
        };
        Some(drawn.generator(images.generated?))
    }

    /// Where the images are; `None` where data are generated, and where `--data` names them.
    pub fn source(&self) -> Option<&Path> {
        match &self.data {
            HeadData::Images(images) => images.source.as_deref(),
            HeadData::Circulation(_) => None,
        }
    }

    /// Whether data are generated.
    pub fn is_generated(&self) -> bool {
        match &self.data {
            HeadData::Images(images) => images.generated.is_some(),
            HeadData::Circulation(_) => true,
        }
    }

    /// How the data are stored, or what generates them: the word in the file.
    pub fn format(&self) -> &'static str {
        match &self.data {
            HeadData::Images(images) => images.format.word(),
            HeadData::Circulation(_) => schema::CIRCULATION,
        }
    }

    /// `[head]`.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Name of the model that is served.
    pub fn model_name(&self) -> &str {
        &self.model
    }

    /// Rows of the test part that `run` asks about under encryption.
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// `[compute]`.
    pub fn compute(&self) -> Compute {
        self.compute
    }

    /// `[report]`. There are no Parquet files of a head.
    pub fn report(&self) -> ReportFormats {
        self.report
    }

    /// The file as it was read, before `--set`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Every key with its value, defaults and `--set` included; itself a valid file of a head.
    pub fn resolved(&self) -> String {
        write::everything(self)
    }

    /// SHA-256, in hexadecimal digits, of the resolved plan without the tables that only matter on this machine.
    pub fn digest(&self) -> String {
        write::digest(self).iter().fold(String::new(), |mut digits, byte| {
            // Nothing that is written to a string fails.
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    }
}

/// Columns that so many classes take.
fn columns(classes: usize) -> usize {
    if classes == 2 { 1 } else { classes }
}

//! What can be wrong with an experiment file. Every text names file, line and key, and says what would be right.

use std::borrow::Cow;
use std::fmt;

use he_agg::aggregation::{AggregationError, SECURITY_MIN};
use he_infer::{CertifyError, CompileError, NetworkError};
use he_train::encrypted::HeadError;
use remedy::{Exit, Explained};

use super::{document::Place, head::HeadConflict, privacy::PrivacyConflict};

/// Why an experiment was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// The file cannot be opened or is not UTF-8.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is too large to be an experiment.
    #[error("{file}: {bytes} bytes; an experiment file has at most {max}")]
    TooLarge {
        /// The file.
        file: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Not TOML.
    #[error("{file}:{line}: not valid TOML: {message}")]
    Syntax {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The parser's words.
        message: String,
    },
    /// A `--set` that is no assignment.
    #[error("--set {text}: {fault}")]
    Override {
        /// What was given.
        text: String,
        /// What is wrong with it.
        fault: OverrideFault,
    },
    /// A file of a head where one of a network is meant.
    #[error("{file} trains a head; heads are trained by `consilium run` and planned by `consilium plan`")]
    TrainsHead {
        /// The file.
        file: String,
    },
    /// A file of a network where one of a head is meant.
    #[error("{file} trains a network: it has no table [head]")]
    TrainsNetwork {
        /// The file.
        file: String,
    },
    /// One or more keys or values are wrong; all of them are listed.
    #[error("{0}")]
    Invalid(Faults),
}

impl Explained for ExperimentError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "experiment_unreadable",
            Self::Syntax { .. } => "experiment_syntax",
            Self::TooLarge { .. }
            | Self::Override { .. }
            | Self::TrainsHead { .. }
            | Self::TrainsNetwork { .. }
            | Self::Invalid(_) => "experiment_invalid",
        }
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::Unreadable { file, .. }
            | Self::TooLarge { file, .. }
            | Self::TrainsHead { file }
            | Self::TrainsNetwork { file } => Some(file.clone()),
            Self::Syntax { file, line, .. } => Some(format!("{file}:{line}")),
            Self::Override { text, .. } => Some(format!("--set {text}")),
            Self::Invalid(faults) => faults.0.first().map(|fault| fault.place().to_string()),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Unreadable { .. } => "check the path; `consilium demo` needs no file",
            Self::Override { .. } => "for example --set federation.rounds=20",
            Self::TrainsHead { .. } => "name a file with a table [model]; `consilium run FILE` trains this one",
            Self::TrainsNetwork { .. } => "name a file with a table [head], for example configs/head-circulation.toml",
            Self::TooLarge { .. } | Self::Syntax { .. } | Self::Invalid(_) => {
                "change the named lines; `consilium plan FILE` checks without running"
            }
        })
    }

    fn exit(&self) -> Exit {
        Exit::BadInput
    }
}

/// What is wrong with a `--set`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideFault {
    /// There is no `=`.
    #[error("write it as table.key=value")]
    NoEqualsSign,
    /// Two dots in a row, or nothing before the equals sign.
    #[error("a key is empty; write it as table.key=value")]
    EmptyKey,
    /// The path leads through a value.
    #[error("{key} cannot be set here: what stands before it is not a table")]
    NotATable {
        /// The key below the value.
        key: String,
    },
}

/// At least one fault, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// One wrong key or value.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// No such key.
    #[error("{place}: unknown key; the nearest valid key is {nearest:?} (allowed: {})", allowed.join(", "))]
    UnknownKey {
        /// Where.
        place: Place,
        /// The valid key with the smallest edit distance.
        nearest: &'static str,
        /// All valid keys of this table.
        allowed: Vec<&'static str>,
    },
    /// The scheme that hides nothing.
    #[error(
        "{place}: MORE is no encryption, and no file can choose it; `consilium research more` shows what it gives away"
    )]
    More {
        /// Where.
        place: Place,
    },
    /// A key that has no default is absent.
    #[error("{place}: missing; it must be {allowed}")]
    Missing {
        /// Which.
        place: Place,
        /// What to write.
        allowed: String,
    },
    /// A value of another type.
    #[error("{place}: is {found}, must be {allowed}")]
    WrongType {
        /// Where.
        place: Place,
        /// The type that stands there.
        found: &'static str,
        /// What may stand there.
        allowed: String,
    },
    /// A value of the right type that is not allowed.
    #[error("{place}: {found} is not allowed, must be {allowed}")]
    WrongValue {
        /// Where.
        place: Place,
        /// The value.
        found: String,
        /// What may stand there.
        allowed: String,
    },
    /// The layers do not fit together or do not fit the images.
    #[error("{place}: {source}")]
    Network {
        /// `[model] layers`.
        place: Place,
        /// What does not fit.
        source: Box<NetworkError>,
    },
    /// A head that cannot be trained so.
    #[error("{place}: {source}")]
    Head {
        /// The key that the reason is about.
        place: Place,
        /// Why not.
        source: Box<HeadError>,
    },
    /// Two values that exclude each other.
    #[error("{first} does not fit {second}: {conflict}")]
    Conflict {
        /// The key to change.
        first: Place,
        /// The key it contradicts.
        second: Box<Place>,
        /// Why.
        conflict: Box<Conflict>,
    },
}

impl Fault {
    /// The key to change.
    pub fn place(&self) -> &Place {
        match self {
            Self::UnknownKey { place, .. }
            | Self::More { place }
            | Self::Missing { place, .. }
            | Self::WrongType { place, .. }
            | Self::WrongValue { place, .. }
            | Self::Network { place, .. }
            | Self::Head { place, .. } => place,
            Self::Conflict { first, .. } => first,
        }
    }
}

/// Why two values exclude each other.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Conflict {
    /// Settings of a head.
    #[error(transparent)]
    Head(#[from] HeadConflict),
    /// Settings that hide patients.
    #[error(transparent)]
    Privacy(#[from] PrivacyConflict),
    /// Two disjoint groups could each decrypt.
    #[error("threshold {threshold} of {hospitals} is not a majority; at least {least} is needed")]
    ThresholdTooSmall {
        /// As written.
        threshold: u16,
        /// Hospitals.
        hospitals: u16,
        /// The smallest allowed threshold.
        least: u16,
    },
    /// Nobody could ever decrypt.
    #[error("threshold {threshold} of {hospitals} can never be reached")]
    ThresholdTooLarge {
        /// As written.
        threshold: u16,
        /// Hospitals.
        hospitals: u16,
    },
    /// More uploads wanted than there are hospitals.
    #[error("min-cohort {cohort} of {hospitals} hospitals can never be reached")]
    CohortTooLarge {
        /// As written.
        cohort: u16,
        /// Hospitals.
        hospitals: u16,
    },
    /// A sum of fewer contributions could be opened than there are decryptors.
    #[error("min-cohort {cohort} is below the threshold {threshold}")]
    CohortBelowThreshold {
        /// As written.
        cohort: u16,
        /// The threshold.
        threshold: u16,
    },
    /// The output layer and the class list disagree.
    #[error("the last dense layer has {units} units for {classes} classes")]
    ClassCount {
        /// Units of the last layer.
        units: usize,
        /// Number of classes.
        classes: usize,
    },
    /// The parts of the split are not a whole.
    #[error("the three parts add up to {sum}, not to 1")]
    SplitSum {
        /// Their sum.
        sum: f64,
    },
    /// There is no path to what is generated.
    #[error("format {format:?} generates its images; leave source out, or name the format of the files")]
    GeneratedWithSource {
        /// The format.
        format: &'static str,
    },
    /// An option of a generator with another format.
    #[error("this option belongs to format {of:?}, not to {format:?}")]
    GeneratorOption {
        /// The format.
        format: &'static str,
        /// Whose option it is.
        of: &'static str,
    },
    /// A Dirichlet parameter for another partition.
    #[error("partition {partition:?} has no alpha")]
    AlphaWithoutDirichlet {
        /// The partition.
        partition: String,
    },
    /// A generator knows its classes.
    #[error("format {format:?} generates the classes {}, here are {found}", expected.join(", "))]
    GeneratedClasses {
        /// The format.
        format: &'static str,
        /// How many are written.
        found: usize,
        /// What the generator makes.
        expected: &'static [&'static str],
    },
    /// What is generated is grey.
    #[error("format {format:?} generates images of 1 channel, here are {found}")]
    GeneratedChannels {
        /// The format.
        format: &'static str,
        /// Image channels.
        found: usize,
    },
    /// No flooding is possible with this preset.
    #[error(
        "preset {preset} leaves no room for flooding, so its results may not be released by a threshold, only be read \
         by one trusted holder of the whole key; use {instead}"
    )]
    ReleaseNeedsFlooding {
        /// As written.
        preset: String,
        /// The preset to use.
        instead: &'static str,
    },
    /// No bound on the error of answers.
    #[error(transparent)]
    Uncertified(CertifyError),
    /// Too little flooding between the error of answers and the precision of a logit.
    #[error(
        "the error of an answer is only known to stay below 2^{bound} with {hospitals} hospitals, which leaves room \
         for s = {security} bits of flooding over {releases} releases and needs {SECURITY_MIN}; lower \
         publish.releases or publish.gain, or take fewer inputs to a unit"
    )]
    WeakFlooding {
        /// log2 of the bound, in units of the scale.
        bound: u32,
        /// Bits that there is room for.
        security: u32,
        /// Answers that the flooding is sized for.
        releases: u64,
        /// Hospitals.
        hospitals: u16,
    },
    /// Lanes, guard and hospitals do not fit the aggregation preset.
    #[error(transparent)]
    Lanes(#[from] AggregationError),
    /// The model does not fit the serving preset.
    #[error("the model cannot be served under {preset}: {source}")]
    Model {
        /// As written.
        preset: String,
        /// What does not fit.
        source: CompileError,
    },
    /// The keys would be used up before the last round.
    #[error(
        "each round charges {chunks} chunks, so the budget of {releases} ends in round {last} of {rounds}; raise \
         epoch-releases or lower rounds"
    )]
    EpochTooShort {
        /// Chunks of one update.
        chunks: usize,
        /// As written.
        releases: u64,
        /// The last round that is paid for.
        last: u64,
        /// As written.
        rounds: u32,
    },
    /// More answers than the serving keys may release.
    #[error("{queries} queries exceed the {releases} answers that the flooding of {preset} is sized for")]
    TooManyQueries {
        /// As written.
        queries: usize,
        /// Budget.
        releases: u64,
        /// As written.
        preset: String,
    },
    /// More planes than one hospital may encrypt and all others check.
    #[error(
        "{quota} questions of each hospital take {planes} planes, and more than {most} questions too many; write \
         quota = {most} or less"
    )]
    TooManyPlanes {
        /// As written.
        quota: u64,
        /// Planes of one hospital.
        planes: u64,
        /// Questions whose planes would do.
        most: u64,
    },
    /// A question of more bytes than are taken.
    #[error(
        "a question is {} MB, and more than {} MB are not taken; use smaller images, fewer channels, or questions = \
         \"images\"",
        bytes / 1_000_000, most / 1_000_000
    )]
    QuestionTooLarge {
        /// Of one question.
        bytes: usize,
        /// The most.
        most: usize,
    },
    /// A quota that the run itself would exceed.
    #[error("a run asks up to {asked} queries of each hospital, but each may ask {quota}")]
    QuotaTooSmall {
        /// As written.
        quota: u64,
        /// What `run` would ask of one hospital.
        asked: u64,
    },
}

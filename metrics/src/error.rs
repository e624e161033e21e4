//! Inputs that have no metric.

/// Why logits and labels cannot be scored.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum MetricsError {
    /// Nothing to score.
    #[error("no samples to evaluate; check the test split")]
    NoSamples,
    /// Logits and labels do not pair up.
    #[error("{logits} rows of logits but {labels} labels")]
    LabelCount {
        /// Rows of logits.
        logits: usize,
        /// Number of labels.
        labels: usize,
    },
    /// Groups and labels do not pair up.
    #[error("{groups} groups but {labels} labels")]
    GroupCount {
        /// Number of groups.
        groups: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label beyond the columns of the logits.
    #[error("sample {sample} has label {label} but the logits have {classes} columns")]
    LabelOutOfRange {
        /// Index of the sample.
        sample: usize,
        /// Its label.
        label: u8,
        /// Columns of the logits.
        classes: usize,
    },
    /// Fewer than two classes.
    #[error("logits have {classes} columns; metrics need at least 2 classes")]
    TooFewClasses {
        /// Columns of the logits.
        classes: usize,
    },
    /// A logit is NaN or infinite.
    #[error("logits of sample {sample} are not finite")]
    NonFinite {
        /// Index of the sample.
        sample: usize,
    },
    /// Answers of a model with other classes.
    #[error("answers for {found} classes, the model has {expected}")]
    OtherClasses {
        /// Columns of the logits.
        found: usize,
        /// Classes of the model.
        expected: usize,
    },
    /// A sum of counts that honest hospitals cannot give.
    #[error("the sum of all hospitals' counts contradicts itself: {what}")]
    NoTally {
        /// How.
        what: &'static str,
    },
}

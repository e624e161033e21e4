//! What the checks of all experiment files share: where faults are noted, and the tables that networks and heads have
//! in common.

use std::num::NonZeroUsize;

use serde::de::DeserializeOwned;

use super::{
    document::{Document, Place},
    error::{Conflict, ExperimentError, Fault, Faults},
    kind::{self, Field},
    literal::{Auto, ComputeLiteral, FederationLiteral, ReportLiteral},
    settings::{Compute, ReportFormats},
};

/// The file as written, once its keys are known to be those of the schema.
pub(super) fn literal<T: DeserializeOwned>(
    document: &Document,
    fields: &'static [Field],
) -> Result<T, ExperimentError> {
    let faults = kind::check(document, fields);
    if !faults.is_empty() {
        return Err(ExperimentError::Invalid(Faults(faults)));
    }
    T::deserialize(document.to_toml()).map_err(|error| mismatch(document, &error))
}

/// The schema and the literal types disagree: a bug of ours, told like a fault of the file because a person waits.
fn mismatch(document: &Document, error: &toml::de::Error) -> ExperimentError {
    let message = error.message().lines().collect::<Vec<_>>().join(", ");
    ExperimentError::Syntax { file: document.file.clone(), line: 1, message }
}

/// `[compute]`, with what the file leaves out.
pub(super) fn compute(literal: &ComputeLiteral) -> Compute {
    Compute {
        // The schema lets no other word through.
        backend: literal.backend.as_ref().and_then(|word| word.parse().ok()).unwrap_or_default(),
        threads: match literal.threads {
            None | Some(Auto::Auto) => None,
            Some(Auto::Number(number)) => usize::try_from(number).ok().and_then(NonZeroUsize::new),
        },
    }
}

/// `[report]`: everything, unless the file says what.
pub(super) fn formats(literal: &ReportLiteral) -> ReportFormats {
    let formats = literal.formats.as_ref();
    let wanted = |format: &str| formats.is_none_or(|formats| formats.iter().any(|word| word == format));
    ReportFormats { html: wanted("html"), json: wanted("json"), parquet: wanted("parquet") }
}

/// The schema bounds every such number by 64.
pub(super) fn narrow(number: u32) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// A document under check, and what was found wrong so far.
pub(super) struct Check<'a> {
    pub(super) document: &'a Document,
    pub(super) faults: Vec<Fault>,
}

impl Check<'_> {
    pub(super) fn place(&self, path: &[&str]) -> Place {
        self.document.place(path)
    }

    pub(super) fn conflict(&mut self, first: &[&str], second: &[&str], conflict: Conflict) {
        self.faults.push(Fault::Conflict {
            first: self.place(first),
            second: Box::new(self.place(second)),
            conflict: Box::new(conflict),
        });
    }

    pub(super) fn wrong(&mut self, path: &[&str], found: String, allowed: &str) {
        self.faults.push(Fault::WrongValue { place: self.place(path), found, allowed: allowed.to_owned() });
    }

    /// Hospitals, and how many of them decrypt.
    pub(super) fn quorum(&mut self, literal: &FederationLiteral) -> (u16, u16) {
        let hospitals = literal.hospitals.unwrap_or(5);
        let least = hospitals / 2 + 1;
        let threshold = match literal.threshold {
            None | Some(Auto::Auto) => 2 * hospitals / 3 + 1,
            Some(Auto::Number(number)) => narrow(number),
        };
        let (threshold_key, hospitals_key) = (["federation", "threshold"], ["federation", "hospitals"]);
        if threshold > hospitals {
            self.conflict(&threshold_key, &hospitals_key, Conflict::ThresholdTooLarge { threshold, hospitals });
        } else if threshold < least {
            self.conflict(&threshold_key, &hospitals_key, Conflict::ThresholdTooSmall { threshold, hospitals, least });
        }
        (hospitals, threshold)
    }
}

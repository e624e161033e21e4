//! What a file describes: a network or a head.

use std::path::Path;

use super::HeadExperiment;
use crate::{Experiment, document::Document, error::ExperimentError};

/// A checked file of either kind. One with a table `[head]` trains a head, any other a network.
#[derive(Debug, Clone)]
pub enum Described {
    /// Training rounds of a network.
    Network(Box<Experiment>),
    /// A head on encrypted features.
    Head(Box<HeadExperiment>),
}

impl Described {
    /// Reads and checks a file, after applying `--set` assignments in order. They cannot make a head of a network.
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
    /// As [`Described::load`].
    pub fn parse(name: &str, text: &str, overrides: &[String]) -> Result<Self, ExperimentError> {
        Self::check(Document::parse(name, text)?, text.to_owned(), overrides)
    }

    fn check(document: Document, text: String, overrides: &[String]) -> Result<Self, ExperimentError> {
        if document.trains_head() {
            HeadExperiment::check(document, text, overrides).map(|head| Self::Head(Box::new(head)))
        } else {
            Experiment::check(document, text, overrides).map(|network| Self::Network(Box::new(network)))
        }
    }
}

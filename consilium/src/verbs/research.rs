//! `consilium research`: what is shown and never used.

mod error;
mod evidence;
mod more;

use clap::{Args, Subcommand};

pub use self::error::ResearchError;
use self::more::MoreArgs;
use crate::{error::Error, global::Global, output::Done};

/// Flags of `research`.
#[derive(Debug, Args)]
#[command(after_help = include_str!("../help/research.txt"))]
pub struct ResearchArgs {
    /// What is shown.
    #[command(subcommand)]
    pub what: Research,
}

/// What is shown.
#[derive(Debug, Subcommand)]
pub enum Research {
    /// Train a network under MORE, a scheme that hides nothing, and read everything from its ciphertexts.
    #[command(after_help = include_str!("../help/research-more.txt"))]
    More(MoreArgs),
}

impl ResearchArgs {
    /// As results and the log call it.
    pub(crate) fn name(&self) -> &'static str {
        match self.what {
            Research::More(_) => "research more",
        }
    }
}

/// Shows it.
///
/// # Errors
/// [`ResearchError`].
pub fn run(arguments: &ResearchArgs, global: &Global) -> Result<Done, Error> {
    match &arguments.what {
        Research::More(arguments) => more::run(arguments, global),
    }
}

//! What an officer hands to an auditor: one file with everything of a key epoch that can be checked without a secret
//! and without asking anybody.
//!
//! A ZIP archive, so that every system opens it and people can read most of it: the proposal with the members, the plan
//! and what the members promised each other; the coordinator's log as this site read it; what the site signed by its
//! own journal; what left the building; who approved what. [`write()`] makes one, [`inspect`] checks one and
//! [`compare`] lays two beside each other: two sites that were shown two logs have two heads.

mod book;
mod compare;
mod error;
mod finding;
mod inspect;
mod parts;
#[cfg(test)]
mod tests;
mod write;

pub use compare::{Common, compare};
pub use error::BundleError;
pub use finding::{Finding, SignedThing};
pub use inspect::{Inspection, inspect};
pub use write::{Written, bundled_epochs, write, write_file};

use serde::{Deserialize, Serialize};

use crate::records::Magic;

/// Of the file's form.
const SCHEMA: u32 = 1;

/// For people who have only the file.
const README: &str = include_str!("README.txt");

/// The parts of a bundle, in the order in which they are written and checked.
const MANIFEST: &str = "manifest.json";
const PROPOSAL: &str = "proposal";
const PLAN: &str = "plan.toml";
const APPROVALS: &str = "approvals.json";
const SIGNED: &str = "signed";
const SIGNED_MAGIC: &Magic = b"consilium-own-1\n";
const LOG: &str = "log";
const SENT: &str = "sent.tsv";
const EXPLAINED: &str = "README.txt";

/// What a bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    schema: u32,
    /// The release that wrote it.
    release: String,
    /// Seconds since 1970, by the clock of the machine that wrote it.
    made_at_s: u64,
    epoch: u32,
    /// The site's number in the key epoch.
    party: u16,
    /// The site's name there.
    name: String,
    parts: Vec<Part>,
}

/// A part of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    name: String,
    bytes: u64,
    sha256: String,
}

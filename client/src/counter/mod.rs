//! A hospital's counter: where programs inside the hospital hand in an image and get the diagnosis.
//!
//! A Unix socket in the hospital's own folder, so that the file system says who may ask, and nothing of it can be
//! reached from another machine. A request is one line of JSON and the normalised pixels; the reply is one line of
//! JSON, with lines before it that say how far the question is, where they are asked for. The image goes no further in
//! the clear: the hospital's process encrypts it.

mod client;
mod error;
mod notice;
mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::hospital::QuestionStep;

pub use client::{ask, ask_and_follow};
pub use error::CounterError;
pub use notice::{Happened, Notice};
pub use server::{Counter, Takes};

/// Bytes of a request's or a reply's line.
const LINE_BYTES_MAX: u64 = 64 << 10;

/// The folder of the socket; only its owner may enter it.
fn folder(hospital: &Path) -> PathBuf {
    hospital.join("counter")
}

/// The socket in it.
const SOCKET: &str = "ask.sock";

/// What comes before the pixels: `images * channels * height * width` little-endian 32-bit floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    schema: u32,
    /// Images of this query.
    images: usize,
    /// Channels, height, width.
    shape: [usize; 3],
    /// Whether lines before the reply say how far the question is.
    #[serde(default)]
    steps: bool,
}

/// The diagnosis of the images of one query.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Number under which the transcript names the query, for example 2-17.
    pub query: String,
    /// One logit per class, for each image in turn.
    pub logits: Vec<Vec<f64>>,
    /// From encrypting to reading, milliseconds.
    pub total_ms: f64,
    /// Of which encrypting.
    pub encrypt_ms: f64,
    /// Of which decrypting and reading.
    pub decrypt_ms: f64,
    /// Bytes of the encrypted images.
    pub query_bytes: u64,
    /// Bytes of the encrypted answer.
    pub reply_bytes: u64,
}

/// Why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Refused {
    error: String,
}

/// How far a question is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The step that was made.
    pub step: QuestionStep,
    /// Since the counter took the question, milliseconds.
    pub at_ms: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    Progress(Progress),
    Reply(Reply),
    Refused(Refused),
}

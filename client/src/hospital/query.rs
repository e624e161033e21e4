//! Questions to the encrypted model, as a hospital's own people ask them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::Array3;
use protocol::ids::QueryId;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::error::HospitalError;
use super::input::Input;
use super::worker::Ticket;

/// Questions of one process under way or waiting; further ones wait with whoever asks.
pub(super) const WAITING_MAX: usize = 64;

/// An answer, decrypted at the hospital that asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The question's number, by which others' steps for it are told apart.
    pub query: QueryId,
    /// One logit per class, for each image in turn.
    pub logits: Vec<Vec<f64>>,
    /// From encrypting the images to reading the answer.
    pub latency: Duration,
    /// Of which encrypting the images.
    pub encrypt: Duration,
    /// Of which opening the answer's boxes and reading it.
    pub decrypt: Duration,
    /// Bytes of the encrypted images.
    pub query_bytes: u64,
    /// Bytes of the answer's boxes.
    pub reply_bytes: u64,
}

/// How far a question is, for whoever waits for its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "kebab-case")]
pub enum QuestionStep {
    /// Its turn has come: it is being encrypted.
    Encrypting,
    /// It is encrypted, and is sent.
    Encrypted(Envelope),
    /// The coordinator has all of it.
    Sent,
    /// The coordinator evaluated it; decryptors compare with what they found and release.
    Evaluated,
    /// Their shares are there and are opened.
    Released,
}

/// What of a question leaves the hospital.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The question's number.
    pub query: String,
    /// Bytes of the encrypted images.
    pub bytes: u64,
    /// Digest of them, as the question's signed head names it; hexadecimal.
    pub digest: String,
    /// The last [`SAMPLE_BYTES`] of the first ciphertext, hexadecimal: what a stranger would see.
    pub sample: String,
}

/// Bytes of a ciphertext that are shown to whoever asked.
pub const SAMPLE_BYTES: usize = 4_096;

/// Steps that wait for a listener: more than a question has.
pub const STEPS_WAITING_MAX: usize = 8;

/// Asks a hospital's encrypted model. Cloning is cheap.
#[derive(Clone)]
pub struct Asker {
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) waiting: Arc<Semaphore>,
}

impl Asker {
    /// Encrypts normalised images (each channels x height x width; as many as the program takes in one query), has them
    /// evaluated and decrypts the answer. Waits until the model is published.
    ///
    /// # Errors
    /// [`HospitalError::NoAnswer`] where the federation refused, [`HospitalError::Stopped`] where the hospital ended.
    pub async fn ask(&self, images: Vec<Array3<f32>>) -> Result<Answered, HospitalError> {
        self.asked(images, None).await
    }

    /// As [`Asker::ask`]; `steps` hears how far the question is, and what it does not take is not said again.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub async fn ask_and_tell(
        &self,
        images: Vec<Array3<f32>>,
        steps: mpsc::Sender<QuestionStep>,
    ) -> Result<Answered, HospitalError> {
        self.asked(images, Some(steps)).await
    }

    async fn asked(
        &self,
        images: Vec<Array3<f32>>,
        steps: Option<mpsc::Sender<QuestionStep>>,
    ) -> Result<Answered, HospitalError> {
        let ended = || HospitalError::Stopped { reason: "the hospital's process has ended".to_owned() };
        let _place = self.waiting.acquire().await.map_err(|_| ended())?;
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { images, reply, steps, started: Instant::now(), encrypt: Duration::ZERO, query_bytes: 0 };
        self.inputs.send(Input::Question(ticket)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

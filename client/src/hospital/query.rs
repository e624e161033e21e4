//! Questions to the encrypted model, as a hospital's own people ask them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ndarray::Array3;
use protocol::ids::QueryId;
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
        let ended = || HospitalError::Stopped { reason: "the hospital's process has ended".to_owned() };
        let _place = self.waiting.acquire().await.map_err(|_| ended())?;
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { images, reply, started: Instant::now(), encrypt: Duration::ZERO, query_bytes: 0 };
        self.inputs.send(Input::Question(ticket)).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

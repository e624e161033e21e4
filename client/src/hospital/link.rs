//! The hospital's line to the coordinator: four calls, each repeated until it is answered or refused.

use std::sync::Arc;

use bytes::Bytes;
use protocol::blob::BlobId;
use protocol::codec::Wire;
use protocol::exchange::{Answer, Call};
use protocol::ids::Digest;
use protocol::log::LogEntry;
use protocol::message::SignedMessage;
use protocol::net::Dialer;

use super::error::HospitalError;

/// Repeats of one call after a passing fault; the dialer waits between its own attempts to connect.
const REPEATS_MAX: u32 = 3;

/// The line. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Link {
    dialer: Arc<Dialer>,
}

impl Link {
    pub(crate) fn new(dialer: Dialer) -> Self {
        Self { dialer: Arc::new(dialer) }
    }

    /// Log entries from `next` on; empty where nothing happened for a while.
    pub(crate) async fn poll(&self, next: u64) -> Result<Vec<LogEntry>, HospitalError> {
        match self.call(Call::Poll { next }).await? {
            Answer::Entries(entries) => {
                entries.iter().map(|bytes| LogEntry::from_bytes(bytes).map_err(HospitalError::Answer)).collect()
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a signed message.
    pub(crate) async fn post(&self, message: SignedMessage) -> Result<(), HospitalError> {
        match self.call(Call::Post(Box::new(message))).await? {
            Answer::Accepted => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Sends a body; the coordinator names the digest of what it stored.
    pub(crate) async fn put(&self, id: BlobId, body: Bytes) -> Result<(), HospitalError> {
        let expected = Digest::of_bytes(&body);
        match self.call(Call::Put { id, body }).await? {
            Answer::Stored(digest) if digest == expected => Ok(()),
            Answer::Stored(_) => Err(HospitalError::StoredOtherwise { id }),
            other => Err(unexpected(&other)),
        }
    }

    /// Fetches a body. The caller checks its digest.
    pub(crate) async fn get(&self, id: BlobId) -> Result<Bytes, HospitalError> {
        match self.call(Call::Get { id }).await? {
            Answer::Body(body) => Ok(body),
            other => Err(unexpected(&other)),
        }
    }

    async fn call(&self, call: Call) -> Result<Answer, HospitalError> {
        let frame = call.into_frame();
        let mut failed = 0;
        loop {
            // All four calls may be repeated: a second one has no second effect.
            match self.dialer.call(frame.clone()).await {
                Ok(answer) => return Answer::from_frame(&answer).map_err(HospitalError::Answer),
                Err(error) if error.is_transient() && failed < REPEATS_MAX => failed += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn unexpected(answer: &Answer) -> HospitalError {
    let kind = match answer {
        Answer::Entries(_) => "log entries",
        Answer::Accepted => "an acknowledgement",
        Answer::Stored(_) => "a digest",
        Answer::Body(_) => "a body",
    };
    HospitalError::AnswerKind { kind }
}

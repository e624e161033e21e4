//! Loses a hospital on purpose: a transport that ends its hospital's process abruptly at a moment of a round, as a
//! power cut would, by what passes over the line. A real hospital has no such transport.

use std::sync::{Arc, Mutex, PoisonError};

use client::hospital::{Killer, Transport};
use protocol::blob::BlobKind;
use protocol::codec::Wire;
use protocol::exchange::{Answer, Call};
use protocol::log::LogEntry;
use protocol::message::LogMessage;
use protocol::net::{BoxFuture, Frame, NetError};

use crate::dropout::Moment;

/// The line of a hospital that is to be lost.
pub(super) struct Dropping {
    pub(super) inner: Arc<dyn Transport>,
    pub(super) round: u32,
    pub(super) moment: Moment,
    /// Whether a head is trained: the round is then one of its steps.
    pub(super) is_step: bool,
    /// Set as soon as the hospital exists.
    pub(super) killer: Arc<Mutex<Option<Killer>>>,
}

impl Dropping {
    /// Whether this call must not leave the building.
    fn stops(&self, request: &Frame) -> bool {
        self.moment == Moment::BeforeUpload
            && matches!(Call::from_frame(request), Ok((_, Call::Put { id, .. }))
                if id.kind == BlobKind::UpdateChunk && id.round == u64::from(self.round))
    }

    /// Whether this answer is never read.
    fn ends(&self, reply: &Frame) -> bool {
        let Ok(Answer::Entries(entries)) = Answer::from_frame(reply) else { return false };
        let read = entries.iter().filter_map(|bytes| LogEntry::from_bytes(bytes).ok());
        read.map(|entry| entry.message).any(|message| match message {
            LogMessage::Manifest(it) => self.moment == Moment::AfterUpload && it.round.0 == self.round,
            LogMessage::ShareRequest(it) => {
                !self.is_step && self.moment == Moment::BeforeShare && it.round.0 == self.round
            }
            LogMessage::RefreshOpen(it) => {
                self.is_step && self.moment == Moment::BeforeShare && it.step.0 == self.round
            }
            _ => false,
        })
    }

    async fn lose(&self) -> Result<Frame, NetError> {
        if let Some(killer) = &*self.killer.lock().unwrap_or_else(PoisonError::into_inner) {
            killer.kill();
        }
        std::future::pending().await
    }
}

impl Transport for Dropping {
    fn call(&self, request: Frame) -> BoxFuture<'_, Result<Frame, NetError>> {
        Box::pin(async move {
            if self.stops(&request) {
                return self.lose().await;
            }
            let reply = self.inner.call(request).await?;
            if self.ends(&reply) {
                return self.lose().await;
            }
            Ok(reply)
        })
    }
}

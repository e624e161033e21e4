//! One frame on one QUIC stream, in and out.

use std::time::Duration;

use bytes::Bytes;
use quinn::{ReadError, ReadExactError, RecvStream, SendStream, WriteError};
use tokio::time::timeout;

use super::error::{NetError, Stage};
use super::frame::{Frame, FrameError, FrameHead};
use super::limits::Limits;
use super::remote::Remote;
use super::traffic::Traffic;

/// Received chunks taken under one lock of the connection.
const CHUNKS: usize = 32;

/// What every exchange with one peer needs to know.
pub(super) struct Link<'a> {
    pub(super) remote: &'a Remote,
    pub(super) limits: &'a Limits,
    pub(super) traffic: &'a Traffic,
}

impl Link<'_> {
    /// Reads the sixteen bytes before a frame. Waits as long as it takes for the first of them.
    pub(super) async fn read_head(&self, stream: &mut RecvStream) -> Result<FrameHead, NetError> {
        let mut wire = [0; Frame::HEAD_BYTES];
        stream.read_exact(&mut wire).await.map_err(|error| match error {
            ReadExactError::FinishedEarly(arrived) => {
                self.bad(FrameError::Truncated { announced: wire_len(Frame::HEAD_BYTES), arrived: arrived as u64 })
            }
            ReadExactError::ReadError(error) => self.unreadable(error),
        })?;
        self.traffic.received(wire.len());
        FrameHead::decode(&wire).map_err(|error| self.bad(error))
    }

    /// Reads the rest of a frame and the end of the stream, within the time that the slowest
    /// allowed line needs for it.
    pub(super) async fn read_payload(&self, head: FrameHead, stream: &mut RecvStream) -> Result<Frame, NetError> {
        let after = self.limits.payload_timeout(head.payload_bytes());
        match timeout(after, self.read_all(head, stream)).await {
            Ok(frame) => frame,
            Err(_) => Err(self.timed_out(Stage::Frame, after)),
        }
    }

    async fn read_all(&self, head: FrameHead, stream: &mut RecvStream) -> Result<Frame, NetError> {
        let mut payload = head.payload();
        let mut chunks: [Bytes; CHUNKS] = std::array::from_fn(|_| Bytes::new());
        // The loop ends at the end of the stream, not of the payload: a frame is complete only
        // when the peer says that nothing follows.
        while let Some(arrived) = stream.read_chunks(&mut chunks).await.map_err(|error| self.unreadable(error))? {
            for chunk in chunks.iter_mut().take(arrived) {
                let chunk = std::mem::take(chunk);
                self.traffic.received(chunk.len());
                payload.push(&chunk).map_err(|error| self.bad(error))?;
            }
        }
        payload.finish().map_err(|error| self.bad(error))
    }

    /// Writes a frame and the end of the stream. Header and body are not copied.
    pub(super) async fn write(&self, frame: Frame, stream: &mut SendStream) -> Result<(), NetError> {
        let head = frame.head().map_err(|error| self.bad(error))?;
        let bytes = frame.wire_bytes();
        let head = Bytes::copy_from_slice(&head.encode());
        let written = stream.write_all_chunks(&mut [head, frame.header, frame.body]).await;
        written.map_err(|error| self.unwritable(error))?;
        self.traffic.sent(bytes);
        stream.finish().map_err(|_| NetError::ClosedHere { peer: self.remote.clone() })
    }

    /// Writes a reply and waits until the peer has all of it: closing the connection earlier would lose the rest. Both
    /// within the time that the slowest allowed line needs for it.
    pub(super) async fn deliver(&self, frame: Frame, stream: &mut SendStream) -> Result<(), NetError> {
        let bytes = u32::try_from(frame.wire_bytes()).unwrap_or(u32::MAX);
        let after = self.limits.payload_timeout(bytes);
        let delivered = async {
            self.write(frame, stream).await?;
            // Whether it was read or given up at the far end is the peer's own affair.
            let _ = stream.stopped().await;
            Ok(())
        };
        timeout(after, delivered).await.unwrap_or_else(|_| Err(self.timed_out(Stage::Frame, after)))
    }

    pub(super) fn bad(&self, source: FrameError) -> NetError {
        NetError::Frame { peer: self.remote.clone(), source }
    }

    pub(super) fn severed(&self, error: std::io::Error) -> NetError {
        NetError::from_established(error, self.remote.clone())
    }

    pub(super) fn lost(&self, error: quinn::ConnectionError) -> NetError {
        NetError::from_connection(error, self.remote.clone(), self.limits.idle_timeout)
    }

    pub(super) fn timed_out(&self, stage: Stage, after: Duration) -> NetError {
        NetError::TimedOut { peer: self.remote.clone(), stage, after }
    }

    fn unreadable(&self, error: ReadError) -> NetError {
        match error {
            ReadError::Reset(code) => NetError::from_stream(code, self.remote.clone()),
            ReadError::ConnectionLost(error) => self.lost(error),
            ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
                NetError::ClosedHere { peer: self.remote.clone() }
            }
        }
    }

    fn unwritable(&self, error: WriteError) -> NetError {
        match error {
            WriteError::Stopped(code) => NetError::from_stream(code, self.remote.clone()),
            WriteError::ConnectionLost(error) => self.lost(error),
            WriteError::ClosedStream | WriteError::ZeroRttRejected => {
                NetError::ClosedHere { peer: self.remote.clone() }
            }
        }
    }
}

fn wire_len(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

//! Frames on one TLS connection over TCP, one exchange after the other.
//!
//! What QUIC says beside its streams stands here before the frames: each record begins with a byte that says what it
//! is. Requests and replies are frames; the server may also give a request up, close the connection with a reason, or
//! say that it is still at work.
//!
//! ```text
//! byte  then            from    meaning
//!    1  a frame         both    a request, or its reply
//!    2  8 bytes, code   server  the request was given up (Rejection)
//!    3  8 bytes, code   server  the connection ends (CloseReason)
//!    4  -               server  still at work
//! ```

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

use super::error::{NetError, Stage};
use super::frame::{Frame, FrameError, FrameHead};
use super::reason::{CloseReason, Rejection};
use super::stream::Link;

const FRAME: u8 = 1;
const REJECT: u8 = 2;
const CLOSE: u8 = 3;
const ALIVE: u8 = 4;
/// Bytes read at once.
const PIECE: usize = 64 << 10;
/// How long a side that has closed waits for the other's end. Without it, what the other was still sending would make
/// the system reset the connection, and the last word would be lost.
const LINGER: Duration = Duration::from_secs(2);

/// The halves of a connection over TCP.
pub(super) struct Wire {
    pub(super) read: ReadHalf<TlsStream<TcpStream>>,
    pub(super) write: WriteHalf<TlsStream<TcpStream>>,
    /// Whether the next record begins where both sides expect it.
    is_clean: bool,
}

/// What a server says.
enum Answer {
    Frame(FrameHead),
    Reject(u64),
    Close(u64),
}

impl Wire {
    pub(super) fn new(stream: impl Into<TlsStream<TcpStream>>) -> Self {
        let (read, write) = tokio::io::split(stream.into());
        Self { read, write, is_clean: true }
    }

    /// Whether another exchange may follow.
    pub(super) fn is_clean(&self) -> bool {
        self.is_clean
    }

    /// Whether nothing has arrived since the last exchange: neither a word nor the end.
    pub(super) fn is_quiet(&mut self) -> bool {
        let mut byte = [0];
        let mut context = Context::from_waker(Waker::noop());
        Pin::new(&mut self.read).poll_read(&mut context, &mut ReadBuf::new(&mut byte)).is_pending()
    }

    /// One request and its reply, at the client.
    pub(super) async fn exchange(&mut self, link: &Link<'_>, request: Frame) -> Result<Frame, NetError> {
        self.is_clean = false;
        let (read, write) = (&mut self.read, &mut self.write);
        let mut is_whole = false;
        let answer = {
            let mut reading = pin!(answer(link, read));
            let mut writing = pin!(write_frame(link, write, request));
            tokio::select! {
                // Before everything is sent: a request that is not wanted.
                answer = &mut reading => answer,
                written = &mut writing => match written {
                    Ok(()) => {
                        is_whole = true;
                        reading.await
                    }
                    // The server may have said why it does not listen.
                    Err(error) => match timeout(LINGER, reading).await {
                        Ok(Ok(answer)) => Ok(answer),
                        Ok(Err(why)) => Err(error.or(why)),
                        Err(_) => Err(error),
                    }
                },
            }
        };
        let peer = || link.remote.clone();
        match answer? {
            Answer::Frame(head) => {
                let reply = read_payload(link, head, &mut self.read).await?;
                self.is_clean = is_whole;
                Ok(reply)
            }
            Answer::Reject(code) => {
                let rejection = Rejection::from_code(code);
                self.is_clean = is_whole && rejection.is_after_the_request();
                Err(NetError::Rejected { peer: peer(), rejection })
            }
            Answer::Close(code) => Err(NetError::Closed { peer: peer(), reason: CloseReason::from_code(code) }),
        }
    }

    /// Ends the connection without a word, as a client does.
    pub(super) async fn leave(mut self) {
        // A server that is gone cannot be told.
        let _ = timeout(LINGER, self.write.shutdown()).await;
    }

    /// Ends the connection with a reason, as a server does, and waits a little until the client has heard it.
    pub(super) async fn close(mut self, reason: CloseReason) {
        if write_close(&mut self.write, reason).await {
            self.linger().await;
        }
    }

    /// Waits for the client's end, whatever it still sends.
    pub(super) async fn linger(mut self) {
        let (mut read, mut write) = (self.read, self.write);
        let _ = timeout(LINGER, async {
            write.shutdown().await?;
            discard(&mut read).await
        })
        .await;
        self.is_clean = false;
    }
}

/// Reads to the end and keeps nothing.
async fn discard(read: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while read.read(&mut piece).await? > 0 {}
    Ok(())
}

/// Ends a connection whose handshake failed, so that the client hears the alert and not only a reset.
pub(super) async fn linger_plain(mut stream: TcpStream) {
    let _ = timeout(LINGER, async {
        stream.shutdown().await?;
        discard(&mut stream).await
    })
    .await;
}

/// Waits for the server's answer, as long as it says that it is at work.
async fn answer(link: &Link<'_>, read: &mut (impl AsyncRead + Unpin)) -> Result<Answer, NetError> {
    let idle = link.limits.idle_timeout;
    loop {
        let record = timeout(idle, async {
            let tag = read.read_u8().await.map_err(|error| link.severed(error))?;
            Ok(match tag {
                ALIVE => None,
                FRAME => Some(Answer::Frame(read_head(link, read).await?)),
                REJECT => Some(Answer::Reject(read.read_u64_le().await.map_err(|error| link.severed(error))?)),
                CLOSE => Some(Answer::Close(read.read_u64_le().await.map_err(|error| link.severed(error))?)),
                found => return Err(link.bad(FrameError::Record { found })),
            })
        });
        match record.await {
            Ok(Ok(Some(answer))) => return Ok(answer),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return Err(error),
            Err(_) => return Err(link.timed_out(Stage::Idle, idle)),
        }
    }
}

/// Waits for the first byte of a request; `None` once the client has left. May be cancelled.
pub(super) async fn next_request(link: &Link<'_>, read: &mut (impl AsyncRead + Unpin)) -> Result<Option<()>, NetError> {
    let mut tag = [0];
    match read.read(&mut tag).await {
        Ok(0) => Ok(None),
        Ok(_) if tag == [FRAME] => Ok(Some(())),
        Ok(_) => Err(link.bad(FrameError::Record { found: tag[0] })),
        Err(error) => Err(link.severed(error)),
    }
}

/// Reads the sixteen bytes before a frame.
pub(super) async fn read_head(link: &Link<'_>, read: &mut (impl AsyncRead + Unpin)) -> Result<FrameHead, NetError> {
    let mut wire = [0; Frame::HEAD_BYTES];
    read.read_exact(&mut wire).await.map_err(|error| link.severed(error))?;
    link.traffic.received(wire.len());
    FrameHead::decode(&wire).map_err(|error| link.bad(error))
}

/// Reads the rest of a frame, within the time that the slowest allowed line needs for it.
pub(super) async fn read_payload(
    link: &Link<'_>,
    head: FrameHead,
    read: &mut (impl AsyncRead + Unpin),
) -> Result<Frame, NetError> {
    let after = link.limits.payload_timeout(head.payload_bytes());
    let all = async {
        let mut payload = head.payload();
        let mut piece = vec![0; PIECE.min(payload.missing())];
        while payload.missing() > 0 {
            let most = piece.len().min(payload.missing());
            let arrived = read.read(&mut piece[..most]).await.map_err(|error| link.severed(error))?;
            if arrived == 0 {
                break;
            }
            link.traffic.received(arrived);
            payload.push(&piece[..arrived]).map_err(|error| link.bad(error))?;
        }
        payload.finish().map_err(|error| link.bad(error))
    };
    timeout(after, all).await.unwrap_or_else(|_| Err(link.timed_out(Stage::Frame, after)))
}

/// Writes a frame and what goes before it.
pub(super) async fn write_frame(
    link: &Link<'_>,
    write: &mut (impl AsyncWrite + Unpin),
    frame: Frame,
) -> Result<(), NetError> {
    let head = frame.head().map_err(|error| link.bad(error))?;
    let mut start = [FRAME; 1 + Frame::HEAD_BYTES];
    start[1..].copy_from_slice(&head.encode());
    let written = async {
        write.write_all(&start).await?;
        write.write_all(&frame.header).await?;
        write.write_all(&frame.body).await?;
        write.flush().await
    };
    written.await.map_err(|error| link.severed(error))?;
    link.traffic.sent(frame.wire_bytes());
    Ok(())
}

/// Writes a reply, within the time that the slowest allowed line needs for it.
pub(super) async fn write_reply(
    link: &Link<'_>,
    write: &mut (impl AsyncWrite + Unpin),
    reply: Frame,
) -> Result<(), NetError> {
    let bytes = u32::try_from(reply.wire_bytes()).unwrap_or(u32::MAX);
    let after = link.limits.payload_timeout(bytes);
    let written = timeout(after, write_frame(link, write, reply)).await;
    written.unwrap_or_else(|_| Err(link.timed_out(Stage::Frame, after)))
}

/// Says that the request is given up, and why. Whether it could be said.
pub(super) async fn write_rejection(write: &mut (impl AsyncWrite + Unpin), rejection: Rejection) -> bool {
    write_word(write, REJECT, rejection.code()).await
}

/// Says that the connection ends, and why. Whether it could be said.
pub(super) async fn write_close(write: &mut (impl AsyncWrite + Unpin), reason: CloseReason) -> bool {
    write_word(write, CLOSE, reason.code()).await
}

async fn write_word(write: &mut (impl AsyncWrite + Unpin), tag: u8, code: u64) -> bool {
    let mut word = [tag; 9];
    word[1..].copy_from_slice(&code.to_le_bytes());
    let written = async {
        write.write_all(&word).await?;
        write.flush().await
    };
    // A client that is gone cannot be told, one that does not read is not waited for.
    matches!(timeout(LINGER, written).await, Ok(Ok(())))
}

/// Says again and again that the request is being worked on; ends when nobody can hear it.
pub(super) async fn stay_alive(write: &mut (impl AsyncWrite + Unpin), every: Duration) -> io::Error {
    loop {
        tokio::time::sleep(every).await;
        let said = async {
            write.write_all(&[ALIVE]).await?;
            write.flush().await
        };
        if let Err(error) = said.await {
            return error;
        }
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("is_clean", &self.is_clean).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Remote, Traffic, Transport};
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_does_not_read_its_reply_is_given_up() {
        let remote = Remote { name: None, addr: ([10, 1, 2, 3], 443).into(), transport: Transport::Tcp };
        let (limits, traffic) = (Limits::default(), Traffic::default());
        let link = Link { remote: &remote, limits: &limits, traffic: &traffic };
        let (mut ours, _theirs) = tokio::io::duplex(1000);
        let reply = write_reply(&link, &mut ours, Frame::new(1, vec![0; 2000], Vec::new()));
        // Hours of a clock that is paused.
        let error = timeout(Duration::from_secs(9999), reply).await.unwrap().unwrap_err();
        assert!(matches!(error, NetError::TimedOut { stage: Stage::Frame, .. }), "{error:?}");
        let (mut ours, _theirs) = tokio::io::duplex(4);
        assert!(!timeout(Duration::from_secs(9999), write_rejection(&mut ours, Rejection::Stalled)).await.unwrap());
    }
}

//! The five calls with which a hospital talks to the coordinator, as frames. Hospitals only call; the coordinator
//! speaks through its log, which they poll.
//!
//! Every call may be repeated: posting the same signed message, putting the same body and reading have no second
//! effect.

use bytes::Bytes;

use crate::blob::{BlobId, ListId};
use crate::codec::{DecodeError, Reader, Wire, Writer};
use crate::ids::{Digest, Epoch};
use crate::lease::Doing;
use crate::limits::FRAME_BYTES_MAX;
use crate::message::SignedMessage;
use crate::net::{Frame, Refusal};
use crate::reject::Reject;

/// Entries in one reply to [`Call::Poll`].
const ENTRIES_PER_REPLY_MAX: usize = 256;
/// Bytes after which a reply to [`Call::Poll`] takes no further entry.
const REPLY_BYTES_SOFT: usize = 4 << 20;

/// What a hospital asks.
#[derive(Clone, Debug)]
pub enum Call {
    /// The log from this index on; answered when there is something, or empty after a while.
    Poll {
        /// Index of the first entry wanted.
        next: u64,
        /// What the hospital does meanwhile; it stays connected by asking and keeps its lease by progress.
        doing: Doing,
    },
    /// A signed message.
    Post(Box<SignedMessage>),
    /// A body of the caller's own.
    Put {
        /// Its address.
        id: BlobId,
        /// The bytes.
        body: Bytes,
    },
    /// A body that the caller may read.
    Get {
        /// Its address.
        id: BlobId,
    },
    /// The digests of a list's bodies, where the caller may read them: what a signed root is over.
    List {
        /// Which.
        list: ListId,
    },
}

/// What the coordinator answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Encoded log entries, oldest first.
    Entries(Vec<Bytes>),
    /// Done.
    Accepted,
    /// The digest of the body that was stored.
    Stored(Digest),
    /// The body, or a list's digests one after the other.
    Body(Bytes),
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Self {
        Self { code: reject.code() }
    }
}

const POLL: u16 = 1;
const POST: u16 = 2;
const PUT: u16 = 3;
const GET: u16 = 4;
const LIST: u16 = 5;

impl Call {
    /// The frame to send. It names the key epoch: one coordinator may serve the models of several.
    pub fn into_frame(self, epoch: Epoch) -> Frame {
        let mut header = Writer::default();
        epoch.encode(&mut header);
        let (kind, body) = match self {
            Self::Poll { next, doing } => {
                header.u64(next);
                doing.encode(&mut header);
                (POLL, Bytes::new())
            }
            Self::Post(message) => {
                message.encode(&mut header);
                (POST, Bytes::new())
            }
            Self::Put { id, body } => {
                id.encode(&mut header);
                (PUT, body)
            }
            Self::Get { id } => {
                id.encode(&mut header);
                (GET, Bytes::new())
            }
            Self::List { list } => {
                list.encode(&mut header);
                (LIST, Bytes::new())
            }
        };
        Frame::new(kind, header.into_bytes(), body)
    }

    /// The key epoch of a received frame, whatever else is in it.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but a call.
    pub fn epoch_of(frame: &Frame) -> Result<Epoch, DecodeError> {
        match frame.kind {
            POLL | POST | PUT | GET | LIST => Epoch::decode(&mut Reader::new(&frame.header)),
            kind => Err(DecodeError::Value { what: "call", value: u64::from(kind) }),
        }
    }

    /// Reads a received frame.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but one of the five calls.
    pub fn from_frame(frame: &Frame) -> Result<(Epoch, Self), DecodeError> {
        let mut reader = Reader::new(&frame.header);
        let epoch = Epoch::decode(&mut reader)?;
        let call = match frame.kind {
            POLL => Self::Poll { next: reader.u64()?, doing: Doing::decode(&mut reader)? },
            POST => Self::Post(Box::new(SignedMessage::decode(&mut reader)?)),
            PUT => Self::Put { id: BlobId::decode(&mut reader)?, body: frame.body.clone() },
            GET => Self::Get { id: BlobId::decode(&mut reader)? },
            LIST => Self::List { list: ListId::decode(&mut reader)? },
            kind => return Err(DecodeError::Value { what: "call", value: u64::from(kind) }),
        };
        match reader.left() {
            0 => Ok((epoch, call)),
            left => Err(DecodeError::Trailing { left }),
        }
    }
}

impl Answer {
    /// The answer to [`Call::List`].
    pub fn digests(digests: &[Digest]) -> Self {
        Self::Body(digests.iter().flat_map(|digest| digest.0).collect())
    }

    /// How many of `sizes` (encoded lengths in order) go into one reply.
    pub fn entries_that_fit(sizes: impl Iterator<Item = usize>) -> usize {
        let mut total = 0;
        sizes
            .take(ENTRIES_PER_REPLY_MAX)
            .take_while(|size| {
                let first = total == 0;
                total += size;
                first || total <= REPLY_BYTES_SOFT
            })
            .count()
    }

    /// The frame to send back.
    pub fn into_frame(self) -> Frame {
        match self {
            Self::Entries(entries) => {
                let mut body = Vec::with_capacity(entries.iter().map(|entry| entry.len() + 4).sum());
                for entry in &entries {
                    body.extend_from_slice(&u32::try_from(entry.len()).unwrap_or(u32::MAX).to_le_bytes());
                    body.extend_from_slice(entry);
                }
                Frame::new(POLL, Bytes::new(), body)
            }
            Self::Accepted => Frame::new(POST, Bytes::new(), Bytes::new()),
            Self::Stored(digest) => Frame::new(PUT, digest.to_bytes(), Bytes::new()),
            Self::Body(body) => Frame::new(GET, Bytes::new(), body),
        }
    }

    /// Reads a received frame.
    ///
    /// # Errors
    /// [`DecodeError`] for anything but an answer; no entry is larger than a control frame.
    pub fn from_frame(frame: &Frame) -> Result<Self, DecodeError> {
        match frame.kind {
            POLL => {
                let mut entries = Vec::new();
                let mut rest = frame.body.clone();
                while !rest.is_empty() {
                    let truncated = |needed: usize, left: usize| DecodeError::Truncated { needed, left };
                    let (prefix, _) = rest.split_first_chunk::<4>().ok_or(truncated(4, rest.len()))?;
                    let length = u32::from_le_bytes(*prefix) as usize;
                    if length > FRAME_BYTES_MAX {
                        return Err(DecodeError::TooLong { what: "log entry", have: length, max: FRAME_BYTES_MAX });
                    }
                    if entries.len() == ENTRIES_PER_REPLY_MAX {
                        let have = ENTRIES_PER_REPLY_MAX + 1;
                        return Err(DecodeError::TooLong { what: "reply", have, max: ENTRIES_PER_REPLY_MAX });
                    }
                    let _ = rest.split_to(4);
                    if rest.len() < length {
                        return Err(truncated(length, rest.len()));
                    }
                    entries.push(rest.split_to(length));
                }
                Ok(Self::Entries(entries))
            }
            POST => Ok(Self::Accepted),
            PUT => Ok(Self::Stored(Digest::from_bytes(&frame.header)?)),
            GET => Ok(Self::Body(frame.body.clone())),
            kind => Err(DecodeError::Value { what: "answer", value: u64::from(kind) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::BlobKind;

    #[test]
    fn calls_and_answers_survive_the_wire() {
        let id = BlobId::ceremony(BlobKind::Dealing, None, 3);
        let put = Call::Put { id, body: Bytes::from_static(b"abc") }.into_frame(Epoch(5));
        let found = Call::from_frame(&put).unwrap();
        assert!(matches!(found, (Epoch(5), Call::Put { id: found, body }) if found == id && body == "abc"));
        assert_eq!(Call::epoch_of(&put), Ok(Epoch(5)));
        let doing = Doing::Working { done: 2, of: 5 };
        let poll = Call::Poll { next: 7, doing }.into_frame(Epoch(6));
        assert!(matches!(Call::from_frame(&poll), Ok((_, Call::Poll { next: 7, doing: found })) if found == doing));
        assert_eq!(Call::epoch_of(&poll), Ok(Epoch(6)));
        let mut longer = poll;
        longer.header = [&longer.header[..], &[0]].concat().into();
        assert!(matches!(Call::from_frame(&longer), Err(DecodeError::Trailing { left: 1 })));
        let entries = vec![Bytes::from_static(b"one"), Bytes::new(), Bytes::from_static(b"three")];
        let frame = Answer::Entries(entries.clone()).into_frame();
        assert!(matches!(Answer::from_frame(&frame), Ok(Answer::Entries(found)) if found == entries));
        let list = ListId::of(&id);
        let frame = Call::List { list }.into_frame(Epoch(7));
        assert_eq!(Call::epoch_of(&frame), Ok(Epoch(7)));
        assert!(matches!(Call::from_frame(&frame), Ok((_, Call::List { list: found })) if found == list));
    }

    #[test]
    fn lying_lengths_and_unknown_calls_are_refused() {
        let long = Frame::new(POLL, Bytes::new(), u32::MAX.to_le_bytes().to_vec());
        assert!(matches!(Answer::from_frame(&long), Err(DecodeError::TooLong { .. })));
        let short = Frame::new(POLL, Bytes::new(), vec![9, 0, 0, 0, 1]);
        assert!(matches!(Answer::from_frame(&short), Err(DecodeError::Truncated { .. })));
        assert!(Call::from_frame(&Frame::new(99, vec![0; 4], Bytes::new())).is_err());
        assert!(Call::epoch_of(&Frame::new(99, vec![0; 4], Bytes::new())).is_err());
        assert!(Call::epoch_of(&Frame::new(GET, vec![0; 3], Bytes::new())).is_err());
        assert!(Call::from_frame(&Frame::new(GET, vec![0; 3], Bytes::new())).is_err());
    }

    #[test]
    fn a_reply_takes_at_least_one_entry_and_stays_bounded() {
        assert_eq!(Answer::entries_that_fit([9 << 20, 1].into_iter()), 1);
        assert_eq!(Answer::entries_that_fit(std::iter::repeat_n(10, 1000)), ENTRIES_PER_REPLY_MAX);
        assert_eq!(Answer::entries_that_fit(std::iter::empty()), 0);
    }
}

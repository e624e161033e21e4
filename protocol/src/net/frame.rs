//! The unit of the transport: a kind, a header and a body.
//!
//! ```text
//! offset  bytes  field, little-endian
//!      0      4  magic "CNSL"
//!      4      2  version, 1
//!      6      2  kind
//!      8      4  length of the header, at most 1 MiB
//!     12      4  length of the body, at most 32 MiB
//!     16      -  header, then body
//! ```

use bytes::Bytes;

const MAGIC: [u8; 4] = *b"CNSL";
const VERSION: u16 = 1;
/// The buffer of an incoming frame grows from here, so that a length alone costs this much.
const PIECE: usize = 256 << 10;

/// One request or one reply. Cloning is cheap: both parts are counted references.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// What the frame is; [`Frame::HELLO`] is the transport's own.
    pub kind: u16,
    /// The small part: a message of this crate, at most 1 MiB.
    pub header: Bytes,
    /// The large part: chunks, shares or keys, at most 32 MiB.
    pub body: Bytes,
}

impl Frame {
    /// Kind of the first exchange on a connection, answered by the server itself.
    pub const HELLO: u16 = 0;
    /// Longest header in bytes.
    pub const HEADER_BYTES_MAX: u32 = 1 << 20;
    /// Longest body in bytes.
    pub const BODY_BYTES_MAX: u32 = 32 << 20;
    /// Length of what precedes the header in bytes.
    pub const HEAD_BYTES: usize = 16;

    /// A frame of these parts.
    #[must_use]
    pub fn new(kind: u16, header: impl Into<Bytes>, body: impl Into<Bytes>) -> Self {
        Self { kind, header: header.into(), body: body.into() }
    }

    /// Bytes on the wire.
    #[must_use]
    pub fn wire_bytes(&self) -> usize {
        Self::HEAD_BYTES + self.header.len() + self.body.len()
    }

    /// Whether the frame may be sent.
    ///
    /// # Errors
    /// [`FrameError::HeaderTooLarge`] or [`FrameError::BodyTooLarge`].
    pub fn check(&self) -> Result<(), FrameError> {
        self.head().map(|_| ())
    }

    /// The head that announces this frame.
    ///
    /// # Errors
    /// [`FrameError::HeaderTooLarge`] or [`FrameError::BodyTooLarge`].
    pub(super) fn head(&self) -> Result<FrameHead, FrameError> {
        let length = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        FrameHead::new(self.kind, length(self.header.len()), length(self.body.len()))
    }
}

/// The first sixteen bytes of a frame, lengths already checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHead {
    kind: u16,
    header_bytes: u32,
    body_bytes: u32,
}

impl FrameHead {
    fn new(kind: u16, header_bytes: u32, body_bytes: u32) -> Result<Self, FrameError> {
        if header_bytes > Frame::HEADER_BYTES_MAX {
            return Err(FrameError::HeaderTooLarge { bytes: header_bytes });
        }
        if body_bytes > Frame::BODY_BYTES_MAX {
            return Err(FrameError::BodyTooLarge { bytes: body_bytes });
        }
        Ok(Self { kind, header_bytes, body_bytes })
    }

    pub(super) fn encode(self) -> [u8; Frame::HEAD_BYTES] {
        let mut wire = [0; Frame::HEAD_BYTES];
        wire[..4].copy_from_slice(&MAGIC);
        wire[4..6].copy_from_slice(&VERSION.to_le_bytes());
        wire[6..8].copy_from_slice(&self.kind.to_le_bytes());
        wire[8..12].copy_from_slice(&self.header_bytes.to_le_bytes());
        wire[12..].copy_from_slice(&self.body_bytes.to_le_bytes());
        wire
    }

    /// # Errors
    /// Every [`FrameError`] but the two about the payload.
    pub(super) fn decode(wire: &[u8; Frame::HEAD_BYTES]) -> Result<Self, FrameError> {
        let [m0, m1, m2, m3, v0, v1, k0, k1, h0, h1, h2, h3, b0, b1, b2, b3] = *wire;
        let magic = [m0, m1, m2, m3];
        if magic != MAGIC {
            return Err(FrameError::Magic { found: magic });
        }
        let version = u16::from_le_bytes([v0, v1]);
        if version != VERSION {
            return Err(FrameError::Version { found: version });
        }
        Self::new(
            u16::from_le_bytes([k0, k1]),
            u32::from_le_bytes([h0, h1, h2, h3]),
            u32::from_le_bytes([b0, b1, b2, b3]),
        )
    }

    /// Length of header and body together, in bytes, at most 33 MiB.
    pub(super) fn payload_bytes(self) -> u32 {
        self.header_bytes + self.body_bytes
    }

    /// A buffer that fills up to the announced length.
    pub(super) fn payload(self) -> Payload {
        Payload { head: self, bytes: Vec::new() }
    }
}

/// The part of a frame after its head, while it arrives. Holds at most twice what has arrived plus
/// one piece of 256 KiB, whatever length the peer has announced.
pub(super) struct Payload {
    head: FrameHead,
    bytes: Vec<u8>,
}

impl Payload {
    /// Bytes that have not arrived yet.
    pub(super) fn missing(&self) -> usize {
        self.head.payload_bytes() as usize - self.bytes.len()
    }

    /// Appends what arrived.
    ///
    /// # Errors
    /// [`FrameError::TrailingBytes`] when it is more than was announced.
    pub(super) fn push(&mut self, arrived: &[u8]) -> Result<(), FrameError> {
        let missing = self.missing();
        if arrived.len() > missing {
            return Err(FrameError::TrailingBytes);
        }
        if self.bytes.capacity() - self.bytes.len() < arrived.len() {
            let growth = self.bytes.len().max(PIECE).max(arrived.len()).min(missing);
            self.bytes.reserve_exact(growth);
        }
        self.bytes.extend_from_slice(arrived);
        Ok(())
    }

    /// The frame. Header and body share one allocation.
    ///
    /// # Errors
    /// [`FrameError::Truncated`] when bytes are missing.
    pub(super) fn finish(self) -> Result<Frame, FrameError> {
        if self.missing() > 0 {
            return Err(FrameError::Truncated {
                announced: self.head.payload_bytes(),
                arrived: self.bytes.len() as u64,
            });
        }
        let mut body = Bytes::from(self.bytes);
        let header = body.split_to(self.head.header_bytes as usize);
        Ok(Frame { kind: self.head.kind, header, body })
    }
}

/// Bytes that are not a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The first four bytes are something else.
    #[error("frame starts with {found:02x?}, not with {MAGIC:02x?}; the peer speaks another protocol")]
    Magic {
        /// What stood there.
        found: [u8; 4],
    },
    /// The peer speaks another version of the framing.
    #[error("frame version {found}, this build speaks {VERSION}; bring both sides to one release")]
    Version {
        /// The version in the frame.
        found: u16,
    },
    /// The header is longer than [`Frame::HEADER_BYTES_MAX`].
    #[error("frame header of {bytes} bytes, at most {} are allowed", Frame::HEADER_BYTES_MAX)]
    HeaderTooLarge {
        /// Announced length; `u32::MAX` stands for anything longer.
        bytes: u32,
    },
    /// The body is longer than [`Frame::BODY_BYTES_MAX`].
    #[error("frame body of {bytes} bytes, at most {} are allowed; send it in more frames", Frame::BODY_BYTES_MAX)]
    BodyTooLarge {
        /// Announced length; `u32::MAX` stands for anything longer.
        bytes: u32,
    },
    /// The stream ended before the frame did.
    #[error("frame ended after {arrived} bytes, its head announced {announced}")]
    Truncated {
        /// Bytes of header and body that the head announced; 16 when the head itself is short.
        announced: u32,
        /// Bytes that came.
        arrived: u64,
    },
    /// What begins over TCP is no record of ours.
    #[error("a record starts with {found}; the peer speaks another protocol")]
    Record {
        /// What stood there.
        found: u8,
    },
    /// The stream goes on after the frame.
    #[error("bytes after the end of the frame; a stream carries exactly one")]
    TrailingBytes,
    /// A request of a kind that belongs to the transport.
    #[error("frame kind {} is the transport's own; choose another", Frame::HELLO)]
    ReservedKind,
}

impl FrameError {
    /// Whether the frame was well-formed and only too long.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::HeaderTooLarge { .. } | Self::BodyTooLarge { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: u16, header: u32, body: u32) -> [u8; 16] {
        FrameHead { kind, header_bytes: header, body_bytes: body }.encode()
    }

    #[test]
    fn the_head_has_the_documented_bytes() {
        let wire = *b"CNSL\x01\x00\x34\x12\x03\x00\x00\x00\x00\x00\x00\x02";
        assert_eq!(head(0x1234, 3, 32 << 20), wire);
        let read = FrameHead::decode(&wire).unwrap();
        assert_eq!(read.encode(), wire);
        assert_eq!(read.payload_bytes(), 3 + (32 << 20));
    }

    #[test]
    fn each_wrong_field_has_its_own_error() {
        let mut wire = head(1, 0, 0);
        wire[0] = b'X';
        assert_eq!(FrameHead::decode(&wire), Err(FrameError::Magic { found: *b"XNSL" }));
        let mut wire = head(1, 0, 0);
        wire[4] = 2;
        assert_eq!(FrameHead::decode(&wire), Err(FrameError::Version { found: 2 }));
        assert_eq!(
            FrameHead::decode(&head(1, (1 << 20) + 1, 0)),
            Err(FrameError::HeaderTooLarge { bytes: (1 << 20) + 1 })
        );
        assert_eq!(FrameHead::decode(&head(1, 0, u32::MAX)), Err(FrameError::BodyTooLarge { bytes: u32::MAX }));
    }

    #[test]
    fn a_lying_length_allocates_one_piece() {
        let lie = FrameHead::decode(&head(1, 1 << 20, 32 << 20)).unwrap();
        let mut payload = lie.payload();
        assert_eq!(payload.bytes.capacity(), 0);
        payload.push(&[7; 1000]).unwrap();
        assert!(payload.bytes.capacity() <= PIECE);
        assert_eq!(payload.finish(), Err(FrameError::Truncated { announced: 33 << 20, arrived: 1000 }));
    }

    #[test]
    fn a_payload_in_pieces_is_split_into_header_and_body() {
        let mut payload = FrameHead::decode(&head(9, 5, 700_000)).unwrap().payload();
        let bytes: Vec<u8> = (0..700_005_u32).map(|i| (i % 251) as u8).collect();
        for piece in bytes.chunks(1337) {
            payload.push(piece).unwrap();
            let (len, capacity) = (payload.bytes.len(), payload.bytes.capacity());
            assert!(capacity <= 2 * len + PIECE);
        }
        assert_eq!(payload.push(&[0]), Err(FrameError::TrailingBytes));
        let frame = payload.finish().unwrap();
        assert_eq!(frame.kind, 9);
        assert_eq!(frame.header, bytes[..5]);
        assert_eq!(frame.body, bytes[5..]);
    }

    proptest::proptest! {
        #[test]
        fn any_head_is_refused_or_reads_back_within_the_bounds(tail: [u8; 10], known: bool) {
            let mut wire = [0; 16];
            wire[..6].copy_from_slice(b"CNSL\x01\x00");
            wire[6..].copy_from_slice(&tail);
            if known {
                // Lengths near the bounds, which a uniform draw would never hit.
                wire[11] = 0;
                wire[10] &= 0x1f;
                wire[15] &= 3;
            }
            if let Ok(head) = FrameHead::decode(&wire) {
                proptest::prop_assert_eq!(head.encode(), wire);
                proptest::prop_assert!(head.payload_bytes() <= 33 << 20);
            }
        }
    }

    #[test]
    fn a_frame_above_a_bound_is_not_announced() {
        let header = vec![0; Frame::HEADER_BYTES_MAX as usize + 1];
        let error = Frame::new(1, header, Bytes::new()).head().unwrap_err();
        assert!(error.is_too_large());
    }
}

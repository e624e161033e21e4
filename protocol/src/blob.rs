//! Addresses of bodies. Ciphertexts and sealed boxes travel as blobs; the machines see only their digests and lengths.

use crate::codec::{DecodeError, Reader, Wire, Writer, wire_struct, wire_tag};
use crate::ids::{Attempt, Digest, PartyId, QueryId, RoundId, StepId};
use crate::limits::{BODY_BYTES_MAX, CHUNKS_MAX};

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlobKind {
    /// Sealed key shares of one dealer (`party`) for one receiver (`index` = receiver's number).
    Dealing,
    /// What one hospital brings to every asker's gate; `index` is the asker's number less 1.
    Gate,
    /// Relinearisation key, round one: share, or the sum (h0, h1).
    RelinRoundOne,
    /// Relinearisation key, round two: share, or the finished key.
    RelinRoundTwo,
    /// Galois keys: shares, or the finished keys; `index` counts the key plan's rotations.
    Galois,
    /// One encrypted chunk of an update.
    UpdateChunk,
    /// One decryption share.
    Share,
    /// One blinded chunk of the sum.
    SumChunk,
    /// One encrypted contribution to the published model.
    PublishChunk,
    /// An encrypted query; `round` holds the query number.
    Query,
    /// An encrypted result.
    QueryResult,
    /// One hospital's share of an answer, sealed to whoever asked.
    SwitchShare,
    /// The key with which one hospital's ciphertexts are lifted: its own, made once in an epoch.
    GateKey,
    /// Digests of the masks that one hospital may have to open for its relinearisation shares, and its coin.
    RelinMasks,
    /// One opening of such a mask.
    RelinAnswer,
    /// What one hospital is bound to of its questions' planes: their key, a coin, the planes' digests.
    Planes,
    /// The seeds of the planes that one hospital opens.
    PlaneOpening,
    /// One decryptor's encryption of zero, for another attempt at a refresh; `round` holds the step.
    RefreshZero,
    /// One decryptor's share in a refresh.
    RefreshShare,
    /// One decryptor's mask in a refresh.
    RefreshMask,
    /// One blinded sum of a refresh.
    RefreshSum,
    /// What the opener of a refresh read, behind its gate.
    RefreshOpening,
    /// Features or labels of a group of rows, behind their maker's gate.
    Feature,
}

wire_tag!(BlobKind {
    1 => Dealing, 2 => Gate, 3 => RelinRoundOne, 4 => RelinRoundTwo, 5 => Galois,
    6 => UpdateChunk, 7 => Share, 8 => SumChunk, 9 => PublishChunk,
    10 => Query, 11 => QueryResult, 12 => SwitchShare, 15 => GateKey, 16 => RelinMasks, 17 => RelinAnswer,
    18 => Planes, 19 => PlaneOpening, 20 => RefreshZero, 21 => RefreshShare, 22 => RefreshMask, 23 => RefreshSum,
    24 => RefreshOpening, 25 => Feature,
});

/// The address of one body. Its encoding is always [`BlobId::BYTES`] long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId {
    /// What it is.
    pub kind: BlobKind,
    /// Round, or query number, or step, or 0 in the ceremony.
    pub round: u64,
    /// Attempt, or 0 where there is only one.
    pub attempt: u32,
    /// Who made it; `None` is the coordinator.
    pub party: Option<PartyId>,
    /// Which of the maker's bodies, from 0 (dealings: the receiver's number).
    pub index: u32,
}

impl BlobId {
    /// Length of the encoding.
    pub const BYTES: usize = 19;

    /// Body `index` of a ceremony step.
    #[must_use]
    pub fn ceremony(kind: BlobKind, party: Option<PartyId>, index: u32) -> Self {
        Self { kind, round: 0, attempt: 0, party, index }
    }
    /// Body `index` of a training or publishing round.
    #[must_use]
    pub fn round(kind: BlobKind, round: RoundId, attempt: Attempt, party: Option<PartyId>, index: u32) -> Self {
        Self { kind, round: u64::from(round.0), attempt: attempt.0, party, index }
    }
    /// Body `index` of a step's refresh.
    #[must_use]
    pub fn step(kind: BlobKind, step: StepId, attempt: Attempt, party: Option<PartyId>, index: u32) -> Self {
        Self { kind, round: u64::from(step.0), attempt: attempt.0, party, index }
    }
    /// Body `index` of a query.
    #[must_use]
    pub fn query(kind: BlobKind, query: QueryId, party: Option<PartyId>, index: u32) -> Self {
        Self { kind, round: query.0, attempt: 0, party, index }
    }
}

impl Wire for BlobId {
    const BYTES_MIN: usize = Self::BYTES;
    fn encode(&self, writer: &mut Writer) {
        self.kind.encode(writer);
        writer.u64(self.round);
        writer.u32(self.attempt);
        writer.u16(self.party.map_or(0, PartyId::number));
        writer.u32(self.index);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let kind = BlobKind::decode(reader)?;
        let (round, attempt, number) = (reader.u64()?, reader.u32()?, reader.u16()?);
        let party = PartyId::new(number);
        if number != 0 && party.is_none() {
            return Err(DecodeError::Value { what: "blob owner", value: u64::from(number) });
        }
        Ok(Self { kind, round, attempt, party, index: reader.u32()? })
    }
}

/// All bodies of one list: same kind, round, attempt and maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListId {
    /// What the bodies are.
    pub kind: BlobKind,
    /// Round or query number, 0 in the ceremony.
    pub round: u64,
    /// Attempt, or 0.
    pub attempt: u32,
    /// The maker; `None` is the coordinator.
    pub party: Option<PartyId>,
}
wire_struct!(ListId { kind: BlobKind, round: u64, attempt: u32, party: Option<PartyId> });

impl ListId {
    /// The list to which a body belongs.
    #[must_use]
    pub fn of(id: &BlobId) -> Self {
        Self { kind: id.kind, round: id.round, attempt: id.attempt, party: id.party }
    }

    /// What a hospital brings to a refresh of a step of a head, or the coordinator made of it.
    #[must_use]
    pub fn of_step(kind: BlobKind, step: StepId, attempt: Attempt, party: Option<PartyId>) -> Self {
        Self { kind, round: u64::from(step.0), attempt: attempt.0, party }
    }

    /// The features that a hospital uploads for a head.
    #[must_use]
    pub fn features(party: PartyId) -> Self {
        Self { kind: BlobKind::Feature, round: 0, attempt: 0, party: Some(party) }
    }

    /// The address of one of its bodies.
    #[must_use]
    pub fn body(&self, index: u32) -> BlobId {
        BlobId { kind: self.kind, round: self.round, attempt: self.attempt, party: self.party, index }
    }
}

/// What a signed head says about a list of bodies: a digest over their digests, their number and their size together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodyRoot {
    /// [`BodyRoot::of`] over the bodies' digests, in order of index.
    pub root: Digest,
    /// Number of bodies, at most `limits::CHUNKS_MAX`.
    pub count: u32,
    /// Bytes of all bodies together.
    pub size_bytes: u64,
}

wire_struct!(BodyRoot { root: Digest, count: u32, size_bytes: u64 });

impl BodyRoot {
    /// The root over digests in order of index, with the total size in bytes.
    #[must_use]
    pub fn of(digests: &[Digest], size_bytes: u64) -> Self {
        let list = digests.to_vec();
        Self {
            root: Digest::of("consilium body root v1", &list),
            count: u32::try_from(list.len()).unwrap_or(u32::MAX),
            size_bytes,
        }
    }

    /// The root of these bodies.
    #[must_use]
    pub fn of_bodies(bodies: &[impl AsRef<[u8]>]) -> Self {
        let digests: Vec<Digest> = bodies.iter().map(|body| Digest::of_bytes(body.as_ref())).collect();
        Self::of(&digests, bodies.iter().map(|body| body.as_ref().len() as u64).sum())
    }

    /// What a list of lists says: the root over their roots, in order, with their numbers and sizes together.
    #[must_use]
    pub fn of_lists(lists: &[Self]) -> Self {
        let roots: Vec<Digest> = lists.iter().map(|list| list.root).collect();
        Self {
            root: Digest::of("consilium list root v1", &roots),
            count: lists.iter().fold(0, |sum, list| sum.saturating_add(list.count)),
            size_bytes: lists.iter().fold(0, |sum, list| sum.saturating_add(list.size_bytes)),
        }
    }

    /// Whether number and size are within `limits`, with at least one body.
    #[must_use]
    pub fn within_limits(&self) -> bool {
        let count = u64::from(self.count);
        (1..=CHUNKS_MAX as u64).contains(&count) && self.size_bytes <= count.saturating_mul(BODY_BYTES_MAX)
    }
}

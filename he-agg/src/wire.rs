//! Bytes of polynomials and the header of every object.
//!
//! Residues are 30-bit little-endian words without gaps. A header names the
//! kind, preset, shape and origin of an object, so that one set of bytes can
//! never be read as another; lengths are checked before anything is allocated.

use crate::error::DecodeError;
use crate::params::{Params, Preset};
use crate::ring::Modulus;
use crate::simd::{self, Isa};
use sha2::{Digest, Sha256};

/// The first four bytes of every object.
pub const MAGIC: [u8; 4] = *b"HEAG";

/// Version of the format. A changed byte is a new version.
pub const VERSION: u8 = 1;

/// Bytes of an encoded [`Header`].
pub const HEADER_BYTES: usize = 72;

/// Most polynomials in one object: three per ciphertext, two per digit of a
/// switching key; no preset has more than ten digits.
pub const POLYNOMIALS_MAX: u8 = 32;

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Kind {
    /// One hospital's encrypted chunk.
    UpdateChunk = 1,
    /// One Shamir point of a hospital's secret; only ever inside a sealed message.
    KeyShare = 2,
    /// A decryption share of one chunk.
    DecryptionShare = 3,
    /// Sum of updates and shares, blinded against the coordinator.
    BlindedSum = 4,
    /// A CKKS ciphertext.
    Ciphertext = 16,
    /// A share of the collective public key, or the key.
    PublicKey = 17,
    /// A first-round share of the relinearisation key.
    RelinearizationOne = 18,
    /// A second-round share of the relinearisation key, or the key.
    RelinearizationTwo = 19,
    /// A share of a rotation key, or the key.
    GaloisKey = 20,
    /// A Shamir point of a serving secret; only ever inside a sealed message.
    ServingShare = 23,
    /// A ciphertext under an asker's secret, the second polynomial as a seed.
    SeededCiphertext = 24,
    /// A switching key from an asker's secret to the collective one.
    QueryKey = 25,
    /// A share of an asker's gate, or the gate.
    GateShare = 26,
    /// An asker's gate key: the first halves of its switching key to the collective secret.
    GateKey = 27,
    /// The first polynomial of a ciphertext whose second one is the expansion of its label.
    GatedCiphertext = 28,
    /// Digests of the masks of a proof for relinearisation shares.
    RelinearizationMasks = 29,
    /// One opening of such a mask.
    RelinearizationAnswer = 30,
    /// A share of an answer; only ever inside a sealed message.
    ReleaseShare = 31,
    /// An asker's public key for planes, over the first prime of P and those of Q.
    PlaneKey = 32,
    /// An encrypted plane, over the same primes.
    Plane = 33,
    /// A decryptor's share in a refresh.
    RefreshShare = 34,
    /// Sum of a ciphertext and the shares of its refresh, blinded against the coordinator.
    BlindedRefresh = 35,
}

/// Shape and origin of an object. Fields that a kind does not use are zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    /// What the payload is.
    pub kind: Kind,
    /// Parameter set.
    pub preset: Preset,
    /// Domain number of the polynomials, see [`crate::ring::Domain`].
    pub domain: u8,
    /// Limbs of Q per polynomial.
    pub limbs: u8,
    /// Limbs of P per polynomial, after those of Q.
    pub special_limbs: u8,
    /// Polynomials in the payload.
    pub polynomials: u8,
    /// Exact scale; 1 where there is none.
    pub scale: f64,
    /// Digest of the epoch.
    pub epoch: [u8; 32],
    /// Training round, rotation steps of a rotation key, or asker of a gate.
    pub round: u32,
    /// Attempt within the round.
    pub attempt: u32,
    /// Chunk or index.
    pub chunk: u32,
    /// Hospital that made it, from 1; 0 for the coordinator.
    pub sender: u16,
}

impl Header {
    /// A header with zero origin, to be completed with struct update syntax.
    pub fn new(kind: Kind, preset: Preset, domain: u8, limbs: usize, polynomials: usize) -> Self {
        Header {
            kind,
            preset,
            domain,
            limbs: limbs as u8,
            special_limbs: 0,
            polynomials: polynomials as u8,
            scale: 1.0,
            epoch: [0; 32],
            round: 0,
            attempt: 0,
            chunk: 0,
            sender: 0,
        }
    }

    /// Appends the 72 bytes of the header.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[
            VERSION,
            self.kind as u8,
            self.preset.number(),
            self.domain,
            self.limbs,
            self.special_limbs,
            self.polynomials,
            0,
        ]);
        out.extend_from_slice(&self.sender.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.round.to_le_bytes());
        out.extend_from_slice(&self.attempt.to_le_bytes());
        out.extend_from_slice(&self.chunk.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.scale.to_bits().to_le_bytes());
        out.extend_from_slice(&self.epoch);
    }

    /// Reads a header of the expected kind and parameters, and checks that
    /// exactly the payload it announces follows. Returns the payload.
    ///
    /// # Errors
    /// Any [`DecodeError`] but `Residue`.
    pub fn read<'a>(bytes: &'a [u8], kind: Kind, params: &Params) -> Result<(Self, &'a [u8]), DecodeError> {
        Self::read_sized(bytes, kind, params, |_| params.n)
    }

    /// As [`Header::read`], for an object whose polynomials have as many coefficients as
    /// `coefficients` says of its header.
    pub(crate) fn read_sized<'a>(
        bytes: &'a [u8],
        kind: Kind,
        params: &Params,
        coefficients: impl FnOnce(&Self) -> usize,
    ) -> Result<(Self, &'a [u8]), DecodeError> {
        let Some((head, payload)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(DecodeError::Length { found: bytes.len(), expected: HEADER_BYTES });
        };
        let magic = [head[0], head[1], head[2], head[3]];
        if magic != MAGIC {
            return Err(DecodeError::Magic { found: magic });
        }
        if head[4] != VERSION {
            return Err(DecodeError::Version { found: head[4], expected: VERSION });
        }
        if head[5] != kind as u8 {
            return Err(DecodeError::Kind { found: head[5], expected: kind as u8 });
        }
        let preset = Preset::from_number(head[6]).ok_or(DecodeError::UnknownPreset { found: head[6] })?;
        if preset != params.preset {
            return Err(DecodeError::Preset { found: preset, expected: params.preset });
        }
        for offset in [11, 14, 15, 28, 29, 30, 31] {
            if head[offset] != 0 {
                return Err(DecodeError::Padding { offset });
            }
        }
        let field = |name, value: u8, ok: bool| {
            let error = DecodeError::Field { field: name, value: u64::from(value) };
            if ok { Ok(value) } else { Err(error) }
        };
        let (limbs, special) = (head[8], head[9]);
        let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let mut epoch = [0; 32];
        epoch.copy_from_slice(&head[40..]);
        let bits = u64::from(word(32)) | u64::from(word(36)) << 32;
        let scale = f64::from_bits(bits);
        if !(scale.is_finite() && scale > 0.0) {
            return Err(DecodeError::Scale { bits });
        }
        let polynomials = head[10];
        // Planes are over the first prime of P alone.
        let specials = match kind {
            Kind::PlaneKey | Kind::Plane => params.p.len().min(1),
            _ => params.p.len(),
        };
        let header = Header {
            kind,
            preset,
            domain: field("domain", head[7], head[7] <= 1)?,
            limbs: field("limbs", limbs, (1..=params.q.len()).contains(&usize::from(limbs)))?,
            special_limbs: field("special limbs", special, special == 0 || usize::from(special) == specials)?,
            polynomials: field("polynomials", polynomials, (1..=POLYNOMIALS_MAX).contains(&polynomials))?,
            scale,
            epoch,
            round: word(16),
            attempt: word(20),
            chunk: word(24),
            sender: u16::from_le_bytes([head[12], head[13]]),
        };
        let expected = header.payload_len(coefficients(&header));
        if payload.len() != expected {
            return Err(DecodeError::Length { found: bytes.len(), expected: HEADER_BYTES + expected });
        }
        Ok((header, payload))
    }

    /// Bytes of the payload of polynomials of `n` coefficients.
    pub fn payload_len(&self, n: usize) -> usize {
        let limbs = usize::from(self.limbs) + usize::from(self.special_limbs);
        usize::from(self.polynomials) * limbs * packed_len(n)
    }
}

/// The identity of an object: SHA-256 of its bytes under a tag.
pub fn identity(bytes: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"he-agg/object/v1");
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
    hash.finalize().into()
}

/// Bytes of `n` packed residues.
pub const fn packed_len(n: usize) -> usize {
    (n * 30).div_ceil(8)
}

/// Appends `residues`, each below 2^30, as consecutive 30-bit words.
///
/// Allocates only what `out` lacks.
pub fn pack(residues: &[u32], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + packed_len(residues.len()), 0);
    let (groups, rest) = residues.split_at(grouped(residues.len()));
    let (bytes, tail) = out[start..].split_at_mut(packed_len(groups.len()));
    simd::pack(Isa::detect(), groups, bytes);
    let mut word = 0u128;
    for (i, &x) in rest.iter().enumerate() {
        word |= u128::from(x) << (30 * i);
    }
    tail.copy_from_slice(&word.to_le_bytes()[..tail.len()]);
}

/// Reads what [`pack`] wrote. Values are 30 bits, not yet compared with a prime.
///
/// # Errors
/// [`DecodeError::Length`], or [`DecodeError::Padding`] if unused bits are set.
pub fn unpack(bytes: &[u8], out: &mut [u32]) -> Result<(), DecodeError> {
    let expected = packed_len(out.len());
    if bytes.len() != expected {
        return Err(DecodeError::Length { found: bytes.len(), expected });
    }
    let (groups, rest) = out.split_at_mut(grouped(out.len()));
    let (words, tail) = bytes.split_at(packed_len(groups.len()));
    simd::unpack(Isa::detect(), words, groups);
    if !unpack_tail(tail, rest) {
        return Err(DecodeError::Padding { offset: bytes.len() - 1 });
    }
    Ok(())
}

/// Residues in whole groups, among `n`: four fill whole bytes.
const fn grouped(n: usize) -> usize {
    n / 4 * 4
}

/// The at most three residues after the groups; whether the bits behind them are unused.
fn unpack_tail(tail: &[u8], rest: &mut [u32]) -> bool {
    const MASK: u128 = (1 << 30) - 1;
    let mut buffer = [0; 16];
    buffer[..tail.len()].copy_from_slice(tail);
    let word = u128::from_le_bytes(buffer);
    for (i, x) in rest.iter_mut().enumerate() {
        *x = ((word >> (30 * i)) & MASK) as u32;
    }
    word >> (30 * rest.len()) == 0
}

/// Whether [`unpack`] reads these bytes of `n` residues, all of them below `q`.
pub(crate) fn packed_below(bytes: &[u8], n: usize, q: u32) -> bool {
    let (words, tail) = bytes.split_at(packed_len(grouped(n)));
    let mut rest = [0; 3];
    let rest = &mut rest[..n % 4];
    let ends = unpack_tail(tail, rest);
    simd::packed_below(Isa::detect(), q, words) & ends & rest.iter().fold(true, |ok, &x| ok & (x < q))
}

/// `sum += packed residues`, as many as the sum has; both canonical.
pub(crate) fn packed_add(m: &Modulus, sum: &mut [u32], bytes: &[u8]) {
    let (groups, last) = sum.split_at_mut(grouped(sum.len()));
    let (words, tail) = bytes.split_at(packed_len(groups.len()));
    simd::packed_add(Isa::detect(), m, groups, words);
    let mut rest = [0; 3];
    let rest = &mut rest[..last.len()];
    unpack_tail(tail, rest);
    last.iter_mut().zip(rest).for_each(|(sum, x)| *sum = m.add(*sum, *x));
}

/// Refuses a residue that is not below `q`; `limb` is for the error only.
///
/// The scan does not stop early, since a key share goes through it too.
///
/// # Errors
/// [`DecodeError::Residue`] with the first offender.
pub fn check_residues(residues: &[u32], limb: usize, q: u32) -> Result<(), DecodeError> {
    let canonical = residues.iter().fold(true, |ok, &x| ok & (x < q));
    if canonical {
        return Ok(());
    }
    match residues.iter().position(|&x| x >= q) {
        Some(position) => Err(DecodeError::Residue { limb, position, value: residues[position], modulus: q }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::primes::PRIMES;
    use proptest::prelude::*;

    #[test]
    fn packing_is_little_endian_without_gaps() {
        let mut bytes = Vec::new();
        pack(&[1, 0x3fff_ffff, 0, 0x2000_0001, 5], &mut bytes);
        assert_eq!(
            bytes,
            [
                1, 0, 0, 0xc0, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 4, 0, 0, 0x80, // four residues
                5, 0, 0, 0
            ]
        );
        let mut back = [0; 5];
        unpack(&bytes, &mut back).unwrap();
        assert_eq!(back, [1, 0x3fff_ffff, 0, 0x2000_0001, 5]);
        bytes[18] = 0x40;
        assert_eq!(unpack(&bytes, &mut back), Err(DecodeError::Padding { offset: 18 }));
        assert_eq!(unpack(&bytes[1..], &mut back), Err(DecodeError::Length { found: 18, expected: 19 }));
    }

    #[test]
    fn a_residue_equal_to_its_prime_is_refused() {
        assert_eq!(check_residues(&[0, 6], 2, 7), Ok(()));
        assert_eq!(
            check_residues(&[0, 7], 2, 7),
            Err(DecodeError::Residue { limb: 2, position: 1, value: 7, modulus: 7 })
        );
    }

    fn example(params: &Params) -> Vec<u8> {
        let header = Header {
            scale: 1.5,
            epoch: [0xee; 32],
            round: 0x0102_0304,
            attempt: 5,
            chunk: 6,
            sender: 0x0a0b,
            ..Header::new(Kind::UpdateChunk, params.preset, 0, 7, 1)
        };
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        bytes.resize(HEADER_BYTES + header.payload_len(params.n), 0);
        bytes
    }

    #[test]
    fn header_bytes_are_frozen() {
        let params = Params::toy(Preset::Agg13, 4);
        let bytes = example(&params);
        let mut expected = b"HEAG\x01\x01\x01\x00\x07\x00\x01\x00\x0b\x0a\x00\x00".to_vec();
        expected.extend([4, 3, 2, 1, 5, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([0, 0, 0, 0, 0, 0, 0xf8, 0x3f]);
        expected.extend([0xee; 32]);
        assert_eq!(bytes[..HEADER_BYTES], expected);
        let (header, payload) = Header::read(&bytes, Kind::UpdateChunk, &params).unwrap();
        assert_eq!((header.round, header.sender, payload.len()), (0x0102_0304, 0x0a0b, 7 * 60));
    }

    #[test]
    fn every_malformed_header_is_refused() {
        let params = Params::toy(Preset::Agg13, 4);
        let good = example(&params);
        // (offset, value): each alone must be refused.
        let changes = [
            (0, b'X'),
            (4, 2),
            (5, 2),
            (6, 2),
            (6, 99),
            (7, 2),
            (8, 0),
            (8, 6),
            (8, 8),
            (9, 1),
            (10, 0),
            (10, 2),
            (10, 200),
            (11, 1),
            (14, 1),
            (15, 1),
            (28, 1),
            (31, 1),
            (39, 0xbf),
            (39, 0xff),
        ];
        for (offset, value) in changes {
            let mut bad = good.clone();
            bad[offset] = value;
            assert!(Header::read(&bad, Kind::UpdateChunk, &params).is_err(), "{offset} {value}");
        }
        for len in [0, 71, 72, good.len() - 1] {
            assert!(Header::read(&good[..len], Kind::UpdateChunk, &params).is_err());
        }
        assert!(Header::read(&[good.as_slice(), &[0]].concat(), Kind::UpdateChunk, &params).is_err());
    }

    proptest! {
        #[test]
        fn any_residues_round_trip(values in proptest::collection::vec(0u32..1 << 30, 0..40)) {
            let mut bytes = Vec::new();
            pack(&values, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_len(values.len()));
            let mut back = vec![0; values.len()];
            unpack(&bytes, &mut back).unwrap();
            prop_assert_eq!(&back, &values);
            let (q, n) = (PRIMES[0], values.len());
            prop_assert_eq!(packed_below(&bytes, n, q), values.iter().all(|&x| x < q));
            prop_assert!(packed_below(&bytes, n, 1 << 30));
            if bytes.len() * 8 > 30 * n {
                let mut padded = bytes.clone();
                padded[bytes.len() - 1] |= 0x80;
                prop_assert!(!packed_below(&padded, n, 1 << 30));
            }
            let m = Modulus::new(q);
            let canonical: Vec<u32> = values.iter().map(|x| x % q).collect();
            bytes.clear();
            pack(&canonical, &mut bytes);
            let mut sum: Vec<u32> = (0..n as u32).map(|i| q - 1 - i).collect();
            packed_add(&m, &mut sum, &bytes);
            for (i, (&sum, &x)) in (0u64..).zip(sum.iter().zip(&canonical)) {
                prop_assert_eq!(u64::from(sum), (u64::from(q) - 1 - i + u64::from(x)) % u64::from(q));
            }
        }
    }
}

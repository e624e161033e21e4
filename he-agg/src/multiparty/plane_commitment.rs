//! What one hospital is bound to before anybody knows a coin: the key of its planes, a coin, the planes' digests.

use crate::error::DecodeError;
use crate::multiparty::{CeremonyError, Crs, PlaneDigests, PlaneKey};
use sha2::{Digest, Sha256};

/// One hospital's part in the planes of an epoch. Public once all hospitals are bound to theirs.
pub struct PlaneCommitment {
    /// What its planes are encrypted under.
    pub key: PlaneKey,
    /// Fresh bytes: with those of all others they say which planes are opened.
    pub coin: [u8; 32],
    /// Of all its planes.
    pub digests: PlaneDigests,
}

impl PlaneCommitment {
    /// Three bodies, in this order.
    pub fn to_bytes(&self) -> [Vec<u8>; 3] {
        [self.key.to_bytes(), self.coin.to_vec(), self.digests.to_bytes()]
    }

    /// Reads the bodies of hospital `party`, for questions of `limbs` limbs and `groups` groups of planes.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`], [`CeremonyError::Epoch`], or [`CeremonyError::Mismatch`] for a key of
    /// another hospital or for questions of another level.
    pub fn from_bytes(
        [key, coin, digests]: [&[u8]; 3],
        crs: &Crs,
        (party, limbs, groups): (u16, usize, u32),
    ) -> Result<Self, CeremonyError> {
        let key = PlaneKey::from_bytes(key, crs)?;
        for (field, ours, theirs) in
            [("asker", u64::from(party), u64::from(key.asker())), ("limbs", limbs as u64, key.limbs() as u64)]
        {
            if ours != theirs {
                return Err(CeremonyError::Mismatch { field, ours, theirs });
            }
        }
        let found = coin.len();
        let coin = coin.try_into().map_err(|_| DecodeError::Length { found, expected: 32 })?;
        Ok(Self { key, coin, digests: PlaneDigests::from_bytes(digests, groups)? })
    }
}

/// The digest that a [`PlaneDraw`](crate::multiparty::PlaneDraw) is made of: of what all hospitals are bound to, coins
/// among it, in order of hospital.
pub fn plane_coins<'b>(crs: &Crs, commitments: impl IntoIterator<Item = [&'b [u8]; 3]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"he-agg/plane-coins/v1");
    hash.update(crs.epoch());
    for body in commitments.into_iter().flatten() {
        hash.update((body.len() as u64).to_le_bytes());
        hash.update(body);
    }
    hash.finalize().into()
}

//! What an asker is bound to before anybody knows which of its planes it has to open: a digest of each.

use crate::error::DecodeError;
use crate::multiparty::{CeremonyError, PLANES_PER_GROUP, Plane, PlaneDraw, PlaneMaker, PlaneSeed};
use crate::params::Preset;
use rayon::prelude::*;

/// Bytes of a seed, and of a digest.
const BYTES: usize = 32;

/// Why opened planes are none.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaneOpeningError {
    /// Fewer or more seeds than planes to open.
    #[error("{found} bytes of seeds, where {expected} open all planes that the coins ask for")]
    Count {
        /// As shown.
        found: usize,
        /// As asked for.
        expected: usize,
    },
    /// A plane that is not what its seed gives.
    #[error("plane {plane} is not what its seed gives")]
    Differs {
        /// Its number.
        plane: u32,
    },
    /// What the planes are made with does not belong together.
    #[error(transparent)]
    Ceremony(#[from] CeremonyError),
}

/// The digests of all planes of one asker, in order. Public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaneDigests(Vec<[u8; BYTES]>);

impl PlaneDigests {
    /// Of `groups` groups of planes, whose seeds follow from `pool`, 32 secret bytes. It takes some 8 ms a plane:
    /// `tells` hears of each, from any thread.
    ///
    /// # Errors
    /// As [`PlaneMaker::encrypt`].
    pub fn of_pool(
        maker: &PlaneMaker<'_>,
        pool: &[u8; 32],
        groups: u32,
        tells: &(dyn Fn() + Sync),
    ) -> Result<Self, CeremonyError> {
        let one = |number| {
            let plane = maker.encrypt(&PlaneSeed::of_pool(pool, maker.preset(), number))?;
            tells();
            Ok(plane.digest())
        };
        let digests = (0..groups * PLANES_PER_GROUP).into_par_iter().map(one);
        Ok(Self(digests.collect::<Result<_, CeremonyError>>()?))
    }

    /// The digests one after the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.concat()
    }

    /// Reads the digests of `groups` groups.
    ///
    /// # Errors
    /// [`DecodeError::Length`].
    pub fn from_bytes(bytes: &[u8], groups: u32) -> Result<Self, DecodeError> {
        let expected = (groups * PLANES_PER_GROUP) as usize * BYTES;
        if bytes.len() != expected {
            return Err(DecodeError::Length { found: bytes.len(), expected });
        }
        Ok(Self(bytes.as_chunks().0.to_vec()))
    }

    /// Whether this is the plane that was committed to under that number.
    pub fn is_plane(&self, number: u32, plane: &Plane) -> bool {
        self.0.get(number as usize) == Some(&plane.digest())
    }

    /// Makes all opened planes again from `seeds`, 32 bytes each in order of the planes. `maker` is of the key that
    /// they are under, `tells` hears of every plane.
    ///
    /// # Errors
    /// [`PlaneOpeningError`]: the first plane that differs.
    pub fn verify(
        &self,
        maker: &PlaneMaker<'_>,
        draw: &PlaneDraw,
        seeds: &[u8],
        tells: &(dyn Fn() + Sync),
    ) -> Result<(), PlaneOpeningError> {
        let opened: Vec<u32> = draw.opened().collect();
        let expected = opened.len() * BYTES;
        if seeds.len() != expected || self.0.len() != (draw.groups() * PLANES_PER_GROUP) as usize {
            return Err(PlaneOpeningError::Count { found: seeds.len(), expected });
        }
        let check = |(plane, seed): (&u32, &[u8; BYTES])| {
            let made = maker.encrypt(&PlaneSeed::from_bytes(*seed))?;
            tells();
            if self.is_plane(*plane, &made) { Ok(()) } else { Err(PlaneOpeningError::Differs { plane: *plane }) }
        };
        let seeds = seeds.as_chunks().0;
        opened.par_iter().zip(seeds).map(check).find_map_first(Result::err).map_or(Ok(()), Err)
    }
}

/// The seeds that a draw asks for, 32 bytes each in order of the planes. For one draw of a pool, ever: two would open
/// planes that questions are made of.
pub fn opened_seeds(pool: &[u8; 32], preset: Preset, draw: &PlaneDraw) -> Vec<u8> {
    draw.opened().flat_map(|number| *PlaneSeed::of_pool(pool, preset, number).expose_bytes()).collect()
}

//! Which planes are opened: of every group of eight all but one, as a digest says that nobody could choose.

use crate::params::Preset;
use crate::stream::Expander;

/// Planes of which one stays closed: a malformed one is among those that stay with 1/8.
pub const PLANES_PER_GROUP: u32 = 8;

/// The plane of each group that stays closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaneDraw(Vec<u8>);

impl PlaneDraw {
    /// For so many groups. `digest` must depend on the planes and on bytes of every hospital that it was bound to
    /// before it saw those of others; every asker's planes have a draw of their own.
    pub fn from_digest(digest: &[u8; 32], preset: Preset, asker: u16, groups: u32) -> Self {
        let expander = Expander::new(digest, "serving/plane-draw", preset, &[u64::from(asker)]);
        let mut kept = Vec::with_capacity(groups as usize);
        // 256 is a multiple of 8.
        expander.sampler(0).words::<1>(groups as usize, |[byte]| kept.push(byte % PLANES_PER_GROUP as u8));
        Self(kept)
    }

    /// Groups.
    pub fn groups(&self) -> u32 {
        self.0.len() as u32
    }

    /// The number of the plane that stays closed in a group.
    pub fn closed(&self, group: u32) -> Option<u32> {
        self.0.get(group as usize).map(|place| group * PLANES_PER_GROUP + u32::from(*place))
    }

    /// The numbers of the planes that are opened, ascending.
    pub fn opened(&self) -> impl Iterator<Item = u32> + '_ {
        let planes = 0..self.groups() * PLANES_PER_GROUP;
        planes.filter(|number| self.closed(number / PLANES_PER_GROUP) != Some(*number))
    }
}

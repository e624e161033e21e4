//! The keys of a fixed ceremony, for tests.

use he_agg::multiparty::{Collective, Crs, KeyPlan};
use he_agg::{Preset, Stream};

pub(crate) fn keys(preset: Preset, parties: u16, plan: &KeyPlan) -> Collective {
    Collective::new(Crs::new(preset, [7; 32]), parties, plan, &mut Stream::from_seed([42; 32])).unwrap()
}

//! Masks that cancel over a set of decryptors: an incomplete set of shares is uniform to whoever lacks a key of two.

use crate::aggregation::MaskKey;
use crate::multiparty::serving_key_share::base;
use crate::multiparty::{CeremonyError, PartySet};
use crate::params::Params;
use crate::ring::{Coeff, Poly};
use crate::stream::Expander;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Adds the masks of `party` with all others of the set, over the coefficients that the share has; each is expanded
/// from the key of the two, the domain and the digest of what the share is for.
///
/// # Errors
/// [`CeremonyError::MissingPairKey`]; the share is of no use then.
pub(crate) fn add_pair_masks(
    params: &'static Params,
    (domain, digest): (&str, &[u8; 32]),
    (party, decryptors): (u16, PartySet),
    keys: &BTreeMap<u16, MaskKey>,
    share: &mut Poly<Coeff>,
) -> Result<(), CeremonyError> {
    let basis = base(params);
    for other in decryptors.iter().filter(|&other| other != party) {
        let key = keys.get(&other).ok_or(CeremonyError::MissingPairKey { party: other })?;
        let numbers = [party.min(other), party.max(other)].map(u64::from);
        let expander = Expander::with_context(key.bytes(), domain, params.preset, &numbers, digest);
        let mask = Zeroizing::new(Poly::uniform(&expander, 0, share.n(), basis));
        if party < other {
            share.add_assign(&mask, basis);
        } else {
            share.sub_assign(&mask, basis);
        }
    }
    Ok(())
}

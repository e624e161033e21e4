//! The opener's part in a refresh.
//!
//! ```text
//! u' = centred(u - F(G, ctx)) = m + e + sum of M_j,    |u'| <= 6 t 2^w + 2^(B+1)
//! ```
//!
//! u' statistically hides m and e as long as one decryptor is honest, and leaves only behind the opener's gate. What is
//! out of range was forged, by whoever sent ciphertext, shares or sum; what is in range may have been forged too, since
//! the flooding is larger than the message: the range guards the arithmetic, and only whoever recomputes the ciphertext
//! guards the key.

use crate::aggregation::{MaskKey, ReleaseLedger};
use crate::ckks::GatedCiphertext;
use crate::multiparty::refresh_permit::opening;
use crate::multiparty::refresh_share::{check_gate, seal};
use crate::multiparty::release_context::same;
use crate::multiparty::serving_key_share::base;
use crate::multiparty::{
    BlindedRefresh, CeremonyError, GateHolder, GateHolderError, Gated, OpeningPermit, RefreshContext,
};
use crate::ring::{Coeff, Limb, Poly};
use zeroize::Zeroizing;

impl BlindedRefresh {
    /// Takes the blinding off, and returns factor u' behind the opener's gate of the target key.
    ///
    /// # Errors
    /// A permit for another sum or context; a gate of another hospital than the opener, or of another key than the
    /// target's; [`CeremonyError::RefreshRange`], which is an alarm; a refusal of the gate's ledger.
    pub fn open<L: ReleaseLedger>(
        &self,
        permit: OpeningPermit,
        context: &RefreshContext,
        group: &MaskKey,
        gate: &mut GateHolder<'_, L>,
    ) -> Result<GatedCiphertext, GateHolderError<L::Error>> {
        context.check(self.context)?;
        same(permit.digest, opening(context, self))?;
        check_gate(context, context.opener(), gate)?;
        let opened = self.unblinded(context, group);
        if !all_within(&opened, context.bound) {
            let bound_log2 = (context.bound as f64).log2();
            return Err(CeremonyError::RefreshRange { bound_log2 }.into());
        }
        seal(context, Gated::Refreshed, &opened, gate)
    }

    /// u', whatever its size.
    pub(super) fn unblinded(&self, context: &RefreshContext, group: &MaskKey) -> Zeroizing<Vec<i128>> {
        let basis = base(context.params);
        let mut sum = self.coefficients.clone();
        sum.sub_assign(&context.blinding(group), basis);
        centred_integers(&sum, basis)
    }
}

/// Whether no value exceeds the bound in magnitude; the bits of the values decide no branch.
fn all_within(values: &[i128], bound: u128) -> bool {
    let over = values.iter().fold(0, |over: u128, &value| {
        let sign = value >> 127;
        let magnitude = ((value ^ sign) as u128).wrapping_sub(sign as u128);
        // Below 2^127 both, so that the top bit is the borrow.
        over | bound.wrapping_sub(magnitude)
    });
    over >> 127 == 0
}

/// The representatives in (-Q/2, Q/2) modulo the product Q of at most four primes, exactly: Garner's mixed-radix
/// digits, taken centred, add up to them without a final wrap. In constant time.
fn centred_integers(poly: &Poly<Coeff>, basis: &[Limb]) -> Zeroizing<Vec<i128>> {
    debug_assert!(basis.len() <= 4, "more primes than 127 bits hold");
    let mut values = Zeroizing::new(vec![0; poly.n()]);
    let mut radix = 1_i128;
    for (index, limb) in basis.iter().enumerate() {
        let modulus = limb.modulus();
        // 1 / (q_0 .. q_(i-1)) modulo q_i.
        let inverse = modulus.inv(modulus.reduce_i128(radix));
        for (value, &residue) in values.iter_mut().zip(poly.limb(index)) {
            let rest = modulus.sub(residue, modulus.reduce_i128(*value));
            *value += radix * i128::from(modulus.centre(modulus.mul(rest, inverse)));
        }
        radix *= i128::from(modulus.value());
    }
    values
}

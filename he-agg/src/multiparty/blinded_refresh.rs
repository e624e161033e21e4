//! u = c0 + sum of all shares of a refresh.

use crate::ckks::refuse_other_fields;
use crate::multiparty::serving_key_share::base;
use crate::multiparty::{CeremonyError, RefreshContext};
use crate::params::Params;
use crate::ring::{Coeff, Domain, Poly};
use crate::wire::{HEADER_BYTES, Header, Kind, identity};
use zeroize::Zeroizing;

/// The flooded message plus F(G, ctx): uniform to whoever lacks G, so to the coordinator that makes it.
pub struct BlindedRefresh {
    params: &'static Params,
    pub(super) context: [u8; 32],
    pub(super) coefficients: Zeroizing<Poly<Coeff>>,
}

impl BlindedRefresh {
    pub(super) fn of(context: &RefreshContext, coefficients: Zeroizing<Poly<Coeff>>) -> Self {
        Self { params: context.params, context: context.digest(), coefficients }
    }

    /// Header, with the context in its epoch field, and the packed residues.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = header(self.params, self.context);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + header.payload_len(self.params.n));
        header.write(&mut bytes);
        self.coefficients.pack_into(&mut bytes);
        bytes
    }

    /// Reads the sum of this refresh.
    ///
    /// # Errors
    /// [`CeremonyError::Decode`] or [`CeremonyError::Context`].
    pub fn from_bytes(bytes: &[u8], context: &RefreshContext) -> Result<Self, CeremonyError> {
        let params = context.params;
        let (found, payload) = Header::read(bytes, Kind::BlindedRefresh, params)?;
        context.check(found.epoch)?;
        refuse_other_fields(&found, &header(params, found.epoch))?;
        let coefficients = Zeroizing::new(Poly::unpack(payload, params.n, base(params))?);
        Ok(Self { params, context: found.epoch, coefficients })
    }

    /// SHA-256 of the bytes under the object tag.
    pub fn digest(&self) -> [u8; 32] {
        identity(&self.to_bytes())
    }
}

fn header(params: &Params, context: [u8; 32]) -> Header {
    let plain = Header::new(Kind::BlindedRefresh, params.preset, Coeff::NUMBER, params.base_limbs, 1);
    Header { epoch: context, ..plain }
}

//! A session's own secret for queries, and the key with which the coordinator switches them.

use bytes::Bytes;
use he_agg::Stream;
use he_agg::multiparty::{Crs, PublicKey, QueryKey, QuerySecret};
use he_infer::Program;
use protocol::ids::{Digest, QueryId};
use protocol::message::QueryKeyRef;

use super::error::{HospitalError, Step};

/// Made with the first query of a process and kept in memory only.
pub(super) struct QueryKeys {
    secret: QuerySecret,
    reference: QueryKeyRef,
    /// Until it was sent.
    key: Option<Bytes>,
}

impl QueryKeys {
    /// Fresh keys for the queries from `session` on.
    ///
    /// # Errors
    /// [`HospitalError::Crypto`].
    pub(super) fn generate(
        program: &Program,
        public: &PublicKey,
        crs: &Crs,
        session: QueryId,
        stream: &mut Stream,
    ) -> Result<Self, HospitalError> {
        let step = "making a key for queries";
        let secret = QuerySecret::generate(program.params().preset, stream).step(step)?;
        let key = QueryKey::generate(&secret, public, crs, program.input_limbs(), stream).step(step)?;
        let bytes = Bytes::from(key.to_bytes());
        let reference = QueryKeyRef { session, digest: Digest::of_bytes(&bytes) };
        Ok(Self { secret, reference, key: Some(bytes) })
    }

    pub(super) fn secret(&self) -> &QuerySecret {
        &self.secret
    }

    pub(super) fn reference(&self) -> QueryKeyRef {
        self.reference
    }

    /// The key where it is still to be sent, and the session whose name it bears.
    pub(super) fn to_send(&self) -> Option<(QueryId, Bytes)> {
        self.key.clone().map(|key| (self.reference.session, key))
    }

    pub(super) fn sent(&mut self) {
        self.key = None;
    }
}

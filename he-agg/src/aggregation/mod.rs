//! Training rounds: exact sums of quantised updates, decrypted by a threshold
//! of hospitals and readable by hospitals only.
//!
//! Each hospital encrypts under its own secret with a common public `a`, so
//! that only one polynomial per chunk travels:
//!
//! ```text
//! c0_i = -a s_i + e_i + M_i                                         mod Q
//! h_j  = a lambda_j(T) D_j + z_j + zero-sum masks + [j = min T] F(G)  mod Q
//! y    = sum of c0_i over S + sum of h_j over T,   D_j = sum of S_i(j) over S
//! ```
//!
//! A hospital subtracts the blinding `F(G)` from `y` and finds the integer
//! sums above a gap that holds all noise. Order of use: [`LaneLayout`] and
//! [`Quantiser`], [`AggregationSecret::deal`], [`ReleaseLedger`] for permits,
//! [`encrypt_chunk`], [`ChunkSum`] or [`ChunkTerms`], [`Decryptor::share`],
//! [`BlindedSum::combine`], [`open`].
//!
//! Masks: ePrint 2026/031, section 5. Flooding: ePrint 2022/816.

mod checksum;
mod chunk;
mod chunk_id;
mod chunk_terms;
mod context;
mod error;
mod flooding;
mod keys;
mod lanes;
mod layout;
mod ledger;
mod object;
mod open;
mod quantiser;
mod reconstruction;
mod request;
mod secret;
mod share;
#[cfg(test)]
mod tests;

pub use chunk::{ChunkSum, PackedChunk, UpdateChunk, encrypt_chunk};
pub use chunk_id::ChunkId;
pub use chunk_terms::ChunkTerms;
pub use context::ShareContext;
pub use error::AggregationError;
pub use flooding::{Flooding, FloodingError, RELEASES_MAX, SECURITY_MAX, SECURITY_MIN, TauCounter, TauExhausted};
pub use keys::{MaskKey, VaultSecret};
pub use layout::{LANE_BITS_MAX, LANE_BITS_MIN, LaneLayout, PARTIES_MAX, PARTIES_MIN};
pub(crate) use ledger::settle;
pub use ledger::{Claim, EncryptPermit, LedgerKey, MemoryLedger, PermitError, ReleaseLedger, SharePermit, Use};
pub use open::{BlindedSum, DecodedChunk, open};
pub use quantiser::Quantiser;
pub use request::EncryptRequest;
pub use secret::{AggregationSecret, KeyShare};
pub use share::{DecryptionShare, Decryptor};

//! Durable storage that both roles share. It moves opaque bytes and knows neither ciphertexts nor parties.

mod journal;
mod spool;

pub use journal::{Journal, JournalError, Once, Row};
pub use spool::{Spool, StoreError};

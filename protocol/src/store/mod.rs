//! Durable storage that both roles share. It moves opaque bytes and knows neither ciphertexts nor parties.

mod journal;
mod spool;
mod whole_file;

pub use journal::{Journal, JournalError, Once, Row};
pub use spool::{Spool, StoreError};
pub use whole_file::{FileFault, no_space_left, remove_stale, sync_folder, write_beside, write_private, write_whole};

//! What this site's officer consented to, and what the site said on the way there: nothing of it is ever said twice
//! otherwise.
//!
//! [`ConsentBook`] keeps it in `consent.sqlite`; [`Council`] carries a proposal from its first sight to the words that
//! officers compare, and later to the approval that lets the ceremony begin. Every entry is written once, so that the
//! service and the officer's command may use the book at a time. What the service has checked it notes beside the book
//! ([`noted()`]), for pages in a process without keys and without a line to the coordinator.

mod approval;
mod book;
mod council;
mod error;
mod noted;
#[cfg(test)]
mod tests;

pub use approval::{ApprovalError, ApprovedTerms, approve_terms};
pub use book::{Approvable, ConsentBook, GivenApproval};
pub use council::{Council, Seen};
pub use error::ConsentError;
pub(crate) use noted::{NOTE_BYTES_MAX, note, noted_bytes, parsed};
pub use noted::{noted, noted_epochs};

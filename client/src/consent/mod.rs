//! What this site's officer consented to, and what the site said on the way there: nothing of it is ever said twice
//! otherwise.
//!
//! [`ConsentBook`] keeps it in `consent.sqlite`; [`Council`] carries a proposal from its first sight to the words that
//! officers compare, and later to the approval that lets the ceremony begin. Every entry is written once, so that the
//! service and the officer's command may use the book at a time.

mod book;
mod council;
mod error;
#[cfg(test)]
mod tests;

pub use book::ConsentBook;
pub use council::{Council, Seen};
pub use error::ConsentError;

//! What a consortium's officers consent to before a key is made: who belongs to it, and on which terms it trains.
//!
//! ```text
//! coordinator: Proposal { epoch, membership, plan, base }
//! site:        Bind { commitment to its nonce } ---->      all n, then
//!              Reveal { nonce } ---->                      all n, then
//! officers:    six words of H(membership, all nonces): one reads them aloud, the others type what they hear
//! site:        Approve { membership, terms, sealing key of the epoch } ---->      all n, then the ceremony
//! ```
//!
//! Every site is bound to its nonce, and to the bindings of all others as it saw them, before it shows the nonce. So
//! a coordinator that shows two sites different members has fixed both lists before it can know either's words: one
//! try in 2^66 for every telephone call. Over the members alone, it could look for two lists with the same words.
//!
//! Words are for the membership; a later epoch of the same members needs none.

mod council;
mod message;

pub use crate::limits::EPOCHS_MAX;
pub use council::{ConsentFault, Own, Step, check, next};
pub use message::{
    Approval, Base, CONSENT, ConsentAnswer, ConsentCall, Nonce, NonceBinding, PLAN_BYTES_MAX, Proposal, Stage, Standing,
};

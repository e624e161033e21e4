//! How a site becomes a member: invited by a line of text, known by keys that never left it, compared by telephone.
//!
//! ```text
//! operator:  invite ------------- one line, by mail or messenger -------------> site
//! site:      Request { keys, commitment to its nonce } ----> coordinator        TLS, pinned authority, no certificate
//!            <---- Opened { coordinator's nonce, log key }
//!            Reveal { nonce } ---->
//! both:      six words of H(name, keys, authority, log key, both nonces), read aloud
//! operator:  approve, by typing the words ----> certificate
//! site:      Ask ----> Admitted { certificate }
//! ```
//!
//! The site commits to its nonce before it hears the coordinator's, so whoever sits between both has fixed its keys
//! before it can know what words they will give: one try in 2^66.

mod invite;
mod message;
mod signing;
mod words;

pub use crate::net::HostPort;
pub use invite::{Invite, InviteError, Token};
pub use message::{
    Admitted, Applicant, CERTIFICATE_BYTES_MAX, COORDINATOR, JOIN, JoinAnswer, JoinCall, JoinReject, JoinRequest,
    JoinReveal, Opened, RENEW, SITES, SignedJoinRequest, Site, Sites, TIME, is_organisation, nonce_commitment, words,
};
pub use signing::{
    Admission, CoordinatorKeys, SIGNING_FILE_BYTES_MAX, SignedCertificates, SigningFile, SigningFileError,
    SigningRequests, SiteCertificate,
};
pub use words::{WORDS, Words, WordsError};

/// Seconds since 1970, as invitations and certificates count them; a clock before that counts as 1970.
#[must_use]
pub fn seconds(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

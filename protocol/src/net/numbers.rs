//! Numbers by which a server tells its connections apart.

use aws_lc_rs::rand;
use quinn::{ConnectionId, ConnectionIdGenerator};

/// Bytes of a number.
const BYTES: usize = 8;

/// Random numbers. Those that quinn makes by itself are keyed anew in every process, which then drops packets of the
/// one before it in silence; these are all answered, if only with the word that the connection is lost.
#[derive(Debug)]
pub(super) struct Numbers;

impl ConnectionIdGenerator for Numbers {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut number = [0; BYTES];
        // Without randomness no handshake succeeds either, so a number that repeats identifies nobody.
        let _ = rand::fill(&mut number);
        ConnectionId::new(&number)
    }

    fn cid_len(&self) -> usize {
        BYTES
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

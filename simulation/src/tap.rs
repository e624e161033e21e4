//! Hears every call that reaches the coordinator of a simulated run, before it is answered. A real coordinator's calls
//! are heard by nobody: this stands between its socket and its handler, and only here.

use std::sync::Arc;

use protocol::ids::{Digest, PartyId};
use protocol::net::{BoxFuture, Frame, Handler, Peer, Refusal};
use protocol::roster::Roster;

/// What hears.
pub(super) trait Tap: Send + Sync + 'static {
    /// One received frame.
    fn received(&self, from: PartyId, frame: &Frame);
}

/// A handler that lets a tap hear first.
pub(super) struct Tapped<T> {
    pub(super) tap: Arc<T>,
    pub(super) inner: Arc<dyn Handler>,
    pub(super) roster: Roster,
}

impl<T: Tap> Handler for Tapped<T> {
    fn admits<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, bool> {
        self.inner.admits(peer)
    }

    fn handle(&self, peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        let from = self.roster.member_by_tls(peer.name.as_str(), Digest(*peer.key.bytes()));
        if let Some(from) = from {
            self.tap.received(from.party, &request);
        }
        self.inner.handle(peer, request)
    }
}

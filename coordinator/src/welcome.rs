//! What the coordinator answers to sites that want to join, and to those that have.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use protocol::codec::Wire;
use protocol::enrolment::{JOIN, JoinCall, JoinReject, SITES};
use protocol::net::{BoxFuture, Frame, Handler, Newcomers, Peer, Refusal};
use protocol::reject::Reject;

use crate::members::{Host, Members};

/// Answers from the book of members.
pub struct Welcome {
    /// The book.
    pub members: Arc<Members>,
    /// Who the coordinator is.
    pub host: Host,
}

impl Newcomers for Welcome {
    fn handle(&self, addr: SocketAddr, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        Box::pin(async move {
            let (members, host) = (Arc::clone(&self.members), self.host.clone());
            let answer = tokio::task::spawn_blocking(move || {
                if request.kind != JOIN || !request.body.is_empty() {
                    return Err(JoinReject::Malformed);
                }
                let call = JoinCall::from_bytes(&request.header).map_err(|_| JoinReject::Malformed)?;
                members.answer(&call, &host, SystemTime::now())
            });
            match answer.await.unwrap_or(Err(JoinReject::Storage)) {
                Ok(answer) => Ok(Frame::new(JOIN, answer.to_bytes(), Vec::new())),
                Err(reject) => {
                    tracing::info!(%addr, %reject, "a site was not admitted");
                    Err(Refusal { code: reject.code() })
                }
            }
        })
    }
}

impl Handler for Welcome {
    fn handle(&self, peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        Box::pin(async move {
            let members = Arc::clone(&self.members);
            let answer = tokio::task::spawn_blocking(move || {
                // Asked each time: a revocation holds from the next call on, whatever the connection's age.
                match members.is_member(&peer.name, peer.key) {
                    Ok(true) if request.kind == SITES => members.sites().map_err(|_| Reject::Storage),
                    Ok(true) => Err(Reject::OutOfTurn),
                    Ok(false) => Err(Reject::UnknownParty),
                    Err(error) => {
                        tracing::error!(%error, "a member could not be looked up");
                        Err(Reject::Storage)
                    }
                }
            });
            match answer.await.unwrap_or(Err(Reject::Storage)) {
                Ok(sites) => Ok(Frame::new(SITES, sites.to_bytes(), Vec::new())),
                Err(reject) => Err(Refusal { code: reject.code() }),
            }
        })
    }
}

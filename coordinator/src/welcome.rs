//! What the coordinator answers to sites that want to join, and to those that have.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use protocol::codec::Wire;
use protocol::consent::{CONSENT, ConsentCall};
use protocol::enrolment::{Admitted, JOIN, JoinCall, JoinReject, RENEW, SITES, TIME, seconds};
use protocol::exchange::Call;
use protocol::ids::Epoch;
use protocol::net::{Authority, BoxFuture, Frame, Handler, Newcomers, Peer, PeerName, Refusal, Sparing};
use protocol::reject::Reject;

use crate::members::{Host, Members, MembersError};
use crate::proposals::{Proposals, ProposalsError};

/// Who answers the calls of each key epoch under way. Cloning shares them.
#[derive(Clone, Default)]
pub struct Desks(Arc<RwLock<BTreeMap<Epoch, Arc<dyn Handler>>>>);

impl Desks {
    /// Opens an epoch's desk.
    pub fn open(&self, epoch: Epoch, desk: Arc<dyn Handler>) {
        // A panic elsewhere leaves a map of pointers behind, which is whole.
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(epoch, desk);
    }

    /// Closes it.
    pub fn close(&self, epoch: Epoch) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&epoch);
    }

    fn of(&self, epoch: Epoch) -> Option<Arc<dyn Handler>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&epoch).cloned()
    }
}

/// Where the authority is.
#[derive(Clone)]
pub enum Issuing {
    /// In this process.
    Here(Arc<Authority>),
    /// On a machine that nothing connects; what it signed lies in the book of members.
    Elsewhere,
}

impl Issuing {
    fn renew(&self, members: &Members, name: &PeerName, host: &Host) -> Result<Admitted, MembersError> {
        match self {
            Self::Here(authority) => members.renew(name, authority, SystemTime::now()),
            Self::Elsewhere => members.newest(name, host),
        }
    }
}

/// Answers from the books of members and proposals, and lets members of a key epoch through to its desk.
pub struct Welcome {
    /// The book of members.
    pub members: Arc<Members>,
    /// The book of proposals.
    pub proposals: Arc<Proposals>,
    /// Where calls of an epoch are answered.
    pub desks: Desks,
    /// Who issues members' next certificates.
    pub issuing: Issuing,
    /// Who the coordinator is.
    pub host: Host,
    /// Lines of the log that strangers cause.
    pub lines: Sparing,
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
                    if let Some(unsaid) = self.lines.line() {
                        tracing::info!(%addr, %reject, unsaid, "a site was not admitted");
                    }
                    Err(Refusal { code: reject.code() })
                }
            }
        })
    }
}

impl Handler for Welcome {
    /// A member that was put out enters no more; where the book cannot be read its calls say so.
    fn admits<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, bool> {
        Box::pin(async move { !matches!(self.is_member(peer).await, Ok(false)) })
    }

    fn handle(&self, peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        Box::pin(async move {
            // Asked each time: a revocation holds from the next call on, whatever the connection's age.
            if !self.is_member(&peer).await? {
                return Err(Reject::UnknownParty.into());
            }
            if let Ok(epoch) = Call::epoch_of(&request) {
                return match self.desks.of(epoch) {
                    Some(desk) => desk.handle(peer, request).await,
                    None => Err(self.not_open(epoch).await.into()),
                };
            }
            let (members, proposals) = (Arc::clone(&self.members), Arc::clone(&self.proposals));
            let (issuing, host) = (self.issuing.clone(), self.host.clone());
            let kind = request.kind;
            let answered = tokio::task::spawn_blocking(move || match kind {
                SITES => Ok(members.sites().map_err(unreadable)?.to_bytes()),
                CONSENT => {
                    let call = ConsentCall::from_bytes(&request.header).map_err(|_| Reject::WrongVersion)?;
                    Ok(proposals.answer(&peer.name, peer.key, &call)?.to_bytes())
                }
                RENEW => Ok(issuing.renew(&members, &peer.name, &host).map_err(unreadable)?.to_bytes()),
                TIME => Ok(seconds(SystemTime::now()).to_bytes()),
                // What a newer or an older release calls.
                _ => Err(Reject::WrongVersion),
            });
            let header = answered.await.unwrap_or(Err(Reject::Storage))?;
            Ok(Frame::new(kind, header, Vec::new()))
        })
    }
}

impl Welcome {
    async fn is_member(&self, peer: &Peer) -> Result<bool, Reject> {
        let (members, name, key) = (Arc::clone(&self.members), peer.name.clone(), peer.key);
        let looked_up = tokio::task::spawn_blocking(move || members.is_member(&name, key)).await;
        looked_up.map_err(|_| Reject::Storage)?.map_err(unreadable)
    }

    /// Why nobody answers for an epoch: what its members are to do differs.
    async fn not_open(&self, epoch: Epoch) -> Reject {
        let proposals = Arc::clone(&self.proposals);
        match tokio::task::spawn_blocking(move || proposals.is_over(epoch)).await {
            // They end their part.
            Ok(Ok(true)) => Reject::Stopping,
            // The desk opens with the epoch, or again after a restart: the same call is repeated.
            Ok(Ok(false)) => Reject::Storage,
            // They look which epochs there are.
            Ok(Err(ProposalsError::NoEpoch { .. })) => Reject::WrongEpoch,
            Ok(Err(error)) => {
                tracing::error!(%epoch, %error, "a key epoch could not be looked up");
                Reject::Storage
            }
            Err(_) => Reject::Storage,
        }
    }
}

/// What a member hears of the book's refusals and its own trouble.
fn unreadable(error: MembersError) -> Reject {
    match error {
        MembersError::TooSoon { .. } => Reject::RetryAfter,
        MembersError::NoMember { .. } => Reject::UnknownParty,
        error => {
            tracing::error!(%error, "a member could not be answered");
            Reject::Storage
        }
    }
}

#[cfg(test)]
mod tests;

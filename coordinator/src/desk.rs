//! The coordinator's counter: answers hospitals' calls, and passes on what the driver has to know.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use protocol::blob::{BlobId, BlobKind};
use protocol::exchange::{Answer, Call};
use protocol::ids::{Digest, PartyId, QueryId};
use protocol::message::{HospitalMessage, SignedMessage};
use protocol::net::{BoxFuture, Frame, Handler, Peer, Refusal};
use protocol::reject::Reject;
use protocol::roster::Roster;
use tokio::sync::{mpsc, oneshot};

use crate::bodies::{Bodies, ListId};
use crate::log_book::LogBook;

/// How long a poll waits for news before it is answered empty: well below every grace period.
const POLL_WAIT: Duration = Duration::from_millis(1_500);

/// How long the sender of a query waits to hear whether it was taken. Longer means that nothing is served now.
const VERDICT_WAIT: Duration = Duration::from_secs(3);

/// What the driver hears from the desk.
#[derive(Debug)]
pub(crate) enum News {
    /// A signed message whose signature and author were checked.
    Message(Box<SignedMessage>),
    /// A body was stored.
    Body(ListId),
}

/// Whether a query was taken.
pub(crate) type Verdict = Result<(), Reject>;

/// Sees every message that a peer sent. Only simulations set one, to search for secrets.
pub trait Tap: Send + Sync {
    /// One received frame.
    fn received(&self, from: PartyId, frame: &Frame);
}

/// The handler behind the coordinator's socket.
pub(crate) struct Desk {
    roster: Roster,
    log: Arc<LogBook>,
    bodies: Arc<Bodies>,
    news: mpsc::Sender<News>,
    seen: Mutex<BTreeMap<PartyId, Instant>>,
    /// Senders of queries that wait for the driver's word; as many as there are calls in flight.
    verdicts: Mutex<HashMap<(PartyId, QueryId), oneshot::Sender<Verdict>>>,
    tap: Option<Arc<dyn Tap>>,
}

impl Desk {
    /// A desk for the members of `roster`. The queue behind `news` bounds what peers can make us hold.
    pub(crate) fn new(
        roster: Roster,
        log: Arc<LogBook>,
        bodies: Arc<Bodies>,
        news: mpsc::Sender<News>,
        tap: Option<Arc<dyn Tap>>,
    ) -> Self {
        Self { roster, log, bodies, news, seen: Mutex::default(), verdicts: Mutex::default(), tap }
    }

    /// How long each hospital has been silent; `None` for one that never called.
    pub(crate) fn silence(&self, party: PartyId) -> Option<Duration> {
        let seen = self.seen.lock().ok()?;
        seen.get(&party).map(Instant::elapsed)
    }

    /// Tells the sender of a query whether it was taken. Nobody waits for a verdict that comes too late.
    pub(crate) fn verdict(&self, party: PartyId, query: QueryId, verdict: Verdict) {
        let waiting = self.verdicts.lock().ok().and_then(|mut all| all.remove(&(party, query)));
        if let Some(waiting) = waiting {
            let _ = waiting.send(verdict);
        }
    }

    async fn post(&self, party: PartyId, message: Box<SignedMessage>) -> Result<Answer, Reject> {
        let query = match &message.body {
            HospitalMessage::QueryHead(head) => Some(head.query),
            _ => None,
        };
        let verdict = query.and_then(|query| {
            let (sender, receiver) = oneshot::channel();
            self.verdicts.lock().ok()?.insert((party, query), sender);
            Some((query, receiver))
        });
        self.news.send(News::Message(message)).await.map_err(|_| Reject::Stopping)?;
        let Some((query, receiver)) = verdict else { return Ok(Answer::Accepted) };
        match tokio::time::timeout(VERDICT_WAIT, receiver).await {
            Ok(Ok(verdict)) => verdict.map(|()| Answer::Accepted),
            // A second call for the same query took this one's place.
            Ok(Err(_)) => Err(Reject::RetryAfter),
            Err(_) => {
                self.verdict(party, query, Err(Reject::RetryAfter));
                Err(Reject::RetryAfter)
            }
        }
    }

    async fn answer(&self, peer: Peer, frame: Frame) -> Result<Answer, Reject> {
        let fingerprint = Digest(*peer.fingerprint.bytes());
        let party = self.roster.member_by_certificate(fingerprint).ok_or(Reject::UnknownParty)?.party;
        if let Ok(mut seen) = self.seen.lock() {
            seen.insert(party, Instant::now());
        }
        if let Some(tap) = &self.tap {
            tap.received(party, &frame);
        }
        match Call::from_frame(&frame).map_err(|_| Reject::OutOfTurn)? {
            Call::Poll { next } => self.poll(next).await,
            Call::Post(message) => {
                if message.author != party {
                    return Err(Reject::BadSignature);
                }
                message.verify(&self.roster)?;
                self.post(party, message).await
            }
            Call::Put { id, body } => {
                if id.party != Some(party) || !sent_by_hospitals(id.kind) {
                    return Err(Reject::OutOfTurn);
                }
                let bodies = Arc::clone(&self.bodies);
                let stored = tokio::task::spawn_blocking(move || bodies.put(&id, &body)).await;
                let digest = stored.map_err(|_| Reject::Stopping)?.map_err(|error| {
                    tracing::warn!(%party, %error, "body refused");
                    Reject::BodyDiffers
                })?;
                self.news.send(News::Body(ListId::of(&id))).await.map_err(|_| Reject::Stopping)?;
                Ok(Answer::Stored(digest))
            }
            Call::Get { id } => {
                if !may_read(&id, party) {
                    return Err(Reject::OutOfTurn);
                }
                let bodies = Arc::clone(&self.bodies);
                let body = tokio::task::spawn_blocking(move || bodies.get(&id)).await;
                body.map_err(|_| Reject::Stopping)?.map(Answer::Body).map_err(|_| Reject::OutOfTurn)
            }
        }
    }

    async fn poll(&self, next: u64) -> Result<Answer, Reject> {
        let mut length = self.log.watch();
        // Time out or not: the reply is whatever is there afterwards.
        let _ = tokio::time::timeout(POLL_WAIT, length.wait_for(|length| *length > next)).await;
        self.log.from(next).map(Answer::Entries).map_err(|_| Reject::Stopping)
    }
}

impl Handler for Desk {
    fn handle(&self, peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        Box::pin(async move {
            match self.answer(peer, request).await {
                Ok(answer) => Ok(answer.into_frame()),
                Err(reject) => Err(Refusal { code: reject.code() }),
            }
        })
    }
}

fn sent_by_hospitals(kind: BlobKind) -> bool {
    !matches!(kind, BlobKind::SumChunk | BlobKind::QueryResult | BlobKind::Answer)
}

/// Sealed boxes go to their receiver alone; what the coordinator made for all goes to all; a hospital's own bodies go
/// back to it. Nobody reads another hospital's ciphertexts.
fn may_read(id: &BlobId, reader: PartyId) -> bool {
    match (id.kind, id.party) {
        (BlobKind::Dealing, _) => id.index == u32::from(reader.number()),
        (_, None) => true,
        (_, Some(maker)) => maker == reader || id.kind == BlobKind::AskerKey,
    }
}

//! Turns calls, silence and time into the inputs that the protocol's machines take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use protocol::blob::BodyRoot;
use protocol::ids::{PartyId, QueryId};
use protocol::message::SignedMessage;
use protocol::party_set::PartySet;
use tokio::sync::mpsc;

use crate::bodies::{Bodies, ListId};
use crate::desk::{Desk, News, Verdict};
use crate::error::CoordinatorError;

/// How often silence is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// One thing that happened.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A verified message.
    Message(Box<SignedMessage>),
    /// An awaited list of bodies is complete and matches its head.
    Complete(ListId),
    /// A hospital was silent for longer than the grace.
    Gone(PartyId),
    /// A hospital that was gone calls again.
    Back(PartyId),
    /// Time passed.
    Tick,
}

/// The driver's ear.
pub(crate) struct Inbox {
    news: mpsc::Receiver<News>,
    desk: Arc<Desk>,
    bodies: Arc<Bodies>,
    parties: PartySet,
    live: PartySet,
    grace: Duration,
    start: Instant,
    looked: Instant,
    ready: Vec<Incoming>,
}

impl Inbox {
    pub(crate) fn new(
        news: mpsc::Receiver<News>,
        desk: Arc<Desk>,
        bodies: Arc<Bodies>,
        parties: PartySet,
        grace: Duration,
    ) -> Self {
        Self {
            news,
            desk,
            bodies,
            parties,
            live: parties,
            grace,
            start: Instant::now(),
            looked: Instant::now(),
            ready: Vec::new(),
        }
    }

    /// Milliseconds since the inbox was made: the machines' clock.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Hospitals that are not given up.
    pub(crate) fn live(&self) -> PartySet {
        self.live
    }

    /// Counts only hospitals that have called as live; the others become so when they do. For a coordinator that comes
    /// back and does not know who else does.
    pub(crate) fn forget_the_silent(&mut self) {
        let calls = |party: &PartyId| self.desk.silence(*party).is_some_and(|silence| silence <= self.grace);
        self.live = self.parties.iter().filter(calls).collect();
    }

    /// Tells the sender of a query whether it was taken.
    pub(crate) fn verdict(&self, party: PartyId, query: QueryId, verdict: Verdict) {
        self.desk.verdict(party, query, verdict);
    }

    /// Reports the list as [`Incoming::Complete`] once it matches `root`.
    pub(crate) fn expect(&mut self, list: ListId, root: BodyRoot) -> Result<(), CoordinatorError> {
        if self.bodies.expect(list, root)? {
            self.ready.push(Incoming::Complete(list));
        }
        Ok(())
    }

    /// The next thing that happens; a tick at the latest after a moment.
    pub(crate) async fn next(&mut self) -> Result<Incoming, CoordinatorError> {
        loop {
            if self.looked.elapsed() >= LOOK {
                // On time however much is said: a flood of bodies from one hospital must not hide another's silence.
                self.looked = Instant::now();
                self.look();
            }
            if let Some(incoming) = self.ready.pop() {
                return Ok(incoming);
            }
            match tokio::time::timeout(LOOK, self.news.recv()).await {
                Ok(None) => return Err(CoordinatorError::Abandoned),
                Ok(Some(News::Message(message))) => return Ok(Incoming::Message(message)),
                Ok(Some(News::Body(list))) => {
                    if self.bodies.completed(list)? {
                        return Ok(Incoming::Complete(list));
                    }
                }
                Err(_) => {
                    self.looked = Instant::now();
                    self.look();
                    if self.ready.is_empty() {
                        return Ok(Incoming::Tick);
                    }
                }
            }
        }
    }

    fn look(&mut self) {
        for party in self.parties.iter() {
            let silence = self.desk.silence(party);
            let is_silent = match silence {
                Some(silence) => silence > self.grace,
                // One that never called is absent, or as silent as this inbox is old.
                None => !self.live.contains(party) || self.start.elapsed() > self.grace,
            };
            match (is_silent, self.live.contains(party)) {
                (true, true) => {
                    self.live.remove(party);
                    self.ready.push(Incoming::Gone(party));
                }
                (false, false) => {
                    self.live.insert(party);
                    self.ready.push(Incoming::Back(party));
                }
                _ => {}
            }
        }
    }
}

//! The handler behind the coordinator's socket: who calls is proved by its certificate, what is answered is the
//! driver's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use protocol::drive::coordinator::CoordinatorEvent;
use protocol::drive::{Asked, CoordinatorNet};
use protocol::exchange::{Answer, Call};
use protocol::ids::Digest;
use protocol::net::{BoxFuture, Frame, Handler, Peer, Refusal};
use protocol::reject::Reject;
use protocol::roster::Roster;
use tokio::sync::{mpsc, oneshot};

use crate::node::Input;

type Reply = Result<Answer, Reject>;

#[derive(Default)]
struct Calls {
    /// Calls so far.
    count: u64,
    waiting: HashMap<Asked, oneshot::Sender<Reply>>,
}

/// Calls that wait for the driver's word; as many as the server's limits let in.
#[derive(Clone, Default)]
pub(crate) struct Waiting {
    all: Arc<Mutex<Calls>>,
}

impl Waiting {
    fn insert(&self) -> (Asked, oneshot::Receiver<Reply>) {
        let (sender, receiver) = oneshot::channel();
        // A panic elsewhere leaves calls behind that are still to be answered.
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.count += 1;
        let asked = Asked(all.count);
        all.waiting.insert(asked, sender);
        (asked, receiver)
    }
}

impl CoordinatorNet for Waiting {
    fn answer(&mut self, to: Asked, answer: Reply) {
        let waiting = self.all.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&to);
        if let Some(waiting) = waiting {
            // Whoever asked may be gone; then the answer is forgotten.
            let _ = waiting.send(answer);
        }
    }
}

/// Hands calls of members to the driver.
pub(crate) struct Desk {
    pub(crate) roster: Roster,
    pub(crate) waiting: Waiting,
    /// The queue bounds what peers can make us hold.
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Desk {
    async fn ask(&self, peer: Peer, frame: Frame) -> Reply {
        let key = Digest(*peer.key.bytes());
        let from = self.roster.member_by_tls(peer.name.as_str(), key).ok_or(Reject::UnknownParty)?.party;
        let (epoch, call) = Call::from_frame(&frame).map_err(|_| Reject::OutOfTurn)?;
        if epoch != self.roster.epoch() {
            return Err(Reject::WrongEpoch);
        }
        let (asked, answer) = self.waiting.insert();
        let event = Input::Event(CoordinatorEvent::Asked { asked, from, call });
        self.inputs.send(event).await.map_err(|_| Reject::Stopping)?;
        tokio::select! {
            answer = answer => answer.map_err(|_| Reject::Stopping)?,
            // A driver that has ended answers nobody any more.
            () = self.inputs.closed() => Err(Reject::Stopping),
        }
    }
}

impl Handler for Desk {
    fn handle(&self, peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        Box::pin(async move {
            match self.ask(peer, request).await {
                Ok(answer) => Ok(answer.into_frame()),
                Err(reject) => Err(Refusal { code: reject.code() }),
            }
        })
    }
}

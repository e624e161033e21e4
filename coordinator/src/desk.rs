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
            // An answer that was given counts, also where the driver ended after it: a farewell's last entries do.
            biased;
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

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use protocol::ids::{Epoch, PartyId};
    use protocol::lease::Doing;
    use protocol::net::{KeyFingerprint, PeerName};
    use protocol::roster::Member;
    use protocol::sealed::OpeningKey;
    use protocol::signature::SigningKey;
    use protocol::weight::WeightClass;

    use super::*;

    fn desk() -> (Arc<Desk>, mpsc::Receiver<Input>) {
        let member = |number: u16| Member {
            party: PartyId::new(number).unwrap(),
            name: format!("site-{number}"),
            organisation: "Clinic".to_owned(),
            weight: WeightClass::ONE,
            verifying: SigningKey::generate().unwrap().verifying_key(),
            sealing: OpeningKey::generate().unwrap().sealing_key().clone(),
            tls_key: Digest([number as u8; 32]),
        };
        let coordinator = SigningKey::generate().unwrap().verifying_key();
        let roster = Roster::new(Epoch(2), 2, Digest::default(), coordinator, (1..=3).map(member).collect()).unwrap();
        let (inputs, receiver) = mpsc::channel(4);
        (Arc::new(Desk { roster, waiting: Waiting::default(), inputs }), receiver)
    }

    async fn asked(desk: &Desk, name: &str, key: u8, epoch: u32) -> Reply {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let peer = Peer { name: PeerName::new(name).unwrap(), key: KeyFingerprint::from_bytes([key; 32]), addr };
        let poll = Call::Poll { next: 0, doing: Doing::Idle };
        desk.ask(peer, poll.into_frame(Epoch(epoch))).await
    }

    #[tokio::test]
    async fn members_of_the_epoch_reach_the_driver_and_nobody_else_does() {
        let (desk, mut driver) = desk();
        for (name, key, epoch, reject) in [
            ("site-4", 1, 2, Reject::UnknownParty),
            ("site-1", 2, 2, Reject::UnknownParty),
            ("site-1", 1, 1, Reject::WrongEpoch),
            ("site-1", 1, 3, Reject::WrongEpoch),
        ] {
            assert!(
                matches!(asked(&desk, name, key, epoch).await, Err(found) if found == reject),
                "{name} {key} {epoch}"
            );
        }
        assert!(driver.try_recv().is_err(), "nothing came through");
        let own = Arc::clone(&desk);
        let call = tokio::spawn(async move { asked(&own, "site-3", 3, 2).await });
        let Some(Input::Event(CoordinatorEvent::Asked { asked, from, .. })) = driver.recv().await else {
            panic!("no call")
        };
        assert_eq!(from.number(), 3);
        desk.waiting.clone().answer(asked, Ok(Answer::Accepted));
        assert!(matches!(call.await.unwrap(), Ok(Answer::Accepted)));
    }

    #[tokio::test]
    async fn an_answer_given_before_the_driver_ended_counts() {
        // A choice at random between both would pass some of these.
        for _ in 0..40 {
            let (desk, mut driver) = desk();
            let mut call = Box::pin(asked(&desk, "site-3", 3, 2));
            assert!(futures_now(call.as_mut()).is_none());
            let Some(Input::Event(CoordinatorEvent::Asked { asked, .. })) = driver.recv().await else {
                panic!("no call")
            };
            desk.waiting.clone().answer(asked, Ok(Answer::Accepted));
            drop(driver);
            assert!(matches!(call.await, Ok(Answer::Accepted)));
        }
    }

    /// What a future has by now.
    fn futures_now<F: Future>(call: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match call.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn a_driver_that_ended_holds_nobody_up() {
        let (desk, mut driver) = desk();
        let own = Arc::clone(&desk);
        let call = tokio::spawn(async move { asked(&own, "site-3", 3, 2).await });
        // The call waits for its answer when the driver ends.
        assert!(driver.recv().await.is_some());
        drop(driver);
        assert!(matches!(call.await.unwrap(), Err(Reject::Stopping)));
        assert!(matches!(asked(&desk, "site-3", 3, 2).await, Err(Reject::Stopping)));
    }
}

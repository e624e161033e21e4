//! The handler behind the coordinator's socket: who calls is proved by its certificate, what is answered is the
//! driver's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use protocol::blob::BlobId;
use protocol::drive::coordinator::CoordinatorEvent;
use protocol::drive::{Asked, CoordinatorNet};
use protocol::exchange::{Answer, Call};
use protocol::ids::{Digest, PartyId};
use protocol::net::{BoxFuture, Frame, Handler, Peer, Refusal};
use protocol::reject::Reject;
use protocol::roster::Roster;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::bodies::Bodies;
use crate::error::CoordinatorError;
use crate::flow::Flow;
use crate::lending::Lending;
use crate::node::Input;

/// Bodies that are read at a time, each whole.
pub(crate) const READING_MAX: usize = 4;

type Reply = Result<Answer, Reject>;

/// The driver's word on a call.
enum Word {
    Reply(Reply),
    /// The caller may have this body.
    Body(BlobId),
}

#[derive(Default)]
struct Calls {
    /// Calls so far.
    count: u64,
    waiting: HashMap<Asked, oneshot::Sender<Word>>,
}

/// Calls that wait for the driver's word; as many as the server's limits let in.
#[derive(Clone, Default)]
pub(crate) struct Waiting {
    all: Arc<Mutex<Calls>>,
}

impl Waiting {
    fn insert(&self) -> (Asked, oneshot::Receiver<Word>) {
        let (sender, receiver) = oneshot::channel();
        // A panic elsewhere leaves calls behind that are still to be answered.
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.count += 1;
        let asked = Asked(all.count);
        all.waiting.insert(asked, sender);
        (asked, receiver)
    }

    fn say(&self, to: Asked, word: Word) {
        let waiting = self.all.lock().unwrap_or_else(PoisonError::into_inner).waiting.remove(&to);
        if let Some(waiting) = waiting {
            // Whoever asked may be gone; then the answer is forgotten.
            let _ = waiting.send(word);
        }
    }
}

impl CoordinatorNet for Waiting {
    fn answer(&mut self, to: Asked, answer: Reply) {
        self.say(to, Word::Reply(answer));
    }

    fn answer_body(&mut self, to: Asked, id: &BlobId) {
        self.say(to, Word::Body(*id));
    }
}

/// Hands calls of members to the driver.
pub(crate) struct Desk {
    pub(crate) roster: Roster,
    pub(crate) waiting: Waiting,
    pub(crate) bodies: Arc<Bodies>,
    /// Memory for bodies on their way out.
    pub(crate) lending: Lending,
    /// Places for those that read bodies, [`READING_MAX`] in all.
    pub(crate) reading: Arc<Semaphore>,
    /// What each member sends and gets.
    pub(crate) flow: Arc<Flow>,
    /// The queue bounds what peers can make us hold.
    pub(crate) inputs: mpsc::Sender<Input>,
}

impl Desk {
    /// Which member this is.
    fn member(&self, peer: &Peer) -> Result<PartyId, Reject> {
        let key = Digest(*peer.key.bytes());
        Ok(self.roster.member_by_tls(peer.name.as_str(), key).ok_or(Reject::UnknownParty)?.party)
    }

    async fn ask(&self, from: PartyId, frame: Frame) -> Reply {
        self.flow.called(from, frame.wire_bytes());
        let (epoch, call) = Call::from_frame(&frame).map_err(|_| Reject::WrongVersion)?;
        if epoch != self.roster.epoch() {
            return Err(Reject::WrongEpoch);
        }
        let (asked, word) = self.waiting.insert();
        let event = Input::Event(CoordinatorEvent::Asked { asked, from, call });
        self.inputs.send(event).await.map_err(|_| Reject::Stopping)?;
        let word = tokio::select! {
            // An answer that was given counts, also where the driver ended after it: a farewell's last entries do.
            biased;
            word = word => word.map_err(|_| Reject::Stopping)?,
            // A driver that has ended answers nobody any more.
            () = self.inputs.closed() => return Err(Reject::Stopping),
        };
        match word {
            Word::Reply(reply) => reply,
            Word::Body(id) => self.body(from, id).await.map(Answer::Body),
        }
    }

    /// Reads a body into the room that its reader has, on a thread that nobody's turn waits for.
    async fn body(&self, to: PartyId, id: BlobId) -> Result<Bytes, Reject> {
        let size = self.bodies.size(&id).map_err(|error| unread(&error, id))?;
        let room = self.lending.room(to, size).await.ok_or(Reject::Stopping)?;
        let place = Arc::clone(&self.reading).acquire_owned().await.map_err(|_| Reject::Stopping)?;
        let bodies = Arc::clone(&self.bodies);
        let read = tokio::task::spawn_blocking(move || {
            // Both are held until it is read, also for a caller that goes away meanwhile.
            let _place = place;
            // It may be forgotten while it is read.
            let body = bodies.get(&id).map_err(|error| bodies.digest(&id).err().unwrap_or(error))?;
            Ok(room.hold(body))
        });
        match read.await {
            Ok(read) => read.map_err(|error| unread(&error, id)),
            Err(_) => Err(Reject::Storage),
        }
    }
}

fn unread(error: &CoordinatorError, id: BlobId) -> Reject {
    if matches!(error, CoordinatorError::BodyMissing { .. }) {
        return Reject::OutOfTurn;
    }
    tracing::error!(%error, ?id, "a body cannot be read");
    Reject::Storage
}

impl Handler for Desk {
    fn handle(&self, peer: Peer, request: Frame) -> BoxFuture<'_, Result<Frame, Refusal>> {
        Box::pin(async move {
            let refused = |reject: Reject| Refusal { code: reject.code() };
            let from = self.member(&peer).map_err(refused)?;
            let answer = self.ask(from, request).await.map_err(refused)?.into_frame();
            self.flow.answered(from, answer.wire_bytes());
            Ok(answer)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use protocol::blob::BlobKind;
    use protocol::ids::Epoch;
    use protocol::lease::Doing;
    use protocol::net::{KeyFingerprint, PeerName};
    use protocol::roster::Member;
    use protocol::sealed::OpeningKey;
    use protocol::signature::SigningKey;
    use protocol::store::Journal;
    use protocol::weight::WeightClass;

    use super::*;

    fn desk() -> (Arc<Desk>, mpsc::Receiver<Input>, tempfile::TempDir) {
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
        let folder = tempfile::tempdir().unwrap();
        let journal = Arc::new(Journal::open(&folder.path().join("journal.sqlite")).unwrap());
        let bodies = Arc::new(Bodies::open(&folder.path().join("spool"), journal).unwrap());
        let (waiting, reading) = (Waiting::default(), Arc::new(Semaphore::new(READING_MAX)));
        let lending = Lending::new(roster.parties().iter());
        let flow = Arc::new(Flow::new(roster.parties().iter()));
        (Arc::new(Desk { roster, waiting, bodies, lending, reading, flow, inputs }), receiver, folder)
    }

    async fn asked(desk: &Desk, name: &str, key: u8, epoch: u32) -> Reply {
        says(desk, name, key, epoch, Call::Poll { next: 0, doing: Doing::Idle }).await
    }

    async fn says(desk: &Desk, name: &str, key: u8, epoch: u32, call: Call) -> Reply {
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let peer = Peer { name: PeerName::new(name).unwrap(), key: KeyFingerprint::from_bytes([key; 32]), addr };
        desk.ask(desk.member(&peer)?, call.into_frame(Epoch(epoch))).await
    }

    #[tokio::test]
    async fn members_of_the_epoch_reach_the_driver_and_nobody_else_does() {
        let (desk, mut driver, _folder) = desk();
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
    async fn bytes_of_calls_and_of_their_answers_are_counted_for_the_member_that_calls() {
        let (desk, mut driver, _folder) = desk();
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let peer = move |name: &str, key: u8| Peer {
            name: PeerName::new(name).unwrap(),
            key: KeyFingerprint::from_bytes([key; 32]),
            addr,
        };
        let frame = Call::Poll { next: 0, doing: Doing::Idle }.into_frame(Epoch(2));
        let (own, called) = (Arc::clone(&desk), frame.wire_bytes() as u64);
        assert!(desk.handle(peer("site-4", 1), frame.clone()).await.is_err());
        let call = tokio::spawn(async move { own.handle(peer("site-3", 3), frame).await });
        let Some(Input::Event(CoordinatorEvent::Asked { asked, .. })) = driver.recv().await else { panic!("no call") };
        desk.waiting.clone().answer(asked, Ok(Answer::Accepted));
        let answered = call.await.unwrap().unwrap().wire_bytes() as u64;
        let found: Vec<_> = desk.flow.each().iter().map(|one| (one.received, one.sent)).collect();
        assert_eq!(found, [(0, 0), (0, 0), (called, answered)]);
    }

    #[tokio::test]
    async fn a_call_that_cannot_be_read_is_another_releases() {
        let (desk, mut driver, _folder) = desk();
        let peer = || Peer {
            name: PeerName::new("site-1").unwrap(),
            key: KeyFingerprint::from_bytes([1; 32]),
            addr: SocketAddr::from((Ipv4Addr::LOCALHOST, 1)),
        };
        let poll = || Call::Poll { next: 0, doing: Doing::Idle }.into_frame(Epoch(2));
        let mut longer = poll();
        longer.header = [&longer.header[..], &[0]].concat().into();
        for frame in [longer, Frame { kind: 99, ..poll() }] {
            assert!(matches!(desk.ask(desk.member(&peer()).unwrap(), frame).await, Err(Reject::WrongVersion)));
        }
        assert!(driver.try_recv().is_err(), "nothing came through");
    }

    #[tokio::test]
    async fn an_answer_given_before_the_driver_ended_counts() {
        // A choice at random between both would pass some of these.
        for _ in 0..40 {
            let (desk, mut driver, _folder) = desk();
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
        let (desk, mut driver, _folder) = desk();
        let own = Arc::clone(&desk);
        let call = tokio::spawn(async move { asked(&own, "site-3", 3, 2).await });
        // The call waits for its answer when the driver ends.
        assert!(driver.recv().await.is_some());
        drop(driver);
        assert!(matches!(call.await.unwrap(), Err(Reject::Stopping)));
        assert!(matches!(asked(&desk, "site-3", 3, 2).await, Err(Reject::Stopping)));
    }

    /// Asks for a body and is allowed it by the driver.
    async fn gets(desk: &Arc<Desk>, driver: &mut mpsc::Receiver<Input>, id: BlobId) -> tokio::task::JoinHandle<Reply> {
        let own = Arc::clone(desk);
        let call = tokio::spawn(async move { says(&own, "site-3", 3, 2, Call::Get { id }).await });
        let Some(Input::Event(CoordinatorEvent::Asked { asked, .. })) = driver.recv().await else { panic!("no call") };
        desk.waiting.clone().answer_body(asked, &id);
        call
    }

    #[tokio::test]
    async fn a_body_that_may_be_had_is_read_or_refused() {
        let (desk, mut driver, folder) = desk();
        let id = |index| BlobId::ceremony(BlobKind::SumChunk, None, index);
        let digest = desk.bodies.put(&id(0), b"sum").unwrap();
        let call = gets(&desk, &mut driver, id(0)).await;
        assert!(matches!(call.await.unwrap(), Ok(Answer::Body(body)) if body == "sum"));
        let call = gets(&desk, &mut driver, id(1)).await;
        assert!(matches!(call.await.unwrap(), Err(Reject::OutOfTurn)), "there is none");
        let name = hex::encode(digest.0);
        let file = folder.path().join("spool").join(&name[..2]).join(&name[2..]);
        std::fs::write(&file, b"rot").unwrap();
        let call = gets(&desk, &mut driver, id(0)).await;
        assert!(matches!(call.await.unwrap(), Err(Reject::Storage)));
    }

    #[tokio::test]
    async fn who_does_not_let_go_of_a_body_waits_for_the_next() {
        let (desk, mut driver, _folder) = desk();
        let Ok(mut desk) = Arc::try_unwrap(desk) else { panic!("shared") };
        desk.lending = Lending::with(desk.roster.parties().iter(), 100, 4);
        let (desk, id) = (Arc::new(desk), BlobId::ceremony(BlobKind::SumChunk, None, 0));
        desk.bodies.put(&id, b"sum").unwrap();
        let Ok(Answer::Body(body)) = gets(&desk, &mut driver, id).await.await.unwrap() else { panic!("no body") };
        let mut second = gets(&desk, &mut driver, id).await;
        let waited = tokio::time::timeout(std::time::Duration::from_millis(50), &mut second).await;
        assert!(waited.is_err(), "its share is taken");
        drop(body);
        assert!(matches!(second.await.unwrap(), Ok(Answer::Body(body)) if body == "sum"));
    }

    #[tokio::test]
    async fn readers_wait_for_each_other_and_nobody_else_for_them() {
        let (desk, mut driver, _folder) = desk();
        let id = BlobId::ceremony(BlobKind::SumChunk, None, 0);
        desk.bodies.put(&id, b"sum").unwrap();
        let all = Arc::clone(&desk.reading).acquire_many_owned(READING_MAX as u32).await.unwrap();
        let mut reader = gets(&desk, &mut driver, id).await;
        let own = Arc::clone(&desk);
        let poll = tokio::spawn(async move { asked(&own, "site-1", 1, 2).await });
        let Some(Input::Event(CoordinatorEvent::Asked { asked, .. })) = driver.recv().await else { panic!("no call") };
        desk.waiting.clone().answer(asked, Ok(Answer::Accepted));
        assert!(matches!(poll.await.unwrap(), Ok(Answer::Accepted)));
        let waited = tokio::time::timeout(std::time::Duration::from_millis(100), &mut reader).await;
        assert!(waited.is_err(), "all places are taken");
        drop(all);
        assert!(matches!(reader.await.unwrap(), Ok(Answer::Body(_))));
    }

    #[test]
    fn of_calls_that_wait_together_each_hears_its_own_word() {
        let waiting = Waiting::default();
        let (first, mut to_first) = waiting.insert();
        let (second, mut to_second) = waiting.insert();
        waiting.say(second, Word::Reply(Err(Reject::OutOfTurn)));
        assert!(to_first.try_recv().is_err(), "nothing was said to it");
        waiting.say(first, Word::Reply(Err(Reject::Storage)));
        assert!(matches!(to_first.try_recv(), Ok(Word::Reply(Err(Reject::Storage)))));
        assert!(matches!(to_second.try_recv(), Ok(Word::Reply(Err(Reject::OutOfTurn)))));
    }
}

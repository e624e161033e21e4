//! The hospital's calls, each repeated until it is answered or refused.

use std::sync::Arc;
use std::time::Duration;

use protocol::Reject;
use protocol::drive::hospital::HospitalEvent;
use protocol::drive::{CallId, HospitalNet};
use protocol::exchange::{Answer, Call};
use protocol::ids::Epoch;
use protocol::net::{NetError, Rejection};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::error::HospitalError;
use super::input::Input;
use super::transport::Transport;

/// Wait before a call is repeated; the transport waits between its own attempts to connect as well.
const AGAIN: Duration = Duration::from_millis(500);
/// The same, after an answer that is none.
const CONFUSED: Duration = Duration::from_secs(10);

/// The line. Every call is a task of its own.
pub(super) struct Line {
    pub(super) epoch: Epoch,
    pub(super) runtime: Handle,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) inputs: mpsc::Sender<Input>,
}

impl HospitalNet for Line {
    fn call(&mut self, id: CallId, call: Call) {
        let (transport, inputs, epoch) = (Arc::clone(&self.transport), self.inputs.clone(), self.epoch);
        self.runtime.spawn(async move {
            let input = match answer(&*transport, (epoch, call), &inputs).await {
                Ok(answer) => Input::Event(HospitalEvent::Answered { call: id, answer }),
                Err(error) => Input::Failed(error),
            };
            // The process may have ended; then nobody waits for the answer.
            let _ = inputs.send(input).await;
        });
    }
}

/// All calls may be repeated: a second one has no second effect.
async fn answer(
    transport: &dyn Transport,
    (epoch, call): (Epoch, Call),
    inputs: &mpsc::Sender<Input>,
) -> Result<Result<Answer, Reject>, HospitalError> {
    let frame = call.into_frame(epoch);
    loop {
        match transport.call(frame.clone()).await {
            Ok(reply) => match Answer::from_frame(&reply) {
                Ok(answer) => return Ok(Ok(answer)),
                // A peer that is confused may find itself; nothing was decided.
                Err(error) => {
                    tracing::warn!(%error, "an answer that cannot be read; the call is repeated");
                    tokio::time::sleep(CONFUSED).await;
                }
            },
            Err(NetError::Rejected { rejection: Rejection::Refused(code), .. }) => {
                // A number of another release: the peer is busy or confused.
                return Ok(Err(Reject::from_code(code).unwrap_or(Reject::RetryAfter)));
            }
            Err(error) if error.is_transient() || is_passing(&error) => {
                tracing::debug!(%error, "a call is repeated");
            }
            Err(error) => return Err(error.into()),
        }
        if inputs.is_closed() {
            return Ok(Err(Reject::Stopping));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The peer's own trouble, which a restart of its process cures.
fn is_passing(error: &NetError) -> bool {
    matches!(
        error,
        NetError::Rejected { rejection: Rejection::HandlerFailed | Rejection::Cancelled, .. }
            | NetError::ClosedHere { .. }
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use protocol::drive::hospital::HospitalEvent;
    use protocol::net::{BoxFuture, Frame};

    use super::*;

    /// Gives these answers, one after the other.
    struct Scripted(Mutex<Vec<Result<Frame, NetError>>>);

    impl Transport for Scripted {
        fn call(&self, _: Frame) -> BoxFuture<'_, Result<Frame, NetError>> {
            let answer = self.0.lock().unwrap().pop().expect("an answer is left");
            Box::pin(async { answer })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_cannot_be_read_ends_nobody() {
        let good = Answer::Accepted.into_frame();
        let (unknown, longer) =
            (Frame { kind: 99, ..good.clone() }, Frame { header: vec![0; 9].into(), ..good.clone() });
        let transport = Arc::new(Scripted(Mutex::new(vec![Ok(good), Ok(longer), Ok(unknown)])));
        let (sender, mut inputs) = mpsc::channel(4);
        let mut line = Line { epoch: Epoch(1), runtime: Handle::current(), transport, inputs: sender };
        line.call(CallId(7), Call::Poll { next: 0, doing: protocol::lease::Doing::Idle });
        let Some(Input::Event(HospitalEvent::Answered { call: CallId(7), answer })) = inputs.recv().await else {
            panic!("no answer")
        };
        assert!(matches!(answer, Ok(Answer::Accepted)));
    }
}

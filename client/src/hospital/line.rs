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

/// All four calls may be repeated: a second one has no second effect.
async fn answer(
    transport: &dyn Transport,
    (epoch, call): (Epoch, Call),
    inputs: &mpsc::Sender<Input>,
) -> Result<Result<Answer, Reject>, HospitalError> {
    let frame = call.into_frame(epoch);
    loop {
        match transport.call(frame.clone()).await {
            Ok(reply) => return Answer::from_frame(&reply).map(Ok).map_err(HospitalError::Answer),
            Err(NetError::Rejected { rejection: Rejection::Refused(code), .. }) => {
                // A number of another release: the peer is busy or confused.
                return Ok(Err(Reject::from_code(code).unwrap_or(Reject::RetryAfter)));
            }
            Err(error) if error.is_transient() || is_passing(&error) => {
                if inputs.is_closed() {
                    return Ok(Err(Reject::Stopping));
                }
                tracing::debug!(%error, "a call is repeated");
                tokio::time::sleep(AGAIN).await;
            }
            Err(error) => return Err(error.into()),
        }
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

//! The way to the coordinator, as the hospital's process needs it: one frame there, one frame back.

use protocol::net::{BoxFuture, Dialer, Frame, NetError};

/// Carries calls. A process has a dialer; a simulation may decorate it.
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and waits for its reply.
    fn call(&self, request: Frame) -> BoxFuture<'_, Result<Frame, NetError>>;
}

impl Transport for Dialer {
    fn call(&self, request: Frame) -> BoxFuture<'_, Result<Frame, NetError>> {
        Box::pin(self.call(request))
    }
}

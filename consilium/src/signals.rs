//! The two signals that end a service in order.

use crate::exit::Exit;

/// Resolves at the first Ctrl-C or SIGTERM, with how a service ends that is stopped so.
pub async fn stop() -> Exit {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            // Without a handler the signal ends the process, as it does by default.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => {
            if interrupted.is_err() {
                std::future::pending::<()>().await;
            }
            Exit::Interrupted
        }
        () = terminated => Exit::Done,
    }
}

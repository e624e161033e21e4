//! Several ways to one server at once: which of them is taken, and which failure is told.

use tokio::task::JoinSet;

use super::error::NetError;

/// The first success; those still under way are given up. If there is none, the failure that says most.
///
/// A failure does not end the others: one of a host's addresses may be anybody's, and what stands in the end has
/// proved who it is.
///
/// # Errors
/// [`NetError::or`] of all failures; `nobody` where there was no attempt.
pub(super) async fn first<T: 'static>(
    mut attempts: JoinSet<Result<T, NetError>>,
    nobody: NetError,
) -> Result<T, NetError> {
    let mut told: Option<NetError> = None;
    while let Some(ended) = attempts.join_next().await {
        match ended {
            Ok(Ok(won)) => return Ok(won),
            Ok(Err(error)) => {
                told = Some(match told {
                    Some(earlier) => earlier.or(error),
                    None => error,
                });
            }
            Err(error) => tracing::error!(%error, "an attempt to connect failed"),
        }
    }
    Err(told.unwrap_or(nobody))
}

//! Several ways to one server at once: which of them is taken, and which failure is told.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

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
    nobody: impl FnOnce() -> NetError,
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
    Err(told.unwrap_or_else(nobody))
}

/// QUIC, and TCP beside it once QUIC has failed or has had its time. The first that stands is taken.
///
/// Where QUIC has come far enough to hear the server itself, or to say that a certificate is wrong, TCP is not tried:
/// it would meet the same.
///
/// # Errors
/// What is about trust, from either; else [`NetError::NoWay`] with both.
pub(super) async fn quic_then_tcp<T>(
    quic: impl Future<Output = Result<T, NetError>>,
    tcp: impl Future<Output = Result<T, NetError>>,
    after: Duration,
) -> Result<T, NetError> {
    let (mut quic, mut tcp) = (pin!(quic), pin!(tcp));
    match timeout(after, &mut quic).await {
        Ok(Ok(stands)) => return Ok(stands),
        Ok(Err(error)) if error.is_final_at_the_server() => return Err(error),
        Ok(Err(error)) => return tcp.await.map_err(|tcp| NetError::both(error, tcp)),
        Err(_) => {}
    }
    tokio::select! {
        ended = &mut quic => match ended {
            Ok(stands) => Ok(stands),
            Err(error) if error.is_final_at_the_server() => Err(error),
            Err(error) => tcp.await.map_err(|tcp| NetError::both(error, tcp)),
        },
        ended = &mut tcp => match ended {
            Ok(stands) => Ok(stands),
            // QUIC may be slow and still get through where TCP is intercepted.
            Err(error) => quic.await.map_err(|quic| NetError::both(quic, error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::{Instant, sleep};

    use super::super::{CloseReason, RefusedBy, Remote, Stage, Transport, TrustCause};
    use super::*;

    const AFTER: Duration = Duration::from_secs(2);

    fn peer(transport: Transport) -> Remote {
        Remote { name: None, addr: ([10, 1, 2, 3], 443).into(), transport }
    }

    fn silent(transport: Transport) -> NetError {
        NetError::TimedOut { peer: peer(transport), stage: Stage::Dialling, after: Duration::from_secs(5) }
    }

    fn untrusted(transport: Transport) -> NetError {
        let (refused_by, cause) = (RefusedBy::Us, TrustCause::OtherAuthority);
        NetError::UntrustedPeer { peer: peer(transport), refused_by, cause }
    }

    async fn later(seconds: u64, ends: Result<&'static str, NetError>) -> Result<&'static str, NetError> {
        sleep(Duration::from_secs(seconds)).await;
        ends
    }

    /// What fails the test as soon as it is begun.
    async fn never() -> Result<&'static str, NetError> {
        panic!("TCP was tried")
    }

    #[tokio::test(start_paused = true)]
    async fn tcp_is_not_tried_while_quic_has_time() {
        assert_eq!(quic_then_tcp(later(1, Ok("quic")), never(), AFTER).await.unwrap(), "quic");
    }

    #[tokio::test(start_paused = true)]
    async fn silence_over_udp_brings_tcp_after_two_seconds_and_not_before() {
        let begun = Instant::now();
        let tcp = async {
            assert_eq!(begun.elapsed(), AFTER);
            Ok("tcp")
        };
        assert_eq!(quic_then_tcp(pending(), tcp, AFTER).await.unwrap(), "tcp");
        assert_eq!(begun.elapsed(), AFTER);
        // QUIC is not given up meanwhile.
        assert_eq!(quic_then_tcp(later(3, Ok("quic")), pending(), AFTER).await.unwrap(), "quic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_of_quic_brings_tcp_at_once() {
        let begun = Instant::now();
        let refused = NetError::ConnectionRefused { peer: peer(Transport::Quic) };
        assert_eq!(quic_then_tcp(ready(Err(refused)), later(0, Ok("tcp")), AFTER).await.unwrap(), "tcp");
        assert!(begun.elapsed() < AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_about_trust_is_final() {
        let over_quic = quic_then_tcp(ready(Err(untrusted(Transport::Quic))), never(), AFTER).await;
        assert!(over_quic.unwrap_err().is_about_trust());
        let silence = || later(5, Err(silent(Transport::Quic)));
        let over_tcp = quic_then_tcp(silence(), later(1, Err(untrusted(Transport::Tcp))), AFTER).await;
        assert!(over_tcp.unwrap_err().is_about_trust());
        let late =
            quic_then_tcp(later(3, Err(untrusted(Transport::Quic))), later(9, Err(silent(Transport::Tcp))), AFTER);
        assert!(late.await.unwrap_err().is_about_trust());
        // Where TCP is intercepted, QUIC may still get through.
        let slow = quic_then_tcp(later(4, Ok("quic")), later(1, Err(untrusted(Transport::Tcp))), AFTER).await;
        assert_eq!(slow.unwrap(), "quic");
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_server_itself_says_is_not_asked_again_over_tcp() {
        let revoked = || NetError::Closed { peer: peer(Transport::Quic), reason: CloseReason::Revoked };
        let is_word = |error| matches!(error, NetError::Closed { reason: CloseReason::Revoked, .. });
        assert!(is_word(quic_then_tcp(ready(Err(revoked())), never(), AFTER).await.unwrap_err()));
        let late = timeout(2 * AFTER, quic_then_tcp(later(3, Err(revoked())), pending(), AFTER)).await;
        assert!(is_word(late.unwrap().unwrap_err()));
    }

    #[tokio::test(start_paused = true)]
    async fn where_neither_gets_through_both_are_told() {
        let severed = |kind: std::io::ErrorKind| NetError::Severed { peer: peer(Transport::Tcp), source: kind.into() };
        let unreachable = || severed(std::io::ErrorKind::HostUnreachable);
        let error = quic_then_tcp(later(5, Err(silent(Transport::Quic))), ready(Err(unreachable())), AFTER);
        let error = error.await.unwrap_err();
        assert!(error.is_transient());
        let text = error.to_string();
        assert!(text.contains("at 10.1.2.3:443; check the address and that UDP passes"), "{text}");
        assert!(text.contains("10.1.2.3:443 over TCP broke: host unreachable"), "{text}");
    }
}

//! Dials again after a lost connection, ever more slowly.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::authority::AuthorityCertificate;
use super::client::Connection;
use super::credential_error::CredentialError;
use super::dial::Dial;
use super::error::NetError;
use super::frame::Frame;
use super::identity::Identity;
use super::limits::Limits;
use super::peer::PeerName;
use super::route::Route;
use super::tls;
use super::traffic::Traffic;
use super::transport::Transport;

/// When to dial again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Wait before the second attempt; it doubles each time.
    pub first: Duration,
    /// Longest wait.
    pub longest: Duration,
    /// Attempts in all, at least one.
    pub attempts: u32,
}

impl Default for Backoff {
    /// About two minutes: a coordinator that restarts is back by then.
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(15), attempts: 12 }
    }
}

impl Backoff {
    /// The wait after `failed` attempts, at least one: half of it fixed, half by `jitter`, where 0
    /// is none and 255 all. Without jitter all hospitals would knock at once.
    #[must_use]
    pub fn wait(&self, failed: u32, jitter: u8) -> Duration {
        let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
        let whole = self.first.saturating_mul(doubled).min(self.longest);
        whole / 2 + whole / 2 * u32::from(jitter) / 255
    }
}

/// The way to a server and everything needed to be let in, with at most one live connection.
pub struct Dialer(Arc<Way>);

/// What a dialler and its dial under way share.
struct Way {
    route: Route,
    server: PeerName,
    identity: Mutex<Arc<Identity>>,
    authority: AuthorityCertificate,
    limits: Limits,
    backoff: Backoff,
    traffic: Arc<Traffic>,
    line: Arc<Mutex<Line>>,
}

#[derive(Default)]
enum Line {
    #[default]
    None,
    /// Held by those who wait for it, with whom it ends.
    Dialling(Weak<Dialling>),
    Live(Live),
}

/// A dial under way, with all its attempts.
struct Dialling {
    /// Gone with the task.
    waiting: Weak<Waiting>,
    task: JoinHandle<()>,
}

/// Who hears what becomes of a dial. Each gets its own: a connection that only callers hold can be closed by them.
type Waiting = Mutex<Vec<oneshot::Sender<Outcome>>>;

/// What became of a dial, and the certificate that it showed last.
type Outcome = (Arc<Identity>, Result<Live, NetError>);

impl Drop for Dialling {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The connection that calls use.
#[derive(Clone)]
struct Live {
    connection: Arc<Connection>,
    /// What it was opened with.
    identity: Arc<Identity>,
    /// When QUIC was last tried.
    quic_tried: Instant,
}

impl Live {
    /// Whether QUIC, which may get through by now, is worth another try.
    fn is_quic_due(&self, again: Duration) -> bool {
        self.connection.transport() != Transport::Quic && is_past(self.quic_tried, again)
    }
}

fn is_past(since: Instant, wait: Duration) -> bool {
    since.elapsed() >= wait
}

impl Dialer {
    /// A dialer that has not dialled yet. A [`HostPort`](super::HostPort) is looked up whenever it dials.
    #[must_use]
    pub fn new(
        route: impl Into<Route>,
        server: PeerName,
        identity: Arc<Identity>,
        authority: AuthorityCertificate,
        limits: Limits,
        backoff: Backoff,
    ) -> Self {
        Self(Arc::new(Way {
            route: route.into(),
            server,
            identity: Mutex::new(identity),
            authority,
            limits,
            backoff,
            traffic: Arc::new(Traffic::default()),
            line: Arc::default(),
        }))
    }

    /// Counters over all connections of this dialer, live.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.0.traffic
    }

    /// Shows this certificate from the next connection on, which the next call opens. The live one is let go: calls
    /// under way end on it, and it closes with the last of them.
    ///
    /// # Errors
    /// [`CredentialError::OtherName`] where it was issued to another name.
    pub fn renew(&self, identity: Arc<Identity>) -> Result<(), CredentialError> {
        let mut own = locked(&self.0.identity);
        identity.must_be(own.name())?;
        *own = identity;
        Ok(())
    }

    /// Closes the live connection and waits until the server has been told, so that it does not count any more. A dial
    /// under way is left to those who wait for it, and its connection ends with their calls. A later call dials again.
    pub async fn close(&self) {
        let line = std::mem::take(&mut *locked(&self.0.line));
        // Calls under way end on it first; it closes with the last of them.
        if let Line::Live(live) = line
            && let Some(connection) = Arc::into_inner(live.connection)
        {
            connection.close().await;
        }
    }

    /// The live connection, or a new one. Whoever comes while it is dialled hears what becomes of that.
    ///
    /// # Errors
    /// The first [`NetError`] that waiting does not cure, or the last one after all attempts.
    pub async fn connection(&self) -> Result<Arc<Connection>, NetError> {
        loop {
            let (_dialling, outcome) = match self.live() {
                Ok(connection) => return Ok(connection),
                Err(waits) => waits,
            };
            match outcome.await {
                // Renewed meanwhile: the next dial shows the new certificate.
                Ok((shown, _)) if !Arc::ptr_eq(&shown, &self.0.identity()) => {}
                Ok((_, found)) => return Ok(found?.connection),
                // Its task died, which says nothing of the server.
                Err(_) => tokio::time::sleep(self.0.backoff.first).await,
            }
        }
    }

    /// The live connection, or a place among those who wait for the dial that is under way or begins.
    fn live(&self) -> Result<Arc<Connection>, (Arc<Dialling>, oneshot::Receiver<Outcome>)> {
        let (waiter, outcome) = oneshot::channel();
        let mut line = locked(&self.0.line);
        match &mut *line {
            Line::Live(live) if !live.connection.is_closed() && Arc::ptr_eq(&live.identity, &self.0.identity()) => {
                if self.0.route.has_choice() && live.is_quic_due(self.0.limits.quic_again) {
                    live.quic_tried = Instant::now();
                    self.0.try_quic(live);
                }
                return Ok(Arc::clone(&live.connection));
            }
            Line::Dialling(dialling) => {
                if let Some(dialling) = dialling.upgrade()
                    && let Some(waiting) = dialling.waiting.upgrade()
                {
                    let mut waiting = locked(&waiting);
                    // Those who gave up leave no place behind.
                    waiting.retain(|waiter| !waiter.is_closed());
                    waiting.push(waiter);
                    drop(waiting);
                    return Err((dialling, outcome));
                }
            }
            Line::Live(_) | Line::None => {}
        }
        let (way, waiting) = (Arc::clone(&self.0), Arc::new(Mutex::new(vec![waiter])));
        let for_them = Arc::downgrade(&waiting);
        let task = tokio::spawn(async move {
            let outcome = way.connect().await;
            way.tell(&waiting, outcome);
        });
        let dialling = Arc::new(Dialling { waiting: for_them, task });
        *line = Line::Dialling(Arc::downgrade(&dialling));
        Err((dialling, outcome))
    }

    /// Sends one request over the live connection or a new one, once. A failed request is not
    /// repeated: see [`NetError::is_transient`], and whether the request allows it.
    ///
    /// # Errors
    /// As [`Dialer::connection`] and [`Connection::call`].
    pub async fn call(&self, request: Frame) -> Result<Frame, NetError> {
        self.connection().await?.call(request).await
    }
}

impl Way {
    fn identity(&self) -> Arc<Identity> {
        Arc::clone(&locked(&self.identity))
    }

    /// Dials until it gets through, waiting does not help, or all attempts are made.
    async fn connect(&self) -> Outcome {
        let mut failed = 0;
        loop {
            let identity = self.identity();
            let dialled = match self.dial(&identity) {
                Ok(dial) => dial.along(&self.route).await,
                Err(error) => Err(error),
            };
            match dialled {
                Ok(connection) => {
                    let (connection, quic_tried) = (Arc::new(connection), Instant::now());
                    return (Arc::clone(&identity), Ok(Live { connection, identity, quic_tried }));
                }
                Err(error) => {
                    failed += 1;
                    if !error.is_transient() || failed >= self.backoff.attempts {
                        return (identity, Err(error));
                    }
                    let wait = self.backoff.wait(failed, jitter());
                    tracing::info!(%error, failed, wait_ms = wait.as_millis(), "dialling again");
                    tokio::time::sleep(wait).await;
                }
            }
        }
    }

    /// Makes a dial's outcome the line's, unless the dialler was closed meanwhile, and tells who waits for it.
    fn tell(&self, waiting: &Arc<Waiting>, outcome: Outcome) {
        let mut line = locked(&self.line);
        let is_ours = |dialling: Arc<Dialling>| std::ptr::eq(dialling.waiting.as_ptr(), Arc::as_ptr(waiting));
        if matches!(&*line, Line::Dialling(dialling) if dialling.upgrade().is_some_and(is_ours)) {
            *line = outcome.1.as_ref().map_or(Line::None, |live| Line::Live(live.clone()));
        }
        let waiting = std::mem::take(&mut *locked(waiting));
        drop(line);
        let told: Vec<_> = waiting.into_iter().map(|waiter| (waiter, outcome.clone())).collect();
        drop(outcome);
        for (waiter, outcome) in told {
            // Whoever waited may be gone.
            let _ = waiter.send(outcome);
        }
    }

    fn dial(&self, identity: &Identity) -> Result<Dial, NetError> {
        let tls = tls::client_tls(identity, &self.authority)?;
        let (server, limits, traffic) = (self.server.clone(), self.limits.clone(), Arc::clone(&self.traffic));
        Ok(Dial { server, tls, limits, traffic })
    }

    /// Dials over QUIC while calls go on over TCP. If it gets through, it takes their place with the next call.
    fn try_quic(&self, live: &Live) {
        let Ok(dial) = self.dial(&live.identity) else { return };
        let (route, line, replaced) = (self.route.clone(), Arc::clone(&self.line), Arc::clone(&live.connection));
        tokio::spawn(async move {
            match dial.along_quic(&route).await {
                Ok(connection) => {
                    if let Line::Live(live) = &mut *locked(&line)
                        && Arc::ptr_eq(&live.connection, &replaced)
                    {
                        live.connection = Arc::new(connection);
                    }
                }
                Err(error) => tracing::debug!(%error, "QUIC does not get through yet"),
            }
        });
    }
}

/// What is locked here is whole, also after a panic elsewhere.
fn locked<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One byte of the system's randomness; full jitter where it yields none.
fn jitter() -> u8 {
    let mut byte = [u8::MAX];
    let _ = aws_lc_rs::rand::fill(&mut byte);
    byte[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quic_is_tried_again_when_the_wait_is_over_and_not_before() {
        let (since, wait) = (Instant::now(), super::super::Limits::default().quic_again);
        tokio::time::advance(wait - Duration::from_millis(1)).await;
        assert!(!is_past(since, wait));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(is_past(since, wait));
    }

    #[test]
    fn waits_double_up_to_the_longest_and_jitter_takes_half() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_millis(1000), attempts: 9 };
        let waits = |jitter| [1, 2, 4, 5, u32::MAX].map(|n| backoff.wait(n, jitter).as_millis());
        assert_eq!(waits(255), [100, 200, 800, 1000, 1000]);
        assert_eq!(waits(0), [50, 100, 400, 500, 500]);
        assert!(backoff.wait(3, 128) > backoff.wait(3, 127));
    }
}

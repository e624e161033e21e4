//! Figures for Prometheus, over HTTP on the loopback device alone.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt::{Display, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use remedy::{Exit, Explained};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// Scrapes at a time.
const CONNECTIONS_MAX: usize = 8;
/// A client that does not send its request, or does not read the answer, is let go after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why figures cannot be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricsError {
    /// Elsewhere than on this machine.
    #[error("{address} is no loopback address; figures are shown on this machine alone")]
    NotLoopback {
        /// As set.
        address: SocketAddr,
    },
    /// Not an address.
    #[error("{text:?} is no address; write numbers, such as 127.0.0.1:9464")]
    NoAddress {
        /// As set.
        text: String,
    },
    /// The address.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// As set.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

impl Explained for MetricsError {
    fn code(&self) -> &'static str {
        "metrics"
    }

    fn place(&self) -> Option<String> {
        match self {
            Self::NotLoopback { address } | Self::Bind { address, .. } => Some(address.to_string()),
            Self::NoAddress { text } => Some(text.clone()),
        }
    }

    fn remedy(&self) -> Cow<'static, str> {
        "set `metrics` in coordinator.toml or site.toml to a free address such as 127.0.0.1:9464".into()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotLoopback { .. } | Self::NoAddress { .. } => Exit::BadInput,
            Self::Bind { .. } => Exit::Connection,
        }
    }
}

/// Figures as OpenMetrics text, one family after the other. Labels are numbers and words of ours, which need no escape.
#[derive(Default)]
pub struct Page(String);

impl Page {
    /// Begins a family of gauges.
    pub fn gauge(&mut self, name: &str, help: &str) {
        self.family(name, "gauge", help);
    }

    /// A value of the family, with its labels: `epoch="1"`, or none.
    pub fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let labels = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// A family with one number that only grows.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help);
        self.sample(&format!("{name}_total"), "", value);
    }

    /// The whole text.
    #[must_use]
    pub fn end(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = write!(self.0, "# TYPE {name} {kind}\n# HELP {name} {help}.\n");
    }
}

/// The open socket.
pub struct Metrics {
    listener: TcpListener,
}

impl Metrics {
    /// Opens it; port 0 takes a free one.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub async fn open(address: SocketAddr) -> Result<Self, MetricsError> {
        if !address.ip().is_loopback() {
            return Err(MetricsError::NotLoopback { address });
        }
        let listener = TcpListener::bind(address).await;
        Ok(Self { listener: listener.map_err(|source| MetricsError::Bind { address, source })? })
    }

    /// As [`Metrics::open`], with an address as a file has it.
    ///
    /// # Errors
    /// [`MetricsError`].
    pub async fn open_text(address: &str) -> Result<Self, MetricsError> {
        let unreadable = |_| MetricsError::NoAddress { text: address.to_owned() };
        Self::open(address.parse().map_err(unreadable)?).await
    }

    /// The address, with its port.
    ///
    /// # Errors
    /// [`MetricsError::Bind`].
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers `GET /metrics` with what `figures` says then, until dropped.
    pub async fn run(self, figures: impl Fn() -> String + Send + Sync + 'static) {
        let (figures, places) = (Arc::new(figures), Arc::new(Semaphore::new(CONNECTIONS_MAX)));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let Ok((stream, _)) = self.listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let figures = Arc::clone(&figures);
            tokio::spawn(async move {
                let _place = place;
                let service = service_fn(move |request| {
                    let figures = Arc::clone(&figures);
                    async move { Ok::<_, Infallible>(answer(&request, &*figures)) }
                });
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(PATIENCE)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                // Whoever asks badly gets an answer or none; nothing depends on it.
                let _ = tokio::time::timeout(PATIENCE, connection).await;
            });
        }
    }
}

fn answer(request: &Request<Incoming>, figures: &dyn Fn() -> String) -> Response<Full<Bytes>> {
    let (status, kind, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            (StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", figures())
        }
        _ => (StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "GET /metrics\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert("content-type", hyper::header::HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn asked(address: SocketAddr, line: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.expect("written");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        text
    }

    #[tokio::test]
    async fn figures_are_shown_on_loopback_and_nothing_else_is() {
        let metrics = Metrics::open("127.0.0.1:0".parse().expect("an address")).await.expect("open");
        let address = metrics.address().expect("an address");
        tokio::spawn(metrics.run(|| "consilium_members 5\n# EOF\n".to_owned()));
        let text = asked(address, "GET /metrics").await;
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with("consilium_members 5\n# EOF\n"), "{text}");
        assert!(asked(address, "GET /").await.starts_with("HTTP/1.1 404"));
        assert!(asked(address, "POST /metrics").await.starts_with("HTTP/1.1 404"));
        let open = Metrics::open("0.0.0.0:0".parse().expect("an address")).await;
        assert!(matches!(open, Err(MetricsError::NotLoopback { .. })));
        let open = Metrics::open_text("localhost").await;
        assert!(matches!(open, Err(MetricsError::NoAddress { .. })));
    }
}

//! Framed requests and replies over QUIC, and over TCP where UDP does not pass, so that the machines of this crate can
//! meet.
//!
//! The transport moves opaque bytes between peers that hold certificates of one private
//! [`Authority`]. It knows names and lengths, never what a frame means.
//!
//! * TLS 1.3 only, both sides authenticated, X25519MLKEM768 the only key exchange, no tickets, no
//!   resumption, no 0-RTT, no datagrams, no migration.
//! * One bidirectional stream is one request and one reply. Over TCP, a client has several TLS
//!   connections instead, with one exchange at a time on each; certificates, names, frames and limits
//!   are the same.
//! * Nothing is ever sent twice by itself: whether a request may be repeated is for the caller to
//!   say.
//! * Everything that a peer controls has a bound in [`Limits`].

mod authority;
mod bundle;
mod client;
mod credential_error;
mod crowd;
mod dial;
mod dialer;
mod error;
mod frame;
mod host_port;
mod identity;
mod issued;
mod issuer;
mod limits;
mod newcomer;
mod numbers;
mod peer;
mod pem;
mod ports;
mod proxy;
mod proxy_variable;
mod race;
mod reason;
mod registry;
mod remote;
mod room;
mod route;
mod serve_quic;
mod serve_tcp;
mod server;
mod service;
mod shown;
mod sparing;
mod stream;
mod tls;
mod tls_error;
mod tls_key;
mod traffic;
mod transport;
mod trust;
mod tunnel;
mod twin;
mod version;
mod wire;

pub use authority::{Authority, AuthorityCertificate, CERTIFICATE_LIFETIME, OFFLINE_CERTIFICATE_LIFETIME, Usage};
pub use client::Connection;
pub use credential_error::CredentialError;
pub use dialer::{Backoff, Dialer};
pub use error::{NetError, Stage};
pub use frame::{Frame, FrameError};
pub use host_port::{HostPort, HostPortError};
pub use identity::Identity;
pub use issued::{Issued, Validity};
pub use limits::{Congestion, Limits, NEWCOMER_FRAME_BYTES_MAX};
pub use newcomer::Newcomers;
pub use peer::{KeyFingerprint, Peer, PeerName, PeerNameError};
pub use proxy::{Basic, Proxy, ProxyError};
pub use proxy_variable::is_exempt;
pub use reason::{CloseReason, Rejection};
pub use remote::Remote;
pub use route::Route;
pub use server::{BoxFuture, Handler, Refusal, Server, ServerHandle};
pub use sparing::Sparing;
pub use tls_key::{TlsKey, TlsPublicKey};
pub use traffic::Traffic;
pub use transport::{Mode, ModeError, Transport};
pub use trust::{RefusedBy, TrustCause};
pub use tunnel::TunnelError;
pub use version::Older;

#[cfg(test)]
mod tests;

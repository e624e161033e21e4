//! The TLS and QUIC settings that both sides share: what is negotiated, and what is switched off.
//!
//! There is one cipher suite and one key exchange, so there is nothing to negotiate down. AES-128-GCM because QUIC
//! needs it anyway for its first packets; AES-256-GCM costs the same within 3 % here, so it would only be a second
//! path; X25519MLKEM768 because uploads recorded today must not open to a quantum computer later. Tickets and
//! resumption are off: a resumed session skips the certificate.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use ::aws_lc_rs::hmac;
use quinn::congestion::{BbrConfig, ControllerFactory, CubicConfig, NewRenoConfig};
use quinn::crypto::rustls::{HandshakeData, QuicClientConfig, QuicServerConfig};
use quinn::{
    EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TokioRuntime, TransportConfig, ValidationTokenConfig, VarInt,
};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WantsClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, ServerConfig};

use super::authority::AuthorityCertificate;
use super::credential_error::CredentialError;
use super::error::NetError;
use super::identity::Identity;
use super::issuer::ClientTls;
use super::limits::{Congestion, Limits};
use super::newcomer::PinnedAuthority;
use super::numbers::Numbers;
use super::peer::KeyFingerprint;
use super::shown::Shown;

/// Names the protocol inside the handshake, so that another service's client fails there.
const ALPN: &[u8] = b"consilium/6";
/// What sites say that have no certificate yet.
const JOIN_ALPN: &[u8] = b"consilium-join/2";
/// The UDP payload that every path carries, and a tenth of what the kernel takes at once: quinn
/// offloads ten datagrams in one call, and a longer batch would be dropped without a word.
const MTU: std::ops::RangeInclusive<u16> = 1200..=6_550;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    })
}

fn roots(authority: &AuthorityCertificate) -> Result<Arc<RootCertStore>, CredentialError> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).map_err(|_| CredentialError::UnreadableCertificate)?;
    Ok(Arc::new(roots))
}

/// TLS of the dialling side: trusts `authority` alone and shows `identity`.
pub(super) fn client_tls(identity: &Identity, authority: &AuthorityCertificate) -> Result<ClientTls, CredentialError> {
    let provider = provider();
    let verifier = WebPkiServerVerifier::builder_with_provider(roots(authority)?, Arc::clone(&provider))
        .build()
        .map_err(|_| CredentialError::UnreadableCertificate)?;
    let shown = Arc::new(SingleCertAndKey::from(identity.certified()));
    dialling(provider, verifier, ALPN, |builder| builder.with_client_cert_resolver(shown))
}

/// TLS of a site without a certificate: accepts a server of the authority with this key, and shows nothing.
pub(super) fn newcomer_tls(key: KeyFingerprint) -> Result<ClientTls, CredentialError> {
    let provider = provider();
    let verifier = Arc::new(PinnedAuthority { key, provider: Arc::clone(&provider) });
    dialling(provider, verifier, JOIN_ALPN, |builder| builder.with_no_client_auth())
}

fn dialling(
    provider: Arc<CryptoProvider>,
    verifier: Arc<dyn ServerCertVerifier>,
    protocol: &[u8],
    showing: impl FnOnce(ConfigBuilder<ClientConfig, WantsClientCert>) -> ClientConfig,
) -> Result<ClientTls, CredentialError> {
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CredentialError::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier));
    let mut config = showing(builder);
    config.alpn_protocols = vec![protocol.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(ClientTls { config, verifier })
}

/// The protocol that a peer asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spoken {
    Member,
    /// Of those who have no certificate yet.
    Newcomer,
}

/// What the negotiated name stands for, if it is one of ours.
pub(super) fn spoken(protocol: Option<&[u8]>) -> Option<Spoken> {
    match protocol {
        Some(ALPN) => Some(Spoken::Member),
        Some(JOIN_ALPN) => Some(Spoken::Newcomer),
        _ => None,
    }
}

/// Whether the peer asked for the protocol of those who have no certificate yet.
pub(super) fn is_newcomer(connection: &quinn::Connection) -> bool {
    let data = connection.handshake_data().and_then(|any| any.downcast::<HandshakeData>().ok());
    data.is_some_and(|data| spoken(data.protocol.as_deref()) == Some(Spoken::Newcomer))
}

/// TLS of the dialled side: shows what is `shown` at that moment and demands a certificate of `authority`; where it is
/// open to newcomers, TLS itself lets through who shows none, and [`spoken`] says what that one came for.
pub(super) fn server_tls(
    shown: &Arc<Shown>,
    authority: &AuthorityCertificate,
    is_open: bool,
) -> Result<ServerConfig, CredentialError> {
    let provider = provider();
    let builder = WebPkiClientVerifier::builder_with_provider(roots(authority)?, Arc::clone(&provider));
    let builder = if is_open { builder.allow_unauthenticated() } else { builder };
    let verifier = builder.build().map_err(|_| CredentialError::UnreadableCertificate)?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(CredentialError::Tls)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::clone(shown) as _);
    tls.alpn_protocols = vec![ALPN.to_vec()];
    if is_open {
        tls.alpn_protocols.push(JOIN_ALPN.to_vec());
    }
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    tls.max_early_data_size = 0;
    Ok(tls)
}

/// QUIC of the dialling side.
pub(super) fn client_quic(tls: ClientConfig, limits: &Limits) -> Result<quinn::ClientConfig, NetError> {
    let crypto = QuicClientConfig::try_from(tls).map_err(|_| NetError::CipherSuite)?;
    let mut transport = transport(limits)?;
    // Requests are the client's alone to open.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    transport.keep_alive_interval(Some(limits.keep_alive));
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(transport));
    config.token_store(Arc::new(quinn::NoneTokenStore));
    Ok(config)
}

/// QUIC of the dialled side.
pub(super) fn server_quic(tls: ServerConfig, limits: &Limits) -> Result<quinn::ServerConfig, NetError> {
    let crypto = QuicServerConfig::try_from(tls).map_err(|_| NetError::CipherSuite)?;
    let mut transport = transport(limits)?;
    transport.max_concurrent_bidi_streams(VarInt::from_u32(limits.streams_per_connection));
    let mut tokens = ValidationTokenConfig::default();
    tokens.sent(0);
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        .validation_token_config(tokens)
        .migration(false)
        .max_incoming(limits.handshakes as usize)
        .incoming_buffer_size_total(limits.handshake_bytes);
    Ok(config)
}

fn transport(limits: &Limits) -> Result<TransportConfig, NetError> {
    let in_order = limits.mtu_initial <= limits.mtu_max;
    if !in_order || !MTU.contains(&limits.mtu_initial) || !MTU.contains(&limits.mtu_max) {
        return Err(NetError::Mtu { initial: limits.mtu_initial, max: limits.mtu_max });
    }
    let idle = IdleTimeout::try_from(limits.idle_timeout)
        .map_err(|_| NetError::IdleTimeout { seconds: limits.idle_timeout.as_secs() })?;
    let congestion: Arc<dyn ControllerFactory + Send + Sync> = match limits.congestion {
        Congestion::NewReno => Arc::new(NewRenoConfig::default()),
        Congestion::Cubic => Arc::new(CubicConfig::default()),
        Congestion::Bbr => Arc::new(BbrConfig::default()),
    };
    // A path that takes the largest datagram at once needs no probes.
    let discovery = (limits.mtu_max > limits.mtu_initial).then(|| {
        let mut discovery = MtuDiscoveryConfig::default();
        discovery.upper_bound(limits.mtu_max);
        discovery
    });
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(Some(idle))
        .stream_receive_window(VarInt::from_u32(limits.stream_window))
        .receive_window(VarInt::from_u32(limits.connection_window))
        .send_window(u64::from(limits.send_window))
        .initial_mtu(limits.mtu_initial)
        .mtu_discovery_config(discovery)
        .congestion_controller_factory(congestion)
        .allow_spin(false);
    Ok(transport)
}

/// What a server keeps for itself, the same in its next process: whoever still sends to a process that died is told at
/// once that the connection is lost (stateless reset, RFC 9000 section 10.3), and need not wait until it was idle for
/// too long.
pub(super) fn lasting(identity: &Identity) -> EndpointConfig {
    let secret = identity.derived(b"consilium stateless reset v1");
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret.as_slice())));
    config.cid_generator(|| Box::new(Numbers));
    config
}

/// Opens the UDP socket and the endpoint on it.
pub(super) fn endpoint(
    addr: SocketAddr,
    mut config: EndpointConfig,
    server: Option<quinn::ServerConfig>,
    limits: &Limits,
) -> Result<quinn::Endpoint, NetError> {
    let cannot_bind = |source| NetError::Bind { addr, source };
    config
        .max_udp_payload_size(limits.mtu_max)
        .map_err(|_| NetError::Mtu { initial: limits.mtu_initial, max: limits.mtu_max })?;
    let socket = UdpSocket::bind(addr).map_err(cannot_bind)?;
    // Larger buffers only spare repeats: where the system refuses them, its own will do.
    let sized = quinn::udp::UdpSocketState::new((&socket).into()).and_then(|state| {
        state.set_recv_buffer_size((&socket).into(), limits.socket_buffer)?;
        state.set_send_buffer_size((&socket).into(), limits.socket_buffer)
    });
    if let Err(error) = sized {
        tracing::debug!(%error, "the socket keeps its default buffers");
    }
    quinn::Endpoint::new(config, server, socket, Arc::new(TokioRuntime)).map_err(cannot_bind)
}

/// Any port on any interface of the family that `addr` belongs to.
pub(super) fn unspecified(addr: SocketAddr) -> SocketAddr {
    match addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

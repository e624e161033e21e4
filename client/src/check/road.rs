//! The road to the coordinator: its name, the network between, and whether who answers there is the coordinator.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use protocol::net::{Connection, HostPort, KeyFingerprint, NetError, Older, RefusedBy, Route, Transport, TrustCause};
use remedy::Exit;
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio::time::timeout;

use super::finding::Finding;
use crate::enrolment::coordinator;

/// A name server that says nothing for so long says nothing.
const NAME_WITHIN: Duration = Duration::from_secs(5);
/// Longest wait for a sign of the host where no connection came about.
const SIGN_WITHIN: Duration = Duration::from_secs(2);
/// A certificate of this many days or more needs nobody.
const DAYS_LEFT_MIN: u64 = 7;
const DAY_S: u64 = 24 * 3600;

/// What a host says that did not take a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It answers that nothing listens at the UDP port.
    Closed,
    /// It takes or refuses TCP at the port, and is silent on UDP.
    TcpOnly,
    /// Nothing at all.
    None,
}

/// Looks the host up.
pub(super) async fn name(address: &HostPort) -> (Finding, Option<Vec<SocketAddr>>) {
    let looked_up = timeout(NAME_WITHIN, lookup_host((address.host(), address.port()))).await;
    let found = match looked_up {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} s", NAME_WITHIN.as_secs())),
    };
    (resolved(address.host(), &found), found.ok())
}

fn resolved(host: &str, found: &Result<Vec<SocketAddr>, String>) -> Finding {
    let remedy = "check the name with the operator, and this machine's name server";
    match found {
        Err(error) => Finding::failed(format!("{host} cannot be found: {error}"), remedy, Exit::Connection),
        Ok(all) if all.is_empty() => Finding::failed(format!("{host} has no address"), remedy, Exit::Connection),
        Ok(_) if host.parse::<IpAddr>().is_ok() => Finding::passed(format!("{host} is an address itself")),
        Ok(all) => {
            let mut shown: Vec<String> = Vec::new();
            for ip in all.iter().map(|address| address.ip().to_string()) {
                if !shown.contains(&ip) {
                    shown.push(ip);
                }
            }
            Finding::passed(format!("{host} is {}", shown.join(", ")))
        }
    }
}

/// Knocks as a site without a certificate does, so that neither the vault nor the membership has a part in it.
pub(super) async fn network(
    route: Route,
    address: &HostPort,
    addresses: &[SocketAddr],
    pinned: Option<KeyFingerprint>,
) -> (Finding, Option<Result<Transport, NetError>>) {
    let server = match coordinator() {
        Ok(server) => server,
        Err(error) => return (Finding::of(&error), None),
    };
    // A key that nobody has: whoever answers is refused, after it has shown that it is there.
    let authority = pinned.unwrap_or(KeyFingerprint::from_bytes([0; 32]));
    let started = Instant::now();
    let knocked = Connection::knock(route, &server, authority).await;
    let took = started.elapsed();
    let dialled = match knocked {
        Ok(connection) => {
            let transport = connection.transport();
            connection.close().await;
            Ok(transport)
        }
        Err(error) => Err(error),
    };
    let sign = match (&dialled, addresses.first()) {
        (Err(NetError::TimedOut { .. } | NetError::NoWay { .. }), Some(first)) => sign(*first).await,
        _ => Sign::None,
    };
    let finding = connected(&dialled, took, address, sign, pinned.is_some());
    (finding, Some(dialled))
}

/// What the host says to a datagram and to a TCP connection at the same port.
async fn sign(address: SocketAddr) -> Sign {
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let datagram = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(address).await?;
        socket.send(&[0]).await?;
        socket.recv(&mut [0; 1]).await
    };
    let is_refused = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionRefused;
    if matches!(timeout(SIGN_WITHIN, datagram).await, Ok(Err(error)) if is_refused(&error)) {
        return Sign::Closed;
    }
    match timeout(SIGN_WITHIN, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Sign::TcpOnly,
        Ok(Err(error)) if is_refused(&error) => Sign::TcpOnly,
        _ => Sign::None,
    }
}

fn connected(
    dialled: &Result<Transport, NetError>,
    took: Duration,
    address: &HostPort,
    sign: Sign,
    is_pinned: bool,
) -> Finding {
    let (host, port, ms) = (address.host(), address.port(), took.as_millis());
    let failed = |found: String, remedy: String| Finding::failed(found, remedy, Exit::Connection);
    match dialled {
        Ok(transport) => Finding::passed(format!("a connection over {transport} stands after {ms} ms")),
        // Whoever shows or judges certificates is there; the next rung says who it is.
        Err(error) if error.is_about_trust() && is_pinned => Finding::passed(format!("a server answers after {ms} ms")),
        Err(error) if error.is_about_trust() => {
            Finding::passed(format!("a server answers after {ms} ms; who it is, only an invitation can tell"))
        }
        Err(NetError::TimedOut { .. } | NetError::NoWay { .. }) => match sign {
            Sign::Closed => failed(
                format!("{host} answers, and nothing listens at UDP port {port}"),
                "ask the operator whether the coordinator serves, and at which port".to_owned(),
            ),
            Sign::TcpOnly => failed(
                format!("{host} answers to TCP, and to no UDP at port {port}"),
                format!(
                    "open UDP port {port} to {host} for outgoing datagrams and their answers, or let TCP pass untouched"
                ),
            ),
            Sign::None => failed(
                format!("nothing answers at {host}, port {port}"),
                format!("open UDP and TCP port {port} to {host}, outgoing; then ask the operator whether it serves"),
            ),
        },
        Err(error @ NetError::ConnectionRefused { .. }) => {
            failed(error.to_string(), "try again in a minute; if it stays so, call the operator".to_owned())
        }
        Err(error @ NetError::Version { older, .. }) => {
            let remedy = match older {
                Older::Us => "bring this site's program to the coordinator's release",
                Older::Peer => "tell the operator: the coordinator has to be brought to this site's release",
            };
            failed(error.to_string(), remedy.to_owned())
        }
        Err(error @ NetError::Handshake { .. }) => failed(
            error.to_string(),
            format!("bring both sides to one release; if they are, ask the operator who listens at port {port}"),
        ),
        Err(error) => failed(error.to_string(), format!("open UDP and TCP port {port} to {host}, outgoing")),
    }
}

/// Whether who answers is the coordinator of the invitation.
pub(super) fn trusted(dialled: &Result<Transport, NetError>) -> Finding {
    let Err(error) = dialled else { return Finding::passed("the coordinator's is of the invitation's authority") };
    if let NetError::Intercepted { .. } = error {
        let remedy =
            "have the coordinator's host exempted from TLS inspection; if nobody inspects here, call the operator";
        return Finding::failed(format!("the coordinator's: {error}"), remedy, Exit::Refused);
    }
    let NetError::UntrustedPeer { refused_by, cause, .. } = error else {
        return Finding::failed(error.to_string(), "call the operator", Exit::Connection);
    };
    let remedy = match (refused_by, cause) {
        (RefusedBy::Us, TrustCause::OtherAuthority) => {
            "call the operator by telephone: the connection is likely intercepted, or this is not the coordinator that \
             this site was invited to"
        }
        (RefusedBy::Us, TrustCause::Expired) => {
            "set this machine's clock if it is wrong; else tell the operator, who has to renew it"
        }
        _ => "call the operator",
    };
    Finding::failed(format!("the coordinator's: {error}"), remedy, Exit::Refused)
}

/// How long this site's own certificate lasts.
pub(super) fn days_left(until_s: u64, now_s: u64) -> Finding {
    if now_s >= until_s {
        let days = (now_s - until_s) / DAY_S;
        let remedy = "set this machine's clock if it is wrong; else have the operator invite this site back, and join";
        return Finding::failed(format!("this site's expired {days} days ago"), remedy, Exit::Refused);
    }
    let days = (until_s - now_s) / DAY_S;
    let found = format!("this site's has {days} days left");
    match days < DAYS_LEFT_MIN {
        true => Finding::warning(found, "run `consilium hospital renew`; a site in service renews it by itself"),
        false => Finding::passed(found),
    }
}

#[cfg(test)]
mod tests {
    use protocol::net::{Remote, Stage};

    use super::super::finding::Grade;
    use super::*;

    fn address() -> HostPort {
        "consilium.example:4433".parse().unwrap()
    }

    fn remote() -> Remote {
        Remote { name: None, addr: ([10, 1, 2, 3], 4433).into(), transport: Transport::Quic }
    }

    fn untrusted(refused_by: RefusedBy, cause: TrustCause) -> Result<Transport, NetError> {
        Err(NetError::UntrustedPeer { peer: remote(), refused_by, cause })
    }

    fn silent() -> Result<Transport, NetError> {
        Err(NetError::TimedOut { peer: remote(), stage: Stage::Dialling, after: Duration::ZERO })
    }

    fn judged(dialled: &Result<Transport, NetError>, sign: Sign) -> Finding {
        connected(dialled, Duration::from_millis(17), &address(), sign, true)
    }

    #[test]
    fn addresses_are_shown_once_and_a_name_without_any_fails() {
        let both = ["10.1.2.3:443", "10.1.2.3:443", "[2001:db8::1]:443"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(resolved("a.example", &Ok(both)).found, "a.example is 10.1.2.3, 2001:db8::1");
        for none in [Ok(Vec::new()), Err("no such host".to_owned())] {
            let finding = resolved("a.example", &none);
            assert_eq!((finding.grade, finding.exit), (Grade::Failed, Exit::Connection));
            assert!(finding.remedy.unwrap().contains("name server"));
        }
        let itself = resolved("10.1.2.3", &Ok(vec!["10.1.2.3:443".parse().unwrap()]));
        assert_eq!((itself.grade, itself.found.as_str()), (Grade::Passed, "10.1.2.3 is an address itself"));
    }

    #[test]
    fn who_shows_a_certificate_is_there_and_who_is_silent_has_a_port_to_open() {
        let stands = judged(&Ok(Transport::Tcp), Sign::None);
        assert_eq!((stands.grade, stands.found.as_str()), (Grade::Passed, "a connection over tcp stands after 17 ms"));
        let stranger = untrusted(RefusedBy::Us, TrustCause::OtherAuthority);
        assert_eq!(judged(&stranger, Sign::None).grade, Grade::Passed);
        let unpinned = connected(&stranger, Duration::ZERO, &address(), Sign::None, false);
        assert!(unpinned.grade == Grade::Passed && unpinned.found.contains("only an invitation"), "{unpinned:?}");
        let inspected = Err(NetError::Intercepted { peer: remote(), by: "Firewall".to_owned() });
        assert_eq!(judged(&inspected, Sign::None).grade, Grade::Passed);
        let named = trusted(&inspected);
        assert_eq!((named.grade, named.exit), (Grade::Failed, Exit::Refused));
        assert!(named.found.contains("Firewall") && named.remedy.unwrap().contains("inspection"));
        let neither = || Box::new(silent().unwrap_err());
        let no_way = Err(NetError::NoWay { quic: neither(), tcp: neither() });
        assert!(judged(&no_way, Sign::Closed).found.contains("nothing listens"));
        for (sign, found, remedy) in [
            (Sign::Closed, "nothing listens at UDP port 4433", "ask the operator"),
            (Sign::TcpOnly, "answers to TCP", "open UDP port 4433 to consilium.example"),
            (Sign::None, "nothing answers", "open UDP and TCP port 4433 to consilium.example"),
        ] {
            let finding = judged(&silent(), sign);
            assert_eq!((finding.grade, finding.exit), (Grade::Failed, Exit::Connection));
            assert!(finding.found.contains(found), "{}", finding.found);
            assert!(finding.remedy.as_ref().unwrap().contains(remedy), "{:?}", finding.remedy);
        }
        for (older, remedy) in [(Older::Us, "this site's program"), (Older::Peer, "the coordinator has to")] {
            let unlike = judged(&Err(NetError::Version { peer: remote(), ours: 5, older }), Sign::None);
            assert_eq!((unlike.grade, unlike.exit), (Grade::Failed, Exit::Connection));
            assert!(unlike.remedy.as_ref().unwrap().contains(remedy), "{unlike:?}");
        }
        let full = judged(&Err(NetError::ConnectionRefused { peer: remote() }), Sign::None);
        assert!(full.grade == Grade::Failed && full.remedy.unwrap().contains("try again"));
    }

    #[test]
    fn another_authority_is_a_matter_for_the_telephone() {
        assert_eq!(trusted(&Ok(Transport::Quic)).grade, Grade::Passed);
        for (cause, remedy) in
            [(TrustCause::OtherAuthority, "intercepted"), (TrustCause::Expired, "clock"), (TrustCause::Revoked, "call")]
        {
            let finding = trusted(&untrusted(RefusedBy::Us, cause));
            assert_eq!((finding.grade, finding.exit), (Grade::Failed, Exit::Refused));
            assert!(finding.remedy.as_ref().unwrap().contains(remedy), "{finding:?}");
        }
    }

    #[test]
    fn a_certificate_warns_below_seven_days_and_fails_at_its_end() {
        let left = |seconds: u64| days_left(100 * DAY_S, 100 * DAY_S - seconds).grade;
        assert_eq!([left(30 * DAY_S), left(7 * DAY_S)], [Grade::Passed; 2]);
        assert_eq!([left(7 * DAY_S - 1), left(1)], [Grade::Warning; 2]);
        let over = days_left(100 * DAY_S, 102 * DAY_S);
        assert_eq!((over.grade, over.exit), (Grade::Failed, Exit::Refused));
        assert!(over.found.contains("2 days ago") && left(0) == Grade::Failed);
    }

    #[tokio::test]
    async fn a_port_where_nothing_listens_says_so_on_this_machine() {
        let port = |address: std::io::Result<SocketAddr>| address.unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let closed = port(udp.local_addr());
        drop(udp);
        assert_eq!(sign(closed).await, Sign::Closed);
        let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = port(tcp.local_addr());
        // Takes datagrams and says nothing, as a firewall does.
        let _silent = UdpSocket::bind(taken).await.unwrap();
        assert_eq!(sign(taken).await, Sign::TcpOnly);
    }
}

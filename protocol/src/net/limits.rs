//! Every bound of the transport, each with its reason.

use std::time::Duration;

/// Longest request of a site without a certificate, header and body together, in bytes.
pub const NEWCOMER_FRAME_BYTES_MAX: u32 = 4 << 10;

/// How the sending rate follows losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Congestion {
    /// RFC 9002's own.
    NewReno,
    /// RFC 9438; less shy on long links.
    Cubic,
    /// By measured bandwidth and round trip; unmoved by stray losses, experimental in quinn.
    Bbr,
}

/// The bounds of one endpoint. Both sides may differ; the smaller one rules.
///
/// [`Limits::default`] suits hospitals behind ordinary lines, [`Limits::loopback`] a federation on
/// one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Requests that one connection may have under way. Four keep a link busy while one reply is
    /// awaited. Over TCP a client has as many connections instead.
    pub streams_per_connection: u32,
    /// Connections from one certificate. Four: a hospital that lost its link, or was started again,
    /// dials before the server has noticed the loss, and its people's commands dial beside it. Over
    /// TCP a connection carries one request instead of `streams_per_connection`, and so many of them
    /// count as one.
    pub connections_per_peer: u32,
    /// Connections over all peers. As many as 64 members may have by themselves, so that none takes another's place.
    pub connections: u32,
    /// Connections of sites without a certificate, where they are heard at all.
    pub newcomers: u32,
    /// How many of them may come from one network: an IPv4 address, or the first 48 bits of an IPv6 address.
    pub newcomers_per_network: u32,
    /// How long one of them may stay.
    pub newcomer_time: Duration,
    /// How long one of them may take for its first request.
    pub newcomer_patience: Duration,
    /// Connections whose certificate is not known yet; as many over TCP as over QUIC.
    pub handshakes: u32,
    /// How many of them may come from one network, which several hospitals may share.
    pub handshakes_per_network: u32,
    /// Bytes that quinn buffers for all handshakes together.
    pub handshake_bytes: u64,
    /// Bytes of requests that are being received or handled, over all peers. At least one largest
    /// frame (33 MiB), at most 2^32 - 1. Requests beyond it wait, which QUIC's windows pass on to
    /// the sender, for at most `reply_timeout`. Requests of up to 64 KiB are not counted.
    pub bytes_in_flight: u32,
    /// The same for one key. At least one largest frame.
    pub bytes_per_peer: u32,

    /// Bytes that a peer may send on one stream before we read them.
    pub stream_window: u32,
    /// The same over all streams of a connection.
    pub connection_window: u32,
    /// Bytes that we keep for repeats.
    pub send_window: u32,
    /// Socket buffer of the operating system, in bytes, each way; it may grant less.
    pub socket_buffer: usize,
    /// Largest UDP payload in bytes that is sent without probing, 1200 to 6550.
    pub mtu_initial: u16,
    /// Largest UDP payload in bytes that is probed for and accepted, 1200 to 6550. An endpoint keeps
    /// 2048 times as much as its receive buffer.
    pub mtu_max: u16,
    /// How the sending rate follows losses.
    pub congestion: Congestion,

    /// From dialling until the server has answered the first frame.
    pub dial_timeout: Duration,
    /// How long QUIC is tried alone; then TCP is tried beside it.
    pub tcp_after: Duration,
    /// How long a connection over TCP is used before QUIC is tried again.
    pub quic_again: Duration,
    /// From sending a request until its reply is complete.
    pub reply_timeout: Duration,
    /// A connection is lost after this long without a packet.
    pub idle_timeout: Duration,
    /// The client sends something after this long without a packet; at most a third of
    /// `idle_timeout`, so that two may be lost.
    pub keep_alive: Duration,
    /// A frame may stall for this long in total, beside the time its length takes at
    /// `bytes_per_second_min`.
    pub stall: Duration,
    /// The slowest line that is served. Without it a peer could hold its share of
    /// `bytes_in_flight` for ever.
    pub bytes_per_second_min: u32,
    /// Time for the requests under way when the server stops.
    pub drain: Duration,
    /// Time for the last words to all peers after that; then connections are dropped as they are.
    pub closing: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            streams_per_connection: 4,
            connections_per_peer: 4,
            connections: 1024,
            newcomers: 16,
            newcomers_per_network: 4,
            newcomer_time: Duration::from_secs(10),
            newcomer_patience: Duration::from_secs(3),
            handshakes: 128,
            handshakes_per_network: 16,
            handshake_bytes: 16 << 20,
            bytes_in_flight: 512 << 20,
            bytes_per_peer: 66 << 20,

            // 2 MiB on a stream are 160 Mbit/s at 100 ms; four streams fill the connection's.
            stream_window: 2 << 20,
            connection_window: 8 << 20,
            send_window: 8 << 20,
            socket_buffer: 4 << 20,
            mtu_initial: 1200,
            mtu_max: 1452,
            congestion: Congestion::Cubic,

            dial_timeout: Duration::from_secs(5),
            tcp_after: Duration::from_secs(2),
            quic_again: Duration::from_secs(600),
            reply_timeout: Duration::from_secs(120),
            idle_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(10),
            stall: Duration::from_secs(15),
            bytes_per_second_min: 64 << 10,
            drain: Duration::from_secs(10),
            closing: Duration::from_secs(20),
        }
    }
}

impl Limits {
    /// For peers on one machine: datagrams and windows as large as the loopback device takes them.
    #[must_use]
    pub fn loopback() -> Self {
        Self {
            stream_window: 8 << 20,
            connection_window: 16 << 20,
            send_window: 16 << 20,
            mtu_initial: 6_500,
            mtu_max: 6_500,
            // All come from the same address.
            newcomers_per_network: 16,
            handshakes_per_network: 128,
            ..Self::default()
        }
    }

    /// How long a payload of so many bytes may take.
    pub(super) fn payload_timeout(&self, bytes: u32) -> Duration {
        let slowest = f64::from(self.bytes_per_second_min.max(1));
        self.stall + Duration::from_secs_f64(f64::from(bytes) / slowest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Frame;

    #[test]
    fn a_frame_fits_and_the_slowest_line_has_the_time_for_it() {
        for limits in [Limits::default(), Limits::loopback()] {
            let largest = Frame::HEADER_BYTES_MAX + Frame::BODY_BYTES_MAX;
            assert!(limits.bytes_in_flight >= limits.bytes_per_peer && limits.bytes_per_peer >= largest);
            let members = u32::try_from(crate::limits::PARTIES_MAX).unwrap();
            assert!(limits.connections >= members * limits.connections_per_peer * limits.streams_per_connection);
            assert!(limits.keep_alive * 3 <= limits.idle_timeout);
            let seconds = limits.payload_timeout(largest).as_secs();
            assert_eq!(seconds, 15 + (33 << 20) / (64 << 10));
        }
    }
}

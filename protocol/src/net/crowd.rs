//! Places for strangers, counted by the network that they come from, so that one address cannot take them all.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

/// Places in all, and how many of them one network may hold.
#[derive(Debug)]
pub(super) struct Crowd {
    places: u32,
    per_network: u32,
    held: Mutex<BTreeMap<Network, u32>>,
}

/// What one person can be assumed to have one of: an IPv4 address, or an IPv6 /48, which is what a site is given at
/// most (RFC 6177, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            v4 @ IpAddr::V4(_) => Self(v4),
            IpAddr::V6(v6) => Self(Ipv6Addr::from(u128::from(v6) & (u128::MAX << 80)).into()),
        }
    }
}

impl Crowd {
    pub(super) fn new(places: u32, per_network: u32) -> Arc<Self> {
        Arc::new(Self { places, per_network, held: Mutex::default() })
    }

    /// A place, unless all are taken or this network has its share of them.
    pub(super) fn enter(self: &Arc<Self>, addr: SocketAddr) -> Option<Place> {
        let network = Network::from(addr.ip());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = held.values().sum::<u32>();
        let own = held.get(&network).copied().unwrap_or(0);
        if taken >= self.places || own >= self.per_network {
            return None;
        }
        held.insert(network, own + 1);
        Some(Place { crowd: Arc::clone(self), network })
    }
}

/// One place; free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Arc<Crowd>,
    network: Network,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.crowd.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = held.get_mut(&self.network) {
            *own -= 1;
            if *own == 0 {
                held.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(addr: &str) -> SocketAddr {
        SocketAddr::new(addr.parse().unwrap(), 443)
    }

    #[test]
    fn a_network_gets_its_share_and_all_networks_the_places() {
        let crowd = Crowd::new(3, 2);
        let first = crowd.enter(at("192.0.2.1")).unwrap();
        let _second = crowd.enter(at("192.0.2.1")).unwrap();
        assert!(crowd.enter(at("192.0.2.1")).is_none());
        let other = crowd.enter(at("192.0.2.2")).unwrap();
        assert!(crowd.enter(at("192.0.2.3")).is_none());
        drop(other);
        assert!(crowd.enter(at("192.0.2.1")).is_none());
        drop(first);
        let _third = crowd.enter(at("192.0.2.1")).unwrap();
        drop((_second, _third));
        assert!(crowd.held.lock().unwrap().is_empty());
    }

    #[test]
    fn what_a_site_is_given_is_a_network_and_four_within_six_is_four() {
        for (one, other, is_same) in [
            ("2001:db8:7:1::1", "2001:db8:7:ffff:ffff::2", true),
            ("2001:db8:7:1::1", "2001:db8:8:1::1", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
        ] {
            assert_eq!(Network::from(at(one).ip()) == Network::from(at(other).ip()), is_same, "{one} {other}");
        }
    }
}

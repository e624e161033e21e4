//! Where a server is found. Looked up whenever it is dialled, so that one that has moved is found again.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::error::NetError;
use super::host_port::HostPort;
use super::proxy::Proxy;
use super::transport::Mode;

/// Addresses of one host that are tried; a name server may list any number.
const ADDRESSES_MAX: usize = 8;

/// The way to a server.
#[derive(Debug, Clone)]
pub struct Route {
    place: Place,
    mode: Mode,
    proxy: Option<Proxy>,
}

#[derive(Debug, Clone)]
enum Place {
    Host(HostPort),
    Address(SocketAddr),
    /// What a name server would say at this moment.
    #[cfg(test)]
    Listed(std::sync::Arc<std::sync::Mutex<Vec<SocketAddr>>>),
}

impl From<HostPort> for Route {
    fn from(host: HostPort) -> Self {
        Self::to(Place::Host(host))
    }
}

impl From<SocketAddr> for Route {
    fn from(address: SocketAddr) -> Self {
        Self::to(Place::Address(address))
    }
}

impl From<&Route> for Route {
    fn from(route: &Route) -> Self {
        route.clone()
    }
}

impl Route {
    fn to(place: Place) -> Self {
        Self { place, mode: Mode::Auto, proxy: None }
    }

    /// The same way, over these transports alone.
    #[must_use]
    pub fn over(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }

    /// Which transports are tried.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The same way through a proxy, which is dialled over TCP and finds the server itself; QUIC is not tried.
    #[must_use]
    pub fn through(self, proxy: Proxy) -> Self {
        Self { proxy: Some(proxy), ..self }
    }

    /// The proxy on the way.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// Whether QUIC is tried, and TCP where it does not get through.
    pub(super) fn has_choice(&self) -> bool {
        self.mode == Mode::Auto && self.proxy.is_none()
    }

    /// Host and port as a proxy is told them.
    pub(super) fn target(&self) -> String {
        match &self.place {
            Place::Host(host) => host.to_string(),
            Place::Address(address) => address.to_string(),
            #[cfg(test)]
            Place::Listed(list) => list.lock().unwrap()[0].to_string(),
        }
    }

    /// The addresses at this moment, each once, in the resolver's order; at least one.
    ///
    /// # Errors
    /// [`NetError::Unresolved`].
    pub(super) async fn addresses(&self, within: Duration) -> Result<Vec<SocketAddr>, NetError> {
        match &self.place {
            Place::Host(host) => resolve(host, within).await,
            Place::Address(address) => Ok(vec![*address]),
            #[cfg(test)]
            Place::Listed(list) => Ok(list.lock().unwrap().clone()),
        }
    }

    #[cfg(test)]
    pub(super) fn listed(list: &std::sync::Arc<std::sync::Mutex<Vec<SocketAddr>>>) -> Self {
        Self::to(Place::Listed(std::sync::Arc::clone(list)))
    }
}

pub(super) async fn resolve(host: &HostPort, within: Duration) -> Result<Vec<SocketAddr>, NetError> {
    let unresolved = |source| NetError::Unresolved { host: host.clone(), source };
    // A name server that says nothing would hold the caller for half a minute.
    let looked_up = timeout(within, tokio::net::lookup_host((host.host(), host.port()))).await;
    let found = looked_up.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(unresolved)?;
    let addresses = distinct(found);
    if addresses.is_empty() { Err(unresolved(io::ErrorKind::NotFound.into())) } else { Ok(addresses) }
}

/// Each address once, and no more than are tried.
fn distinct(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) && addresses.len() < ADDRESSES_MAX {
            addresses.push(address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_of_addresses_is_cut_and_none_is_tried_twice() {
        let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 443));
        assert_eq!(distinct([1, 1, 2, 1].map(address).into_iter()), [1, 2].map(address));
        assert_eq!(distinct((0..=255).map(address)).len(), ADDRESSES_MAX);
    }
}

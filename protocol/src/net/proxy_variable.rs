//! The proxy that a machine's environment names, and the hosts that it exempts.

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::host_port::HostPort;
use super::proxy::{Basic, Proxy, ProxyError};

/// Longest value that is read; a proxy's address and a password are shorter, and lists of exempted hosts as well.
const VALUE_BYTES_MAX: usize = 16 << 10;

impl Proxy {
    /// Reads the value of `HTTPS_PROXY`: `http://host:port`, or `host:port`, before which a user and a password may
    /// stand, `user:password@`, percent-encoded (RFC 3986). Unlike a command line or a file of settings, a process's
    /// environment is shown to its own user alone.
    ///
    /// # Errors
    /// [`ProxyError`], which shows neither user nor password.
    pub fn from_variable(value: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        // What stands before the last @ is the user's and the password's.
        let (pair, at) = match rest.rsplit_once('@') {
            Some((pair, at)) => (Some(pair), at),
            None => (None, rest),
        };
        if scheme.eq_ignore_ascii_case("https") {
            return Err(ProxyError::Tls);
        }
        if !scheme.eq_ignore_ascii_case("http") || value.len() > VALUE_BYTES_MAX {
            return Err(ProxyError::Scheme);
        }
        let proxy = Self::at_address(at.strip_suffix('/').unwrap_or(at).parse()?);
        match pair {
            Some(pair) => Ok(proxy.with_credentials(Basic::from_url(pair).ok_or(ProxyError::UserInUrl)?)),
            None => Ok(proxy),
        }
    }
}

impl Basic {
    /// Reads what stands before the @ of a URL.
    fn from_url(pair: &str) -> Option<Self> {
        let (user, password) = pair.split_once(':').unwrap_or((pair, ""));
        Self::of(&decoded(user)?, &decoded(password)?)
    }
}

/// Percent-encoded text in the clear.
fn decoded(text: &str) -> Option<Zeroizing<String>> {
    // Sized up front, so that no reallocation leaves a copy behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        let byte = match first {
            b'%' => {
                let (digits, more) = rest.split_at_checked(2)?;
                rest = more;
                let digit = |at: usize| char::from(*digits.get(at)?).to_digit(16).and_then(|it| u8::try_from(it).ok());
                digit(0)? * 16 + digit(1)?
            }
            byte => *byte,
        };
        bytes.push(byte);
    }
    std::str::from_utf8(&bytes).ok().map(|text| Zeroizing::new(text.to_owned()))
}

/// Whether a host is reached without the proxy of the environment: it is this machine, or `no_proxy` names it.
///
/// `no_proxy` is a list, separated by commas or spaces, of `*` for every host, addresses, and domains, which stand for
/// themselves and all below them; a port may follow.
#[must_use]
pub fn is_exempt(host: &HostPort, no_proxy: &str) -> bool {
    let name = host.host().trim_end_matches('.').to_ascii_lowercase();
    let address: Option<IpAddr> = name.parse().ok();
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    if address.is_some_and(is_loopback) || name == "localhost" || name.ends_with(".localhost") {
        return true;
    }
    let names_it = |entry: &str| {
        if entry == "*" {
            return true;
        }
        let (entry, port) = match entry.parse::<HostPort>() {
            Ok(entry) => (entry.host().to_owned(), Some(entry.port())),
            Err(_) => (entry.trim_start_matches('[').trim_end_matches(']').to_owned(), None),
        };
        if port.is_some_and(|port| port != host.port()) {
            return false;
        }
        if let (Some(address), Ok(entry)) = (address, entry.parse::<IpAddr>()) {
            return address.to_canonical() == entry.to_canonical();
        }
        let domain = entry.trim_start_matches('*').trim_start_matches('.').trim_end_matches('.').to_ascii_lowercase();
        let below = name.strip_suffix(domain.as_str()).filter(|_| !domain.is_empty());
        // Digits at the end of an address are no domain of it.
        below.is_some_and(|rest| rest.is_empty() || (address.is_none() && rest.ends_with('.')))
    };
    no_proxy.split([',', ' ', '\t']).filter(|entry| !entry.is_empty()).any(names_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_names_a_proxy_with_or_without_a_user() {
        let read = |value: &str| {
            let proxy = Proxy::from_variable(value).unwrap();
            let pair = proxy.credentials().map(|basic| basic.encoded().to_string());
            (proxy.at().to_string(), pair)
        };
        let at = "proxy.example:3128".to_owned();
        for value in ["http://proxy.example:3128", "HTTP://proxy.example:3128/", "proxy.example:3128"] {
            assert_eq!(read(value), (at.clone(), None), "{value}");
        }
        // RFC 7617 section 2; a space, an @ and a colon have to be encoded.
        let aladdin = Some("QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned());
        assert_eq!(read("http://Aladdin:open%20sesame@proxy.example:3128"), (at.clone(), aladdin));
        assert_eq!(
            read("http://me:a%40b%3Ac@proxy.example:3128").1,
            Basic::of("me", "a@b:c").map(|it| it.encoded().to_string())
        );
        assert_eq!(
            read("http://me:a@b@proxy.example:3128").1,
            Basic::of("me", "a@b").map(|it| it.encoded().to_string())
        );
        assert_eq!(read("http://me@proxy.example:3128").1, Basic::of("me", "").map(|it| it.encoded().to_string()));
        assert_eq!(read("http://[2001:db8::1]:3128").0, "[2001:db8::1]:3128");
    }

    #[test]
    fn a_variable_that_names_none_is_refused_and_never_shown() {
        let refused = |value: &str| Proxy::from_variable(value).unwrap_err();
        assert!(matches!(refused("https://me:hunter2@proxy.example:3128"), ProxyError::Tls));
        for value in ["socks5://me:hunter2@proxy.example:1080", "ftp://proxy.example:1"] {
            assert!(matches!(refused(value), ProxyError::Scheme), "{value}");
        }
        assert!(matches!(refused(&format!("http://p:{}", "1".repeat(VALUE_BYTES_MAX))), ProxyError::Scheme));
        for value in ["http://me:hunter2@proxy.example", "http://proxy.example", "http://me:hunter2@/", "http://"] {
            assert!(matches!(refused(value), ProxyError::HostPort(_)), "{value}");
        }
        for pair in
            ["me:hunter2%", "me:hunter2%2", "me:hunter2%zz", "me:%ff", ":hunter2", "a%3Ab:hunter2", "me:hunter2%0A"]
        {
            let error = refused(&format!("http://{pair}@proxy.example:3128"));
            assert!(matches!(error, ProxyError::UserInUrl), "{pair}");
        }
        for value in ["https://me:hunter2@p:1", "x://me:hunter2@p:1", "http://me:hunter2@p", "http://me:hunter2%@p:1"] {
            let error = refused(value);
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let kept = Proxy::from_variable("http://me:hunter2@proxy.example:3128").unwrap();
        assert!(!format!("{kept:?}").contains("hunter2"));
    }

    #[test]
    fn hosts_of_the_list_and_this_machine_are_exempt() {
        for (host, list, expected) in [
            ("c.example:443", "", false),
            ("c.example:443", "*", true),
            ("c.example:443", "other.example, C.EXAMPLE", true),
            ("c.example:443", "other.example c.example.", true),
            ("a.c.example:443", "c.example", true),
            ("a.c.example:443", ".c.example", true),
            ("a.c.example:443", "*.c.example", true),
            ("c.example:443", ".c.example", true),
            ("abc.example:443", "c.example", false),
            ("c.example:443", "a.c.example", false),
            ("c.example:443", "c.example:443", true),
            ("c.example:443", "c.example:8443", false),
            ("c.example:443", ",  ,.", false),
            ("10.1.2.3:443", "10.1.2.3", true),
            ("10.1.2.3:443", "10.1.2.3:443", true),
            ("10.1.2.3:443", "2.3,.3,1.2.3", false),
            ("[2001:db8::1]:443", "2001:db8::1", true),
            ("[2001:db8::1]:443", "[2001:DB8:0::1]", true),
            ("[2001:db8::1]:443", "2001:db8::2", false),
            ("localhost:443", "", true),
            ("Consilium.LocalHost:443", "", true),
            ("127.0.0.1:443", "", true),
            ("127.9.9.9:443", "", true),
            ("[::1]:443", "", true),
            ("[::ffff:127.0.0.1]:443", "", true),
            ("notlocalhost:443", "", false),
        ] {
            assert_eq!(is_exempt(&host.parse().unwrap(), list), expected, "{host} {list:?}");
        }
    }
}

//! The way to the coordinator, as `[network]` of the site file says.

use std::ffi::OsString;
use std::path::Path;

use experiment::NetworkSite;
use protocol::net::{Basic, HostPort, Mode, Proxy, ProxyError, Route, is_exempt};
use zeroize::Zeroizing;

use super::EnrolmentError;
use crate::site_file::{SITE_FILE, site_file};

/// A way, and where its proxy stands, for whoever has to find out.
pub(crate) struct Way {
    /// The way.
    pub(crate) route: Route,
    /// What names its proxy: the site file or a variable.
    pub(crate) named_by: &'static str,
}

/// The way from the site in this folder to an address. The site file wins over the environment.
///
/// # Errors
/// [`EnrolmentError::SiteFile`], [`EnrolmentError::Proxy`], [`EnrolmentError::ProxyVariable`].
pub(crate) fn way(root: &Path, address: HostPort) -> Result<Way, EnrolmentError> {
    found(root, address, &|name| std::env::var_os(name))
}

/// Variables that name a proxy, and those that exempt hosts from it; the first that is not empty counts.
const PROXY_VARIABLES: [&str; 2] = ["https_proxy", "HTTPS_PROXY"];
const EXEMPT_VARIABLES: [&str; 2] = ["no_proxy", "NO_PROXY"];
/// In the site file: no proxy, whatever the environment names.
const NO_PROXY: &str = "none";

type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn found(root: &Path, address: HostPort, environment: Environment<'_>) -> Result<Way, EnrolmentError> {
    let NetworkSite { transport, proxy, proxy_credentials } = site_file(root)?.network;
    let mode: Mode = match transport.as_deref() {
        // The file's schema knows these words.
        Some("quic") => Mode::Quic,
        Some("tcp") => Mode::Tcp,
        _ => Mode::Auto,
    };
    let (proxy, named_by) = match proxy.as_deref() {
        Some(NO_PROXY) => (None, SITE_FILE),
        Some(url) => (Some(url.parse::<Proxy>()?), SITE_FILE),
        None => of_environment(&address, environment)?,
    };
    let route = Route::from(address).over(mode);
    let route = match (proxy, proxy_credentials) {
        (None, None) => route,
        // The file's user and password are the site's own word.
        (Some(proxy), Some(file)) => route.through(proxy.with_credentials(Basic::read(&root.join(file))?)),
        (Some(proxy), None) => route.through(proxy),
        (None, Some(_)) if named_by == SITE_FILE => return Err(ProxyError::Url { given: String::new() }.into()),
        (None, Some(_)) => route,
    };
    Ok(Way { route, named_by })
}

/// The proxy that the environment names for this address, and the variable that names one for any.
fn of_environment(
    address: &HostPort,
    environment: Environment<'_>,
) -> Result<(Option<Proxy>, &'static str), EnrolmentError> {
    let first = |names: [&'static str; 2]| {
        names.into_iter().find_map(|name| Some((name, environment(name).filter(|value| !value.is_empty())?)))
    };
    let Some((name, value)) = first(PROXY_VARIABLES) else { return Ok((None, SITE_FILE)) };
    let exempt = first(EXEMPT_VARIABLES).map(|(_, list)| list.to_string_lossy().into_owned()).unwrap_or_default();
    if is_exempt(address, &exempt) {
        return Ok((None, name));
    }
    let wrong = |source| EnrolmentError::ProxyVariable { name, source };
    let value = Zeroizing::new(value.into_string().map_err(|_| wrong(ProxyError::Scheme))?);
    Ok((Some(Proxy::from_variable(&value).map_err(wrong)?), name))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn in_environment(text: &str, variables: &[(&str, &str)]) -> Result<Way, EnrolmentError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SITE_FILE), text).unwrap();
        fs::write(folder.path().join("secret.txt"), "anna:moon\n").unwrap();
        let value = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        found(folder.path(), "consilium.example:443".parse().unwrap(), &value)
    }

    fn with(text: &str) -> Result<Route, EnrolmentError> {
        in_environment(text, &[]).map(|way| way.route)
    }

    #[test]
    fn the_way_is_what_the_site_file_says() {
        let address = "consilium.example:443".parse().unwrap();
        let none = found(Path::new("/nowhere"), address, &|_| None).unwrap().route;
        assert!(none.mode() == Mode::Auto && none.proxy().is_none());
        for (word, mode) in [("auto", Mode::Auto), ("quic", Mode::Quic), ("tcp", Mode::Tcp)] {
            assert!(with(&format!("[network]\ntransport = \"{word}\"")).unwrap().mode() == mode, "{word}");
        }
        let proxied =
            with("[network]\nproxy = \"http://proxy.example:3128\"\nproxy-credentials = \"secret.txt\"").unwrap();
        assert_eq!(proxied.proxy().map(|proxy| proxy.at().to_string()).as_deref(), Some("proxy.example:3128"));
        assert!(!format!("{proxied:?}").contains("moon"));
    }

    #[test]
    fn a_way_that_is_none_is_refused() {
        let file = with("[network]\nproxy = \"http://p:1\"\nproxy-credentials = \"none.txt\"");
        assert!(matches!(file, Err(EnrolmentError::Proxy(ProxyError::File { .. }))));
        assert!(matches!(with("[network]\nproxy = \"proxy\""), Err(EnrolmentError::Proxy(_))));
        assert!(matches!(with("[network]\nproxy-credentials = \"secret.txt\""), Err(EnrolmentError::Proxy(_))));
        assert!(matches!(with("[net]"), Err(EnrolmentError::SiteFile(_))));
    }

    /// The proxy, whether it is shown a password, and what names it.
    fn proxy(text: &str, variables: &[(&str, &str)]) -> Option<(String, bool, &'static str)> {
        let Way { route, named_by } = in_environment(text, variables).unwrap();
        route.proxy().map(|proxy| (proxy.at().to_string(), proxy.has_credentials(), named_by))
    }

    #[test]
    fn the_environment_names_a_proxy_where_the_site_file_does_not() {
        let (upper, lower) = (("HTTPS_PROXY", "http://upper:1"), ("https_proxy", "http://me:moon@lower:2"));
        assert_eq!(proxy("", &[upper]), Some(("upper:1".to_owned(), false, "HTTPS_PROXY")));
        assert_eq!(proxy("", &[upper, lower]), Some(("lower:2".to_owned(), true, "https_proxy")));
        assert_eq!(proxy("", &[upper, ("https_proxy", "")]), Some(("upper:1".to_owned(), false, "HTTPS_PROXY")));
        let own = "[network]\nproxy = \"http://own:3\"";
        assert_eq!(proxy(own, &[upper, lower]), Some(("own:3".to_owned(), false, SITE_FILE)));
        assert_eq!(proxy("[network]\nproxy = \"none\"", &[upper, lower]), None);
        let secret = "[network]\nproxy-credentials = \"secret.txt\"";
        assert_eq!(proxy(secret, &[upper]), Some(("upper:1".to_owned(), true, "HTTPS_PROXY")));
        for exempt in [("NO_PROXY", ".example"), ("no_proxy", "*")] {
            assert_eq!(proxy("", &[upper, exempt]), None, "{exempt:?}");
            assert_eq!(proxy(secret, &[upper, exempt]), None, "{exempt:?}");
        }
        assert!(proxy("", &[upper, ("no_proxy", "other"), ("NO_PROXY", "*")]).is_some(), "the lower one counts");
        assert_eq!(proxy("", &[("HTTP_PROXY", "http://upper:1"), ("ALL_PROXY", "http://upper:1")]), None);
    }

    #[test]
    fn a_variable_that_cannot_be_used_is_named_and_not_shown() {
        let error = in_environment("", &[("HTTPS_PROXY", "https://me:moon@p:1")]).err().unwrap();
        let EnrolmentError::ProxyVariable { name: "HTTPS_PROXY", source: ProxyError::Tls } = &error else {
            panic!("{error}");
        };
        assert!(error.to_string().starts_with("HTTPS_PROXY: ") && !format!("{error} {error:?}").contains("moon"));
        assert!(in_environment("", &[("HTTPS_PROXY", "https://p:1"), ("NO_PROXY", "*")]).is_ok(), "never asked");
        assert!(in_environment("[network]\nproxy = \"none\"", &[("HTTPS_PROXY", "https://p:1")]).is_ok());
    }
}

//! The way to the coordinator, as `[network]` of the site file says.

use std::path::Path;

use experiment::{NetworkSite, Site};
use protocol::net::{Basic, HostPort, Mode, Proxy, ProxyError, Route};

use super::EnrolmentError;

/// The site file's name in a site's folder.
pub const SITE_FILE: &str = "site.toml";

/// The site file of a folder; all defaults where there is none.
///
/// # Errors
/// [`EnrolmentError::SiteFile`].
pub fn site_file(root: &Path) -> Result<Site, EnrolmentError> {
    let path = root.join(SITE_FILE);
    Ok(if path.exists() { Site::load(&path)? } else { Site::default() })
}

/// The way from the site in this folder to an address.
///
/// # Errors
/// [`EnrolmentError::SiteFile`], [`EnrolmentError::Proxy`].
pub(crate) fn way(root: &Path, address: HostPort) -> Result<Route, EnrolmentError> {
    let NetworkSite { transport, proxy, proxy_credentials } = site_file(root)?.network;
    let mode: Mode = match transport.as_deref() {
        // The file's schema knows these words.
        Some("quic") => Mode::Quic,
        Some("tcp") => Mode::Tcp,
        _ => Mode::Auto,
    };
    let mut route = Route::from(address).over(mode);
    if let Some(url) = proxy {
        let mut proxy: Proxy = url.parse()?;
        if let Some(file) = proxy_credentials {
            // Relative to the file that names it.
            proxy = proxy.with_credentials(Basic::read(&root.join(file))?);
        }
        route = route.through(proxy);
    } else if proxy_credentials.is_some() {
        return Err(ProxyError::Url { given: String::new() }.into());
    }
    Ok(route)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn with(text: &str) -> Result<Route, EnrolmentError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SITE_FILE), text).unwrap();
        fs::write(folder.path().join("secret.txt"), "anna:moon\n").unwrap();
        way(folder.path(), "consilium.example:443".parse().unwrap())
    }

    #[test]
    fn the_way_is_what_the_site_file_says() {
        let none = way(Path::new("/nowhere"), "consilium.example:443".parse().unwrap()).unwrap();
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
}

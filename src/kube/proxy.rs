//! Which proxy is between this node and the API server: the kubeconfig's `proxy-url`, else the environment's,
//! by the rules of kubectl (Go's `golang.org/x/net/http/httpproxy`).

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::secret::Secret;
use super::server::{Server, authority_of};

/// A proxy. Its address may hold a password, so only its host is ever shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its address, of the scheme `http` (CONNECT) or `socks5h` (the proxy resolves names, as Go's does).
    pub url: Secret<String>,
    /// Host and port.
    pub shown: String,
}

impl Proxy {
    /// Takes `http://[USER:PASSWORD@]HOST[:PORT]` or `socks5://...`.
    ///
    /// # Errors
    /// What is wrong with it; never the address itself.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => ("http", rest),
            Some(("socks5" | "socks5h", rest)) => ("socks5h", rest),
            _ => return Err("wanted http://HOST:PORT or socks5://HOST:PORT".to_owned()),
        };
        let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, authority) = match rest.rsplit_once('@') {
            Some((user, authority)) => (format!("{user}@"), authority),
            None => (String::new(), rest),
        };
        let default_port = if scheme == "http" { 80 } else { 1080 };
        let (host, port) = authority_of(authority, default_port)?;
        let shown = match host.contains(':') {
            true => format!("[{host}]:{port}"),
            false => format!("{host}:{port}"),
        };
        Ok(Self {
            url: Secret::new(format!("{scheme}://{user}{shown}")),
            shown,
        })
    }

    /// The proxy that `HTTPS_PROXY` and `NO_PROXY` (or in small letters) name for a server, if any.
    ///
    /// # Errors
    /// What is wrong with `HTTPS_PROXY`; never its value.
    pub fn of_environment(
        server: &Server,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let either = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .or_else(|| variable(&name.to_ascii_lowercase()))
                .filter(|value| !value.is_empty())
        };
        let Some(proxy) = either("HTTPS_PROXY").filter(|_| server.tls) else {
            return Ok(None);
        };
        let except = either("NO_PROXY").unwrap_or_default();
        if server.is_loopback() || except.split(',').any(|entry| excepts(entry, server)) {
            return Ok(None);
        }
        let proxy = match proxy.contains("://") {
            true => proxy,
            false => format!("http://{proxy}"),
        };
        Self::parse(&proxy)
            .map(Some)
            .map_err(|why| format!("HTTPS_PROXY: {why}"))
    }
}

/// Whether an entry of `NO_PROXY` is about a server.
fn excepts(entry: &str, server: &Server) -> bool {
    let entry = entry.trim().to_ascii_lowercase();
    let host = server.host.to_ascii_lowercase();
    let address = host.parse::<IpAddr>().ok();
    if entry == "*" {
        return true;
    }
    if let (true, Ok(network)) = (entry.contains('/'), entry.parse::<IpNetwork>()) {
        return address.is_some_and(|address| network.contains(address));
    }
    let (name, port) = host_and_port(&entry);
    if name.is_empty() || port.is_some_and(|port| port.parse() != Ok(server.port)) {
        return false;
    }
    if let Some(address) = address {
        return name.parse() == Ok(address);
    }
    // `*.example.org` and `.example.org` are about what is below, `example.org` about itself too.
    let name = name.strip_prefix('*').unwrap_or(name);
    match name.starts_with('.') {
        true => host.ends_with(name),
        false => host == name || host.ends_with(&format!(".{name}")),
    }
}

/// `HOST`, `HOST:PORT`, `[IPV6]:PORT` or an IPv6 address without brackets.
fn host_and_port(entry: &str) -> (&str, Option<&str>) {
    if entry.parse::<IpAddr>().is_ok() {
        return (entry, None);
    }
    match entry
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
    {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => match entry.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (entry, None),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn of(server: &str, https_proxy: &str, no_proxy: &str) -> Option<String> {
        let server = Server::parse(server, true).unwrap();
        let variable = |name: &str| match name {
            "HTTPS_PROXY" => Some(String::new()),
            "https_proxy" => Some(https_proxy.to_owned()),
            "NO_PROXY" => Some(no_proxy.to_owned()),
            _ => None,
        };
        Proxy::of_environment(&server, variable)
            .unwrap()
            .map(|proxy| proxy.shown)
    }

    #[test]
    fn the_environments_proxy_is_taken_for_all_but_what_no_proxy_names() {
        let proxy = "http://proxy.example.org:3128";
        let taken = Some("proxy.example.org:3128".to_owned());
        for (server, except) in [
            ("https://10.0.0.1:6443", ""),
            ("https://10.0.0.1:6443", "10.0.0.2,10.1.0.0/16,10.0.0.1:443"),
            (
                "https://api.example.org",
                ".api.example.org,xapi.example.org",
            ),
            ("https://[fd00::1]:6443", "fd00::2,fd01::/16"),
            ("https://api.example.org", "other.org, ,"),
        ] {
            assert_eq!(of(server, proxy, except), taken, "{server} {except}");
        }
        for (server, except) in [
            ("https://10.0.0.1:6443", "10.0.0.0/8"),
            ("https://10.0.0.1:6443", "x, 10.0.0.1"),
            ("https://10.0.0.1:6443", "10.0.0.1:6443"),
            ("https://10.0.0.1:6443", "*"),
            ("https://api.example.org", "example.org"),
            ("https://api.example.org", ".example.org"),
            ("https://API.example.org", "*.Example.org"),
            ("https://[fd00::1]:6443", "fd00::1"),
            ("https://[fd00::1]:6443", "[fd00::1]:6443"),
            ("https://[fd00::1]:6443", "fd00::/8"),
            ("https://127.0.0.1:6443", ""),
            ("https://localhost:6443", ""),
            ("http://localhost:8001", ""),
        ] {
            assert_eq!(of(server, proxy, except), None, "{server} {except}");
        }
        assert_eq!(of("https://10.0.0.1", "", ""), None);
        assert_eq!(
            of("https://10.0.0.1", "proxy:3128", ""),
            Some("proxy:3128".to_owned())
        );
    }

    #[test]
    fn a_proxys_password_is_kept_for_the_proxy_and_never_shown() {
        let proxy = Proxy::parse("socks5://me:s3cret@[fd00::9]:1080/").unwrap();
        assert_eq!(proxy.url.exposed(), "socks5h://me:s3cret@[fd00::9]:1080");
        assert_eq!(proxy.shown, "[fd00::9]:1080");
        assert!(!format!("{proxy:?}").contains("s3cret"));
        for wrong in [
            "ftp://me:s3cret@x",
            "http://me:s3cret@",
            "https://me:s3cret@x",
            "me:s3cret@x",
        ] {
            let why = Proxy::parse(wrong).unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
    }
}

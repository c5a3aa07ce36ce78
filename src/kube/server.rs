//! The address of an API server, as a kubeconfig or the environment of a pod gives it.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An API server's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Whether it speaks TLS.
    pub tls: bool,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// What stands before `/api`, without a `/` at the end: some clusters share a server.
    pub prefix: String,
}

impl Server {
    /// Takes `https://HOST[:PORT][/PREFIX]`. Without a scheme it is `https` where the cluster has a certificate
    /// authority, else `http`, as kubectl reads it (client-go `DefaultServerURL`).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, has_authority: bool) -> Result<Self, String> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err("wanted https://HOST[:PORT][/PATH]".to_owned()),
            None => (has_authority, text),
        };
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = authority_of(authority, if tls { 443 } else { 80 })?;
        let server = Self {
            tls,
            host,
            port,
            prefix: prefix(path)?,
        };
        if !server.tls && !server.is_loopback() {
            let msg = "http is for this machine alone (127.0.0.1, ::1, localhost): it cannot be told who answers, \
                       and the token could be read on the way; use https";
            return Err(msg.to_owned());
        }
        Ok(server)
    }

    /// The server of `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn in_cluster(host: &str, port: &str) -> Result<Self, String> {
        let bracketed = match host.parse::<Ipv6Addr>() {
            Ok(_) => format!("[{host}]"),
            Err(_) => host.to_owned(),
        };
        Self::parse(&format!("https://{bracketed}:{port}"), true)
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let Self {
            host, port, prefix, ..
        } = self;
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}{prefix}"),
            false => write!(f, "{scheme}://{host}:{port}{prefix}"),
        }
    }
}

/// Host and port of `HOST`, `HOST:PORT`, `[IPV6]`, `[IPV6]:PORT`.
///
/// # Errors
/// What is wrong with it.
pub fn authority_of(text: &str, default_port: u16) -> Result<(String, u16), String> {
    if text.contains('@') {
        return Err("a name and password in the address are not sent".to_owned());
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("a `[` without a `]`")?;
            host.parse::<Ipv6Addr>()
                .map_err(|_| "what stands in [ ] is not an IPv6 address")?;
            (host, port)
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() || !host.chars().all(known) {
        return Err("it has no host that could be looked up".to_owned());
    }
    let port = match port {
        "" | ":" => default_port,
        port => port
            .strip_prefix(':')
            .and_then(|port| port.parse().ok())
            .filter(|port| *port != 0)
            .ok_or("wanted a port 1..65535; an IPv6 address stands in [ ]")?,
    };
    Ok((host.to_owned(), port))
}

/// What of a path goes before `/api`.
fn prefix(path: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_alphanumeric() || "/._~-:@%+".contains(c);
    if !path.chars().all(known) {
        return Err("its path has a character that cannot stand in one".to_owned());
    }
    Ok(path.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_address_is_read_as_kubectl_reads_it() {
        for (text, authority, wanted) in [
            ("https://10.0.0.1:6443", false, "https://10.0.0.1:6443"),
            (
                "https://api.example.org",
                false,
                "https://api.example.org:443",
            ),
            ("https://[fd00::1]:6443/", false, "https://[fd00::1]:6443"),
            ("https://[fd00::1]", false, "https://[fd00::1]:443"),
            (
                "https://rancher.example.org/k8s/clusters/c-1/",
                false,
                "https://rancher.example.org:443/k8s/clusters/c-1",
            ),
            ("10.0.0.1:6443", true, "https://10.0.0.1:6443"),
            ("localhost:8001", false, "http://localhost:8001"),
            ("http://127.0.0.1:8001", false, "http://127.0.0.1:8001"),
            ("http://[::1]", false, "http://[::1]:80"),
        ] {
            assert_eq!(
                Server::parse(text, authority).unwrap().to_string(),
                wanted,
                "{text}"
            );
        }
        let in_cluster = |host, port| Server::in_cluster(host, port).unwrap().to_string();
        assert_eq!(in_cluster("10.96.0.1", "443"), "https://10.96.0.1:443");
        assert_eq!(in_cluster("fd00::1", "443"), "https://[fd00::1]:443");
    }

    #[test]
    fn an_address_that_cannot_be_is_refused_and_http_is_for_this_machine_alone() {
        for (text, words) in [
            ("http://10.0.0.1:8080", "http is for this machine alone"),
            ("10.0.0.1:8080", "http is for this machine alone"),
            ("ftp://10.0.0.1", "wanted https"),
            ("https://", "no host"),
            ("https://:6443", "no host"),
            ("https://user:word@10.0.0.1", "not sent"),
            ("https://fd00::1", "port"),
            ("https://[fd00::1", "without"),
            ("https://[x]", "IPv6"),
            ("https://a:0", "port"),
            ("https://a:65536", "port"),
            ("https://a b", "no host"),
            ("https://a/x?y", "character"),
            ("https://a/x\r\nHost: b", "character"),
            ("https://a#x", "character"),
        ] {
            let why = Server::parse(text, false).unwrap_err();
            assert!(why.contains(words), "{text}: {why}");
        }
        assert!(Server::in_cluster("10.96.0.1", "").is_ok());
        assert!(Server::in_cluster("", "443").is_err());
    }
}

//! `peers`: the other nodes by their addresses on the underlay, in the place of a group; listed, or where they are known from.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use serde_json::Value;

use super::Network;
use crate::config::walk::At;
use crate::ip::Family;
use crate::ip::link::Vxlan;
use crate::sanitize::printable;

/// The longest name (RFC 1035, 3.1), as text without the dot at its end.
const NAME_MAX: usize = 253;

/// Where the addresses of other nodes are known from, where the configuration does not list them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeersFrom {
    /// A file, one address a line.
    File(PathBuf),
    /// The addresses of a DNS name.
    Dns(String),
    /// The nodes of the Kubernetes cluster, each by its `InternalIP`.
    Kubernetes,
}

impl PeersFrom {
    /// Whether it takes a question to another machine.
    pub fn is_elsewhere(&self) -> bool {
        !matches!(self, Self::File(_))
    }
}

impl fmt::Display for PeersFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Dns(name) => write!(f, "DNS name {name}"),
            Self::Kubernetes => f.write_str("Kubernetes"),
        }
    }
}

/// What is missing where a network knows no other node.
const NO_PEERS: &str = "missing: without peers and options.group the network ends at this node; name the nodes' addresses on \
    the underlay, or set options.group to a multicast group; [] is a network of one node";

/// What it can be.
const WANTED: &str = "wanted a list of addresses, {\"file\": an absolute path}, {\"dns\": a DNS name} or \"kubernetes\"";

/// Reads `peers`: those that are listed, or where they are known from.
pub(super) fn read(at: &At<'_>, vxlan: &Vxlan) -> (Option<Vec<IpAddr>>, Option<PeersFrom>) {
    let Some(value) = at.value("peers") else {
        if at.inner("options").value("group").is_none() {
            at.fault("peers", NO_PEERS);
        }
        return (None, None);
    };
    if let Some(group) = vxlan.group {
        let both = format!("options.group is {group} too: wanted one of both");
        at.fault("peers", both);
    }
    match value {
        Value::Array(all) => (Some(listed(at, all, vxlan)), None),
        other => {
            let from = source(other);
            if from.is_none() {
                let seen = printable(&other.to_string());
                at.fault("peers", format!("{WANTED}, seen `{seen}`"));
            }
            (None, from)
        }
    }
}

/// Addresses of one family.
fn listed(at: &At<'_>, all: &[Value], vxlan: &Vxlan) -> Vec<IpAddr> {
    let mut peers: Vec<IpAddr> = Vec::new();
    for value in all {
        match value.as_str().map(str::parse::<IpAddr>) {
            Some(Ok(peer)) if !peers.contains(&peer) => peers.push(peer),
            Some(Ok(_)) => {}
            _ => at.fault(
                "peers",
                format!(
                    "wanted addresses of nodes on the underlay, seen `{}`",
                    printable(&value.to_string())
                ),
            ),
        }
    }
    if let Some(why) = fault(&peers, vxlan.local) {
        at.fault("peers", why);
    }
    peers
}

/// Where they are known from.
fn source(value: &Value) -> Option<PeersFrom> {
    if value == "kubernetes" {
        return Some(PeersFrom::Kubernetes);
    }
    let object = value.as_object().filter(|object| object.len() == 1)?;
    let (key, text) = object.iter().next()?;
    let text = text.as_str()?;
    match key.as_str() {
        "file" => text
            .starts_with('/')
            .then(|| PeersFrom::File(PathBuf::from(text))),
        "dns" => is_name(text).then(|| PeersFrom::Dns(text.to_owned())),
        _ => None,
    }
}

/// Whether a text can be a DNS name; an address is none.
fn is_name(text: &str) -> bool {
    let bare = text.strip_suffix('.').unwrap_or(text);
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-')
    };
    bare.len() <= NAME_MAX && bare.split('.').all(is_label) && text.parse::<IpAddr>().is_err()
}

/// Whether an address can be none by which another node finds one.
fn is_no_nodes(address: IpAddr) -> bool {
    let of_its_family = match address {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    of_its_family || address.is_multicast() || address.is_unspecified() || address.is_loopback()
}

/// Why addresses cannot be the other nodes'.
fn fault(peers: &[IpAddr], local: Option<IpAddr>) -> Option<String> {
    if let Some(peer) = peers.iter().find(|peer| is_no_nodes(**peer)) {
        return Some(format!("{peer} is no node's address on the underlay"));
    }
    let all = peers.iter().chain(local.iter());
    let (v6, v4): (Vec<&IpAddr>, Vec<&IpAddr>) = all.partition(|one| one.is_ipv6());
    let mixed = !v6.is_empty() && !v4.is_empty();
    mixed
        .then(|| "IPv4 and IPv6: wanted one family, options.srcaddr's where that is set".to_owned())
}

impl Network {
    /// The network with the addresses that are known of other nodes now.
    ///
    /// # Errors
    /// Why they cannot be those of nodes, as the end of a sentence that names where they are from.
    pub fn with_peers(mut self, peers: Vec<IpAddr>) -> Result<Self, String> {
        if let Some(why) = fault(&peers, self.options.vxlan.local).or_else(|| self.within(&peers)) {
            return Err(why);
        }
        self.options.vxlan.v6 = peers.iter().any(IpAddr::is_ipv6);
        self.peers = Some(peers);
        Ok(self)
    }

    /// The other nodes are found by the underlay, not by the network itself.
    pub(super) fn within(&self, peers: &[IpAddr]) -> Option<String> {
        let within = |peer: &&IpAddr| self.cidrs.iter().any(|cidr| cidr.contains(**peer));
        let peer = peers.iter().find(within)?;
        Some(format!("{peer} is within the network's own cidr"))
    }

    /// Of what a source tells of other nodes, the addresses that can be a VTEP's, of the family that the VTEPs have: `options.srcaddr`'s,
    /// else that of the peers that are known already, else IPv4 where any node has it.
    pub fn of_the_vteps_family(&self, mut all: Vec<IpAddr>) -> Vec<IpAddr> {
        // What one node says of itself shall not keep all others apart.
        all.retain(|one| !is_no_nodes(*one) && self.within(&[*one]).is_none());
        let known = self.peers.iter().flatten().next();
        let own = self.options.vxlan.local.as_ref().or(known);
        let own = own.copied().map(Family::of);
        let has_v4 = all.iter().any(IpAddr::is_ipv4);
        let family = own.unwrap_or(if has_v4 { Family::V4 } else { Family::V6 });
        all.retain(|one| Family::of(*one) == family);
        all
    }
}

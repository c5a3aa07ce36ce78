//! The keys of a network, each read and checked by itself.

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::{DefaultRoute, Gateway, MacChoice};
use crate::config::hosts::{address, number};
use crate::config::walk::At;
use crate::ip::link::Vxlan;
use crate::ip::{Family, IfName};
use crate::sanitize::printable;

/// Bytes left for a network's own part of `vx_NAME` and `mv_NAME`.
const NAME_MAX: usize = crate::ip::name::IFNAME_MAX - 3;

/// `gateway`.
pub(super) fn gateway(at: &At<'_>) -> Gateway {
    let read = |value: &Value| match value.as_str() {
        Some("static") => Some(Gateway::Static),
        Some("anycast") => Some(Gateway::Anycast),
        _ => None,
    };
    at.read("gateway", "\"static\" or \"anycast\"", read)
        .unwrap_or(Gateway::Static)
}

/// Whether an address can be none by which another node finds one.
fn is_no_nodes(address: IpAddr) -> bool {
    let of_its_family = match address {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    of_its_family || address.is_multicast() || address.is_unspecified() || address.is_loopback()
}

/// What is missing where a network knows no other node.
const NO_PEERS: &str = "missing: without peers and options.group the network ends at this node; name the nodes' addresses on \
    the underlay, or set options.group to a multicast group; [] is a network of one node";

/// `peers`: addresses of one family, in the place of a group.
pub(super) fn peers(at: &At<'_>, vxlan: &Vxlan) -> Option<Vec<IpAddr>> {
    if at.value("peers").is_none() {
        if at.inner("options").value("group").is_none() {
            at.fault("peers", NO_PEERS);
        }
        return None;
    }
    let fault = |what: String| at.fault("peers", what);
    let mut peers: Vec<IpAddr> = Vec::new();
    for value in at.list("peers") {
        match value.as_str().map(str::parse::<IpAddr>) {
            Some(Ok(peer)) if is_no_nodes(peer) => {
                fault(format!("{peer} is no node's address on the underlay"));
            }
            Some(Ok(peer)) if !peers.contains(&peer) => peers.push(peer),
            Some(Ok(_)) => {}
            _ => fault(format!(
                "wanted addresses of nodes on the underlay, seen `{}`",
                printable(&value.to_string())
            )),
        }
    }
    if let Some(group) = vxlan.group {
        fault(format!("options.group is {group} too: wanted one of both"));
    }
    let own = vxlan.local.iter();
    let families: Vec<bool> = peers.iter().chain(own).map(IpAddr::is_ipv6).collect();
    if families.contains(&true) && families.contains(&false) {
        fault("IPv4 and IPv6: wanted one family, options.srcaddr's where that is set".to_owned());
    }
    Some(peers)
}

/// `vx_NAME` and `mv_NAME`, where `device` replaces NAME.
pub(super) fn device_names(at: &At<'_>, name: &str) -> Option<(IfName, IfName)> {
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    if name.is_empty() || name.len() > 63 || !plain(name) || name.starts_with(['.', '-']) {
        at.fault(
            "name",
            format!(
                "`{}`: wanted 1..63 of A-Z a-z 0-9 _ . -, the first no `.` or `-`",
                printable(name)
            ),
        );
        return None;
    }
    let (key, device) = match at.string("device") {
        Some(device) => ("device", device),
        None => ("name", name),
    };
    if device.is_empty() || device.len() > NAME_MAX || !plain(device) {
        let advice = if key == "name" {
            "; set device to a shorter one"
        } else {
            ""
        };
        let shown = printable(device);
        at.fault(
            key,
            format!(
                "`{shown}`: wanted 1..{NAME_MAX} bytes of A-Z a-z 0-9 _ . - for vx_ and mv_{advice}"
            ),
        );
        return None;
    }
    let named = |prefix: &str| {
        IfName::new(&format!("{prefix}{device}"))
            .map_err(|e| at.fault(key, e))
            .ok()
    };
    Some((named("vx_")?, named("mv_")?))
}

/// `cidr`: one, or one per family, each the gateway's address.
pub(super) fn cidrs(at: &At<'_>) -> Vec<IpNetwork> {
    let texts: Vec<&Value> = match at.value("cidr") {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(value) => vec![value],
        None => return Vec::new(),
    };
    let wanted = "wanted the gateway's address and the network's length, as 10.1.0.1/16";
    let read = |value: &&Value| {
        let cidr = value
            .as_str()
            .filter(|text| text.contains('/'))
            .and_then(|text| text.parse().ok());
        if cidr.is_none() {
            at.fault(
                "cidr",
                format!("{wanted}, seen `{}`", printable(&value.to_string())),
            );
        }
        cidr
    };
    let cidrs: Vec<IpNetwork> = texts.iter().filter_map(read).collect();
    if texts.is_empty() {
        at.fault("cidr", wanted);
    }
    check_cidrs(at, &cidrs);
    cidrs
}

/// One per family, and each with a host part that a gateway can have.
fn check_cidrs(at: &At<'_>, cidrs: &[IpNetwork]) {
    for family in [Family::V4, Family::V6] {
        let same = cidrs
            .iter()
            .filter(|cidr| Family::of(cidr.ip()) == family)
            .count();
        if same > 1 {
            at.fault(
                "cidr",
                format!("{same} networks of {family}, wanted one per family"),
            );
        }
    }
    for cidr in cidrs {
        if cidr.prefix() == 0 {
            at.fault("cidr", format!("{cidr} is every address there is, the underlay's too: wanted a network, as 10.1.0.1/16"));
            continue;
        }
        let bits = Family::of(cidr.ip()).host_prefix();
        let small = cidr.prefix() >= bits - 1;
        if !small && cidr.ip() == cidr.network() {
            at.fault("cidr", format!("{cidr} is the network's own address: a static gateway has one of its hosts', as {}", first_host(*cidr)));
        }
        if !small && cidr.is_ipv4() && cidr.ip() == cidr.broadcast() {
            at.fault(
                "cidr",
                format!("{cidr} is the broadcast address and cannot be the gateway"),
            );
        }
        if cidr.ip().is_multicast() || cidr.ip().is_loopback() || cidr.ip().is_unspecified() {
            at.fault("cidr", format!("{cidr} is not a network of hosts"));
        }
    }
}

/// The first host's address with the length.
fn first_host(cidr: IpNetwork) -> String {
    format!(
        "{}/{}",
        address(cidr, number(cidr.network()) + 1),
        cidr.prefix()
    )
}

/// `mtu`: 0 is "what the underlay leaves".
pub(super) fn mtu(at: &At<'_>, cidrs: &[IpNetwork]) -> Option<u32> {
    let mtu = u32::try_from(at.number("mtu", 0..=65_535)?)
        .ok()
        .filter(|mtu| *mtu > 0)?;
    let mut families = cidrs.iter().map(|cidr| Family::of(cidr.ip()));
    if let Some(family) = families.find(|family| mtu < family.mtu_min()) {
        let least = family.mtu_min();
        at.fault(
            "mtu",
            format!("{mtu} is too small for {family}: wanted at least {least}"),
        );
    }
    Some(mtu)
}

/// `defaultRoute`.
pub(super) fn default_route(at: &At<'_>) -> DefaultRoute {
    let read = |value: &Value| match value {
        Value::Bool(true) => Some(DefaultRoute::Yes),
        Value::Bool(false) => Some(DefaultRoute::No),
        Value::Number(metric) => metric
            .as_u64()
            .and_then(|m| u32::try_from(m).ok())
            .map(DefaultRoute::Metric),
        _ => None,
    };
    at.read(
        "defaultRoute",
        "true, false or a metric 0..4294967295",
        read,
    )
    .unwrap_or(DefaultRoute::Yes)
}

/// `mac`.
pub(super) fn mac(at: &At<'_>) -> MacChoice {
    let read = |value: &Value| match value.as_str() {
        Some("ip") => Some(MacChoice::Ip),
        Some("random") => Some(MacChoice::Random),
        _ => None,
    };
    at.read("mac", "\"ip\" or \"random\"", read)
        .unwrap_or(MacChoice::Ip)
}

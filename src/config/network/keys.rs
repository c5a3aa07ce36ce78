//! The keys of a network, each read and checked by itself.

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::{DefaultRoute, Gateway, Join, MacChoice};
use crate::config::hosts::{address, number};
use crate::config::walk::At;
use crate::ip::{Family, IfName};
use crate::sanitize::printable;

/// Bytes left for a network's own part of `vx_NAME` and `mv_NAME`.
const NAME_MAX: usize = crate::ip::name::IFNAME_MAX - 3;

/// `gateway`.
pub(super) fn gateway(at: &At<'_>) -> Gateway {
    let words = [("static", Gateway::Static), ("anycast", Gateway::Anycast)];
    at.choice("gateway", words)
}

/// `join`.
pub(super) fn join(at: &At<'_>) -> Join {
    at.choice("join", [("pod", Join::Pod), ("always", Join::Always)])
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
    let words = [("ip", MacChoice::Ip), ("random", MacChoice::Random)];
    at.choice("mac", words)
}

//! What a namespace is, without what is its own or drawn at random: for comparing two that were made alike.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::ipv6;
use super::ns::Ns;

/// What differs between any two namespaces, and what the kernel draws at random.
const OWN: [&str; 6] = [
    "ifindex",
    "link_index",
    "link_netnsid",
    "operstate",
    "address",
    "flags",
];

/// Devices, addresses, routes of all tables and rules, without what is a namespace's own but for the keys
/// to keep. A pod's MAC is one, since it is derived from its address.
pub fn of(ns: &Ns, keep: &[&str]) -> Vec<String> {
    let four = ["addr show", "route show table all", "rule show"];
    let mut all = ns.questions(&[], &four);
    if ipv6::kernel_has_it() {
        all.extend(ns.questions(&["-6"], &["route show table all", "rule show"]));
    }
    let items = all.iter().filter_map(Value::as_array).flatten();
    let mut lines: Vec<String> = items.filter_map(|item| line(item.clone(), keep)).collect();
    lines.sort();
    lines
}

fn line(mut item: Value, keep: &[&str]) -> Option<String> {
    let object = item.as_object_mut()?;
    let dst = object.get("dst").and_then(Value::as_str).unwrap_or("");
    // Link-local ones come and settle at a time of their own; eth0 is the node's own business; a beacon of
    // a claim (240.0.0.0/4) goes by itself.
    let own = object.get("ifname").or(object.get("dev")) == Some(&json!("eth0")) && keep.is_empty();
    if is_beacon(&json!(dst))
        || dst.starts_with("fe80")
        || dst.starts_with("ff00")
        || object.is_empty()
        || own
    {
        return None;
    }
    object.retain(|key, _| keep.contains(&&**key) || !OWN.contains(&&**key));
    if let Some(addresses) = object.get_mut("addr_info").and_then(Value::as_array_mut) {
        addresses.retain(|address| address["scope"] != "link" && !is_beacon(&address["local"]));
    }
    Some(item.to_string())
}

/// Whether an address is one that nobody's traffic goes to: a claim's beacon, which the kernel takes off.
pub fn is_beacon(address: &Value) -> bool {
    let address = address
        .as_str()
        .and_then(|text| text.parse::<Ipv4Addr>().ok());
    address.is_some_and(|address| !address.is_broadcast() && address.octets()[0] >= 240)
}

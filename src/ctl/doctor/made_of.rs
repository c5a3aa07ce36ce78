//! What a node is made of, as far as other nodes must fit it: in `vxlan doctor --json`, for [`super::compare`].

use std::net::IpAddr;

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::probe::{ask, said};
use crate::config::Network;
use crate::ctl::node::{Node, OnNode, Recorded, State};
use crate::ctl::status::seen::{Seen, network};
use crate::exec::System;
use crate::ip::Mac;
use crate::plan::container::mac_of_record;
use crate::plan::{Side, anycast};

/// A node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeOf {
    /// The node itself.
    pub node: Itself,
    /// Its networks.
    pub networks: Vec<Part>,
}

/// Its name and its programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Itself {
    /// Its host name.
    pub name: String,
    /// The version of this program.
    pub version: String,
    /// The release of its kernel.
    pub kernel: String,
    /// What `ip -V` says; none where it does not run.
    pub ip: Option<String>,
}

/// A network on it: the vxlan device as it is, or, where it is not there, as it would be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Whether the vxlan device is there.
    pub present: bool,
    /// The VNI.
    pub vni: u64,
    /// UDP port.
    pub port: u16,
    /// Multicast group, or one VTEP.
    pub group: Option<IpAddr>,
    /// In bytes; none where the device is not there.
    pub mtu: Option<u32>,
    /// From where outer packets are sent; none where that is not known.
    pub vtep: Option<IpAddr>,
    /// The VTEPs that are known, the group not among them; none where the device may learn without limit.
    pub peers: Option<Vec<IpAddr>>,
    /// The gateway's addresses with the lengths of the subnets.
    pub gateways: Vec<IpNetwork>,
    /// Whether these addresses are every node's.
    #[serde(default)]
    pub anycast: bool,
    /// The gateway's MAC; none where it is not there.
    pub gateway_mac: Option<Mac>,
    /// The settings of these names in the configuration.
    pub guard: bool,
    /// Likewise.
    pub service_masquerade: bool,
    /// Likewise.
    pub ip_masq: bool,
    /// Likewise.
    pub anti_spoof: bool,
    /// Its attachments that are whole.
    pub attachments: Vec<Owner>,
}

/// An attachment and what it owns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// `NAMESPACE/NAME`, where that is known.
    pub pod: Option<String>,
    /// The container's id.
    pub container: String,
    /// Its interface.
    pub ifname: String,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its MAC, where the address or the request tells.
    pub mac: Option<Mac>,
}

/// What doctor found with that beside it; null what cannot be looked at.
pub fn put_into(mut document: Value, system: &System, node: &Node) -> Value {
    let parts = Seen::of(system, node).ok().map(|seen| parts(&seen));
    document["node"] = json!(itself(system));
    document["networks"] = json!(parts);
    document
}

fn itself(system: &System) -> Itself {
    let kernel = |name: &str| {
        let read = std::fs::read_to_string(format!("/proc/sys/kernel/{name}"));
        read.unwrap_or_default().trim().to_owned()
    };
    Itself {
        name: kernel("hostname"),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: kernel("osrelease"),
        ip: said(&ask(system, &["ip", "-V"])),
    }
}

fn parts(seen: &Seen<'_>) -> Vec<Part> {
    let networks = seen.node.networks.iter();
    networks
        .filter_map(|on| Some(part(seen, on, network(on)?)))
        .collect()
}

fn part(seen: &Seen<'_>, on: &OnNode, network: &Network) -> Part {
    let vxlan = &network.options.vxlan;
    let link = seen.devices.link(Side::Host, &network.vx);
    let made = link.map(|link| link.data()).unwrap_or_default();
    let there = link.is_some();
    let group = [made.group, made.group6, made.remote, made.remote6];
    let gateway = seen.devices.link(Side::Host, &network.mv);
    let mac = gateway.and_then(|link| link.address.parse().ok());
    Part {
        name: on.name.clone(),
        present: there,
        vni: made.id.map_or(vxlan.vni.into(), u64::from),
        port: made.port.unwrap_or(vxlan.dstport),
        group: match there {
            true => group.into_iter().flatten().next(),
            false => vxlan.group,
        },
        mtu: link.map(|link| link.mtu),
        vtep: seen.vtep(network),
        peers: seen.peers(network),
        gateways: network.cidrs.clone(),
        anycast: anycast::is(network),
        gateway_mac: mac,
        guard: network.guard,
        service_masquerade: network.filter.service_masquerade,
        ip_masq: network.filter.ip_masq,
        anti_spoof: network.anti_spoof,
        attachments: on.attachments.iter().filter_map(owner).collect(),
    }
}

fn owner(recorded: &Recorded) -> Option<Owner> {
    let State::Whole(record, _) = &recorded.state else {
        return None;
    };
    let ips = record.lease.iter().flat_map(|lease| &lease.ips);
    Some(Owner {
        pod: record.pod.clone(),
        container: record.container.clone(),
        ifname: record.ifname.to_string(),
        addresses: ips.map(|ip| ip.address.ip()).collect(),
        mac: mac_of_record(record.mac, &record.definition, record.lease.as_ref()),
    })
}

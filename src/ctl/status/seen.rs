//! What status shows: the records beside what the kernel says of the devices and the claims.

use std::net::IpAddr;
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::cni::CniError;
use crate::config::Network;
use crate::ctl::doctor::{folders, probe};
use crate::ctl::look::{is_listed, list_learnt, no_journal, session};
use crate::ctl::node::{Node, OnNode, Recorded};
use crate::exec::System;
use crate::ip::Family;
use crate::ip::json::documents;
use crate::plan::{Observed, Read, Side, underlay};
use crate::route_table::ledger::{Entry, Ledger};

/// The node as it was seen.
pub struct Seen<'a> {
    /// Its records.
    pub node: &'a Node,
    /// The devices.
    pub devices: Observed,
    /// What the kernel counted on each network's vxlan, in the order of the networks.
    pub counters: Vec<Option<Counters>>,
    /// The claims of `route-table`.
    pub claims: Vec<Entry>,
    /// How many of them no record and no attachment knows.
    pub orphaned: usize,
}

/// What a device has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Received.
    pub rx: Counted,
    /// Sent.
    pub tx: Counted,
}

/// One direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Packets with errors.
    pub errors: u64,
    /// Packets dropped.
    pub dropped: u64,
}

impl<'a> Seen<'a> {
    /// Looks at the devices of every network and at the claims.
    ///
    /// # Errors
    /// When they cannot be looked at.
    pub fn of(system: &System, node: &'a Node) -> Result<Self, CniError> {
        let journal = no_journal();
        let session = session(system, &journal);
        let networks = || node.networks.iter().filter_map(network);
        let mut reads: Vec<Read> = networks().flat_map(reads).collect();
        reads.sort();
        reads.dedup();
        let ledgers = folders(node).into_iter();
        let ledgers = ledgers.map(|ipam| Ledger::read(&session, &ipam));
        let ledgers: Vec<Ledger> = ledgers.collect::<Result<_, _>>()?;
        let mut devices = session.observe(reads)?;
        for network in networks() {
            devices = list_learnt(&session, network, devices)?;
        }
        Ok(Self {
            devices,
            counters: counters(system, node),
            orphaned: ledgers.iter().map(|one| one.orphans.len()).sum(),
            claims: ledgers.into_iter().flat_map(|one| one.entries).collect(),
            node,
        })
    }

    /// The state of an attachment's claims; none where its addresses are no claims.
    pub fn claim(&self, recorded: &Recorded) -> Option<String> {
        let record = recorded.record()?;
        let own = self.claims.iter().filter(|entry| {
            let owner = entry.held.owner.as_ref();
            owner.is_some_and(|owner| {
                owner.container == record.container && owner.ifname == record.ifname.as_str()
            })
        });
        let states: Vec<&str> = own.map(Entry::state).collect();
        let worst = states.iter().find(|state| **state != "ok");
        worst.or(states.first()).map(|state| (*state).to_owned())
    }

    /// The VTEPs that a network's device has learnt or was told of, its group not among them; `None` where they were not
    /// listed.
    pub fn peers(&self, network: &Network) -> Option<Vec<IpAddr>> {
        let there = self.devices.link(Side::Host, &network.vx).is_some();
        if there && !is_listed(network, &self.devices) {
            return None;
        }
        let entries = self.devices.fdb(&network.vx).iter();
        let mut peers: Vec<IpAddr> = entries
            .filter_map(|entry| entry.dst)
            .filter(|dst| !dst.is_multicast())
            .collect();
        peers.sort();
        peers.dedup();
        Some(peers)
    }

    /// The address of the node's own VTEP on a network.
    pub fn vtep(&self, network: &Network) -> Option<IpAddr> {
        underlay::vtep(network, &self.devices)
    }

    /// Everything as one document, which docs/json.md describes.
    pub fn document(&self) -> Value {
        let each = self.node.networks.iter().zip(&self.counters);
        let networks: Vec<Value> = each
            .map(|(on, counters)| self.network(on, *counters))
            .collect();
        json!({"configuration": self.node.file, "networks": networks})
    }

    fn network(&self, on: &OnNode, counters: Option<Counters>) -> Value {
        let attachments: Vec<Value> = on
            .attachments
            .iter()
            .map(|one| self.attachment(one))
            .collect();
        let mut value = json!({
            "name": on.name,
            "configured": on.configured.is_some(),
            "attachments": attachments,
        });
        let Some(network) = network(on) else {
            return value;
        };
        let vxlan = &network.options.vxlan;
        let link = |dev| self.devices.link(Side::Host, dev);
        let up = |dev| link(dev).is_some_and(|link| link.flag("UP"));
        let more = json!({
            "vni": u64::from(vxlan.vni),
            "device": {"name": network.vx, "there": link(&network.vx).is_some(), "up": up(&network.vx),
                "mtu": link(&network.vx).map(|link| link.mtu)},
            "gateway": {"device": network.mv, "up": up(&network.mv), "addresses": network.cidrs},
            "underlay": vxlan.dev.as_ref().map(|dev| json!({
                "device": dev, "up": up(dev), "mtu": link(dev).map(|link| link.mtu)})),
            "group": vxlan.group,
            "port": vxlan.dstport,
            "peers": self.peers(network),
            "peers_from": network.peers_from.as_ref().map(ToString::to_string),
            "counters": counters.map(Counters::document),
        });
        if let (Some(into), Value::Object(more)) = (value.as_object_mut(), more) {
            into.extend(more);
        }
        value
    }

    /// An attachment as an object; what its record does not tell is null.
    pub fn attachment(&self, recorded: &Recorded) -> Value {
        let record = recorded.record();
        json!({
            "state": recorded.state.as_str(),
            "pod": record.and_then(|record| record.pod.as_ref()),
            "container": record.map(|record| &record.container),
            "ifname": record.map(|record| &record.ifname),
            "netns": record.map(|record| &record.netns),
            "addresses": record.map(super::addresses),
            "claim": self.claim(recorded),
            "since": record.map(|record| &record.since),
            "age_seconds": record.and_then(|record| age(&record.since)),
            "because": record.map(|record| &record.because),
            "record": recorded.path,
        })
    }
}

/// A network as it stands, else as it is configured.
pub fn network(on: &OnNode) -> Option<&Network> {
    on.side.as_ref().map(|side| &side.network)
}

fn reads(network: &Network) -> Vec<Read> {
    let dev = network.options.vxlan.dev.clone();
    let underlay = dev.map(|dev| Read::Link(Side::Host, dev));
    let underlay = underlay.into_iter().chain(underlay::vtep_read(network));
    [
        Read::Link(Side::Host, network.vx.clone()),
        Read::Addr(Side::Host, network.mv.clone()),
    ]
    .into_iter()
    .chain(underlay)
    .collect()
}

/// Seconds since a time of a record.
pub fn age(since: &str) -> Option<u64> {
    let then = humantime::parse_rfc3339(since).ok()?;
    let age = SystemTime::now().duration_since(then).unwrap_or_default();
    Some(age.as_secs())
}

/// What the kernel counted. It lists the devices of one kind by itself, and of vxlans a node has few.
fn counters(system: &System, node: &Node) -> Vec<Option<Counters>> {
    let words = ["ip", "-j", "-s", "link", "show", "type", "vxlan"];
    let said = probe::said(&probe::ask(system, &words)).unwrap_or_default();
    let read = documents(said.as_bytes()).unwrap_or_default();
    let links: Vec<&Value> = read.iter().filter_map(Value::as_array).flatten().collect();
    let of = |on: &OnNode| {
        let vx = network(on)?.vx.as_str();
        let link = links.iter().find(|link| link["ifname"] == vx)?;
        Counters::of(&link["stats64"])
    };
    node.networks.iter().map(of).collect()
}

impl Counters {
    fn of(stats: &Value) -> Option<Self> {
        let of = |direction: &str| {
            let number = |key: &str| stats[direction][key].as_u64();
            Some(Counted {
                packets: number("packets")?,
                bytes: number("bytes")?,
                errors: number("errors")?,
                dropped: number("dropped")?,
            })
        };
        Some(Self {
            rx: of("rx")?,
            tx: of("tx")?,
        })
    }

    fn document(self) -> Value {
        let of = |one: Counted| json!({"packets": one.packets, "bytes": one.bytes, "errors": one.errors, "dropped": one.dropped});
        json!({"rx": of(self.rx), "tx": of(self.tx)})
    }
}

/// The gateway's addresses, as they are configured.
pub fn gateway(network: &Network) -> String {
    let each = [Family::V4, Family::V6]
        .into_iter()
        .filter_map(|family| network.cidr(family));
    each.map(|cidr| cidr.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

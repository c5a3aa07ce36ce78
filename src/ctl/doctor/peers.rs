//! Other nodes of a network, as far as this one knows: the VTEPs from which the vxlan device has heard, the next hops of
//! routes to single addresses, and what the operator names. Behind each, the addresses by which it can be asked.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::probe::{ask, said};
use crate::config::Network;
use crate::config::hosts::addresses_of;
use crate::ctl::look::LISTED;
use crate::exec::System;
use crate::ip::fdb::FdbRecord;
use crate::ip::json::documents;
use crate::ip::neigh::NeighRecord;
use crate::ip::route::RouteRecord;
use crate::ip::{Family, Mac};
use crate::plan::{Observed, Read, Side};

/// For how long what was heard tells that a node is on the network, in seconds: one that has left is remembered for
/// `age`, 300 s.
const FRESH: u64 = 60;

/// How many addresses of a family are asked for, of what may be behind one VTEP.
const MOST: usize = 3;

/// How certain it is that a node is on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certainty {
    /// It was heard some time ago, and may have left since.
    Old,
    /// It was heard just now.
    Heard,
    /// A route leads to it, or the operator names it.
    Told,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address on the underlay; none where only an address of the network is known.
    pub vtep: Option<IpAddr>,
    /// Whether it is on the network.
    pub certainty: Certainty,
    /// Addresses behind it, those first that are the likeliest to be there.
    pub behind: Vec<IpAddr>,
    /// The MACs of those that were learnt by their MACs.
    pub macs: Vec<(IpAddr, Mac)>,
}

/// What a network's device and routes tell.
#[derive(Debug, Default)]
pub struct Known {
    neighbours: Vec<NeighRecord>,
    routes: Vec<RouteRecord>,
}

/// Adds what a network's device has learnt, with its age, where its limit bounds that.
pub fn learnt(system: &System, network: &Network, mut seen: Observed) -> Observed {
    let limit = seen.link(Side::Host, &network.vx);
    let limit = limit.map_or(0, |link| link.data().limit);
    if !(1..=LISTED).contains(&limit) {
        return seen;
    }
    let vx = network.vx.as_str();
    let listed = said(&ask(
        system,
        &["bridge", "-j", "-s", "fdb", "show", "dev", vx],
    ));
    let document = listed.and_then(|text| documents(text.as_bytes()).ok()?.into_iter().next());
    if let Some(document) = document {
        let read = Read::Fdb(network.vx.clone());
        // What is no list of entries is as good as none.
        let mut found = Observed::default();
        if found.take(&read, Some(document)).is_ok() {
            seen.absorb(found);
        }
    }
    seen
}

impl Known {
    /// The neighbours that were set by hand.
    pub fn permanent(&self) -> impl Iterator<Item = &NeighRecord> {
        let all = self.neighbours.iter();
        all.filter(|one| one.state.iter().any(|state| state == "PERMANENT"))
    }

    /// The addresses that a MAC has or may have.
    pub fn behind(&self, mac: Mac, network: &Network, seen: &Observed) -> Vec<IpAddr> {
        let (known, guessed) = addresses(network, seen, self, mac);
        known.into_iter().chain(guessed).collect()
    }

    /// Reads the neighbours of the gateway's device, and the routes to single addresses of the network.
    pub fn of(system: &System, network: &Network) -> Self {
        let read = |line: String| -> Vec<serde_json::Value> {
            let argv: Vec<&str> = line.split(' ').collect();
            let text = said(&ask(system, &argv)).unwrap_or_default();
            let lists = documents(text.as_bytes()).unwrap_or_default();
            let items = lists
                .into_iter()
                .filter_map(|list| list.as_array().cloned());
            items.flatten().collect()
        };
        let neighbours = read(format!("ip -j -N neigh show dev {}", network.mv));
        let routes = network.cidrs.iter().flat_map(|cidr| {
            let subnet = Network::subnet(*cidr);
            let family = Family::of(subnet.ip()).option();
            read(format!(
                "ip {family} -j -N route show table main root {subnet}"
            ))
        });
        fn all<T: serde::de::DeserializeOwned>(
            items: impl IntoIterator<Item = serde_json::Value>,
        ) -> Vec<T> {
            let items = items.into_iter();
            items
                .filter_map(|item| serde_json::from_value(item).ok())
                .collect()
        }
        Self {
            neighbours: all(neighbours),
            routes: all(routes),
        }
    }
}

/// The other nodes of a network; `own`: addresses of this node's containers; `named` by the operator.
pub fn peers(
    network: &Network,
    seen: &Observed,
    known: &Known,
    own: &[IpAddr],
    named: &[IpAddr],
) -> Vec<Peer> {
    let mut found: BTreeMap<IpAddr, Peer> = BTreeMap::new();
    for (entry, vtep) in heard(network, seen) {
        let Ok(mac) = entry.mac.parse::<Mac>() else {
            continue;
        };
        let (known, guessed) = addresses(network, seen, known, mac);
        let mut known: Vec<IpAddr> = known;
        known.retain(|address| !own.contains(address));
        let peer = at(&mut found, vtep);
        // A MAC may be made up by a container there: that it is silent tells nothing.
        let is_fresh = entry.age().is_some_and(|age| age <= FRESH);
        if is_fresh && !known.is_empty() {
            peer.certainty = peer.certainty.max(Certainty::Heard);
        }
        for address in known.into_iter().chain(guessed) {
            peer.behind.push(address);
            peer.macs.push((address, mac));
        }
    }
    for route in &known.routes {
        let address = route.dst.parse::<IpAddr>().ok();
        let by_another = |hop: &IpAddr| !network.cidrs.iter().any(|cidr| cidr.contains(*hop));
        if let Some((address, hop)) = address.zip(route.gateway().filter(by_another)) {
            let peer = at(&mut found, hop);
            peer.certainty = Certainty::Told;
            peer.behind.insert(0, address);
        }
    }
    let is_inside = |address: &IpAddr| network.cidrs.iter().any(|cidr| cidr.contains(*address));
    // One that is on another network is no node of the underlay.
    let all = &network.filter.all;
    let is_elsewhere = |address: &IpAddr| all.iter().any(|subnet| subnet.contains(*address));
    let vteps = named
        .iter()
        .filter(|one| !is_inside(one) && !is_elsewhere(one));
    for vtep in vteps {
        at(&mut found, *vtep).certainty = Certainty::Told;
    }
    let mut peers: Vec<Peer> = found.into_values().map(Peer::asked_for).collect();
    let named = named.iter().filter(|address| is_inside(address));
    peers.extend(named.map(|address| Peer {
        vtep: None,
        certainty: Certainty::Told,
        behind: vec![*address],
        macs: Vec::new(),
    }));
    peers
}

fn at(found: &mut BTreeMap<IpAddr, Peer>, vtep: IpAddr) -> &mut Peer {
    found.entry(vtep).or_insert_with(|| Peer {
        vtep: Some(vtep),
        certainty: Certainty::Old,
        behind: Vec::new(),
        macs: Vec::new(),
    })
}

/// The entries of single MACs, the youngest first, but those of gateways before those of containers: a container's may
/// be of one that has gone.
fn heard<'a>(network: &Network, seen: &'a Observed) -> Vec<(&'a FdbRecord, IpAddr)> {
    let entries = seen.fdb(&network.vx).iter();
    let mut entries: Vec<_> = entries
        .filter_map(|entry| Some((entry, entry.dst.filter(|dst| !dst.is_multicast())?)))
        .collect();
    let is_pods = |entry: &FdbRecord| {
        let mac = entry.mac.parse::<Mac>();
        let derived = |cidr: &IpNetwork| Some(addresses_of(mac.clone().ok()?, *cidr).is_some());
        network.cidrs.iter().any(|cidr| derived(cidr) == Some(true))
    };
    entries.sort_by_key(|(entry, _)| (is_pods(entry), entry.age().unwrap_or(u64::MAX)));
    entries
}

/// The addresses of a MAC: those that are known of it and the one that it follows from, and the link-local one that it
/// most likely has.
fn addresses(
    network: &Network,
    seen: &Observed,
    known: &Known,
    mac: Mac,
) -> (Vec<IpAddr>, Option<IpAddr>) {
    let text = mac.to_string();
    let is_its = |one: &&NeighRecord| one.lladdr.as_ref() == Some(&text);
    let told = known.neighbours.iter().filter(is_its).map(|one| one.dst);
    let derived = network.cidrs.iter();
    let derived = derived.filter_map(|cidr| addresses_of(mac, *cidr));
    let own = seen.link(Side::Host, &network.mv);
    let has_ipv6 = own.is_some_and(|own| own.addr_info.iter().any(|one| one.local.is_ipv6()));
    let local = has_ipv6.then(|| mac.link_local().into());
    (told.chain(derived).collect(), local)
}

impl Peer {
    /// The same with no more addresses than are asked for.
    fn asked_for(mut self) -> Self {
        let mut left = [MOST; 2];
        let mut taken: Vec<IpAddr> = Vec::new();
        for address in self.behind {
            let left = &mut left[usize::from(address.is_ipv6())];
            if *left > 0 && !taken.contains(&address) {
                *left -= 1;
                taken.push(address);
            }
        }
        self.macs.retain(|(address, _)| taken.contains(address));
        self.behind = taken;
        self
    }

    /// The MAC by which an address was learnt.
    pub fn mac_of(&self, to: IpAddr) -> Option<Mac> {
        let mut macs = self.macs.iter();
        macs.find_map(|(address, mac)| (*address == to).then_some(*mac))
    }

    /// By what it is known.
    pub fn shown(&self) -> String {
        match (self.vtep, self.behind.first()) {
            (Some(vtep), _) => vtep.to_string(),
            (None, Some(address)) => address.to_string(),
            (None, None) => "a node".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::config::Config;

    #[test]
    fn behind_a_vtep_are_what_neighbours_macs_and_next_hops_tell() {
        let network = json!({"id": 1, "name": "blue", "cidr": ["10.1.0.1/16", "fd10::1/64"],
            "options": {"vtepdev": "eth0", "group": "239.1.1.1"}});
        let config = json!({"ipam": {"type": "route-table"}, "vxlans": [network]});
        let config = Config::read(&config).unwrap();
        let network = &config.networks[0];
        let entry = |mac: &str, dst: &str, age: u64| json!({"mac": mac, "dst": dst, "state": "", "used": age, "updated": age + 9});
        let entries = json!([
            entry("00:00:00:00:00:00", "239.1.1.1", 0),
            entry("0a:58:0a:01:01:05", "198.18.0.2", 200),
            entry("0a:58:0a:01:00:09", "198.18.0.2", 1),
            entry("02:11:22:33:44:55", "198.18.0.2", 30),
            entry("0a:58:0a:01:02:07", "198.18.0.3", 100),
        ]);
        let mut seen = Observed::default();
        seen.take(&Read::Fdb(network.vx.clone()), Some(entries))
            .unwrap();
        let known = Known {
            neighbours: serde_json::from_value(json!([
                {"dst": "10.1.0.2", "lladdr": "02:11:22:33:44:55", "state": ["STALE"]}
            ]))
            .unwrap(),
            routes: serde_json::from_value(json!([
                {"dst": "10.1.3.1", "gateway": "198.18.0.4", "dev": "eth0"},
                {"dst": "10.1.0.0/16", "dev": "mv_blue"},
            ]))
            .unwrap(),
        };
        let own = ["10.1.0.9".parse().unwrap()];
        let named = ["10.1.0.8", "198.18.0.5"].map(|one| one.parse().unwrap());
        let shown: Vec<String> = peers(network, &seen, &known, &own, &named)
            .into_iter()
            .map(|peer| format!("{} {:?} {:?}", peer.shown(), peer.certainty, peer.behind))
            .collect();
        // The first is known of by a container of this node, too: what is remembered of that is no way to ask.
        let wanted = [
            "198.18.0.2 Heard [10.1.0.2, 10.1.1.5]",
            "198.18.0.3 Old [10.1.2.7]",
            "198.18.0.4 Told [10.1.3.1]",
            "198.18.0.5 Told []",
            "10.1.0.8 Told [10.1.0.8]",
        ];
        assert_eq!(shown, wanted);
    }
}

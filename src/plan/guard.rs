//! The guard of a network on a node: what of the packet filter's table is this network's.
//!
//! A chain of its own for each network and hook, so that networks come and go without touching each other.

use super::fact::Fact;
use super::observed::{Observed, Side};
use super::underlay;
use crate::config::Network;
use crate::ip::{Family, IfName};
use crate::nft::{Chain, Hook, Is, Match, Place, Rule, Verdict};

/// Addresses that are no single host's: what is sent there has no source to be answered at.
const MULTICAST: [&str; 2] = ["224.0.0.0/4", "ff00::/8"];

/// The guard, where the network has one.
pub fn fact(network: &Network, seen: &Observed) -> Option<Fact> {
    network.guard.then(|| Fact::Guard {
        side: Side::Host,
        dev: network.mv.clone(),
        chains: chains(network, seen),
    })
}

/// The chains of a network, named after the devices that they are about.
fn chains(network: &Network, seen: &Observed) -> Vec<Chain> {
    let chain = |name: &IfName, hook, rules| Chain {
        name: name.to_string(),
        hook,
        rules,
    };
    let mut chains = vec![chain(
        &network.vx,
        Hook::Prerouting,
        encapsulated(network, seen),
    )];
    let translated = translated(network);
    if !translated.is_empty() {
        chains.push(chain(&network.mv, Hook::Postrouting, translated));
    }
    chains
}

/// A pod must not speak vxlan: what it sends to the port of one, wherever to, would come out in that
/// network on every node as if a node had sent it. And vxlan of this network comes in by its underlay only.
fn encapsulated(network: &Network, seen: &Observed) -> Vec<Rule> {
    let vxlan = &network.options.vxlan;
    let drop = |matches| Rule {
        matches,
        verdict: Verdict::Drop,
    };
    let by_a_gateway = vec![
        Match::Gateway(Place::From, Is::In),
        Match::UdpTo(vxlan.dstport),
    ];
    let mut rules = vec![drop(by_a_gateway)];
    let ways = ways_in(network, seen);
    if !ways.is_empty() {
        rules.push(drop(vec![
            Match::UdpTo(vxlan.dstport),
            Match::Vni(vxlan.vni),
            Match::Device(Place::From, Is::NotIn, ways),
        ]));
    }
    // Conntrack puts fragments together before this chain (priority -400), but only where something asks for it:
    // in the first fragment of 8 bytes there would be no VNI to see.
    rules.push(Rule {
        matches: vec![Match::Translated],
        verdict: Verdict::Accept,
    });
    rules
}

/// The devices by which vxlan of a network comes in; none where any may be: without a device of its own, and
/// where that one only holds an address which packets reach by other devices (lo, dummy).
fn ways_in(network: &Network, seen: &Observed) -> Vec<IfName> {
    let Some(name) = underlay::name(network, seen) else {
        return Vec::new();
    };
    let Some(link) = underlay::device(network, seen) else {
        return vec![name];
    };
    if link.flag("LOOPBACK") || link.kind() == "dummy" {
        return Vec::new();
    }
    // Behind a VRF's member a packet is seen a second time, as the VRF's (`l3mdev_ip_rcv`).
    let master = link.master.as_deref().filter(|_| link.enslaved().is_none());
    let master = master.and_then(|name| IfName::new(name).ok());
    let mut ways: Vec<IfName> = std::iter::once(name).chain(master).collect();
    ways.sort();
    ways
}

/// Where a Service's client and its endpoint are both on networks of ours, the endpoint would answer the client
/// without this node, which alone knows the Service's address; and where `ipMasq` asks for it, what leaves
/// for elsewhere has the node's address, which everybody can answer.
fn translated(network: &Network) -> Vec<Rule> {
    let masquerade = |matches| Rule {
        matches,
        verdict: Verdict::Masquerade,
    };
    let from = Match::Device(Place::From, Is::In, vec![network.mv.clone()]);
    let mut rules = Vec::new();
    if network.service_masquerade {
        rules.push(masquerade(vec![
            Match::Translated,
            from.clone(),
            Match::Gateway(Place::To, Is::In),
        ]));
    }
    for cidr in network.cidrs.iter().filter(|_| network.ip_masq) {
        let everybody = MULTICAST[usize::from(Family::of(cidr.ip()) == Family::V6)];
        let subnet = Match::Address(Place::From, Is::In, vec![Network::subnet(*cidr)]);
        let everybody = everybody.parse().into_iter().collect();
        rules.push(masquerade(vec![
            subnet,
            from.clone(),
            Match::Gateway(Place::To, Is::NotIn),
            Match::Address(Place::To, Is::NotIn, everybody),
        ]));
    }
    rules
}

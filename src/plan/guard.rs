//! The guard of a network on a node: what of the packet filter's table is this network's.
//!
//! A chain of its own for each network and hook, so that networks come and go without touching each other.

use ipnetwork::IpNetwork;

use super::fact::Fact;
use super::observed::Observed;
use super::{anycast, underlay, way_back};
use crate::config::Network;
use crate::ip::subnets::fewest;
use crate::ip::{Family, IfName};
use crate::nft::{Chain, Hook, Is, Match, Place, Rule, Table, Verdict};

/// Addresses that are no single host's: what is sent there has no source to be answered at.
const NO_SINGLE_HOSTS: [&str; 3] = ["224.0.0.0/4", "255.255.255.255/32", "ff00::/8"];

/// The guard, where the network has one.
pub fn fact(network: &Network, seen: &Observed) -> Option<Fact> {
    network.guard.then(|| Fact::Guard {
        table: Table::Node,
        dev: network.mv.clone(),
        chains: chains(network, seen),
    })
}

/// The names of a network's chains, after the devices that they are about: before conntrack, behind what translates
/// destinations, of what the node sends itself, and where sources are translated; before that, with an anycast gateway. No device has a `/` in its
/// name.
pub fn names(network: &Network) -> [String; 5] {
    let (vx, mv) = (&network.vx, &network.mv);
    let of = |part: &str| format!("{vx}/{part}");
    [
        vx.to_string(),
        of("dnat"),
        of("output"),
        mv.to_string(),
        shared(network),
    ]
}

/// The name of the chain that only an anycast gateway has.
pub fn shared(network: &Network) -> String {
    format!("{}/own", network.mv)
}

/// The chains of a network. One that has no rules is there too, so that what an edit took away is seen to be gone.
fn chains(network: &Network, seen: &Observed) -> Vec<Chain> {
    let as_it_comes = encapsulated(network, seen);
    // What a Service's address is translated to becomes vxlan only there.
    let dnat = as_it_comes.iter().map(|rule| Rule {
        matches: [&[Match::Translated], &rule.matches[..]].concat(),
        ..rule.clone()
    });
    let dnat = dnat.chain(way_back::marks(network)).collect();
    let first = [to_the_vxlan_itself(network)].into_iter();
    let raw = first.chain(as_it_comes).chain([conntrack()]).collect();
    let hooks = [
        Hook::Prerouting,
        Hook::Translated,
        Hook::Output,
        Hook::Postrouting,
        Hook::BeforePostrouting,
    ];
    let rules = [
        raw,
        dnat,
        way_back::own_marks(network),
        translated(network),
        by_an_own_address(network, seen),
    ];
    let table = seen.ruleset(&Table::Node);
    let is_there = |name: &str| table.is_some_and(|table| table.names().any(|one| one == name));
    std::iter::zip(names(network), std::iter::zip(hooks, rules))
        .filter(|(name, (hook, _))| {
            *hook != Hook::BeforePostrouting || anycast::is(network) || is_there(name)
        })
        .map(|(name, (hook, rules))| Chain { name, hook, rules })
        .collect()
}

/// The vxlan device has no address and is no gateway: what a pod sends to its MAC would be routed
/// past all that is said of the gateway's.
fn to_the_vxlan_itself(network: &Network) -> Rule {
    Rule {
        matches: vec![Match::Device(Place::From, Is::In, vec![network.vx.clone()])],
        verdict: Verdict::Drop,
    }
}

/// Conntrack puts fragments together before this chain (priority -400), but only where something asks for it:
/// in the first fragment of 8 bytes there would be no VNI to see.
fn conntrack() -> Rule {
    Rule {
        matches: vec![Match::Translated],
        verdict: Verdict::Accept,
    }
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
        Match::UdpTo(network.filter.ports.clone()),
    ];
    let mut rules = vec![drop(by_a_gateway)];
    let of_this_network = || vec![Match::UdpTo(vec![vxlan.dstport]), Match::Vni(vxlan.vni)];
    let ways = ways_in(network, seen);
    if !ways.is_empty() {
        let elsewhere = Match::Device(Place::From, Is::NotIn, ways);
        rules.push(drop([of_this_network(), vec![elsewhere]].concat()));
    }
    // With VTEPs in the place of a group the addresses of the other nodes are known.
    let one = vxlan.group.filter(|group| !group.is_multicast());
    let peers = network.peers.iter().flatten().copied().chain(one);
    let peers = fewest(peers.map(IpNetwork::from));
    if network.peers.as_ref().is_some_and(Vec::is_empty) {
        rules.push(drop(of_this_network()));
    } else if !peers.is_empty() {
        let others = Match::Address(Place::From, Is::NotIn, peers);
        rules.push(drop([of_this_network(), vec![others]].concat()));
    }
    rules
}

/// The devices by which vxlan of a network comes in; none where any may be: without a device of its own, and
/// where that one only holds an address which packets reach by other devices (lo, dummy).
pub fn ways_in(network: &Network, seen: &Observed) -> Vec<IfName> {
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

/// What goes to a Service's endpoint by an anycast gateway's device: the answer would go to the endpoint's own node, were the source
/// the address of that device, which `masquerade` takes, whichever network's chain says so.
fn by_an_own_address(network: &Network, seen: &Observed) -> Vec<Rule> {
    let ours = network.filter.all.iter().copied();
    let (v4, v6): (Vec<IpNetwork>, Vec<IpNetwork>) = ours.partition(IpNetwork::is_ipv4);
    let rule = |(family, ours): (Family, Vec<IpNetwork>)| {
        let own = anycast::source(network, family, seen)?;
        let of_a_pod = Match::Address(Place::From, Is::In, ours);
        let by_it = Match::Device(Place::To, Is::In, vec![network.mv.clone()]);
        network.cidr(family).map(|_| Rule {
            matches: vec![Match::Translated, by_it, of_a_pod],
            verdict: Verdict::Snat(own),
        })
    };
    let families = [(Family::V4, v4), (Family::V6, v6)].into_iter();
    families
        .filter(|_| network.filter.service_masquerade && anycast::is(network))
        .filter_map(rule)
        .collect()
}

/// Where a Service's client and its endpoint are both on networks of ours, the endpoint would answer the client
/// without this node, which alone knows the Service's address; and where `ipMasq` asks for it, what leaves
/// for elsewhere has the node's address, which everybody can answer.
fn translated(network: &Network) -> Vec<Rule> {
    let filter = &network.filter;
    let masquerade = |matches| Rule {
        matches,
        verdict: Verdict::Masquerade,
    };
    let by_its_gateway = Match::Device(Place::From, Is::In, vec![network.mv.clone()]);
    let from = |subnet: &IpNetwork| Match::Address(Place::From, Is::In, vec![*subnet]);
    let same_family = |one: &IpNetwork, other: &IpNetwork| one.is_ipv4() == other.is_ipv4();
    let ours = |subnet: &IpNetwork| {
        let all = filter.all.iter().copied();
        all.filter(|one| same_family(one, subnet))
            .collect::<Vec<_>>()
    };
    let mut rules = Vec::new();
    if filter.service_masquerade {
        rules.push(masquerade(vec![
            Match::Translated,
            by_its_gateway.clone(),
            Match::Gateway(Place::To, Is::In),
        ]));
        // By whichever device: an endpoint may be behind a routing daemon's route by the underlay. And one that came
        // in by the underlay, to a port of this node that is an endpoint's.
        rules.extend(filter.subnets.iter().map(|subnet| {
            let endpoint = Match::Address(Place::To, Is::In, ours(subnet));
            masquerade(vec![Match::Translated, from(subnet), endpoint])
        }));
    }
    for subnet in filter.subnets.iter().filter(|_| filter.ip_masq) {
        let many = NO_SINGLE_HOSTS.iter().filter_map(|one| one.parse().ok());
        let many = many.filter(|one| same_family(one, subnet));
        let spared = fewest(many.chain(ours(subnet)));
        rules.push(masquerade(vec![
            from(subnet),
            by_its_gateway.clone(),
            Match::Gateway(Place::To, Is::NotIn),
            Match::Address(Place::To, Is::NotIn, spared),
        ]));
    }
    rules
}

//! What a pod may send: frames with its own MAC and its own addresses, in its own namespace on the way out.
//!
//! On the node it would be too late: macvlans of one node pass frames to each other without the node. The pod
//! cannot change it as long as it has no CAP_NET_ADMIN.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Side;
use super::container::Container;
use super::fact::Fact;
use crate::ip::{Command, IfName, Mac};
use crate::nft::{self, Chain, Hook, Is, L3, Match, Place, Rule, Table, Verdict};

/// Ports of those who answer: servers of DHCP (RFC 2131, section 4.1) and of DHCPv6 (RFC 8415, section 7.2).
const DHCP_SERVERS: [u16; 2] = [67, 547];

/// Ports of their clients.
const DHCP_CLIENTS: [u16; 2] = [68, 546];

/// ICMPv6 of routers: advertisement and redirect (RFC 4861).
const OF_ROUTERS: [u8; 2] = [134, 137];

/// ICMPv6 that a host may send before it has an address: membership reports, of multicast groups that it joins (RFC
/// 2710, RFC 3810), and the question for routers.
const WITHOUT_AN_ADDRESS: [u8; 4] = [131, 132, 133, 143];

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// The rules, where the network has them.
pub fn fact(container: &Container<'_>) -> Option<Fact> {
    container.network.anti_spoof.then(|| Fact::Guard {
        table: Table::Pod(container.ifname.clone()),
        dev: container.ifname.clone(),
        chains: vec![Chain {
            name: "out".to_owned(),
            hook: Hook::Egress(container.ifname.clone()),
            rules: rules(container),
        }],
    })
}

/// The command that takes the rules of an interface away.
pub fn removal(ifname: &IfName) -> (Side, Command) {
    let table = Table::Pod(ifname.clone());
    (Side::Pod, nft::delete_table(&table))
}

/// What is named passes, and nothing else.
fn rules(container: &Container<'_>) -> Vec<Rule> {
    let mac = container.mac();
    let addresses = container.lease.ips.iter().map(|ip| ip.address.ip());
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(address),
            IpAddr::V6(address) => v6.push(address),
        }
    }
    v6.extend(mac.map(Mac::link_local));
    v4.sort();
    v6.sort();
    let mut rules: Vec<Rule> = as_taken().collect();
    rules.extend(mac.into_iter().flat_map(by_mac));
    rules.extend(servers(&container.network.ports));
    rules.extend(ipv4(&v4));
    rules.extend(ipv6(&v6));
    rules.push(drop(Vec::new()));
    rules
}

fn drop(matches: Vec<Match>) -> Rule {
    Rule {
        matches,
        verdict: Verdict::Drop,
    }
}

fn accept(matches: Vec<Match>) -> Rule {
    Rule {
        matches,
        verdict: Verdict::Accept,
    }
}

/// A packet socket (CAP_NET_RAW) says itself what the kernel takes a frame for, whatever is in it: the headers
/// would be read as another protocol's than that by which the receiver reads them.
fn as_taken() -> impl Iterator<Item = Rule> {
    let other = |l3| vec![Match::TakenFor(l3), Match::Carries(Is::NotIn, l3)];
    L3::ALL.into_iter().map(move |l3| drop(other(l3)))
}

fn by_mac(mac: Mac) -> [Rule; 2] {
    [
        drop(vec![Match::FromMac(Is::NotIn, mac)]),
        drop(vec![Match::ArpFromMac(Is::NotIn, mac)]),
    ]
}

/// What only nodes, servers and routers send.
fn servers(ports: &[u16]) -> [Rule; 4] {
    [
        drop(vec![Match::UdpTo(ports.to_vec())]),
        drop(vec![Match::UdpFrom(DHCP_SERVERS.to_vec())]),
        // Clients take an answer from whichever port.
        drop(vec![Match::UdpTo(DHCP_CLIENTS.to_vec())]),
        drop(vec![Match::Icmp6(OF_ROUTERS.to_vec())]),
    ]
}

/// ARP and IPv4 with an address of its own; without one the question whether another has it (RFC 5227, section
/// 2.1.1), and DHCP's (RFC 2131, section 4.1).
fn ipv4(own: &[Ipv4Addr]) -> Vec<Rule> {
    if own.is_empty() {
        return Vec::new();
    }
    let none = Ipv4Addr::UNSPECIFIED;
    let networks = own.iter().map(|address| IpAddr::V4(*address).into());
    let probe = vec![
        Match::ArpRequest,
        Match::Arp(Place::From, vec![none]),
        Match::Arp(Place::To, own.to_vec()),
    ];
    let dhcp = vec![
        Match::Address(Place::From, Is::In, vec![IpAddr::V4(none).into()]),
        Match::UdpFrom(vec![DHCP_CLIENTS[0]]),
        Match::UdpTo(vec![DHCP_SERVERS[0]]),
    ];
    vec![
        accept(vec![Match::Arp(Place::From, own.to_vec())]),
        accept(probe),
        accept(vec![Match::Address(
            Place::From,
            Is::In,
            networks.collect(),
        )]),
        accept(dhcp),
    ]
}

/// IPv6 with an address of its own, which is all that it advertises; without one the question whether another has
/// it (RFC 4862, section 5.4.2), and what hosts send before they have one.
fn ipv6(own: &[Ipv6Addr]) -> Vec<Rule> {
    if own.is_empty() {
        return Vec::new();
    }
    let from =
        |address: Ipv6Addr| Match::Address(Place::From, Is::In, vec![IpAddr::V6(address).into()]);
    let networks = own.iter().map(|address| IpAddr::V6(*address).into());
    let own_source = Match::Address(Place::From, Is::In, networks.collect());
    let none = from(Ipv6Addr::UNSPECIFIED);
    let mut rules = Vec::new();
    for target in own.iter().map(|target| Match::Target(*target)) {
        let claims = vec![
            own_source.clone(),
            Match::Icmp6(vec![ADVERTISEMENT]),
            target.clone(),
        ];
        let asks = vec![none.clone(), Match::Icmp6(vec![SOLICITATION]), target];
        rules.extend([accept(claims), accept(asks)]);
    }
    rules.push(drop(vec![Match::Icmp6(vec![ADVERTISEMENT])]));
    rules.push(accept(vec![own_source]));
    let early = vec![none, Match::Icmp6(WITHOUT_AN_ADDRESS.to_vec())];
    rules.push(accept(early));
    rules
}

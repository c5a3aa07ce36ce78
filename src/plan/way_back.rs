//! The way back: what answers a question to a Service, NodePort or hostPort goes the way that the question came.
//!
//! A pod may ask this node for an endpoint that is elsewhere. It asked by its own node where it asked an address that is on
//! no network of its own, and straight where it asked this node's address on its network. Only where the answer comes
//! by the same node does that node's conntrack see both directions of a TCP connection; the second packet of half
//! of one is INVALID, which kube-proxy drops. By its addresses alone an answer would go straight where the endpoint is on
//! the client's network, and else by the route to the client: so conntrack, which knows what was asked, marks those
//! that must go the other way.

use ipnetwork::IpNetwork;

use crate::config::Network;
use crate::ip::TableId;
use crate::ip::rule::{Fwmark, Rule};
use crate::nft::{self, Is, Match, Place, Verdict};

/// On answers that go another way than their addresses say. kube-proxy has 0x4000 and 0x8000, `portmap` 0x2000, Calico those
/// of 0xffff0000; Cilium's, up to 0xff00, are set where it routes itself.
pub const OTHER_WAY: Fwmark = Fwmark::bit(12);

/// Whether answers are marked: by the guard, and only where the bypass makes two ways.
pub fn is_marked(network: &Network) -> bool {
    network.guard && network.bypass
}

/// The rules of the packet filter that mark what comes in, behind what translates.
pub fn marks(network: &Network) -> Vec<nft::Rule> {
    let both = |subnet: &IpNetwork| {
        [
            answer(*subnet, Is::NotIn, Is::In),
            answer(*subnet, Is::In, Is::NotIn),
        ]
    };
    subnets(network).flat_map(both).collect()
}

/// Those that mark what this node answers itself: a Service may be a process of it.
pub fn own_marks(network: &Network) -> Vec<nft::Rule> {
    let own = |subnet: &IpNetwork| answer(*subnet, Is::In, Is::NotIn);
    subnets(network).map(own).collect()
}

fn subnets(network: &Network) -> impl Iterator<Item = &IpNetwork> {
    let filter = &network.filter;
    filter.subnets.iter().filter(|_| filter.two_ways)
}

/// Marks what answers a client in a subnet: one that asked an address there, or elsewhere, and is answered by an endpoint
/// there, or elsewhere.
fn answer(subnet: IpNetwork, asked: Is, endpoint: Is) -> nft::Rule {
    nft::Rule {
        matches: vec![
            Match::Translated,
            Match::Answer,
            Match::Asked(Place::From, Is::In, subnet),
            Match::Asked(Place::To, asked, subnet),
            Match::Address(Place::From, endpoint, vec![subnet]),
        ],
        verdict: Verdict::Mark(Some(OTHER_WAY)),
    }
}

/// Where marked answers are looked up, before the bypass: within a subnet by the routes alone, then from elsewhere to it in
/// the bypass's table. In this order, as the second is about the first's packets too.
pub fn rules(bypass: &Rule) -> [Rule; 2] {
    let by_the_routes = Rule {
        pref: bypass.pref.saturating_sub(2),
        fwmark: Some(OTHER_WAY),
        lookup: TableId::MAIN,
        ..bypass.clone()
    };
    let straight = Rule {
        pref: bypass.pref.saturating_sub(1),
        from: None,
        fwmark: Some(OTHER_WAY),
        ..bypass.clone()
    };
    [by_the_routes, straight]
}

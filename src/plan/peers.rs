//! Other nodes by their addresses, in the place of a multicast group: what is for everybody, and what is not learnt yet, goes to each of
//! them (head-end replication, RFC 7348, 4.2).

use std::net::IpAddr;

use super::fact::{Fact, Probe};
use super::observed::Observed;
use super::read::Read;
use super::side::Side;
use super::underlay::{self, HostError};
use crate::config::Network;
use crate::ip::Mac;

/// How many entries are taken away that were learnt from one node; a pod there can have made more up, which age.
const MOST: usize = 256;

/// The question to which VTEPs the device sends; none where a group does it, and none for a glance: the list is as long as what
/// the device has learnt.
pub fn reads(network: &Network, probe: Probe) -> Vec<Read> {
    let asked = network.peers.is_some() && probe == Probe::List;
    let read = || Read::Fdb(network.vx.clone());
    let own = own_read(network).into_iter();
    own.chain(asked.then(read)).collect()
}

/// The question which of the peers this node is; none where there is no other.
pub fn own_read(network: &Network) -> Option<Read> {
    let has_peers = network.peers.iter().flatten().next().is_some();
    let dev = network.options.vxlan.dev.clone();
    let read = |dev| Read::Addr(Side::Host, dev);
    dev.filter(|_| has_peers).map(read)
}

/// The address of the underlay device by which the others know this node: what it sends must come from there, which of several
/// the kernel would not choose by itself. Of several the lowest; none where they know it by none.
pub fn own(network: &Network, seen: &Observed) -> Option<IpAddr> {
    let peers = network.peers.as_ref()?;
    let own = underlay::addresses(network, seen);
    own.filter(|one| peers.contains(one)).min()
}

/// Refuses a network with peers that are not known yet: all entries of its device would be taken for gone.
///
/// # Errors
/// [`HostError::PeersUnknown`].
pub fn check(network: &Network) -> Result<(), HostError> {
    match &network.peers_from {
        Some(from) if network.peers.is_none() => Err(HostError::PeersUnknown {
            network: network.name.clone(),
            from: from.clone(),
        }),
        _ => Ok(()),
    }
}

/// One for each other node, and for each that the device still sends to and that is none any more.
pub fn facts(network: &Network, seen: &Observed) -> Vec<Fact> {
    let Some(peers) = &network.peers else {
        return Vec::new();
    };
    let vtep = underlay::vtep(network, seen);
    let own: Vec<IpAddr> = underlay::addresses(network, seen).chain(vtep).collect();
    let others: Vec<IpAddr> = peers
        .iter()
        .copied()
        .filter(|one| !own.contains(one))
        .collect();
    let fact = |to: IpAddr, listed| Fact::Peer {
        dev: network.vx.clone(),
        to,
        listed,
    };
    let entries = seen.fdb(&network.vx);
    let mut gone: Vec<IpAddr> = entries
        .iter()
        .filter(|entry| entry.is_flood())
        .filter_map(|entry| entry.dst)
        .filter(|dst| !others.contains(dst))
        .collect();
    gone.sort();
    gone.dedup();
    let mut facts: Vec<Fact> = others.iter().map(|peer| fact(*peer, true)).collect();
    for to in gone {
        // What was learnt from it first: with the last one of these the peer is gone.
        let learnt = entries
            .iter()
            .filter(|entry| entry.dst == Some(to) && !entry.is_flood());
        let macs = learnt
            .take(MOST)
            .filter_map(|entry| entry.mac.parse::<Mac>().ok());
        facts.extend(macs.map(|mac| Fact::Forgotten {
            dev: network.vx.clone(),
            mac,
            to,
        }));
        facts.push(fact(to, false));
    }
    facts
}

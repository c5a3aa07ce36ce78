//! A gateway that every node has: one address for all of them, at a MAC of each node's own.
//!
//! A pod knows its own node's by a neighbour entry that is permanent, so that no answer of another node counts. What the
//! node itself sends must not leave with the shared address, or the answer would go to whichever node the pod is on: the
//! route to the subnet has another source, the node's address on the underlay, to which every node knows the way.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::fact::{Fact, Probe};
use super::observed::Observed;
use super::read::Read;
use super::side::Side;
use super::underlay;
use crate::config::hosts::bits32;
use crate::config::{Gateway, Network};
use crate::ip::addr::{self, Role};
use crate::ip::link::AddrRecord;
use crate::ip::route::{Lookup, Route};
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName, Mac};

/// The protocol of the route that comes with an address (`RTPROT_KERNEL`, `linux/rtnetlink.h`).
const KERNEL: u8 = 2;

/// Before such a route of IPv6 (`IP6_RT_PRIO_ADDRCONF`, `linux/ipv6_route.h`, 256): of two with one metric the kernel makes none
/// where another is, which goes with the shared address.
const METRIC: u32 = 255;

/// Whether all nodes have the network's gateway address.
pub fn is(network: &Network) -> bool {
    network.gateway == Gateway::Anycast
}

/// What the gateway's address is to this node.
pub fn role(network: &Network) -> Role {
    match is(network) {
        true => Role::Anycast,
        false => Role::Own,
    }
}

/// The questions that tell the node's own addresses, and whether its packets leave with them.
pub fn reads(network: &Network, probe: Probe) -> Vec<Read> {
    if !is(network) {
        return Vec::new();
    }
    let mut reads = Vec::new();
    if let Some(dev) = &network.options.vxlan.dev {
        // All that the device has, so only where the VTEP is none of the wanted addresses.
        let asked = !network
            .families()
            .all(|family| is_the_vteps(network, family));
        reads.extend(asked.then(|| Read::Addr(Side::Host, dev.clone())));
        let keys = [everywhere(), rp_filter(dev)];
        let keys = keys.map(|key| Read::Sysctl(Side::Host, key));
        reads.extend(keys.into_iter().filter(|_| has_v4(network)));
    }
    let cidrs = network.cidrs.iter();
    // Until the node was seen, by whichever address.
    reads.extend(cidrs.flat_map(|cidr| route(network, *cidr, None).reads(probe)));
    reads
}

/// Whether the VTEP's own address, which one look-up tells, is of a family.
fn is_the_vteps(network: &Network, family: Family) -> bool {
    let vxlan = &network.options.vxlan;
    let is_told = vxlan.local.is_some() || underlay::vtep_read(network).is_some();
    is_told && vxlan.is_v6() == (family == Family::V6)
}

/// The switch of the underlay device by its own name, which only the first look tells.
pub fn reads_behind(network: &Network, seen: &Observed) -> Option<Read> {
    let dev = underlay::name(network, seen).filter(|_| is(network) && has_v4(network))?;
    Some(Read::Sysctl(Side::Host, rp_filter(&dev)))
}

/// The node's own address of a family, by which every other node finds it: that of its VTEP, else the underlay device's
/// first.
pub fn own(network: &Network, family: Family, seen: &Observed) -> Option<IpAddr> {
    let vtep = underlay::vtep(network, seen).filter(|vtep| Family::of(*vtep) == family);
    let device = underlay::device(network, seen);
    let listed = device.iter().flat_map(|link| &link.addr_info);
    let fits = |one: &&AddrRecord| {
        let lasts = !one.tentative && !one.dadfailed && !one.deprecated && !one.temporary;
        Family::of(one.local) == family && one.is_global() && lasts && !one.secondary
    };
    vtep.or_else(|| listed.filter(fits).map(|one| one.local).next())
}

/// The gateway's address as its device has it. A shared one by itself: the route to the subnet is one of ours, and the kernel takes no
/// second address of a subnet in another scope, as beside a static one of a former definition (`__inet_insert_ifa`, "Invalid scope value").
pub fn address(network: &Network, cidr: IpNetwork) -> IpNetwork {
    match is(network) {
        true => IpNetwork::from(cidr.ip()),
        false => cidr,
    }
}

/// The MAC that the gateway's device is made with: it follows from the node's address on the underlay, so that one that is made anew
/// has the MAC that pods know. `0a:59` and the IPv4 address, or `0a:5a` and a hash of the IPv6 address ([`bits32`]).
pub fn mac_to_make(network: &Network, seen: &Observed) -> Option<Mac> {
    let vtep = underlay::vtep(network, seen).filter(|_| is(network))?;
    let family = if vtep.is_ipv6() { 0x5a } else { 0x59 };
    let [a, b, c, d] = bits32(vtep).to_be_bytes();
    Mac::new([0x0a, family, a, b, c, d]).ok()
}

/// The MAC of the gateway's device, as it is or will be.
pub fn mac(network: &Network, seen: &Observed) -> Option<Mac> {
    let there = seen.link(Side::Host, &network.mv).filter(|_| is(network));
    let there = there.and_then(|link| link.address.parse().ok());
    there.or_else(|| mac_to_make(network, seen))
}

fn everywhere() -> SysctlKey {
    SysctlKey::All(Family::V4, "rp_filter")
}

fn rp_filter(dev: &IfName) -> SysctlKey {
    SysctlKey::Device(Family::V4, dev.clone(), "rp_filter")
}

fn has_v4(network: &Network) -> bool {
    network.cidr(Family::V4).is_some()
}

/// What a pod elsewhere answers the node comes in by the underlay, while the way to the pod is the gateway's device: a
/// strict `rp_filter` there would drop it. Of the two switches the larger counts (`IN_DEV_RPFILTER`, `linux/inetdevice.h`).
pub fn switches(network: &Network, seen: &Observed) -> Vec<Fact> {
    let dev = underlay::name(network, seen).filter(|_| is(network) && has_v4(network));
    let or: &[&str] = match seen.sysctl(Side::Host, &everywhere()) {
        Some("1") => &[],
        Some("2") => &["0", "1"],
        _ => &["0"],
    };
    let fact = |dev: IfName| Fact::Sysctl {
        side: Side::Host,
        key: rp_filter(&dev),
        value: "2",
        or,
    };
    dev.map(fact).into_iter().collect()
}

/// The addresses that the gateway's device has besides, for what the node itself asks on the network. Of IPv4 the one that it has on
/// the underlay: a question about an address outside of the subnet (`route-table`'s, for a claim) has it as its sender's, which another node answers, as
/// it would not the shared one. Of IPv6 the link-local one, also where the kernel makes none by itself.
pub fn own_addresses(network: &Network, ipv6: bool, seen: &Observed) -> Vec<Fact> {
    if !is(network) {
        return Vec::new();
    }
    let fact = |address: IpAddr, length, role| {
        Some(Fact::Address {
            side: Side::Host,
            dev: network.mv.clone(),
            address: IpNetwork::new(address, length).ok()?,
            role,
        })
    };
    let v4 = own(network, Family::V4, seen).filter(|_| has_v4(network));
    let v4 = v4.and_then(|own| fact(own, Family::V4.host_prefix(), Role::Unnumbered));
    let v6 = mac(network, seen).filter(|_| ipv6 && network.cidr(Family::V6).is_some());
    let v6 = v6.and_then(|mac| fact(mac.link_local().into(), 64, Role::Own));
    v4.into_iter()
        .chain(v6)
        .chain(former(network, seen))
        .collect()
}

/// Those that it had where the node's address on the underlay was another: the node would still answer for them, and they may be another's
/// by now.
fn former(network: &Network, seen: &Observed) -> Vec<Fact> {
    let Some(own) = own(network, Family::V4, seen) else {
        return Vec::new();
    };
    let mv = seen.link(Side::Host, &network.mv);
    let listed = mv.iter().flat_map(|link| &link.addr_info);
    let is_ours = |one: &&AddrRecord| {
        let alone = one.local.is_ipv4() && one.prefixlen == 32 && one.is_on_link();
        let shared = network.cidrs.iter().any(|cidr| cidr.contains(one.local));
        alone && !shared && one.local != own
    };
    let gone = listed.filter(is_ours).map(|one| Fact::NoAddress {
        side: Side::Host,
        dev: network.mv.clone(),
        address: IpNetwork::from(one.local),
    });
    gone.collect()
}

/// The routes to the subnets, by which the node's own packets leave with an address of its own. Where it has none of a family
/// on the underlay: of IPv6 the link-local one, which is answered on the network itself; of IPv4 there is no such.
pub fn routes(network: &Network, seen: &Observed) -> Vec<Fact> {
    let cidrs = network.cidrs.iter().filter(|_| is(network));
    cidrs
        .map(|cidr| route(network, *cidr, source(network, Family::of(cidr.ip()), seen)))
        .collect()
}

/// The gateway's addresses of IPv6 with another length than they are to have, as an edit leaves them: of those the kernel has one
/// alone, and changes its length by no command.
pub fn of_another_length(network: &Network, seen: &Observed) -> Vec<Fact> {
    let mv = seen.link(Side::Host, &network.mv);
    let listed = mv.iter().flat_map(|link| &link.addr_info);
    let wanted: Vec<IpNetwork> = network
        .cidrs
        .iter()
        .filter(|cidr| cidr.is_ipv6())
        .map(|cidr| address(network, *cidr))
        .collect();
    let is_another = |one: &&AddrRecord| {
        let of_this = |cidr: &&IpNetwork| cidr.ip() == one.local && cidr.prefix() != one.prefixlen;
        wanted.iter().any(|cidr| of_this(&cidr))
    };
    let gone = listed.filter(is_another).filter_map(|one| {
        Some(Fact::NoAddress {
            side: Side::Host,
            dev: network.mv.clone(),
            address: IpNetwork::new(one.local, one.prefixlen).ok()?,
        })
    });
    gone.collect()
}

/// The routes that the kernel makes with the addresses of a gateway that is this node's alone. Of IPv6 it keeps them beside a
/// shared gateway's.
pub fn routes_of_a_static(network: &Network) -> Vec<Fact> {
    let cidrs = network
        .cidrs
        .iter()
        .filter(|cidr| cidr.is_ipv4() && !is(network));
    cidrs
        .map(|cidr| route(network, *cidr, Some(cidr.ip())))
        .collect()
}

/// What a shared gateway has besides its address: the node's own, and the routes that have that as their source.
pub fn beside_its_address(network: &Network, seen: &Observed) -> Vec<Fact> {
    let own = own_addresses(network, false, seen).into_iter();
    let own = own.filter(|fact| matches!(fact, Fact::Address { .. }));
    routes(network, seen).into_iter().chain(own).collect()
}

/// The address with which the node's own packets of a family leave for the network.
pub fn source(network: &Network, family: Family, seen: &Observed) -> Option<IpAddr> {
    let own = own(network, family, seen);
    let on_the_link = || mac(network, seen).map(|mac| mac.link_local().into());
    match family {
        Family::V4 => own,
        Family::V6 => own.or_else(on_the_link),
    }
}

fn route(network: &Network, cidr: IpNetwork, src: Option<IpAddr>) -> Fact {
    let (scope, metric) = match Family::of(cidr.ip()) {
        Family::V4 => (Some(addr::SCOPE_LINK), None),
        Family::V6 => (None, Some(METRIC)),
    };
    let route = Route {
        protocol: Some(KERNEL),
        src,
        scope,
        metric,
        ..Route::new(Network::subnet(cidr), None, &network.mv)
    };
    Fact::Route {
        side: Side::Host,
        route,
        // No pod can have that one, and no claim is a more specific route.
        witness: Some(Lookup::to(cidr.network())),
        beside: false,
    }
}

/// The questions whether a pod knows its node's MAC of a gateway.
pub fn reads_of_a_pod(network: &Network, dev: &IfName, families: &[Family]) -> Vec<Read> {
    let cidrs = families.iter().filter_map(|family| network.cidr(*family));
    cidrs
        .filter(|_| is(network))
        .map(|cidr| Read::Neigh(Side::Pod, dev.clone(), cidr.ip()))
        .collect()
}

/// What tells a pod its node's MAC of a gateway.
pub fn neighbours<'a>(
    network: &'a Network,
    dev: &'a IfName,
    mac: Option<Mac>,
    families: &'a [Family],
) -> impl Iterator<Item = Fact> + 'a {
    let cidrs = families.iter().filter_map(|family| network.cidr(*family));
    let fact = move |cidr: IpNetwork| {
        Some(Fact::Neighbour {
            side: Side::Pod,
            dev: dev.clone(),
            address: cidr.ip(),
            mac: mac?,
        })
    };
    cidrs.filter(|_| is(network)).filter_map(fact)
}

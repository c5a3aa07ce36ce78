//! The node's side of a network: the vxlan device, the gateway, the bypass, forwarding.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::fact::{Fact, Kind, Look};
use super::observed::{Observed, Read, Side};
use super::underlay::{self, HostError};
use crate::config::Network;
use crate::config::hosts::{address, number};
use crate::ip::link::{Setting, Vxlan};
use crate::ip::route::Route;
use crate::ip::rule::Rule;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName};

/// The facts of the node's side, in the order in which they are made.
///
/// # Errors
/// [`HostError`], see [`underlay::mtu`] and [`underlay::check_ipv6`].
pub fn facts(network: &Network, seen: &Observed) -> Result<Vec<Fact>, HostError> {
    underlay::check_ipv6(network, seen)?;
    let mtu = underlay::mtu(network, seen)?;
    Ok(facts_with(network, mtu, seen))
}

/// The facts that only an operator asks about: to see them, everything the device has learnt is listed.
pub fn listed(network: &Network, seen: &Observed) -> Vec<Fact> {
    let vxlan = &network.options.vxlan;
    let flood = |to| Fact::Flood {
        dev: network.vx.clone(),
        to,
        via: underlay::name(network, seen),
    };
    vxlan.group.map(flood).into_iter().collect()
}

/// The questions about the node's side, the underlay's MTU among them.
pub fn reads(network: &Network, look: Look) -> Vec<Read> {
    let facts = facts_with(network, network.mtu, &Observed::default());
    let mut reads = super::reads(&facts, look);
    reads.extend(underlay::ipv6_reads(network));
    reads.extend(
        network
            .options
            .vxlan
            .dev
            .as_ref()
            .map(|dev| Read::Link(Side::Host, dev.clone())),
    );
    reads.sort();
    reads.dedup();
    reads
}

/// The questions that only the answers to [`reads`] give rise to; none when all is known.
pub fn reads_behind(network: &Network, seen: &Observed) -> Vec<Read> {
    let mut reads = Vec::new();
    if network.cidr(Family::V6).is_some() {
        if !forwards(seen) {
            reads.extend([Read::Learnt, Read::Dynamic]);
        }
        let devices = listeners(network, seen).into_iter();
        reads.extend(devices.map(|dev| Read::Sysctl(Side::Host, accept_ra(&dev))));
    }
    reads.retain(|read| !seen.was_asked(read));
    reads
}

/// The facts once the MTU is known.
fn facts_with(network: &Network, mtu: Option<u32>, seen: &Observed) -> Vec<Fact> {
    let mut facts = forwarding(network, seen);
    facts.extend(vxlan(network, mtu, seen));
    facts.extend(gateway(network, mtu));
    if network.bypass {
        facts.extend(
            network
                .cidrs
                .iter()
                .map(|cidr| bypass_route(network, *cidr)),
        );
        facts.extend(network.cidrs.iter().map(|cidr| bypass_rule(network, *cidr)));
    }
    facts
}

/// Whether the node forwards IPv6, as far as was seen.
fn forwards(seen: &Observed) -> bool {
    let key = SysctlKey::All(Family::V6, "forwarding");
    seen.sysctl(Side::Host, &key) != Some("0")
}

fn accept_ra(dev: &IfName) -> SysctlKey {
    SysctlKey::Device(Family::V6, dev.clone(), "accept_ra")
}

/// The devices that must go on listening to router advertisements: the underlay's, and, while the node does
/// not forward yet, each that has learnt a route or an address from one.
fn listeners(network: &Network, seen: &Observed) -> Vec<IfName> {
    let mut devices: Vec<IfName> = underlay::name(network, seen).into_iter().collect();
    let learnt = seen.learnt().iter();
    devices.extend(learnt.filter_map(|dev| IfName::new(dev).ok()));
    devices.sort();
    devices.dedup();
    devices
}

/// A router forwards. `ip_forward` is the node's; IPv6 forwards by the switch of all devices, and at that
/// moment the kernel drops every default route that a router advertised on a device which is not told to
/// listen all the same (`rt6_purge_dflt_routers`, `net/ipv6/route.c`): so that comes first.
fn forwarding(network: &Network, seen: &Observed) -> Vec<Fact> {
    let host = |key, value, or| Fact::Sysctl {
        side: Side::Host,
        key,
        value,
        or,
    };
    let mut facts = Vec::new();
    if network.cidr(Family::V4).is_some() {
        facts.push(host(SysctlKey::Ipv4Forward, "1", &[]));
    }
    if network.cidr(Family::V6).is_some() {
        let devices = listeners(network, seen);
        facts.extend(devices.iter().map(|dev| host(accept_ra(dev), "2", &["0"])));
        facts.push(host(SysctlKey::All(Family::V6, "forwarding"), "1", &[]));
    }
    facts
}

/// The vxlan device. It answers no ARP and has no address of its own: only the macvlans on it talk.
fn vxlan(network: &Network, mtu: Option<u32>, seen: &Observed) -> Vec<Fact> {
    let options = &network.options;
    let dev = || network.vx.clone();
    // Without IPv6 on it: "Address family not supported by protocol" (Linux 6.1 and 6.18).
    let own_address = underlay::has_ipv6(seen, mtu).then_some(Setting::AddrGenModeNone);
    let settings = [
        options.address.map(Setting::Address),
        options.txqueuelen.map(Setting::TxQueueLen),
        mtu.map(Setting::Mtu),
        Some(Setting::ArpOff),
        // Before `up`: in the same command `ip` brings the device up first, and the address is there.
        own_address,
        Some(Setting::Up),
    ];
    let setting = |setting| Fact::Setting {
        side: Side::Host,
        dev: dev(),
        kind: Kind::Vxlan,
        setting,
    };
    std::iter::once(Fact::Vxlan {
        name: dev(),
        vxlan: Box::new(Vxlan {
            dev: underlay::name(network, seen),
            ..options.vxlan.clone()
        }),
    })
    .chain(settings.into_iter().flatten().map(setting))
    .collect()
}

/// The gateway: a macvlan beside the containers' own, with the node's address in each family.
fn gateway(network: &Network, mtu: Option<u32>) -> Vec<Fact> {
    let (side, dev) = (Side::Host, || network.mv.clone());
    let device = |family, name| SysctlKey::Device(family, dev(), name);
    let switch = |key, value, or| Fact::Sysctl {
        side,
        key,
        value,
        or,
    };
    let setting = |setting| Fact::Setting {
        side,
        dev: dev(),
        kind: Kind::Macvlan,
        setting,
    };
    let mut facts = vec![Fact::Macvlan {
        side,
        name: dev(),
        parent: network.vx.clone(),
        made_as: dev(),
    }];
    if network.cidr(Family::V4).is_some() {
        facts.push(switch(device(Family::V4, "forwarding"), "1", &[]));
        // Loose: with /32 routes from a routing protocol the way back may leave by another device.
        facts.push(switch(device(Family::V4, "rp_filter"), "2", &[]));
    }
    if network.cidr(Family::V6).is_some() {
        facts.push(switch(device(Family::V6, "disable_ipv6"), "0", &[]));
        // While the link-local address is tentative the gateway cannot ask who has an address (RFC 4862,
        // 5.4): for a second nothing from elsewhere would reach a container.
        facts.push(switch(device(Family::V6, "accept_dad"), "0", &[]));
        // A container's router advertisement must not become the node's default route.
        facts.push(switch(device(Family::V6, "accept_ra"), "0", &[]));
    }
    facts.extend(mtu.map(Setting::Mtu).map(setting));
    facts.extend(network.cidrs.iter().map(|cidr| Fact::Address {
        side,
        dev: dev(),
        address: *cidr,
    }));
    facts.push(setting(Setting::Up));
    facts
}

/// The subnet is on the gateway's device, in a table of its own.
fn bypass_route(network: &Network, cidr: IpNetwork) -> Fact {
    let route = Route {
        table: network.table,
        ..Route::new(Network::subnet(cidr), None, &network.mv)
    };
    let (to, from) = witness(network, cidr);
    // IPv6 routes are listed by a process of their own; the look-up that shows the rule shows the route too.
    let witness = cidr.is_ipv6().then_some((to, Some(from)));
    Fact::Route {
        side: Side::Host,
        route,
        witness,
    }
}

/// Within the subnet that table is asked first: what is directly connected goes directly, whatever
/// more specific route a routing protocol has.
fn bypass_rule(network: &Network, cidr: IpNetwork) -> Fact {
    let subnet = Network::subnet(cidr);
    let rule = Rule {
        pref: network.pref,
        from: subnet,
        to: subnet,
        lookup: network.table,
    };
    Fact::Rule {
        rule,
        witness: witness(network, cidr),
    }
}

/// A look-up within the subnet, from the gateway to some other address.
fn witness(network: &Network, cidr: IpNetwork) -> (IpAddr, IpAddr) {
    let last = number(cidr.broadcast());
    let other = if address(cidr, last) == cidr.ip() {
        last.saturating_sub(1)
    } else {
        last
    };
    debug_assert!(network.cidrs.contains(&cidr));
    (address(cidr, other), cidr.ip())
}

/// The rules of a network: with them and the vxlan, everything of the node's side is gone.
pub fn rules(network: &Network) -> Vec<Rule> {
    let rule = |cidr: &IpNetwork| match bypass_rule(network, *cidr) {
        Fact::Rule { rule, .. } => Some(rule),
        _ => None,
    };
    network
        .cidrs
        .iter()
        .filter(|_| network.bypass)
        .filter_map(rule)
        .collect()
}

//! The node's side of a network: the vxlan device, the gateway, the bypass, forwarding.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::fact::{Fact, Kind, Look};
use super::observed::{Observed, Read, Side};
use crate::config::Network;
use crate::config::hosts::{address, number};
use crate::ip::link::Setting;
use crate::ip::route::Route;
use crate::ip::rule::Rule;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName};

/// Why the node's side cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// The underlay device is not there.
    #[error("network \"{network}\": the underlay device `{dev}` does not exist")]
    NoUnderlay {
        /// The network.
        network: String,
        /// The device.
        dev: IfName,
    },
    /// The MTU does not fit into the underlay's.
    #[error(
        "network \"{network}\": mtu {mtu} is larger than fits: the underlay device `{dev}` has {underlay}, less {overhead} for the headers of vxlan"
    )]
    MtuTooLarge {
        /// The network.
        network: String,
        /// The MTU asked for.
        mtu: u32,
        /// The underlay device.
        dev: IfName,
        /// Its MTU.
        underlay: u32,
        /// Bytes of headers.
        overhead: u32,
    },
}

/// The network's MTU in bytes: what is asked for, or what the underlay leaves.
///
/// # Errors
/// [`HostError`] when the underlay is not there or too small.
pub fn mtu(network: &Network, seen: &Observed) -> Result<Option<u32>, HostError> {
    let Some(dev) = &network.options.vxlan.dev else {
        return Ok(network.mtu);
    };
    let name = || network.name.clone();
    let underlay = seen
        .link(Side::Host, dev)
        .ok_or_else(|| HostError::NoUnderlay {
            network: name(),
            dev: dev.clone(),
        })?
        .mtu;
    let overhead = network.options.vxlan.overhead();
    match network.mtu {
        Some(mtu) if mtu > underlay.saturating_sub(overhead) => Err(HostError::MtuTooLarge {
            network: name(),
            mtu,
            dev: dev.clone(),
            underlay,
            overhead,
        }),
        Some(mtu) => Ok(Some(mtu)),
        None => Ok(Some(underlay.saturating_sub(overhead))),
    }
}

/// The facts of the node's side, in the order in which they are made.
///
/// # Errors
/// [`HostError`], see [`mtu`].
pub fn facts(network: &Network, seen: &Observed) -> Result<Vec<Fact>, HostError> {
    Ok(facts_with(network, mtu(network, seen)?))
}

/// The facts that only an operator asks about: to see them, everything the device has learnt is listed.
pub fn listed(network: &Network) -> Vec<Fact> {
    let vxlan = &network.options.vxlan;
    let flood = |to| Fact::Flood {
        dev: network.vx.clone(),
        to,
        via: vxlan.dev.clone(),
    };
    vxlan.group.map(flood).into_iter().collect()
}

/// The questions about the node's side, the underlay's MTU among them.
pub fn reads(network: &Network, look: Look) -> Vec<Read> {
    let mut reads = super::reads(&facts_with(network, network.mtu), look);
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

/// The facts once the MTU is known.
fn facts_with(network: &Network, mtu: Option<u32>) -> Vec<Fact> {
    let mut facts = forwarding(network);
    facts.extend(vxlan(network, mtu));
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

/// A router forwards. `ip_forward` is the node's; IPv6 forwards by the switch of all devices, which
/// also makes the underlay deaf to router advertisements unless it is told to listen all the same.
fn forwarding(network: &Network) -> Vec<Fact> {
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
        if let Some(dev) = &network.options.vxlan.dev {
            facts.push(host(
                SysctlKey::Device(Family::V6, dev.clone(), "accept_ra"),
                "2",
                &["0"],
            ));
        }
        facts.push(host(SysctlKey::All(Family::V6, "forwarding"), "1", &[]));
    }
    facts
}

/// The vxlan device. It answers no ARP and has no address of its own: only the macvlans on it talk.
fn vxlan(network: &Network, mtu: Option<u32>) -> Vec<Fact> {
    let options = &network.options;
    let dev = || network.vx.clone();
    let settings = [
        options.address.map(Setting::Address),
        options.txqueuelen.map(Setting::TxQueueLen),
        mtu.map(Setting::Mtu),
        Some(Setting::ArpOff),
        // Before `up`: in the same command `ip` brings the device up first, and the address is there.
        Some(Setting::AddrGenModeNone),
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
        vxlan: Box::new(options.vxlan.clone()),
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

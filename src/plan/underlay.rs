//! What a network needs of the node that it does not make itself: an underlay device that is large enough
//! and takes part in the underlay, IPv6 where the network has it, and addresses that are not the node's.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::observed::Observed;
use super::peers;
use super::read::Read;
use super::side::Side;
use crate::config::hosts::{address, number};
use crate::config::{Gateway, Network, PeersFrom};
use crate::ip::link::LinkRecord;
use crate::ip::route::{Lookup, RouteRecord};
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName};

/// Why the host side of a network cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Where the peers are known from was not asked yet.
    #[error("network \"{network}\": its peers are not known yet: {from} was not asked")]
    PeersUnknown {
        /// The network.
        network: String,
        /// From where they are to be known.
        from: PeersFrom,
    },
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
    /// The underlay leaves less than a family of the network needs.
    #[error(
        "network \"{network}\": {family} needs an MTU of {least}, and the underlay device `{dev}` leaves {mtu}: it has {underlay}, less {overhead} for the headers of vxlan"
    )]
    MtuTooSmall {
        /// The network.
        network: String,
        /// The family.
        family: Family,
        /// The least that it needs.
        least: u32,
        /// The underlay device.
        dev: IfName,
        /// What is left.
        mtu: u32,
        /// The underlay device's MTU.
        underlay: u32,
        /// Bytes of headers.
        overhead: u32,
    },
    /// The network has IPv6 and the node has none.
    #[error("network \"{network}\" has IPv6 ({cidr}), and this node has none: {why}")]
    NoIpv6 {
        /// The network.
        network: String,
        /// What of it is IPv6.
        cidr: String,
        /// How that is seen.
        why: String,
    },
    /// The network's addresses are the node's own already.
    #[error(
        "network \"{network}\": cidr {cidr} overlaps {other}: joining would cut this node off from there"
    )]
    Overlap {
        /// The network.
        network: String,
        /// The network's addresses.
        cidr: IpNetwork,
        /// What is there.
        other: String,
    },
}

/// Addresses to which only a default route leads: documentation's own (RFC 5737, RFC 3849).
const NOWHERE: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The switch that is there wherever the kernel has IPv6, and which keeps it off every device at 1.
fn disable_ipv6() -> SysctlKey {
    SysctlKey::All(Family::V6, "disable_ipv6")
}

/// The underlay device as it was seen, if the network names one.
pub fn device<'a>(network: &Network, seen: &'a Observed) -> Option<&'a LinkRecord> {
    seen.link(Side::Host, network.options.vxlan.dev.as_ref()?)
}

/// The underlay device's own name: the configuration may have another name of it (`altname`).
pub fn name(network: &Network, seen: &Observed) -> Option<IfName> {
    let own = device(network, seen).and_then(|link| IfName::new(&link.ifname).ok());
    own.or_else(|| network.options.vxlan.dev.clone())
}

/// The network's MTU in bytes: what is asked for, or what the underlay leaves.
///
/// # Errors
/// [`HostError`] when the underlay is not there or too small.
pub fn mtu(network: &Network, seen: &Observed) -> Result<Option<u32>, HostError> {
    let Some(dev) = &network.options.vxlan.dev else {
        return Ok(network.mtu);
    };
    let named = || network.name.clone();
    let no_underlay = || HostError::NoUnderlay {
        network: named(),
        dev: dev.clone(),
    };
    let underlay = device(network, seen).ok_or_else(no_underlay)?.mtu;
    let overhead = network.options.vxlan.overhead();
    let left = underlay.saturating_sub(overhead);
    match network.mtu {
        Some(mtu) if mtu > left => Err(HostError::MtuTooLarge {
            network: named(),
            mtu,
            dev: dev.clone(),
            underlay,
            overhead,
        }),
        Some(mtu) => Ok(Some(mtu)),
        None => match network.families().find(|family| left < family.mtu_min()) {
            Some(family) => Err(HostError::MtuTooSmall {
                network: named(),
                family,
                least: family.mtu_min(),
                dev: dev.clone(),
                mtu: left,
                underlay,
                overhead,
            }),
            None => Ok(Some(left)),
        },
    }
}

/// The questions that tell whether the node has IPv6.
pub fn ipv6_reads(network: &Network) -> Vec<Read> {
    let mut reads = vec![Read::Sysctl(Side::Host, disable_ipv6())];
    let dev = network.options.vxlan.dev.as_ref();
    let dev = dev.filter(|_| network.options.vxlan.is_v6());
    reads.extend(dev.map(|dev| Read::Sysctl(Side::Host, device_switch(dev))));
    reads
}

fn device_switch(dev: &IfName) -> SysctlKey {
    SysctlKey::Device(Family::V6, dev.clone(), "disable_ipv6")
}

/// Whether a device of the node with this MTU has IPv6, as far as was seen.
pub fn has_ipv6(seen: &Observed, mtu: Option<u32>) -> bool {
    let least = Family::V6.mtu_min();
    !seen.lacks(Side::Host, &disable_ipv6()) && mtu.is_none_or(|mtu| mtu >= least)
}

/// Refuses a network with IPv6, or with an IPv6 underlay, where the node has none.
///
/// # Errors
/// [`HostError::NoIpv6`].
pub fn check_ipv6(network: &Network, seen: &Observed) -> Result<(), HostError> {
    let vxlan = &network.options.vxlan;
    let own = network.cidr(Family::V6).map(|cidr| format!("cidr {cidr}"));
    let peer = network.peers.iter().flatten().next().copied();
    let outer = [
        ("group", vxlan.group),
        ("peers", peer),
        ("srcaddr", vxlan.local),
    ]
    .into_iter()
    .find_map(|(key, address)| Some(format!("{key} {}", address.filter(IpAddr::is_ipv6)?)));
    let Some(cidr) = own.or(outer) else {
        return Ok(());
    };
    let key = disable_ipv6();
    let is_off = |key: &SysctlKey| seen.sysctl(Side::Host, key) == Some("1");
    let dev = vxlan.dev.as_ref().filter(|_| vxlan.is_v6());
    let dev = dev.map(device_switch).filter(is_off);
    let why = match (seen.lacks(Side::Host, &key), is_off(&key), dev) {
        (true, ..) => format!("{} is not there (ipv6.disable=1)", key.path().display()),
        (_, true, _) => format!("{key} is 1"),
        (.., Some(key)) => format!("{key} is 1"),
        _ => return Ok(()),
    };
    Err(HostError::NoIpv6 {
        network: network.name.clone(),
        cidr,
        why,
    })
}

/// The questions that tell whether the network's addresses are the node's already, those of every subnet of the
/// underlay's device included.
pub fn overlap_reads(network: &Network) -> Vec<Read> {
    let dev = network.options.vxlan.dev.iter();
    let mut reads: Vec<Read> = dev.map(|dev| Read::Addr(Side::Host, dev.clone())).collect();
    reads.extend(overlap_lookups(network));
    reads
}

/// The same by look-ups alone, each of which costs the same however much there is on the node.
pub fn overlap_lookups(network: &Network) -> Vec<Read> {
    let mut reads: Vec<Read> = vtep_read(network).into_iter().collect();
    for cidr in &network.cidrs {
        let nowhere = NOWHERE[usize::from(cidr.is_ipv6())];
        reads.push(Read::Lookup(Side::Host, Lookup::to(nowhere)));
        let ends = ends(*cidr);
        reads.extend(ends.map(|end| Read::Lookup(Side::Host, Lookup::to(end))));
    }
    reads
}

/// Where the kernel is left to choose the outer packets' address: the group, and the device to it.
fn chosen_by_route(network: &Network) -> Option<(IpAddr, IfName)> {
    let vxlan = &network.options.vxlan;
    let first = || network.peers.as_ref()?.first().copied();
    let to = (vxlan.group.or_else(first)?, vxlan.dev.clone()?);
    vxlan.local.is_none().then_some(to)
}

/// The address of the outer packets, as it was seen; `Some(None)` where there is none.
fn source(network: &Network, seen: &Observed) -> Option<Option<IpAddr>> {
    let (group, dev) = chosen_by_route(network)?;
    seen.source(group, &dev)
}

/// The question that tells the node's own VTEP; none where the configuration does.
pub fn vtep_read(network: &Network) -> Option<Read> {
    chosen_by_route(network).map(|(group, dev)| Read::Source(group, dev))
}

/// The same, where the facts of a network need it: with peers, of which the node itself is none, and with an anycast gateway.
pub fn source_read(network: &Network) -> Option<Read> {
    let is_needed = network.peers.is_some() || network.gateway == Gateway::Anycast;
    vtep_read(network).filter(|_| is_needed)
}

/// The addresses of the underlay device, as far as they were seen. One that is tentative will be usable in a second.
pub fn addresses(network: &Network, seen: &Observed) -> impl Iterator<Item = IpAddr> {
    let link = device(network, seen).into_iter();
    let listed = link.flat_map(|link| &link.addr_info);
    listed.filter(|one| !one.dadfailed).map(|one| one.local)
}

/// The address of the node's own VTEP, as far as it is known.
pub fn vtep(network: &Network, seen: &Observed) -> Option<IpAddr> {
    let local = network.options.vxlan.local;
    let known = local.or_else(|| standing(network, seen).flatten());
    let known = known.or_else(|| peers::own(network, seen));
    known.or_else(|| source(network, seen).flatten())
}

/// The address that a vxlan device with peers was made with, where it is still one of the node's; `Some(None)` where that was left to
/// the kernel. It stays for as long as the device does: who else is a peer by now changes nothing of it.
fn standing(network: &Network, seen: &Observed) -> Option<Option<IpAddr>> {
    let vxlan = &network.options.vxlan;
    if vxlan.group.is_some() || vxlan.local.is_some() {
        return None;
    }
    let listed = || {
        seen.vxlans()
            .iter()
            .find(|one| one.ifname == network.vx.as_str())
    };
    let link = seen.link(Side::Host, &network.vx).or_else(listed)?;
    let data = link.data();
    let local = data.local.or(data.local6);
    let own: Vec<IpAddr> = addresses(network, seen).collect();
    let is_the_nodes = |local: IpAddr| own.is_empty() || own.contains(&local);
    match local {
        None if vxlan.v6 => None,
        None => Some(None),
        Some(local) => is_the_nodes(local).then_some(Some(local)),
    }
}

/// The address that the vxlan device is made with: that of the configuration; with peers the one by which the others know this node,
/// else the kernel's choice, of IPv6 in so many words, since by it alone the kernel knows the family.
pub fn local(network: &Network, seen: &Observed) -> Option<IpAddr> {
    let vxlan = &network.options.vxlan;
    if vxlan.local.is_some() || vxlan.group.is_some() {
        return vxlan.local;
    }
    standing(network, seen).unwrap_or_else(|| {
        let chosen = || source(network, seen).flatten().filter(|_| vxlan.v6);
        peers::own(network, seen).or_else(chosen)
    })
}

/// An address at either end of a network that is not the gateway's.
pub fn ends(cidr: IpNetwork) -> [IpAddr; 2] {
    let (first, last) = (number(cidr.network()), number(cidr.broadcast()));
    let is_free = |number: &u128| address(cidr, *number) != cidr.ip();
    let low = (first + 1..=last).take(2).find(is_free);
    let high = (first..last).rev().take(2).find(is_free);
    [low.unwrap_or(first), high.unwrap_or(last)].map(|number| address(cidr, number))
}

/// Refuses to join a network whose addresses are in use on this node: the underlay's, its gateway's, another
/// device's; one that the node has joined is beyond that. What a routing daemon knows of the network by way of other nodes is none of these, nor is
/// what is on the network's own gateway device.
///
/// # Errors
/// [`HostError::Overlap`].
pub fn check_before_joining(network: &Network, seen: &Observed) -> Result<(), HostError> {
    match seen.link(Side::Host, &network.mv) {
        Some(_) => Ok(()),
        None => check_overlap(network, seen),
    }
}

/// As [`check_before_joining`], also of a network that the node has joined.
///
/// # Errors
/// [`HostError::Overlap`].
pub fn check_overlap(network: &Network, seen: &Observed) -> Result<(), HostError> {
    for cidr in &network.cidrs {
        if let Some(other) = overlap(network, *cidr, seen) {
            return Err(HostError::Overlap {
                network: network.name.clone(),
                cidr: *cidr,
                other,
            });
        }
    }
    Ok(())
}

fn overlap(network: &Network, cidr: IpNetwork, seen: &Observed) -> Option<String> {
    let meets = |other: &IpNetwork| {
        Family::of(other.ip()) == Family::of(cidr.ip())
            && (other.contains(cidr.network()) || cidr.contains(other.network()))
    };
    let underlay = device(network, seen);
    let subnets = underlay.iter().flat_map(|link| &link.addr_info);
    let mut subnets = subnets.filter_map(|one| IpNetwork::new(one.local, one.prefixlen).ok());
    if let Some((subnet, link)) = subnets.find(meets).zip(underlay) {
        return Some(format!("{} of {}", Network::subnet(subnet), link.ifname));
    }
    let own = network
        .options
        .vxlan
        .local
        .or(source(network, seen).flatten());
    // The gateway's own is what the kernel falls back to where the underlay's device has lost its address.
    let is_in = |own: &IpAddr| cidr.contains(*own) && *own != cidr.ip();
    if let Some(own) = own.filter(is_in) {
        return Some(format!("{own}, this node's address on the underlay"));
    }
    let lookup = |to| seen.lookup(Side::Host, Lookup::to(to));
    let default = lookup(NOWHERE[usize::from(cidr.is_ipv6())]);
    if let Some(gateway) = default.and_then(RouteRecord::gateway)
        && cidr.contains(gateway)
    {
        return Some(format!("{gateway}, this node's gateway"));
    }
    let taken = |route: &&RouteRecord| is_anothers(route, network, cidr);
    let taken = ends(cidr).into_iter().filter_map(lookup).find(taken)?;
    Some(format!("the route `{}`", taken.shown()))
}

/// Whether a route leads straight to a device other than the network's own gateway.
fn is_anothers(route: &RouteRecord, network: &Network, cidr: IpNetwork) -> bool {
    let direct = route.gateway().is_none() && route.nexthops.is_empty();
    let everything = route
        .destination(Family::of(cidr.ip()))
        .is_none_or(|dst| dst.prefix() == 0);
    let reaches = matches!(route.kind.as_deref(), None | Some("unicast" | "local"));
    let dev = route.dev.as_deref();
    reaches && direct && !everything && dev.is_some_and(|dev| dev != network.mv.as_str())
}

/// What keeps an underlay device from carrying the network, though it is there and large enough; in words,
/// and what to do.
pub fn fault(network: &Network, seen: &Observed) -> Option<(String, String)> {
    let link = device(network, seen)?;
    let dev = &link.ifname;
    if !link.flag("UP") {
        let advice = format!("`ip link set dev {dev} up`, or correct options.vtepdev");
        return Some((format!("the underlay device `{dev}` is down"), advice));
    }
    if let Some(master) = &link.master
        && let Some(what) = link.enslaved()
    {
        let said =
            format!("the underlay device `{dev}` is {what} {master}: what arrives goes there");
        return Some((said, format!("set options.vtepdev to `{master}`")));
    }
    let vxlan = &network.options.vxlan;
    let family = if vxlan.is_v6() {
        Family::V6
    } else {
        Family::V4
    };
    if source(network, seen).is_some_and(|source| is_none_of_the_underlay(network, source)) {
        let said = format!("the underlay device `{dev}` has no {family} address to send from");
        let advice = "give it one, or set options.srcaddr to an address of this node";
        return Some((said, advice.to_owned()));
    }
    None
}

/// Whether an address is none by which other nodes answer: without one on the underlay the kernel takes another device's, and
/// that may be a gateway's.
fn is_none_of_the_underlay(network: &Network, source: Option<IpAddr>) -> bool {
    let mut ours = network.filter.all.iter().chain(&network.cidrs);
    source.is_none_or(|source| ours.any(|subnet| subnet.contains(source)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::config::Config;
    use serde_json::{Value, json};

    fn config() -> Config {
        let network = json!({"id": 1, "name": "blue", "cidr": "10.1.0.1/16",
            "options": {"vtepdev": "d0", "group": "239.1.1.1"}});
        Config::read(&json!({"ipam": {"type": "route-table"}, "vxlans": [network]})).unwrap()
    }

    /// A device as iproute2 6.1 shows it on Linux 6.1, less what is not read.
    fn device(master: &str, kind: &str) -> Value {
        json!([{"ifindex": 3, "ifname": "d0", "flags": ["BROADCAST", "UP", "LOWER_UP"], "mtu": 1500, "master": master,
            "linkinfo": {"info_kind": "dummy", "info_slave_kind": kind}}])
    }

    fn fault_of(link: Value, source: Option<&str>) -> Option<String> {
        let config = config();
        let network = &config.networks[0];
        let dev: IfName = "d0".parse().unwrap();
        let mut seen = Observed::default();
        seen.take(&Read::Link(Side::Host, dev.clone()), Some(link))
            .unwrap();
        let to = network.options.vxlan.group.unwrap();
        let shown = json!([{"dst": "239.1.1.1", "dev": "d0", "prefsrc": source}]);
        seen.take(&Read::Source(to, dev), Some(shown)).unwrap();
        fault(network, &seen).map(|(said, advice)| format!("{said}; {advice}"))
    }

    #[test]
    fn a_member_of_a_bond_and_a_port_of_a_bridge_carry_nothing_and_one_of_a_vrf_does() {
        for (master, kind, words) in [
            ("bond0", "bond", "`d0` is a member of the bond bond0"),
            ("br0", "bridge", "`d0` is a port of the bridge br0"),
            ("team0", "team", "`d0` is a part of team0"),
        ] {
            let fault = fault_of(device(master, kind), Some("198.18.0.1")).unwrap();
            assert!(
                fault.contains(words) && fault.contains(&format!("options.vtepdev to `{master}`")),
                "{fault}"
            );
        }
        assert_eq!(fault_of(device("v9", "vrf"), Some("198.18.0.1")), None);
        let none = fault_of(device("v9", "vrf"), None).unwrap();
        assert!(none.contains("has no IPv4 address to send from"), "{none}");
    }

    #[test]
    fn both_ends_of_a_network_that_are_looked_up_are_other_addresses_than_the_gateway() {
        for (cidr, wanted) in [
            ("10.1.0.1/16", ["10.1.0.2", "10.1.255.254"]),
            ("10.1.255.254/16", ["10.1.0.1", "10.1.255.253"]),
            ("10.1.0.1/31", ["10.1.0.0", "10.1.0.0"]),
            ("fd10::1/64", ["fd10::2", "fd10::ffff:ffff:ffff:fffe"]),
        ] {
            let ends = ends(cidr.parse().unwrap());
            assert_eq!(ends.map(|end| end.to_string()), wanted, "{cidr}");
        }
    }
}

//! The host side of a network: the vxlan device, the gateway, the bypass, forwarding.

use ipnetwork::IpNetwork;

use super::anycast;
use super::fact::{Fact, Kind, Probe};
use super::guard;
use super::observed::Observed;
use super::peers;
use super::read::Read;
use super::side::Side;
use super::trust;
use super::underlay::{self, HostError};
use super::way_back;
use crate::config::Network;
use crate::config::hosts::{address, number};
use crate::ip::link::{Setting, Vxlan};
use crate::ip::route::{Lookup, Route};
use crate::ip::rule::Rule;
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName};

/// The facts of the host side, in the order in which they are made.
///
/// # Errors
/// [`HostError`], see [`underlay::mtu`] and [`underlay::check_ipv6`].
pub fn facts(network: &Network, seen: &Observed) -> Result<Vec<Fact>, HostError> {
    peers::check(network)?;
    underlay::check_ipv6(network, seen)?;
    let mtu = underlay::mtu(network, seen)?;
    Ok(facts_with(network, mtu, seen))
}

/// The facts that only an operator asks about: another program tells them.
pub fn listed(network: &Network, seen: &Observed) -> Vec<Fact> {
    let vxlan = &network.options.vxlan;
    let flood = |to| Fact::Flood {
        dev: network.vx.clone(),
        to,
        via: underlay::name(network, seen),
    };
    vxlan.group.map(flood).into_iter().collect()
}

/// The questions about the host side, the underlay's MTU among them.
pub fn reads(network: &Network, probe: Probe) -> Vec<Read> {
    let facts = facts_with(network, network.mtu, &Observed::default());
    let mut reads = super::reads(&facts, probe);
    reads.extend(underlay::ipv6_reads(network));
    reads.extend(anycast::reads(network, probe));
    reads.extend(underlay::source_read(network));
    reads.extend(peers::reads(network, probe));
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
    reads.extend(anycast::reads_behind(network, seen));
    reads.retain(|read| !seen.was_asked(read));
    reads
}

/// The facts once the MTU is known.
fn facts_with(network: &Network, mtu: Option<u32>, seen: &Observed) -> Vec<Fact> {
    let mut facts = forwarding(network, seen);
    // Before there is a device by which a pod could get around it.
    facts.extend(guard::fact(network, seen));
    facts.extend(vxlan(network, mtu, seen));
    facts.extend(gateway_device(network, mtu, seen));
    // Before any of them is up: what comes in by a new device is taken as `default` says.
    let ipv6 = underlay::has_ipv6(seen, mtu);
    facts.extend(trust::switches(Side::Host, &network.vx, ipv6));
    facts.extend(switches(network, ipv6));
    facts.extend(anycast::switches(network, seen));
    facts.push(up(&network.vx, Kind::Vxlan));
    // The device's first, so that what is asked of an address outside of its subnets has it as the sender's.
    facts.extend(anycast::own_addresses(network, ipv6, seen));
    facts.extend(anycast::of_another_length(network, seen));
    facts.extend(gateway(network));
    // Behind those that the kernel makes once the device is up.
    facts.extend(anycast::routes(network, seen));
    facts.extend(bypass(network));
    // By another program: behind all that `ip` does.
    facts.extend(peers::facts(network, seen));
    facts
}

/// What leads around the routes within its subnets.
fn bypass(network: &Network) -> Vec<Fact> {
    let cidrs = || network.cidrs.iter().filter(|_| network.bypass);
    let routes = cidrs().map(|cidr| bypass_route(network, *cidr));
    let rules = cidrs().flat_map(|cidr| lookups(network, *cidr));
    routes.chain(rules).collect()
}

/// What pods need of a definition that is no longer the latest one: their gateway, and its way around the routes.
pub fn for_its_pods(network: &Network) -> Vec<Fact> {
    let mut facts = addresses(network);
    facts.extend(bypass(network));
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
    // What one of ours has learnt, it has from a pod.
    let learnt = seen.learnt().iter().filter(|dev| !is_of_a_network(dev));
    devices.extend(learnt.filter_map(|dev| IfName::new(dev).ok()));
    devices.sort();
    devices.dedup();
    devices
}

/// Whether a device is of this network or another, by its name.
fn is_of_a_network(dev: &str) -> bool {
    dev.starts_with("vx_") || dev.starts_with("mv_")
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

/// The vxlan device, down. It answers no ARP and has no address of its own: only the macvlans on it talk.
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
    ];
    let setting = |setting| Fact::Setting {
        side: Side::Host,
        dev: dev(),
        kind: Kind::Vxlan,
        setting,
    };
    std::iter::once(device(network, seen))
        .chain(settings.into_iter().flatten().map(setting))
        .collect()
}

/// The vxlan device is there: with it goes all of the host side but the rules and the guard.
pub fn device(network: &Network, seen: &Observed) -> Fact {
    Fact::Vxlan {
        name: network.vx.clone(),
        vxlan: Box::new(wanted_vxlan(network, seen)),
    }
}

/// What the vxlan device is to be, on the underlay as it was seen.
pub fn wanted_vxlan(network: &Network, seen: &Observed) -> Vxlan {
    let vxlan = &network.options.vxlan;
    Vxlan {
        dev: underlay::name(network, seen),
        local: underlay::local(network, seen),
        ..vxlan.clone()
    }
}

fn up(dev: &IfName, kind: Kind) -> Fact {
    Fact::Setting {
        side: Side::Host,
        dev: dev.clone(),
        kind,
        setting: Setting::Up,
    }
}

/// The gateway's device, down: a macvlan beside the containers' own. Its MTU first: below 1280 it has no switches
/// of IPv6.
fn gateway_device(network: &Network, mtu: Option<u32>, seen: &Observed) -> Vec<Fact> {
    let side = Side::Host;
    let mut facts = vec![Fact::Macvlan {
        side,
        name: network.mv.clone(),
        parent: network.vx.clone(),
        made_as: network.mv.clone(),
        address: anycast::mac_to_make(network, seen),
    }];
    let queue = network.options.bcqueuelen.map(Setting::BcQueueLen);
    let settings = mtu.map(Setting::Mtu).into_iter().chain(queue);
    facts.extend(settings.map(|setting| Fact::Setting {
        side,
        dev: network.mv.clone(),
        kind: Kind::Macvlan,
        setting,
    }));
    facts
}

/// The gateway's switches.
fn switches(network: &Network, ipv6: bool) -> Vec<Fact> {
    let switch = |family, name, value| Fact::Sysctl {
        side: Side::Host,
        key: SysctlKey::Device(family, network.mv.clone(), name),
        value,
        or: &[],
    };
    let mut facts = Vec::new();
    if network.cidr(Family::V4).is_some() {
        facts.push(switch(Family::V4, "forwarding", "1"));
        // Loose: with /32 routes from a routing protocol the way back may leave by another device.
        facts.push(switch(Family::V4, "rp_filter", "2"));
    }
    if network.cidr(Family::V6).is_some() {
        facts.push(switch(Family::V6, "disable_ipv6", "0"));
    }
    if ipv6 {
        // While the link-local address is tentative the gateway cannot ask who has an address (RFC 4862,
        // 5.4): for a second nothing from elsewhere would reach a container; on a network of IPv4, who has a MAC.
        facts.push(switch(Family::V6, "accept_dad", "0"));
    }
    facts.extend(trust::switches(Side::Host, &network.mv, ipv6));
    facts
}

/// The gateway: the node's address in each family.
fn gateway(network: &Network) -> Vec<Fact> {
    let mut facts = addresses(network);
    facts.push(up(&network.mv, Kind::Macvlan));
    facts
}

fn addresses(network: &Network) -> Vec<Fact> {
    let address = |cidr: &IpNetwork| Fact::Address {
        side: Side::Host,
        dev: network.mv.clone(),
        address: anycast::address(network, *cidr),
        role: anycast::role(network),
    };
    network.cidrs.iter().map(address).collect()
}

/// The subnet is on the gateway's device, in a table of its own.
fn bypass_route(network: &Network, cidr: IpNetwork) -> Fact {
    let route = Route {
        table: network.table,
        ..Route::new(Network::subnet(cidr), None, &network.mv)
    };
    // IPv6 routes are listed by a process of their own; the look-up that shows the rule shows the route too.
    let witness = cidr.is_ipv6().then(|| witness(network, cidr));
    Fact::Route {
        side: Side::Host,
        route,
        witness,
        beside: false,
    }
}

/// The rules of a subnet, each with a look-up that it alone answers from its table.
fn lookups(network: &Network, cidr: IpNetwork) -> Vec<Fact> {
    let wanted = |rule: &Rule| rule.fwmark.is_none() || way_back::is_marked(network);
    let rules = rules_of(network, cidr).into_iter();
    let rules = rules.filter(wanted);
    rules.map(|rule| rule_fact(network, cidr, rule)).collect()
}

fn rule_fact(network: &Network, cidr: IpNetwork, rule: Rule) -> Fact {
    let within = witness(network, cidr);
    let witness = Lookup {
        from: within.from.filter(|_| rule.from.is_some()),
        mark: rule.fwmark,
        ..within
    };
    Fact::Rule { rule, witness }
}

/// Within the subnet the bypass's table is asked first: what is directly connected goes directly, whatever more specific
/// route a routing protocol has. But for answers that must go the way that their question came.
fn rules_of(network: &Network, cidr: IpNetwork) -> [Rule; 3] {
    let subnet = Network::subnet(cidr);
    let bypass = Rule {
        pref: network.pref,
        from: Some(subnet),
        to: subnet,
        fwmark: None,
        lookup: network.table,
    };
    let [by_the_routes, straight] = way_back::rules(&bypass);
    [by_the_routes, straight, bypass]
}

/// A look-up within the subnet, from the gateway to some other address.
fn witness(network: &Network, cidr: IpNetwork) -> Lookup {
    let last = number(cidr.broadcast());
    let other = if address(cidr, last) == cidr.ip() {
        last.saturating_sub(1)
    } else {
        last
    };
    debug_assert!(network.cidrs.contains(&cidr));
    Lookup::to(address(cidr, other)).from(cidr.ip())
}

/// Every rule that a network can have made, with guard and bypass or without: they stay behind the devices.
pub fn rules(network: &Network) -> Vec<Fact> {
    let cidrs = network.cidrs.iter();
    let rules = cidrs.flat_map(|cidr| rules_of(network, *cidr).map(|rule| (*cidr, rule)));
    rules
        .map(|(cidr, rule)| rule_fact(network, cidr, rule))
        .collect()
}

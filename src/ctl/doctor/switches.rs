//! Switches of the kernel by which a device takes no packets or answers no ARP. Of the device's own and everybody's the
//! larger counts (`ip-sysctl`, `rp_filter` and `arp_ignore`).

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::report::{Finding, Id};
use super::wire;
use crate::config::Network;
use crate::ip::link::{AddrRecord, LinkRecord};
use crate::ip::route::{Lookup, RouteRecord};
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName, TableId};
use crate::plan::{Observed, Read, Side, guard, underlay};

/// Reverse path filtering: 1 drops what comes by another device than its answer would leave by.
const FILTER: &str = "rp_filter";

/// Which questions of ARP are answered: from 8 on none.
const IGNORE: &str = "arp_ignore";

/// The least `arp_ignore` at which nothing is answered; 3 to 7 still answer for addresses of a subnet.
const NOTHING: u32 = 8;

/// Of how many other nodes the way is looked up.
const MOST: usize = 64;

/// The questions about the switches.
pub fn reads(network: &Network) -> Vec<Read> {
    let devices = [Some(network.mv.clone()), network.options.vxlan.dev.clone()];
    let devices: Vec<IfName> = devices.into_iter().flatten().collect();
    let of = |name| {
        let own = devices.iter().map(move |dev| of_device(dev, name));
        own.chain([of_all(name)])
    };
    let keys = [FILTER, IGNORE].into_iter().flat_map(of);
    keys.map(|key| Read::Sysctl(Side::Host, key)).collect()
}

/// The questions about the ways to other nodes that are known.
pub fn ways(network: &Network, seen: &Observed) -> Vec<Read> {
    let peers = wire::peers(network, seen).into_iter().take(MOST);
    peers
        .map(|peer| Read::Lookup(Side::Host, Lookup::to(peer)))
        .collect()
}

fn of_all(name: &'static str) -> SysctlKey {
    SysctlKey::All(Family::V4, name)
}

fn of_device(dev: &IfName, name: &'static str) -> SysctlKey {
    SysctlKey::Device(Family::V4, dev.clone(), name)
}

/// A switch of all devices and of one.
fn both(seen: &Observed, dev: &IfName, name: &'static str) -> Option<(u32, u32)> {
    let value = |key| seen.sysctl(Side::Host, &key)?.parse().ok();
    Some((value(of_all(name))?, value(of_device(dev, name))?))
}

/// All that is found about them.
pub fn findings(network: &Network, seen: &Observed) -> Vec<Finding> {
    let dev = underlay::name(network, seen);
    let mut findings: Vec<Finding> = filter(network, seen).into_iter().collect();
    findings.extend(nowhere(network, seen));
    let vxlan = &network.options.vxlan;
    if let Some(dev) = dev.filter(|_| !vxlan.is_v6()) {
        findings.extend(of_the_underlay(network, seen, &dev));
        findings.extend(arp(&dev, seen));
    }
    if network.cidr(Family::V4).is_some() {
        findings.extend(arp(&network.mv, seen));
    }
    findings
}

fn filter(network: &Network, seen: &Observed) -> Option<Finding> {
    network.cidr(Family::V4)?;
    let mv = &network.mv;
    let (all, own) = both(seen, mv, FILTER)?;
    Some(match all.max(own) {
        1 => Finding::failed(
            Id::RpFilter,
            format!("rp_filter of {mv} is strict (all {all}, {mv} {own})"),
        )
        .inspect(format!(
            "sysctl net.ipv4.conf.all.rp_filter {}",
            of_device(mv, FILTER)
        ))
        .fix(format!("sysctl -w {}=2", of_device(mv, FILTER))),
        larger => Finding::ok(
            Id::RpFilter,
            format!("rp_filter of {mv} is {larger}, the larger of all and its own"),
        ),
    })
}

/// A strict one drops what comes from another node where the way to it leads by another device, as a VPN's routes do.
fn of_the_underlay(network: &Network, seen: &Observed, dev: &IfName) -> Option<Finding> {
    let (all, own) = both(seen, dev, FILTER).filter(|(all, own)| *all.max(own) == 1)?;
    let peers = wire::peers(network, seen);
    let other = |peer: &IpAddr| Some((*peer, elsewhere(network, seen, *peer)?.dev.clone()?));
    let (peer, by) = peers.iter().find_map(other)?;
    let what = format!(
        "rp_filter of {dev} is strict (all {all}, {dev} {own}), and the way to {peer} is by {by}: what comes from there by {dev} is dropped"
    );
    Some(
        Finding::failed(Id::RpFilter, what)
            .inspect(format!(
                "sysctl {} {}",
                of_all(FILTER),
                of_device(dev, FILTER)
            ))
            .fix(format!("sysctl -w {}=2", of_device(dev, FILTER))),
    )
}

/// The route to another node, where it leads by another device than the underlay's. Behind a VRF that is as it should be,
/// and so it is where the device only holds an address.
fn elsewhere<'a>(network: &Network, seen: &'a Observed, peer: IpAddr) -> Option<&'a RouteRecord> {
    let link = plain(network, seen, peer)?;
    let route = seen.lookup(Side::Host, Lookup::to(peer))?;
    let by = route.dev.as_deref()?;
    (by != link.ifname).then_some(route)
}

/// The underlay's device, where the way to another node is what a look-up without a device tells.
fn plain<'a>(network: &Network, seen: &'a Observed, peer: IpAddr) -> Option<&'a LinkRecord> {
    let is_local = matches!(peer, IpAddr::V6(peer) if peer.is_unicast_link_local());
    let link = underlay::device(network, seen)?;
    let is_plain = link.master.is_none() && !guard::ways_in(network, seen).is_empty();
    (is_plain && !is_local).then_some(link)
}

/// The other nodes to which no route leads, as behind a device that has lost its address: what is sent to all still leaves
/// by the device, and what is sent to one that was learnt is looked up as here, unless it has an address of its own to leave by.
fn nowhere(network: &Network, seen: &Observed) -> Option<Finding> {
    let is_lost = |peer: &IpAddr| {
        let lookup = Lookup::to(*peer);
        let was_asked = seen.was_asked(&Read::Lookup(Side::Host, lookup));
        was_asked && seen.lookup(Side::Host, lookup).is_none()
    };
    let is_chosen = network.options.vxlan.local.is_none();
    let peers = wire::peers(network, seen).into_iter();
    let lost: Vec<IpAddr> = peers.filter(|peer| is_chosen && is_lost(peer)).collect();
    let peer = *lost.first()?;
    let link = plain(network, seen, peer)?;
    let (dev, family) = (&link.ifname, Family::of(peer));
    let is_usable = |own: &AddrRecord| {
        let local = matches!(own.local, IpAddr::V6(own) if own.is_unicast_link_local());
        Family::of(own.local) == family && !local
    };
    let (why, fix) = match link.addr_info.iter().any(is_usable) {
        true => (
            String::new(),
            format!(
                "give {peer} a route by {dev}: ip route replace {} via GATEWAY dev {dev}",
                IpNetwork::from(peer)
            ),
        ),
        false => (
            format!(": {dev} has no {family} address of the underlay's"),
            format!("give it one: ip addr add ADDRESS/LENGTH dev {dev}"),
        ),
    };
    let more = match lost.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let what = format!("no route leads to {peer}{more}{why}");
    let finding = Finding::failed(Id::UnderlayWay, what);
    Some(finding.inspect(format!("ip route get {peer}")).fix(fix))
}

/// Why a node that does not answer does not: what is sent to a VTEP that was learnt goes by the route to it, whatever the
/// underlay's device is (`vxlan_xmit_one`).
pub fn way(network: &Network, seen: &Observed, peer: IpAddr) -> Option<Finding> {
    let route = elsewhere(network, seen, peer)?;
    let link = underlay::device(network, seen)?;
    let (dev, by) = (&link.ifname, route.dev.as_deref()?);
    let is_near = link.addr_info.iter().any(|own| {
        let subnet = IpNetwork::new(own.local, own.prefixlen);
        subnet.is_ok_and(|subnet| subnet.contains(peer))
    });
    let fix = match (is_near, route.table() == Some(TableId::MAIN)) {
        (true, true) => format!("ip route replace {} dev {dev}", IpNetwork::from(peer)),
        (_, false) => format!(
            "ip rule add pref 1 to {} lookup main",
            IpNetwork::from(peer)
        ),
        (false, true) => format!(
            "give {peer} a route by {dev}: ip route replace {} via GATEWAY dev {dev}",
            IpNetwork::from(peer)
        ),
    };
    let what = format!(
        "packets to {peer} leave by {by}, not by {dev}: the route `{}`",
        route.shown()
    );
    let finding = Finding::failed(Id::UnderlayWay, what);
    Some(finding.inspect(format!("ip route get {peer}")).fix(fix))
}

fn arp(dev: &IfName, seen: &Observed) -> Option<Finding> {
    let (all, own) = both(seen, dev, IGNORE)?;
    if all.max(own) < NOTHING {
        return Some(Finding::ok(Id::Arp, format!("ARP is answered on {dev}")));
    }
    let of = |(key, value): (SysctlKey, u32)| (value >= NOTHING).then(|| format!("{key}=1"));
    let keys = [(of_all(IGNORE), all), (of_device(dev, IGNORE), own)];
    let mend: Vec<String> = keys.into_iter().filter_map(of).collect();
    let what = format!(
        "no question of ARP is answered on {dev}: arp_ignore is {} (all {all}, {dev} {own})",
        all.max(own)
    );
    Some(
        Finding::failed(Id::Arp, what)
            .inspect(format!(
                "sysctl {} {}",
                of_all(IGNORE),
                of_device(dev, IGNORE)
            ))
            .fix(format!("sysctl -w {}", mend.join(" "))),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::ctl::doctor::report::State;

    #[test]
    fn a_device_that_answers_no_arp_is_crossed_with_the_switch_that_says_so() {
        let dev: IfName = "mv_blue".parse().unwrap();
        for (all, own, state, fix) in [
            ("0", "0", State::Ok, None),
            // As load balancers set it: still answered for addresses of the device.
            ("1", "2", State::Ok, None),
            (
                "0",
                "8",
                State::Failed,
                Some("sysctl -w net.ipv4.conf.mv_blue.arp_ignore=1"),
            ),
            (
                "8",
                "8",
                State::Failed,
                Some("sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.mv_blue.arp_ignore=1"),
            ),
        ] {
            let mut seen = Observed::default();
            for (key, value) in [(of_all(IGNORE), all), (of_device(&dev, IGNORE), own)] {
                let read = Read::Sysctl(Side::Host, key);
                seen.take(&read, Some(json!(value))).unwrap();
            }
            let found = arp(&dev, &seen).unwrap();
            assert_eq!(
                (found.state, found.fix.as_deref()),
                (state, fix),
                "{all} {own}"
            );
        }
    }
}

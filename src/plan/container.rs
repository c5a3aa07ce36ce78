//! The pod side of an attachment: its macvlan, addresses and routes.

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::anti_spoof;
use super::anycast;
use super::fact::{Fact, Kind};
use super::observed::Observed;
use super::read::Read;
use super::side::Side;
use super::trust;
use crate::cni::result::{self, CniResult};
use crate::config::hosts::mac_of;
use crate::config::{DefaultRoute, MacChoice, Network};
use crate::ip::addr::Role;
use crate::ip::link::{LinkRecord, Setting};
use crate::ip::route::{Lookup, Route};
use crate::ip::sysctl::SysctlKey;
use crate::ip::{Family, IfName, Mac, TableId};

/// A switch that every device has which can carry IPv4.
const NAMESAKE: &str = "forwarding";

/// What an attachment needs to know to be made: an interface on a network, with a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container<'a> {
    /// The network.
    pub network: &'a Network,
    /// The container's interface.
    pub ifname: IfName,
    /// The name the interface is made under: its own, or [`temporary`].
    pub made_as: IfName,
    /// MTU in bytes; none is the vxlan's.
    pub mtu: Option<u32>,
    /// Whether the interface can carry IPv6, whatever the network has: see [`super::underlay::has_ipv6`].
    pub ipv6: bool,
    /// The MAC asked for.
    pub mac: Option<Mac>,
    /// The MAC of the node's gateway, see [`anycast::mac`].
    pub gateway_mac: Option<Mac>,
    /// What the IPAM gave: addresses, gateways, routes.
    pub lease: &'a CniResult,
}

/// The first fact: the interface is there. Known before the lease.
pub fn link(network: &Network, ifname: &IfName, made_as: &IfName) -> Fact {
    Fact::Macvlan {
        side: Side::Pod,
        name: ifname.clone(),
        parent: network.vx.clone(),
        made_as: made_as.clone(),
        address: None,
    }
}

/// A name that no other device has, for an interface to be made under and renamed from in the pod.
///
/// Kernels before 6.15 look the name of a link that is made with `netns POD` up in the node's own namespace
/// too, and say `File exists` where the node has a device of that name (seen on 6.1 and 6.12). It follows
/// from the attachment, so that a DEL finds an interface that never got its own name: `tmp` and 48 bits of
/// a hash (FNV-1a, 64 bits).
pub fn temporary(container: &str, ifname: &IfName) -> IfName {
    let bytes = container
        .bytes()
        .chain([b'/'])
        .chain(ifname.as_str().bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    IfName::new(&format!("tmp{:012x}", hash >> 16)).unwrap_or_else(|_| ifname.clone())
}

/// What tells whether the node has a device of a name: each that can carry IPv4 has this switch, and a file
/// costs no process. Other names of a device (`altname`) do not show there.
pub fn namesake(ifname: &IfName) -> Read {
    Read::Sysctl(
        Side::Host,
        SysctlKey::Device(Family::V4, ifname.clone(), NAMESAKE),
    )
}

/// The name to make an interface under: its own where the node, as it was seen, has no [`namesake`].
pub fn made_as(container: &str, ifname: &IfName, seen: &Observed) -> IfName {
    let key = SysctlKey::Device(Family::V4, ifname.clone(), NAMESAKE);
    match seen.sysctl(Side::Host, &key) {
        Some(_) => temporary(container, ifname),
        None => ifname.clone(),
    }
}

/// The switches of the interface, which must stand before it comes up. Known before the lease.
pub fn switches(network: &Network, ifname: &IfName, ipv6: bool) -> Vec<Fact> {
    let switch = |family, name, value| Fact::Sysctl {
        side: Side::Pod,
        key: SysctlKey::Device(family, ifname.clone(), name),
        value,
        or: &[],
    };
    let of = |family| match family {
        // Announces the address when the interface comes up: other nodes learn at once where it is now.
        Family::V4 => vec![switch(family, "arp_notify", "1")],
        Family::V6 => vec![
            switch(family, "disable_ipv6", "0"),
            switch(family, "ndisc_notify", "1"),
        ],
    };
    let mut facts: Vec<Fact> = network.families().flat_map(of).collect();
    facts.extend(trust::switches(Side::Pod, ifname, ipv6));
    facts.push(trust::of_the_whole_pod());
    facts
}

/// What plugins behind ours may have wanted otherwise, and the network can live with.
#[derive(Debug)]
pub struct Theirs {
    /// The MTU that the vxlan has, or had before it was mended: at that an interface is by the kernel, which makes none
    /// larger than what it is on.
    pub parents_mtu: Option<u32>,
    /// The families of the interface's addresses.
    pub families: Vec<Family>,
}

impl Theirs {
    /// Whether a smaller MTU may be theirs: not where the addresses of IPv6 go with it.
    pub fn may_have(&self, mtu: u32) -> bool {
        let least = self.families.iter().map(|family| family.mtu_min());
        Some(mtu) != self.parents_mtu && Some(mtu) >= least.max()
    }

    /// Whether a fact does not hold in such a way: a smaller MTU, or a switch at another value. Without `disable_ipv6` at
    /// 0 the interface has no addresses of IPv6.
    pub fn may_be(&self, fact: &Fact, seen: &Observed) -> bool {
        match fact {
            Fact::Setting {
                side: Side::Pod,
                dev,
                setting: Setting::Mtu(mtu),
                ..
            } => {
                let link = seen.link(Side::Pod, dev);
                link.is_some_and(|link| link.mtu < *mtu && self.may_have(link.mtu))
            }
            Fact::Sysctl {
                side: Side::Pod,
                key,
                value,
                ..
            } => {
                let another = seen
                    .sysctl(Side::Pod, key)
                    .is_some_and(|found| found != *value);
                another && !matches!(key, SysctlKey::Device(_, _, "disable_ipv6"))
            }
            // The kernel takes the routes away of a device that is put into a VRF; whether they come back, into its table,
            // is up to the plugin that put it there (containernetworking/plugins#874).
            Fact::Route {
                side: Side::Pod,
                route,
                ..
            } => {
                let link = seen.link(Side::Pod, &route.dev);
                link.is_some_and(LinkRecord::is_in_a_vrf)
            }
            _ => false,
        }
    }
}

/// The MAC of an attachment by what its record keeps: the one asked for, its network's definition, its lease. One that
/// the kernel chose is not known.
pub fn mac_of_record(
    asked: Option<Mac>,
    definition: &serde_json::Value,
    lease: Option<&CniResult>,
) -> Option<Mac> {
    let lease = lease.filter(|_| definition["mac"] != "random");
    asked.or_else(|| mac_of_lease(lease?))
}

/// The MAC that a lease says: that of its first address.
fn mac_of_lease(lease: &CniResult) -> Option<Mac> {
    lease.ips.first().and_then(|ip| mac_of(ip.address.ip()))
}

impl Container<'_> {
    /// All facts, in the order in which they are made: addresses before `up`, so that the
    /// announcement names them.
    pub fn facts(&self) -> Vec<Fact> {
        let setting = |setting| Fact::Setting {
            side: Side::Pod,
            dev: self.ifname.clone(),
            kind: Kind::Macvlan,
            setting,
        };
        let mut facts = vec![link(self.network, &self.ifname, &self.made_as)];
        // Below an MTU of 1280 the interface has no switches of IPv6.
        facts.extend(self.mtu.map(Setting::Mtu).map(setting));
        facts.extend(switches(self.network, &self.ifname, self.ipv6));
        // Before there is anything that it could send.
        facts.extend(anti_spoof::fact(self));
        let queue = self.network.options.bcqueuelen.map(Setting::BcQueueLen);
        facts.extend(queue.map(setting));
        facts.extend(self.mac().map(Setting::Address).map(setting));
        facts.extend(self.lease.ips.iter().map(|ip| Fact::Address {
            side: Side::Pod,
            dev: self.ifname.clone(),
            address: ip.address,
            role: Role::Own,
        }));
        facts.push(setting(Setting::Up));
        // Once it is up: what is known of neighbours goes where it comes up.
        let families = self.families();
        let (network, ifname) = (self.network, &self.ifname);
        facts.extend(anycast::neighbours(
            network,
            ifname,
            self.gateway_mac,
            &families,
        ));
        let routes = self.routes();
        let same = |one: &Route, other: &Route| {
            (one.dst, one.metric, one.table) == (other.dst, other.metric, other.table)
        };
        facts.extend(routes.iter().enumerate().map(|(index, route)| {
            let beside = routes[..index].iter().any(|earlier| same(earlier, route));
            route_fact(route.clone(), beside)
        }));
        facts
    }

    /// The MAC: what was asked for, or what the first address says.
    pub(super) fn mac(&self) -> Option<Mac> {
        let derived = || match self.network.mac {
            MacChoice::Ip => mac_of_lease(self.lease),
            MacChoice::Random => None,
        };
        self.mac.or_else(derived)
    }

    /// The gateway of a family: the lease's, else the node's.
    fn gateway(&self, family: Family) -> Option<IpAddr> {
        let same = |ip: &&result::Ip| Family::of(ip.address.ip()) == family;
        let leased = self.lease.ips.iter().find(same)?;
        // `static` is given all zeros where there is none.
        let given = leased.gateway.filter(|given| !given.is_unspecified());
        given.or_else(|| self.network.cidr(family).map(|cidr| cidr.ip()))
    }

    /// The routes as a result names them: the lease's, the network's, and one default per family.
    pub fn result_routes(&self) -> Vec<result::Route> {
        let mut routes = self.lease.routes.clone();
        let fresh = |routes: &[result::Route], new: &result::Route| {
            !routes.iter().any(|old| {
                old.dst == new.dst && old.priority == new.priority && old.table == new.table
            })
        };
        for route in &self.network.routes {
            if fresh(&routes, route) {
                routes.push(route.clone());
            }
        }
        for family in self.families() {
            let has =
                |route: &result::Route| is_default(route.dst, family) && route.table.is_none();
            if self.network.default_route != DefaultRoute::No && !routes.iter().any(has) {
                routes.push(self.default_route(family));
            }
        }
        routes
    }

    /// The families of its addresses.
    pub fn families(&self) -> Vec<Family> {
        let ips = self.lease.ips.iter();
        let mut families: Vec<Family> = ips.map(|ip| Family::of(ip.address.ip())).collect();
        families.sort();
        families.dedup();
        families
    }

    fn default_route(&self, family: Family) -> result::Route {
        let priority = match self.network.default_route {
            DefaultRoute::Metric(metric) => Some(metric),
            DefaultRoute::Yes | DefaultRoute::No => None,
        };
        result::Route {
            priority,
            ..result::Route::new(everything(family), self.gateway(family))
        }
    }

    /// The routes as the kernel is told them.
    fn routes(&self) -> Vec<Route> {
        let told = |route: result::Route| {
            let family = Family::of(route.dst.ip());
            let table = route
                .table
                .and_then(|table| TableId::new(table.into()).ok());
            Route {
                metric: route.priority,
                mtu: route.mtu,
                advmss: route.advmss,
                scope: route.scope,
                table: table.unwrap_or(TableId::MAIN),
                ..Route::new(
                    route.dst,
                    route.gw.or_else(|| self.gateway(family)),
                    &self.ifname,
                )
            }
        };
        self.result_routes().into_iter().map(told).collect()
    }
}

/// A route as a fact; an IPv6 one is shown by a look-up that shares a process with the rest.
fn route_fact(route: Route, beside: bool) -> Fact {
    let v6_main = route.family() == Family::V6 && route.table == TableId::MAIN;
    let to = match route.dst.prefix() {
        // Any address that no other route of ours covers; where one does, the look is repeated closely.
        0 => IpAddr::from([0x2000, 0, 0, 0, 0, 0, 0, 1]),
        _ => route.dst.network(),
    };
    Fact::Route {
        side: Side::Pod,
        route,
        witness: v6_main.then_some(Lookup::to(to)),
        beside,
    }
}

/// Everything of a family.
pub fn everything(family: Family) -> IpNetwork {
    let unspecified = match family {
        Family::V4 => IpAddr::from([0; 4]),
        Family::V6 => IpAddr::from([0; 16]),
    };
    // A length of 0 is one of every family's.
    IpNetwork::new(unspecified, 0).unwrap_or_else(|_| unspecified.into())
}

/// Whether a destination is everything of a family.
fn is_default(dst: IpNetwork, family: Family) -> bool {
    dst.prefix() == 0 && Family::of(dst.ip()) == family
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// What is seen of a pod's `eth0`, and what it should be.
    fn seen(mtu: u32, part: Option<&str>) -> (Observed, Vec<Fact>) {
        let eth0: IfName = "eth0".parse().unwrap();
        let mut seen = Observed::default();
        let link = json!([{"ifindex": 2, "ifname": "eth0", "mtu": mtu, "addr_info": [],
            "linkinfo": {"info_kind": "macvlan", "info_slave_kind": part}}]);
        seen.take(&Read::Addr(Side::Pod, eth0.clone()), Some(link))
            .unwrap();
        let facts = vec![
            Fact::Setting {
                side: Side::Pod,
                dev: eth0.clone(),
                kind: Kind::Macvlan,
                setting: Setting::Mtu(1450),
            },
            Fact::Route {
                side: Side::Pod,
                route: Route::new(everything(Family::V4), None, &eth0),
                witness: None,
                beside: false,
            },
        ];
        (seen, facts)
    }

    #[test]
    fn a_smaller_mtu_is_a_later_plugins_unless_it_is_the_vxlans_or_too_small_and_so_are_routes_in_a_vrf()
     {
        let (v4, both) = (vec![Family::V4], vec![Family::V4, Family::V6]);
        // As Debian's `vrf` 1.1.1 on Linux 6.1: the routes went when the interface came into the VRF.
        for (mtu, part, parents_mtu, families, theirs) in [
            (1300, None, Some(1450), &both, [true, false]),
            (1300, None, Some(1300), &v4, [false, false]),
            (1500, None, Some(1500), &v4, [false, false]),
            (1200, None, Some(1450), &v4, [true, false]),
            (1200, None, Some(1450), &both, [false, false]),
            (1450, Some("vrf"), Some(1450), &v4, [false, true]),
            (1450, Some("bridge"), Some(1450), &v4, [false, false]),
        ] {
            let (seen, facts) = seen(mtu, part);
            let may = Theirs {
                parents_mtu,
                families: families.clone(),
            };
            let is = |fact: &Fact| may.may_be(fact, &seen);
            assert_eq!([is(&facts[0]), is(&facts[1])], theirs, "{mtu} {part:?}");
        }
    }
}

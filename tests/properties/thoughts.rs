//! Results and pools: what is told in a version is read back, and what is handed out is of the pool.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use serde_json::Map;
use vxlan_cni::cni::CniResult;
use vxlan_cni::cni::result::{Dns, Interface, Ip, Route};
use vxlan_cni::config::Config;
use vxlan_cni::config::hosts::{hosts, number};
use vxlan_cni::ip::Family;
use vxlan_cni::route_table::pool::{Pool, Range, Seed};

use crate::laws::config::hands_out_only_its_own;
use crate::laws::prev_result::survives_every_version;
use crate::nearly::{text, value};
use crate::tried;

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|v4| IpAddr::V4(v4.into())),
        any::<u128>().prop_map(|v6| IpAddr::V6(v6.into())),
    ]
}

fn network() -> impl Strategy<Value = IpNetwork> {
    (address(), 0_u8..=128).prop_map(|(ip, length)| {
        let length = length.min(Family::of(ip).host_prefix());
        IpNetwork::new(ip, length).unwrap()
    })
}

fn interface() -> impl Strategy<Value = Interface> {
    let others = vec(("[a-z]{1,8}Of", value()), 0..3);
    (text(), text(), any::<Option<u32>>(), text(), others).prop_map(
        |(name, mac, mtu, sandbox, others)| {
            let other: Map<_, _> = others.into_iter().collect();
            Interface {
                name,
                mac,
                mtu,
                sandbox,
                other,
            }
        },
    )
}

fn route() -> impl Strategy<Value = Route> {
    let numbers = any::<(
        Option<u32>,
        Option<u32>,
        Option<u32>,
        Option<u32>,
        Option<u8>,
    )>();
    (network(), of(address()), numbers).prop_map(
        |(dst, gw, (mtu, advmss, priority, table, scope))| Route {
            mtu,
            advmss,
            priority,
            table,
            scope,
            ..Route::new(dst, gw)
        },
    )
}

fn dns() -> impl Strategy<Value = Dns> {
    (
        vec(text(), 0..3),
        text(),
        vec(text(), 0..3),
        vec(text(), 0..3),
    )
        .prop_map(|(nameservers, domain, search, options)| Dns {
            nameservers,
            domain,
            search,
            options,
        })
}

fn result() -> impl Strategy<Value = CniResult> {
    let ip = (
        network(),
        of(address()),
        any::<Option<proptest::sample::Index>>(),
    );
    (
        vec(interface(), 0..4),
        vec(ip, 0..4),
        vec(route(), 0..4),
        dns(),
    )
        .prop_map(|(interfaces, ips, routes, dns)| {
            let count = interfaces.len();
            let ips = ips.into_iter().map(|(address, gateway, index)| Ip {
                address,
                gateway,
                interface: index.filter(|_| count > 0).map(|index| index.index(count)),
            });
            CniResult {
                ips: ips.collect(),
                interfaces,
                routes,
                dns,
            }
        })
}

/// Ranges in networks that do not meet, within each of which some part is handed out.
fn pool() -> impl Strategy<Value = Pool> {
    let v4 = (0_u8..4, 20_u8..=32, any::<[u16; 3]>()).prop_map(|(net, length, ends)| {
        (
            format!("10.{net}.0.0/{length}")
                .parse::<IpNetwork>()
                .unwrap(),
            ends,
        )
    });
    let v6 = (0_u8..4, 112_u8..=128, any::<[u16; 3]>()).prop_map(|(net, length, ends)| {
        (
            format!("fd1{net}::/{length}").parse::<IpNetwork>().unwrap(),
            ends,
        )
    });
    let hole = |nets: Vec<IpNetwork>| {
        vec(
            (any::<proptest::sample::Index>(), any::<u16>(), 0_u8..8),
            0..6,
        )
        .prop_map(move |holes| {
            let cut = |(net, at, wide): (proptest::sample::Index, u16, u8)| {
                let net = nets[net.index(nets.len())];
                IpNetwork::new(within(net, at), Family::of(net.ip()).host_prefix() - wide).unwrap()
            };
            holes.into_iter().map(cut).collect::<Vec<_>>()
        })
    };
    prop_oneof![vec(v4, 1..4), vec(v6, 1..4)].prop_flat_map(move |ranges| {
        let mut taken = BTreeSet::new();
        let fresh = ranges.into_iter().filter(|(net, _)| taken.insert(net.ip()));
        let made: Vec<Range> = fresh
            .filter_map(|(net, [first, last, gateway])| {
                Range::new(
                    net,
                    Some(within(net, first)),
                    Some(within(net, last)),
                    Some(within(net, gateway)),
                )
                .ok()
            })
            .collect();
        let nets = match made.is_empty() {
            true => vec!["10.0.0.0/24".parse().unwrap()],
            false => made.iter().map(|range| range.subnet).collect(),
        };
        hole(nets).prop_map(move |exclude| Pool {
            ranges: made.clone(),
            exclude,
        })
    })
}

/// An address of a network.
fn within(net: IpNetwork, at: u16) -> IpAddr {
    let size = number(net.broadcast()) - number(net.network());
    let at = u128::from(at) % size.saturating_add(1);
    vxlan_cni::config::hosts::address(net, number(net.network()) + at)
}

proptest! {
    #![proptest_config(tried())]

    #[test]
    fn a_result_told_in_any_version_is_read_back_as_what_that_version_can_say(result in result()) {
        survives_every_version(&result);
    }

    #[test]
    fn joined_results_keep_every_address_on_its_interface(one in result(), other in result()) {
        let names = |result: &CniResult| -> Vec<_> {
            let name = |ip: &Ip| ip.interface.map(|index| result.interfaces[index].clone());
            result.ips.iter().map(name).collect()
        };
        let (mut wanted, later) = (names(&one), names(&other));
        wanted.extend(later);
        prop_assert_eq!(names(&one.extend(other)), wanted);
    }

    #[test]
    fn a_walk_meets_each_address_that_is_not_refused_once_and_no_other(pool in pool(), start: u64, stride: u64) {
        hands_out_only_its_own(&pool);
        let walked: Vec<IpAddr> = pool.walk(Seed { start, stride }).collect();
        let met: BTreeSet<IpAddr> = walked.iter().copied().collect();
        prop_assert_eq!(met.len(), walked.len());
        let all = pool.ranges.iter().flat_map(|range| {
            let address = |number| vxlan_cni::config::hosts::address(range.subnet, number);
            (number(range.first)..=number(range.last)).map(address)
        });
        let free: BTreeSet<IpAddr> = all.filter(|address| pool.refuses(*address).is_none()).collect();
        prop_assert_eq!(met, free);
    }

    #[test]
    fn a_range_has_hosts_of_its_network_only(net in network(), first in of(address()), last in of(address())) {
        if let Ok(range) = Range::new(net, first, last, None) {
            let (low, high) = hosts(net);
            prop_assert!(low <= number(range.first) && number(range.first) <= number(range.last));
            prop_assert!(number(range.last) <= high);
            prop_assert!(net.contains(range.first) && net.contains(range.last));
        }
    }

    #[test]
    fn a_networks_pool_has_hosts_only_and_nothing_that_is_excluded(
        net in network(), first in 0_u64..70_000, last in 0_u64..70_000,
    ) {
        let conf = serde_json::json!({"ipam": {"type": "x"}, "vxlans": [{"id": 1, "name": "n", "cidr": net.to_string(),
            "excludeFirst": first, "excludeLast": last, "peers": [], "options": {"vtepdev": "eth0"}}]});
        if let Ok(config) = Config::read(&conf) {
            let network = &config.networks[0];
            let (low, high) = network.pool(net).unwrap();
            let (host_low, host_high) = hosts(net);
            prop_assert!(number(low) >= host_low && number(high) <= host_high);
            prop_assert!(number(low) - number(net.network()) >= first.into());
            prop_assert!(number(net.broadcast()) - number(high) >= last.into());
            for end in [low, high] {
                prop_assert_eq!(network.refuses(end).is_none(), end != net.ip());
            }
        }
    }

    #[test]
    fn networks_are_refused_exactly_where_two_share_something(
        all in vec((1_u32..9, 0_u8..9, 0_u8..4, 8_u8..=30), 1..5),
    ) {
        let cidr = |second: u8, length: u8| format!("10.{}.0.1/{length}", second * 64).parse::<IpNetwork>().unwrap();
        let networks: Vec<_> = all.iter().map(|(id, name, second, length)| serde_json::json!({"id": id,
            "name": format!("n{name}"), "cidr": cidr(*second, *length).to_string(), "peers": [], "options": {"vtepdev": "eth0"}})).collect();
        let meet = |one: IpNetwork, other: IpNetwork| one.contains(other.network()) || other.contains(one.network());
        let share = |a: &(u32, u8, u8, u8), b: &(u32, u8, u8, u8)| {
            a.0 == b.0 || a.1 == b.1 || meet(cidr(a.2, a.3), cidr(b.2, b.3))
        };
        let later: Vec<usize> = (0..all.len()).filter(|index| all[..*index].iter().any(|other| share(other, &all[*index]))).collect();
        match Config::read(&serde_json::json!({"ipam": {"type": "x"}, "vxlans": networks})) {
            Ok(_) => prop_assert_eq!(later, [0; 0]),
            Err(error) => {
                prop_assert!(!later.is_empty(), "{}", error);
                let told = format!("{error}; {}", error.details);
                for index in later {
                    let path = format!("vxlans[{index}]: ");
                    prop_assert!(told.contains(&path), "{told} lacks {path}");
                }
            }
        }
    }
}

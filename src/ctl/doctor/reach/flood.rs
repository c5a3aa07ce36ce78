//! Whether what is for everybody reaches another node, too, and not only what is sent to it alone: by a group that is
//! filtered on the way, or is another one there, addresses are not found once they are forgotten.

use std::net::IpAddr;

use crate::config::Network;
use crate::ctl::doctor::arping::Arping;
use crate::ctl::doctor::echo::{Echo, Heard};
use crate::ctl::doctor::report::{Finding, Id};
use crate::exec::System;

/// The command that asks all nodes for an address.
pub fn line(network: &Network, to: IpAddr) -> String {
    match to {
        IpAddr::V4(to) => format!("arping -b -c 1 -w 1 -I {} {to}", network.mv),
        IpAddr::V6(_) => group(network, to).line(),
    }
}

/// An echo to the group that an IPv6 address is in (RFC 4291, 2.7.1).
fn group(network: &Network, to: IpAddr) -> Echo {
    let [a, b, c] = match to {
        IpAddr::V6(to) => {
            let [.., a, b, c] = to.octets();
            [a, b, c]
        }
        IpAddr::V4(_) => [0; 3],
    };
    Echo::small(
        &format!("ff02::1:ff{a:02x}:{b:02x}{c:02x}"),
        network.mv.as_str(),
    )
}

/// Of addresses that answer what is sent to them alone, those that do not answer what is sent to all.
pub fn deaf(system: &System, arping: &Arping<'_>, all: &[(&Network, IpAddr)]) -> Vec<bool> {
    let is_v4 = |at: &usize| all[*at].1.is_ipv4();
    let (v4, v6): (Vec<usize>, Vec<usize>) = (0..all.len()).partition(is_v4);
    let lines = v4.iter().map(|at| line(all[*at].0, all[*at].1));
    let by_arp = arping.answers(&lines.collect::<Vec<_>>());
    // Where nothing can be asked another finding says why.
    let by_arp = by_arp.into_iter().map(|answers| answers == Some(false));
    let echoes = v6.iter().map(|at| group(all[*at].0, all[*at].1));
    let echoes = Echo::send(system, &echoes.collect::<Vec<_>>());
    let echoes = echoes.into_iter().map(|heard| heard == Heard::Silence);
    let mut deaf = vec![false; all.len()];
    for (at, is_deaf) in v4.into_iter().zip(by_arp).chain(v6.into_iter().zip(echoes)) {
        deaf[at] = is_deaf;
    }
    deaf
}

/// The finding for one that does not.
pub fn told(network: &Network, peer: &str, to: IpAddr) -> Finding {
    let (vx, name) = (&network.vx, &network.name);
    let group = network.options.vxlan.group;
    let group = group.filter(IpAddr::is_multicast);
    let group = group.map_or_else(
        || "what is sent to all".to_owned(),
        |group| format!("group {group}"),
    );
    let what = format!(
        "{to} behind {peer} answers on {vx} what is sent to it alone, not what is sent to all: {group} does not reach that node"
    );
    let fix = format!(
        "let the switches between the nodes pass the group on: a querier where they snoop IGMP (bridge: `ip -d link show type bridge` has mcast_snooping 1 and mcast_querier 0), no filter; and compare group of \"{name}\" on that node"
    );
    Finding::failed(Id::Flood, what)
        .inspect(line(network, to))
        .fix(fix)
}

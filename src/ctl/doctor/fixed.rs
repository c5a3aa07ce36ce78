//! What was set by hand and stays whatever becomes of it: neighbours of the gateway's device and in containers, and
//! entries of the vxlan device for single MACs. One behind which nothing answers is crossed.

use std::net::IpAddr;

use super::echo::{Echo, Heard, by};
use super::peers::Known;
use super::report::{Finding, Id};
use crate::config::Network;
use crate::ctl::look::Found;
use crate::exec::System;
use crate::ip::fdb::FdbRecord;
use crate::ip::neigh::NeighRecord;
use crate::ip::{Mac, Netns};
use crate::plan::{Observed, anycast};

/// How many are asked of one kind: each is by hand.
const MOST: usize = 64;

/// States of an entry that no answer changes: `NUD_PERMANENT`, `NUD_NOARP` (linux/neighbour.h).
const FIXED: [&str; 2] = ["permanent", "static"];

/// The MAC of what is not learnt.
const UNKNOWN: &str = "00:00:00:00:00:00";

/// An entry, and the echoes of which one must come back.
struct Entry {
    id: Id,
    what: String,
    fix: String,
    echoes: Vec<Echo>,
}

/// Judges those of a network on the node; `known` has its neighbours.
pub fn of_the_node(
    system: &System,
    network: &Network,
    seen: &Observed,
    known: &Known,
) -> Vec<Finding> {
    let neighbours = known.permanent().map(|one| neighbour(one, network));
    let entries = seen.fdb(&network.vx).iter();
    let entries = entries.filter(|one| FIXED.contains(&one.state.as_str()) && one.mac != UNKNOWN);
    let entries = entries.filter_map(|one| vtep(one, network, seen, known));
    let all: Vec<Entry> = neighbours.take(MOST).chain(entries.take(MOST)).collect();
    judged(system, all)
}

/// Judges those of containers.
pub fn of_containers(system: &System, found: &[Found<'_>]) -> Vec<Finding> {
    let of = |one: &Found<'_>| {
        let ifname = &one.of.record.ifname;
        let network = one.of.network;
        // That of an anycast gateway is a fact.
        let is_a_fact = |entry: &NeighRecord| {
            anycast::is(network) && network.cidrs.iter().any(|cidr| cidr.ip() == entry.dst)
        };
        let its = |entry: &&NeighRecord| {
            entry.dev.as_deref() == Some(ifname.as_str()) && !is_a_fact(entry)
        };
        let netns = one.of.netns.clone().unwrap_or(Netns::Own);
        let who = one.of.shown();
        let entries = one.permanent.iter().filter(its);
        let entries = entries.map(move |entry| within(entry, ifname.as_str(), &netns, &who));
        entries.take(MOST).collect::<Vec<_>>()
    };
    judged(system, found.iter().flat_map(of).collect())
}

fn neighbour(entry: &NeighRecord, network: &Network) -> Entry {
    let (address, mv) = (entry.dst, &network.mv);
    let mac = entry.lladdr.as_deref().unwrap_or("no MAC");
    Entry {
        id: Id::NeighbourEntry,
        what: format!(
            "{mv} was told by hand that {address} is {mac}, and no echo comes back from there"
        ),
        fix: format!("ip neigh del {address} dev {mv}"),
        echoes: vec![Echo::small(&address.to_string(), &by(network, address))],
    }
}

fn within(entry: &NeighRecord, dev: &str, netns: &Netns, who: &str) -> Entry {
    let address = entry.dst;
    let mac = entry.lladdr.as_deref().unwrap_or("no MAC");
    let del = crate::ip::command::shell_line(&netns.enter());
    Entry {
        id: Id::NeighbourEntry,
        what: format!(
            "{who} was told by hand that {address} is {mac}, and no echo comes back from there"
        ),
        fix: format!("{del} ip neigh del {address} dev {dev}"),
        echoes: vec![Echo::small(&address.to_string(), dev).within(netns)],
    }
}

fn vtep(entry: &FdbRecord, network: &Network, seen: &Observed, known: &Known) -> Option<Entry> {
    let (mac, vtep, vx) = (entry.mac.parse::<Mac>().ok()?, entry.dst?, &network.vx);
    let behind: Vec<IpAddr> = known.behind(mac, network, seen);
    let echo = |to: &IpAddr| Echo::small(&to.to_string(), &by(network, *to));
    Some(Entry {
        id: Id::FdbEntry,
        what: format!(
            "{vx} was told by hand that {mac} is behind {vtep}, and no echo comes back from there"
        ),
        fix: format!("bridge fdb del {mac} dev {vx} dst {vtep}"),
        echoes: behind.iter().map(echo).collect(),
    })
}

/// Sends all echoes at once; an entry of which none comes back is crossed.
fn judged(system: &System, entries: Vec<Entry>) -> Vec<Finding> {
    let all: Vec<Echo> = entries.iter().flat_map(|one| one.echoes.clone()).collect();
    let mut heard = Echo::send_twice(system, &all).into_iter();
    let judged = entries.into_iter().filter_map(|entry| {
        let heard: Vec<Heard> = heard.by_ref().take(entry.echoes.len()).collect();
        let answers = heard.contains(&Heard::Answer);
        let inspect = entry.echoes.first().map(Echo::line);
        let finding = match heard.contains(&Heard::Silence) {
            true => Finding::failed(entry.id, entry.what).inspect(inspect.unwrap_or_default()),
            false => Finding::unknown(entry.id, format!("{}: none was sent", entry.what)),
        };
        (!answers).then(|| finding.fix(entry.fix))
    });
    judged.collect()
}

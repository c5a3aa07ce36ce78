//! A hundred pods at once: four networks, two nodes.

use std::collections::BTreeSet;
use std::process::Child;
use std::time::Instant;

use serde_json::Value;

use crate::support::lab::{Ask, Lab, Net, Node, Pod, Snapshot, address};
use crate::support::plugin::Said;

/// Pods in the first wave.
const PODS: usize = 100;

/// Pods that come while the first wave goes: one for every four.
const LATER: usize = PODS / 4;

/// One pod on one network of one node.
struct Member<'a> {
    node: &'a Node,
    net: &'a Net,
    pod: Pod,
    ask: Ask,
}

/// A member with the result of its ADD.
type Joined<'a> = (Member<'a>, Value);

/// The networks, and how addresses are had.
struct Storm {
    lab: Lab,
    nets: [Net; 4],
    with_route_table: bool,
}

impl Storm {
    fn new(with_route_table: bool) -> Self {
        Self {
            lab: Lab::new(2),
            nets: [
                Net::new("red", 1).dual(),
                Net::new("green", 2).dual(),
                Net::new("blue", 3),
                Net::new("grey", 4),
            ],
            with_route_table,
        }
    }

    /// The `number`-th pod: the nodes take turns, and on each the networks.
    fn member(&self, number: usize) -> Member<'_> {
        let node = self.lab.node(number % 2);
        let net = &self.nets[number / 2 % 4];
        let pod = node.pod(&format!("p{number}"));
        let mut config = node.config(&self.nets.each_ref()).joining(net);
        if self.with_route_table {
            config = config.ipam(node.route_table());
        }
        let ask = node.ask(&config, &pod);
        Member {
            node,
            net,
            pod,
            ask,
        }
    }

    fn members(&self, numbers: std::ops::Range<usize>) -> Vec<Member<'_>> {
        numbers.map(|number| self.member(number)).collect()
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        self.lab.nodes().iter().map(Node::snapshot).collect()
    }

    fn assert_gone(&self, before: &[Snapshot]) {
        for (now, before) in self.snapshots().iter().zip(before) {
            now.assert_same(before);
        }
    }
}

/// Waits for ADDs, all of which must have succeeded.
fn joined<'a>(members: Vec<Member<'a>>, started: Vec<Child>) -> Vec<Joined<'a>> {
    let results = started.into_iter().map(|child| Said::by(child).ok());
    members.into_iter().zip(results).collect()
}

/// Waits for verbs that say nothing, all of which must have succeeded.
fn all_well(started: Vec<Child>) {
    for child in started {
        assert_eq!(Said::by(child).ok(), Value::Null);
    }
}

/// Every address of every pod is its own.
fn assert_unique(joined: &[&Joined<'_>]) {
    let addresses = joined.iter().flat_map(|(_, result)| {
        let ips = result["ips"].as_array().unwrap();
        ips.iter().map(|ip| ip["address"].as_str().unwrap())
    });
    let (mut seen, mut count) = (BTreeSet::new(), 0usize);
    for address in addresses {
        assert!(seen.insert(address), "{address} is two pods'");
        count += 1;
    }
    let families = |(member, _): &&Joined<'_>| 1 + usize::from(member.net.id <= 2);
    assert_eq!(count, joined.iter().map(families).sum::<usize>());
}

/// Of each network a pod of each node: it is as ADD left it, and reaches its gateway, one beside it and
/// one on the other node.
fn assert_connected(joined: &[&Joined<'_>], nets: &[Net]) {
    for net in nets {
        let of = |index: usize| {
            let here = move |(member, _): &&&Joined<'_>| {
                member.node.index == index && member.net.id == net.id
            };
            joined.iter().filter(here).collect::<Vec<_>>()
        };
        for (here, there) in [(of(0), of(1)), (of(1), of(0))] {
            let ((member, result), (_, far)) = (here[0], there[0]);
            member.ask.check(result);
            member.pod.ping(&member.node.gateway(net));
            for other in [&here[here.len() - 1].1, far] {
                member.pod.ping(&address(other, 0));
            }
        }
    }
}

/// DELs of all that are there, and ADDs of those who come meanwhile: now and then one between the DELs of
/// red and green, and those of blue and grey only when the last DELs have been started.
fn exchange<'a>(going: &[Joined<'a>], coming: Vec<Member<'a>>) -> Vec<Joined<'a>> {
    let (early, late): (Vec<_>, Vec<_>) = coming.into_iter().partition(|member| member.net.id <= 2);
    let (mut dels, mut adds) = (Vec::new(), Vec::new());
    let mut next = early.iter();
    for (number, (member, result)) in going.iter().enumerate() {
        dels.push(member.ask.after(result).verb("DEL").start());
        if number % 8 == 7 {
            adds.extend(next.next().map(|member| member.ask.verb("ADD").start()));
        }
    }
    let start = |member: &Member<'_>| member.ask.verb("ADD").start();
    adds.extend(next.map(start));
    adds.extend(late.iter().map(start));
    let members = early.into_iter().chain(late).collect();
    let came = joined(members, adds);
    all_well(dels);
    came
}

/// All of it, and the figures.
fn storm(name: &str, with_route_table: bool) {
    let storm = Storm::new(with_route_table);
    let before = storm.snapshots();
    let (first, later) = (storm.members(0..PODS), storm.members(PODS..PODS + LATER));
    // Some that never came are taken off meanwhile, as runtimes do to be sure.
    let never = storm.members(PODS + LATER..PODS + LATER + 8);
    let start = Instant::now();
    let adds = first
        .iter()
        .map(|member| member.ask.verb("ADD").start())
        .collect();
    let dels = never
        .iter()
        .map(|member| member.ask.verb("DEL").start())
        .collect();
    let first = joined(first, adds);
    all_well(dels);
    let added = start.elapsed();
    let all: Vec<&Joined<'_>> = first.iter().collect();
    assert_unique(&all);
    assert_connected(&all, &storm.nets);
    let start = Instant::now();
    let later = exchange(&first, later);
    let exchanged = start.elapsed();
    let all: Vec<&Joined<'_>> = later.iter().collect();
    assert_unique(&all);
    assert_connected(&all, &storm.nets);
    // The last ones, each twice: a runtime that lost the answer asks again.
    let twice = later.iter().chain(&later);
    let start = Instant::now();
    all_well(
        twice
            .map(|(member, result)| member.ask.after(result).verb("DEL").start())
            .collect(),
    );
    println!(
        "storm with {name}: {PODS} ADDs at once {added:.1?}; {PODS} DELs and {LATER} ADDs at once {exchanged:.1?}; \
         the last {LATER} DELs, each twice, {:.1?}; failures 0",
        start.elapsed()
    );
    storm.assert_gone(&before);
    let fresh = Snapshot::of_namespace(&storm.lab.node(0).pod("fresh"));
    for (member, _) in first.iter().chain(&later) {
        Snapshot::of_namespace(&member.pod).assert_same(&fresh);
    }
}

#[test]
fn a_hundred_pods_at_once_come_and_go_with_host_local_and_leave_nothing() {
    storm("host-local", false);
}

#[test]
fn a_hundred_pods_at_once_come_and_go_with_route_table_and_leave_nothing() {
    storm("route-table", true);
}

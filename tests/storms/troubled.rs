//! Pods come and go while everything around them changes: the configuration is edited, owner records are wiped, ADDs are
//! killed, later plugins change what ADD made. Each cycle ends as it began.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::rounds;
use crate::support::lab::{Config, Lab, Net, Node, Pod, Snapshot, address, until};
use crate::support::plugin::{Said, signal};

/// Cycles where the variable does not say how many.
const FEWER: usize = 20;

/// How many pods there are in a cycle.
const PODS: usize = 3;

/// A pod that is on the network, or was killed on its way.
struct Member {
    pod: Pod,
    config: Config,
    /// What ADD said; none where it was killed.
    result: Option<Value>,
}

/// The definitions that the network has in turn.
fn definition(rng: &mut fastrand::Rng) -> Value {
    let v4 = "10.100.0.1/16";
    rng.choice([
        json!({}),
        json!({"cidr": [v4, "fd10:64::1/112"]}),
        json!({"cidr": "10.100.0.1/15"}),
        json!({"cidr": "10.100.0.9/16"}),
        json!({"mtu": 1300}),
        json!({"bypass": false}),
        json!({"ipMasq": true}),
    ])
    .unwrap()
}

/// A configuration after the latest edit.
fn edited(node: &Node, rng: &mut fastrand::Rng) -> Config {
    let net = Net::new("blue", 100).with(definition(rng));
    let mut ipam = node.route_table();
    ipam["propagationTimeoutMs"] = json!(0);
    let around = [
        json!({}),
        json!({"rulePriority": 500}),
        json!({"routeTable": 77}),
    ];
    let config = node.config(&[&net]).ipam(ipam);
    config.with(rng.choice(around).unwrap())
}

/// What a plugin behind ours does to a pod, or a program to the node.
fn trouble(node: &Node, member: &Member, rng: &mut fastrand::Rng) {
    match rng.u8(..5) {
        0 => drop(member.pod.ip("link set dev eth0 mtu 1200")),
        1 => member.pod.set(&["net.ipv4.conf.eth0.arp_notify=0"]),
        2 => {
            let default = member.pod.show("route show default");
            let via = default[0]["gateway"].as_str().unwrap().to_owned();
            member.pod.ip("route del default");
            member
                .pod
                .ip(&format!("route add default via {via} table 100"));
        }
        // Its owner records, as where /run is cleaned.
        3 => {
            let _ = std::fs::remove_dir_all(node.ipam());
        }
        _ => {}
    }
}

/// One ADD; one of four is killed on its way.
fn join(node: &Node, pod: Pod, config: Config, rng: &mut fastrand::Rng) -> Member {
    let ask = node.ask(&config, &pod);
    let mut child = ask.verb("ADD").start();
    let result = match rng.u8(..4) {
        0 => {
            let (start, time) = (Instant::now(), Duration::from_millis(rng.u64(1..60)));
            until("it is on its way", || start.elapsed() >= time);
            signal(&child, "KILL");
            child.wait().unwrap();
            None
        }
        _ => Some(Said::by(child).ok()),
    };
    Member {
        pod,
        config,
        result,
    }
}

fn cycle(node: &Node, before: &Snapshot, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut members = Vec::new();
    let mut latest = edited(node, &mut rng);
    for index in 0..PODS {
        if rng.bool() {
            latest = edited(node, &mut rng);
        }
        let pod = node.pod(&format!("p{index}"));
        members.push(join(node, pod, latest.clone(), &mut rng));
        if let Some(member) = members.last().filter(|member| member.result.is_some()) {
            trouble(node, member, &mut rng);
        }
    }
    if rng.bool() {
        let said = node.operate(&latest, &["repair"]);
        assert_eq!(said.code, 0, "cycle {seed}: {said:?}");
    }
    for member in &members {
        if let Some(result) = &member.result {
            // Whatever came after it.
            node.ping(&address(result, 0));
        }
    }
    rng.shuffle(&mut members);
    for member in &members {
        // By the configuration that it joined with, or the one of now; with the result, or without.
        let config = if rng.bool() { &latest } else { &member.config };
        let ask = node.ask(config, &member.pod);
        let ask = match &member.result {
            Some(result) if rng.bool() => ask.after(result),
            _ => ask,
        };
        let said = ask.say("DEL");
        assert_eq!(said.code, 0, "cycle {seed}: {said:?}");
    }
    let _ = std::fs::remove_dir_all(node.ipam());
    let changes = node.snapshot().changes_since(before);
    let lasting = |line: &&String| !line.contains("\"lo\"");
    let left: Vec<_> = changes.iter().filter(lasting).collect();
    assert!(left.is_empty(), "cycle {seed}: {left:#?}");
}

#[test]
fn cycles_with_edits_wipes_kills_and_later_plugins_in_between_leave_nothing() {
    let cycles = rounds("VXLAN_CNI_TROUBLED", FEWER);
    let first = rounds("VXLAN_CNI_SEED", 0);
    let lab = Lab::new(1);
    let node = lab.node(0);
    let before = node.snapshot();
    for seed in first..first + cycles {
        cycle(node, &before, seed as u64);
    }
}

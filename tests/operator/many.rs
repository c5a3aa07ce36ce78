//! A node with two hundred pods.

use serde_json::{Value, json};

use crate::stage::{Bystanders, Member, Stage, claimed};
use crate::support::lab::{Lab, Net};

/// What would be another if somebody had touched it: number, MAC, MTU, flags, addresses.
fn interface(member: &Member) -> Vec<Value> {
    let device = member.pod.device("eth0");
    let addresses = device["addr_info"].as_array().unwrap().iter();
    let own = addresses.filter(|address| address["scope"] == "global");
    let keys = ["ifindex", "address", "mtu", "flags"];
    own.cloned()
        .chain(keys.map(|key| device[key].clone()))
        .collect()
}

#[test]
fn among_two_hundred_pods_only_what_is_broken_is_told_and_only_that_is_touched() {
    let lab = Lab::new(2);
    let blue = claimed("blue", 100, lab.node(0));
    let green = Net::new("green", 300).with(json!({"options": {"group": "198.18.0.2"}}));
    let mut stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual(), green]);
    stage.join_at_once(&[(0, "web", 80), (1, "db", 60), (2, "mail", 60)]);
    assert_eq!(stage.members.len(), 200);
    stage.is_well();
    let bystanders = Bystanders::watch(&stage, 2);
    let others: Vec<_> = stage.members.iter().skip(2).map(interface).collect();
    stage.node().ip("link set mv_blue down");
    stage.members[0].pod.ip("route del default");
    stage.members[1].pod.ip("link set eth0 down");
    let said = stage.operate(&["doctor"]);
    assert_eq!(said.code, 1);
    let crosses: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.contains('✗'))
        .collect();
    // The gateway, its bypass route, 80 claims, two pods with a route each, one of them down.
    assert_eq!(crosses.len(), 2 + 80 + 1 + 2, "{crosses:#?}");
    let said = stage.operate(&["repair"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (0, ""),
        "{}",
        said.stdout
    );
    assert_eq!(
        said.stdout.lines().count(),
        2 + 80 + 1 + 2,
        "{}",
        said.stdout
    );
    let now: Vec<_> = stage.members.iter().skip(2).map(interface).collect();
    assert_eq!(others, now);
    assert_eq!(
        stage.operate(&["repair"]).stdout,
        "every fact holds, nothing was done\n"
    );
    stage.is_well();
    bystanders.noticed_nothing();
}

//! A node with two hundred pods.

use serde_json::{Value, json};

use crate::stage::{Bystanders, Member, Stage, claimed, on_this_underlay};
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

/// Ways to break a node and what doctor says of each; `PODn` is the namespace of web-n.
const BROKEN: [(&str, &str); 11] = [
    (
        "ip link set mv_blue down",
        "the host side: mv_blue is up: found down",
    ),
    (
        "bridge fdb del 00:00:00:00:00:00 dev vx_blue dst 239.1.1.100 via eth0",
        "vx_blue floods to 239.1.1.100: missing",
    ),
    (
        "sysctl -qw net.ipv4.conf.mv_blue.rp_filter=1",
        "net.ipv4.conf.mv_blue.rp_filter = 2: found 1",
    ),
    (
        "ip rule del pref 19200 from 10.44.0.0/16",
        "rule 19200 from 10.44.0.0/16 to 10.44.0.0/16 lookup 192: missing",
    ),
    (
        "ip route del 10.44.0.0/16 table 192",
        "route 10.44.0.0/16 dev mv_green table 192: missing",
    ),
    (
        "ip addr del 10.44.0.1/16 dev mv_green",
        "mv_green has 10.44.0.1/16: missing",
    ),
    (
        "ip link set vx_green mtu 1300",
        "vx_green has mtu 1450: found mtu 1300",
    ),
    (
        "ip -n POD0 route del default",
        "route default via 10.100.0.1 dev eth0: missing",
    ),
    ("ip -n POD1 link set eth0 down", "eth0 is up: found down"),
    ("ip -n POD2 addr flush dev eth0", "eth0 has 10.100."),
    (
        "ip -n POD3 link del eth0",
        "macvlan eth0 on vx_blue is there: missing",
    ),
];

#[test]
fn among_two_hundred_pods_only_what_is_broken_is_told_and_only_that_is_touched() {
    let lab = Lab::new(2);
    let blue = claimed("blue", 100, lab.node(0));
    let green = Net::new("green", 300).with(json!({"options": {"group": "198.18.0.2"}}));
    let mut stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual(), green]);
    stage.join_at_once(&[(0, "web", 80), (1, "db", 60), (2, "mail", 60)]);
    assert_eq!(stage.members.len(), 200);
    // `VXLAN_CNI_LOOKS=100`: no false alarm in so many.
    let looks = std::env::var("VXLAN_CNI_LOOKS").map_or(1, |count| count.parse().unwrap());
    (0..looks).for_each(|_| stage.is_well());
    let bystanders = Bystanders::watch(&stage, 1);
    // Blue but for the four, and red; green gets another MTU and back.
    let others = || -> Vec<Vec<Value>> { stage.members[4..140].iter().map(interface).collect() };
    let before = others();
    for (by, _) in BROKEN {
        let name = |index: usize| stage.members[index].pod.path().rsplit('/').next().unwrap();
        let named = (0..4).fold(by.to_owned(), |by, index| {
            by.replace(&format!("POD{index}"), name(index))
        });
        stage.node().sh(&named);
    }
    let said = stage.operate(&["doctor", "--verbose"]);
    assert_eq!(said.code, 1);
    let crosses: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.contains('✗'))
        .collect();
    for (by, told) in BROKEN {
        assert!(
            crosses
                .iter()
                .any(|cross| cross.contains(&on_this_underlay(told))),
            "{by}: {told}\n{crosses:#?}"
        );
    }
    let of = |words: &str| crosses.iter().filter(|cross| cross.contains(words)).count();
    assert_eq!(
        (of("the claim of "), of("shop/mail-"), of("shop/db-")),
        (80, 60, 0)
    );
    // In short, what follows from another is counted there: of 140 crosses one line for each of the causes.
    let said = stage.operate(&["doctor"]);
    let short: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.contains('✗'))
        .collect();
    assert!(short.len() < crosses.len() / 5, "{short:#?}");
    let fine = (4..80)
        .filter(|index| said.stdout.contains(&format!("✓ shop/web-{index} ")))
        .count();
    assert_eq!(fine, 76, "{crosses:#?}");
    let said = stage.operate(&["repair"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (0, ""),
        "{}",
        said.stdout
    );
    let touched = |word: &str| {
        said.stdout
            .lines()
            .filter(|line| line.starts_with(word))
            .count()
    };
    assert_eq!(
        (
            touched("claims: put back "),
            touched("shop/db-"),
            touched("shop/mail-")
        ),
        (80, 0, 60)
    );
    assert_eq!(before, others());
    assert_eq!(
        stage.operate(&["repair"]).stdout,
        "every fact holds, nothing was done\n"
    );
    stage.is_well();
    bystanders.noticed_nothing();
}

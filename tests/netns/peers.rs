//! Other nodes by a list of their addresses, where no multicast is: the same list on every node.

use serde_json::Value;

use crate::support::lab::{
    Ask, Lab, Net, Node, Pod, address, ipv6, left_by_the_underlay, nft, until,
};

/// The entries of a device for what it has not learnt.
fn flood(node: &Node) -> Vec<String> {
    let mut found: Vec<String> = entries(node)
        .into_iter()
        .filter(|(mac, _)| mac == "00:00:00:00:00:00")
        .map(|(_, dst)| dst)
        .collect();
    found.sort();
    found
}

/// All entries: MAC and VTEP.
fn entries(node: &Node) -> Vec<(String, String)> {
    let text = node.run(&["bridge", "-j", "fdb", "show", "dev", "vx_blue"]);
    let listed: Value = serde_json::from_str(&text).unwrap();
    let all = listed.as_array().unwrap().iter();
    all.filter_map(|entry| {
        let word = |key: &str| entry[key].as_str().map(str::to_owned);
        Some((word("mac")?, word("dst")?))
    })
    .collect()
}

/// A pod on each node, asked for.
fn pods(lab: &Lab, net: &Net) -> Vec<(Ask, Pod, Value)> {
    let of = |node: &Node| {
        let pod = node.pod("web");
        let ask = node.ask(&node.config(&[net]), &pod);
        let result = ask.add();
        (ask, pod, result)
    };
    lab.nodes().iter().map(of).collect()
}

#[test]
fn with_a_list_of_all_nodes_and_no_multicast_every_pod_reaches_every_other() {
    reach_each_other(false);
}

#[test]
fn with_a_list_of_ipv6_addresses_the_underlay_is_ipv6() {
    ipv6::is_needed_on_the_underlay();
    reach_each_other(true);
}

/// Pods on three nodes that know each other by a list.
fn reach_each_other(v6: bool) {
    let lab = Lab::new(3);
    for node in lab.nodes() {
        // No group gets through.
        node.ip("link set dev eth0 multicast off");
    }
    let before: Vec<_> = lab.nodes().iter().map(Node::snapshot).collect();
    let blue = Net::new("blue", 100).dual().anycast().peers(3, v6);
    let pods = pods(&lab, &blue);
    let left = left_by_the_underlay() - if v6 { 20 } else { 0 };
    for (_, pod, result) in &pods {
        assert_eq!(pod.device("eth0")["mtu"], left);
        for (.., to) in &pods {
            let to = address(to, 0);
            pod.ping(&to);
            assert!(pod.ping_whole(&to, left - 28));
        }
        assert_eq!(result["ips"][0]["gateway"], "10.100.0.1");
    }
    let others = match v6 {
        true => ["fd00:198:18::2", "fd00:198:18::3"],
        false => ["198.18.0.2", "198.18.0.3"],
    };
    assert_eq!(flood(lab.node(0)), others, "the node itself is left out");
    for (ask, _, result) in &pods {
        ask.check(result);
    }
    if nft::kernel_has_it() {
        // From nowhere else does vxlan of this network come in.
        let rules = lab
            .node(0)
            .run(&["nft", "list", "chain", "inet", "vxlan_cni", "vx_blue"]);
        assert!(rules.contains("saddr != {"), "{rules}");
    }
    for (ask, ..) in &pods {
        ask.del();
    }
    for (node, before) in lab.nodes().iter().zip(&before) {
        node.snapshot().assert_same(before);
    }
}

#[test]
fn a_peer_that_leaves_the_list_goes_with_what_was_learnt_from_it_and_the_others_stay() {
    let lab = Lab::new(3);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).peers(3, false);
    let pods = pods(&lab, &blue);
    for (.., to) in &pods[1..] {
        pods[0].1.ping(&address(to, 0));
    }
    let learnt = |dst: &str| entries(node).iter().filter(|(_, of)| of == dst).count();
    until("both are learnt", || {
        learnt("198.18.0.2") > 1 && learnt("198.18.0.3") > 1
    });
    // What was taken out by hand is put back by repair.
    node.run(&[
        "bridge",
        "fdb",
        "del",
        "00:00:00:00:00:00",
        "dev",
        "vx_blue",
        "dst",
        "198.18.0.2",
    ]);
    let config = node.config(&[&blue]);
    let said = node.operate(&config, &["doctor"]);
    assert!(
        said.stdout
            .contains("vx_blue floods to the peer 198.18.0.2"),
        "{}",
        said.stdout
    );
    node.operate(&config, &["repair", "--json"]).ok();
    assert_eq!(flood(node), ["198.18.0.2", "198.18.0.3"]);
    // An edit takes effect with the next ADD.
    lab.node(2).ip("link set dev eth0 down");
    let fewer = Net::new("blue", 100).peers(2, false);
    let other = node.pod("db");
    let second = node.ask(&node.config(&[&fewer]), &other);
    let result = second.add();
    assert_eq!(flood(node), ["198.18.0.2"]);
    assert_eq!(learnt("198.18.0.3"), 0);
    assert!(learnt("198.18.0.2") > 1);
    other.ping(&address(&pods[1].2, 0));
    pods[0].1.ping(&address(&pods[1].2, 0));
    second.check(&result);
    pods[0]
        .0
        .clone()
        .config(&node.config(&[&fewer]))
        .check(&pods[0].2);
    second.del();
    for (ask, ..) in &pods {
        ask.del();
    }
}

#[test]
fn a_network_of_one_node_takes_vxlan_from_nowhere() {
    nft::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let before = node.snapshot();
    let alone = Net::new("blue", 100).peers(0, false);
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&alone]), &pod);
    let result = ask.add();
    pod.ping(&node.gateway(&alone));
    let rules = node.run(&["nft", "list", "chain", "inet", "vxlan_cni", "vx_blue"]);
    let drops = |line: &str| line.contains("udp dport 4789 @th,96,24") && line.ends_with(" drop");
    assert!(
        rules
            .lines()
            .any(|line| drops(line) && !line.contains("saddr") && !line.contains("iifname")),
        "{rules}"
    );
    ask.check(&result);
    ask.del();
    node.snapshot().assert_same(&before);
}

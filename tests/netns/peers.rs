//! Other nodes by their addresses, where no multicast is: listed the same on every node, or known from elsewhere.

use serde_json::{Value, json};

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

#[test]
fn peers_of_a_file_take_effect_with_the_next_add_and_by_repair_and_what_no_file_of_peers_is_changes_nothing()
 {
    let lab = Lab::new(3);
    let node = lab.node(0);
    let before = node.snapshot();
    let file = node.dir().with_extension("peers");
    let tell = |text: &str| std::fs::write(&file, text).unwrap();
    tell("198.18.0.1\n198.18.0.2 # the second\n");
    let blue = Net::new("blue", 100).peers(3, false);
    let from_file = blue.clone().with(json!({"peers": {"file": file}}));
    let config = node.config(&[&from_file]);
    let newer = config.clone().ipam(node.route_table());
    let newer = newer.with(json!({"cniVersion": "1.1.0"}));
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    assert_eq!(flood(node), ["198.18.0.2"]);
    ask.check(&result);
    ask.clone().config(&newer).say("STATUS").ok();
    // What it costs where nothing has changed: no look at the host side but that of every ADD.
    let journal = node.journal();
    let other = node.pod("db");
    let second = node.ask(&config, &other);
    second.add();
    assert!(!node.journal()[journal.len()..].contains("bridge fdb"));
    second.del();
    tell("198.18.0.3\n198.18.0.2\n198.18.0.1\n");
    let said = node.operate(&config, &["doctor"]).stdout;
    assert!(
        said.contains("tells other peers than the network has: 198.18.0.3 is new"),
        "{said}"
    );
    ask.check(&result);
    node.operate(&config, &["repair", "--json"]).ok();
    assert_eq!(flood(node), ["198.18.0.2", "198.18.0.3"]);
    ask.check(&result);
    // An ADD that fails leaves the peers as the file has them, and what there is as it was.
    tell("198.18.0.1\n198.18.0.3\n");
    second.clone().args("IP=10.100.0.1").add_refused(7);
    second.add();
    assert_eq!(flood(node), ["198.18.0.3"]);
    for (text, words) in [
        ("", "names no address"),
        ("198.18.0.2/24", "peers:1: wanted the address of a node"),
        ("198.18.0.2\nfd00:198:18::3", "one family"),
        ("10.100.0.7", "within the network's own cidr"),
        ("127.0.0.1", "no node's address"),
    ] {
        tell(text);
        let pod = node.pod("third");
        let third = node.ask(&config, &pod);
        // One that is empty is being written.
        let said = match text {
            "" => {
                third.add();
                third.del();
                node.journal()
            }
            _ => third.add_refused(7),
        };
        assert!(said.contains(words) && said.contains("\"blue\""), "{said}");
        let said = third.config(&newer).say("STATUS").error(50);
        assert!(said.contains(words), "{said}");
        assert_eq!(flood(node), ["198.18.0.3"], "{text}");
        ask.check(&result);
    }
    second.del();
    ask.del();
    std::fs::remove_file(file).unwrap();
    node.snapshot().assert_same(&before);
}

#[test]
fn peers_behind_a_dns_name_are_those_of_the_resolver_and_stay_while_it_does_not_answer() {
    let lab = Lab::new(3);
    let node = lab.node(0);
    let hosts = node.dir().with_extension("hosts");
    let tell = |text: &str| std::fs::write(&hosts, text).unwrap();
    let by_dns = Net::new("blue", 100).peers(3, false);
    let by_dns = by_dns.with(json!({"peers": {"dns": "nodes.vxlan.invalid"}}));
    let config = node.config(&[&by_dns]);
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    let resolving = |pod: &Pod| {
        let words = ["unshare", "--mount", "sh", "-c", &script, "sh"];
        node.ask(&config, pod).behind(&words)
    };
    let pod = node.pod("web");
    let ask = resolving(&pod);
    tell("");
    let said = ask.add_refused(11);
    assert!(
        said.contains("nodes.vxlan.invalid cannot be resolved"),
        "{said}"
    );
    let name = |address: &str| format!("{address} nodes.vxlan.invalid\n");
    let all = ["198.18.0.1", "198.18.0.2", "fd00:198:18::3"].map(name);
    tell(&all.concat());
    let result = ask.add();
    assert_eq!(flood(node), ["198.18.0.2"], "IPv4 where any node has it");
    // A name that is not resolved any more leaves the peers as they were, also where the list is old.
    tell("");
    let noted = node.run_dir().join("blue.peers");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    let is_old = || {
        std::fs::File::open(&noted)
            .unwrap()
            .set_modified(old)
            .unwrap()
    };
    is_old();
    let other = node.pod("db");
    let second = resolving(&other);
    second.add();
    assert!(node.journal().contains("the peers are taken as they were"));
    second.del();
    ask.check(&result);
    // A list that is young is taken without a question, an old one is asked for anew.
    tell(&name("198.18.0.3"));
    second.add();
    assert_eq!(flood(node), ["198.18.0.2"]);
    second.del();
    is_old();
    second.add();
    assert_eq!(flood(node), ["198.18.0.3"]);
    second.del();
    ask.del();
    std::fs::remove_file(hosts).unwrap();
    assert!(!noted.exists());
}

#[test]
fn a_node_sends_from_the_address_by_which_the_others_know_it() {
    let lab = Lab::new(2);
    let node = lab.node(0);
    // Of two addresses of its underlay the kernel would choose the first.
    node.ip("addr add 198.18.0.77/24 dev eth0");
    let peers = json!({"peers": ["198.18.0.77", "198.18.0.2"]});
    let blue = Net::new("blue", 100).peers(2, false).with(peers);
    let pods = pods(&lab, &blue);
    assert_eq!(flood(node), ["198.18.0.2"]);
    pods[0].1.ping(&address(&pods[1].2, 0));
    pods[1].1.ping(&address(&pods[0].2, 0));
    for (ask, _, result) in &pods {
        ask.check(result);
        ask.del();
    }
}

#[test]
fn peers_that_come_later_change_nothing_of_the_address_that_a_node_sends_from() {
    let lab = Lab::new(2);
    let node = lab.node(0);
    node.ip("addr add 198.18.0.77/24 dev eth0");
    // To this one the kernel would send from the other address.
    node.ip("route add 10.9.0.5 via 198.18.0.2 src 198.18.0.77");
    let file = node.dir().with_extension("peers");
    let tell = |text: &str| std::fs::write(&file, text).unwrap();
    tell("198.18.0.1\n198.18.0.2\n");
    let blue = Net::new("blue", 100).peers(2, false);
    let by_file = blue.clone().with(json!({"peers": {"file": file}}));
    let config = node.config(&[&by_file]);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    for (text, others) in [
        (
            "10.9.0.5\n198.18.0.1\n198.18.0.2\n",
            &["10.9.0.5", "198.18.0.2"][..],
        ),
        // Known by two addresses a node is still this one.
        ("198.18.0.1\n198.18.0.2\n198.18.0.77\n", &["198.18.0.2"]),
        ("198.18.0.2\n198.18.0.77\n", &["198.18.0.2"]),
    ] {
        tell(text);
        node.operate(&config, &["repair", "--json"]).ok();
        assert_eq!(flood(node), others, "{text}");
        ask.check(&result);
        let db = node.pod("db");
        let second = node.ask(&config, &db);
        second.add();
        second.del();
    }
    // Of an edit that fails nothing is left, and what the former file told still counts.
    let other = node.dir().with_extension("others");
    std::fs::write(&other, "198.18.0.1\n198.18.0.9\n").unwrap();
    let edited = blue.with(json!({"peers": {"file": other}}));
    let fails = json!({"type": "host-local", "dataDir": node.ipam(), "ranges": []});
    let db = node.pod("db");
    let second = node.ask(&node.config(&[&edited]).ipam(fails), &db);
    second.add_refused(999);
    assert_eq!(flood(node), ["198.18.0.2"]);
    ask.check(&result);
    ask.del();
    for file in [file, other] {
        std::fs::remove_file(file).unwrap();
    }
}

//! A gateway that every node has: one address, one configuration for all nodes, a MAC of each node's own.

use serde_json::{Value, json};

use crate::support::lab::{Ask, Lab, Net, Node, Pod, address, ipv6};

/// A pod of each network on each node.
struct Cluster<'a> {
    lab: &'a Lab,
    nets: [Net; 2],
    pods: Vec<(usize, Ask, Pod, Value)>,
}

impl<'a> Cluster<'a> {
    fn on(lab: &'a Lab) -> Self {
        let nets = [
            Net::new("blue", 100).dual().anycast(),
            Net::new("green", 101).dual().anycast(),
        ];
        let mut pods = Vec::new();
        for node in lab.nodes() {
            for net in &nets {
                let config = node.config(&[&nets[0], &nets[1]]).joining(net);
                let pod = node.pod(&net.name);
                let ask = node.ask(&config, &pod);
                let result = ask.add();
                pods.push((node.index, ask, pod, result));
            }
        }
        Self { lab, nets, pods }
    }

    fn node(&self, index: usize) -> &Node {
        self.lab.node(index)
    }
}

/// The addresses of a result.
fn addresses(result: &Value) -> Vec<String> {
    let count = result["ips"].as_array().map_or(0, Vec::len);
    (0..count).map(|n| address(result, n)).collect()
}

#[test]
fn with_one_gateway_address_for_all_nodes_every_pod_node_and_gateway_reaches_every_pod() {
    let lab = Lab::new(3);
    let before: Vec<_> = lab.nodes().iter().map(Node::snapshot).collect();
    let cluster = Cluster::on(&lab);
    let whole = cluster.pods[0].2.device("eth0")["mtu"].as_u64().unwrap() as u32;
    for (of, _, pod, result) in &cluster.pods {
        for to in cluster.pods.iter().flat_map(|(.., to)| addresses(to)) {
            pod.ping(&to);
            let headers = if to.contains(':') { 48 } else { 28 };
            assert!(pod.ping_whole(&to, whole - headers), "{to}");
        }
        // Its own node's gateway, of whichever network.
        for net in &cluster.nets {
            pod.ping(&cluster.node(*of).gateway(net));
        }
        for (node, to) in lab.nodes().iter().flat_map(|node| {
            let all = addresses(result).into_iter();
            all.map(move |to| (node, to))
        }) {
            node.ping(&to);
        }
        for ip in result["ips"].as_array().unwrap() {
            let gateway = ip["gateway"].as_str().unwrap();
            assert!(["10.100.0.1", "fd10:64::1", "10.101.0.1", "fd10:65::1"].contains(&gateway));
        }
    }
    for (_, ask, _, result) in &cluster.pods {
        ask.check(result);
    }
    // What a node sends has an address to which every other node knows the way.
    let sent = lab.node(1).show("route get 10.100.0.9");
    assert_eq!(sent[0]["prefsrc"], "198.18.0.2");
    if ipv6::networks_have_it() {
        let sent = lab.node(1).show("-6 route get fd10:64::9");
        assert_eq!(sent[0]["prefsrc"], "fd00:198:18::2");
    }
    for (_, ask, ..) in &cluster.pods {
        ask.del();
    }
    for (node, before) in lab.nodes().iter().zip(&before) {
        node.snapshot().assert_same(before);
        lab.node((node.index + 1) % 3).ping(&node.underlay());
    }
}

#[test]
fn what_a_pod_knows_of_its_gateway_is_a_fact_that_check_sees_and_repair_mends() {
    let lab = Lab::new(2);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).dual().anycast();
    let config = node.config(&[&blue]);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    let mac = node.device("mv_blue")["address"]
        .as_str()
        .unwrap()
        .to_owned();
    // It follows from the node's address on the underlay: made anew, it is where the pods know it to be.
    assert_eq!(mac, "0a:59:c6:12:00:01");
    for (break_it, found) in [
        (
            "ip link set eth0 down; ip link set eth0 up",
            "eth0 has 10.100.0.1 at",
        ),
        (
            "ip neigh replace 10.100.0.1 lladdr 02:00:00:00:00:09 dev eth0 nud permanent",
            "02:00:00:00:00:09",
        ),
        (
            "ip neigh replace 10.100.0.1 lladdr 0a:59:c6:12:00:01 dev eth0 nud reachable",
            "(REACHABLE)",
        ),
    ] {
        pod.sh(break_it);
        let said = ask.check_refused(&result, 101);
        assert!(said.contains(found), "{said}");
        node.operate(&config, &["repair", "--json"]).ok();
        ask.check(&result);
    }
    node.ip("link del mv_blue");
    let said = ask.check_refused(&result, 101);
    assert!(said.contains("mv_blue"), "{said}");
    node.operate(&config, &["repair", "--json"]).ok();
    assert_eq!(node.device("mv_blue")["address"], mac);
    ask.check(&result);
    pod.ping(&node.gateway(&blue));
    // The way of the node's own packets.
    node.ip("route replace 10.100.0.0/16 dev mv_blue proto kernel scope link src 10.100.0.1");
    let said = ask.check_refused(&result, 101);
    assert!(said.contains("src 198.18.0.1"), "{said}");
    node.operate(&config, &["repair", "--json"]).ok();
    ask.check(&result);
    ask.del();
}

#[test]
fn a_strict_rp_filter_of_the_underlay_is_loosened_where_a_pod_elsewhere_answers_the_node() {
    let lab = Lab::new(2);
    let blue = Net::new("blue", 100).anycast();
    let (one, two) = (lab.node(0), lab.node(1));
    for node in lab.nodes() {
        node.set(&[
            "net.ipv4.conf.all.rp_filter=1",
            "net.ipv4.conf.eth0.rp_filter=1",
        ]);
    }
    let (web, db) = (one.pod("web"), two.pod("db"));
    let asks = [
        one.ask(&one.config(&[&blue]), &web),
        two.ask(&two.config(&[&blue]), &db),
    ];
    let results = asks.each_ref().map(Ask::add);
    assert_eq!(one.sysctl("net/ipv4/conf/eth0/rp_filter"), "2");
    one.ping(&address(&results[1], 0));
    two.ping(&address(&results[0], 0));
    // Where it is not strict it is left alone.
    let other = lab.node(1);
    other.set(&[
        "net.ipv4.conf.all.rp_filter=0",
        "net.ipv4.conf.eth0.rp_filter=0",
    ]);
    asks[1].check(&results[1]);
    asks.iter().for_each(Ask::del);
}

#[test]
fn two_nodes_with_one_gateway_address_claim_no_address_twice() {
    let lab = Lab::new(2);
    let (one, two) = (lab.node(0), lab.node(1));
    let blue = Net::new("blue", 100)
        .dual()
        .anycast()
        .with(json!({"excludeFirst": 256, "excludeLast": 256}));
    let ask = |node: &Node, pod: &Pod| {
        let config = node.config(&[&blue]).ipam(node.route_table());
        node.ask(&config, pod)
    };
    let (web, db) = (one.pod("web"), two.pod("db"));
    // Node two is on the network.
    let second = ask(two, &db);
    second.add();
    let first = ask(one, &web);
    let result = first.add();
    // The pod is silent: the claim alone answers.
    web.ip("link set eth0 down");
    let thief = two.pod("thief");
    for wanted in addresses(&result) {
        let said = ask(two, &thief)
            .args(&format!("IP={wanted}"))
            .add_refused(11);
        assert!(said.contains(&format!("{wanted} is taken")), "{said}");
    }
    first.del();
    second.del();
}

#[test]
fn a_network_in_use_becomes_anycast_with_the_next_add_and_pods_from_before_keep_their_gateway() {
    let lab = Lab::new(2);
    let (fixed, shared) = (Net::new("blue", 100), Net::new("blue", 100).anycast());
    // The first node's own address is the one that all are to have; the second's is another.
    for node in lab.nodes() {
        let before = node.snapshot();
        let [web, db] = ["web", "db"].map(|name| node.pod(name));
        let old = node.ask(&node.config(&[&fixed]), &web);
        let first = old.add();
        let new = node.ask(&node.config(&[&shared]), &db);
        let second = new.add();
        web.ping(&node.gateway(&fixed));
        db.ping("10.100.0.1");
        db.ping(&address(&first, 0));
        node.ping(&address(&first, 0));
        old.check(&first);
        new.check(&second);
        old.del();
        let listed = node.ip("-o -4 addr show dev mv_blue");
        assert!(
            listed.contains("10.100.0.1/32") && !listed.contains("/16"),
            "{listed}"
        );
        new.check(&second);
        node.ping(&address(&second, 0));
        new.del();
        node.snapshot().assert_same(&before);
    }
}

#[test]
fn where_the_nodes_address_on_the_underlay_changes_the_former_one_goes_from_the_gateway_too() {
    let lab = Lab::new(2);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).anycast();
    let config = node.config(&[&blue]);
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    node.batch(&[
        "addr del 198.18.0.1/24 dev eth0",
        "addr add 198.18.0.77/24 dev eth0",
    ]);
    let said = ask.check_refused(&result, 101);
    assert!(said.contains("198.18.0.1/32 no more"), "{said}");
    node.operate(&config, &["repair", "--json"]).ok();
    ask.check(&result);
    let listed = node.ip("-o -4 addr show dev mv_blue");
    assert!(
        listed.contains("198.18.0.77/32") && !listed.contains("198.18.0.1/32"),
        "{listed}"
    );
    node.ping(&address(&result, 0));
    lab.node(1).ping("198.18.0.77");
    assert!(!lab.node(1).reaches("198.18.0.1"));
    ask.del();
}

#[test]
fn an_underlay_by_another_name_of_its_device_is_the_same_to_an_anycast_gateway() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    node.ip("link property add dev eth0 altname underlay0");
    let blue = Net::new("blue", 100)
        .anycast()
        .with(json!({"options": {"vtepdev": "underlay0"}}));
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&blue]), &pod);
    let result = ask.add();
    ask.check(&result);
    ask.del();
}

#[test]
fn an_edit_to_a_shared_gateway_that_fails_or_is_taken_back_leaves_nothing_of_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let own = Net::new("blue", 100).dual();
    let shared = own.clone().anycast();
    let (web, db) = (node.pod("web"), node.pod("db"));
    let ask = node.ask(&node.config(&[&own]), &web);
    let result = ask.add();
    let before = node.snapshot();
    let edited = node.config(&[&shared]);
    let fails = json!({"type": "host-local", "dataDir": node.ipam(), "ranges": []});
    let second = node.ask(&edited, &db);
    second
        .clone()
        .config(&edited.clone().ipam(fails))
        .add_refused(999);
    node.snapshot().assert_same(&before);
    // Made, and edited back with the next pod.
    second.add();
    let third = node.pod("third");
    let back = node.ask(&node.config(&[&own]), &third);
    back.add();
    second.del();
    back.del();
    node.snapshot().assert_same(&before);
    ask.check(&result);
    web.ping(&node.gateway(&own));
    ask.del();
}

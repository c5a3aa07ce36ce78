//! Services, NodePorts and hostPorts with the rules of kube-proxy, and direct traffic beside them, on two nodes: TCP and
//! UDP, IPv4 and IPv6. docs/services.md has the same table.
//!
//! Needs root, and fails without it. `cargo test --test services`.

#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod proxy;
mod scene;

use std::collections::BTreeMap;

use proxy::Mode;
use scene::{OWN, PODS, PORT, Place, Question, Scene};

/// Every protocol of every family.
const ALL: &str = "tcp4 tcp6 udp4 udp6";

/// TCP alone: the first packet and the answer pass, but not the second packet.
const TCP: &str = "tcp4 tcp6";

/// The client: a pod of blue on node 1.
const POD: Place = Place::Pod(&PODS[0]);

/// One target in each protocol and family.
struct Target {
    name: String,
    addresses: [String; 2],
    port: u16,
}

impl Target {
    fn questions(&self) -> Vec<Question> {
        let families = std::iter::zip(["4", "6"], &self.addresses);
        let each = families.flat_map(|family| ["tcp", "udp"].map(|protocol| (family, protocol)));
        each.map(|((family, address), protocol)| Question {
            label: format!("{} {protocol}{family}", self.name).replace(' ', "/"),
            protocol,
            address: address.clone(),
            port: self.port,
        })
        .collect()
    }
}

fn target(name: String, addresses: [String; 2], port: u16) -> Target {
    Target {
        name,
        addresses,
        port,
    }
}

/// The gateways of both networks on a node.
fn gateways(node: u8) -> [(String, [String; 2]); 2] {
    [("blue", 1), ("green", 2)].map(|(network, number)| {
        let addresses = [
            format!("10.{number}.0.{node}"),
            format!("fd10:{number}::{node}"),
        ];
        (format!("{network}-gateway{node}"), addresses)
    })
}

/// What a pod may ask.
fn of_a_pod(scene: &Scene) -> Vec<Target> {
    let mut all = from_outside(scene);
    let names = PODS.iter().map(|pod| pod.name).chain([OWN.0]);
    for (index, name) in names.enumerate() {
        all.push(target(
            format!("service {name}"),
            proxy::cluster_ip(index),
            80,
        ));
        if let Some(pod) = PODS.get(index) {
            all.push(target(
                format!("direct {name}"),
                scene.addresses(Place::Pod(pod)),
                PORT,
            ));
        }
        for (gateway, addresses) in scene.gateways.iter().copied().flat_map(gateways) {
            all.push(target(
                format!("nodeport {gateway} {name}"),
                addresses,
                proxy::node_port(index),
            ));
        }
    }
    for (gateway, addresses) in scene.gateways.iter().copied().flat_map(gateways) {
        all.push(target(format!("direct {gateway}"), addresses, PORT));
    }
    all.push(target(
        "direct outside".to_owned(),
        scene.addresses(Place::Outside),
        PORT,
    ));
    all
}

/// What a machine may ask that is on no network and has no route to the pods.
fn from_outside(scene: &Scene) -> Vec<Target> {
    let mut all = Vec::new();
    let names = PODS.iter().map(|pod| pod.name).chain([OWN.0]);
    for (index, name) in names.enumerate() {
        for node in [1, 2] {
            all.push(target(
                format!("nodeport node{node} {name}"),
                scene.addresses(Place::Node(node)),
                proxy::node_port(index),
            ));
        }
    }
    for (index, pod) in PODS.iter().enumerate() {
        let host = scene.addresses(Place::Node(pod.node));
        all.push(target(
            format!("hostport {}", pod.name),
            host,
            proxy::host_port(index),
        ));
    }
    for node in [1, 2] {
        all.push(target(
            format!("direct node{node}"),
            scene.addresses(Place::Node(node)),
            PORT,
        ));
    }
    all
}

/// Asks all targets from a place and tells which fail, by the target, with the protocols that do.
fn failing(scene: &Scene, from: Place, targets: &[Target]) -> BTreeMap<String, String> {
    let questions: Vec<Question> = targets.iter().flat_map(Target::questions).collect();
    let mut failing: BTreeMap<String, String> = BTreeMap::new();
    for (label, answer) in scene.ask(from, &questions) {
        let (name, protocol) = label.rsplit_once('/').unwrap();
        let name = name.replace('/', " ");
        let asked = name.rsplit(' ').next().unwrap();
        if answer.is_empty() {
            let protocols = failing.entry(name).or_default();
            *protocols = format!("{protocols} {protocol}").trim().to_owned();
            continue;
        }
        let (by, seen) = answer.split_once(' ').unwrap();
        assert!(
            by == asked || asked.contains("gateway"),
            "{label} was answered by {by}"
        );
        if from == POD {
            assert_seen(scene, &name, seen);
        }
    }
    failing
}

/// As whom an endpoint sees the client: a pod that is asked directly sees it itself, a Service's pod sees its node.
fn assert_seen(scene: &Scene, target: &str, seen: &str) {
    let is_pod = |name: &str| PODS.iter().any(|pod| pod.name == name);
    let client = scene.addresses(POD);
    let gateways = gateways(1).map(|(_, addresses)| addresses);
    let node: Vec<String> = [scene.addresses(Place::Node(1))]
        .into_iter()
        .chain(gateways)
        .flatten()
        .collect();
    match target.split_once(' ') {
        Some(("direct", pod)) if is_pod(pod) => {
            assert!(client.iter().any(|own| own == seen), "{target}: {seen}");
        }
        Some(("service", pod)) if is_pod(pod) && scene.masquerades_services => {
            assert!(node.iter().any(|own| own == seen), "{target}: {seen}");
        }
        _ => {}
    }
}

/// What must fail, and nothing else: a target, or several by `*` for every pod, with its protocols.
fn assert_failing(what: &str, found: BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let mut wanted = BTreeMap::new();
    for (target, protocols) in expected {
        match target.strip_suffix('*') {
            None => drop(wanted.insert((*target).to_owned(), (*protocols).to_owned())),
            Some(front) => {
                let names = PODS.iter().map(|pod| pod.name).chain([OWN.0]);
                wanted
                    .extend(names.map(|name| (format!("{front}{name}"), (*protocols).to_owned())));
            }
        }
    }
    assert_eq!(found, wanted, "{what}");
}

/// Tries one kind of kube-proxy, from a pod and from elsewhere. From a node and from outside everything answers.
fn rows(scene: &Scene, mode: Mode, expected: &[(&str, &str)]) {
    proxy::start(scene, mode);
    let pods = of_a_pod(scene);
    assert_failing(
        &format!("{mode:?}, from a pod"),
        failing(scene, POD, &pods),
        expected,
    );
    let node = Place::Node(1);
    assert_failing(
        &format!("{mode:?}, from a node"),
        failing(scene, node, &pods),
        &[],
    );
    let outside = failing(scene, Place::Outside, &from_outside(scene));
    assert_failing(&format!("{mode:?}, from outside"), outside, &[]);
    proxy::stop(scene, mode);
}

/// Where the node that a pod's packets go through does not see the answers, kube-proxy's iptables mode drops the
/// second packet of a TCP connection as INVALID.
const UNSEEN: [(&str, &str); 6] = [
    ("direct green-gateway2", TCP),
    ("direct node2", TCP),
    ("direct remote", TCP),
    ("nodeport green-gateway2 *", TCP),
    ("nodeport node2 *", TCP),
    ("hostport remote", TCP),
];

/// A machine without a route to the pods.
const NO_WAY_BACK: (&str, &str) = ("direct outside", ALL);

/// A Service that is another node's own process, which answers the client straight: its node is on the network.
const PAST: (&str, &str) = ("service node2", ALL);

#[test]
fn without_a_daemon_services_answer_and_direct_tcp_across_nodes_needs_a_liberal_conntrack_in_iptables_mode()
 {
    let scene = Scene::new(None, "{}");
    let unseen = [&UNSEEN[..], &[("hostport far", TCP), NO_WAY_BACK, PAST]].concat();
    rows(&scene, Mode::Iptables, &unseen);
    rows(&scene, Mode::Nftables, &[NO_WAY_BACK, PAST]);
    for node in [1, 2] {
        let liberal = "net.netfilter.nf_conntrack_tcp_be_liberal=1";
        scene.run(Place::Node(node), &["sysctl", "-qw", liberal], "");
    }
    rows(&scene, Mode::Iptables, &[NO_WAY_BACK, PAST]);
}

#[test]
fn with_ip_masq_every_port_of_another_node_answers_and_so_does_a_machine_without_a_route_to_the_pods()
 {
    let scene = Scene::new(None, r#"{"ipMasq": true}"#);
    let between_networks = [
        ("direct green-gateway2", TCP),
        ("direct remote", TCP),
        ("nodeport green-gateway2 *", TCP),
    ];
    rows(&scene, Mode::Iptables, &between_networks);
    rows(&scene, Mode::Nftables, &[]);
}

/// The client's node asks an endpoint elsewhere with its address on the underlay, and the answer comes back by the endpoint's
/// node, which sees half of the connection: kube-proxy's iptables mode must be told to let that be.
#[test]
fn with_an_anycast_gateway_services_answer_where_half_a_connection_is_not_dropped() {
    let scene = Scene::new(None, r#"{"gateway": "anycast"}"#);
    rows(&scene, Mode::Nftables, &[NO_WAY_BACK, PAST]);
    for node in [1, 2] {
        let liberal = "net.netfilter.nf_conntrack_tcp_be_liberal=1";
        scene.run(Place::Node(node), &["sysctl", "-qw", liberal], "");
    }
    rows(&scene, Mode::Iptables, &[NO_WAY_BACK, PAST]);
}

#[test]
fn without_service_masquerade_no_service_answers_whose_endpoint_answers_past_the_clients_node() {
    let scene = Scene::new(None, r#"{"serviceMasquerade": false}"#);
    let past = [
        ("service near", ALL),
        ("service far", ALL),
        ("service remote", ALL),
        ("hostport near", ALL),
        ("hostport far", ALL),
        PAST,
    ];
    for (mode, unseen) in [(Mode::Iptables, &UNSEEN[..]), (Mode::Nftables, &[])] {
        proxy::start(&scene, mode);
        let found = failing(&scene, POD, &of_a_pod(&scene));
        let expected = [&past[..], unseen, &[NO_WAY_BACK]].concat();
        assert_failing(&format!("{mode:?}, without"), found, &expected);
        proxy::stop(&scene, mode);
    }
}

/// With a daemon every answer comes back the way that its question went: by the other node's route to the client, or
/// straight where it was asked straight.
fn with_a_daemon(daemon: &str, keys: &str, failing: &[(&str, &str)]) {
    let scene = Scene::new(Some(daemon), keys);
    rows(&scene, Mode::Iptables, failing);
    rows(&scene, Mode::Nftables, failing);
}

#[test]
fn with_bird_everything_answers_but_a_machine_without_a_route_to_the_pods() {
    with_a_daemon("bird", "{}", &[NO_WAY_BACK]);
}

#[test]
fn with_frr_everything_answers_but_a_machine_without_a_route_to_the_pods() {
    with_a_daemon("frr", "{}", &[NO_WAY_BACK]);
}

#[test]
fn with_bird_and_ip_masq_everything_answers() {
    with_a_daemon("bird", r#"{"ipMasq": true}"#, &[]);
}

#[test]
fn with_frr_and_ip_masq_everything_answers() {
    with_a_daemon("frr", r#"{"ipMasq": true}"#, &[]);
}

//! Our plugin in a list with the reference plugins of Debian, before and after it.

use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::chain::Chain;
use crate::prerequisites::require;
use crate::stand_in::{StandIn, says};
use crate::support::lab::{Config, Lab, Net, Node, Ns, Pod, address, until};

/// The versions in which lists of plugins are used: the oldest with a result of interfaces, the oldest
/// with CHECK, the newest that Debian's plugins speak.
const VERSIONS: [&str; 3] = ["0.3.1", "0.4.0", "1.0.0"];

fn has_check(version: &str) -> bool {
    version >= "0.4.0"
}

/// Everything a plugin may have left in the tables of a namespace that tells of a pod.
fn filters(ns: &Ns, marks: &[&str]) -> Vec<String> {
    let text = ns.run(&["iptables-save"]) + &ns.run(&["ip6tables-save"]);
    let told = |line: &&str| marks.iter().any(|mark| line.contains(mark));
    text.lines().filter(told).map(str::to_owned).collect()
}

/// A server on a port of a pod that says `hello` to everybody.
struct Server(Child);

impl Server {
    fn on(pod: &Pod, port: &str) -> Self {
        let argv = ["busybox", "nc", "-ll", "-p", port, "-e", "echo", "hello"];
        Self(pod.command(&argv).spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether somebody says `hello` there.
fn says_hello(from: &Ns, address: &str, port: &str) -> bool {
    let mut client = from.command(&["busybox", "nc", "-w", "1", address, port]);
    let mut child = client
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said)
        .unwrap();
    child.wait().unwrap();
    said.trim() == "hello"
}

/// A list with everything that Debian has to put behind a plugin that makes an interface.
fn all_behind<'a>(node: &'a Node, pod: &'a Pod, version: &'a str, config: &Config) -> Chain<'a> {
    let tuning = json!({
        "type": "tuning", "dataDir": node.dir().join("tuning"), "promisc": true, "allmulti": true,
        "sysctl": {"net.ipv4.conf.eth0.log_martians": "1", "net.core.somaxconn": "500"},
    });
    let ports = json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]);
    let chain = Chain::new(node, pod, version)
        .ours(config)
        .then(tuning)
        .then(json!({"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}))
        .then(json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}))
        .capability("portMappings", ports);
    match has_check(version) {
        true => chain.then(json!({"type": "firewall", "backend": "iptables"})),
        // The reference firewall speaks 0.4.0 and newer.
        false => chain,
    }
}

#[test]
fn c31_c56_tuning_portmap_bandwidth_and_firewall_work_behind_ours_in_every_version() {
    require();
    let lab = Lab::new(2);
    let (node, other) = (lab.node(0), lab.node(1));
    let net = Net::new("blue", 100);
    let config = node.config(&[&net]).ipam(node.route_table());
    let before = node.snapshot();
    for version in VERSIONS {
        let pod = node.pod("web");
        let chain = all_behind(node, &pod, version, &config);
        let result = chain.add();
        assert_eq!(
            result["interfaces"].as_array().unwrap().len(),
            3,
            "{result}"
        );
        assert_eq!(result["ips"][0]["interface"], 2, "{result}");
        let address = address(&result, 0);
        // Its port is the node's, for the other node too.
        let server = Server::on(&pod, "80");
        until("the pod's port is reached through the node's", || {
            says_hello(other, &node.underlay(), "8080")
        });
        drop(server);
        assert_eq!(pod.sysctl("net/ipv4/conf/eth0/log_martians"), "1");
        let marks = [address.as_str(), pod.container.as_str()];
        let ruled = filters(node, &marks);
        let has = |chain: &str| ruled.iter().any(|line| line.contains(chain));
        assert!(has("DNAT"), "{ruled:?}");
        assert_eq!(has("CNI-FORWARD"), has_check(version), "{ruled:?}");
        let host = Ns::at(Path::new("/proc/self/ns/net"));
        assert_eq!(filters(&host, &marks[1..]), Vec::<String>::new());
        if has_check(version) {
            // Of Debian's 1.1.1, portmap wants rules of IPv6 for a pod without (containernetworking/plugins#819),
            // and bandwidth a pair of devices also where it has nothing to shape.
            chain.check_without(&["portmap", "bandwidth"], &result);
        }
        chain.del(&result);
        node.snapshot().assert_same(&before);
        assert_eq!(filters(node, &marks), Vec::<String>::new());
        chain.del(&result);
    }
}

#[test]
fn c56_a_mac_that_tuning_gave_is_the_pods_for_check_and_del() {
    require();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node.config(&[&Net::new("blue", 100)]);
    let before = node.snapshot();
    for version in VERSIONS {
        let pod = node.pod("web");
        let tuning = json!({"type": "tuning", "dataDir": node.dir().join("tuning"), "capabilities": {"mac": true}});
        let chain = Chain::new(node, &pod, version)
            .ours(&config)
            .then(tuning)
            .capability("mac", json!("02:00:00:00:00:aa"));
        let result = chain.add();
        assert_eq!(result["interfaces"][2]["mac"], "02:00:00:00:00:aa");
        assert_eq!(pod.device("eth0")["address"], "02:00:00:00:00:aa");
        node.ping(&address(&result, 0));
        if has_check(version) {
            chain.check(&result);
            pod.ip("link set dev eth0 address 02:00:00:00:00:bb");
            let said = chain.check_ours(&result).error(101);
            assert!(
                said.contains(
                    "eth0 has address 02:00:00:00:00:aa: found address 02:00:00:00:00:bb"
                ),
                "{said}"
            );
        }
        chain.del(&result);
        node.snapshot().assert_same(&before);
    }
}

#[test]
fn c56_what_later_plugins_add_is_none_of_checks_business() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100).dual();
    let config = node.config(&[&net]);
    let pod = node.pod("web");
    let chain = Chain::new(node, &pod, "1.0.0").ours(&config);
    let result = chain.add();
    pod.batch(&[
        "addr add 192.0.2.7/24 dev eth0",
        "addr add 10.100.77.77/16 dev eth0",
        "addr add 2001:db8::7/64 dev eth0 nodad",
        "route add 198.51.100.0/24 via 10.100.0.9 dev eth0",
        "route add default via 10.100.0.9 dev eth0 metric 500",
        "route add default via 10.100.0.9 dev eth0 table 77",
        "rule add pref 1000 from 192.0.2.0/24 lookup 77",
        "link add ve0 type veth peer name ve1",
        "link set ve0 up",
        "link set lo up",
        "link set eth0 promisc on allmulticast on txqueuelen 77",
        "neigh replace 10.100.0.9 lladdr 02:00:00:00:00:09 dev eth0",
    ]);
    pod.sh("tc qdisc replace dev eth0 root handle 1: pfifo limit 100");
    pod.set(&["net.ipv4.conf.eth0.proxy_arp=1", "net.ipv4.ip_forward=1"]);
    // What a later plugin adds to the result is no promise of ours either.
    let mut joined = result.clone();
    let interfaces = joined["interfaces"].as_array_mut().unwrap();
    interfaces.push(json!({"name": "ve0", "sandbox": pod.path()}));
    joined["ips"]
        .as_array_mut()
        .unwrap()
        .push(json!({"address": "192.0.2.99/24", "interface": 3}));
    joined["routes"]
        .as_array_mut()
        .unwrap()
        .push(json!({"dst": "203.0.113.0/24", "gw": "10.100.0.9"}));
    chain.check(&joined);
    chain.check(&result);
    // What it claims for our interface is.
    joined["ips"]
        .as_array_mut()
        .unwrap()
        .push(json!({"address": "192.0.2.98/24", "interface": 2}));
    let said = chain.check_ours(&joined).error(101);
    assert!(said.contains("eth0 has 192.0.2.98/24: missing"), "{said}");
}

#[test]
fn what_tuning_and_sbr_make_otherwise_stays_so_for_check_doctor_and_repair() {
    require();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node.config(&[&Net::new("blue", 100).dual()]);
    let before = node.snapshot();
    let pod = node.pod("web");
    let switches = [
        ("net/ipv4/conf/eth0/arp_notify", "0"),
        ("net/ipv4/conf/eth0/accept_redirects", "1"),
        ("net/ipv4/conf/eth0/accept_source_route", "1"),
        ("net/ipv6/conf/eth0/accept_ra", "1"),
        ("net/ipv6/conf/eth0/ndisc_notify", "0"),
    ];
    let sysctl: Value = switches
        .map(|(key, value)| (key.replace('/', "."), json!(value)))
        .into_iter()
        .collect::<serde_json::Map<_, _>>()
        .into();
    let chain = Chain::new(node, &pod, "1.0.0")
        .ours(&config)
        .then(json!({"type": "tuning", "dataDir": node.dir().join("tuning"), "mtu": 1300, "sysctl": sysctl}))
        .then(json!({"type": "sbr"}));
    let result = chain.add();
    for (family, table) in [("-4", "100"), ("-6", "101")] {
        let moved = pod.show(&format!("{family} route show default table {table}"));
        assert_eq!(moved.as_array().unwrap().len(), 1, "{moved}");
    }
    let is_theirs = || {
        assert_eq!(pod.device("eth0")["mtu"], 1300);
        for (key, value) in switches {
            assert_eq!(pod.sysctl(key), value, "{key}");
        }
        for family in ["-4", "-6"] {
            let main = pod.show(&format!("{family} route show default"));
            assert_eq!(main, json!([]));
        }
    };
    is_theirs();
    chain.check(&result);
    let said = node.operate(&config, &["doctor"]);
    let holds = format!("ok {}/eth0: all ", pod.container);
    assert!(said.stdout.contains(&holds), "{}", said.stdout);
    let said = node.operate(&config, &["repair"]);
    assert!(said.stdout.contains("nothing was done"), "{said:?}");
    is_theirs();
    // What the network cannot live with is a fault all the same.
    pod.ip("link set dev eth0 mtu 1400");
    pod.ip("route del default table 100");
    let said = chain.check_ours(&result).error(101);
    assert!(said.contains("route default via 10.100.0.1"), "{said}");
    chain.del(&result);
    node.snapshot().assert_same(&before);
}

#[test]
fn c31_loopback_before_ours_and_tuning_behind_it_are_one_result_in_every_version() {
    require();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let net = Net::new("blue", 100).dual();
    let config = node.config(&[&net]);
    node.set(&["net.ipv6.conf.all.forwarding=1"]);
    let before = node.snapshot();
    for version in VERSIONS {
        let pod = node.pod("web");
        let chain = Chain::new(node, &pod, version)
            .then(json!({"type": "loopback"}))
            .ours(&config)
            .then(json!({"type": "tuning", "dataDir": node.dir().join("tuning"), "sysctl": {"net.core.somaxconn": "500"}}));
        let result = chain.add();
        let names: Vec<&Value> = result["interfaces"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| &one["name"])
            .collect();
        assert_eq!(names, ["lo", "vx_blue", "mv_blue", "eth0"]);
        let ips: Vec<(String, u64)> = (0..4)
            .map(|n| {
                (
                    address(&result, n),
                    result["ips"][n]["interface"].as_u64().unwrap(),
                )
            })
            .collect();
        assert_eq!(ips[0], ("127.0.0.1".to_owned(), 0));
        assert_eq!(ips[1], ("::1".to_owned(), 0));
        assert_eq!((ips[2].1, ips[3].1), (3, 3));
        node.ping(&ips[2].0);
        node.ping(&ips[3].0);
        if has_check(version) {
            chain.check(&result);
        }
        chain.del(&result);
        node.snapshot().assert_same(&before);
    }
}

/// A reference plugin that makes the pod's `eth0` on the host side of a pair.
fn makes_eth0(node: &Node, plugin: &str) -> Value {
    let range = json!([[{"subnet": "172.20.0.0/24", "rangeStart": "172.20.0.10"}]]);
    let routes = json!([{"dst": "0.0.0.0/0"}]);
    let ipam =
        json!({"type": "host-local", "dataDir": node.ipam(), "ranges": range, "routes": routes});
    match plugin {
        "bridge" => {
            json!({"type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true, "ipam": ipam})
        }
        _ => json!({"type": plugin, "ipMasq": true, "ipam": ipam}),
    }
}

#[test]
fn c31_bridge_or_ptp_for_eth0_and_ours_for_net1_are_one_result_and_both_work() {
    require();
    let lab = Lab::new(2);
    let (node, other) = (lab.node(0), lab.node(1));
    let net = Net::new("blue", 100).with(json!({"defaultRoute": 1000}));
    let config = node.config(&[&net]).ipam(node.route_table());
    let remote = other.pod("db");
    let there = other.ask(&other.config(&[&net]), &remote).add();
    for (plugin, version) in [("bridge", "1.0.0"), ("ptp", "0.4.0")] {
        let pod = node.pod("web");
        let chain = Chain::new(node, &pod, version)
            .then(makes_eth0(node, plugin))
            .ours(&config)
            .ifname("net1")
            .then(json!({"type": "firewall", "backend": "iptables"}));
        let result = chain.add();
        let last = result["interfaces"].as_array().unwrap().len() - 1;
        assert_eq!(result["interfaces"][last]["name"], "net1", "{result}");
        assert_eq!(result["ips"][1]["interface"], last, "{result}");
        assert_eq!(
            result["interfaces"][result["ips"][0]["interface"].as_u64().unwrap() as usize]["name"],
            "eth0"
        );
        pod.ping("172.20.0.1");
        pod.ping(&address(&there, 0));
        pod.ping(&other.gateway(&net));
        // The first default route is the first plugin's.
        assert_eq!(pod.show("route get 203.0.113.1")[0]["dev"], "eth0");
        // The reference plugins' own CHECK takes every address of the list's result for their interface's.
        chain.check_ours(&result).ok();
        chain.del(&result);
        assert!(node.device("vx_blue").is_null() && pod.device("net1").is_null());
        let left = filters(node, &[&pod.container]);
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn bandwidth_behind_ours_is_refused_by_the_reference_plugin_and_del_leaves_nothing() {
    require();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node.config(&[&Net::new("blue", 100)]);
    let pod = node.pod("web");
    let before = node.snapshot();
    let chain = Chain::new(node, &pod, "1.0.0")
        .ours(&config)
        .then(json!({"type": "bandwidth", "capabilities": {"bandwidth": true}}))
        .capability(
            "bandwidth",
            json!({"ingressRate": 1_000_000, "ingressBurst": 100_000}),
        );
    let said = chain.try_add().unwrap_err();
    // It shapes the node's end of a pair, and a macvlan has none.
    assert!(said.stdout.contains("veth"), "{said:?}");
    chain.del(&Value::Null);
    node.snapshot().assert_same(&before);
}

#[test]
fn an_add_that_fails_in_a_later_plugin_is_undone_by_the_dels_of_all() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let config = node
        .config(&[&Net::new("blue", 100)])
        .ipam(node.route_table());
    let later = StandIn::new(
        node,
        &[(
            "ADD",
            &format!("{}\nexit 1", says(&json!({"code": 120, "msg": "not me"}))),
        )],
    );
    let before = node.snapshot();
    for version in VERSIONS {
        let pod = node.pod("web");
        let chain = Chain::new(node, &pod, version)
            .plugins_first(later.dir())
            .ours(&config)
            .then(json!({"type": "stand-in"}));
        chain.try_add().unwrap_err().error(120);
        assert!(!pod.device("eth0").is_null());
        // The runtime has no result to hand over: the list's ADD has not ended.
        chain.del(&Value::Null);
        assert!(pod.device("eth0").is_null());
        node.snapshot().assert_same(&before);
    }
    assert_eq!(
        later.stdin("ADD")["prevResult"]["interfaces"][2]["name"],
        "eth0"
    );
}

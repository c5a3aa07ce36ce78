//! ADD: who reaches whom, and that the result is what `ip` shows.

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, Node, Pod, address, ipv6, left_by_the_underlay, until};
use crate::support::plugin::Said;

/// Compares a result with what the kernel shows, both ways.
pub(super) fn assert_true(result: &Value, node: &Node, pod: &Pod, net: &Net, ifname: &str) {
    let interfaces = result["interfaces"].as_array().unwrap();
    assert_eq!(interfaces.len(), 3, "{result}");
    let shown = [
        node.device(&net.vx()),
        node.device(&net.mv()),
        pod.device(ifname),
    ];
    for (interface, shown) in interfaces.iter().zip(&shown) {
        assert_eq!(interface["name"], shown["ifname"], "{result}");
        assert_eq!(interface["mac"], shown["address"], "{result}");
        if interface.get("mtu").is_some() {
            assert_eq!(interface["mtu"], shown["mtu"], "{result}");
        }
    }
    assert_eq!(interfaces[0].get("sandbox"), None);
    assert_eq!(interfaces[1].get("sandbox"), None);
    assert_eq!(interfaces[2]["sandbox"], pod.path());
    assert_eq!(addresses_of(result), global(&shown[2]));
    let mut routes = routes_in(pod, ifname);
    if result["cniVersion"] != "1.1.0" {
        // Older versions have no word for a route's metric.
        let plain = |route: String| route.split(" metric").next().unwrap().to_owned();
        routes = routes.into_iter().map(plain).collect();
    }
    assert_eq!(routes_of(result), routes);
}

/// The addresses of a result, which all are the third interface's.
fn addresses_of(result: &Value) -> Vec<String> {
    let ips = result["ips"].as_array().unwrap();
    assert!(ips.iter().all(|ip| ip["interface"] == 2), "{result}");
    sorted(
        ips.iter()
            .map(|ip| ip["address"].as_str().unwrap().to_owned()),
    )
}

/// The addresses of a device as `ip` shows them, those of the link left out.
fn global(device: &Value) -> Vec<String> {
    let infos = device["addr_info"].as_array().unwrap().iter();
    let of = |info: &Value| format!("{}/{}", info["local"].as_str().unwrap(), info["prefixlen"]);
    sorted(infos.filter(|info| info["scope"] == "global").map(of))
}

/// The routes of a result, as `DESTINATION via GATEWAY metric METRIC`; without the metric before 1.1.0.
fn routes_of(result: &Value) -> Vec<String> {
    let routes = result["routes"].as_array().cloned().unwrap_or_default();
    let of = |route: Value| {
        let dst = route["dst"].as_str().unwrap().to_owned();
        let six = dst.contains(':');
        let gateway = result["ips"].as_array().unwrap().iter().find_map(|ip| {
            let gateway = ip["gateway"].as_str()?;
            (gateway.contains(':') == six).then_some(gateway)
        });
        let gateway = route["gw"].as_str().or(gateway).unwrap();
        let metric = route["priority"]
            .as_u64()
            .unwrap_or(if six { 1024 } else { 0 });
        match result["cniVersion"] == "1.1.0" {
            true => format!("{dst} via {gateway} metric {metric}"),
            false => format!("{dst} via {gateway}"),
        }
    };
    sorted(routes.into_iter().map(of))
}

/// The routes by a next hop that `ip` shows of an interface, in the same words.
fn routes_in(pod: &Pod, ifname: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (option, everything) in [("-4", "0.0.0.0/0"), ("-6", "::/0")] {
        let shown = pod.questions(&[option], &[&format!("route show table main dev {ifname}")]);
        for route in shown[0].as_array().unwrap() {
            let Some(gateway) = route["gateway"].as_str() else {
                assert_eq!(route["protocol"], "kernel", "{route}");
                continue;
            };
            let dst = route["dst"]
                .as_str()
                .unwrap()
                .replace("default", everything);
            let metric = route["metric"].as_u64().unwrap_or(0);
            all.push(format!("{dst} via {gateway} metric {metric}"));
        }
    }
    sorted(all.into_iter())
}

fn sorted(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut items: Vec<String> = items.collect();
    items.sort();
    items
}

#[test]
fn the_result_is_what_ip_shows_for_ipv4_ipv6_and_both() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let nets = [
        (Net::new("four", 4), &["10.4.1.0/16"][..]),
        (Net::new("six", 6).v6(), &["fd10:6::100/112"]),
        (
            Net::new("both", 46).dual(),
            &["10.46.1.0/16", "fd10:2e::100/112"],
        ),
    ];
    let all: Vec<&Net> = nets.iter().map(|(net, _)| net).collect();
    for (net, addresses) in &nets {
        let config = node.config(&all).joining(net);
        let pod = node.pod(&net.name);
        let ask = node.ask(&config, &pod);
        let result = ask.add();
        assert_true(&result, node, &pod, net, "eth0");
        assert_eq!(addresses_of(&result), *addresses);
        assert_eq!(result["routes"].as_array().unwrap().len(), addresses.len());
        let gateways = [node.gateway(net), node.gateway_v6(net)];
        for ip in result["ips"].as_array().unwrap() {
            let gateway = ip["gateway"].as_str().unwrap();
            assert!(gateways.iter().any(|g| g == gateway), "{result}");
            pod.ping(gateway);
        }
        ask.check(&result);
    }
}

#[test]
fn the_result_of_version_1_1_has_the_mtu_and_what_the_ipam_said() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let said = json!({"cniVersion": "1.1.0", "ips": [{"address": "10.100.0.77/16"}],
        "routes": [{"dst": "10.201.0.0/16", "gw": "10.100.0.5", "priority": 7}],
        "dns": {"nameservers": ["10.100.0.53"]}});
    let plugins = lab.script(
        "plugins",
        "told",
        &format!("cat >/dev/null; test $CNI_COMMAND != ADD || echo '{said}'"),
    );
    let blue = Net::new("blue", 100);
    let config = node
        .config(&[&blue])
        .ipam(json!({"type": "told"}))
        .with(json!({"cniVersion": "1.1.0"}));
    let pod = node.pod("web");
    let ask = node.ask(&config, &pod).plugins_first(&plugins);
    let result = ask.add();
    assert_true(&result, node, &pod, &blue, "eth0");
    let mtus = result["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|i| i["mtu"].clone());
    assert_eq!(mtus.collect::<Vec<_>>(), [left_by_the_underlay(); 3]);
    assert_eq!(
        routes_of(&result),
        [
            "0.0.0.0/0 via 10.100.0.1 metric 0",
            "10.201.0.0/16 via 10.100.0.5 metric 7"
        ]
    );
    assert_eq!(result["dns"]["nameservers"], json!(["10.100.0.53"]));
    // The IPAM said no gateway: it is the node's.
    assert_eq!(result["ips"][0]["gateway"], "10.100.0.1");
    ask.check(&result);
    ask.after(&result).del();
}

#[test]
fn pods_of_two_networks_on_two_nodes_reach_all_they_should() {
    ipv6::is_needed();
    let lab = Lab::new(3);
    let (one, two, outside) = (lab.node(0), lab.node(1), lab.node(2));
    let (blue, green) = (Net::new("blue", 100).dual(), Net::new("green", 200).dual());
    let before = (one.snapshot(), two.snapshot());
    let mut pods = Vec::new();
    for node in [one, two] {
        for net in [&blue, &green] {
            let config = node.config(&[&blue, &green]).joining(net);
            let pod = match net.name.as_str() {
                "blue" => node.process_pod(&net.name),
                _ => node.pod(&net.name),
            };
            let ask = node.ask(&config, &pod);
            let result = ask.add();
            ask.check(&result);
            pods.push((node, net, pod, ask, result));
        }
    }
    for (node, net, pod, _, _) in &pods {
        for (_, _, _, _, other) in &pods {
            pod.ping(&address(other, 0));
            pod.ping(&address(other, 1));
        }
        pod.ping(&node.gateway(net));
        pod.ping(&node.gateway_v6(net));
        pod.ping(&node.underlay());
        pod.ping(&node.underlay_v6());
    }
    // The node reaches its pods, and those of other nodes on the same network.
    for (_, _, _, _, result) in &pods {
        one.ping(&address(result, 0));
        one.ping(&address(result, 1));
    }
    // A host of the underlay that has a route to the network by its node reaches a pod, and is reached.
    outside.ip(&format!(
        "route add {} via {}",
        blue.subnet_v4(),
        one.underlay()
    ));
    outside.ip(&format!(
        "route add {} via {}",
        blue.subnet_v6(),
        one.underlay_v6()
    ));
    pods[0].2.ping(&outside.underlay());
    pods[0].2.ping(&outside.underlay_v6());
    outside.ping(&address(&pods[0].4, 0));
    outside.ping(&address(&pods[0].4, 1));
    for (_, _, _, ask, result) in &pods {
        ask.check(result);
        ask.after(result).del();
    }
    one.snapshot().assert_same(&before.0);
    two.snapshot().assert_same(&before.1);
}

#[test]
fn two_interfaces_of_a_pod_are_on_two_networks() {
    let lab = Lab::new(2);
    let (one, two) = (lab.node(0), lab.node(1));
    let blue = Net::new("blue", 100);
    let green = Net::new("green", 200).with(json!({"defaultRoute": 500}));
    let red = Net::new("red", 150)
        .with(json!({"defaultRoute": false, "routes": [{"dst": "10.203.0.0/16"}]}));
    let config = one.config(&[&blue, &green, &red]);
    let pod = one.pod("web");
    let mut asks = Vec::new();
    for (ifname, net) in [("eth0", &blue), ("net1", &green), ("net2", &red)] {
        let ask = one.ask(&config.clone().joining(net), &pod).ifname(ifname);
        let result = ask.add();
        assert_true(&result, one, &pod, net, ifname);
        pod.ping(&one.gateway(net));
        asks.push((ask, result));
    }
    let defaults = |ifname: &str| {
        let routes = routes_in(&pod, ifname);
        routes
            .into_iter()
            .filter(|route| route.starts_with("0.0.0.0/0"))
            .collect::<Vec<_>>()
    };
    assert_eq!(defaults("eth0"), ["0.0.0.0/0 via 10.100.0.1 metric 0"]);
    assert_eq!(defaults("net1"), ["0.0.0.0/0 via 10.200.0.1 metric 500"]);
    assert_eq!(defaults("net2"), [""; 0]);
    assert_eq!(
        routes_in(&pod, "net2"),
        ["10.203.0.0/16 via 10.150.0.1 metric 0"]
    );
    let peer = two.pod("peer");
    let other = two
        .ask(&two.config(&[&blue, &green]).joining(&green), &peer)
        .add();
    pod.ping(&address(&other, 0));
    for (ask, result) in &asks {
        ask.check(result);
    }
    // One of them leaves; the others do not notice.
    asks[1].0.after(&asks[1].1).del();
    assert_eq!(pod.device("net1"), Value::Null);
    asks[0].0.check(&asks[0].1);
    asks[2].0.check(&asks[2].1);
    assert_eq!(one.device("vx_green"), Value::Null);
}

#[test]
fn a_second_default_route_is_refused_with_the_way_out_and_the_first_stays() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (blue, green) = (Net::new("blue", 100), Net::new("green", 200));
    let config = node.config(&[&blue, &green]);
    let pod = node.pod("web");
    let first = node.ask(&config, &pod);
    let result = first.add();
    let before = node.snapshot();
    let ask = node
        .ask(&config.clone().joining(&green), &pod)
        .ifname("net1");
    let said = ask.add_refused(100);
    for words in [
        "network \"green\": cannot configure net1",
        "route add default via 10.200.0.1 dev net1",
        "set defaultRoute to false or to a metric",
    ] {
        assert!(said.contains(words), "{said}\nlacks {words}");
    }
    node.snapshot().assert_same(&before);
    assert_eq!(pod.device("net1"), Value::Null);
    first.check(&result);
}

#[test]
fn routes_of_the_network_are_set_as_they_are_written() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).dual().with(json!({"routes": [
        {"dst": "10.201.0.0/16"},
        {"dst": "10.202.0.0/16", "gw": "10.100.0.9"},
        {"dst": "10.203.0.0/16", "mtu": 1300, "advmss": 1200, "priority": 30},
        {"dst": "10.204.0.0/16", "table": 77},
        {"dst": "fd77::/64", "priority": 20},
    ]}));
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&blue]), &pod);
    let result = ask.add();
    ask.check(&result);
    let shown = pod.show("route show table main");
    let route = |dst: &str| {
        let routes = shown.as_array().unwrap();
        routes
            .iter()
            .find(|route| route["dst"] == dst)
            .unwrap()
            .clone()
    };
    assert_eq!(route("10.201.0.0/16")["gateway"], "10.100.0.1");
    assert_eq!(route("10.202.0.0/16")["gateway"], "10.100.0.9");
    let third = route("10.203.0.0/16");
    assert_eq!(
        (&third["metric"], &third["gateway"]),
        (&json!(30), &json!("10.100.0.1"))
    );
    assert_eq!(third["metrics"][0], json!({"mtu": 1300, "advmss": 1200}));
    assert_eq!(pod.show("route show table 77")[0]["dst"], "10.204.0.0/16");
    let six = pod.show("-6 route show fd77::/64");
    assert_eq!(
        (&six[0]["metric"], &six[0]["gateway"]),
        (&json!(20), &json!("fd10:64::1"))
    );
    // Each of them is a fact.
    for (line, name) in [
        (
            "ip route del 10.203.0.0/16",
            "route 10.203.0.0/16 via 10.100.0.1 dev eth0",
        ),
        (
            "ip route del 10.204.0.0/16 table 77",
            "route 10.204.0.0/16 via 10.100.0.1 dev eth0 table 77",
        ),
        (
            "ip -6 route del fd77::/64",
            "route fd77::/64 via fd10:64::1 dev eth0",
        ),
    ] {
        pod.sh(line);
        let said = ask.check_refused(&result, 101);
        assert!(said.contains(&format!("{name}: missing")), "{said}");
    }
}

#[test]
fn an_interface_may_have_a_name_that_ip_reads_as_one_of_its_words() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    // One default route in a namespace is enough.
    let blue = Net::new("blue", 100).with(json!({"defaultRoute": false}));
    let config = node.config(&[&blue]);
    let pod = node.pod("web");
    for name in ["net", "b", "up", "type", "dev", "link", "name", "to"] {
        let ask = node.ask(&config, &pod).ifname(name);
        let result = ask.add();
        assert_eq!(result["interfaces"][2]["name"], name);
        assert_eq!(pod.device(name)["ifname"], name);
    }
}

#[test]
fn an_add_waits_for_the_device_of_a_pod_that_has_just_died_with_the_same_mac() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let (first, dying, next) = (node.pod("first"), node.pod("dying"), node.pod("next"));
    let blue = Net::new("blue", 100);
    let config = node.config(&[&blue]);
    node.ask(&config, &first).add();
    let mac = "0a:58:0a:64:01:77";
    let path = dying.path();
    node.ip(&format!(
        "link add old link vx_blue netns {path} address {mac} type macvlan mode bridge"
    ));
    // A namespace that goes answers for nothing any more.
    if ipv6::networks_have_it() {
        dying.ip("link set old addrgenmode none");
    }
    dying.ip("link set old up");
    let ask = node.ask(&config, &next);
    let config = json!({"runtimeConfig": {"mac": mac}});
    let ask = ask.config(&node.config(&[&blue]).with(config));
    let child = ask.verb("ADD").start();
    let tried = format!("link set dev eth0 address {mac}");
    until("the MAC was tried", || node.journal().contains(&tried));
    dying.ip("link del old");
    let result = Said::by(child).ok();
    assert_eq!(result["interfaces"][2]["mac"], mac);
}

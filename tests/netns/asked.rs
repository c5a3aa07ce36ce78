//! Addresses and MACs that are asked for, and who has them.

use serde_json::json;

use super::join::assert_true;
use crate::support::lab::{Lab, Net, Pod, address, ipv6, mac, until};

#[test]
fn an_address_is_asked_for_in_each_of_the_ways_there_are() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).dual();
    let base = node.config(&[&blue]);
    let asked = |n: u8| [format!("10.100.1.{n}"), format!("fd10:64::1{n:02}")];
    let annotation = |n: u8| json!({"vxlan-cni.phdata.io/RequestedAddress": asked(n)[0]});
    for (n, more, args) in [
        (11, json!({"runtimeConfig": {"ips": asked(11)}}), ""),
        (12, json!({"args": {"cni": {"ips": asked(12)}}}), ""),
        (13, json!({}), "IP=10.100.1.13"),
        (14, json!({"args": {"annotations": annotation(14)}}), ""),
        (
            15,
            json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotation(15)}}),
            "",
        ),
    ] {
        let pod = node.pod(&format!("p{n}"));
        let ask = node.ask(&base.clone().with(more), &pod).args(args);
        let result = ask.add();
        assert_eq!(address(&result, 0), asked(n)[0], "{result}");
        // Where one family is asked for, the other is the IPAM's choice.
        assert_eq!(result["ips"].as_array().unwrap().len(), 2);
        if n < 13 {
            assert_eq!(address(&result, 1), asked(n)[1]);
        }
        assert_eq!(
            result["interfaces"][2]["mac"],
            format!("0a:58:0a:64:01:{n:02x}")
        );
        ask.check(&result);
        // It is free again afterwards.
        ask.after(&result).del();
        assert_eq!(address(&ask.add(), 0), asked(n)[0]);
    }
}

#[test]
fn a_mac_is_asked_for_in_each_of_the_ways_there_are() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let base = node.config(&[&blue]);
    let asked = |n: u8| format!("02:00:00:00:00:{n:02x}");
    let annotation = |n: u8| json!({"vxlan-cni.phdata.io/RequestedMAC": asked(n)});
    for (n, more, args) in [
        (
            1,
            json!({"runtimeConfig": {"mac": asked(1)}}),
            String::new(),
        ),
        (
            2,
            json!({"args": {"cni": {"mac": asked(2)}}}),
            String::new(),
        ),
        (3, json!({}), format!("IgnoreUnknown=1;MAC={}", asked(3))),
        (
            4,
            json!({"args": {"annotations": annotation(4)}}),
            String::new(),
        ),
        (
            5,
            json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotation(5)}}),
            String::new(),
        ),
        (
            6,
            json!({"runtimeConfig": {"mac": asked(6)}, "args": {"annotations": annotation(7)}}),
            String::new(),
        ),
    ] {
        let pod = node.pod(&format!("p{n}"));
        let ask = node.ask(&base.clone().with(more), &pod).args(&args);
        let result = ask.add();
        assert_eq!(result["interfaces"][2]["mac"], asked(n));
        assert_eq!(pod.device("eth0")["address"], asked(n));
        ask.check(&result);
        pod.ping(&node.gateway(&blue));
    }
}

#[test]
fn a_mac_left_to_the_kernel_is_kept_as_the_result_has_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).with(json!({"mac": "random"}));
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&blue]), &pod);
    let result = ask.add();
    assert_true(&result, node, &pod, &blue, "eth0");
    ask.check(&result);
    pod.ip("link set dev eth0 address 02:00:00:00:00:09");
    let mac = result["interfaces"][2]["mac"].as_str().unwrap();
    let said = ask.check_refused(&result, 101);
    assert!(
        said.contains(&format!(
            "eth0 has address {mac}: found address 02:00:00:00:00:09"
        )),
        "{said}"
    );
}

#[test]
fn a_pod_that_comes_back_with_its_address_does_not_stumble_over_its_old_self() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let asked = json!({"runtimeConfig": {"ips": ["10.100.1.7"]}});
    let config = node.config(&[&Net::new("blue", 100)]).with(asked);
    // Another pod keeps the vxlan in place; the kernel knows two macvlans of one MAC on it apart.
    let other = node.pod("other");
    node.ask(&node.config(&[&Net::new("blue", 100)]), &other)
        .add();
    let mut pod = node.pod("web");
    for _ in 0..25 {
        let result = node.ask(&config, &pod).add();
        // Its namespace ends before DEL: the kernel removes the interface some time later.
        let mut next = pod.reborn();
        node.ask(&config, &pod).after(&result).del();
        std::mem::swap(&mut pod, &mut next);
    }
}

#[test]
fn a_mac_that_another_pod_of_the_node_has_is_refused_and_both_stay_as_they_are() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let config = node.config(&[&blue]);
    let asked = |mac: &str| config.clone().with(json!({"runtimeConfig": {"mac": mac}}));
    let (one, two, late) = (node.pod("one"), node.pod("two"), node.pod("late"));
    let own = "02:00:00:00:00:07";
    let args = |name: &str| format!("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name}");
    let first = node.ask(&asked(own), &one).args(&args("one"));
    let second = node.ask(&config, &two).args(&args("two"));
    let results = [first.add(), second.add()];
    let before = node.snapshot();
    for (taken, who) in [
        (own.to_owned(), "shop/one of this node has it"),
        (mac(&results[1]), "shop/two of this node has it"),
    ] {
        let said = node.ask(&asked(&taken), &late).add_refused(11);
        let words = format!("asks for the MAC {taken}, which is taken: {who}");
        assert!(said.contains(&words), "{said}");
    }
    for dev in ["mv_blue", "vx_blue"] {
        let taken = node.device(dev)["address"].as_str().unwrap().to_owned();
        let said = node.ask(&asked(&taken), &late).add_refused(7);
        assert!(
            said.contains(&format!("which is {dev}'s on this node")),
            "{said}"
        );
    }
    node.snapshot().assert_same(&before);
    first.check(&results[0]);
    second.check(&results[1]);
    // Its owner gone, whether its DEL has come or not, it is free.
    drop(one);
    node.ask(&asked(own), &late).add();
}

#[test]
fn a_mac_that_no_record_tells_of_is_refused_by_the_kernel_or_the_wire() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).with(json!({"mac": "random"}));
    let config = node.config(&[&blue]);
    let (one, late) = (node.pod("one"), node.pod("late"));
    let taken = mac(&node.ask(&config, &one).add());
    let before = node.snapshot();
    // Without IPv6 the wire cannot be asked for it.
    node.set(&["net.ipv6.conf.mv_blue.disable_ipv6=1"]);
    let asked = config.with(json!({"runtimeConfig": {"mac": taken}}));
    let said = node.ask(&asked, &late).add_refused(11);
    assert!(
        said.contains("taken: another device on this node has it"),
        "{said}"
    );
    node.set(&["net.ipv6.conf.mv_blue.disable_ipv6=0"]);
    node.snapshot().assert_same(&before);
}

/// Waits until a pod answers for the address that IPv6 makes of its MAC.
fn wait_for_release(pod: &Pod) {
    until("a link-local address has settled", || {
        let device = pod.device("eth0");
        let all = device["addr_info"].as_array().unwrap();
        let local = all.iter().find(|one| one["scope"] == "link");
        local.is_some_and(|one| one["tentative"].is_null())
    });
}

#[test]
fn a_mac_of_another_nodes_pod_or_gateway_is_refused_whatever_families_the_network_has() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let (here, there) = (lab.node(0), lab.node(1));
    let nets = [
        Net::new("four", 104),
        Net::new("six", 106).v6(),
        Net::new("both", 110).dual(),
    ];
    let asking = |mac: &str| json!({"runtimeConfig": {"mac": mac}});
    for net in &nets {
        let (derived, asked) = (there.pod("derived"), there.pod("asked"));
        let config = there.config(&[net]);
        let derived_mac = mac(&there.ask(&config, &derived).add());
        let asked_mac = "02:00:00:00:00:07";
        there.ask(&config.with(asking(asked_mac)), &asked).add();
        let gateway = there.device(&net.mv())["address"].clone();
        [&derived, &asked].into_iter().for_each(wait_for_release);
        let late = here.pod("late");
        // The first of them makes the host side; nothing has been heard of anything there then.
        for taken in [asked_mac, &derived_mac, gateway.as_str().unwrap()] {
            let config = here.config(&[net]).with(asking(taken));
            let said = here.ask(&config, &late).add_refused(11);
            let words = format!("asks for the MAC {taken}, which is taken: a host on the network");
            assert!(said.contains(&words), "{}: {said}", net.name);
        }
        let free = "02:00:00:00:00:08";
        let ask = here.ask(&here.config(&[net]).with(asking(free)), &late);
        let result = ask.add();
        assert_eq!(mac(&result), free);
        let neighbours = here.ip(&format!("neigh show dev {} nud all", net.mv()));
        assert!(!neighbours.contains(free), "{neighbours}");
        ask.del();
    }
}

#[test]
fn an_add_that_fails_while_the_wire_is_asked_for_a_mac_leaves_no_neighbour() {
    ipv6::is_needed();
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).dual();
    let (web, late) = (node.pod("web"), node.pod("late"));
    let config = node.config(&[&blue]);
    node.ask(&config, &web).add();
    let plugins = lab.script(
        "plugins",
        "broken",
        r#"[ $CNI_COMMAND != ADD ] || { echo '{"code":100,"msg":"no luck"}'; exit 1; }"#,
    );
    for asked in ["02:00:00:00:00:08", "0a:58:0a:64:01:63"] {
        let config = config
            .clone()
            .ipam(json!({"type": "broken"}))
            .with(json!({"runtimeConfig": {"mac": asked}}));
        let ask = node.ask(&config, &late).plugins_first(&plugins);
        let said = ask.add_refused(100);
        assert!(said.contains("no luck"), "{said}");
        let neighbours = node.ip(&format!("neigh show dev {} nud all", blue.mv()));
        let own = |line: &&str| line.contains("10.100.1.99") || line.contains("ff:fe00:8");
        let left = neighbours.lines().find(own);
        assert_eq!(left, None, "{neighbours}");
    }
}

#[test]
fn an_address_and_the_mac_that_goes_with_it_are_asked_for_together_with_ipv6_and_without() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100);
    let asked = json!({"runtimeConfig": {"ips": ["10.100.1.9"], "mac": "0a:58:0a:64:01:09"}});
    let config = node.config(&[&blue]).ipam(node.route_table()).with(asked);
    for off in ["0", "1"] {
        let default = format!("net.ipv6.conf.default.disable_ipv6={off}");
        node.set(&[&default, &format!("net.ipv6.conf.all.disable_ipv6={off}")]);
        let pod = node.pod("web");
        let ask = node.ask(&config, &pod);
        let result = ask.add();
        assert_eq!(
            (address(&result, 0), mac(&result)),
            ("10.100.1.9".into(), "0a:58:0a:64:01:09".into())
        );
        ask.check(&result);
        ask.del();
    }
}

#[test]
fn a_network_that_gives_no_mac_on_request_refuses_every_way_to_ask_for_one() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).with(json!({"requestMac": false}));
    let config = node.config(&[&blue]);
    let wanted = "02:00:00:00:00:07";
    let annotation = json!({"vxlan-cni.phdata.io/RequestedMAC": wanted});
    let pod = node.pod("web");
    let before = node.snapshot();
    for (more, args, source) in [
        (
            json!({"runtimeConfig": {"mac": wanted}}),
            String::new(),
            "runtimeConfig.mac",
        ),
        (
            json!({"args": {"cni": {"mac": wanted}}}),
            String::new(),
            "args.cni.mac",
        ),
        (json!({}), format!("MAC={wanted}"), "CNI_ARGS MAC"),
        (
            json!({"runtimeConfig": {"io.kubernetes.cri.pod-annotations": annotation}}),
            String::new(),
            "pod-annotations",
        ),
    ] {
        let ask = node.ask(&config.clone().with(more), &pod).args(&args);
        let said = ask.add_refused(103);
        assert!(
            said.contains("requestMac is false") && said.contains(source),
            "{said}"
        );
    }
    node.snapshot().assert_same(&before);
    node.ask(&config, &pod).add();
}

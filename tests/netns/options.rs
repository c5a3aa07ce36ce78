//! What the configuration says of the vxlan device and the MTU, as the kernel has it.

use serde_json::{Value, json};

use crate::support::lab::{Lab, Net, Node, address, ipv6, left_by_the_underlay};

/// One ADD with options on a fresh node; the vxlan device as `ip -j -d link show` has it.
fn device_with(options: Value) -> (Value, Value) {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).with(json!({ "options": options }));
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&blue]), &pod);
    ask.check(&ask.add());
    let device = node.show("link show dev vx_blue")[0].clone();
    let details = device["linkinfo"]["info_data"].clone();
    (device, details)
}

#[test]
fn every_option_of_the_original_is_set_in_the_kernel() {
    // As the original takes them: every value a string.
    let (device, data) = device_with(json!({
        "vxlanhardwareaddr": "0a:00:00:00:00:64", "vxlantxqlen": "500", "vtepdev": "eth0",
        "srcaddr": "198.18.0.1", "group": "239.7.7.7", "ttl": "7", "tos": "16", "learning": "false",
        "proxy": "true", "rsc": "true", "l2miss": "true", "l3miss": "true", "gbp": "true",
        "age": "600", "limit": "5000", "port": "4790", "portlow": "30000", "porthigh": "40000",
    }));
    assert_eq!(device["address"], "0a:00:00:00:00:64");
    assert_eq!(device["txqlen"], 500);
    for (key, wanted) in [
        ("id", json!(100)),
        ("link", json!("eth0")),
        ("local", json!("198.18.0.1")),
        ("group", json!("239.7.7.7")),
        ("ttl", json!(7)),
        ("tos", json!("0x10")),
        ("learning", json!(false)),
        ("proxy", json!(true)),
        ("rsc", json!(true)),
        ("l2miss", json!(true)),
        ("l3miss", json!(true)),
        ("gbp", json!(true)),
        ("ageing", json!(600)),
        ("limit", json!(5000)),
        ("port", json!(4790)),
        // The high port is the high port.
        ("port_range", json!({"low": 30000, "high": 40000})),
    ] {
        let found = match data.get(key) {
            None => json!(false),
            // A flag that is set, from iproute2 6.15 on.
            Some(Value::Null) => json!(true),
            Some(found) => found.clone(),
        };
        assert_eq!(found, wanted, "{key} in {data}");
    }
}

#[test]
fn options_may_be_numbers_and_bools_and_noage_means_never() {
    let (device, data) = device_with(json!({
        "vxlantxqlen": 400, "ttl": 9, "tos": 1, "learning": true, "noage": true, "limit": 7,
        "port": 4791, "portlow": 31000, "porthigh": 31999,
    }));
    assert_eq!(device["txqlen"], 400);
    assert_eq!(data["ttl"], 9);
    assert_eq!(data["tos"], "0x1", "1 is `inherit`");
    assert_eq!(data["learning"], true);
    // The kernel takes 0 for its default: never is the longest it knows, 136 years.
    assert_eq!(data["ageing"], u32::MAX);
    assert_eq!((&data["limit"], &data["port"]), (&json!(7), &json!(4791)));
    assert_eq!(data["port_range"], json!({"low": 31000, "high": 31999}));
}

#[test]
fn the_ends_of_every_range_are_values_that_the_kernel_takes() {
    let (device, data) = device_with(json!({
        "vxlantxqlen": i32::MAX, "ttl": 255, "tos": 255, "age": u32::MAX, "limit": u32::MAX,
        "port": 65535, "portlow": 1, "porthigh": 65535,
    }));
    assert_eq!(device["txqlen"], i32::MAX);
    assert_eq!((&data["ttl"], &data["tos"]), (&json!(255), &json!("0xff")));
    assert_eq!(
        (&data["ageing"], &data["limit"]),
        (&json!(u32::MAX), &json!(u32::MAX))
    );
    assert_eq!(
        (&data["port"], &data["port_range"]),
        (&json!(65535), &json!({"low": 1, "high": 65535}))
    );
    let (device, data) = device_with(json!({
        "vxlantxqlen": 0, "ttl": 0, "tos": 0, "age": 0, "limit": 0, "port": 1, "portlow": 1, "porthigh": 1,
    }));
    assert_eq!(device.get("txqlen").cloned().unwrap_or(json!(0)), 0);
    assert_eq!((&data["ttl"], &data["ageing"]), (&json!(0), &json!(300)));
    assert_eq!(
        (&data["port"], &data["port_range"]),
        (&json!(1), &json!({"low": 1, "high": 1}))
    );
}

#[test]
fn without_options_the_device_learns_and_speaks_on_4789() {
    let (device, data) = device_with(json!({}));
    assert_eq!(
        (&data["learning"], &data["port"]),
        (&json!(true), &json!(4789))
    );
    assert_eq!(
        (&data["ageing"], &device["mtu"]),
        (&json!(300), &json!(left_by_the_underlay()))
    );
    assert_eq!(data["limit"], 16_384);
    let flags = device["flags"].as_array().unwrap();
    assert!(
        flags.contains(&json!("NOARP")) && flags.contains(&json!("UP")),
        "{device}"
    );
    if ipv6::networks_have_it() {
        assert_eq!(device["inet6_addr_gen_mode"], "none");
    }
    for off in ["proxy", "rsc", "l2miss", "l3miss", "gbp"] {
        assert_eq!(
            data.get(off).cloned().unwrap_or(json!(false)),
            false,
            "{off}"
        );
    }
}

/// The MTU of every device of a network.
fn mtus(node: &Node, net: &Net, pod: &crate::support::lab::Pod) -> [Value; 3] {
    [
        node.device(&net.vx()),
        node.device(&net.mv()),
        pod.device("eth0"),
    ]
    .map(|d| d["mtu"].clone())
}

#[test]
fn the_mtu_is_what_the_underlay_leaves_or_what_is_asked_for_and_packets_of_that_size_pass_whole() {
    let lab = Lab::new(2);
    let (one, two) = (lab.node(0), lab.node(1));
    for (net, mtu) in [
        (Net::new("left", 10), left_by_the_underlay()),
        (Net::new("asked", 11).with(json!({"mtu": 1200})), 1200),
    ] {
        let (a, b) = (one.pod(&net.name), two.pod(&net.name));
        one.ask(&one.config(&[&net]), &a).add();
        let other = two.ask(&two.config(&[&net]), &b).add();
        let every = [json!(mtu), json!(mtu), json!(mtu)];
        assert_eq!(mtus(one, &net, &a), every);
        assert_eq!(mtus(two, &net, &b), every);
        let peer = address(&other, 0);
        a.ping(&peer);
        // IPv4 and ICMP headers are 28 bytes.
        assert!(a.ping_whole(&peer, mtu - 28), "{mtu}");
        assert!(!a.ping_whole(&peer, mtu - 27), "{mtu}");
    }
}

#[test]
fn an_ipv6_underlay_leaves_70_bytes_less_and_carries_both_families() {
    ipv6::is_needed();
    let lab = Lab::new(2);
    let over_v6 = |node: &Node| {
        Net::new("blue", 100)
            .dual()
            .with(json!({"options": {"group": "ff05::100", "srcaddr": node.underlay_v6()}}))
    };
    let mut made = Vec::new();
    for node in lab.nodes() {
        let (net, pod) = (over_v6(node), node.pod("web"));
        let ask = node.ask(&node.config(&[&net]), &pod);
        let result = ask.add();
        ask.check(&result);
        assert_eq!(
            mtus(node, &net, &pod),
            [json!(1430), json!(1430), json!(1430)]
        );
        let shown = node.show("link show dev vx_blue")[0]["linkinfo"]["info_data"].clone();
        assert_eq!(
            (&shown["group6"], &shown["local6"]),
            (&json!("ff05::100"), &json!(node.underlay_v6()))
        );
        made.push((pod, ask, result));
    }
    for n in 0..2 {
        made[0].0.ping(&address(&made[1].2, n));
    }
    assert!(made[0].0.ping_whole(&address(&made[1].2, 0), 1430 - 28));
    for (_, ask, result) in &made {
        ask.after(result).del();
    }
}

#[test]
fn a_group_that_is_one_vteps_address_is_where_everything_goes() {
    let lab = Lab::new(2);
    let (one, two) = (lab.node(0), lab.node(1));
    let toward =
        |peer: &Node| Net::new("blue", 100).with(json!({"options": {"group": peer.underlay()}}));
    let (a, b) = (one.pod("a"), two.pod("b"));
    let ask = one.ask(&one.config(&[&toward(two)]), &a);
    let result = ask.add();
    ask.check(&result);
    let other = two.ask(&two.config(&[&toward(one)]), &b).add();
    a.ping(&address(&other, 0));
    let shown = one.show("link show dev vx_blue")[0]["linkinfo"]["info_data"].clone();
    assert_eq!(shown["remote"], two.underlay());
}

#[test]
fn a_network_without_bypass_has_neither_route_nor_rule_and_other_numbers_are_kept() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let plain = Net::new("plain", 10).with(json!({"bypass": false}));
    let pod = node.pod("plain");
    let ask = node.ask(&node.config(&[&plain]), &pod);
    let before = node.snapshot();
    let result = ask.add();
    assert_eq!(node.show("rule show pref 19200"), json!([]));
    assert_eq!(node.snapshot().with("\"table\":\"192\""), [""; 0]);
    ask.check(&result);
    ask.after(&result).del();
    node.snapshot().assert_same(&before);
    let other = Net::new("other", 11).dual();
    let config = node
        .config(&[&other])
        .with(json!({"routeTable": 777, "rulePriority": 300}));
    let pod = node.pod("other");
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    for family in ipv6::families() {
        let shown = node.questions(&[family], &["rule show pref 300", "route show table 777"]);
        assert_eq!(
            (&shown[0][0]["table"], &shown[1][0]["dev"]),
            (&json!("777"), &json!("mv_other"))
        );
    }
    // DEL takes away what ADD made, also when the configuration has other numbers by then.
    ask.config(&node.config(&[&other])).after(&result).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn a_long_name_has_a_device_name_of_its_own() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let name = "a-namespace-of-kubernetes-has-up-to-sixty-three-characters-0123";
    let long = Net::new(name, 100).with(json!({"device": "twelve-bytes"}));
    let config = node.config(&[&long]);
    let (pod, before) = (node.pod("web"), node.snapshot());
    let ask = node.ask(&config, &pod);
    let result = ask.add();
    assert_eq!(result["interfaces"][0]["name"], "vx_twelve-bytes");
    assert_eq!(result["interfaces"][1]["name"], "mv_twelve-bytes");
    ask.check(&result);
    ask.after(&result).del();
    node.snapshot().assert_same(&before);
}

#[test]
fn a_longer_queue_of_broadcasts_is_set_on_the_gateway_and_the_pod_where_this_ip_knows_it() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let blue = Net::new("blue", 100).with(json!({"options": {"bcqueuelen": 3000}}));
    let pod = node.pod("web");
    let ask = node.ask(&node.config(&[&blue]), &pod);
    let tried = "ip link add name q0 link eth0 type macvlan bcqueuelen 3000 && ip link del dev q0";
    // iproute2 before 5.11.
    if !node.exec(&["sh", "-c", tried]).status.success() {
        let said = ask.add_refused(100);
        assert!(said.contains("unknown option \"bcqueuelen\""), "{said}");
        return;
    }
    let result = ask.add();
    ask.check(&result);
    let length = |device: Value| device["linkinfo"]["info_data"]["usedbcqueuelen"].clone();
    assert_eq!(length(node.device("mv_blue")), 3000);
    for (ns, dev) in [(&**node, "mv_blue"), (&*pod, "eth0")] {
        ns.ip(&format!("link set dev {dev} type macvlan bcqueuelen 2000"));
        let said = ask.check_refused(&result, 101);
        let words = format!("{dev} has bcqueuelen 3000: found bcqueuelen 2000");
        assert!(said.contains(&words), "{said}");
        ns.ip(&format!("link set dev {dev} type macvlan bcqueuelen 3000"));
    }
    ask.check(&result);
}

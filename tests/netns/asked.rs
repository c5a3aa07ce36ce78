//! Addresses and MACs that are asked for, and who has them.

use serde_json::json;

use super::join::assert_true;
use crate::support::lab::{Lab, Net, address, ipv6};

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
fn a_mac_that_another_pod_has_is_refused_and_both_stay_as_they_are() {
    let lab = Lab::new(1);
    let node = lab.node(0);
    let asked = json!({"runtimeConfig": {"mac": "02:00:00:00:00:07"}});
    let config = node.config(&[&Net::new("blue", 100)]).with(asked);
    let (one, two) = (node.pod("one"), node.pod("two"));
    let ask = node.ask(&config, &one);
    let result = ask.add();
    let before = node.snapshot();
    let said = node.ask(&config, &two).add_refused(100);
    assert!(said.contains("Address already in use"), "{said}");
    assert!(said.contains("another device has this MAC"), "{said}");
    node.snapshot().assert_same(&before);
    ask.check(&result);
}

//! What is not this node's to mend: doctor says what it is, repair leaves it as it is.

use serde_json::json;

use crate::stage::{Stage, claimed};
use crate::support::lab::{Lab, Net, left_by_the_underlay, until};

fn stage() -> Stage {
    let lab = Lab::new(2);
    let green = Net::new("green", 300).with(json!({"options": {"group": "198.18.0.2"}}));
    let blue = claimed("blue", 100, lab.node(0));
    let mut stage = Stage::new(lab, vec![blue, green]);
    stage.join(0, "web", 1);
    stage.join(1, "mail", 1);
    stage
}

/// Doctor must cross something out, in these words.
fn crosses(stage: &Stage, words: &[&str]) {
    let said = stage.operate(&["doctor"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    for told in words {
        assert!(said.stdout.contains(told), "{told}\n{}", said.stdout);
    }
}

#[test]
fn a_foreign_vxlan_with_the_same_vni_and_port_is_named_and_never_removed() {
    let stage = stage();
    let node = stage.node();
    node.sh("ip link del vx_blue; ip link add other type vxlan id 100 dev eth0 dstport 4789; ip link set other addrgenmode none || :; ip link set other up");
    crosses(
        &stage,
        &[
            "✗ network \"blue\": other has VNI 100 on port 4789 already",
            "inspect  ip -d link show dev other",
            "or, when it is in use no longer: ip link del dev other",
        ],
    );
    let identity = || {
        [
            node.device("other")["ifindex"].clone(),
            node.device("other")["linkinfo"].clone(),
        ]
    };
    let before = identity();
    let said = stage.operate(&["repair"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    let told = "FAILED network blue: network \"blue\": other has VNI 100 on port 4789 already\n  `ip -d link show dev other` shows it";
    assert!(said.stdout.contains(told), "{}", said.stdout);
    assert_eq!(identity(), before);
    assert!(node.device("vx_blue").is_null());
    node.ip("link del other");
    let said = stage.operate(&["repair"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    stage.is_well();
}

#[test]
fn another_kind_of_device_or_another_vni_under_our_name_is_refused_with_how_to_mend_it() {
    let stage = stage();
    let node = stage.node();
    for (add, found) in [
        ("type bridge", "it is a `bridge`, not a vxlan"),
        (
            "type vxlan id 999 dev eth0 dstport 4789",
            "id is 999, wanted 300",
        ),
    ] {
        node.sh(&format!("ip link del vx_green; ip link add vx_green {add}"));
        let index = node.device("vx_green")["ifindex"].clone();
        crosses(
            &stage,
            &[
                found,
                "correct the configuration, or, when the device is in use no longer: ip link del dev vx_green",
            ],
        );
        let said = stage.operate(&["repair"]);
        assert_eq!(said.code, 1, "{}", said.stdout);
        for told in ["FAILED network green: ", found, "ip link del dev vx_green"] {
            assert!(said.stdout.contains(told), "{told}\n{}", said.stdout);
        }
        assert_eq!(node.device("vx_green")["ifindex"], index);
    }
    node.ip("link del vx_green");
    assert_eq!(stage.operate(&["repair"]).code, 0);
    stage.is_well();
}

#[test]
fn an_underlay_that_is_down_or_without_a_carrier_is_told_and_left_to_its_owner() {
    let stage = stage();
    let switch = format!("{}-sw", stage.node().path().rsplit_once('-').unwrap().0);
    let switch = crate::support::lab::Ns::at(switch.as_ref());
    switch.ip("link set p0 down");
    until("the carrier is gone", || {
        stage.node().device("eth0")["flags"]
            .to_string()
            .contains("NO-CARRIER")
    });
    crosses(
        &stage,
        &[
            "✗ the underlay device `eth0` has no carrier",
            "inspect  ip -d link show dev eth0",
        ],
    );
    switch.ip("link set p0 up");
    stage.node().ip("link set eth0 down");
    crosses(
        &stage,
        &[
            "✗ network \"blue\": the underlay device `eth0` is down",
            "`ip link set dev eth0 up`",
        ],
    );
    stage.operate(&["repair"]);
    assert!(
        !stage.node().device("eth0")["flags"]
            .to_string()
            .contains("\"UP\"")
    );
}

#[test]
fn a_way_that_is_too_narrow_for_full_packets_is_found_before_a_user_finds_it() {
    let stage = stage();
    stage.is_well();
    let full = left_by_the_underlay() + 50;
    let narrow = format!("link set eth0 mtu {}", full - 100);
    stage.lab().node(1).ip(&narrow);
    let crossed = format!(
        "✗ packets of {full} bytes do not reach 198.18.0.2, small ones do: the underlay's MTU is smaller"
    );
    crosses(
        &stage,
        &[
            &crossed,
            &format!(
                "inspect  ping -n -q -c 1 -W 1 -M do -s {} 198.18.0.2",
                full - 28
            ),
            "or set mtu of network \"green\" to what fits, less 50",
        ],
    );
}

#[test]
fn another_node_with_the_same_gateway_address_is_found_on_the_wire() {
    let stage = stage();
    let two = stage.lab().node(1);
    let blue = claimed("blue", 100, two).with(json!({"cidr": "10.100.0.1/16"}));
    let pod = two.pod("other");
    two.ask(&two.config(&[&blue]), &pod).add();
    let mac = two.device("mv_blue")["address"]
        .as_str()
        .unwrap()
        .to_uppercase();
    crosses(
        &stage,
        &[
            &format!("✗ {mac} answers for the gateway's address on mv_blue too"),
            "inspect  arping -D -c 1 -w 1 -I mv_blue 10.100.0.1",
            "fix      give each node an address of its own in cidr of network \"blue\"",
        ],
    );
}

#[test]
fn records_that_are_gone_cut_short_or_of_nobody_any_more_are_told() {
    let mut stage = stage();
    stage.join(0, "more", 3);
    let record = |stage: &Stage, index: usize| {
        let pod = &stage.members[index].pod;
        stage.node().record("blue", pod, "eth0")
    };
    let said = |stage: &Stage, words: &[&str]| crosses(stage, words);
    std::fs::remove_file(record(&stage, 0)).unwrap();
    said(
        &stage,
        &[
            "✗ others: a macvlan on vx_blue has no record",
            "fix      make its container anew",
        ],
    );
    let web = &stage.members[0];
    let ask = stage.node().ask(&stage.config(0), &web.pod);
    let check = ask.check_refused(&web.result, 101);
    assert!(check.contains("there is no record of"), "{check}");
    std::fs::write(record(&stage, 2), "{\"form").unwrap();
    said(&stage, &["cannot be read: EOF", "inspect  jq . '"]);
    stage.members[3].pod.end();
    said(&stage, &["shop/more-1", "its namespace ", "is gone"]);
    let cut = record(&stage, 4);
    let mut half: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&cut).unwrap()).unwrap();
    half["lease"] = json!(null);
    std::fs::write(&cut, half.to_string()).unwrap();
    said(&stage, &["shop/more-2", "its ADD was ended half-way"]);
    half["boot"] = json!("another");
    std::fs::write(&cut, half.to_string()).unwrap();
    said(
        &stage,
        &["is of an earlier boot: only its lease is left", "vxlan gc"],
    );
    let before = stage.node().snapshot();
    stage.operate(&["repair"]);
    stage.is_as(&before);
}

#[test]
fn a_full_disk_and_a_folder_that_cannot_be_written_to_are_told() {
    let stage = stage();
    let data = stage.node().data();
    let full = format!(
        "mount -t tmpfs -o size=64k tmpfs {0} && head -c 64k /dev/zero > {0}/.full && exec \"$@\"",
        data.display()
    );
    let call = stage
        .call(&["doctor"])
        .behind(&["unshare", "-m", "sh", "-c", &full, "-"]);
    let said = call.run();
    assert_eq!(said.code, 1, "{said:?}");
    let told = format!(
        "✗ the disk of {} is full: no attachment can be recorded",
        data.display()
    );
    assert!(said.stdout.contains(&told), "{}", said.stdout);
    let readonly = format!(
        "mount -t tmpfs -o ro tmpfs {} && exec \"$@\"",
        data.display()
    );
    let said = stage
        .call(&["doctor"])
        .behind(&["unshare", "-m", "sh", "-c", &readonly, "-"])
        .run();
    let told = format!("✗ {} cannot be written to", data.display());
    assert!(said.stdout.contains(&told), "{}", said.stdout);
}

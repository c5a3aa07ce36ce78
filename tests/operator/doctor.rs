//! `vxlan doctor`: what is broken is found, in the right words.

use crate::stage::{Stage, claimed};
use crate::support::lab::{Lab, Net, address, mac};

#[test]
fn a_node_where_all_is_well_gets_ticks_only_and_is_left_as_it_is() {
    let lab = Lab::new(2);
    let blue = claimed("blue", 100, lab.node(0));
    let mut stage = Stage::new(lab, vec![blue, Net::new("red", 200).dual()]);
    stage.join(0, "web", 2);
    stage.join(1, "db", 2);
    let before = stage.settled();
    let said = stage.operate(&["doctor"]);
    assert_eq!(
        (said.code, said.stderr.as_str()),
        (0, ""),
        "{}",
        said.stdout
    );
    assert!(!said.stdout.contains('✗'), "{}", said.stdout);
    for told in [
        "✓ ip utility, iproute2-",
        "✓ the kernel has the driver macvlan",
        "✓ the underlay device eth0 is up, MTU 1500",
        "✓ no other device has VNI 100 on port 4789",
        "✓ nobody else answers for the gateway's address on mv_blue",
        "✓ the node's side: all 15 facts hold",
        "✓ shop/web-1 ",
        "/ipam: all 2 facts hold",
        "nothing is wrong",
    ] {
        assert!(said.stdout.contains(told), "{told}\n{}", said.stdout);
    }
    stage.is_as(&before);
    assert_eq!(stage.node().journal().matches("REPAIR").count(), 0);
}

#[test]
fn an_address_that_another_nodes_container_has_too_is_crossed_with_both_macs() {
    let lab = Lab::new(2);
    let blue = Net::new("blue", 100).dual();
    let mut stage = Stage::new(lab, vec![blue.clone()]);
    stage.join(0, "web", 2);
    // Another node's container takes the address of the first, as after a partition.
    let other = stage.lab().node(1);
    let pod = other.pod("other");
    let ask = other.ask(&other.config(&[&blue]), &pod);
    let result = ask.add();
    let address = address(&stage.members[0].result, 0);
    pod.ip(&format!("addr add {address}/16 dev eth0"));
    let said = stage.operate(&["doctor"]);
    assert_eq!(said.code, 1, "{}", said.stdout);
    let crossed: Vec<&str> = said
        .stdout
        .lines()
        .filter(|line| line.contains('✗'))
        .collect();
    assert_eq!(crossed.len(), 1, "{}", said.stdout);
    let told = format!("{address} of shop/web-0 has two owners: ");
    assert!(crossed[0].contains(&told), "{}", said.stdout);
    assert!(
        crossed[0].to_lowercase().contains(&mac(&result)) && said.stdout.contains("arping -b"),
        "{}",
        said.stdout
    );
    pod.ip(&format!("addr del {address}/16 dev eth0"));
    let said = stage.operate(&["doctor"]);
    assert_eq!(said.code, 0, "{}", said.stdout);
    let told = "✓ the 2 IPv4 addresses of containers have one owner on mv_blue";
    assert!(said.stdout.contains(told), "{}", said.stdout);
    ask.after(&result).del();
}
